//! Both directions of one connection, shown in the order in which they came, with times.

use crate::latency::{Answer, Latencies};
use crate::seen::Seen;
use crate::show::{Context, Stream, View, Watcher};
use chatwire_codec::dump::{Sender, Tracer};
use chatwire_codec::{Limits, frame};
use serde_json::json;
use std::time::Duration;

pub(crate) struct Conversation {
    /// Counted from 1.
    number: usize,
    from_client: Stream,
    from_server: Stream,
    latencies: Latencies,
}

impl Conversation {
    /// One that is seen from its beginning.
    pub(crate) fn new(number: usize, view: &View) -> Conversation {
        Conversation {
            number,
            from_client: Stream::of(Sender::Client, view),
            from_server: Stream::of(Sender::Server, view),
            latencies: Latencies::default(),
        }
    }

    /// What `sender` sends goes on behind bytes that nobody saw.
    pub(crate) fn resume(&mut self, sender: Sender, view: &View) {
        let stream = self.stream(sender);
        *stream = Stream::new(Tracer::midway(sender, stream.limits()), view);
    }

    /// Takes what `sender` sent; `at` is the time since 1970. What there is to show is added to `out`.
    pub(crate) fn feed(&mut self, sender: Sender, bytes: &[u8], at: Duration, view: &View, out: &mut String) {
        let mut telling = Telling { number: self.number, sender, at, latencies: &mut self.latencies };
        match sender {
            Sender::Client => self.from_client.feed(bytes, view, &mut telling, out),
            Sender::Server => {
                self.from_server.feed(bytes, view, &mut telling, out);
                // What WELCOME says holds for what the client sends, too.
                let max_text = self.from_server.limits().max_text;
                if self.from_client.limits().max_text != max_text {
                    self.from_client.set_limits(Limits { max_text, ..self.from_client.limits() });
                }
            }
        }
    }

    /// `sender` has ended.
    pub(crate) fn finish(&mut self, sender: Sender, at: Duration, view: &View, out: &mut String) {
        let mut telling = Telling { number: self.number, sender, at, latencies: &mut self.latencies };
        match sender {
            Sender::Client => self.from_client.finish(view, &mut telling, out),
            Sender::Server => self.from_server.finish(view, &mut telling, out),
        }
    }

    fn stream(&mut self, sender: Sender) -> &mut Stream {
        match sender {
            Sender::Client => &mut self.from_client,
            Sender::Server => &mut self.from_server,
        }
    }
}

struct Telling<'a> {
    number: usize,
    sender: Sender,
    at: Duration,
    latencies: &'a mut Latencies,
}

impl Telling<'_> {
    fn context(&self, answer: Option<Answer>) -> Context {
        let (arrow, from) = match self.sender {
            Sender::Client => ("→", "client"),
            Sender::Server => ("←", "server"),
        };
        let mut title = format!("{} #{} {arrow}", time_of_day(self.at), self.number);
        let micros = u64::try_from(self.at.as_micros()).unwrap_or(u64::MAX);
        let mut keys =
            vec![("time", json!(micros)), ("connection", json!(self.number)), ("from", json!(from))];
        if let Some(Answer { to, after }) = answer {
            let to = frame::info(to).map_or_else(|| format!("{to:#04x}"), |info| info.name.to_string());
            title.push_str(&format!(" {} after {to}", milliseconds(after)));
            let after = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
            keys.extend([("answers", json!(to)), ("latency_us", json!(after))]);
        }
        Context { title, keys }
    }
}

impl Watcher for Telling<'_> {
    fn begins(&mut self) -> Context {
        self.context(None)
    }
    fn whole(&mut self, seen: &Seen) -> Context {
        let answer = self.latencies.take(self.sender, seen, self.at);
        self.context(answer)
    }
}

/// In UTC, to the microsecond.
pub(crate) fn time_of_day(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs() % 86_400;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{:06}", since_1970.subsec_micros())
}

fn milliseconds(time: Duration) -> String {
    format!("{}.{:03} ms", time.as_millis(), time.subsec_micros() % 1000)
}

//! A connection of `wire cat`: a thread that reads it, shows what comes, keeps it for expectations, and answers PINGs.

use crate::build::Outgoing;
use crate::endpoint::{Link, Sink};
use crate::inbox::Inbox;
use crate::output::Output;
use crate::seen::{Seen, Val};
use crate::show::{Context, Stream, View, Watcher};
use chatwire_codec::dump::Sender;
use chatwire_codec::{frame::kind, header};
use serde_json::json;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The name of the connection that is there from the beginning.
pub(crate) const FIRST: &str = "main";
/// Bytes that are read or sent at once.
const CHUNK: usize = 64 * 1024;
/// PONGs that wait for the end of a unit; who sends more PINGs into one gets no more answers.
const MAX_PONGS: usize = 64;

/// How the connections of one run are treated.
#[derive(Clone)]
pub(crate) struct Manner {
    pub view: View,
    pub output: Arc<Output>,
    /// Whether what is sent is shown, too.
    pub shows_sent: bool,
    pub answers_pings: bool,
    /// Whether the end of a connection is told: at a terminal, where nobody reads an exit code.
    pub tells_end: bool,
}

/// One connection.
pub(crate) struct Peer {
    pub inbox: Arc<Inbox>,
    out: Arc<Out>,
    reader: Option<JoinHandle<()>>,
}

/// What both threads write to. Whoever reads never waits for it: it may be that the server takes nothing before somebody
/// reads what it sends.
struct Out {
    sending: Mutex<Sending>,
    /// PONGs that wait until nothing stands open.
    pongs: Mutex<Vec<Vec<u8>>>,
}

/// The sending half.
struct Sending {
    sink: Box<dyn Sink>,
    /// Follows what is sent, to know where a PONG may stand.
    stream: Stream,
    place: Place,
    manner: Manner,
}

impl Peer {
    /// `name` is shown with its frames, unless it is [`FIRST`].
    pub(crate) fn new(link: Link, name: &str, manner: &Manner) -> Peer {
        let inbox = Arc::new(Inbox::default());
        let label = |arrow: &str| if name == FIRST { arrow.to_string() } else { format!("{name} {arrow}") };
        let sending = Mutex::new(Sending {
            sink: link.writer,
            stream: Stream::of(Sender::Client, &manner.view),
            place: Place { title: label("→"), ..Place::default() },
            manner: manner.clone(),
        });
        let out = Arc::new(Out { sending, pongs: Mutex::default() });
        let mut reading = Reading {
            name: name.into(),
            label: if name == FIRST && !manner.shows_sent { String::new() } else { label("←") },
            inbox: Arc::clone(&inbox),
            out: Arc::clone(&out),
            manner: manner.clone(),
        };
        let reader = std::thread::spawn(move || reading.run(link.reader));
        Peer { inbox, out, reader: Some(reader) }
    }

    /// Sends a frame, or any other bytes.
    pub(crate) fn send(&self, outgoing: Outgoing) -> io::Result<()> {
        let mut sending = self.out.sending();
        sending.write(&outgoing.bytes)?;
        if let Some((file, len)) = outgoing.body {
            sending.write_file(file.take(len), len)?;
        }
        drop(sending);
        self.out.send_pongs()
    }

    /// Ends the sending side.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.out.sending().sink.finish()
    }

    /// Waits until the other side has ended and all that came was shown.
    pub(crate) fn join(mut self) {
        if let Some(reader) = self.reader.take() {
            // A thread that panicked has told so itself.
            let _ = reader.join();
        }
    }
}

impl Out {
    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pongs(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.pongs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a PING, now or as soon as nothing stands open.
    fn answer(&self, bytes: &[u8]) -> io::Result<()> {
        let mut pongs = self.pongs();
        if let (Ok(size), true) = (u32::try_from(bytes.len()), pongs.len() < MAX_PONGS) {
            pongs.push([&header(kind::PONG, size)[..], bytes].concat());
        }
        drop(pongs);
        self.send_pongs()
    }

    /// If somebody is sending, nothing: whoever sends calls this afterwards.
    fn send_pongs(&self) -> io::Result<()> {
        while let Ok(mut sending) = self.sending.try_lock() {
            if !sending.place.is_between_units() {
                break;
            }
            let pongs = std::mem::take(&mut *self.pongs());
            pongs.iter().try_for_each(|pong| sending.write(pong))?;
            drop(sending);
            // One that was put there before the lock was free again has nobody else.
            if self.pongs().is_empty() {
                break;
            }
        }
        Ok(())
    }
}

impl Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(bytes)?;
        self.sink.flush()?;
        let mut shown = String::new();
        self.place.sent += bytes.len() as u64;
        self.stream.feed(bytes, &self.manner.view, &mut self.place, &mut shown);
        if self.manner.shows_sent { self.manner.output.print(&shown) } else { Ok(()) }
    }

    fn write_file(&mut self, mut file: impl Read, len: u64) -> io::Result<()> {
        let (mut buffer, mut left) = (vec![0; CHUNK], len);
        while left > 0 {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                return Err(io::Error::other("the file became shorter while it was sent"));
            }
            self.write(&buffer[..n])?;
            left -= n as u64;
        }
        Ok(())
    }
}

/// Where what was sent stands: nothing may stand inside a unit (section 1.7).
#[derive(Default)]
struct Place {
    title: String,
    /// Bytes that were sent, and those of them that are whole frames.
    sent: u64,
    whole: u64,
    is_behind_to: bool,
}

impl Place {
    fn is_between_units(&self) -> bool {
        self.sent == self.whole && !self.is_behind_to
    }
}

impl Watcher for Place {
    fn begins(&mut self) -> Context {
        context(&self.title)
    }
    fn whole(&mut self, seen: &Seen) -> Context {
        self.whole = seen.at + 5 + u64::from(seen.size);
        self.is_behind_to = seen.kind == Some(kind::TO);
        context(&self.title)
    }
}

fn context(label: &str) -> Context {
    if label.is_empty() {
        return Context::default();
    }
    Context { title: label.into(), keys: vec![("from", json!(label))] }
}

/// The receiving half.
struct Reading {
    name: String,
    label: String,
    inbox: Arc<Inbox>,
    out: Arc<Out>,
    manner: Manner,
}

impl Reading {
    fn run(&mut self, mut reader: impl Read) {
        let mut stream = Stream::of(Sender::Server, &self.manner.view);
        let manner = self.manner.clone();
        let (mut buffer, mut is_first) = (vec![0; CHUNK], true);
        loop {
            let mut shown = String::new();
            let read = reader.read(&mut buffer);
            if std::mem::take(&mut is_first) && is_tls(&buffer) {
                shown.push_str("!! this is TLS; write tls:// before the server's name\n");
            }
            match &read {
                Ok(n) if *n > 0 => stream.feed(&buffer[..*n], &manner.view, self, &mut shown),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                _ => stream.finish(&manner.view, self, &mut shown),
            }
            if let Err(error) = &read {
                shown.push_str(&format!("!! the connection broke: {error}\n"));
            }
            if matches!(read, Ok(0)) && manner.tells_end {
                shown.push_str(&format!(
                    "!! the connection {} has ended; `as NAME` makes another\n",
                    self.name
                ));
            }
            // If nobody can see it any more, expectations still hold.
            let _ = manner.output.print(&shown);
            if !matches!(read, Ok(n) if n > 0) {
                return self.inbox.end();
            }
        }
    }
}

/// Whether a connection begins with a TLS record: what such a server says to a HELLO is that it is none of TLS.
fn is_tls(begins: &[u8]) -> bool {
    matches!(begins, [0x15 | 0x16, 3, 0..=4, ..])
}

impl Watcher for Reading {
    fn begins(&mut self) -> Context {
        context(&self.label)
    }
    fn whole(&mut self, _: &Seen) -> Context {
        context(&self.label)
    }
    fn shown(&mut self, seen: Seen) {
        let ping = (seen.kind == Some(kind::PING) && self.manner.answers_pings).then(|| seen.value("bytes"));
        if let Some(Some(Val::Bytes(bytes))) = ping {
            // A connection that cannot be written to is about to end, which is told then.
            let _ = self.out.answer(&bytes);
        }
        self.inbox.put(seen);
    }
}

//! history: pages of a chat, one request at a time, as fast as they come or at a rate; alone or beside the
//! load of `rooms`.
//!
//! At a rate, a PING follows each page. What it takes is what waking the server and this client takes, so what
//! a page takes beyond it is the page's own. A page that is due while another is under way counts from then.

use super::send::fill;
use super::{Tally, rooms};
use crate::Result;
use crate::measure::{DRAIN, Signal, Span, Usage, together};
use crate::options::Plan;
use crate::pace::Pace;
use crate::pool::{Door, Guest, Load, Out, Pool, enter};
use crate::report::{Faults, Figures};
use crate::stats::Times;
use crate::target::Target;
use chatwire_codec::Frame;
use chatwire_codec::frame::{Error, History, Ping};
use std::time::Instant;

const PAGE: u16 = 50;
/// By this name the next run finds it, where the data stays.
const ROOM: &str = "load-history";

type Worker<'a> = Box<dyn FnOnce(Signal) -> Result<Part> + Send + 'a>;

enum Part {
    Reader(Box<Reader>),
    Rooms(Box<Tally>),
}

pub(super) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    let chat = fill(plan, target.addr, ROOM)?;
    let mut workers: Vec<Worker<'_>> = vec![Box::new(|signal| {
        let mut pool = Pool::new(target.addr)?;
        enter(&mut pool, &[Door::room(ROOM)])?;
        let span = signal.wait()?;
        let mut reader = Reader::new(plan, chat, span)?;
        pool.run(span.end + DRAIN, &mut reader)?;
        reader.faults.lost += u64::from(reader.asked.is_some());
        Ok(Part::Reader(Box::new(reader)))
    })];
    if plan.beside_rooms {
        workers
            .push(Box::new(|signal| Ok(Part::Rooms(Box::new(rooms::load(plan, target.addr, 0, signal)?)))));
    }
    let (usage, parts) = together(target, (plan.warmup, plan.span), workers)?;
    let mut figures = Figures::new(Faults::default());
    let mut count = 0;
    for part in &parts {
        match part {
            Part::Reader(reader) => count = reader.tell(&mut figures, &usage),
            // Beside the rooms the processor time is that of both, so it is no page's.
            Part::Rooms(rooms) => count = tell_of_rooms(rooms, &mut figures, &usage),
        }
    }
    figures.usage(&usage, count);
    Ok(figures)
}

fn tell_of_rooms(rooms: &Tally, figures: &mut Figures, usage: &Usage) -> u64 {
    figures.faults.add(rooms.faults);
    figures.put("rooms_messages_per_s", rooms.messages as f64 / usage.seconds);
    figures.times_as(["rooms_p50_us", "rooms_p99_us", "rooms_max_us"], &rooms.ages);
    rooms.messages
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Newest,
    Any,
    Ping,
}

struct Reader {
    chat: Guest,
    span: Span,
    pace: Option<Pace>,
    random: bool,
    /// What is under way, and since when it counts.
    asked: Option<(Asked, Instant)>,
    /// What is next.
    next: Asked,
    /// When the last answer came.
    answered: Instant,
    req: u32,
    /// How many of the page are still to come, and the seq of the next.
    left: u16,
    next_seq: u64,
    is_over: bool,
    newest: Times,
    any: Times,
    pings: Times,
    pages: u64,
    faults: Faults,
}

impl Reader {
    fn new(plan: &Plan, chat: Guest, span: Span) -> Result<Reader> {
        let now = Instant::now();
        Ok(Reader {
            chat,
            span,
            pace: plan.page_rate.map(|rate| Pace::new(now, rate.into())),
            random: plan.random,
            asked: None,
            next: Asked::Newest,
            answered: now,
            req: 1,
            left: 0,
            next_seq: 0,
            is_over: false,
            newest: Times::new()?,
            any: Times::new()?,
            pings: Times::new()?,
            pages: 0,
            faults: Faults::default(),
        })
    }

    /// Gives the number of pages.
    fn tell(&self, figures: &mut Figures, usage: &Usage) -> u64 {
        figures.faults.add(self.faults);
        figures.put("chat_messages", self.chat.last_seq as f64);
        figures.put("pages_per_s", self.pages as f64 / usage.seconds);
        figures.times(&self.newest);
        figures.times_as(["random_p50_us", "random_p99_us", "random_max_us"], &self.any);
        figures.times_as(["ping_p50_us", "ping_p99_us", "ping_max_us"], &self.pings);
        self.pages
    }

    /// How many messages a page must have.
    fn wanted(&self) -> u64 {
        self.chat.last_seq.min(PAGE.into())
    }

    /// Takes what is next, if it is due, and since when it is.
    fn due(&mut self, now: Instant) -> Option<(Asked, Instant)> {
        let Some(pace) = &mut self.pace else { return Some((self.next, now)) };
        if self.next == Asked::Ping {
            return Some((Asked::Ping, now));
        }
        let due = pace.take(now)?;
        // That the system wakes the client late is not the server's doing.
        Some((self.next, if due < self.answered { due } else { now }))
    }

    fn follows(&self, asked: Asked) -> Asked {
        // Every other page: their numbers are even.
        let page = if self.random && self.req.is_multiple_of(2) { Asked::Any } else { Asked::Newest };
        if self.pace.is_some() && asked != Asked::Ping { Asked::Ping } else { page }
    }

    fn ask(&mut self, what: Asked, out: &mut Out<'_>) -> Result<()> {
        if what == Asked::Ping {
            return out.put(0, &Ping { bytes: &self.req.to_be_bytes() });
        }
        self.req += 1;
        // Behind any message that has a whole page before it.
        let last = self.chat.last_seq;
        let before = match what {
            Asked::Any => self.wanted() + 1 + getrandom::u64()? % (last + 1 - self.wanted()),
            _ => 0,
        };
        self.next_seq = if before == 0 { last + 1 } else { before } - self.wanted();
        let chat = self.chat.chat;
        out.put(0, &History { req: self.req, chat, before, limit: PAGE, ..History::default() })
    }

    fn answered(&mut self, now: Instant) {
        let Some((what, since)) = self.asked.take() else { return };
        self.answered = now;
        self.next = self.follows(what);
        if self.span.contains(now) {
            self.pages += u64::from(what != Asked::Ping);
            let times = match what {
                Asked::Newest => &mut self.newest,
                Asked::Any => &mut self.any,
                Asked::Ping => &mut self.pings,
            };
            times.add(now - since);
        }
    }
}

impl Load for Reader {
    fn frame(&mut self, _conn: usize, frame: &Frame<'_>, now: Instant) -> Result<()> {
        match frame {
            Frame::HistoryPage(page) => {
                let is_right =
                    page.req == self.req && u64::from(page.count) == self.wanted() && self.left == 0;
                self.faults.errors += u64::from(!is_right);
                self.left = page.count;
            }
            Frame::From_(from) => {
                self.faults.gaps += u64::from(from.seq != self.next_seq);
                self.next_seq = from.seq + 1;
            }
            Frame::Text(_) => {
                self.left = self.left.saturating_sub(1);
                if self.left == 0 {
                    self.answered(now);
                }
            }
            Frame::Pong(pong) => {
                self.faults.errors += u64::from(pong.bytes != self.req.to_be_bytes());
                self.answered(now);
            }
            _ => {}
        }
        Ok(())
    }

    fn error(&mut self, _conn: usize, _error: &Error<'_>) -> Result<()> {
        self.faults.errors += 1;
        self.asked = None;
        Ok(())
    }

    fn turn(&mut self, out: &mut Out<'_>, now: Instant) -> Result<()> {
        self.is_over = now >= self.span.end;
        if self.asked.is_none() && !self.is_over {
            self.asked = self.due(now);
            if let Some((what, _)) = self.asked {
                self.ask(what, out)?;
            }
        }
        Ok(())
    }

    fn wake(&self) -> Option<Instant> {
        let pace = self.pace.filter(|_| self.asked.is_none() && !self.is_over);
        pace.map(|pace| pace.next())
    }

    fn is_done(&self) -> bool {
        self.is_over && self.asked.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Arguments;
    use chatwire_codec::frame::{From_, HistoryPage, Pong, Text};
    use clap::Parser;
    use std::time::Duration;

    const MILLI: Duration = Duration::from_millis(1);

    fn reader(line: &str) -> Reader {
        let words = ["load", "history"].into_iter().chain(line.split_whitespace());
        let plan = Plan::try_from(Arguments::parse_from(words)).unwrap();
        let begin = Instant::now();
        let mut reader =
            Reader::new(&plan, Guest { chat: 7, last_seq: 2 }, Span { begin, end: begin + plan.span })
                .unwrap();
        (reader.answered, reader.pace) = (begin, plan.page_rate.map(|rate| Pace::new(begin, rate.into())));
        reader
    }

    fn ask(reader: &mut Reader, now: Instant) -> Option<Asked> {
        reader.asked = reader.due(now);
        (reader.next_seq, reader.req) = (1, 1);
        reader.asked.map(|(what, _)| what)
    }

    fn page(reader: &mut Reader, seqs: &[u64], now: Instant) {
        let page = HistoryPage { req: 1, chat: 7, first_seq: 1, last_seq: 2, more: 0, count: 2 };
        reader.frame(0, &Frame::HistoryPage(page), now).unwrap();
        for &seq in seqs {
            reader.frame(0, &Frame::From_(From_ { seq, ..From_::default() }), now).unwrap();
            reader.frame(0, &Frame::Text(Text { text: "x" }), now).unwrap();
        }
    }

    #[test]
    fn a_page_counts_when_its_last_message_is_there_and_a_hole_in_it_is_a_gap() {
        let mut reader = reader("");
        let now = reader.span.begin;
        assert!(ask(&mut reader, now) == Some(Asked::Newest));
        page(&mut reader, &[1], now);
        assert_eq!((reader.pages, reader.faults), (0, Faults::default()));
        reader.left = 0;
        page(&mut reader, &[2, 4], now);
        assert_eq!((reader.pages, reader.faults.gaps), (1, 1));
    }

    #[test]
    fn at_a_rate_a_ping_follows_and_what_was_due_meanwhile_counts_from_then() {
        let mut reader = reader("--page-rate 100");
        let begin = reader.span.begin;
        assert!(ask(&mut reader, begin + 9 * MILLI).is_none());
        assert!(ask(&mut reader, begin + 11 * MILLI) == Some(Asked::Newest));
        assert_eq!(reader.asked.unwrap().1, begin + 11 * MILLI, "the client was late by itself");
        page(&mut reader, &[1, 2], begin + 25 * MILLI);
        assert!(ask(&mut reader, begin + 25 * MILLI) == Some(Asked::Ping));
        reader.frame(0, &Frame::Pong(Pong { bytes: &1_u32.to_be_bytes() }), begin + 26 * MILLI).unwrap();
        assert!(ask(&mut reader, begin + 26 * MILLI) == Some(Asked::Newest));
        assert_eq!(reader.asked.unwrap().1, begin + 20 * MILLI);
        assert_eq!((reader.newest.is_empty(), reader.pings.is_empty(), reader.pages), (false, false, 1));
    }

    #[test]
    fn random_pages_come_in_turn_with_the_newest() {
        let mut reader = reader("--random");
        let mut out = Vec::new();
        for _ in 0..4 {
            out.push(reader.follows(Asked::Newest) == Asked::Any);
            reader.req += 1;
        }
        assert_eq!(out, [false, true, false, true]);
    }
}

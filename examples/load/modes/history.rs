//! history: the newest 50 messages of a chat, one request at a time, alone or beside the load of `rooms`.

use super::send::fill;
use super::{Tally, fresh_room, rooms};
use crate::Result;
use crate::measure::{DRAIN, Signal, Span, together};
use crate::options::Plan;
use crate::pool::{Door, Load, Out, Pool, enter};
use crate::report::Figures;
use crate::target::Target;
use chatwire_codec::Frame;
use chatwire_codec::frame::{Error, History};
use std::time::Instant;

const PAGE: u16 = 50;

type Worker<'a> = Box<dyn FnOnce(Signal) -> Result<(Part, Tally)> + Send + 'a>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Reader,
    Rooms,
}

pub(super) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    let room = fresh_room(plan.rooms)?;
    let chat = fill(plan, target.addr, &room)?;
    let mut workers: Vec<Worker<'_>> = vec![Box::new(|signal| {
        let mut pool = Pool::new(target.addr)?;
        enter(&mut pool, &[Door::room(&room)])?;
        let span = signal.wait()?;
        let mut reader = Reader::new(chat, plan.messages, span)?;
        pool.run(span.end + DRAIN, &mut reader)?;
        reader.tally.faults.lost += u64::from(reader.asked.is_some());
        Ok((Part::Reader, reader.tally))
    })];
    if plan.beside_rooms {
        workers.push(Box::new(|signal| Ok((Part::Rooms, rooms::load(plan, target.addr, 0, signal)?))));
    }
    let (usage, parts) = together(target, (plan.warmup, plan.span), workers)?;
    let (readers, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(part, _)| *part == Part::Reader);
    let sum = |parts: Vec<(Part, Tally)>| Tally::sum(parts.into_iter().map(|(_, tally)| tally).collect());
    let (reader, rooms) = (sum(readers)?, sum(others)?);
    let mut figures = Figures::new(reader.faults);
    figures.faults.add(rooms.faults);
    figures.put("pages_per_s", reader.messages as f64 / usage.seconds);
    figures.times(&reader.answers);
    if plan.beside_rooms {
        figures.put("rooms_messages_per_s", rooms.messages as f64 / usage.seconds);
    }
    // Beside the rooms the processor time is that of both, so it is no page's.
    figures.usage(&usage, if plan.beside_rooms { rooms.messages } else { reader.messages });
    Ok(figures)
}

struct Reader {
    chat: u64,
    last_seq: u64,
    span: Span,
    req: u32,
    asked: Option<Instant>,
    /// How many of the page are still to come, and the seq of the next.
    left: u16,
    next: u64,
    is_over: bool,
    tally: Tally,
}

impl Reader {
    fn new(chat: u64, last_seq: u64, span: Span) -> Result<Reader> {
        Ok(Reader {
            chat,
            last_seq,
            span,
            req: 1,
            asked: None,
            left: 0,
            next: 0,
            is_over: false,
            tally: Tally::new()?,
        })
    }

    fn answered(&mut self, now: Instant) {
        let Some(asked) = self.asked.take() else { return };
        if self.span.contains(now) {
            self.tally.messages += 1;
            self.tally.answers.add(now - asked);
        }
    }
}

impl Load for Reader {
    fn frame(&mut self, _conn: usize, frame: &Frame<'_>, now: Instant) -> Result<()> {
        match frame {
            Frame::HistoryPage(page) => {
                let wanted = self.last_seq.min(PAGE.into());
                let is_right = page.req == self.req && u64::from(page.count) == wanted && self.left == 0;
                self.tally.faults.errors += u64::from(!is_right);
                self.left = page.count;
                self.next = self.last_seq + 1 - wanted;
            }
            Frame::From_(from) => {
                self.tally.faults.gaps += u64::from(from.seq != self.next);
                self.next = from.seq + 1;
            }
            Frame::Text(_) => {
                self.left = self.left.saturating_sub(1);
                if self.left == 0 {
                    self.answered(now);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn error(&mut self, _conn: usize, _error: &Error<'_>) -> Result<()> {
        self.tally.faults.errors += 1;
        self.asked = None;
        Ok(())
    }

    fn turn(&mut self, out: &mut Out<'_>, now: Instant) -> Result<()> {
        self.is_over = now >= self.span.end;
        if self.asked.is_none() && !self.is_over {
            self.req += 1;
            self.asked = Some(now);
            out.put(0, &History { req: self.req, chat: self.chat, limit: PAGE, ..History::default() })?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.is_over && self.asked.is_none()
    }
}

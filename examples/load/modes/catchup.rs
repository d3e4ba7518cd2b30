//! catchup: clients that were away read all of a chat by SYNC, and check that nothing is missing. Who has
//! all asks again from 0, until the time is over.

use super::send::fill;
use super::{Tally, fresh_room};
use crate::Result;
use crate::measure::Watch;
use crate::options::Plan;
use crate::pool::{Door, Load, Out, Pool, enter};
use crate::position::{Position, Step};
use crate::report::Figures;
use crate::target::Target;
use chatwire_codec::Frame;
use chatwire_codec::frame::{Error, Sync};
use std::time::{Duration, Instant};

/// The longest that the last round may take.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    let room = fresh_room(0)?;
    let chat = fill(plan, target.addr, &room)?.chat;
    let mut pool = Pool::new(target.addr)?;
    enter(&mut pool, &vec![Door { room, live: false }; plan.connections])?;
    let watch = Watch::start(target)?;
    let end = Instant::now() + plan.span;
    let mut readers = Readers::new(plan, chat, end)?;
    pool.run(end + PATIENCE, &mut readers)?;
    let usage = watch.stop()?;
    let tally = readers.finish();
    let mut figures = Figures::new(tally.faults);
    figures.put("messages_per_s", tally.deliveries as f64 / usage.seconds);
    figures.put("rounds", tally.messages as f64);
    if !tally.answers.is_empty() {
        figures.put("round_p50_ms", tally.answers.micros(0.5) / 1e3);
    }
    figures.usage(&usage, tally.deliveries);
    Ok(figures)
}

struct Readers {
    chat: u64,
    messages: u64,
    end: Instant,
    readers: Vec<Reader>,
    /// Who is to ask next.
    idle: Vec<usize>,
    is_over: bool,
    /// What counts as a message here is a whole round.
    tally: Tally,
}

struct Reader {
    req: u32,
    asked: Option<Instant>,
    position: Position,
}

impl Readers {
    fn new(plan: &Plan, chat: u64, end: Instant) -> Result<Readers> {
        let reader = || Reader { req: 1, asked: None, position: Position::default() };
        Ok(Readers {
            chat,
            messages: plan.messages,
            end,
            readers: (0..plan.connections).map(|_| reader()).collect(),
            idle: (0..plan.connections).collect(),
            is_over: false,
            tally: Tally::new()?,
        })
    }

    fn finish(mut self) -> Tally {
        for reader in self.readers.iter().filter(|reader| reader.asked.is_some()) {
            self.tally.faults.lost += self.messages - reader.position.0.min(self.messages);
        }
        self.tally
    }
}

impl Load for Readers {
    fn frame(&mut self, conn: usize, frame: &Frame<'_>, now: Instant) -> Result<()> {
        let reader = &mut self.readers[conn];
        match frame {
            Frame::Synced(synced) => {
                let is_right =
                    (synced.req, synced.first_seq, synced.last_seq) == (reader.req, 1, self.messages);
                self.tally.faults.errors += u64::from(!is_right);
            }
            Frame::From_(from) if reader.position.message(from.seq) == Step::Next => {
                self.tally.deliveries += 1;
                if from.seq == self.messages
                    && let Some(asked) = reader.asked.take()
                {
                    self.tally.messages += 1;
                    self.tally.answers.add(now - asked);
                    self.idle.push(conn);
                }
            }
            // In a stream that was asked for, each comes once and in order.
            Frame::From_(_) => self.tally.faults.gaps += 1,
            _ => {}
        }
        Ok(())
    }

    fn error(&mut self, conn: usize, _error: &Error<'_>) -> Result<()> {
        self.tally.faults.errors += 1;
        self.readers[conn].asked = None;
        Ok(())
    }

    fn turn(&mut self, out: &mut Out<'_>, now: Instant) -> Result<()> {
        self.is_over = now >= self.end;
        if self.is_over {
            return Ok(());
        }
        for conn in self.idle.drain(..) {
            let reader = &mut self.readers[conn];
            *reader = Reader { req: reader.req + 1, asked: Some(now), position: Position::default() };
            out.put(conn, &Sync { req: reader.req, chat: self.chat, after: 0 })?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.is_over && self.readers.iter().all(|reader| reader.asked.is_none())
    }
}

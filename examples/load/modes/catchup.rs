//! catchup: clients that were away read all of a chat by SYNC, and check that nothing is missing.

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
use chatwire_codec::frame::Sync;
use std::time::{Duration, Instant};

/// The longest that it may take.
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    let room = fresh_room(0)?;
    let chat = fill(plan, target.addr, &room)?;
    let mut pool = Pool::new(target.addr)?;
    enter(&mut pool, &vec![Door { room, live: false }; plan.connections])?;
    let mut reader = Reader {
        chat,
        messages: plan.messages,
        asked: false,
        positions: vec![Position::default(); plan.connections],
        behind: plan.connections,
        tally: Tally::new()?,
    };
    let watch = Watch::start(target)?;
    pool.run(Instant::now() + PATIENCE, &mut reader)?;
    let usage = watch.stop()?;
    let mut tally = reader.tally;
    let wanted = plan.messages * plan.connections as u64;
    tally.faults.lost += wanted.saturating_sub(tally.deliveries);
    let mut figures = Figures::new(tally.faults);
    figures.put("messages_per_s", tally.deliveries as f64 / usage.seconds);
    figures.put("seconds", usage.seconds);
    figures.usage(&usage, tally.deliveries);
    Ok(figures)
}

struct Reader {
    chat: u64,
    messages: u64,
    asked: bool,
    positions: Vec<Position>,
    /// How many do not have all yet.
    behind: usize,
    tally: Tally,
}

impl Load for Reader {
    fn frame(&mut self, conn: usize, frame: &Frame<'_>, _now: Instant) -> Result<()> {
        match frame {
            Frame::Synced(synced) => {
                let is_right = synced.first_seq == 1 && synced.last_seq == self.messages;
                self.tally.faults.errors += u64::from(!is_right);
            }
            Frame::From_(from) => match self.positions[conn].message(from.seq) {
                Step::Next => {
                    self.tally.deliveries += 1;
                    self.behind -= usize::from(from.seq == self.messages);
                }
                // In a stream that was asked for each comes once.
                Step::Known | Step::Ahead | Step::Gap => self.tally.faults.gaps += 1,
            },
            _ => {}
        }
        Ok(())
    }

    fn turn(&mut self, out: &mut Out<'_>, _now: Instant) -> Result<()> {
        if !std::mem::replace(&mut self.asked, true) {
            for conn in 0..self.positions.len() {
                out.put(conn, &Sync { req: 2, chat: self.chat, after: 0 })?;
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.behind == 0
    }
}

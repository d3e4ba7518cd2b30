//! ping: PING and PONG, one at a time. It is what a round trip costs without the store.

use super::Tally;
use crate::Result;
use crate::measure::{DRAIN, Signal, Span, together};
use crate::options::Plan;
use crate::pool::{Door, Load, Out, Pool, enter};
use crate::report::Figures;
use crate::target::Target;
use chatwire_codec::Frame;
use chatwire_codec::frame::Ping;
use std::time::Instant;

pub(super) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    let worker = |signal: Signal| {
        let mut pool = Pool::new(target.addr)?;
        enter(&mut pool, &[Door::home()])?;
        let span = signal.wait()?;
        let mut pinger = Pinger { span, sent: 0, asked: None, is_over: false, tally: Tally::new()? };
        pool.run(span.end + DRAIN, &mut pinger)?;
        pinger.tally.faults.lost += u64::from(pinger.asked.is_some());
        Ok(pinger.tally)
    };
    let (usage, tallies) = together(target, (plan.warmup, plan.span), vec![worker])?;
    let tally = Tally::sum(tallies)?;
    let mut figures = Figures::new(tally.faults);
    figures.put("pings_per_s", tally.messages as f64 / usage.seconds);
    figures.times(&tally.answers);
    figures.usage(&usage, tally.messages);
    Ok(figures)
}

struct Pinger {
    span: Span,
    sent: u64,
    /// When the one that is not answered was sent.
    asked: Option<Instant>,
    is_over: bool,
    tally: Tally,
}

impl Load for Pinger {
    fn frame(&mut self, _conn: usize, frame: &Frame<'_>, now: Instant) -> Result<()> {
        let Frame::Pong(pong) = frame else { return Ok(()) };
        match self.asked.take() {
            Some(asked) if pong.bytes == self.sent.to_be_bytes() => {
                if self.span.contains(now) {
                    self.tally.messages += 1;
                    self.tally.answers.add(now - asked);
                }
            }
            _ => self.tally.faults.errors += 1,
        }
        Ok(())
    }

    fn turn(&mut self, out: &mut Out<'_>, now: Instant) -> Result<()> {
        self.is_over = now >= self.span.end;
        if self.asked.is_none() && !self.is_over {
            self.sent += 1;
            self.asked = Some(now);
            out.put(0, &Ping { bytes: &self.sent.to_be_bytes() })?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.is_over && self.asked.is_none()
    }
}

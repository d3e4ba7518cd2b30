//! send: every connection has a number of messages in flight, each with a nonce, and waits for STATUS.

use super::{Tally, share};
use crate::Result;
use crate::measure::{DRAIN, Signal, Span, together};
use crate::nonce::Nonces;
use crate::options::Plan;
use crate::pool::{Door, Guest, Load, Out, Pool, enter};
use crate::report::Figures;
use crate::target::Target;
use crate::texts::Texts;
use chatwire_codec::Frame;
use chatwire_codec::frame::{Error, Status};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A server that stores fewer a second than this is not waited for.
const FILLED_PER_SEC: u64 = 5_000;

pub(super) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    let worker = |number| {
        let connections = share(plan.connections, plan.threads, number);
        move |signal: Signal| {
            let mut pool = Pool::new(target.addr)?;
            enter(&mut pool, &vec![Door::home(); connections])?;
            let span = signal.wait()?;
            let mut sender = Sender::new(plan, connections, Stop::After(span))?;
            pool.run(span.end + DRAIN, &mut sender)?;
            Ok(sender.finish())
        }
    };
    let workers = (0..plan.threads).map(worker).collect();
    let (usage, tallies) = together(target, (plan.warmup, plan.span), workers)?;
    let tally = Tally::sum(tallies)?;
    let mut figures = Figures::new(tally.faults);
    figures.put("messages_per_s", tally.messages as f64 / usage.seconds);
    figures.times(&tally.answers);
    figures.usage(&usage, tally.messages);
    Ok(figures)
}

/// Sends to a room, over one connection, until it has as many messages as there are to be. Gives its state then.
pub(super) fn fill(plan: &Plan, addr: SocketAddr, room: &str) -> Result<Guest> {
    const IN_FLIGHT: usize = 1024;
    let mut pool = Pool::new(addr)?;
    let guests = enter(&mut pool, &[Door { room: room.to_owned(), live: false }])?;
    let &[Guest { chat, last_seq }] = &guests[..] else { return Err("nobody came in".into()) };
    let missing = plan.messages.saturating_sub(last_seq);
    let mut sender = Sender::new(plan, 1, Stop::At(missing))?;
    sender.window = IN_FLIGHT;
    sender.progress = ProgressBar::new(missing).with_style(ProgressStyle::with_template(
        "{wide_bar} {human_pos} of {human_len} messages, {per_sec}, {eta} to go",
    )?);
    let patience = DRAIN + Duration::from_secs(missing / FILLED_PER_SEC);
    let is_filled = pool.run(Instant::now() + patience, &mut sender)?;
    sender.progress.finish_and_clear();
    if !is_filled {
        return Err("the messages to begin with were not stored in time".into());
    }
    let tally = sender.finish();
    if tally.faults.errors > 0 {
        return Err("the messages to begin with were not all stored".into());
    }
    Ok(Guest { chat, last_seq: last_seq + missing })
}

/// When to send nothing more.
#[derive(Clone, Copy)]
enum Stop {
    /// After this span; what was answered in it counts.
    After(Span),
    /// At so many messages, all of which count.
    At(u64),
}

impl Stop {
    fn counts(&self, moment: Instant) -> bool {
        match self {
            Stop::After(span) => span.contains(moment),
            Stop::At(_) => true,
        }
    }
}

struct Sender {
    stop: Stop,
    window: usize,
    nonces: Nonces,
    texts: Texts,
    /// What each connection has in flight: answers come in the order of the messages.
    in_flight: Vec<VecDeque<(u64, Instant)>>,
    /// Connections that may send more.
    free: Vec<usize>,
    sent: u64,
    answered: u64,
    is_over: bool,
    progress: ProgressBar,
    tally: Tally,
}

impl Sender {
    fn new(plan: &Plan, connections: usize, stop: Stop) -> Result<Sender> {
        Ok(Sender {
            stop,
            window: plan.window,
            nonces: Nonces::new()?,
            texts: Texts::new(plan.bytes)?,
            in_flight: vec![VecDeque::new(); connections],
            free: (0..connections).collect(),
            sent: 0,
            answered: 0,
            is_over: false,
            progress: ProgressBar::hidden(),
            tally: Tally::new()?,
        })
    }

    fn answer(&mut self, conn: usize, nonce: u64, is_right: bool, now: Instant) {
        if self.in_flight[conn].len() == self.window {
            self.free.push(conn);
        }
        let expected = self.in_flight[conn].pop_front();
        self.answered += 1;
        match expected {
            Some((expected, sent)) if expected == nonce && is_right => {
                if self.stop.counts(now) {
                    self.tally.messages += 1;
                    self.tally.answers.add(now - sent);
                }
            }
            _ => self.tally.faults.errors += 1,
        }
    }

    fn finish(mut self) -> Tally {
        self.tally.faults.lost += self.sent.saturating_sub(self.answered);
        self.tally
    }
}

impl Load for Sender {
    fn frame(&mut self, conn: usize, frame: &Frame<'_>, now: Instant) -> Result<()> {
        if let Frame::Status(Status { nonce, duplicate, .. }) = frame {
            self.answer(conn, *nonce, *duplicate == 0, now);
        }
        Ok(())
    }

    fn error(&mut self, conn: usize, error: &Error<'_>) -> Result<()> {
        self.answer(conn, error.ref_, false, Instant::now());
        Ok(())
    }

    fn turn(&mut self, out: &mut Out<'_>, now: Instant) -> Result<()> {
        self.progress.set_position(self.answered);
        self.is_over = match self.stop {
            Stop::After(span) => now >= span.end,
            Stop::At(count) => self.sent >= count,
        };
        if self.is_over {
            return Ok(());
        }
        while let Some(conn) = self.free.pop() {
            while self.in_flight[conn].len() < self.window {
                if matches!(self.stop, Stop::At(count) if self.sent >= count) {
                    return Ok(());
                }
                let nonce = self.nonces.next();
                self.texts.put(nonce, now, out.to(conn))?;
                self.in_flight[conn].push_back((nonce, now));
                self.sent += 1;
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.is_over && self.answered >= self.sent
    }
}

//! fanout: one sender, many receivers in its room. A message is in flight until all have it, on the average.

use super::{Tally, fresh_room, share};
use crate::Result;
use crate::measure::{DRAIN, Signal, Span, together};
use crate::nonce::Nonces;
use crate::options::Plan;
use crate::pool::{Door, Guest, Load, Out, Pool, enter};
use crate::position::{Position, Step};
use crate::report::Figures;
use crate::target::Target;
use crate::texts::{self, Texts};
use chatwire_codec::Frame;
use chatwire_codec::frame::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

pub(super) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    let room = fresh_room(0)?;
    let (room, shared) = (&room, &Shared::default());
    let worker = |number| {
        let receivers = share(plan.receivers, plan.threads, number);
        move |signal: Signal| {
            let mut pool = Pool::new(target.addr)?;
            // On the first thread the first connection is the sender's.
            let sends = number == 0;
            let guests = enter(&mut pool, &vec![Door::room(room); receivers + usize::from(sends)])?;
            let span = signal.wait()?;
            let sender = sends.then(|| Sender::new(plan)).transpose()?;
            let mut fanout = Fanout::new(span, shared, &guests, sender)?;
            pool.run(span.end + DRAIN, &mut fanout)?;
            Ok(fanout.finish())
        }
    };
    let workers = (0..plan.threads).map(worker).collect();
    let (usage, tallies) = together(target, (plan.warmup, plan.span), workers)?;
    let tally = Tally::sum(tallies)?;
    let mut figures = Figures::new(tally.faults);
    figures.put("deliveries_per_s", tally.deliveries as f64 / usage.seconds);
    figures.put("messages_per_s", tally.messages as f64 / usage.seconds);
    figures.times(&tally.ages);
    figures.usage(&usage, tally.deliveries);
    Ok(figures)
}

/// What the threads know of each other.
#[derive(Default)]
struct Shared {
    sent: AtomicU64,
    delivered: AtomicU64,
    is_over: AtomicBool,
}

struct Sender {
    window: u64,
    receivers: u64,
    nonces: Nonces,
    texts: Texts,
    confirmed: u64,
}

impl Sender {
    fn new(plan: &Plan) -> Result<Sender> {
        Ok(Sender {
            window: plan.window as u64,
            receivers: plan.receivers as u64,
            nonces: Nonces::new()?,
            texts: Texts::new(plan.bytes)?,
            confirmed: 0,
        })
    }
}

struct Fanout<'a> {
    span: Span,
    shared: &'a Shared,
    /// On the first thread alone: it has connection 0.
    sender: Option<Sender>,
    positions: Vec<Position>,
    /// Deliveries that the others have not been told of.
    news: u64,
    /// How many have come here.
    delivered: u64,
    tally: Tally,
}

impl<'a> Fanout<'a> {
    fn new(span: Span, shared: &'a Shared, guests: &[Guest], sender: Option<Sender>) -> Result<Fanout<'a>> {
        let positions = guests.iter().map(|guest| Position(guest.last_seq)).collect();
        Ok(Fanout { span, shared, sender, positions, news: 0, delivered: 0, tally: Tally::new()? })
    }

    fn receivers(&self) -> u64 {
        (self.positions.len() - usize::from(self.sender.is_some())) as u64
    }

    fn finish(mut self) -> Tally {
        let sent = self.shared.sent.load(Ordering::Relaxed);
        self.tally.faults.lost += (sent * self.receivers()).saturating_sub(self.delivered);
        if let Some(sender) = &self.sender {
            self.tally.faults.lost += sent.saturating_sub(sender.confirmed);
        }
        self.tally
    }
}

impl Load for Fanout<'_> {
    fn frame(&mut self, conn: usize, frame: &Frame<'_>, now: Instant) -> Result<()> {
        let counts = self.span.contains(now);
        match (frame, &mut self.sender) {
            (Frame::From_(from), _) => match self.positions[conn].message(from.seq) {
                Step::Next => {
                    self.news += 1;
                    self.tally.deliveries += u64::from(counts);
                }
                Step::Known => {}
                Step::Ahead | Step::Gap => {
                    self.tally.faults.gaps += 1;
                    self.positions[conn] = Position(from.seq);
                }
            },
            (Frame::Text(text), _) if counts => {
                if let Some(age) = texts::age(text.text, now) {
                    self.tally.ages.add(age);
                }
            }
            (Frame::Status(status), Some(sender)) => {
                sender.confirmed += 1;
                self.tally.messages += u64::from(counts);
                self.tally.faults.errors += u64::from(status.duplicate != 0);
            }
            _ => {}
        }
        Ok(())
    }

    fn error(&mut self, _conn: usize, _error: &Error<'_>) -> Result<()> {
        self.tally.faults.errors += 1;
        Ok(())
    }

    fn turn(&mut self, out: &mut Out<'_>, now: Instant) -> Result<()> {
        let news = std::mem::take(&mut self.news);
        self.delivered += news;
        let delivered = self.shared.delivered.fetch_add(news, Ordering::Relaxed) + news;
        let Some(sender) = &mut self.sender else { return Ok(()) };
        if now >= self.span.end {
            self.shared.is_over.store(true, Ordering::Release);
            return Ok(());
        }
        let before = self.shared.sent.load(Ordering::Relaxed);
        let may_be_sent = (delivered / sender.receivers).min(sender.confirmed) + sender.window;
        for _ in before..may_be_sent {
            let nonce = sender.nonces.next();
            sender.texts.put(nonce, now, out.to(0))?;
        }
        self.shared.sent.store(before.max(may_be_sent), Ordering::Relaxed);
        Ok(())
    }

    fn is_done(&self) -> bool {
        let sent = self.shared.sent.load(Ordering::Relaxed);
        self.shared.is_over.load(Ordering::Acquire)
            && self.delivered >= sent * self.receivers()
            && self.sender.as_ref().is_none_or(|sender| sender.confirmed >= sent)
    }
}

//! rooms: many rooms, whose members send in turn. Every member checks every position.
//!
//! A message is in flight until its room's members have it, on the average. The sender's STATUS stands for
//! its delivery to the sender.

use super::{Tally, fresh_room, share};
use crate::Result;
use crate::measure::{DRAIN, Signal, Span, together};
use crate::nonce::Nonces;
use crate::options::Plan;
use crate::pace::Pace;
use crate::pool::{Door, Guest, Load, Out, Pool, enter};
use crate::position::{Position, Step};
use crate::report::Figures;
use crate::target::Target;
use crate::texts::{self, Texts};
use chatwire_codec::Frame;
use chatwire_codec::frame::Error;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

pub(super) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    let worker = |number| move |signal: Signal| load(plan, target.addr, number, signal);
    let workers = (0..plan.threads).map(worker).collect();
    let (usage, tallies) = together(target, (plan.warmup, plan.span), workers)?;
    let tally = Tally::sum(tallies)?;
    let mut figures = Figures::new(tally.faults);
    figures.put("messages_per_s", tally.messages as f64 / usage.seconds);
    figures.put("deliveries_per_s", tally.deliveries as f64 / usage.seconds);
    figures.times(&tally.ages);
    if !tally.answers.is_empty() {
        figures.put("status_p50_us", tally.answers.micros(0.5));
        figures.put("status_p99_us", tally.answers.micros(0.99));
    }
    figures.put("status_ahead", tally.ahead as f64);
    figures.usage(&usage, tally.messages);
    Ok(figures)
}

/// The part of the rooms that falls to one thread.
pub(super) fn load(plan: &Plan, addr: SocketAddr, number: usize, signal: Signal) -> Result<Tally> {
    let count = share(plan.rooms, plan.threads, number);
    let mut doors = Vec::new();
    for room in 0..count {
        doors.extend(vec![Door::room(&fresh_room(number * plan.rooms + room)?); plan.members]);
    }
    let mut pool = Pool::new(addr)?;
    let guests = enter(&mut pool, &doors)?;
    let span = signal.wait()?;
    let mut rooms = Rooms::new(plan, span, &guests)?;
    let per_room = plan.rate.map(|rate| f64::from(rate) / plan.rooms as f64);
    rooms.pace = per_room.map(|rate| Pace::new(Instant::now(), rate * count as f64));
    pool.run(span.end + DRAIN, &mut rooms)?;
    Ok(rooms.finish())
}

struct Room {
    /// The member whose turn it is.
    turn: usize,
    sent: u64,
    /// Steps of all members together.
    steps: u64,
}

struct Member {
    position: Position,
    in_flight: VecDeque<(u64, Instant)>,
}

struct Rooms {
    span: Span,
    window: u64,
    members: usize,
    nonces: Nonces,
    texts: Texts,
    rooms: Vec<Room>,
    /// By the connection's number: those of the first room first.
    guests: Vec<Member>,
    /// If there is a rate.
    pace: Option<Pace>,
    /// Whose turn it is then.
    next_room: usize,
    is_over: bool,
    tally: Tally,
}

impl Rooms {
    fn new(plan: &Plan, span: Span, guests: &[Guest]) -> Result<Rooms> {
        let room = || Room { turn: 0, sent: 0, steps: 0 };
        let member =
            |guest: &Guest| Member { position: Position(guest.last_seq), in_flight: VecDeque::new() };
        Ok(Rooms {
            span,
            window: plan.window as u64,
            members: plan.members,
            nonces: Nonces::new()?,
            texts: Texts::new(plan.bytes)?,
            rooms: (0..guests.len() / plan.members).map(|_| room()).collect(),
            guests: guests.iter().map(member).collect(),
            pace: None,
            next_room: 0,
            is_over: false,
            tally: Tally::new()?,
        })
    }

    fn step(&mut self, conn: usize, seq: u64, step: Step, now: Instant) {
        match step {
            Step::Next => {
                self.rooms[conn / self.members].steps += 1;
                self.tally.deliveries += u64::from(self.span.contains(now));
            }
            Step::Known => {}
            Step::Ahead => self.tally.ahead += 1,
            Step::Gap => {
                self.tally.faults.gaps += 1;
                self.guests[conn].position = Position(seq);
            }
        }
    }

    fn answer(&mut self, conn: usize, nonce: u64, is_right: bool, now: Instant) {
        match self.guests[conn].in_flight.pop_front() {
            Some((expected, sent)) if expected == nonce && is_right => {
                if self.span.contains(now) {
                    self.tally.messages += 1;
                    self.tally.answers.add(now - sent);
                }
            }
            _ => self.tally.faults.errors += 1,
        }
    }

    fn may_send(&self, room: usize) -> bool {
        let Room { sent, steps, .. } = self.rooms[room];
        sent < steps / self.members as u64 + self.window
    }

    fn send(&mut self, room: usize, out: &mut Out<'_>, now: Instant) -> Result<()> {
        let Room { turn, sent, .. } = &mut self.rooms[room];
        let conn = room * self.members + *turn;
        let nonce = self.nonces.next();
        self.texts.put(nonce, now, out.to(conn))?;
        self.guests[conn].in_flight.push_back((nonce, now));
        *turn = (*turn + 1) % self.members;
        *sent += 1;
        Ok(())
    }

    /// What is due, to the rooms in turn; those that may not send are passed over.
    fn send_at(&mut self, mut pace: Pace, out: &mut Out<'_>, now: Instant) -> Result<()> {
        while let Some(free) = self.next_free()
            && pace.take(now).is_some()
        {
            self.send(free, out, now)?;
            self.next_room = free + 1;
        }
        self.pace = Some(pace);
        Ok(())
    }

    fn next_free(&self) -> Option<usize> {
        let count = self.rooms.len();
        let mut from_the_next = (self.next_room..self.next_room + count).map(|room| room % count);
        from_the_next.find(|room| self.may_send(*room))
    }

    fn finish(mut self) -> Tally {
        let of_room = |room: &Room| (room.sent * self.members as u64).saturating_sub(room.steps);
        self.tally.faults.lost += self.rooms.iter().map(of_room).sum::<u64>();
        self.tally
    }
}

impl Load for Rooms {
    fn frame(&mut self, conn: usize, frame: &Frame<'_>, now: Instant) -> Result<()> {
        match frame {
            Frame::From_(from) => {
                let step = self.guests[conn].position.message(from.seq);
                self.step(conn, from.seq, step, now);
            }
            Frame::Text(text) if self.span.contains(now) => {
                if let Some(age) = texts::age(text.text, now) {
                    self.tally.ages.add(age);
                }
            }
            Frame::Status(status) => {
                self.answer(conn, status.nonce, status.duplicate == 0, now);
                let step = self.guests[conn].position.status(status.seq);
                self.step(conn, status.seq, step, now);
            }
            _ => {}
        }
        Ok(())
    }

    fn error(&mut self, conn: usize, error: &Error<'_>) -> Result<()> {
        self.answer(conn, error.ref_, false, Instant::now());
        Ok(())
    }

    fn turn(&mut self, out: &mut Out<'_>, now: Instant) -> Result<()> {
        self.is_over = now >= self.span.end;
        if self.is_over {
            return Ok(());
        }
        if let Some(pace) = self.pace {
            return self.send_at(pace, out, now);
        }
        for room in 0..self.rooms.len() {
            while self.may_send(room) {
                self.send(room, out, now)?;
            }
        }
        Ok(())
    }

    fn wake(&self) -> Option<Instant> {
        // A room that may not send is freed by what comes.
        self.pace.filter(|_| !self.is_over && self.next_free().is_some()).map(|pace| pace.next())
    }

    fn is_done(&self) -> bool {
        let all_have_all = |room: &Room| room.steps >= room.sent * self.members as u64;
        self.is_over && self.rooms.iter().all(all_have_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Arguments;
    use chatwire_codec::frame::{From_, Status};
    use clap::Parser;

    fn two_of_a_room() -> Rooms {
        let words = ["load", "rooms", "--rooms", "1", "--members", "2"];
        let plan = Plan::try_from(Arguments::parse_from(words)).unwrap();
        let begin = Instant::now();
        let span = Span { begin, end: begin + plan.span };
        Rooms::new(&plan, span, &[Guest::default(), Guest::default()]).unwrap()
    }

    fn come(rooms: &mut Rooms, conn: usize, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            let from = Frame::From_(From_ { seq, ..From_::default() });
            rooms.frame(conn, &from, rooms.span.begin).unwrap();
        }
    }

    #[test]
    fn a_hole_is_a_gap_and_a_repetition_is_not() {
        let mut rooms = two_of_a_room();
        come(&mut rooms, 1, [1, 2, 2, 1, 3]);
        assert_eq!((rooms.tally.faults.gaps, rooms.tally.deliveries), (0, 3));
        come(&mut rooms, 1, [5, 6]);
        assert_eq!((rooms.tally.faults.gaps, rooms.tally.deliveries), (1, 4));
    }

    #[test]
    fn what_some_member_did_not_get_is_lost() {
        let mut rooms = two_of_a_room();
        rooms.rooms[0].sent = 3;
        come(&mut rooms, 0, [1, 2, 3]);
        come(&mut rooms, 1, [1]);
        assert!(!rooms.is_done());
        assert_eq!(rooms.finish().faults.lost, 2);
    }

    #[test]
    fn a_status_takes_its_place_and_must_be_asked_for() {
        let mut rooms = two_of_a_room();
        rooms.guests[0].in_flight.push_back((7, rooms.span.begin));
        for (nonce, seq) in [(7, 1), (8, 2)] {
            let status = Frame::Status(Status { nonce, seq, ..Status::default() });
            rooms.frame(0, &status, rooms.span.begin).unwrap();
        }
        assert_eq!((rooms.tally.messages, rooms.tally.faults.errors), (1, 1));
        assert_eq!(rooms.guests[0].position, Position(2));
    }
}

//! A file for each mode, and what they share: what threads count, and what each mode says of itself.

mod abuse;
mod catchup;
mod fanout;
mod history;
mod idle;
mod media;
mod ping;
mod rooms;
mod send;

use crate::Result;
use crate::nonce::Nonces;
use crate::options::{Mode, Plan};
use crate::report::{Faults, Figures};
use crate::stats::Times;
use crate::target::Target;
pub(crate) use abuse::Kind as Hostility;

/// One repetition.
pub(crate) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    match plan.mode {
        Mode::Send => send::run(plan, target),
        Mode::Fanout => fanout::run(plan, target),
        Mode::Rooms => rooms::run(plan, target),
        Mode::Idle => idle::run(plan, target),
        Mode::Ping => ping::run(plan, target),
        Mode::Media | Mode::Upload => media::run(plan, target),
        Mode::History => history::run(plan, target),
        Mode::Catchup => catchup::run(plan, target),
        Mode::Abuse => abuse::run(plan, target),
    }
}

/// What is measured, and what is not shown.
pub(crate) fn says(plan: &Plan) -> (String, &'static str) {
    let Plan { connections, window, receivers, rooms, members, bytes, messages, .. } = plan;
    match plan.mode {
        Mode::Send => (
            format!(
                "{connections} connections, {window} texts of {bytes} bytes in flight each, until STATUS"
            ),
            "delivery to others; with many in flight the times are mostly the queue's",
        ),
        Mode::Fanout => (
            format!("1 sender, {receivers} receivers in one room, {window} texts of {bytes} bytes in flight"),
            "receivers that are slow, and networks; the times are mostly the queue's",
        ),
        Mode::Rooms => (
            format!(
                "{rooms} rooms of {members}, members send in turn, {window} texts of {bytes} bytes in flight a room{}",
                rate(plan)
            ),
            "people, who come and go and are in several rooms; the times are mostly the queue's",
        ),
        Mode::Idle => (
            format!(
                "{connections} logins with JOIN (rooms of {members}), and the server's memory when all are quiet"
            ),
            "what the system's own socket buffers take, and TLS",
        ),
        Mode::Ping => {
            ("PING and PONG of 8 bytes, one at a time".to_owned(), "the store, and any load beside it")
        }
        Mode::Media => (
            format!("a file of {} bytes in one frame until STATUS, and back with FETCH", plan.size),
            "a disk slower than memory, if the file fits into its cache; many transfers at once",
        ),
        Mode::Upload => (
            format!("a file of {} bytes by UPLOAD until STORED, and back with FETCH", plan.size),
            "a disk slower than memory, if the file fits into its cache; many transfers at once",
        ),
        Mode::History => (
            format!("HISTORY of {} of {messages} messages, {}{}", pages(plan), page_rate(plan), beside(plan)),
            "pages that are on the disk alone: what was written last is in memory, all of it if that is large",
        ),
        Mode::Abuse => (
            format!(
                "texts one at a time, alone and beside {connections} hostile connections of {} kinds",
                abuse::KINDS.len()
            ),
            "a machine that these have to themselves: they get what the server and its other client leave, and move no faster",
        ),
        Mode::Catchup => (
            format!("SYNC from 0 over {messages} messages, again and again, {connections} clients at once"),
            "a database that is not in memory, and slow networks",
        ),
    }
}

fn pages(plan: &Plan) -> &'static str {
    if plan.random { "the newest 50 and of any 50 in turn" } else { "the newest 50" }
}

fn page_rate(plan: &Plan) -> String {
    plan.page_rate
        .map_or("one at a time".to_owned(), |rate| format!("{rate} a second with a PING behind each"))
}

fn rate(plan: &Plan) -> String {
    plan.rate.map_or(String::new(), |rate| format!(", {rate} texts a second in all"))
}

fn beside(plan: &Plan) -> String {
    let Plan { rooms, members, window, .. } = plan;
    if plan.beside_rooms {
        format!(", beside {rooms} rooms of {members} with {window} in flight each{}", rate(plan))
    } else {
        String::new()
    }
}

/// What a thread counts.
struct Tally {
    /// In the span.
    messages: u64,
    /// In the span.
    deliveries: u64,
    /// From sending to STATUS, or from a request to its answer.
    answers: Times,
    /// From sending to a delivery.
    ages: Times,
    /// STATUS that came before its place: the connection was being caught up.
    ahead: u64,
    faults: Faults,
}

impl Tally {
    fn new() -> Result<Tally> {
        Ok(Tally {
            messages: 0,
            deliveries: 0,
            answers: Times::new()?,
            ages: Times::new()?,
            ahead: 0,
            faults: Faults::default(),
        })
    }

    fn sum(all: Vec<Tally>) -> Result<Tally> {
        let mut sum = Tally::new()?;
        for one in all {
            sum.messages += one.messages;
            sum.deliveries += one.deliveries;
            sum.ahead += one.ahead;
            sum.answers.merge(&one.answers)?;
            sum.ages.merge(&one.ages)?;
            sum.faults.add(one.faults);
        }
        Ok(sum)
    }
}

/// A room's name that nobody has used.
fn fresh_room(number: usize) -> Result<String> {
    Ok(format!("load-{:x}-{number}", Nonces::new()?.next()))
}

/// How many of `all` fall to this one of `threads`.
fn share(all: usize, threads: usize, number: usize) -> usize {
    all / threads + usize::from(number < all % threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_make_the_whole() {
        for (all, threads) in [(64, 1), (64, 3), (5, 4), (20, 7)] {
            let shares: Vec<usize> = (0..threads).map(|n| share(all, threads, n)).collect();
            assert_eq!(shares.iter().sum::<usize>(), all);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }
}

//! idle: connections that log in, join a room, and then do nothing. At the end each must answer.

use super::fresh_room;
use crate::Result;
use crate::measure::{DRAIN, Watch};
use crate::options::Plan;
use crate::pool::{Door, Load, Out, Pool, enter};
use crate::process::Process;
use crate::report::{Faults, Figures};
use crate::target::Target;
use chatwire_codec::Frame;
use chatwire_codec::frame::Ping;
use std::time::{Duration, Instant};

/// Descriptors that either side needs for other things.
const SPARE: usize = 64;
/// How long all are quiet before the memory is looked at.
const QUIET: Duration = Duration::from_secs(3);

pub(super) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    let connections = plan.connections.min(allowed(target)?);
    let mut doors = Vec::with_capacity(connections);
    for room in 0..connections.div_ceil(plan.members) {
        let members = plan.members.min(connections - room * plan.members);
        doors.extend(vec![Door::room(&fresh_room(room)?); members]);
    }
    let mut pool = Pool::new(target.addr)?;
    let before = resident(target)?;
    let watch = Watch::start(target)?;
    enter(&mut pool, &doors)?;
    let usage = watch.stop()?;
    let mut roll =
        Roll { calls: false, called: false, present: vec![false; connections], missing: connections };
    pool.run(Instant::now() + QUIET, &mut roll)?;
    let quiet = resident(target)?;
    roll.calls = true;
    pool.run(Instant::now() + DRAIN, &mut roll)?;
    let faults = Faults { lost: roll.missing as u64, ..Faults::default() };
    let mut figures = Figures::new(faults);
    figures.put("connections", connections as f64);
    figures.put("logins_per_s", connections as f64 / usage.seconds);
    if let (Some(before), Some(quiet)) = (before, quiet) {
        figures.put("kib_per_connection", (quiet - before) / connections as f64);
    }
    figures.usage(&usage, connections as u64);
    Ok(figures)
}

/// As many as the descriptors of both sides allow.
fn allowed(target: &Target) -> Result<usize> {
    let server = target.process.as_ref().map_or(Ok(usize::MAX), Process::descriptors)?;
    Ok(server.min(Process::this().descriptors()?).saturating_sub(SPARE))
}

fn resident(target: &Target) -> Result<Option<f64>> {
    target.process.as_ref().map(Process::resident).transpose()
}

/// Waits, and then asks every connection whether it is there.
struct Roll {
    calls: bool,
    called: bool,
    present: Vec<bool>,
    missing: usize,
}

impl Load for Roll {
    fn frame(&mut self, conn: usize, frame: &Frame<'_>, _now: Instant) -> Result<()> {
        if matches!(frame, Frame::Pong(_)) && !std::mem::replace(&mut self.present[conn], true) {
            self.missing -= 1;
        }
        Ok(())
    }

    fn turn(&mut self, out: &mut Out<'_>, _now: Instant) -> Result<()> {
        if self.calls && !std::mem::replace(&mut self.called, true) {
            for conn in 0..self.present.len() {
                out.put(conn, &Ping { bytes: b"here?" })?;
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.missing == 0
    }
}

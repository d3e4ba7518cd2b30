//! What a seed stands for: how many clients, how much room, which faults. Not every run has everything: what hides
//! behind one fault is found without it.

use crate::media;
use crate::random::Random;
use crate::server::Settings;

/// See the module. A failing run is tried again with less of each, and the least is shown.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Steps before all faults end.
    pub(crate) steps: usize,
    pub(crate) steady: usize,
    pub(crate) raw: usize,
    /// Bytes of the largest text.
    pub(crate) text: usize,
    /// How many different files are sent; the last ones are large.
    pub(crate) files: usize,
    /// Bytes on their way in one direction of a connection.
    pub(crate) room: usize,
    pub(crate) settings: Settings,
    /// Microseconds that the store takes for what it does: with more it is left to a thread of its own.
    pub(crate) slowness: i64,
    /// Every other connection's task is seldom polled, so what others do comes in between.
    pub(crate) lazy: bool,
    /// Connections break.
    pub(crate) cuts: bool,
    /// Clients stop reading, and go on.
    pub(crate) stalls: bool,
    /// Commits fail.
    pub(crate) failures: bool,
    /// The server's process ends, in order and otherwise.
    pub(crate) restarts: bool,
    /// Clients' processes end.
    pub(crate) crashes: bool,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Plan {
        let mut random = Random::from(seed ^ 0x5EED);
        let mut maybe = |chances: usize| random.below(chances) == 0;
        let (is_large, is_fast, lazy) = (maybe(5), maybe(8), maybe(2));
        let (cuts, stalls, failures, restarts, crashes) =
            (!maybe(3), !maybe(2), maybe(4), maybe(2), maybe(3));
        let stalls = stalls || is_large;
        let (is_slow, has_files) = (maybe(2), maybe(2));
        let mut plan = Plan {
            seed,
            steps: 150 + random.below(700),
            steady: 1 + random.below(4),
            raw: 1 + random.below(4),
            files: 0,
            text: if is_large { 60_000 } else { random.pick(&[60, 400, 3_000]) },
            room: if is_large { 65_536 } else { random.pick(&[64, 700, 65_536]) },
            settings: Settings {
                in_flight: random.pick(&[2, 5, 4096]),
                messages_per_sec: if is_fast { 20 } else { 0 },
            },
            slowness: if is_slow { 2_000 } else { 0 },
            lazy,
            cuts,
            stalls,
            failures,
            restarts,
            crashes,
        };
        if has_files {
            plan.files = if plan.room > media::SMALL_ROOM { media::ALL } else { media::SMALL };
        }
        plan
    }

    /// The same with less of something.
    pub(crate) fn smaller(&self) -> Vec<Plan> {
        let mut plans: Vec<Plan> = [2, 4, 8]
            .map(|part| Plan { steps: self.steps - self.steps / part, ..self.clone() })
            .into_iter()
            .filter(|plan| plan.steps < self.steps)
            .collect();
        let mut less = |is_less: bool, change: fn(&mut Plan)| {
            if is_less {
                let mut plan = self.clone();
                change(&mut plan);
                plans.push(plan);
            }
        };
        less(self.lazy, |plan| plan.lazy = false);
        less(self.restarts, |plan| plan.restarts = false);
        less(self.crashes, |plan| plan.crashes = false);
        less(self.failures, |plan| plan.failures = false);
        less(self.cuts, |plan| plan.cuts = false);
        less(self.stalls, |plan| plan.stalls = false);
        less(self.steady > 0 && self.steady + self.raw > 1, |plan| plan.steady -= 1);
        less(self.raw > 0 && self.steady + self.raw > 1, |plan| plan.raw -= 1);
        less(self.files > 0, |plan| plan.files = 0);
        less(self.text > 60, |plan| plan.text = 60);
        less(self.settings.messages_per_sec > 0, |plan| plan.settings.messages_per_sec = 0);
        plans
    }
}

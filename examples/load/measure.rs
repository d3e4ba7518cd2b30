//! Threads that begin together, the time that counts, and what was used up in it.

use crate::Result;
use crate::process::{self, Machine, Process};
use crate::target::Target;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that the threads may take before they begin.
const PATIENCE: Duration = Duration::from_secs(180);
/// The longest that what is in flight may take after the end.
pub(crate) const DRAIN: Duration = Duration::from_secs(20);

/// The time that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
}

impl Span {
    pub(crate) fn contains(&self, moment: Instant) -> bool {
        (self.begin..self.end).contains(&moment)
    }
}

/// A thread's way to say that it is ready, and to hear when to begin.
pub(crate) struct Signal {
    ready: Sender<bool>,
    go: Receiver<Span>,
}

impl Signal {
    /// Waits for all the others. After this the load may begin; what counts lies in the span.
    pub(crate) fn wait(self) -> Result<Span> {
        let another_failed = "another thread failed";
        self.ready.send(true).map_err(|_| another_failed)?;
        Ok(self.go.recv().map_err(|_| another_failed)?)
    }
}

/// What was used up while it counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) seconds: f64,
    /// Seconds of processor time, if the server's process is known.
    pub(crate) server_cpu: Option<f64>,
    pub(crate) client_cpu: f64,
    /// What was taken of the machine's processors, if that is known.
    pub(crate) shares: Option<Shares>,
    /// MiB of the server at the end.
    pub(crate) resident: Option<f64>,
}

/// Percent of all processors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// What this process took.
    pub(crate) client: f64,
    /// What all together took, this one and the server included.
    pub(crate) busy: f64,
    /// What the host of a virtual machine took away.
    pub(crate) steal: f64,
}

impl Shares {
    fn between(before: Machine, after: Machine, client_cpu: f64) -> Option<Shares> {
        let all = after.all - before.all;
        let percent = |part: f64| 100.0 * part / all;
        let (idle, stolen) = (after.idle - before.idle, after.stolen - before.stolen);
        let shares = Shares {
            client: percent(client_cpu),
            busy: percent(all - idle - stolen),
            steal: percent(stolen),
        };
        (all > 0.0).then_some(shares)
    }
}

/// Notes the counters, to be compared later.
pub(crate) struct Watch {
    began: Instant,
    server: Option<(Process, f64)>,
    client: f64,
    machine: Option<Machine>,
}

impl Watch {
    pub(crate) fn start(target: &Target) -> Result<Watch> {
        let server = target.process.clone().map(|process| process.cpu().map(|cpu| (process, cpu)));
        Ok(Watch {
            began: Instant::now(),
            server: server.transpose()?,
            client: Process::this().cpu()?,
            machine: process::machine(),
        })
    }

    pub(crate) fn stop(&self) -> Result<Usage> {
        let seconds = self.began.elapsed().as_secs_f64();
        let (mut server_cpu, mut resident) = (None, None);
        if let Some((process, before)) = &self.server {
            server_cpu = Some(process.cpu()? - before);
            resident = Some(process.resident()? / 1024.0);
        }
        let client_cpu = Process::this().cpu()? - self.client;
        let machine = self.machine.zip(process::machine());
        let shares = machine.and_then(|(before, after)| Shares::between(before, after, client_cpu));
        Ok(Usage { seconds, server_cpu, client_cpu, shares, resident })
    }
}

/// Runs the workers, each on a thread of its own, and gives what was used up in the span and what they made.
pub(crate) fn together<T: Send, W>(
    target: &Target,
    (warmup, span): (Duration, Duration),
    workers: Vec<W>,
) -> Result<(Usage, Vec<T>)>
where
    W: FnOnce(Signal) -> Result<T> + Send,
{
    thread::scope(|scope| {
        let (ready, readies) = channel();
        let (mut goes, mut threads) = (Vec::new(), Vec::new());
        for worker in workers {
            let (go, gone) = channel();
            let (signal, ended) = (Signal { ready: ready.clone(), go: gone }, ready.clone());
            goes.push(go);
            threads.push(scope.spawn(move || {
                let made = worker(signal);
                // Nobody listens any more if all were ready.
                let _ = ended.send(false);
                made
            }));
        }
        let all_ready = goes.iter().try_for_each(|_| match readies.recv_timeout(PATIENCE) {
            Ok(true) => Ok(()),
            Ok(false) | Err(RecvTimeoutError::Disconnected) => Err("a thread failed before it was ready"),
            Err(RecvTimeoutError::Timeout) => Err("the connections were not ready in time"),
        });
        let usage = all_ready.map_err(Into::into).and_then(|()| {
            let begin = Instant::now() + warmup;
            let when = Span { begin, end: begin + span };
            for go in &goes {
                // One that has failed meanwhile says so when it is joined.
                let _ = go.send(when);
            }
            thread::sleep(when.begin.saturating_duration_since(Instant::now()));
            let watch = Watch::start(target)?;
            thread::sleep(when.end.saturating_duration_since(Instant::now()));
            watch.stop()
        });
        drop(goes);
        let mut made = Vec::new();
        let mut failed = None;
        for thread in threads {
            match thread.join() {
                Ok(Ok(one)) => made.push(one),
                Ok(Err(error)) => failed = failed.or(Some(error)),
                Err(_) => return Err("a thread panicked".into()),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok((usage?, made)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_all_processors_and_waiting_is_no_use() {
        let before = Machine { all: 100.0, idle: 40.0, stolen: 1.0 };
        let after = Machine { all: 120.0, idle: 45.0, stolen: 3.0 };
        let Shares { client, busy, steal } = Shares::between(before, after, 4.0).unwrap();
        assert_eq!((client, busy, steal), (20.0, 65.0, 10.0));
        assert!(Shares::between(before, before, 0.0).is_none());
    }
}

//! What goes wrong in a run, and what must hold at its end.

use crate::device::Brain;
use crate::run::{Action, Check, Run, now};
use crate::server::{MAX_TEXT, Server, lock};
use chatwire::id::UserId;
use chatwire::outbox::{BYTES_IN_ALL, FEED_BELOW, LIVE_BYTES, STOP_READING_AT};
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes of one page, and what is added to it: see `PAGE_BYTES` of the connection.
const PAGE: usize = 128 * 1024 + MAX_TEXT as usize;
/// Bytes of a page of HISTORY, likewise.
const HISTORY: usize = 1024 * 1024 + MAX_TEXT as usize;
/// Bytes of events, and of answers to messages.
const SMALL: usize = 64 * 1024;
/// How long a server that stops in order has.
const DRAIN: Duration = Duration::from_secs(4);
/// More than what is under way on tasks needs to come to its end: uploads wait for each other.
const YIELDS: usize = 64;

impl Run {
    /// One that the plan has, or none.
    pub(crate) async fn fault(&mut self) -> Check {
        let n = self.random.below(self.devices.len());
        let plan = &self.plan;
        let (cuts, stalls, failures) = (plan.cuts, plan.stalls, plan.failures);
        let (restarts, crashes) = (plan.restarts, plan.crashes);
        match self.random.below(24) {
            0..4 if cuts => self.cut(n),
            4 if cuts => self.vanish(n),
            5 | 6 if cuts => {
                let with_bye = self.random.below(2) == 0;
                if let Brain::Raw(_) = self.devices[n].brain {
                    self.note(&format!("client {n} leaves"));
                    self.devices[n].leave(with_bye);
                }
                Ok(())
            }
            7..10 if stalls => {
                if let Some(link) = &mut self.devices[n].link {
                    link.is_stalled = true;
                    link.watch.was_stalled = true;
                    self.note(&format!("client {n} reads no more"));
                }
                Ok(())
            }
            10..13 if stalls => {
                if let Some(link) = &mut self.devices[n].link {
                    link.is_stalled = false;
                    self.note(&format!("client {n} reads again"));
                }
                Ok(())
            }
            13 if failures => {
                let is_set = self.random.below(2) == 0;
                self.note(&format!("commits fail: {is_set}"));
                self.disk.set_trap(is_set);
                Ok(())
            }
            14 if crashes => self.crash_client(n),
            15 if restarts && self.random.below(4) == 0 => self.end_process(),
            16..20 if self.server.is_none() => self.restart().await,
            16..18 if cuts => self.hurry(n).await,
            _ => Ok(()),
        }
    }

    fn cut(&mut self, n: usize) -> Check {
        let Some(link) = &self.devices[n].link else { return Ok(()) };
        link.pipe.cut();
        self.note(&format!("the connection of client {n} breaks"));
        let (truth, random) = (self.truth.clone(), self.random.number());
        self.devices[n].lose(Some(ErrorKind::ConnectionReset), now(), random, &lock(&truth))
    }

    /// The client comes and goes, quicker than the server carries out what it wants, and comes again.
    async fn hurry(&mut self, n: usize) -> Check {
        if self.server.is_none() || self.stops_by.is_some() || !matches!(self.devices[n].brain, Brain::Raw(_))
        {
            return Ok(());
        }
        for _ in 0..2 + self.random.below(2) {
            self.cut(n)?;
            self.note(&format!("client {n} comes and is in a hurry"));
            let random = self.random.number();
            self.connect(n, random)?;
            self.devices[n].link.iter_mut().for_each(|link| link.send(1 << 20));
            let polled = self.tasks.len() - 1;
            if self.random.below(4) > 0 {
                Box::pin(self.act(Action::Poll(polled))).await?;
            }
            if self.server.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The client is gone, and the server does not hear of it.
    fn vanish(&mut self, n: usize) -> Check {
        if self.devices[n].link.is_none() {
            return Ok(());
        }
        self.note(&format!("client {n} vanishes"));
        let (truth, random) = (self.truth.clone(), self.random.number());
        self.devices[n].lose(Some(ErrorKind::TimedOut), now(), random, &lock(&truth))
    }

    fn crash_client(&mut self, n: usize) -> Check {
        self.cut(n)?;
        if let Brain::Steady(steady) = &mut self.devices[n].brain {
            steady.crash(now());
            self.note(&format!("client {n} has crashed"));
        }
        Ok(())
    }

    /// In order, or now, or with the next commit.
    fn end_process(&mut self) -> Check {
        let Some(server) = self.server.as_ref().filter(|_| self.stops_by.is_none()) else { return Ok(()) };
        match self.random.below(3) {
            0 => {
                server.hub.shut_down();
                self.stops_by = Some(now() + DRAIN);
                self.note("the server stops");
            }
            1 => {
                self.note("the process ends");
                self.kill()?;
            }
            _ => {
                server.gate.is_last.store(true, Ordering::Relaxed);
                self.note("the next commit is the last thing that the process does");
            }
        }
        Ok(())
    }

    /// The server ends in order, if it has not ended, and begins anew with what is on the disk.
    pub(crate) async fn restart(&mut self) -> Check {
        if let Some(server) = &self.server {
            while server.store.is_due() {
                server.store.turn();
            }
        }
        self.kill()?;
        // What the old process has begun ends with it.
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
        if self.last_store.as_ref().is_some_and(|store| store.strong_count() > 0) {
            return Err("something of the process that ended goes on".into());
        }
        self.disk.wait_for_removals();
        self.note("the server begins");
        self.disk.set_trap(false);
        let server = Server::start(&self.disk, &self.truth, self.plan.settings);
        lock(&self.truth).compare(&server.store);
        self.server = Some(server);
        Ok(())
    }

    /// No more faults.
    pub(crate) async fn heal(&mut self) -> Check {
        self.note("from here on nothing goes wrong");
        (self.is_healed, self.is_calm) = (true, false);
        self.disk.set_trap(false);
        for link in self.devices.iter_mut().filter_map(|device| device.link.as_mut()) {
            link.is_stalled = false;
        }
        let is_ending = |server: &Server| server.gate.is_last.load(Ordering::Relaxed);
        if self.stops_by.is_none() && self.server.as_ref().is_none_or(is_ending) {
            self.restart().await?;
        }
        Ok(())
    }

    /// Nothing is on its way that time does not move: so nothing may be missing.
    pub(crate) fn check_rest(&self) -> Check {
        let Some(server) = &self.server else { return Ok(()) };
        if self.stops_by.is_some() {
            return Ok(());
        }
        // The end of a connection that is noted behind the next one's beginning would end what that one has begun.
        if let Some(user) = self.disk.away().into_iter().find(|user| server.hub.is_online(UserId(*user))) {
            return Err(format!("user {user} is online, and stored as gone"));
        }
        // Whoever waits for a turn goes on when the pause before it is over.
        if !server.turns.are_free() {
            return Ok(());
        }
        let settings = self.plan.settings;
        if server.permits.left() != server_permits(settings.in_flight) {
            return Err(format!("nothing is in flight, and the permits are {:?}", server.permits.left()));
        }
        let truth = lock(&self.truth);
        for (n, device) in self.devices.iter().enumerate() {
            let Some(link) = device.link.as_ref().filter(|link| !link.is_stalled) else { continue };
            // Who is too fast is not read from for a while, and what was read is looked at later.
            if settings.messages_per_sec > 0 && (link.pipe.waiting_up() > 0 || link.watch.is_too_fast) {
                continue;
            }
            let unsent = server.hub.unsent().into_iter().find(|(id, ..)| *id == link.conn);
            match unsent {
                // Events, which time moves.
                Some((.., true)) => continue,
                Some((_, 1.., _)) => {
                    return Err(format!("client {n}: the server has {unsent:?} for it and does not send it"));
                }
                _ => {}
            }
            link.watch.settled(&truth).map_err(|why| format!("client {n}: {why}"))?;
        }
        Ok(())
    }

    pub(crate) fn check_memory(&self) -> Check {
        let Some(server) = &self.server else { return Ok(()) };
        let unsent = server.hub.unsent();
        let used = server.hub.budget().used();
        if used > BYTES_IN_ALL {
            return Err(format!("{used} bytes are kept for {} connections", unsent.len()));
        }
        for (id, unsent, _) in unsent {
            let link = self.devices.iter().filter_map(|device| device.link.as_ref());
            let owes = link.filter(|link| link.conn == id).all(|link| link.watch.owed() == 0);
            let asked = if owes { 0 } else { STOP_READING_AT + HISTORY };
            if unsent > LIVE_BYTES + FEED_BELOW + PAGE + SMALL + asked {
                return Err(format!("{unsent} bytes are kept for connection {id}"));
            }
        }
        Ok(())
    }

    /// All connections end, and nothing is left of them; and what is on the disk is what was told.
    pub(crate) async fn end(&mut self) -> Check {
        for n in 0..self.devices.len() {
            self.cut(n)?;
        }
        // Those whose clients have vanished too.
        for task in std::mem::take(&mut self.tasks) {
            drop(task);
        }
        let Some(server) = &self.server else { return Ok(()) };
        // What has come of uploads is brought to the disk.
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
        while server.store.is_due() {
            server.store.turn();
            tokio::task::yield_now().await;
        }
        let (left, used) = (server.permits.left(), server.hub.budget().used());
        if left != server_permits(self.plan.settings.in_flight) || used != 0 {
            return Err(format!("nobody is there, and {used} bytes are used, {left:?} permits left"));
        }
        self.restart().await?;
        self.check_files()?;
        lock(&self.truth).wrong.first().map_or(Ok(()), |why| Err(why.clone()))
    }
}

impl Run {
    /// Behind clearing up, the files of media are those that rows tell of.
    fn check_files(&self) -> Check {
        let Some(server) = &self.server else { return Ok(()) };
        server.sweep();
        let (files, rows) = (self.disk.files(), self.disk.rows());
        if files == rows {
            Ok(())
        } else {
            Err(format!("there are the files {files:?} and the rows {rows:?}"))
        }
    }
}

/// All that there are.
fn server_permits(in_flight: usize) -> (usize, usize) {
    chatwire::permits::Permits::new(in_flight).left()
}

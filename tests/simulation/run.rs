//! One run: clients, a network and a server on one thread, of which one thing happens at a time, as the seed has it.
//! After every step all is checked that must hold always; when nothing is on its way, also that nothing is missing.

use crate::device::{Brain, Device, Link};
use crate::disk::{BEGUN, DEVICES, Disk, accounts};
use crate::pipe::Pipe;
use crate::plan::Plan;
use crate::random::Random;
use crate::raw::{Guest, Raw};
use crate::server::{Server, Task, lock, registered, set_wall, wall};
use crate::steady::Steady;
use crate::trace::Trace;
use crate::truth::Truth;
use crate::watch::Watch;
use chatwire::store::sqlite::SqliteStore;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

pub(crate) type Check = Result<(), String>;

/// With more steps than this behind the faults it never comes to rest.
const STEPS_TO_REST: usize = 400_000;
/// Looks at the clock in which nothing moves, behind the faults.
const PAUSES_TO_REST: usize = 2_000;
/// So often something else than a lazy connection is looked for.
const LAZINESS: usize = 4;
const MILLISECOND: Duration = Duration::from_millis(1);

/// Something that may happen next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// A connection's task goes on.
    Poll(usize),
    /// The store carries out what waits.
    Commit,
    /// What others than connections do: pages, the assistant.
    Yield,
    Deliver(usize),
    Send(usize),
    Save(usize),
    Connect(usize),
    Tick(usize),
    /// The server has closed, and its client sees it.
    SeeEnd(usize),
    Speak(usize),
    Pass,
    Fault,
}

pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    pub(crate) truth: Arc<Mutex<Truth>>,
    pub(crate) disk: Disk,
    pub(crate) server: Option<Server>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) devices: Vec<Device>,
    pub(crate) step: usize,
    /// That of the process before, which must be gone before the next begins.
    pub(crate) last_store: Option<Weak<SqliteStore>>,
    /// A server that stops in order has until then.
    pub(crate) stops_by: Option<Instant>,
    /// When the run has begun.
    begun: Instant,
    may_yield: bool,
    /// Only what is under way goes on, until it has come to rest.
    pub(crate) is_calm: bool,
    pub(crate) is_healed: bool,
    /// How often all was at rest.
    pub(crate) rests: usize,
}

impl Run {
    pub(crate) fn new(plan: Plan, is_loud: bool) -> Run {
        set_wall(BEGUN, plan.slowness);
        let begun = now();
        let disk = Disk::new();
        let truth = Arc::new(Mutex::new(registered(disk.path())));
        let mut run = Run {
            random: Random::from(plan.seed),
            trace: Trace::new(is_loud),
            server: Some(Server::start(&disk, &truth, plan.settings)),
            plan,
            truth,
            disk,
            tasks: Vec::new(),
            devices: Vec::new(),
            step: 0,
            last_store: None,
            stops_by: None,
            begun,
            may_yield: false,
            is_calm: false,
            is_healed: false,
            rests: 0,
        };
        run.add_devices();
        run
    }

    /// Some are guests, some devices of one user, and some guests the same one.
    fn add_devices(&mut self) {
        let slots = accounts().len() * DEVICES;
        let from = self.random.below(slots);
        let mut guest = Guest::default();
        for n in 0..self.plan.steady + self.plan.raw {
            let slot = (from + n) % slots;
            let account = (self.random.below(3) > 0).then(|| (&accounts()[slot / DEVICES], slot % DEVICES));
            let number = u32::try_from(n).unwrap() + 1;
            let brain = if n < self.plan.steady {
                Brain::Steady(Box::new(Steady::new(account, number, now())))
            } else {
                if self.random.below(2) == 0 {
                    guest = Guest::default();
                }
                let (number, files) = (number.into(), self.plan.files);
                Brain::Raw(Box::new(Raw::new(account, guest.clone(), number, files, &mut self.random)))
            };
            self.devices.push(Device::new(brain));
        }
    }

    /// Everything, from the beginning to the end.
    pub(crate) async fn go(&mut self) -> Check {
        while self.step < self.plan.steps {
            self.one_step().await?;
        }
        self.heal().await?;
        let mut pauses = 0;
        for _ in 0..STEPS_TO_REST {
            if self.is_at_rest() {
                match self.is_done() {
                    Ok(()) => {
                        self.check_rest()?;
                        return self.end().await;
                    }
                    Err(why) if pauses == PAUSES_TO_REST => return Err(why),
                    Err(_) => pauses += 1,
                }
            }
            self.one_step().await?;
        }
        Err("it never comes to rest".into())
    }

    /// All clients are there, and have all.
    fn is_done(&self) -> Check {
        let Some(server) = &self.server else { return Err("there is no server".into()) };
        if !server.turns.are_free() {
            return Err("a turn is not given back".into());
        }
        let unsent = server.hub.unsent();
        let truth = lock(&self.truth);
        for (n, device) in self.devices.iter().enumerate() {
            if let Brain::Steady(steady) = &device.brain {
                let is_there = device.link.as_ref().is_some_and(|link| link.watch.user() != 0);
                if !is_there {
                    return Err(format!("client {n} does not come back"));
                }
                steady.settled(&truth).map_err(|why| format!("client {n}: {why}"))?;
            }
            let Some(link) = &device.link else { continue };
            if link.watch.owed() > 0 {
                return Err(format!("client {n} has no answer"));
            }
            if unsent.iter().any(|(conn, unsent, _)| *conn == link.conn && *unsent > 0) {
                return Err(format!("client {n}: what the server has for it is never sent"));
            }
        }
        Ok(())
    }

    async fn one_step(&mut self) -> Check {
        self.step += 1;
        if self.is_at_rest() {
            self.rests += 1;
            self.is_calm = false;
            self.check_rest()?;
        }
        let action = self.choose();
        self.act(action).await?;
        self.check()
    }

    fn choose(&mut self) -> Action {
        let moves = self.moves();
        let at_rest = moves.is_empty();
        if !self.is_healed && !self.is_calm {
            self.is_calm = self.random.below(80) == 0;
        }
        let mut others = Vec::new();
        if !self.is_calm {
            for n in 0..self.devices.len() {
                if self.devices[n].wants_to_connect(now()) {
                    let is_raw = matches!(self.devices[n].brain, Brain::Raw(_));
                    if !(is_raw && self.is_healed) {
                        others.push(Action::Connect(n));
                    }
                } else if !self.is_healed {
                    others.push(Action::Speak(n));
                }
            }
            if !self.is_healed {
                others.push(Action::Fault);
            }
        }
        if at_rest && (self.is_healed || others.is_empty() || self.random.below(3) == 0) {
            return others.iter().copied().find(|_| self.is_healed).unwrap_or(Action::Pass);
        }
        match self.random.below(16) {
            0 => Action::Pass,
            1..5 if !others.is_empty() => self.random.pick(&others),
            _ if at_rest => self.random.pick(&others),
            _ => self.pick_move(&moves),
        }
    }

    fn pick_move(&mut self, moves: &[Action]) -> Action {
        let is_lazy = |action: &Action| self.plan.lazy && matches!(action, Action::Poll(n) if n % 2 == 0);
        let tries: Vec<Action> = (0..LAZINESS).map(|_| self.random.pick(moves)).collect();
        tries.iter().copied().find(|action| !is_lazy(action)).unwrap_or(tries[0])
    }

    /// What is under way, and can go on without time.
    fn moves(&self) -> Vec<Action> {
        let mut moves: Vec<Action> =
            (0..self.tasks.len()).filter(|n| self.tasks[*n].is_woken()).map(Action::Poll).collect();
        if self.server.as_ref().is_some_and(|server| server.store.is_due()) {
            moves.push(Action::Commit);
        }
        if self.may_yield {
            moves.push(Action::Yield);
        }
        for (n, device) in self.devices.iter().enumerate() {
            if device.has_to_save() {
                moves.push(Action::Save(n));
            }
            let Some(link) = device.link.as_ref().filter(|link| !link.is_stalled) else { continue };
            if link.pipe.waiting_down() > 0 {
                moves.push(Action::Deliver(n));
            } else if link.pipe.is_over_down() {
                moves.push(Action::SeeEnd(n));
            }
            if link.can_send() {
                moves.push(Action::Send(n));
            }
        }
        moves
    }

    fn is_at_rest(&self) -> bool {
        self.moves().is_empty()
    }

    pub(crate) async fn act(&mut self, action: Action) -> Check {
        let wide = self.random.below(3) > 0;
        let n_bytes = if wide { 1 << 20 } else { 1 + self.random.below(200) };
        let random = self.random.number();
        if !matches!(action, Action::Fault | Action::Pass) {
            self.note(&format!("{action:?}"));
        }
        match action {
            Action::Poll(n) => {
                self.may_yield = true;
                if self.tasks[n].poll() {
                    self.tasks.remove(n);
                }
                // It may have carried out what it brought.
                self.end_if_dead()?;
            }
            Action::Commit => {
                self.may_yield = true;
                self.server.iter().for_each(|server| server.store.turn());
                self.end_if_dead()?;
            }
            Action::Yield => {
                self.may_yield = false;
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            }
            Action::Deliver(n) => {
                let truth = self.truth.clone();
                self.devices[n]
                    .receive(n_bytes, now(), random, &mut lock(&truth))
                    .map_err(|why| format!("client {n}: {why}"))?;
                self.tell_log(n);
            }
            Action::Send(n) => self.devices[n].link.iter_mut().for_each(|link| link.send(n_bytes)),
            Action::Save(n) => self.devices[n].save(now())?,
            Action::Connect(n) => self.connect(n, random)?,
            Action::SeeEnd(n) => self.see_end(n, random)?,
            Action::Tick(n) => {
                let truth = self.truth.clone();
                self.devices[n].tick(now(), random, &lock(&truth))?;
            }
            Action::Speak(n) => {
                let (truth, max) = (self.truth.clone(), self.plan.text);
                self.devices[n].speak(&mut self.random, &mut lock(&truth), max, now())?;
                self.tell_log(n);
            }
            Action::Pass => self.pass().await?,
            Action::Fault => self.fault().await?,
        }
        Ok(())
    }

    pub(crate) fn connect(&mut self, n: usize, random: u64) -> Check {
        let server = self.server.as_mut().filter(|_| self.stops_by.is_none());
        let Some(server) = server else {
            self.devices[n].refused(now(), random);
            return Ok(());
        };
        let pipe = Pipe::new(self.plan.room);
        let task = server.accept(&pipe);
        let device = &self.devices[n];
        let watch = Watch::new(task.id, !device.is_quiet(), device.inline_limit(), self.plan.failures);
        let link =
            Link { conn: task.id, pipe, watch, outgoing: Vec::new(), is_stalled: false, has_ended: false };
        self.tasks.push(task);
        self.devices[n].connect(link, now(), random)?;
        self.tell_log(n);
        Ok(())
    }

    fn see_end(&mut self, n: usize, random: u64) -> Check {
        let Some(link) = &self.devices[n].link else { return Ok(()) };
        let watch = &link.watch;
        let has_not_begun = watch.is_leaving && watch.user() == 0;
        if !(watch.is_over || watch.was_stalled || self.stops_by.is_some() || has_not_begun) {
            return Err(format!("client {n}: the server closes without a word"));
        }
        link.pipe.cut();
        let truth = self.truth.clone();
        self.devices[n].lose(None, now(), random, &lock(&truth))
    }

    /// Time passes: a moment, or where nothing moves up to when something is due.
    async fn pass(&mut self) -> Check {
        let mut span = MILLISECOND * (1 + u32::try_from(self.random.below(30)).unwrap());
        if self.is_at_rest() {
            let now = now();
            let due = self.devices.iter_mut().filter_map(|device| match &mut device.brain {
                Brain::Steady(steady) => steady.deadline(now),
                Brain::Raw(_) => None,
            });
            let due = due.min().map_or(Duration::from_secs(1), |due| due.saturating_duration_since(now));
            span = span.max(due.min(Duration::from_secs(1)));
        }
        self.note(&format!("{span:?} pass"));
        set_wall(wall() + i64::try_from(span.as_micros()).unwrap(), self.plan.slowness);
        tokio::time::advance(span).await;
        self.may_yield = true;
        for n in 0..self.devices.len() {
            let Brain::Steady(steady) = &mut self.devices[n].brain else { continue };
            if steady.deadline(now()).is_some_and(|due| due <= now()) {
                Box::pin(self.act(Action::Tick(n))).await?;
            }
        }
        if self.stops_by.is_some_and(|by| by <= now()) {
            self.restart().await?;
        }
        Ok(())
    }

    /// What must hold always.
    fn check(&self) -> Check {
        if let Some(why) = lock(&self.truth).wrong.first() {
            return Err(why.clone());
        }
        self.check_memory()
    }

    pub(crate) fn note(&mut self, what: &str) {
        let at = now().duration_since(self.begun).as_millis();
        self.trace.note(format!("{:5} {at:6} ms  {what}", self.step));
    }

    fn tell_log(&mut self, n: usize) {
        let lines = self.devices[n].link.as_mut().map(|link| std::mem::take(&mut link.watch.log));
        for line in lines.unwrap_or_default() {
            self.note(&format!("  client {n} {line}"));
        }
    }

    /// The server's process ends here if this was its last commit.
    pub(crate) fn end_if_dead(&mut self) -> Check {
        if self.server.as_ref().is_some_and(|server| server.gate.is_dead()) {
            self.note("the process has ended behind the commit");
            self.kill()?;
        }
        Ok(())
    }

    /// The server's process has ended: what it had not on the disk is lost.
    pub(crate) fn kill(&mut self) -> Check {
        if let Some(server) = &self.server {
            server.gate.is_last.store(true, Ordering::Relaxed);
            self.last_store = Some(Arc::downgrade(&server.store));
        }
        let truth = self.truth.clone();
        for device in &mut self.devices {
            let Some(link) = &device.link else { continue };
            link.pipe.cut();
            let random = self.random.number();
            device.lose(Some(ErrorKind::ConnectionReset), now(), random, &lock(&truth))?;
        }
        self.tasks.clear();
        self.server = None;
        self.stops_by = None;
        lock(&self.truth).end_of_process();
        Ok(())
    }
}

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

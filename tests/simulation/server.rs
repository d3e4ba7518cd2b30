//! A server without threads and sockets: the real parts, joined as `server` joins them, over a store that commits when
//! the run says so.

use crate::disk::{self, Disk};
use crate::pipe::{Pipe, ServerEnd};
use crate::truth::Truth;
use chatwire::assistant::{Desk, Echo};
use chatwire::auth::Auth;
use chatwire::clock;
use chatwire::config::Durability;
use chatwire::connection::{Origin, Reading, Serve, Shared};
use chatwire::hub::{Greeting, Hub};
use chatwire::id::{ConnId, Micros, UserId};
use chatwire::jobs::Jobs;
use chatwire::permits::Permits;
use chatwire::places::Places;
use chatwire::policy::Policy;
use chatwire::policy::places::Bounds;
use chatwire::policy::rate::Rate;
use chatwire::quota::{Allowed, Quota};
use chatwire::session::Rules;
use chatwire::store::media::MediaStore;
use chatwire::store::sqlite::{Options, SqliteStore};
use chatwire::store::{Committed, Consumer, Store};
use chatwire::turns::Turns;
use chatwire::uploads::Uploads;
use chatwire::warden::Warden;
use chatwire_codec::Limits;
use std::cell::Cell;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, Weak};
use std::task::{Context, Poll, Wake};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The largest text.
pub(crate) const MAX_TEXT: u32 = 64 * 1024;
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(30);

thread_local! {
    /// The time for people, and how much of it passes at each look at the clock of the store.
    static WALL: Cell<(Micros, Micros)> = const { Cell::new((0, 0)) };
}

/// Sets the clock of this thread's run.
pub(crate) fn set_wall(now: Micros, at_each_look: Micros) {
    WALL.set((now, at_each_look));
}

pub(crate) fn wall() -> Micros {
    WALL.get().0
}

fn look() -> Micros {
    let (now, more) = WALL.get();
    WALL.set((now + more, more));
    now + more
}

/// What a run may choose of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) in_flight: usize,
    pub(crate) messages_per_sec: usize,
}

/// Stands between store and hub: notes what is committed, and may be where the process ends.
pub(crate) struct Gate {
    truth: Arc<Mutex<Truth>>,
    store: Mutex<Weak<SqliteStore>>,
    hub: Mutex<Option<Arc<Hub>>>,
    /// The next commit is the last thing that the process does.
    pub(crate) is_last: AtomicBool,
    is_dead: AtomicBool,
}

impl Gate {
    /// Whether the process has ended.
    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }
}

impl Consumer for Gate {
    fn committed(&self, batch: &mut Vec<Committed>) {
        if let Some(store) = self.store.lock().unwrap().upgrade() {
            let mut truth = self.truth.lock().unwrap();
            truth.note(batch, &store, |user| self.is_online(user));
        }
        if self.is_last.load(Ordering::Relaxed) {
            self.is_dead.store(true, Ordering::Relaxed);
        }
        if self.is_dead() {
            return batch.clear();
        }
        if let Some(hub) = &*self.hub.lock().unwrap() {
            hub.committed(batch);
        }
    }

    fn is_online(&self, user: UserId) -> bool {
        self.hub.lock().unwrap().as_ref().is_some_and(|hub| hub.is_online(user))
    }
}

/// A connection's task, and whether it wants to be polled.
pub(crate) struct Task {
    serve: Pin<Box<Serve<ServerEnd>>>,
    flag: Arc<Flag>,
    pub(crate) id: ConnId,
}

pub(crate) struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Task {
    pub(crate) fn is_woken(&self) -> bool {
        self.flag.0.load(Ordering::Relaxed)
    }

    /// Whether it is over.
    pub(crate) fn poll(&mut self) -> bool {
        self.flag.0.store(false, Ordering::Relaxed);
        let waker = self.flag.clone().into();
        self.serve.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(())
    }
}

pub(crate) struct Server {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) permits: Permits,
    pub(crate) turns: Arc<Turns>,
    shared: Arc<Shared>,
    places: Places,
    next_conn: u64,
    assistant: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.assistant.abort();
        *self.gate.hub.lock().unwrap() = None;
        self.store.close();
    }
}

impl Server {
    pub(crate) fn start(disk: &Disk, truth: &Arc<Mutex<Truth>>, settings: Settings) -> Server {
        let options =
            Options { data: disk.path(), durability: Durability::Normal, readers: 1, clock: Arc::new(look) };
        let store = Arc::new(SqliteStore::open(options).unwrap());
        let as_store: Arc<dyn Store> = store.clone();
        let permits = Permits::new(settings.in_flight);
        let heartbeat = HEARTBEAT.as_secs().try_into().unwrap();
        let limits = Limits { max_text: MAX_TEXT, ..Limits::default() };
        let greeting =
            Greeting { epoch: store.epoch(), heartbeat, max_text: MAX_TEXT, max_media: limits.max_media };
        let (desk, work) = Desk::open(Echo, as_store.clone(), MAX_TEXT);
        let hub = Hub::new(as_store.clone(), greeting, permits.clone(), Some(Arc::new(desk)), wall);
        let hub = Arc::new(hub);
        let gate = Arc::new(Gate {
            truth: truth.clone(),
            store: Mutex::new(Arc::downgrade(&store)),
            hub: Mutex::new(Some(hub.clone())),
            is_last: AtomicBool::new(false),
            is_dead: AtomicBool::new(false),
        });
        let media = Arc::new(MediaStore::open(disk.path()).unwrap());
        store.frees(media.clone());
        store.attend(gate.clone()).unwrap();
        let warden = Arc::new(Warden::new(as_store.clone()).unwrap());
        let quota = Quota::new(as_store.clone(), Allowed::default(), &[]);
        let rules = Rules {
            policy: Policy::default(),
            heartbeat: HEARTBEAT,
            hello: Duration::from_secs(10),
            frame: Duration::from_secs(30),
            stall: Duration::from_secs(300),
            max_media: limits.max_media.into(),
            messages: Rate::within(settings.messages_per_sec, Duration::from_secs(1)),
        };
        let turns = Arc::new(Turns::new(clock::instant(), hub.line().clone()));
        let shared = Arc::new(Shared {
            hub: hub.clone(),
            auth: Arc::new(Auth::new(as_store.clone(), warden.clone())),
            warden,
            uploads: Arc::new(Uploads::new(as_store.clone(), media.clone(), quota.clone(), Jobs::OnTasks)),
            store: as_store,
            media,
            quota,
            permits: permits.clone(),
            turns: turns.clone(),
            rules: RwLock::new(Arc::new(rules)),
            reading: Reading::default(),
            jobs: Jobs::OnTasks,
            limits,
        });
        let places = Places::new(Bounds { all: 1000, per_source: 0, waiting: 0 });
        let assistant = tokio::spawn(work);
        Server { store, gate, hub, permits, turns, shared, places, next_conn: 1, assistant }
    }

    /// Clears up behind all that was.
    pub(crate) fn sweep(&self) {
        let mut sweep = self.shared.uploads.sweep(0).unwrap();
        while sweep.step(&*self.store, &self.shared.media).unwrap() {}
        while self.store.is_due() {
            self.store.turn();
        }
    }

    /// Accepts a connection.
    pub(crate) fn accept(&mut self, pipe: &Pipe) -> Task {
        let origin = Origin { address: "127.0.0.1:9".parse().unwrap(), is_private: true };
        let place = self.places.take(None).unwrap();
        let end = ServerEnd(pipe.clone());
        let serve = Serve::new(self.shared.clone(), end, origin, clock::instant(), place);
        let id = ConnId(self.next_conn);
        self.next_conn += 1;
        Task { serve: Box::pin(serve), flag: Arc::new(Flag(AtomicBool::new(true))), id }
    }
}

/// Locks what the run and the server both know.
pub(crate) fn lock(truth: &Arc<Mutex<Truth>>) -> MutexGuard<'_, Truth> {
    truth.lock().unwrap()
}

/// Registered users, whose memberships outlive the process.
pub(crate) fn registered(data: PathBuf) -> Truth {
    let mut truth = Truth::default();
    truth.data = data;
    for account in disk::accounts() {
        truth.registered.insert(account.user);
        truth.names.insert(account.user, account.name.to_owned());
    }
    truth
}

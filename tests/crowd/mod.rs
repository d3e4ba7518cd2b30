//! Clients that keep book: what each has said, what it was told of it, and what anybody has ever seen of any chat.
//! They load a server with everything at once until it goes away, and then compare what is there with their books.
//!
//! Used by the tests of crashes, of power loss, of failing disks, and of a long run.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    unused_qualifications,
    reason = "each uses a part"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod book;
mod check;
mod device;
mod folder;
mod newcomers;
mod transfers;
mod witness;

pub use book::{Body, Fate, Place};
pub use device::Device;
pub use folder::{Folder, check_folder};
pub use newcomers::Newcomers;

use super::random::Random;
use super::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};
use witness::Witness;

/// Whose connections there are: one user has two.
const USERS: [&str; 5] = ["ann", "bo", "cy", "dee", "dee"];
/// Rooms that all are in.
pub const ROOMS: [&str; 3] = ["harbour", "quay", "mole"];
/// A room that each comes and goes to.
const LOUNGE: &str = "lounge";

/// How often it is looked whether the server still runs.
const GLANCE: Duration = Duration::from_millis(5);

/// What is true of all of them.
pub struct World {
    pub rooms: Vec<u64>,
    pub witness: Mutex<Witness>,
    /// Answers that have come, of all kinds, and who is told of each.
    answered: AtomicU64,
    told: (Mutex<()>, Condvar),
    /// Whether the disk fails on purpose, so that messages may be refused for it.
    pub may_refuse: bool,
    /// Power was lost behind the last load: bytes that were not synced may be gone, and their file's length be there.
    pub has_lost_power: bool,
    /// Done before whatever anybody does.
    pub pause: fn(),
    /// The connections of this load.
    sockets: Mutex<Vec<std::net::TcpStream>>,
    is_over: AtomicBool,
}

/// Several clients and their books.
pub struct Crowd {
    pub world: World,
    pub devices: Vec<Device>,
    pub newcomers: Newcomers,
    /// Up to where each user has compared each chat with the books.
    checked: HashMap<(u64, u64), u64>,
    /// Messages that were compared, in all.
    pub compared: u64,
}

/// What a crowd has done.
#[derive(Debug, Default)]
pub struct Totals {
    pub stored: usize,
    pub refused: usize,
    pub unanswered: usize,
}

impl Crowd {
    /// Registers everybody.
    pub fn new(server: &Server) -> Crowd {
        Crowd::with(server, false)
    }

    /// A crowd whose server has a disk that fails.
    pub fn that_may_be_refused(server: &Server) -> Crowd {
        Crowd::with(server, true)
    }

    fn with(server: &Server, may_refuse: bool) -> Crowd {
        let mut rooms = Vec::new();
        let mut devices = Vec::new();
        for (n, name) in (1..).zip(USERS) {
            let hello = Hello { auth: 3, user: name, secret: "harbour lights", ..Hello::default() };
            let mut peer = Peer::hello(server, hello).without_members();
            rooms = ROOMS.map(|room| peer.join_too(room).chat).to_vec();
            let other =
                USERS.iter().copied().cycle().skip_while(|other| *other != name).find(|other| *other != name);
            devices.push(Device::new(n, name, peer.me(), other.expect("somebody else")));
        }
        let world = World {
            rooms,
            witness: Mutex::default(),
            answered: AtomicU64::new(0),
            told: Default::default(),
            may_refuse,
            has_lost_power: false,
            pause: || (),
            sockets: Mutex::default(),
            is_over: AtomicBool::new(false),
        };
        let (checked, newcomers) = (HashMap::new(), Newcomers::default());
        Crowd { world, devices, newcomers, checked, compared: 0 }
    }

    /// Everybody does everything until the server is gone, which `end` sees to when it has been told of enough.
    pub fn load(&mut self, server: &mut Server, random: &mut Random, end: impl FnOnce(&mut Server, &World)) {
        let mut peers: Vec<Peer> = self.devices.iter().map(|device| device.connect(server, random)).collect();
        let newcomer = self.newcomers.sender(server);
        self.world.is_over.store(false, Ordering::Relaxed);
        *self.world.sockets.lock().unwrap() = peers.iter().map(Peer::sender).collect();
        let world = &self.world;
        std::thread::scope(|scope| {
            for (device, mut peer) in self.devices.iter_mut().zip(peers.drain(..)) {
                let mut random = Random::from(random.number());
                scope.spawn(move || device.run(world, &mut peer, &mut random));
            }
            let newcomers = &mut self.newcomers;
            scope.spawn(move || newcomers.run(&newcomer, world));
            end(server, world);
        });
    }

    /// As [`Crowd::load`]; the end is SIGKILL a moment after so many answers, if the server has not ended before.
    pub fn load_and_kill(&mut self, server: &mut Server, random: &mut Random, enough: u64) {
        let spins = random.below(60_000);
        self.load(server, random, |server, world| {
            world.wait_for(enough, server);
            for _ in 0..spins {
                std::hint::spin_loop();
            }
            server.kill();
        });
    }

    /// With which each of its users comes in.
    pub fn tokens(&self) -> Vec<&'static str> {
        self.devices.iter().map(|device| device.token).collect()
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for fate in self.devices.iter().flat_map(|device| device.book.values()).map(|said| said.fate) {
            match fate {
                Fate::Stored(_) => totals.stored += 1,
                Fate::Refused => totals.refused += 1,
                Fate::Unanswered => totals.unanswered += 1,
            }
        }
        totals
    }
}

impl World {
    /// Everybody says what they have to say, hears the answers, and goes.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        for socket in self.sockets.lock().unwrap().drain(..) {
            // It may have ended before.
            let _ = socket.shutdown(std::net::Shutdown::Write);
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// An answer has come.
    fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.told.1.notify_one();
    }

    /// Waits until so many more answers have come, or the server is gone.
    pub fn wait_for(&self, answers: u64, server: &mut Server) {
        let so_far = || self.answered.load(Ordering::Relaxed);
        let (enough, mut last) = (so_far() + answers, (so_far(), Instant::now()));
        while so_far() < enough && server.is_running() {
            if so_far() > last.0 {
                last = (so_far(), Instant::now());
            }
            assert!(last.1.elapsed() < PATIENCE, "no answer comes");
            // Nobody tells of the server's end.
            let (told, answered) = &self.told;
            drop(answered.wait_timeout(told.lock().unwrap(), GLANCE).unwrap());
        }
    }
}

//! A disk that fails and forgets, for a real server: `disk.c` stands between it and the system.
//!
//! What is to fail is set while the server runs ([`Disk::set`]). A disk that records ([`Disk::recording`]) knows what
//! was synced and what was not, so it can be what a loss of power may have left (`model`).

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    unused_qualifications,
    reason = "each uses a part"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod model;

pub use model::Kept;

use super::random::Random;
use super::*;
use model::Model;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Calls that a rule may be about.
pub mod op {
    pub const READ: u64 = 1;
    pub const WRITE: u64 = 2;
    pub const SYNC: u64 = 4;
    pub const OPEN: u64 = 8;
    pub const RENAME: u64 = 16;
    pub const UNLINK: u64 = 32;
    pub const TRUNCATE: u64 = 64;
    pub const LINK: u64 = 128;
    pub const MKDIR: u64 = 256;
    pub const CLOCK: u64 = 512;
}

pub const EIO: u64 = 5;
pub const ENOSPC: u64 = 28;
pub const ALWAYS: u64 = u64::MAX;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Fail = 0,
    /// Half of it is written.
    Short = 1,
    KillBefore = 2,
    KillAfter = 3,
    /// The process ends when half of it is written.
    KillHalf = 4,
    /// It waits until the rule is cleared.
    Wait = 5,
}

/// Of the calls `ops` on paths with `path` in them (at their end if it ends with `$`), `skip` pass, and the next `times` are met by `action`.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub ops: u64,
    pub path: &'static str,
    /// In threads whose names begin so.
    pub thread: &'static str,
    pub skip: u64,
    pub times: u64,
    pub action: Action,
    pub error: u64,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule { ops: 0, path: "", thread: "", skip: 0, times: ALWAYS, action: Action::Fail, error: EIO }
    }
}

/// `struct control` and `struct rule` of disk.c.
const RULES: u64 = 8;
const CLOCK_SHIFT: u64 = 0;
const FIRST_RULE: u64 = 8;
const RULE_SIZE: u64 = 128;
const TIMES: u64 = 0;
const OPS: u64 = 8;
const SKIP: u64 = 16;
const ACTION: u64 = 24;
const ERROR: u64 = 32;
const HITS: u64 = 40;
const PATTERN: u64 = 48;
const THREAD: u64 = 112;

/// A disk, and the folder on it that a server may use.
pub struct Disk {
    /// `root` is within; so are the control and the log.
    folder: TempDir,
    control: File,
    model: Option<Model>,
}

impl Disk {
    /// One that may fail.
    pub fn new() -> Disk {
        let folder = in_memory();
        let control = folder.path().join("control");
        let size = FIRST_RULE + RULES * RULE_SIZE;
        std::fs::write(&control, vec![0; usize::try_from(size).unwrap()]).unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        let control = OpenOptions::new().read(true).write(true).open(control).unwrap();
        Disk { folder, control, model: None }
    }

    /// One that may lose power too.
    pub fn recording() -> Disk {
        let mut disk = Disk::new();
        std::fs::write(disk.log(), "").unwrap();
        disk.model = Some(Model::new(disk.root()));
        disk
    }

    /// A server on it, not yet started.
    pub fn server(&self, set: &[(&str, &str)]) -> Server {
        let mut env = vec![
            ("LD_PRELOAD", library().to_owned()),
            ("CHATWIRE_DISK_CONTROL", self.folder.path().join("control")),
        ];
        if self.model.is_some() {
            env.extend([("CHATWIRE_DISK_LOG", self.log()), ("CHATWIRE_DISK_ROOT", self.root())]);
        }
        Server::on(self.root().join("data"), env, set)
    }

    /// What its power protects.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Has a rule hold from now on.
    pub fn set(&self, n: u64, rule: Rule) {
        assert!(n < RULES && rule.path.len() < 64 && rule.thread.len() < 16);
        self.clear(n);
        let put = |field, value: u64| self.put(FIRST_RULE + n * RULE_SIZE + field, &value.to_ne_bytes());
        put(OPS, rule.ops);
        put(SKIP, rule.skip);
        put(ACTION, rule.action as u64);
        put(ERROR, rule.error);
        put(HITS, 0);
        self.text(n, PATTERN, rule.path, 64);
        self.text(n, THREAD, rule.thread, 16);
        put(TIMES, rule.times);
    }

    pub fn clear(&self, n: u64) {
        self.put(FIRST_RULE + n * RULE_SIZE + TIMES, &0_u64.to_ne_bytes());
    }

    /// How many calls a rule was about.
    pub fn hits(&self, n: u64) -> u64 {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, FIRST_RULE + n * RULE_SIZE + HITS).unwrap();
        u64::from_ne_bytes(bytes)
    }

    /// Sets the clock that the server sees forward, or back.
    pub fn shift_clock(&self, seconds: i64) {
        self.put(CLOCK_SHIFT, &(seconds * 1_000_000).to_ne_bytes());
    }

    fn text(&self, n: u64, field: u64, text: &str, size: usize) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(size, 0);
        self.put(FIRST_RULE + n * RULE_SIZE + field, &bytes);
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.control.write_all_at(bytes, at).unwrap();
    }

    /// The process is gone, and all that it wrote is there, on the disk or not.
    pub fn reads_log(&mut self) {
        let log = std::fs::read(self.log()).unwrap();
        File::create(self.log()).unwrap();
        self.model().replay(&log);
    }

    /// Gives the next process what it would see, which is what the records tell: of a process that was killed the last
    /// change may not be in them.
    pub fn goes_on(&mut self) {
        let root = self.root();
        self.model().write_out(&root);
    }

    /// The power is gone too: of what was not synced there is what chance has left.
    pub fn lose_power(&mut self, random: &mut Random) -> Kept {
        self.model().lose_power(random)
    }

    /// The server loses its power, and begins again with what was synced and nothing else.
    pub fn lose_power_under(&mut self, server: &mut Server) {
        server.kill();
        self.reads_log();
        self.model().lose_all_that_is_not_synced();
        self.goes_on();
        server.start_again();
    }

    fn model(&mut self) -> &mut Model {
        self.model.as_mut().expect("a disk that records")
    }

    /// What the records say that there is, is there.
    pub fn check_records(&self) {
        self.model.as_ref().expect("a disk that records").compare(&self.root());
    }
}

impl Drop for Disk {
    #[allow(clippy::print_stderr, reason = "shown for a test that fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("its disk is kept in {}", self.folder.path().display());
        }
    }
}

/// A folder in memory, where there is such a place: the real disk has no part in this.
fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// disk.c, compiled.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/disk/disk.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (made, library) =
            (folder.join(format!("disk-{}.so", std::process::id())), folder.join("disk.so"));
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&made)
            .arg(&source)
            .args(["-ldl", "-lpthread"]);
        assert!(cc.status().expect("a C compiler").success(), "{} does not compile", source.display());
        // Another test may be doing the same.
        std::fs::rename(&made, &library).unwrap();
        library
    })
}

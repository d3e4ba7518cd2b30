//! The data folder of a run: a copy of one that is made once, with registered users and a trap for commits.

use chatwire::config::Durability;
use chatwire::id::{ConnId, Micros, UserId};
use chatwire::session::Token;
use chatwire::store::sqlite::{Options, SqliteStore};
use chatwire::store::{Committed, Consumer, Login, Op, Store, Who};
use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use tempfile::TempDir;

pub(crate) const DATABASE: &str = "chatwire.db";
/// When every run begins, for people.
pub(crate) const BEGUN: Micros = 1_700_000_000_000_000;
const NAMES: [&str; 3] = ["Ann", "Bo", "Cy"];
/// Of each registered user.
pub(crate) const DEVICES: usize = 3;
/// A commit that holds a message, or a new membership, fails while the trap is set.
const TRAP: &str = "
    CREATE TABLE debt (user INTEGER REFERENCES users DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE trap (is_set INTEGER NOT NULL);
    INSERT INTO trap VALUES (0);
    CREATE TRIGGER trap_message BEFORE INSERT ON messages WHEN (SELECT is_set FROM trap)
        BEGIN INSERT INTO debt VALUES (99999); END;
    CREATE TRIGGER trap_upload BEFORE INSERT ON uploads WHEN (SELECT is_set FROM trap)
        BEGIN INSERT INTO debt VALUES (99999); END;
    CREATE TRIGGER trap_member BEFORE INSERT ON members WHEN (SELECT is_set FROM trap)
        BEGIN INSERT INTO debt VALUES (99999); END;
    PRAGMA wal_checkpoint(TRUNCATE);";

/// A registered user.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) user: u64,
    /// Of the devices named 0, 1, 2.
    pub(crate) tokens: Vec<String>,
}

struct Made {
    dir: TempDir,
    accounts: Vec<Account>,
}

static MADE: OnceLock<Made> = OnceLock::new();

/// A data folder that is its run's alone.
pub(crate) struct Disk {
    dir: TempDir,
    db: rusqlite::Connection,
}

impl Disk {
    pub(crate) fn new() -> Disk {
        let made = MADE.get_or_init(make);
        let dir = folder();
        std::fs::copy(made.dir.path().join(DATABASE), dir.path().join(DATABASE)).unwrap();
        let db = rusqlite::Connection::open(dir.path().join(DATABASE)).unwrap();
        Disk { dir, db }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// The whole files of media, by their names.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let folders = std::fs::read_dir(self.dir.path().join("media")).unwrap().map(|entry| entry.unwrap());
        let name = |entry: &DirEntry| entry.file_name().into_string().unwrap();
        folders
            .flat_map(|folder| {
                let files = std::fs::read_dir(folder.path()).unwrap();
                files.map(move |file| name(&folder) + &name(&file.unwrap())).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Those that rows tell of.
    pub(crate) fn rows(&self) -> BTreeSet<String> {
        let mut rows = self.db.prepare("SELECT DISTINCT lower(hex(id)) FROM media").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// The users whose last connection has ended, by what is stored.
    pub(crate) fn away(&self) -> Vec<u64> {
        let mut users = self.db.prepare_cached("SELECT id FROM users WHERE last_seen IS NOT NULL").unwrap();
        let ids = users.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        ids.map(|id| id.unwrap().cast_unsigned()).collect()
    }

    /// A thread removes what has lost its name, and the next process would remove it too.
    pub(crate) fn wait_for_removals(&self) {
        let gone = || std::fs::read_dir(self.dir.path().join("tmp")).into_iter().flatten().flatten();
        while gone().any(|entry| entry.file_name().to_string_lossy().starts_with("gone-")) {
            std::thread::yield_now();
        }
    }

    /// Whether commits fail.
    pub(crate) fn set_trap(&self, is_set: bool) {
        self.db.execute("UPDATE trap SET is_set = ?1", [is_set]).unwrap();
    }
}

/// Who is registered from the beginning.
pub(crate) fn accounts() -> &'static [Account] {
    &MADE.get_or_init(make).accounts
}

/// In memory, where there is such a place.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

#[derive(Default)]
struct Logins(Mutex<Vec<UserId>>);

impl Consumer for Logins {
    fn committed(&self, batch: &mut Vec<Committed>) {
        for committed in batch.drain(..) {
            if let Committed::Login(_, result) = committed {
                self.0.lock().unwrap().push(result.unwrap().user);
            }
        }
    }
}

fn make() -> Made {
    let dir = folder();
    let options = Options {
        data: dir.path().to_owned(),
        durability: Durability::Normal,
        readers: 1,
        clock: Arc::new(|| BEGUN),
    };
    let store = SqliteStore::open(options).unwrap();
    let logins = Arc::new(Logins::default());
    store.attend(logins.clone()).unwrap();
    let mut tokens = Vec::new();
    let mut log_in = |who, device: usize| {
        let token = Token::new().unwrap();
        let new_token = token.hash();
        let device = device.to_string().into();
        store.submit(Op::Login(Login { conn: ConnId(1), who, device, new_token, first_room: None }));
        store.turn();
        let user = *logins.0.lock().unwrap().last().unwrap();
        tokens.push(token.text(user).unwrap());
        user
    };
    let mut users = Vec::new();
    for name in NAMES {
        let user = log_in(Who::Register { name: name.into(), hash: "none".into() }, 0);
        for device in 1..DEVICES {
            log_in(Who::Password { user, hash: "none".into() }, device);
        }
        users.push((name, user.0));
    }
    store.close();
    drop(store);
    rusqlite::Connection::open(dir.path().join(DATABASE)).unwrap().execute_batch(TRAP).unwrap();
    let accounts = users
        .into_iter()
        .zip(tokens.chunks(DEVICES))
        .map(|((name, user), tokens)| Account { name, user, tokens: tokens.to_vec() })
        .collect();
    Made { dir, accounts }
}

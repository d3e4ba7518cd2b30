//! Keeps order beside the clients: turns away addresses that are banned or bring too many new users, and sees to it that what is due by
//! itself, or by a command of the operator's, is done (see [`Chores`](crate::store::Chores)).
//!
//! Decides nothing: who is banned says the table, what is due the store, who is connected the hub.

use crate::clock;
use crate::error::Refusal;
use crate::hub::Hub;
use crate::id::{ChatId, Micros};
use crate::policy::bans::Bans;
use crate::policy::leap::Leap;
use crate::policy::newcomers::{self, Newcomer, Newcomers};
use crate::store::sweep::Sweep;
use crate::store::{Op, Store};
use crate::uploads::Uploads;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked what is due. The operator's commands are carried out within a second; a look that finds
/// nothing is four searches in indexes.
const ROUND: Duration = Duration::from_millis(200);
/// So many rounds are between two looks for half uploads that nobody has gone on with: ten minutes.
const ROUNDS_BETWEEN_CLEARINGS: u32 = 3000;

/// So many rounds are between the beginnings of two walks to messages that are too old: a minute.
const ROUNDS_BETWEEN_WALKS: u32 = 300;
/// Messages that are removed in a round because they are too old: where little else is to do, and where much is. A few
/// milliseconds, and one.
const EXPIRE_CALM: usize = 256;
const EXPIRE_BUSY: usize = 64;
const DAY: Micros = 24 * 3600 * 1_000_000;
/// How long it is cleared up in a round.
const SWEEPING: Duration = Duration::from_millis(50);

/// See the module.
pub struct Warden {
    store: Arc<dyn Store>,
    sweeping: Mutex<Sweeping>,
    /// How long messages are kept; 0: for ever.
    kept: AtomicI64,
    /// Whether the clock is to be believed.
    leap: Mutex<Leap>,
    /// The last chat that has been looked at on the walk to old messages; `None`: it rests.
    walk: Mutex<Option<ChatId>>,
    bans: RwLock<Bans>,
    newcomers: Mutex<Newcomers>,
}

/// Clearing up.
#[derive(Default)]
struct Sweeping {
    /// What is under way.
    going: Option<Sweep>,
    /// It was begun in this run.
    has_begun: bool,
    /// The last order that it was done for. It may still be due: until the store has noted that.
    done: u64,
}

impl Warden {
    /// With the bans that are in force now. Blocks on the disk.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(store: Arc<dyn Store>) -> Result<Self, Refusal> {
        let bans = RwLock::new(store.bans()?);
        let leap = Mutex::new(Leap::new(store.seen()?));
        let (sweeping, kept, walk) = (Mutex::default(), AtomicI64::new(0), Mutex::default());
        let warden = Warden { store, sweeping, kept, leap, walk, bans, newcomers: Mutex::default() };
        // Before anybody logs in by it.
        warden.believed_time();
        Ok(warden)
    }

    /// So many new users may come from now on. Before that, any number.
    pub fn set_newcomers(&self, bounds: newcomers::Bounds) {
        self.newcomers.lock().unwrap_or_else(PoisonError::into_inner).set_bounds(bounds);
    }

    /// Messages are kept so many days from now on; 0: for ever. Before that, for ever.
    pub fn set_retention(&self, days: usize) {
        let days = Micros::try_from(days).unwrap_or(0);
        let kept = days.saturating_mul(DAY);
        if self.kept.swap(kept, Ordering::Relaxed) != kept {
            *self.walk.lock().unwrap_or_else(PoisonError::into_inner) = Some(ChatId(0));
        }
    }

    /// Whether another new user may come from this address.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn admit_newcomer(&self, who: Newcomer, address: IpAddr) -> Result<(), Refusal> {
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        newcomers.admit(who, address, clock::instant())
    }

    /// Whether this address may come in, or stay.
    ///
    /// # Errors
    /// `banned`.
    pub fn admit(&self, address: IpAddr) -> Result<(), Refusal> {
        self.bans.read().unwrap_or_else(PoisonError::into_inner).admit(address, clock::wall())
    }

    /// Goes round for ever. Begins with clearing up behind the last run.
    pub async fn walk(self: Arc<Self>, hub: Arc<Hub>, uploads: Arc<Uploads>) {
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in (0..ROUNDS_BETWEEN_CLEARINGS).cycle() {
            round.tick().await;
            let (warden, hub, uploads) = (self.clone(), hub.clone(), uploads.clone());
            if let Err(e) = spawn_blocking(move || warden.go_round(number, &hub, &uploads)).await {
                log::error!("the warden's round failed: {e}");
            }
        }
    }

    fn go_round(&self, number: u32, hub: &Hub, uploads: &Uploads) {
        let now = self.believed_time();
        let order = self.look(now, hub);
        if number == 0 || order.is_some() {
            uploads.clear(now);
        }
        self.sweep(order, uploads);
        self.expire(now, number.is_multiple_of(ROUNDS_BETWEEN_WALKS), hub);
    }

    /// Has done what is due. Gives the order to clear up, if there is one.
    fn look(&self, now: Micros, hub: &Hub) -> Option<u64> {
        // What fails is in the log, and is tried again in the next round.
        let Ok(Some(due)) = self.store.due_chores(now) else { return None };
        // Before the order of a ban is gone: by then it is in force.
        *self.bans.write().unwrap_or_else(PoisonError::into_inner) = due.bans;
        hub.end_where(|address| self.admit(address).err());
        if hub.begin_chores() {
            self.store.submit(Op::Chores { upto: due.upto, now });
        }
        due.sweep
    }

    /// By which time things go for being too old.
    fn believed_time(&self) -> Micros {
        let wall = clock::wall();
        let look = self.leap.lock().unwrap_or_else(PoisonError::into_inner).look(wall, clock::instant());
        if let Some(ahead) = look.leapt {
            log::warn!(
                "the clock is {} days ahead of when it was last seen; nothing goes for being too old before it has stayed \
                 there for a day: is it right?",
                ahead / DAY
            );
        }
        if let Some(seen) = look.note {
            self.store.submit(Op::Seen(seen));
        }
        self.store.set_ahead(wall.saturating_sub(look.believed));
        look.believed
    }

    /// Goes on to messages that are too old, or sets out.
    fn expire(&self, now: Micros, sets_out: bool, hub: &Hub) {
        let mut walk = self.walk.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.kept.load(Ordering::Relaxed);
        let begin = sets_out.then_some(ChatId(0));
        let Some(after) = walk.or(begin).filter(|_| kept > 0) else { return *walk = None };
        let before = now.saturating_sub(kept);
        // What fails is in the log, and is tried again in the next round.
        *walk = Some(after);
        let Ok(found) = self.store.expired(before, after) else { return };
        if found.chats.is_empty() {
            *walk = found.next;
        } else if hub.begin_chores() {
            let most = if self.store.is_calm() { EXPIRE_CALM } else { EXPIRE_BUSY };
            self.store.submit(Op::Expire { before, chats: found.chats, most });
        }
    }

    /// Goes on with clearing up, or begins: the first time by itself, then if there is an order for it.
    fn sweep(&self, order: Option<u64>, uploads: &Uploads) {
        let mut sweeping = self.sweeping.lock().unwrap_or_else(PoisonError::into_inner);
        let Sweeping { going, has_begun, done } = &mut *sweeping;
        if going.is_none()
            && let Some(order) = order.or((!*has_begun).then_some(0))
        {
            *going =
                if order > 0 && order <= *done { Some(Sweep::ended(order)) } else { uploads.sweep(order) };
            *has_begun |= going.is_some();
        }
        let end = clock::instant() + SWEEPING;
        while clock::instant() < end {
            let Some(sweep) = going else { return };
            match sweep.step(&*self.store, uploads.files()) {
                Ok(true) => continue,
                Ok(false) => *done = sweep.order().max(*done),
                // It is in the log. It is begun anew in the next round: an order is still there.
                Err(_) => *has_begun &= sweep.order() > 0,
            }
            *going = None;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Durability;
    use crate::hub::Greeting;
    use crate::jobs::Jobs;
    use crate::permits::Permits;
    use crate::quota::Quota;
    use crate::store::media::MediaStore;
    use crate::store::sqlite::{Options, SqliteStore};
    use std::fs;
    use std::path::PathBuf;

    struct Site {
        store: Arc<SqliteStore>,
        hub: Arc<Hub>,
        uploads: Arc<Uploads>,
        warden: Arc<Warden>,
        media: PathBuf,
        _data: tempfile::TempDir,
    }

    impl Site {
        /// Its store has no thread.
        fn new() -> Site {
            let dir = tempfile::tempdir().unwrap();
            let (data, clock) = (dir.path().to_owned(), Arc::new(clock::wall));
            let options = Options { data: data.clone(), durability: Durability::Normal, readers: 1, clock };
            let store = Arc::new(SqliteStore::open(options).unwrap());
            let media = Arc::new(MediaStore::open(&data).unwrap());
            store.frees(media.clone());
            let greeting = Greeting { epoch: 1, heartbeat: 30, max_text: 9, max_media: 9 };
            let hub = Arc::new(Hub::new(store.clone(), greeting, Permits::new(9), None, || 0));
            store.attend(hub.clone()).unwrap();
            let quota = Quota::new(store.clone(), crate::quota::Allowed::default(), &[]);
            let uploads = Arc::new(Uploads::new(store.clone(), media, quota, Jobs::OnThreads));
            let warden = Arc::new(Warden::new(store.clone()).unwrap());
            Site { store, hub, uploads, warden, media: data.join("media"), _data: dir }
        }

        /// A file that no message has.
        fn stray(&self) -> PathBuf {
            let folder = self.media.join("ab");
            fs::create_dir_all(&folder).unwrap();
            let stray = folder.join("c".repeat(62));
            fs::write(&stray, b"of no message").unwrap();
            stray
        }
    }

    #[test]
    fn clearing_up_behind_the_last_run_is_begun_again_until_it_can_be_and_then_not_any_more() {
        let site = Site::new();
        let (stray, away) = (site.stray(), site.media.with_extension("away"));
        let rounds = || (0..3).for_each(|number| site.warden.go_round(number, &site.hub, &site.uploads));
        fs::rename(&site.media, &away).unwrap();
        fs::write(&site.media, b"no folder").unwrap();
        rounds();
        fs::remove_file(&site.media).unwrap();
        fs::rename(&away, &site.media).unwrap();
        rounds();
        site.store.turn();
        assert!(!stray.exists());
        let stray = site.stray();
        rounds();
        site.store.turn();
        assert!(stray.exists());
    }

    #[test]
    fn an_order_to_clear_up_is_carried_out_once_and_not_until_the_store_has_noted_it() {
        let site = Site::new();
        let (stray, sweep) = (site.stray(), |order| site.warden.sweep(Some(order), &site.uploads));
        sweep(1);
        site.store.turn();
        assert!(!stray.exists());
        let stray = site.stray();
        sweep(1);
        site.store.turn();
        assert!(stray.exists(), "what comes later is the next one's");
        sweep(2);
        site.store.turn();
        assert!(!stray.exists());
    }
}

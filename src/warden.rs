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
    /// Clearing up that is under way.
    sweep: Mutex<Option<Sweep>>,
    /// How long messages are kept; 0: for ever.
    kept: AtomicI64,
    /// Whether the clock is to be believed.
    leap: Mutex<Leap>,
    /// The last chat that has been looked at on the walk to old messages; `None`: it rests.
    walk: Mutex<Option<ChatId>>,
    bans: RwLock<Bans>,
    newcomers: Mutex<Newcomers>,
}

impl Warden {
    /// With the bans that are in force now. Blocks on the disk.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(store: Arc<dyn Store>) -> Result<Self, Refusal> {
        let bans = RwLock::new(store.bans()?);
        let leap = Mutex::new(Leap::new(store.seen_at()?));
        let (sweep, kept, walk) = (Mutex::default(), AtomicI64::new(0), Mutex::default());
        Ok(Warden { store, sweep, kept, leap, walk, bans, newcomers: Mutex::default() })
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
        let mut has_cleared_up = false;
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in (0..ROUNDS_BETWEEN_CLEARINGS).cycle() {
            round.tick().await;
            let (warden, hub, uploads) = (self.clone(), hub.clone(), uploads.clone());
            let job = move || {
                let now = warden.believed_time();
                let order = warden.look(now, &hub).or((!has_cleared_up).then_some(0));
                if number == 0 || order.is_some() {
                    uploads.clear(now);
                }
                let has_begun = warden.sweep(order, &uploads);
                warden.expire(now, number % ROUNDS_BETWEEN_WALKS == 0, &hub);
                has_begun
            };
            match spawn_blocking(job).await {
                Ok(has_begun) => has_cleared_up |= has_begun,
                Err(e) => log::error!("the warden's round failed: {e}"),
            }
        }
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
        if let Some(at) = look.note {
            self.store.submit(Op::Seen { at });
        }
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

    /// Goes on with clearing up, or begins if there is an order for it; false if it could not begin.
    fn sweep(&self, order: Option<u64>, uploads: &Uploads) -> bool {
        let mut sweep = self.sweep.lock().unwrap_or_else(PoisonError::into_inner);
        if sweep.is_none()
            && let Some(order) = order
        {
            *sweep = uploads.sweep(order);
            if sweep.is_none() {
                return false;
            }
        }
        let end = clock::instant() + SWEEPING;
        while clock::instant() < end {
            let Some(going) = sweep.as_mut() else { return true };
            // What fails is in the log. An order stays, and is begun anew in the next round.
            if !matches!(going.step(&*self.store, uploads.files()), Ok(true)) {
                *sweep = None;
            }
        }
        true
    }
}

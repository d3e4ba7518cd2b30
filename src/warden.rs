//! Keeps order beside the clients: turns away addresses that are banned, and sees to it that what is due by
//! itself, or by a command of the operator's, is done (see [`Chores`](crate::store::Chores)).
//!
//! Decides nothing: who is banned says the table, what is due the store, who is connected the hub.

use crate::clock;
use crate::error::Refusal;
use crate::hub::Hub;
use crate::policy::bans::Bans;
use crate::store::{Op, Store};
use crate::uploads::Uploads;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked what is due. The operator's commands are carried out within a second; a look that finds
/// nothing is four searches in indexes.
const ROUND: Duration = Duration::from_millis(200);
/// So many rounds are between two looks for half uploads that nobody has gone on with: ten minutes.
const ROUNDS_BETWEEN_CLEARINGS: u32 = 3000;

/// See the module.
pub struct Warden {
    store: Arc<dyn Store>,
    bans: RwLock<Bans>,
}

impl Warden {
    /// With the bans that are in force now. Blocks on the disk.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(store: Arc<dyn Store>) -> Result<Self, Refusal> {
        let bans = RwLock::new(store.bans()?);
        Ok(Warden { store, bans })
    }

    /// Whether this address may come in, or stay.
    ///
    /// # Errors
    /// `banned`.
    pub fn admit(&self, address: IpAddr) -> Result<(), Refusal> {
        self.bans.read().unwrap_or_else(PoisonError::into_inner).admit(address, clock::wall())
    }

    /// Goes round for ever.
    pub async fn walk(self: Arc<Self>, hub: Arc<Hub>, uploads: Arc<Uploads>) {
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in (0..ROUNDS_BETWEEN_CLEARINGS).cycle() {
            round.tick().await;
            let (warden, hub, uploads) = (self.clone(), hub.clone(), uploads.clone());
            let job = move || {
                warden.look(&hub);
                if number == 0 {
                    uploads.clear(clock::wall());
                }
            };
            if let Err(e) = spawn_blocking(job).await {
                log::error!("the warden's round failed: {e}");
            }
        }
    }

    fn look(&self, hub: &Hub) {
        // What fails is in the log, and is tried again in the next round.
        let Ok(Some(due)) = self.store.due_chores() else { return };
        // Before the order of a ban is gone: by then it is in force.
        *self.bans.write().unwrap_or_else(PoisonError::into_inner) = due.bans;
        hub.end_where(|address| self.admit(address).err());
        if hub.begin_chores() {
            self.store.submit(Op::Chores { upto: due.upto });
        }
    }
}

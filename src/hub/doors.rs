//! The ends of connections: those that others have decided on (bans, kicks), and what is noted at one.

use super::{Hub, Link};
use crate::delivery::Change;
use crate::error::Refusal;
use crate::id::{Micros, UserId};
use crate::session::{Notice, Rules};
use crate::store::{Chores, Farewell, Op};
use chatwire_codec::Code;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A connection that lasts so long counts as a use of its token at its end too.
const LONG: Micros = 24 * 3600 * 1_000_000;

impl Hub {
    /// A connection has ended that may have used its token all the time.
    pub(super) fn used(&self, link: &Link) {
        if let (Some((user, _)), Some(greeted)) = (link.user(), link.greeted.get())
            && (self.now)() - greeted.at >= LONG
        {
            self.store.submit(Op::Used { user: *user, token: greeted.token.hash() });
        }
    }

    /// The connection ended, or began to, before its login was known.
    pub(super) fn never_came(&self, user: UserId) {
        if !self.is_online(user) {
            self.store.submit(Op::Departed { user });
        }
    }

    /// Notes that an [`Op::Chores`] or [`Op::Expire`] is on its way; false if one is already.
    pub fn begin_chores(&self) -> bool {
        !self.has_chores.swap(true, Ordering::SeqCst)
    }

    /// Tells every connection that the settings have changed.
    pub fn tell_rules(&self, rules: &Arc<Rules>) {
        let links: Vec<Arc<Link>> = self.directory().links.values().cloned().collect();
        for link in links {
            link.outbox.notify(Notice::Rules(rules.clone()));
        }
    }

    /// Whether the user may have another connection, beside so many that are coming.
    ///
    /// # Errors
    /// `busy`.
    pub(super) fn admit_connection(&self, user: UserId, coming: usize) -> Result<(), Refusal> {
        let limit = self.connections_per_user.load(Ordering::Relaxed);
        if limit == 0 || coming + self.directory().users.get(&user).map_or(0, Vec::len) < limit {
            return Ok(());
        }
        let text = format!("this user has {limit} connections already; close one of them first");
        Err(Refusal::new(Code::Busy, text))
    }

    /// So many connections may a user have from now on; 0: no limit.
    pub fn set_connections_per_user(&self, limit: usize) {
        self.connections_per_user.store(limit, Ordering::Relaxed);
    }

    /// Ends each connection whose address is refused.
    pub fn end_where(&self, refused: impl Fn(IpAddr) -> Option<Refusal>) {
        let links: Vec<Arc<Link>> = self.directory().links.values().cloned().collect();
        for link in links {
            if let Some(refusal) = refused(link.address) {
                link.outbox.notify(Notice::Banned(refusal));
            }
        }
    }

    pub(super) fn chores_done(&self, chores: &Chores) {
        for (user, farewell) in &chores.ended {
            self.end_user(*user, farewell);
        }
        chores.left.iter().for_each(|left| self.ended(left, Change::Left, None));
        self.end_chores();
    }

    /// Notes that what [`Hub::begin_chores`] was for is done.
    pub(super) fn end_chores(&self) {
        self.has_chores.store(false, Ordering::SeqCst);
    }

    fn end_user(&self, user: UserId, farewell: &Farewell) {
        let links = self.directory().users.get(&user).cloned().unwrap_or_default();
        for link in links {
            link.outbox.notify(match farewell {
                Farewell::Kicked => Notice::Kicked,
                Farewell::Banned(refusal) => Notice::Banned(refusal.clone()),
            });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::config::Durability;
    use crate::hub::Greeting;
    use crate::permits::Permits;
    use crate::session::{Greeted, Token};
    use crate::store::sqlite::admin::Admin;
    use crate::store::sqlite::{Clock, Options, SqliteStore};
    use crate::store::{Login, Store, Who};
    use std::sync::atomic::AtomicI64;
    use std::task::{Context, Waker};
    use std::time::Duration;

    static TIME: AtomicI64 = AtomicI64::new(0);

    fn now() -> Micros {
        TIME.load(Ordering::SeqCst)
    }

    fn welcomed(link: &Link) -> bool {
        let taken = link.outbox.poll(&Context::from_waker(Waker::noop()));
        taken.notices.iter().any(|notice| matches!(notice, Notice::Welcomed { .. }))
    }

    #[test]
    fn the_end_of_a_long_connection_is_a_use_of_its_token() {
        let dir = tempfile::tempdir().unwrap();
        let (data, clock): (_, Clock) = (dir.path().to_owned(), Arc::new(now));
        let options = Options { data, durability: Durability::Normal, readers: 1, clock: clock.clone() };
        let store = Arc::new(SqliteStore::open(options).unwrap());
        let greeting = Greeting { epoch: 1, heartbeat: 30, max_text: 9, max_media: 9 };
        let hub = Arc::new(Hub::new(store.clone(), greeting, Permits::new(9), None, now));
        store.start(hub.clone()).unwrap();

        for (lasts, used) in [(LONG - 1, 0), (LONG, LONG)] {
            TIME.store(0, Ordering::SeqCst);
            let link = hub.enter(std::net::Ipv4Addr::LOCALHOST.into());
            let token = [u8::from(used > 0); 32];
            let greeted = Greeted {
                version: 1,
                zone: chrono_tz::UTC,
                inline_limit: 0,
                live: true,
                at: 0,
                token: Token::Known(token),
            };
            assert!(link.greeted.set(greeted).is_ok());
            let who = Who::Register { name: format!("ann {lasts}").into(), hash: "hash".into() };
            store.submit(Op::Login(Login {
                conn: link.id,
                who,
                device: "".into(),
                new_token: token,
                first_room: None,
            }));
            while !welcomed(&link) {
                std::thread::yield_now();
            }
            TIME.store(lasts, Ordering::SeqCst);
            hub.leave(&link);
            let admin = Admin::open(dir.path(), clock.clone()).unwrap();
            let begun = crate::clock::instant();
            // The departure comes behind the use.
            while admin.users().unwrap().iter().any(|user| user.last_seen.is_none()) {
                assert!(crate::clock::instant() < begun + Duration::from_secs(20));
            }
            let sessions = admin.sessions(&format!("ann {lasts}")).unwrap();
            assert_eq!(sessions[0].last_used, used);
        }
    }
}

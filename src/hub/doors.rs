//! The ends of connections that others have decided on: bans, kicks.

use super::{Hub, Link};
use crate::error::Refusal;
use crate::id::{Micros, UserId};
use crate::session::Notice;
use crate::store::{Chores, Farewell, Op};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A connection that lasts so long counts as a use of its token at its end too.
const LONG: Micros = 24 * 3600 * 1_000_000;

impl Hub {
    /// A connection has ended that may have used its token all the time.
    pub(super) fn used(&self, link: &Link) {
        if let (Some(_), Some(greeted)) = (link.user(), link.greeted.get())
            && (self.now)() - greeted.at >= LONG
        {
            self.store.submit(Op::Used { token: greeted.token });
        }
    }

    /// Notes that an [`Op::Chores`] is on its way; false if one is already.
    pub fn begin_chores(&self) -> bool {
        !self.has_chores.swap(true, Ordering::SeqCst)
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
        chores.left.iter().for_each(|left| self.ended(left, None));
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

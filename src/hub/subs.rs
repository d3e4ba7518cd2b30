//! The places that connections have in one chat, in the order of users and connections.
//!
//! Most chats are homes, with one connection or two, and there is one for every user that is online: few
//! places lie in a list of just their size, many in a tree.

use super::directory::Sub;
use crate::id::{ConnId, UserId};
use std::collections::BTreeMap;

/// With more places than this a chat has a tree.
const FEW: usize = 8;

pub(super) type Key = (UserId, ConnId);

/// See the module. One of the two is always empty.
#[derive(Debug, Default)]
pub(super) struct Subs {
    few: Vec<(Key, Sub)>,
    many: BTreeMap<Key, Sub>,
}

impl Subs {
    pub(super) fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Sub> {
        match self.find(key) {
            Ok(at) => Some(&mut self.few[at].1),
            Err(_) => self.many.get_mut(&key),
        }
    }

    /// Adds a place; false if the key has one.
    pub(super) fn insert(&mut self, key: Key, sub: Sub) -> bool {
        let at = match self.find(key) {
            Ok(_) => return false,
            Err(at) => at,
        };
        if self.many.contains_key(&key) {
            return false;
        }
        if self.few.len() < FEW && self.many.is_empty() {
            self.few.reserve_exact(1);
            self.few.insert(at, (key, sub));
        } else {
            self.many.extend(std::mem::take(&mut self.few));
            self.many.insert(key, sub);
        }
        true
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Sub> {
        match self.find(key) {
            Ok(at) => Some(self.few.remove(at).1),
            Err(_) => self.many.remove(&key),
        }
    }

    /// All places behind `key`.
    pub(super) fn behind(&self, key: Key) -> impl Iterator<Item = (Key, &Sub)> {
        let from = self.few.partition_point(|(other, _)| *other <= key);
        let few = self.few[from..].iter().map(|(key, sub)| (*key, sub));
        let bounds = (std::ops::Bound::Excluded(key), std::ops::Bound::Unbounded);
        few.chain(self.many.range(bounds).map(|(key, sub)| (*key, sub)))
    }

    /// Whether a user has a place.
    pub(super) fn has(&self, user: UserId) -> bool {
        let from = self.few.partition_point(|((other, _), _)| *other < user);
        self.few.get(from).is_some_and(|((other, _), _)| *other == user)
            || self.many.range((user, ConnId(0))..=(user, ConnId(u64::MAX))).next().is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Sub)> {
        let few = self.few.iter().map(|(key, sub)| (*key, sub));
        few.chain(self.many.iter().map(|(key, sub)| (*key, sub)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut Sub)> {
        let few = self.few.iter_mut().map(|(key, sub)| (*key, sub));
        few.chain(self.many.iter_mut().map(|(key, sub)| (*key, sub)))
    }

    fn find(&self, key: Key) -> Result<usize, usize> {
        self.few.binary_search_by_key(&key, |(other, _)| *other)
    }
}

#[cfg(test)]
mod tests {
    use super::super::directory::Place;
    use super::*;
    use crate::hub::Link;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn key() -> impl Strategy<Value = Key> {
        (0..6_u64, 0..4_u64).prop_map(|(user, conn)| (UserId(user), ConnId(conn)))
    }

    proptest! {
        #[test]
        fn a_list_or_a_tree_makes_no_difference(steps in prop::collection::vec((any::<bool>(), key()), 0..80)) {
            let link = Arc::new(Link::new(ConnId(1), std::net::Ipv4Addr::LOCALHOST.into(), Arc::default(), Arc::default()));
            let (mut subs, mut model) = (Subs::default(), std::collections::BTreeSet::new());
            for (is_insert, key) in steps {
                if is_insert {
                    let sub = Sub { link: link.clone(), place: Place::Live };
                    prop_assert_eq!(subs.insert(key, sub), model.insert(key));
                } else {
                    prop_assert_eq!(subs.remove(key).is_some(), model.remove(&key));
                }
                prop_assert_eq!((subs.is_empty(), subs.len()), (model.is_empty(), model.len()));
                prop_assert_eq!(subs.get_mut(key).is_some(), model.contains(&key));
                prop_assert_eq!(subs.has(key.0), model.iter().any(|(user, _)| *user == key.0));
                prop_assert!(subs.iter().map(|(key, _)| key).eq(model.iter().copied()));
                prop_assert!(subs.iter_mut().map(|(key, _)| key).eq(model.iter().copied()));
                let behind = model.iter().copied().filter(|other| *other > key);
                prop_assert!(subs.behind(key).map(|(key, _)| key).eq(behind));
            }
        }
    }
}

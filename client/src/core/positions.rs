//! A client's position: one number a chat, the last `seq` that it has.
//!
//! ```text
//!             first FROM            pos + 1
//!  unknown ───────────────► at pos ◄────────┐   smaller: ignored
//!     │                      │ ▲ └──────────┘   larger: SYNC(chat, pos)
//!     └──────────────────────┘ │
//!       JOIN's answer,         │ SYNC's answer
//!       as a new member        │
//!  any ── SYNC sent ──► syncing┘   what comes before its answer comes again, and is ignored;
//!                                  a chat that is left and entered again meanwhile stays here
//! ```

use crate::limits::CHATS;
use std::collections::HashMap;

/// What to do with a FROM.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one.
    Take,
    /// It was here already, or will come again.
    Ignore,
    /// Something is missing: SYNC from here.
    Gap { after: u64 },
}

/// Where a STATUS stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The chat's position is not known.
    Unknown,
    /// It is the next one.
    Next,
    /// It was here already, or will come again.
    Elsewhere,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pos {
    #[default]
    Unknown,
    At(u64),
}

#[derive(Debug, Default)]
struct Place {
    pos: Pos,
    syncing: bool,
}

/// The positions in all chats.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    places: HashMap<u64, Place>,
}

impl Positions {
    /// A FROM came.
    pub(crate) fn from(&mut self, chat: u64, seq: u64) -> Result<Verdict, &'static str> {
        let place = self.place(chat)?;
        if place.syncing {
            return Ok(Verdict::Ignore);
        }
        let after = match place.pos {
            Pos::At(pos) if seq <= pos => return Ok(Verdict::Ignore),
            Pos::At(pos) if seq > pos.saturating_add(1) => pos,
            Pos::Unknown | Pos::At(_) => {
                place.pos = Pos::At(seq);
                return Ok(Verdict::Take);
            }
        };
        Ok(Verdict::Gap { after })
    }

    /// What an earlier connection has left.
    pub(crate) fn resume(&mut self, chat: u64, pos: u64) -> Result<(), &'static str> {
        self.place(chat)?.pos = Pos::At(pos);
        Ok(())
    }

    /// Whether an answer to SYNC is still to come.
    pub(crate) fn is_syncing(&self, chat: u64) -> bool {
        self.places.get(&chat).is_some_and(|place| place.syncing)
    }

    /// Where a STATUS stands, which moves nothing yet.
    pub(crate) fn standing(&self, chat: u64, seq: u64) -> Standing {
        match self.places.get(&chat) {
            None => Standing::Unknown,
            Some(Place { syncing: true, .. }) => Standing::Elsewhere,
            Some(Place { pos: Pos::Unknown, .. }) => Standing::Unknown,
            Some(Place { pos: Pos::At(pos), .. }) if pos.checked_add(1) == Some(seq) => Standing::Next,
            Some(_) => Standing::Elsewhere,
        }
    }

    /// A STATUS came: it stands where the message would. A larger one is stored, and comes again.
    pub(crate) fn status(&mut self, chat: u64, seq: u64) {
        if self.standing(chat, seq) == Standing::Next
            && let Some(place) = self.places.get_mut(&chat)
        {
            place.pos = Pos::At(seq);
        }
    }

    /// JOIN's answer came, and made the user a member.
    pub(crate) fn joined(&mut self, chat: u64, last_seq: u64) -> Result<(), &'static str> {
        self.place(chat)?.pos = Pos::At(last_seq);
        Ok(())
    }

    /// A SYNC is sent.
    pub(crate) fn sync_sent(&mut self, chat: u64) -> Result<(), &'static str> {
        self.place(chat)?.syncing = true;
        Ok(())
    }

    /// SYNC's answer came: the messages behind `after` follow, as far as they are kept. Gives the position.
    pub(crate) fn synced(&mut self, chat: u64, after: u64, first_seq: u64) -> Result<u64, &'static str> {
        let pos = after.max(first_seq.saturating_sub(1));
        *self.place(chat)? = Place { pos: Pos::At(pos), syncing: false };
        Ok(pos)
    }

    /// SYNC was refused: the stream goes on where it stood.
    pub(crate) fn sync_refused(&mut self, chat: u64) {
        match self.places.get_mut(&chat) {
            // Perhaps there is no such chat.
            Some(Place { pos: Pos::Unknown, .. }) => drop(self.places.remove(&chat)),
            Some(place) => place.syncing = false,
            None => {}
        }
    }

    /// Nothing comes from this chat any more, or its position was never given. What the answer to a SYNC that is
    /// under way says holds all the same: the user may be back in the chat before SYNC is served.
    pub(crate) fn forget(&mut self, chat: u64) {
        match self.places.get_mut(&chat) {
            Some(place) if place.syncing => place.pos = Pos::Unknown,
            _ => drop(self.places.remove(&chat)),
        }
    }

    /// Every chat whose position is known.
    pub(crate) fn known(&self) -> Vec<(u64, u64)> {
        let mut known: Vec<_> = self.places.iter().filter_map(|(&chat, place)| place.known(chat)).collect();
        known.sort_unstable();
        known
    }

    fn place(&mut self, chat: u64) -> Result<&mut Place, &'static str> {
        if self.places.len() >= CHATS && !self.places.contains_key(&chat) {
            return Err("messages from more chats than one user can be in");
        }
        Ok(self.places.entry(chat).or_default())
    }
}

impl Place {
    fn known(&self, chat: u64) -> Option<(u64, u64)> {
        match self.pos {
            Pos::Unknown => None,
            Pos::At(pos) => Some((chat, pos)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::cast_possible_truncation, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    const CHAT: u64 = 7;

    fn check(positions: &mut Positions, seq: u64, verdict: Verdict) {
        assert_eq!(positions.from(CHAT, seq), Ok(verdict), "seq {seq}");
    }

    #[test]
    fn the_first_from_sets_the_position_and_only_the_next_is_taken() {
        let mut p = Positions::default();
        check(&mut p, 5, Verdict::Take);
        check(&mut p, 5, Verdict::Ignore);
        check(&mut p, 4, Verdict::Ignore);
        check(&mut p, 6, Verdict::Take);
        check(&mut p, 8, Verdict::Gap { after: 6 });
        assert_eq!(p.known(), [(CHAT, 6)]);
    }

    #[test]
    fn a_status_counts_where_its_message_would_stand() {
        let mut p = Positions::default();
        p.status(CHAT, 1);
        assert_eq!(p.known(), []);
        check(&mut p, 2, Verdict::Take);
        p.status(CHAT, 3);
        check(&mut p, 3, Verdict::Ignore);
        p.status(CHAT, 9);
        check(&mut p, 4, Verdict::Take);
    }

    #[test]
    fn what_comes_before_the_answer_to_sync_is_left_to_come_again() {
        let mut p = Positions::default();
        check(&mut p, 2, Verdict::Take);
        p.sync_sent(CHAT).expect("room");
        check(&mut p, 9, Verdict::Ignore);
        p.status(CHAT, 3);
        p.synced(CHAT, 2, 1).expect("room");
        check(&mut p, 3, Verdict::Take);
    }

    #[test]
    fn what_is_no_longer_kept_is_no_gap() {
        let mut p = Positions::default();
        p.synced(CHAT, 2, 51).expect("room");
        check(&mut p, 51, Verdict::Take);
    }

    #[test]
    fn a_new_members_position_is_that_of_joins_answer() {
        let mut p = Positions::default();
        p.joined(CHAT, 4).expect("room");
        check(&mut p, 4, Verdict::Ignore);
        check(&mut p, 6, Verdict::Gap { after: 4 });
        check(&mut p, 5, Verdict::Take);
    }

    #[test]
    fn a_server_cannot_grow_the_positions_without_bound() {
        let mut p = Positions::default();
        for chat in 0..CHATS as u64 {
            p.from(chat, 1).expect("room");
        }
        assert!(p.from(CHATS as u64, 1).is_err());
        assert!(p.from(3, 2).is_ok());
    }

    #[test]
    fn chats_that_could_not_be_synced_take_no_room() {
        let mut p = Positions::default();
        check(&mut p, 1, Verdict::Take);
        for chat in CHAT..CHAT + 2 * CHATS as u64 {
            p.sync_sent(chat).expect("room");
            p.sync_refused(chat);
        }
        assert_eq!(p.known(), [(CHAT, 1)]);
        check(&mut p, 2, Verdict::Take);
    }
}

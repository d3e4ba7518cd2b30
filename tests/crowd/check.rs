//! Compares a server that was started again, and has nothing to do, with the books.

use super::*;
use std::collections::BTreeSet;

/// HISTORY from the oldest on.
const OLDEST: u8 = 1;
/// Messages that were compared and are compared again next time.
const AGAIN: u64 = 30;

impl Crowd {
    /// What was confirmed is there, once and unchanged, without a gap, in the same order for everybody; what was
    /// refused is not. `all`: from each chat's beginning, not only what is new.
    pub fn check(&mut self, server: &Server, all: bool) {
        for device in &mut self.devices {
            if let Some(half) = &mut device.half {
                half.cut(device.user, server.data(), self.world.has_lost_power);
            }
        }
        self.newcomers.check(server);
        for n in 0..self.devices.len() {
            let mut peer = self.devices[n].connect_quietly(server);
            if self.devices[n].is_first() {
                self.check_chats(n, &mut peer, all);
            }
            self.resend(n, &mut peer);
            peer.bye();
        }
    }

    /// All chats of a device's user.
    fn check_chats(&mut self, n: usize, peer: &mut Peer, all: bool) {
        let user = self.devices[n].user;
        let mut found = BTreeSet::new();
        let mut lounge = None;
        for (chat, _, title, last_seq, read_seq) in peer.chats() {
            lounge = lounge.or((title == LOUNGE).then_some(chat));
            found.insert(chat);
            self.check_chat(user, chat, last_seq, peer, all);
            if let Some(known) = self.devices[n].reads.get(&chat) {
                let may_be = known.confirmed..=known.asked;
                assert!(may_be.contains(&read_seq), "{user} has read {chat} up to {read_seq}: {known:?}");
            }
        }
        self.devices[n].is_in_lounge(lounge);
        self.check_book(user, &found, all);
    }

    /// One chat, from where it was compared last. Seqs have no gap, and times do not run backwards.
    fn check_chat(&mut self, user: u64, chat: u64, last_seq: u64, peer: &mut Peer, all: bool) {
        let mut witness = self.world.witness.lock().unwrap();
        assert!(last_seq >= witness.last(chat), "chat {chat} ends at {last_seq}: {}", witness.last(chat));
        let checked = self.checked.entry((user, chat)).or_default();
        let (mut after, mut at) = (if all { 0 } else { checked.saturating_sub(AGAIN) }, 0);
        loop {
            let (head, page) = peer.history(History { chat, after, flags: OLDEST, ..History::default() });
            for message in page {
                assert_eq!(message.from.seq, after + 1, "a gap in {chat}");
                assert!(message.from.at >= at, "the time ran backwards in {chat}");
                (after, at) = (message.from.seq, message.from.at);
                witness.saw_at_rest(&message.from, &message.content);
                self.compared += 1;
            }
            if head.more == 0 {
                break;
            }
        }
        assert_eq!(after, last_seq, "chat {chat} does not end where it says");
        *checked = after;
    }

    /// What this user has sent is as its books say.
    fn check_book(&self, user: u64, chats: &BTreeSet<u64>, all: bool) {
        let witness = self.world.witness.lock().unwrap();
        for device in self.devices.iter().filter(|device| device.user == user) {
            let recent = device.book.keys().next_back().map_or(0, |last| last.saturating_sub(2000));
            for (nonce, said) in device.book.range(if all { 0 } else { recent }..) {
                let place = witness.place_of(user, *nonce);
                match said.fate {
                    Fate::Stored(told) => {
                        assert_eq!(place, Some(told), "nonce {nonce} is not where its STATUS said");
                        assert!(chats.contains(&told.chat), "{user} is not in {}", told.chat);
                    }
                    Fate::Refused => assert_eq!(place, None, "nonce {nonce} was refused, and is there"),
                    Fate::Unanswered => {}
                }
            }
        }
    }

    /// Sends what was not answered again: it is confirmed where it was seen, and stored now where it was not.
    fn resend(&mut self, n: usize, peer: &mut Peer) {
        let device = &mut self.devices[n];
        let is_open = |fate| matches!(fate, Fate::Unanswered);
        let open: Vec<u64> =
            device.book.iter().filter(|(_, said)| is_open(said.fate)).map(|(nonce, _)| *nonce).collect();
        for nonce in open {
            let said = device.book[&nonce];
            peer.send_bytes(&said.unit(nonce));
            let status = peer.expect_status(nonce);
            let place = Place { chat: status.chat, seq: status.seq, at: status.at };
            let mut witness = self.world.witness.lock().unwrap();
            let seen = witness.place_of(device.user, nonce);
            assert_eq!(seen.is_some(), status.duplicate == 1, "nonce {nonce} was seen at {seen:?}");
            assert_eq!(seen.unwrap_or(place), place, "nonce {nonce} is stored twice");
            device.is_stored(nonce, place, status.duplicate == 1, false);
            witness.confirmed(device.user, nonce, place, said.body);
        }
    }
}

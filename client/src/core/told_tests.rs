//! Scripts for [`Core`] as whoever keeps a place hears it: where it resumes, and what it is told.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use super::*;
use chatwire_codec::frame::{From_, Join, Joined, Member, Status, Sync, Synced, Text};
use chatwire_codec::{Decoder, Limits};

const CHAT: u64 = 7;

/// A core that resumes, and the server's side of the script.
struct Script {
    core: Core,
    decoder: Decoder,
    opening: Vec<u8>,
}

impl Script {
    fn new(known: &[Known]) -> Self {
        let mut core = Core::new(true, Listener::Steady, Nonces::new(0));
        let opening = core.opening(known).expect("room");
        core.welcomed(20);
        Script { core, decoder: Decoder::client(Limits::default()), opening }
    }

    fn hear(&mut self, frames: &[Frame<'_>]) -> Vec<Told> {
        let bytes = encoded(frames);
        let (mut input, mut told) = (&bytes[..], Vec::new());
        while let Some(event) = self.decoder.next(&mut input).expect("valid") {
            if let Some(Delivery::Told(heard)) = self.core.handle(event).expect("it lives") {
                told.push(heard);
            }
        }
        told
    }

    /// A message comes, and is told of or not.
    fn message(&mut self, seq: u64) -> bool {
        let from = From_ { chat: CHAT, seq, user: 2, ..From_::default() };
        !self.hear(&[from.into(), Text { text: "hi" }.into()]).is_empty()
    }

    fn synced(&mut self, req: u32) -> Vec<Told> {
        self.hear(&[Synced { req, chat: CHAT, first_seq: 1, last_seq: 99 }.into()])
    }

    fn status(&mut self, nonce: u64, seq: u64, whole: bool) -> Told {
        self.core.send(nonce, 0, whole, Waiting::new(None).0).expect("a free nonce");
        self.hear(&[Status { nonce, chat: CHAT, seq, ..Status::default() }.into()]).remove(0)
    }

    fn urgent(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.core.take_urgent(&mut out);
        out
    }
}

fn encoded(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut bytes).expect("short"));
    bytes
}

fn known(pos: u64, room: &str) -> Known {
    Known { chat: CHAT, pos: Some(pos), room: room.into() }
}

fn is_in_place(told: &Told) -> bool {
    matches!(told, Told::Stored { in_place: true, .. })
}

#[test]
fn a_room_is_entered_before_it_is_synced_and_what_overtakes_the_answer_is_left_to_come_again() {
    let mut s = Script::new(&[known(41, "harbour")]);
    let join = Join { req: 1, room: "harbour", flags: 1 };
    assert_eq!(s.opening, encoded(&[join.into(), Sync { req: 2, chat: CHAT, after: 41 }.into()]));
    // As a new member, which a guest is again: that is no position here.
    let joined = Joined { req: 1, chat: CHAT, last_seq: 50, room: "harbour", created: 0, new_member: 1 };
    assert!(matches!(&s.hear(&[joined.into()])[..], [Told::Joined { pos: None, left: None, .. }]));
    assert!(!s.message(51), "live, before the answer");
    assert_eq!(s.synced(2), [Told::Synced { chat: CHAT, after: 41, pos: 41 }]);
    assert!(s.message(42) && s.message(43) && !s.message(43));
}

#[test]
fn a_room_that_is_another_by_now_is_left_and_its_position_too() {
    let mut s = Script::new(&[known(41, "harbour")]);
    let joined = Joined { req: 1, chat: 99, room: "harbour", ..Joined::default() };
    assert!(matches!(&s.hear(&[joined.into()])[..], [Told::Joined { left: Some(CHAT), .. }]));
    assert_eq!(s.core.positions(), []);
}

#[test]
fn a_status_at_the_position_stands_for_its_message() {
    let mut s = Script::new(&[known(1, "")]);
    s.synced(1);
    assert!(is_in_place(&s.status(9, 2, true)));
    assert!(!s.message(2), "it was told by its STATUS");
    assert!(s.message(3));
    assert!(!is_in_place(&s.status(10, 2, true)), "a duplicate moves nothing");
    assert!(!is_in_place(&s.status(11, 9, true)), "one ahead comes again");
    assert!(s.message(4));
}

#[test]
fn a_message_that_its_status_cannot_tell_is_asked_for() {
    let mut s = Script::new(&[known(1, "")]);
    s.synced(1);
    assert!(!is_in_place(&s.status(9, 2, false)));
    assert_eq!(s.urgent(), encoded(&[Sync { req: 2, chat: CHAT, after: 1 }.into()]));
    s.synced(2);
    assert!(s.message(2));
}

#[test]
fn who_speaks_in_a_chat_has_a_place_there_from_the_own_message_on() {
    let mut s = Script::new(&[]);
    assert!(!is_in_place(&s.status(9, 5, true)));
    assert_eq!(s.urgent(), encoded(&[Sync { req: 1, chat: CHAT, after: 4 }.into()]));
    assert!(!s.message(6), "it comes again behind the answer");
    s.synced(1);
    assert!(s.message(5) && s.message(6));
}

#[test]
fn what_was_asked_in_a_room_before_it_was_left_and_entered_again_says_where_its_messages_begin() {
    let mut s = Script::new(&[]);
    let join = Ask::new(Join { req: 0, room: "harbour", flags: 1 }, None).expect("short");
    s.core.ask(join, Waiting::new(None).0).expect("a request");
    s.status(9, 1, true);
    assert_eq!(s.urgent(), encoded(&[Sync { req: 2, chat: CHAT, after: 0 }.into()]));
    // Another device leaves the room; JOIN comes behind that, and SYNC behind JOIN.
    s.hear(&[Member { chat: CHAT, change: 2, user: 20, ..Member::default() }.into()]);
    let joined = Joined { req: 1, chat: CHAT, last_seq: 3, room: "harbour", created: 0, new_member: 1 };
    assert!(matches!(&s.hear(&[joined.into()])[..], [Told::Joined { pos: None, .. }]));
    assert!(!s.message(4), "it comes again behind SYNC's answer");
    assert!(!is_in_place(&s.status(10, 5, true)) && s.urgent().is_empty(), "one SYNC is enough");
    assert_eq!(s.synced(2), [Told::Synced { chat: CHAT, after: 0, pos: 0 }]);
    assert!(s.message(1) && s.message(2) && !s.message(2));
}

#[test]
fn a_chat_that_the_user_is_not_in_is_lost_and_other_refusals_leave_it() {
    for (code, lost) in [(Code::Forbidden, true), (Code::NotFound, true), (Code::Internal, false)] {
        let mut s = Script::new(&[known(41, "")]);
        let error = frame::Error { code: code as u16, about: kind::SYNC, ref_: 1, ..frame::Error::default() };
        let told = s.hear(&[error.into()]);
        assert_eq!(matches!(&told[..], [Told::Lost { chat: CHAT, .. }]), lost, "{told:?}");
        assert_eq!(s.core.positions().is_empty(), lost);
    }
}

#[test]
fn a_join_that_leaves_the_former_room_forgets_its_position() {
    for (stay, is_known) in [(0, false), (1, true)] {
        let mut s = Script::new(&[known(1, "")]);
        s.synced(1);
        for (req, chat) in [(2, CHAT), (3, CHAT + 1)] {
            let ask = Ask::new(Join { req: 0, room: "harbour", flags: stay }, None).expect("short");
            s.core.ask(ask, Waiting::new(None).0).expect("a request");
            s.hear(&[Joined { req, chat, room: "harbour", ..Joined::default() }.into()]);
        }
        assert_eq!(s.core.positions() == [(CHAT, 1)], is_known, "flags {stay}");
    }
}

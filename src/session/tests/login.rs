//! Who somebody is, and the end of who may not stay.

use super::*;
use crate::store::{Who, wrong_password};

fn with_password(auth: u8) -> Hello<'static> {
    Hello { auth, user: "Ａnn", secret: "sesame", device: "phone", ..hello() }
}

fn claim(effects: Vec<Effect>) -> Claim {
    match effects.into_iter().next_back() {
        Some(Effect::Prove(claim)) => claim,
        other => panic!("no claim: {other:?}"),
    }
}

fn closed() -> Rules {
    let mut rules = rules();
    rules.policy.registration = false;
    rules
}

impl Story {
    fn proof(&mut self, proof: Result<Proven, Refusal>) -> Vec<Effect> {
        self.session.handle_proof(self.now.instant, proof);
        self.drain()
    }
}

fn login(effects: Vec<Effect>) -> store::Login {
    match effects.into_iter().next() {
        Some(Effect::Submit(Op::Login(login))) => login,
        other => panic!("no login: {other:?}"),
    }
}

#[test]
fn a_password_is_proven_before_the_store_is_asked() {
    let mut story = story();
    let claim = claim(story.send(with_password(1)));
    assert_eq!((&*claim.key, &*claim.password.0, claim.registers), ("ann", "sesame", false));
    assert_eq!(claim.wrong, wrong_password());
    assert!(!story.session.wants_input(), "nothing is looked at meanwhile");
    let login = login(story.proof(Ok(Proven::Known(USER, "hash".into()))));
    assert_eq!(&*login.device, "phone");
    assert!(matches!(login.who, Who::Password { user: USER, hash } if &*hash == "hash"));
    story.notice(Notice::Welcomed { user: USER, name: "ann".into() });
    assert!(story.session.wants_input());
}

#[test]
fn a_name_is_registered_as_it_is_spelled() {
    let mut story = story();
    let claim = claim(story.send(with_password(3)));
    assert_eq!((&*claim.key, claim.registers, claim.wrong.code), ("ann", true, Code::Conflict));
    match login(story.proof(Ok(Proven::New("hash".into())))).who {
        Who::Register { name, hash } => assert_eq!((&*name, &*hash), ("Ａnn", "hash")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_that_another_registers_first_is_looked_at_again_once() {
    let mut story = story();
    claim(story.send(with_password(3)));
    story.proof(Ok(Proven::New("hash".into())));
    let taken = || Notice::LoginRefused(Refusal::new(Code::Conflict, "taken"));
    assert_eq!(&*claim(story.notice(taken())).password.0, "sesame");
    login(story.proof(Ok(Proven::Known(USER, "hash".into()))));
    assert_eq!(ends_with_error(&story.notice(taken())), (Code::Conflict, 0, kind::HELLO));
}

#[test]
fn where_nobody_may_register_a_wish_to_is_a_login() {
    let claim = claim(story_by(closed(), true).send(with_password(3)));
    assert_eq!((claim.registers, claim.wrong.code), (false, Code::Unauthenticated));
}

#[test]
fn a_proof_that_fails_ends_the_connection_with_its_reason() {
    let mut story = story();
    story.send(with_password(1));
    let limited = Refusal { retry_ms: 9, ..Refusal::new(Code::RateLimited, "wait") };
    let effects = story.proof(Err(limited));
    assert_eq!(ends_with_error(&effects), (Code::RateLimited, 0, kind::HELLO));
    assert!(story.proof(Ok(Proven::New("hash".into()))).is_empty(), "it is over");
}

#[test]
fn no_secret_is_looked_at_that_came_in_the_clear() {
    for auth in [1, 2, 3, 9] {
        // Nothing else is looked at before.
        let hello = Hello { device: "a\nb", user: "a  b", ..with_password(auth) };
        let effects = story_by(rules(), false).send(hello);
        assert_eq!(ends_with_error(&effects).0, Code::Unauthenticated);
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Prove(_) | Effect::Submit(_))));
    }
    let mut rules = rules();
    rules.policy.plaintext_secrets = true;
    claim(story_by(rules, false).send(with_password(1)));
}

#[test]
fn a_password_does_not_show_itself() {
    let claim = claim(story().send(with_password(1)));
    assert!(!format!("{claim:?}").contains("sesame"));
}

#[test]
fn whoever_is_banned_or_kicked_is_told_so_at_any_time() {
    let ban = || Notice::Banned(Refusal::new(Code::Banned, "go"));
    let began = |story: &mut Story| drop(story.send(with_password(1)));
    for begin in [|_: &mut Story| (), began] {
        let mut banned = story();
        begin(&mut banned);
        assert_eq!(ends_with_error(&banned.notice(ban())), (Code::Banned, 0, delivery::ABOUT_NOTHING));
    }
    assert_eq!(ends_with_error(&open().notice(ban())), (Code::Banned, 0, delivery::ABOUT_NOTHING));
    match open().notice(Notice::Kicked).last() {
        Some(Effect::Finish(bytes)) => {
            assert_eq!((bytes[0], Bye::parse(&bytes[5..]).unwrap().code), (kind::BYE, 3));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_join_right_behind_hello_goes_to_the_store_with_the_login() {
    let join = |req, room| Join { req, room, flags: 0 };
    let mut story = story();
    story.session.handle_event(story.now, Event::Frame(hello().into()));
    for bad in [join(0, "tea"), join(1, "guest7")] {
        assert!(!story.session.handle_first_room(&bad), "it is answered when its turn comes");
    }
    assert!(story.session.handle_first_room(&join(9, "tea")));
    assert!(matches!(story.session.poll_effect(), Some(Effect::Greet(_))));
    let first = login(story.drain()).first_room.unwrap();
    assert_eq!((first.req, &*first.room), (9, "tea"));
    assert!(!story.session.handle_first_room(&join(10, "tea")), "the login is on its way");
    story.notice(Notice::Welcomed { user: USER, name: "ann".into() });
    assert!(!story.session.wants_input(), "JOIN is a request like any other");
    story.notice(Notice::Joined(ROOM));
    story.notice(Notice::Answered);
    assert!(story.session.wants_input());
    assert_eq!(append(story.send(Text { text: "hi" })).target, Target::Current(Some(ROOM)));
}

#[test]
fn a_join_waits_for_a_password_to_be_proven() {
    let mut story = story();
    story.session.handle_event(story.now, Event::Frame(with_password(1).into()));
    assert!(!story.session.handle_first_room(&Join { req: 1, room: "tea", flags: 0 }));
}

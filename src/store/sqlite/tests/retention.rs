//! Messages that are older than they are kept.

use super::*;
use crate::policy::leap::{Doubt, Seen};
use crate::store::HistoryQuery;

const DAY: Micros = 24 * HOUR;

impl Rig {
    /// Lets go what is older than a day, so many messages at a time; how many steps that took.
    fn expire(&mut self, most: usize) -> usize {
        let before = self.now.load(Ordering::Relaxed) - DAY;
        let (mut after, mut steps) = (ChatId(0), 0);
        loop {
            let found = self.store.expired(before, after).unwrap();
            if found.chats.is_empty() {
                let Some(next) = found.next else { return steps };
                after = next;
                continue;
            }
            steps += 1;
            match self.ask(Op::Expire { before, chats: found.chats, most }) {
                Committed::Expired => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn count_of(&self, table: &str) -> i64 {
        self.other().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }
}

#[test]
fn what_is_older_goes_in_steps_and_what_is_younger_stays() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "x");
    rig.user("bob", "x");
    let direct = opened(rig.send(said(ann, to("bob"), 0, "hi"))).0.chat;
    for number in 0..10 {
        rig.say(ann, all(), &format!("old {number}"));
    }
    rig.pass(DAY);
    rig.say(ann, all(), "a day old, to the moment");
    rig.pass(DAY);
    assert_eq!(rig.expire(4), 3, "10 and 1, by 4");
    assert_eq!(rig.all_of(ChatId::ALL).iter().map(text).collect::<Vec<_>>(), ["a day old, to the moment"]);
    assert!(rig.all_of(direct).is_empty(), "a chat goes empty and stays");
    assert_eq!(rig.say(ann, to("bob"), "again").seq, 2, "no seq comes twice");
    let mut rig = rig.reopen();
    assert_eq!(rig.say(ann, to("bob"), "and again").seq, 3);
    let synced = rig.sync(ann, ChatId::ALL, 3).unwrap();
    assert_eq!((synced.first_seq, synced.last_seq, synced.after), (11, 11, 10));
    assert_eq!(rig.expire(4), 0);
}

#[test]
fn a_chat_that_went_empty_goes_on_where_it_was() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    for _ in 0..5 {
        rig.say(ann, all(), "hi");
    }
    let last = rig.say(ann, all(), "hi").at;
    rig.pass(2 * DAY);
    rig.expire(100);
    let rig = rig.reopen();
    // Its clock was set back meanwhile.
    rig.pass(-3 * DAY);
    let mut rig = rig;
    let synced = rig.sync(ann, ChatId::ALL, 2).unwrap();
    assert_eq!((synced.first_seq, synced.last_seq, synced.after), (7, 6, 6));
    let next = rig.say(ann, all(), "hi");
    assert!(next.seq == 7 && next.at >= last, "{next:?}");
    let page =
        rig.store.history(ann, ChatId::ALL, HistoryQuery { limit: 10, max_bytes: 999, ..Default::default() });
    let page = page.unwrap();
    assert_eq!((page.first_seq, page.last_seq, seqs(&page.messages)), (7, 7, vec![7]));
}

#[test]
fn words_and_nonces_go_with_their_messages() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "x");
    stored(rig.send(said(ann, all(), 77, "a needle")));
    for _ in 0..600 {
        rig.store.submit(Op::Append(said(ann, all(), 0, "hay")));
    }
    (0..600).for_each(|_| drop(stored(rig.outcome())));
    let mut rig = rig.reopen();
    assert_eq!(rig.texts(ann, "needle").len(), 1);
    assert_eq!(duplicate(rig.send(said(ann, all(), 77, "a needle"))), (ChatId::ALL, 1));
    rig.pass(2 * DAY);
    rig.expire(256);
    assert!(rig.texts(ann, "needle").is_empty() && rig.texts(ann, "hay").is_empty());
    assert_eq!(stored(rig.send(said(ann, all(), 77, "a needle"))).seq, 602, "it is not kept, so it is new");
    let mut rig = rig.reopen();
    assert_eq!(rig.texts(ann, "needle").len(), 1);
    assert_eq!(stored(rig.send(Append { reply_to: 3, ..said(ann, all(), 0, "to what is gone") })).seq, 603);
}

#[test]
fn media_goes_with_the_last_message_that_has_it() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "x");
    let media = |byte| Content::Media(Arc::new(picture(byte)));
    stored(rig.send(sent(ann, all(), 0, media(1))));
    stored(rig.send(sent(ann, all(), 0, media(2))));
    rig.pass(2 * DAY);
    stored(rig.send(sent(ann, all(), 0, media(2))));
    rig.expire(100);
    assert_eq!((rig.count_of("media"), rig.count_of("media_refs")), (1, 1));
    assert_eq!(rig.store.media(ann, picture(2).id).unwrap(), picture(2));
    assert_eq!(rig.store.used(ann).unwrap().all, picture(2).size);
}

#[test]
fn a_room_that_nobody_is_in_goes_with_its_last_message() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.user("ann", "x"), rig.user("bob", "x"));
    let (tea, rum) = (rig.join(ann, "tea", None).chat, rig.join(bob, "rum", None).chat);
    rig.say(ann, room("tea"), "old");
    rig.say(bob, room("rum"), "old");
    rig.leave(ann, Some(tea)).unwrap();
    rig.pass(2 * DAY);
    rig.expire(100);
    let joined = rig.join(ann, "tea", None);
    assert!(joined.created && joined.chat != tea, "{joined:?}");
    let joined = rig.join(ann, "rum", None);
    assert!(!joined.created && joined.chat == rum && joined.last_seq == 1, "{joined:?}");
}

#[test]
fn a_home_that_went_empty_stays_a_home() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "x");
    let home = rig.say(ann, Target::Current(None), "old").chat;
    rig.pass(2 * DAY);
    rig.expire(100);
    let next = rig.say(ann, Target::Current(None), "new");
    assert_eq!((next.chat, next.seq), (home, 2));
    let mut rig = rig.reopen();
    assert_eq!(rig.say(ann, Target::Current(None), "newer").seq, 3);
}

#[test]
fn one_step_takes_no_more_text_than_is_quickly_done() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "x");
    let long = "x".repeat(400 << 10);
    for _ in 0..6 {
        rig.say(ann, all(), &long);
    }
    rig.pass(2 * DAY);
    assert_eq!(rig.expire(1000), 3, "two of them a step");
    assert!(rig.all_of(ChatId::ALL).is_empty());
}

#[test]
fn where_the_clock_was_is_kept_and_so_is_that_it_was_doubted_until_it_is_not() {
    let mut rig = Rig::new();
    assert_eq!(rig.store.seen().unwrap(), None);
    let doubt = Some(Doubt { at: 90 * DAY, waited: HOUR });
    for seen in [Seen { at: DAY, doubt: None }, Seen { at: DAY, doubt }, Seen { at: 91 * DAY, doubt: None }] {
        rig.ask(Op::Seen(seen));
        rig = rig.reopen();
        assert_eq!(rig.store.seen().unwrap(), Some(seen));
    }
}

#[test]
fn no_token_is_too_old_by_what_the_clock_is_ahead() {
    let mut rig = Rig::new();
    for name in ["kay", "bob"] {
        let guest = rig.guest(name);
        rig.depart(guest);
    }
    rig.pass(40 * DAY);
    rig.store.set_ahead(40 * DAY);
    let again = |rig: &mut Rig, name| rig.login(rig.token(token_of(name)), "phone", 9);
    again(&mut rig, "kay").unwrap();
    rig.pass(2 * DAY);
    assert_eq!(
        again(&mut rig, "bob").unwrap_err().code,
        Code::Unauthenticated,
        "by as much as it has gone on"
    );
}

//! SEARCH: what is a word, who finds what, in which order, and that the index and what is behind it agree.

use super::*;
use crate::store::{Found, Search};

/// More than a step of the index, so that the writer does at least one by itself.
pub(super) const A_STEP: usize = 300;

pub(super) fn wanted(query: &str) -> Search {
    let before = (0, ChatId(0), 0);
    Search { chat: None, query: query.into(), before, limit: 200, max_bytes: 1 << 20 }
}

impl Rig {
    pub(super) fn find(&self, user: UserId, wanted: &Search) -> Found {
        self.store.search(user, wanted).unwrap()
    }

    pub(super) fn texts(&self, user: UserId, query: &str) -> Vec<String> {
        let found = self.find(user, &wanted(query));
        found.messages.iter().map(|message| text(message).to_owned()).collect()
    }

    /// Rows in the index that have this word.
    pub(super) fn indexed(&self, word: &str) -> i64 {
        let count = "SELECT count(*) FROM words WHERE words MATCH ?1";
        self.other().query_row(count, [word], |row| row.get(0)).unwrap()
    }

    /// Messages that are not in the index.
    fn behind(&self) -> i64 {
        let count = "SELECT count(*) FROM messages m JOIN chats c ON c.id = m.id >> 32
                      WHERE m.id & 4294967295 > c.indexed_seq";
        self.other().query_row(count, [], |row| row.get(0)).unwrap()
    }

    /// Fills the chat until what was in it before is in the index.
    pub(super) fn push_into_the_index(&mut self, user: UserId, target: &Target) {
        for _ in 0..A_STEP {
            self.say(user, target.clone(), "filler");
        }
        while self.behind() >= A_STEP as i64 {
            std::thread::yield_now();
        }
    }
}

/// Both before and behind the writer's steps.
fn in_both_states(check: impl Fn(&Rig, UserId), texts: &[&str]) {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    for text in texts {
        rig.say(ann, all(), text);
    }
    assert_eq!(rig.behind(), texts.len() as i64);
    check(&rig, ann);
    rig.push_into_the_index(ann, &all());
    assert!(rig.indexed("filler") > 0);
    check(&rig, ann);
}

#[test]
fn a_message_is_found_by_all_of_its_words_in_any_order_case_and_accent() {
    let texts = ["Good morning, 東京", "good NIGHT Zürich", "it's 9.30 already", "..."];
    let check = |rig: &Rig, ann: UserId| {
        let check = |query: &str, expected: &[usize]| {
            let expected: Vec<&str> = expected.iter().map(|at| texts[*at]).collect();
            assert_eq!(rig.texts(ann, query), expected, "{query:?}");
        };
        check("good", &[1, 0]);
        check("MORNING good", &[0]);
        check("good good", &[1, 0]);
        check("good evening", &[]);
        check("zurich", &[1]);
        check("ZÜRICH.", &[1]);
        check("zu\u{308}rich", &[1]);
        check("東京", &[0]);
        check("東", &[]);
        check("東*", &[0]);
        check("morn", &[]);
        check("morn*", &[0]);
        check("morn* g*", &[0]);
        check("morn*night", &[]);
        check("s 30", &[2]);
        check("it's", &[2]);
        check("9.30*", &[2]);
        check("9.3*", &[2]);
        check("9.3", &[]);
    };
    in_both_states(check, &texts);
}

#[test]
fn no_query_is_more_than_words() {
    let texts = ["AND OR NOT NEAR body a b", "quote"];
    let check = |rig: &Rig, ann: UserId| {
        for query in [
            "AND",
            "OR",
            "NOT",
            "NEAR(a b)",
            "a AND",
            "\"a",
            "a\"b",
            "body:a",
            "{body}: a",
            "^a",
            "a + b",
            "-a",
            "(a",
            "a)",
            "a**",
            "* a",
            "'a",
            "a-b",
            "a\0b",
            "a;--",
            "a:b",
            "+a",
            "a,b",
            "\u{202e}a",
            "a \\ b",
            "a.*",
            "%a%",
            "a_b",
        ] {
            assert_eq!(rig.texts(ann, query), [texts[0]], "{query:?}");
        }
        for query in ["", " ", "*", "* *", "\"", "...", "()", "\0", "-", "💬"] {
            assert_eq!(rig.store.search(ann, &wanted(query)).unwrap_err().code, Code::BadMedia, "{query:?}");
        }
    };
    in_both_states(check, &texts);
}

#[test]
fn every_letter_and_digit_finds_itself() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let letters = ('\u{1}'..='\u{2ffff}').filter(|c| c.is_alphanumeric());
    let letters: Vec<String> = letters.step_by(97).map(String::from).collect();
    for letter in &letters {
        rig.say(ann, all(), letter);
    }
    let (mut found, mut unknown) = (0, 0);
    for letter in &letters {
        match rig.store.search(ann, &wanted(letter)) {
            Ok(page) => {
                assert!(page.messages.iter().any(|message| text(message) == letter), "{letter:?}");
                found += 1;
            }
            // Younger than the tokenizer's tables.
            Err(refusal) => {
                assert_eq!(refusal.code, Code::BadMedia, "{letter:?}");
                unknown += 1;
            }
        }
    }
    assert!(found > 10 * unknown, "{found} {unknown}");
}

#[test]
fn only_what_the_asker_may_read_now_is_found() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let tea = rig.join(bob, "tea", None).chat;
    let ours = rig.group(bob, &[]);
    rig.say(bob, Target::Current(None), "secret of home");
    rig.say(bob, Target::Chat(tea), "secret of tea");
    rig.say(bob, Target::Chat(ours), "secret of ours");
    opened(rig.send(said(bob, to("ann"), 0, "secret of both")));
    rig.say(bob, all(), "secret of all");
    for _ in 0..2 {
        assert_eq!(rig.texts(ann, "secret").len(), 2);
        assert_eq!(rig.texts(bob, "secret").len(), 5);
        let of = |rig: &Rig, chat| rig.store.search(ann, &Search { chat: Some(chat), ..wanted("secret") });
        assert_eq!(of(&rig, tea).unwrap_err().code, Code::Forbidden);
        assert_eq!(of(&rig, ours).unwrap_err().code, Code::NotFound);
        assert_eq!(of(&rig, ChatId(999)).unwrap_err().code, Code::NotFound);
        rig.join(ann, "tea", None);
        assert_eq!(of(&rig, tea).unwrap().messages.len(), 1);
        assert_eq!(rig.texts(ann, "secret").len(), 3);
        rig.leave(ann, Some(tea)).unwrap();
        rig.push_into_the_index(bob, &all());
    }
}

#[test]
fn pages_are_the_newest_first_over_all_chats_and_none_is_skipped_or_repeated() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let rooms: Vec<ChatId> = ["a", "b", "c"].map(|name| rig.join(ann, name, None).chat).into();
    let mut random = 1_u32;
    let mut sent = Vec::new();
    for number in 0..400 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Many at the same time, and some while the clock goes back.
        rig.pass([0, 0, 1, -1][(random >> 30) as usize]);
        let chat = rooms[(random >> 20) as usize % 3];
        let message = rig.say(ann, Target::Chat(chat), if number % 3 == 0 { "needle" } else { "hay" });
        sent.push((message.at, message.chat, message.seq, number % 3 == 0));
    }
    let mut expected: Vec<_> = sent.iter().filter(|m| m.3).map(|m| (m.0, m.1, m.2)).collect();
    expected.sort_unstable();
    expected.reverse();
    for (chat, limit, max_bytes) in [
        (None, 1, 1 << 20),
        (None, 7, 1 << 20),
        (None, 200, 1),
        (None, 200, 1000),
        (Some(rooms[1]), 5, 1 << 20),
    ] {
        let (mut came, mut before) = (Vec::new(), (0, ChatId(0), 0));
        loop {
            let found = rig.find(ann, &Search { chat, before, limit, max_bytes, ..wanted("needle") });
            assert!(!found.messages.is_empty() && found.messages.len() <= limit.into());
            came.extend(found.messages.iter().map(|message| (message.at, message.chat, message.seq)));
            before = came[came.len() - 1];
            if !found.more {
                break;
            }
        }
        let of_chat = expected.iter().filter(|place| chat.is_none_or(|chat| place.1 == chat));
        assert_eq!(came, of_chat.copied().collect::<Vec<_>>(), "{chat:?} {limit} {max_bytes}");
    }
}

#[test]
fn a_place_behind_which_to_go_on_need_not_exist() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.say(ann, all(), "needle");
    let found = |before| rig.find(ann, &Search { before, ..wanted("needle") }).messages.len();
    assert_eq!(found((DAWN + 1, ChatId(0), 1)), 1);
    assert_eq!(found((DAWN, ChatId(u64::MAX), u64::MAX)), 1);
    assert_eq!(found((DAWN, ChatId::ALL, 2)), 1);
    assert_eq!(found((DAWN, ChatId::ALL, 1)), 0);
    assert_eq!(found((DAWN, ChatId(0), 9)), 0);
    assert_eq!(found((0, ChatId(9), 9)), 0);
    assert_eq!(found((Micros::MIN, ChatId(9), 9)), 0);
}

#[test]
fn matches_in_chats_of_others_and_of_far_too_many_are_passed_over() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let first = rig.join(ann, "first", None).chat;
    let theirs = rig.join(bob, "theirs", None).chat;
    let last = rig.join(ann, "last", None).chat;
    for chat in [first, theirs, last] {
        let sender = if chat == theirs { bob } else { ann };
        for _ in 0..700 {
            rig.say(sender, Target::Chat(chat), "needle");
        }
    }
    rig.pass(SECOND);
    rig.say(ann, Target::Chat(first), "a needle of late");
    rig.push_into_the_index(ann, &Target::Chat(last));
    for query in ["needle", "needl*"] {
        let found = rig.find(ann, &Search { limit: 3, ..wanted(query) });
        let places: Vec<_> = found.messages.iter().map(|message| (message.chat, message.seq)).collect();
        assert_eq!((places, found.more), (vec![(first, 701), (last, 700), (last, 699)], true));
    }
}

#[test]
fn files_are_found_by_their_names() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let content = Content::Media(Arc::new(picture(1)));
    let append = Append { name: "Harbour at night.JPG".into(), about: 3, ..sent(ann, all(), 0, content) };
    stored(rig.send(append));
    for _ in 0..2 {
        let found = rig.find(ann, &wanted("night jpg harb*"));
        assert!(matches!(found.messages[0].content, Content::Media(_)));
        rig.push_into_the_index(ann, &all());
    }
}

#[test]
fn the_index_says_the_same_behind_a_restart() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.say(ann, all(), "needle one");
    rig.push_into_the_index(ann, &all());
    rig.say(ann, all(), "needle two");
    assert!(rig.behind() > 0);
    let mut rig = rig.reopen();
    assert_eq!(rig.texts(ann, "needle"), ["needle two", "needle one"]);
    // What the last run has left is counted in.
    rig.push_into_the_index(ann, &all());
    assert_eq!((rig.indexed("needle"), rig.texts(ann, "needle").len()), (2, 2));
}

#[test]
fn what_is_deleted_leaves_no_word_behind() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let ours = rig.group(ann, &[]);
    rig.say(ann, Target::Chat(ours), "needle");
    rig.push_into_the_index(ann, &Target::Chat(ours));
    rig.say(bob, Target::Current(None), "needle");
    rig.push_into_the_index(bob, &Target::Current(None));
    assert_eq!(rig.indexed("needle"), 2);
    rig.leave(ann, Some(ours)).unwrap();
    assert_eq!(rig.indexed("needle"), 1);
    let (deleted, _) = rig.command(|admin| admin.delete("bob"));
    deleted.unwrap();
    assert_eq!((rig.indexed("needle"), rig.indexed("filler")), (0, 0));
    rig.other().execute("INSERT INTO words (words) VALUES ('integrity-check')", []).unwrap();
}

//! Messages: order, exactly once, addresses, media.

use super::*;

#[test]
fn seqs_of_a_chat_have_no_gap_whatever_is_refused_between() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    for round in 1..=50 {
        let message = rig.say(ann, all(), "hello");
        assert_eq!(message.seq, round);
        let bad = Append { reply_to: 1_000, ..said(ann, all(), 0, "to nothing") };
        assert_eq!(code(rig.send(bad)), Code::NotFound);
    }
    assert_eq!(seqs(&rig.all_of(ChatId::ALL)), (1..=50).collect::<Vec<_>>());
}

#[test]
fn ops_are_carried_out_in_their_order_by_whoever_does_it() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    for nonce in 1..=600 {
        let op = Op::Append(said(ann, all(), nonce, "hello"));
        // Alone, so that it may be done here; two together; and through the writing thread.
        match nonce % 4 {
            0 => rig.store.submit(op),
            1 => rig.store.bring(op),
            _ => {
                rig.store.bring(op);
                rig.store.carry_out();
            }
        }
    }
    rig.store.carry_out();
    for nonce in 1..=600 {
        let Outcome::Stored(message) = rig.outcome() else { panic!("{nonce} was not stored") };
        assert_eq!((message.nonce, message.seq), (nonce, nonce));
    }
}

#[test]
fn seqs_go_on_after_a_restart() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.say(ann, all(), "one");
    let mut rig = rig.reopen();
    assert_eq!(rig.say(ann, all(), "two").seq, 2);
    assert_eq!(rig.all_of(ChatId::ALL).iter().map(text).collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn a_text_is_kept_byte_for_byte() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let odd = "nul \0, quotes ' \" and 🦀 \u{202e} e\u{301}";
    rig.say(ann, all(), odd);
    assert_eq!(text(&rig.all_of(ChatId::ALL)[0]), odd);
}

#[test]
fn what_is_read_is_what_was_committed() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.say(ann, all(), "first");
    let message = stored(rig.send(Append {
        user_name: "ann".into(),
        reply_to: 1,
        name: "file.txt".into(),
        ..said(ann, all(), u64::MAX, "second")
    }));
    assert_eq!((message.reply_to, message.nonce, &*message.name), (1, u64::MAX, "file.txt"));
    assert_eq!(rig.all_of(ChatId::ALL)[1], message);
}

#[test]
fn a_copy_in_the_same_batch_is_a_duplicate() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let mut rig = rig.reopen_unstarted();
    for _ in 0..3 {
        rig.store.submit(Op::Append(said(ann, all(), 9, "once")));
    }
    rig.start();
    let message = stored(rig.outcome());
    assert_eq!(duplicate(rig.outcome()), (message.chat, message.seq));
    assert_eq!(duplicate(rig.outcome()), (message.chat, message.seq));
    assert_eq!(rig.say(ann, all(), "next").seq, 2);
}

#[test]
fn a_copy_after_a_restart_is_a_duplicate_with_the_first_status() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let first = stored(rig.send(said(ann, all(), u64::MAX - 1, "once")));
    rig.pass(HOUR);
    let mut rig = rig.reopen();
    match rig.send(said(ann, all(), u64::MAX - 1, "once")) {
        Outcome::Duplicate { chat, seq, at } => {
            assert_eq!((chat, seq, at), (first.chat, first.seq, first.at));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_nonce_with_another_body_type_or_chat_is_a_conflict() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.join(ann, "tea", None);
    stored(rig.send(said(ann, all(), 5, "once")));
    assert_eq!(code(rig.send(said(ann, all(), 5, "twice"))), Code::Conflict);
    assert_eq!(code(rig.send(said(ann, room("tea"), 5, "once"))), Code::Conflict);
    assert_eq!(code(rig.send(said(ann, Target::Chat(ChatId(999)), 5, "once"))), Code::Conflict);
    assert_eq!(code(rig.send(said(ann, to("nobody"), 5, "once"))), Code::Conflict);
    let media = sent(ann, all(), 5, Content::Media(Arc::new(picture(1))));
    assert_eq!(code(rig.send(media)), Code::Conflict);
    assert_eq!(duplicate(rig.send(said(ann, room("ALL"), 5, "once"))), (ChatId::ALL, 1));
}

#[test]
fn the_current_chat_is_no_part_of_what_a_copy_must_match() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let tea = rig.join(ann, "tea", None).chat;
    stored(rig.send(said(ann, Target::Current(Some(tea)), 5, "once")));
    assert_eq!(duplicate(rig.send(said(ann, Target::Current(None), 5, "once"))), (tea, 1));
}

#[test]
fn nonces_of_different_senders_are_different() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    assert_eq!(stored(rig.send(said(ann, all(), 5, "hi"))).seq, 1);
    assert_eq!(stored(rig.send(said(bob, all(), 5, "hi"))).seq, 2);
}

#[test]
fn a_copy_wins_over_an_address_that_is_closed_now_and_over_policy() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let tea = rig.join(ann, "tea", None).chat;
    rig.join(bob, "tea", None);
    stored(rig.send(said(ann, room("tea"), 5, "once")));
    rig.leave(ann, Some(tea)).unwrap();
    assert_eq!(duplicate(rig.send(said(ann, room("tea"), 5, "once"))), (tea, 1));
    assert_eq!(code(rig.send(said(ann, room("tea"), 6, "once"))), Code::Forbidden);

    let closed = || Some(Refusal::new(Code::OutsideHours, "closed"));
    let late = Append { refused: closed(), ..said(ann, Target::Chat(tea), 5, "once") };
    assert_eq!(duplicate(rig.send(late)), (tea, 1));
    let late = Append { refused: closed(), ..said(ann, all(), 8, "new") };
    assert_eq!(code(rig.send(late)), Code::OutsideHours);
}

#[test]
fn an_unreadable_body_is_refused_as_it_was_judged() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let bad = Append { content: Err(Refusal::new(Code::BadMedia, "no")), ..said(ann, all(), 5, "") };
    assert_eq!(code(rig.send(bad)), Code::BadMedia);
    assert_eq!(stored(rig.send(said(ann, all(), 5, "the nonce is free"))).seq, 1);
}

#[test]
fn a_refused_message_leaves_its_nonce_free() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    assert_eq!(code(rig.send(said(ann, room("tea"), 5, "hi"))), Code::NotFound);
    rig.join(ann, "tea", None);
    assert_eq!(stored(rig.send(said(ann, room("tea"), 5, "hi"))).seq, 1);
}

#[test]
fn a_private_chat_of_others_is_the_same_as_none() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let home = rig.say(bob, Target::Current(None), "mine").chat;
    let private = refused(rig.send(said(ann, Target::Chat(home), 0, "hi")));
    let missing = refused(rig.send(said(ann, Target::Chat(ChatId(u64::MAX)), 0, "hi")));
    assert_eq!(private, missing);
    assert_eq!(private.code, Code::NotFound);
    let tea = rig.join(bob, "tea", None).chat;
    assert_eq!(code(rig.send(said(ann, Target::Chat(tea), 0, "hi"))), Code::Forbidden);
    assert_eq!(code(rig.send(said(ann, Target::Current(Some(tea)), 0, "hi"))), Code::Forbidden);
}

#[test]
fn the_first_message_to_a_user_opens_their_direct_chat() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("Bob"));
    let (first, users) = opened(rig.send(said(ann, to("bob"), 1, "hi")));
    assert_eq!((first.seq, users), (1, [ann, bob]));
    let answer = stored(rig.send(said(bob, to("ANN"), 1, "hi too")));
    assert_eq!((answer.chat, answer.seq), (first.chat, 2));
    assert_eq!(duplicate(rig.send(said(ann, to("BOB"), 1, "hi"))), (first.chat, 1));
    assert_eq!(code(rig.send(said(ann, to("bob"), 1, "other"))), Code::Conflict);
}

#[test]
fn nobody_writes_to_themselves_or_to_strangers_and_the_assistants_name_means_home() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    for name in ["ann", "nobody"] {
        assert_eq!(code(rig.send(said(ann, to(name), 0, "hi"))), Code::NotFound, "{name}");
    }
    let home = stored(rig.send(said(ann, to("Assistant"), 0, "hi")));
    assert_eq!(home.chat, stored(rig.send(said(ann, Target::Current(None), 0, "hi"))).chat);
    let bob = rig.guest("bob");
    let (first, _) = opened(rig.send(said(ann, to("bob"), 5, "hi")));
    rig.other().execute("UPDATE users SET deleted_at = 1 WHERE id = ?1", [bob.0.cast_signed()]).unwrap();
    assert_eq!(code(rig.send(said(ann, to("bob"), 0, "hi"))), Code::NotFound);
    assert_eq!(duplicate(rig.send(said(ann, to("bob"), 5, "hi"))), (first.chat, 1), "it had arrived");
}

#[test]
fn a_direct_chat_that_would_begin_with_a_bad_message_is_not_made() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.guest("bob");
    let bad = Append { reply_to: 1, ..said(ann, to("bob"), 0, "hi") };
    assert_eq!(code(rig.send(bad)), Code::NotFound);
    opened(rig.send(said(ann, to("bob"), 0, "hi")));
}

#[test]
fn the_assistant_answers_in_a_chat_that_it_is_no_member_of() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let home = rig.say(ann, Target::Current(None), "what time is it?").chat;
    let voice = Arc::new(Media { kind: MediaKind::Voice, ..picture(1) });
    let reply = Content::Reply("late".into(), vec![voice, Arc::new(picture(2))]);
    let answer = Append {
        conn: None,
        user_name: "assistant".into(),
        reply_to: 1,
        ..sent(UserId::ASSISTANT, Target::Chat(home), 0, reply)
    };
    let answer = stored(rig.send(answer));
    assert_eq!(answer.seq, 2);
    assert_eq!(rig.all_of(home)[1], answer);
}

#[test]
fn time_never_runs_backwards_within_a_chat() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let first = rig.say(ann, all(), "now");
    rig.pass(-HOUR);
    assert_eq!(rig.say(ann, all(), "then").at, first.at);
    let mut rig = rig.reopen();
    assert_eq!(rig.say(ann, all(), "still then").at, first.at);
    rig.pass(2 * HOUR);
    assert_eq!(rig.say(ann, all(), "later").at, DAWN + HOUR);
}

#[test]
fn media_sent_whole_and_the_same_media_sent_by_reference_are_two_bodies_to_a_nonce() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let image = Arc::new(picture(1));
    let first = stored(rig.send(sent(ann, all(), 5, Content::Media(Arc::clone(&image)))));
    let whole = |nonce| sent(ann, all(), nonce, Content::Media(Arc::clone(&image)));
    let reference = |kind, nonce| sent(ann, all(), nonce, Content::Reference(kind, image.id));
    assert_eq!(duplicate(rig.send(whole(5))), (ChatId::ALL, first.seq));
    assert_eq!(code(rig.send(reference(MediaKind::Image, 5))), Code::Conflict);
    let again = stored(rig.send(reference(MediaKind::Image, 6)));
    assert_eq!(again.content, Content::Media(Arc::clone(&image)));
    assert_eq!(duplicate(rig.send(reference(MediaKind::Image, 6))).1, again.seq);
    assert_eq!(code(rig.send(reference(MediaKind::File, 6))), Code::Conflict);
    assert_eq!(code(rig.send(whole(6))), Code::Conflict);
    assert_eq!(rig.all_of(ChatId::ALL)[1].content, again.content);
}

#[test]
fn one_file_may_be_media_of_two_kinds() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let image = Arc::new(picture(1));
    let file = Arc::new(Media { kind: MediaKind::File, ..picture(1) });
    for media in [&image, &file] {
        rig.send(sent(ann, all(), 0, Content::Media(Arc::clone(media))));
    }
    let contents: Vec<_> = rig.all_of(ChatId::ALL).into_iter().map(|message| message.content).collect();
    assert_eq!(contents, [Content::Media(image), Content::Media(file)]);
}

#[test]
fn media_exists_only_for_who_may_read_a_message_with_it() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let tea = rig.join(ann, "tea", None).chat;
    let secret = picture(1);
    stored(rig.send(sent(ann, room("tea"), 0, Content::Media(Arc::new(secret.clone())))));

    let reference = |user, kind, id| sent(user, all(), 0, Content::Reference(kind, id));
    let hidden = refused(rig.send(reference(bob, MediaKind::Image, secret.id)));
    let missing = refused(rig.send(reference(bob, MediaKind::Image, MediaId([9; 32]))));
    let other_kind = refused(rig.send(reference(bob, MediaKind::File, secret.id)));
    assert_eq!((&hidden, &missing), (&missing, &other_kind));
    assert_eq!(code(rig.send(reference(ann, MediaKind::Voice, secret.id))), Code::BadMedia);
    assert_eq!(rig.store.media(bob, secret.id).unwrap_err(), hidden);
    assert_eq!(rig.store.media(ann, secret.id).unwrap(), secret);

    rig.join(bob, "tea", None);
    assert_eq!(rig.store.media(bob, secret.id).unwrap(), secret);
    rig.leave(bob, Some(tea)).unwrap();
    assert_eq!(rig.store.media(bob, secret.id).unwrap_err(), hidden);

    stored(rig.send(reference(ann, MediaKind::Image, secret.id)));
    assert_eq!(rig.store.media(bob, secret.id).unwrap(), secret, "it stands in `all` now");
}

/// What it costs to ask for this media, in steps of SQLite's machine.
fn steps(db: &rusqlite::Connection, user: UserId, id: MediaId) -> i32 {
    let mut statement = db.prepare(crate::store::sqlite::chat::READABLE_MEDIA).unwrap();
    let kind = MediaKind::Image as u8;
    statement.exists(rusqlite::params![user.0.cast_signed(), id.0, kind]).unwrap();
    statement.get_status(rusqlite::StatementStatus::VmStep)
}

#[test]
fn media_that_one_may_not_read_costs_as_much_as_media_that_is_not_there() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let tea = rig.join(ann, "tea", None).chat;
    rig.join(bob, "rum", None);
    let secret = picture(1);
    // The second stands behind all that is asked for: no search runs into the index's end.
    for media in [&secret, &picture(99)] {
        stored(rig.send(sent(ann, room("tea"), 0, Content::Media(Arc::new(media.clone())))));
    }
    let db = rig.other();
    let missing = steps(&db, bob, MediaId([9; 32]));
    assert_eq!(steps(&db, bob, secret.id), missing);
    let more = "WITH RECURSIVE n (n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
                INSERT INTO messages (id, at, user, kind) SELECT ?1 << 32 | n, 0, 0, 3 FROM n";
    db.execute(more, [tea.0.cast_signed()]).unwrap();
    let refer = "INSERT INTO media_refs SELECT id, 0, ?1, 3 FROM messages WHERE id & 4294967295 > 2";
    db.execute(refer, [secret.id.0]).unwrap();
    assert_eq!(steps(&db, bob, secret.id), missing, "nor does it matter how often others have sent it");
    assert!(steps(&db, ann, secret.id) < 2 * missing, "nor to who may read it");
}

#[test]
fn a_nonce_is_looked_up_through_its_index() {
    let rig = Rig::new();
    let plan: String = rig
        .other()
        .query_row(
            "EXPLAIN QUERY PLAN SELECT id FROM messages WHERE nonce = ?1 AND user = ?2 AND nonce <> 0",
            [1, 2],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("messages_by_nonce"), "{plan}");
}

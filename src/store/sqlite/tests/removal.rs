//! DELETE: who may, what is left of a message, and what goes with it.

use super::search::{A_STEP, wanted};
use super::*;
use crate::store::media::{Hold, MediaStore};
use crate::store::{Delete, Deleted};

impl Rig {
    fn delete(&mut self, user: UserId, chat: ChatId, seq: Seq) -> Result<Deleted, Refusal> {
        match self.ask(Op::Delete(Delete { conn: CONN, user, req: REQ, chat, seq })) {
            Committed::Delete(CONN, REQ, done) => done,
            other => panic!("not a removal: {other:?}"),
        }
    }

    fn rows(&self, table: &str) -> i64 {
        self.other().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    /// The same with files, which go with their messages.
    fn with_files() -> (Rig, Arc<MediaStore>) {
        Rig::unstarted().and_files()
    }

    fn and_files(self) -> (Rig, Arc<MediaStore>) {
        let files = Arc::new(MediaStore::open(self.dir.path()).unwrap());
        self.store.frees(Arc::clone(&files));
        self.start();
        (self, files)
    }
}

/// A body that has come whole.
fn body(files: &MediaStore, bytes: &[u8]) -> (Media, Hold) {
    let mut spool = files.spool(MediaKind::File).unwrap();
    spool.write(bytes).unwrap();
    spool.finish().unwrap()
}

/// A message with it.
fn with_body(user: UserId, (media, hold): (Media, Hold)) -> Append {
    Append { hold: Some(Box::new(hold)), ..sent(user, all(), 0, Content::Media(Arc::new(media))) }
}

#[test]
fn a_removed_message_keeps_its_place_and_nothing_of_what_it_said() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.say(ann, all(), "one");
    let name = "secret.png".into();
    let picture = Content::Media(Arc::new(picture(1)));
    let sent = stored(rig.send(Append { reply_to: 1, name, ..sent(ann, all(), 5, picture) }));
    rig.say(ann, all(), "three");
    let deleted = Deleted { chat: ChatId::ALL, seq: 2, is_new: true };
    assert_eq!(rig.delete(ann, ChatId::ALL, 2).unwrap(), deleted);
    let gone = Message { name: "".into(), content: Content::Gone, user_name: "ann".into(), ..sent };
    let check = |rig: &Rig| {
        assert_eq!(rig.all_of(ChatId::ALL)[1], gone);
        assert_eq!(seqs(&rig.all_of(ChatId::ALL)), [1, 2, 3]);
        assert_eq!((rig.rows("media"), rig.rows("media_refs")), (0, 0));
    };
    check(&rig);
    let mut rig = rig.reopen();
    check(&rig);
    assert_eq!(rig.delete(ann, ChatId::ALL, 2).unwrap(), Deleted { is_new: false, ..deleted });
    assert_eq!(rig.say(ann, all(), "four").seq, 4);
}

#[test]
fn the_newest_message_can_go_and_its_seq_is_not_given_again() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    rig.say(ann, all(), "one");
    rig.delete(ann, ChatId::ALL, 1).unwrap();
    let mut rig = rig.reopen();
    assert_eq!(rig.say(ann, all(), "two").seq, 2);
    let reply = stored(rig.send(Append { reply_to: 1, ..said(ann, all(), 0, "to what is gone") }));
    assert_eq!(reply.reply_to, 1);
}

#[test]
fn a_message_is_removed_by_who_sent_it_or_owns_its_group_or_its_home() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let cat = rig.guest("cat");
    let ours = rig.group(ann, &["bob", "cat"]);
    let tea = rig.join(ann, "tea", None).chat;
    rig.join(bob, "tea", None);
    for chat in [ours, tea, ChatId::ALL] {
        rig.say(bob, Target::Chat(chat), "bob's");
    }
    let code = |done: Result<Deleted, Refusal>| done.unwrap_err().code;
    assert_eq!(code(rig.delete(cat, ours, 1)), Code::Forbidden);
    assert_eq!(code(rig.delete(ann, tea, 1)), Code::Forbidden, "a room has no owner");
    assert_eq!(code(rig.delete(cat, tea, 1)), Code::Forbidden, "a room that one is not in");
    assert_eq!(code(rig.delete(cat, ChatId::ALL, 1)), Code::Forbidden);
    let never = [0, 2, 1 << 32, u64::MAX];
    for seq in never {
        assert_eq!(code(rig.delete(bob, ours, seq)), Code::NotFound, "{seq}");
    }
    assert_eq!(rig.all_of(ours)[0].content, Content::Text("bob's".into()), "nothing of this did anything");
    assert!(rig.delete(ann, ours, 1).unwrap().is_new, "it is her group");
    assert_eq!(code(rig.delete(cat, ours, 1)), Code::Forbidden, "also once it is gone");
    assert!(!rig.delete(bob, ours, 1).unwrap().is_new);
    assert!(rig.delete(bob, tea, 1).unwrap().is_new);

    let home = rig.say(ann, Target::Current(None), "hello").chat;
    let answer = sent(UserId::ASSISTANT, Target::Chat(home), 0, Content::Reply("hi".into(), Vec::new()));
    stored(rig.send(answer));
    assert_eq!(code(rig.delete(bob, home, 2)), Code::NotFound, "it does not exist for him");
    assert!(rig.delete(ann, home, 2).unwrap().is_new);
    assert_eq!(rig.all_of(home)[1].content, Content::Gone);
    assert_eq!(code(rig.delete(bob, ChatId(u64::MAX), 1)), Code::NotFound);

    let direct = opened(rig.send(said(ann, to("bob"), 0, "hi"))).0.chat;
    assert_eq!(code(rig.delete(bob, direct, 1)), Code::Forbidden);
    assert!(rig.delete(ann, direct, 1).unwrap().is_new);
    // Who has left may no longer.
    rig.leave(bob, Some(ours)).unwrap();
    assert_eq!(code(rig.delete(bob, ours, 1)), Code::NotFound);
}

#[test]
fn a_copy_of_a_removed_message_stores_nothing() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let home = rig.say(ann, Target::Current(None), "hello").chat;
    rig.send(said(ann, all(), 5, "oops"));
    rig.delete(ann, ChatId::ALL, 1).unwrap();
    let check = |rig: &mut Rig| {
        assert_eq!(duplicate(rig.send(said(ann, all(), 5, "oops"))), (ChatId::ALL, 1));
        assert_eq!(duplicate(rig.send(said(ann, all(), 5, "what it said, nobody knows"))).1, 1);
        let picture = Content::Media(Arc::new(picture(1)));
        assert_eq!(duplicate(rig.send(sent(ann, all(), 5, picture))).1, 1);
        assert_eq!(code(rig.send(said(ann, Target::Chat(home), 5, "oops"))), Code::Conflict);
        assert_eq!((rig.all_of(ChatId::ALL).len(), rig.rows("media")), (1, 0));
    };
    check(&mut rig);
    check(&mut rig.reopen());
}

#[test]
fn a_removed_message_is_not_found_whether_or_not_it_was_in_the_index() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    for text in ["a secret word", "another secret", "the third secret"] {
        rig.say(ann, all(), text);
    }
    rig.delete(ann, ChatId::ALL, 2).unwrap();
    assert_eq!(rig.texts(ann, "secret"), ["the third secret", "a secret word"]);
    rig.push_into_the_index(ann, &all());
    assert_eq!((rig.indexed("secret"), rig.indexed("another")), (2, 0));
    rig.delete(ann, ChatId::ALL, 1).unwrap();
    assert_eq!((rig.indexed("secret"), rig.indexed("word")), (1, 0));
    assert_eq!(rig.texts(ann, "secret"), ["the third secret"]);
    assert_eq!(rig.find(ann, &wanted("filler")).messages.len(), 200);
    let last = rig.all_of(ChatId::ALL).len() as u64;
    assert!(last > A_STEP as u64);
    for seq in 4..=last {
        rig.delete(ann, ChatId::ALL, seq).unwrap();
    }
    assert_eq!(rig.indexed("filler"), 0);
    assert!(rig.find(ann, &wanted("filler")).messages.is_empty());
}

#[test]
fn media_goes_with_the_last_message_that_has_it() {
    let (mut rig, files) = Rig::with_files();
    let ann = rig.guest("ann");
    let one = body(&files, b"the same bytes");
    let path = files.path(&one.0.id);
    let id = one.0.id;
    stored(rig.send(with_body(ann, one)));
    stored(rig.send(sent(ann, all(), 0, Content::Reference(MediaKind::File, id))));
    rig.delete(ann, ChatId::ALL, 1).unwrap();
    assert!(path.exists() && rig.store.media(ann, id).is_ok(), "another message has it");
    rig.delete(ann, ChatId::ALL, 2).unwrap();
    assert!(!path.exists());
    assert_eq!(rig.store.media(ann, id).unwrap_err().code, Code::NotFound);
    assert_eq!((rig.rows("media"), rig.rows("media_refs")), (0, 0));
    // The same bytes again are new.
    stored(rig.send(with_body(ann, body(&files, b"the same bytes"))));
    assert!(path.exists() && rig.store.media(ann, id).is_ok());
}

#[test]
fn one_file_that_is_media_of_two_kinds_goes_with_the_second() {
    let (mut rig, files) = Rig::with_files();
    let ann = rig.guest("ann");
    let mut spool = files.spool(MediaKind::Image).unwrap();
    spool.write(b"GIF89a\x40\x01\xC8\0\x80\0\0\0\0\0\xFF\xFF\xFF").unwrap();
    let (image, hold) = spool.finish().unwrap();
    let id = image.id;
    stored(rig.send(with_body(ann, (image.clone(), hold))));
    let file = Media { kind: MediaKind::File, ..image };
    stored(rig.send(sent(ann, all(), 0, Content::Media(Arc::new(file)))));
    rig.delete(ann, ChatId::ALL, 1).unwrap();
    assert!(files.path(&id).exists() && rig.rows("media") == 1);
    rig.delete(ann, ChatId::ALL, 2).unwrap();
    assert!(!files.path(&id).exists() && rig.rows("media") == 0);
}

#[test]
fn what_a_user_has_uploaded_stays_for_that_user_to_send() {
    let (mut rig, files) = Rig::with_files();
    let ann = rig.guest("ann");
    let upload = body(&files, b"uploaded");
    let id = upload.0.id;
    stored(rig.send(with_body(ann, upload)));
    rig.other()
        .execute(
            "INSERT INTO uploads (user, media, kind, stored_at) VALUES (?1, ?2, 4, 1)",
            rusqlite::params![ann.0.cast_signed(), id.0],
        )
        .unwrap();
    rig.delete(ann, ChatId::ALL, 1).unwrap();
    assert!(files.path(&id).exists());
    stored(rig.send(sent(ann, all(), 0, Content::Reference(MediaKind::File, id))));
}

#[test]
fn a_file_that_somebody_is_about_to_send_outlives_the_message_that_had_it() {
    let (mut rig, files) = Rig::with_files();
    let ann = rig.guest("ann");
    let one = body(&files, b"bytes");
    let id = one.0.id;
    stored(rig.send(with_body(ann, one)));
    let mut again = Vec::new();
    for _ in 0..3 {
        again.push(body(&files, b"bytes"));
    }
    rig.delete(ann, ChatId::ALL, 1).unwrap();
    assert!(files.path(&id).exists(), "it is held");
    drop(again.pop());
    stored(rig.send(with_body(ann, again.pop().unwrap())));
    assert!(rig.store.media(ann, id).is_ok());
    // The last one is refused, and the file is the message's now.
    let mut refused = with_body(ann, again.pop().unwrap());
    refused.refused = Some(Refusal::internal());
    assert!(matches!(rig.send(refused), Outcome::Refused(_)));
    assert!(files.path(&id).exists());
    rig.delete(ann, ChatId::ALL, 2).unwrap();
    assert!(!files.path(&id).exists());
}

#[test]
fn what_held_a_removed_file_and_is_refused_takes_it_along() {
    let (mut rig, files) = Rig::with_files();
    let ann = rig.guest("ann");
    let one = body(&files, b"bytes");
    let id = one.0.id;
    stored(rig.send(with_body(ann, one)));
    let held = body(&files, b"bytes");
    rig.delete(ann, ChatId::ALL, 1).unwrap();
    drop(held);
    assert!(!files.path(&id).exists());
}

#[test]
fn a_copy_of_a_removed_message_with_its_body_leaves_no_file() {
    let (mut rig, files) = Rig::with_files();
    let ann = rig.guest("ann");
    let one = body(&files, b"bytes");
    let id = one.0.id;
    stored(rig.send(Append { nonce: 5, ..with_body(ann, one) }));
    rig.delete(ann, ChatId::ALL, 1).unwrap();
    let copy = Append { nonce: 5, ..with_body(ann, body(&files, b"bytes")) };
    assert_eq!(duplicate(rig.send(copy)).1, 1);
    assert!(!files.path(&id).exists());
}

/// All of it in one transaction.
#[test]
fn a_file_that_is_freed_and_sent_again_at_once_stays_and_the_other_way_round_goes() {
    let rig = Rig::unstarted();
    let files = Arc::new(MediaStore::open(rig.dir.path()).unwrap());
    let (rig, ann) = {
        let mut rig = rig;
        rig.start();
        let ann = rig.guest("ann");
        stored(rig.send(with_body(ann, body(&files, b"freed first"))));
        (rig, ann)
    };
    let mut rig = rig.reopen_unstarted();
    let freed = body(&files, b"freed first");
    let sent = body(&files, b"sent first");
    let (stays, goes) = (files.path(&freed.0.id), files.path(&sent.0.id));
    let delete = |seq| Op::Delete(Delete { conn: CONN, user: ann, req: REQ, chat: ChatId::ALL, seq });
    rig.store.submit(delete(1));
    rig.store.submit(Op::Append(with_body(ann, freed)));
    rig.store.submit(Op::Append(with_body(ann, sent)));
    rig.store.submit(delete(3));
    rig.store.frees(Arc::clone(&files));
    rig.start();
    assert!(matches!(rig.next(), Committed::Delete(_, _, Ok(Deleted { is_new: true, .. }))));
    stored(rig.outcome());
    stored(rig.outcome());
    assert!(matches!(rig.next(), Committed::Delete(_, _, Ok(Deleted { is_new: true, .. }))));
    assert!(stays.exists() && !goes.exists());
    assert_eq!(rig.rows("media"), 1);
}

#[test]
fn a_removal_that_was_undone_has_removed_nothing() {
    let (mut rig, files) = Rig::with_files();
    let ann = rig.guest("ann");
    let one = body(&files, b"bytes");
    let path = files.path(&one.0.id);
    stored(rig.send(with_body(ann, one)));
    rig.other()
        .execute_batch(
            "CREATE TRIGGER trap AFTER UPDATE ON messages WHEN NEW.kind = 15 BEGIN SELECT raise(ROLLBACK, 'no'); END",
        )
        .unwrap();
    assert_eq!(rig.delete(ann, ChatId::ALL, 1).unwrap_err().code, Code::Internal);
    assert!(path.exists() && rig.rows("media") == 1);
    rig.other().execute_batch("DROP TRIGGER trap").unwrap();
    assert!(rig.delete(ann, ChatId::ALL, 1).unwrap().is_new);
    assert!(!path.exists());
}

#[test]
fn media_goes_with_a_group_that_nobody_is_left_in() {
    let (mut rig, files) = Rig::with_files();
    let ann = rig.guest("ann");
    let mut paths = Vec::new();
    for run_ends in [false, true] {
        let ours = rig.group(ann, &[]);
        let (both, one) = (body(&files, b"in both"), body(&files, &[u8::from(run_ends); 9]));
        paths.extend([files.path(&both.0.id), files.path(&one.0.id)]);
        for body in [both, one] {
            stored(rig.send(Append { target: Target::Chat(ours), ..with_body(ann, body) }));
        }
        if !run_ends {
            stored(rig.send(with_body(ann, body(&files, b"in both"))));
            rig.leave(ann, Some(ours)).unwrap();
            assert!(paths[0].exists() && !paths[1].exists());
            rig.delete(ann, ChatId::ALL, 1).unwrap();
            assert!(!paths[0].exists());
        }
    }
    // The guest's connection ends with the run, and so does the membership.
    let (mut rig, _files) = rig.reopen_unstarted().and_files();
    rig.say(ann, all(), "hello");
    assert!(!paths[2].exists() && !paths[3].exists() && rig.rows("media") == 0);
}

#[test]
fn media_goes_with_a_home_chat() {
    let (mut rig, files) = Rig::with_files();
    let ann = rig.guest("ann");
    let secret = body(&files, b"at home");
    let path = files.path(&secret.0.id);
    stored(rig.send(Append { target: Target::Current(None), ..with_body(ann, secret) }));
    rig.depart(ann);
    rig.pass(48 * HOUR);
    rig.chores();
    assert!(!path.exists() && rig.rows("media") == 0 && rig.rows("messages") == 0);
}

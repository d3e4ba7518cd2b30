//! Whole uploads, and how much media is kept.

use super::*;
use crate::store::media::MediaStore;
use crate::store::{Upload, Used};

const TICKET: u32 = 9;

/// A file of these bytes, held.
fn file(rig: &Rig, bytes: &[u8]) -> (Media, Box<crate::store::media::Hold>) {
    let files = MediaStore::open(rig.dir.path()).unwrap();
    let mut spool = files.spool(MediaKind::File).unwrap();
    spool.write(bytes).unwrap();
    let (media, hold) = spool.finish().unwrap();
    (media, Box::new(hold))
}

impl Rig {
    fn upload(&mut self, user: UserId, bytes: &[u8]) -> Media {
        let (media, hold) = file(self, bytes);
        let upload = Upload { conn: CONN, user, ticket: TICKET, media: media.clone(), hold };
        match self.ask(Op::Upload(upload)) {
            Committed::Upload(CONN, TICKET, Ok(id)) => assert_eq!(id, media.id),
            other => panic!("not uploaded: {other:?}"),
        }
        media
    }

    fn sends(&mut self, user: UserId, media: &Media) -> Outcome {
        self.send(sent(user, all(), 0, Content::Reference(media.kind, media.id)))
    }

    fn used(&self, user: UserId) -> (u64, u64) {
        let Used { all, own } = self.store.used(user).unwrap();
        (all, own)
    }

    fn path_of(&self, media: &Media) -> std::path::PathBuf {
        self.dir.path().join(crate::store::media::relative_path(&media.id))
    }
}

#[test]
fn who_has_uploaded_may_send_and_nobody_else() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    let media = rig.upload(ann, b"mine");
    assert_eq!(rig.store.media(ann, media.id).unwrap(), media);
    assert_eq!(rig.store.media(bob, media.id).unwrap_err().code, Code::NotFound);
    assert_eq!(code(rig.sends(bob, &media)), Code::NotFound);
    let mut rig = rig.reopen();
    stored(rig.sends(ann, &media));
    stored(rig.sends(bob, &media));
    assert_eq!(std::fs::read(rig.path_of(&media)).unwrap(), b"mine");
    // Again is no other.
    assert_eq!(rig.upload(ann, b"mine"), media);
}

#[test]
fn an_upload_that_cannot_be_kept_leaves_no_file() {
    let mut rig = Rig::new();
    let (media, hold) = file(&rig, b"of nobody");
    let nobody = UserId(999);
    let upload = Upload { conn: CONN, user: nobody, ticket: TICKET, media: media.clone(), hold };
    match rig.ask(Op::Upload(upload)) {
        Committed::Upload(CONN, TICKET, Err(refusal)) => assert_eq!(refusal.code, Code::Internal),
        other => panic!("{other:?}"),
    }
    assert!(!rig.path_of(&media).exists());
}

#[test]
fn media_counts_once_and_as_its_first_bringers() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    assert_eq!(rig.used(ann), (0, 0));
    stored(rig.send(sent(ann, all(), 0, Content::Media(Arc::new(picture(1))))));
    assert_eq!((rig.used(ann), rig.used(bob)), ((1234, 1234), (1234, 0)));
    // Neither as another kind, nor brought again, nor referred to.
    let as_file = Media { kind: MediaKind::File, ..picture(1) };
    for media in [picture(1), as_file] {
        stored(rig.send(sent(bob, all(), 0, Content::Media(Arc::new(media)))));
    }
    stored(rig.sends(bob, &picture(1)));
    assert_eq!((rig.used(ann), rig.used(bob)), ((1234, 1234), (1234, 0)));
    rig.upload(bob, b"seven b");
    assert_eq!((rig.used(ann), rig.used(bob)), ((1241, 1234), (1241, 7)));
}

#[test]
fn media_that_goes_counts_no_more_and_takes_its_uploads_along() {
    let mut rig = Rig::new();
    let ann = rig.guest("ann");
    let media = rig.upload(ann, b"seven b");
    for kind in [MediaKind::Image, MediaKind::File] {
        stored(rig.send(sent(ann, all(), 0, Content::Media(Arc::new(Media { kind, ..picture(1) })))));
    }
    assert_eq!(rig.used(ann), (1241, 1241));
    let other = rig.other();
    other.pragma_update(None, "foreign_keys", true).unwrap();
    other.execute("DELETE FROM media WHERE id = ?1", [media.id.0]).unwrap();
    assert_eq!(rig.used(ann), (1234, 1234));
    assert_eq!(rig.store.media(ann, media.id).unwrap_err().code, Code::NotFound);
    // Of one file that is two kinds the last counts.
    other.execute("DELETE FROM media_refs WHERE kind = 3", []).unwrap();
    other.execute("DELETE FROM media WHERE id = ?1 AND kind = 3", [picture(1).id.0]).unwrap();
    assert_eq!(rig.used(ann), (1234, 1234));
    other.execute("DELETE FROM media_refs", []).unwrap();
    other.execute("DELETE FROM media", []).unwrap();
    assert_eq!(rig.used(ann), (0, 0));
}

#[test]
fn a_nonce_that_is_there_is_known() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.guest("ann"), rig.guest("bob"));
    stored(rig.send(said(ann, all(), 5, "hi")));
    let known = |user, nonce| rig.store.has_nonce(user, nonce).unwrap();
    assert!(known(ann, 5) && !known(ann, 6) && !known(bob, 5) && !known(ann, 0));
}

#[test]
fn data_of_earlier_versions_counts_as_who_sent_it_first() {
    let dir = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(DAWN));
    let path = crate::store::sqlite::open::database(dir.path());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(include_str!("schema-1.sql")).unwrap();
    db.execute_batch(
        "PRAGMA user_version = 1;
         INSERT INTO meta VALUES ('epoch', 77);
         INSERT INTO users (id, kind, name, created_at) VALUES (7, 1, 'ann', 0), (8, 1, 'bob', 0);
         INSERT INTO messages (id, at, user, kind) VALUES ((1 << 32) + 1, 1, 7, 3), ((1 << 32) + 2, 2, 8, 3);
         INSERT INTO media (id, kind, size, mime, path, created_at)
         VALUES (zeroblob(32), 3, 10, 'image/png', '', 1), (zeroblob(32), 4, 10, 'image/png', '', 1),
                (CAST(x'01' || zeroblob(31) AS BLOB), 4, 5, 'text/plain', '', 1);
         INSERT INTO media_refs (message, part, media, kind)
         VALUES ((1 << 32) + 1, 0, zeroblob(32), 3), ((1 << 32) + 2, 0, zeroblob(32), 4);",
    )
    .unwrap();
    drop(db);
    let rig = Rig::on(dir, now);
    assert_eq!(rig.used(UserId(7)), (15, 10));
    assert_eq!((rig.used(UserId(8)), rig.used(UserId::ASSISTANT)), ((15, 0), (15, 5)));
}

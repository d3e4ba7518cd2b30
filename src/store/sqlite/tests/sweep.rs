//! What nobody needs goes, and what somebody is about to need stays.

use super::*;
use crate::store::media::{Hold, MediaStore};
use crate::store::{UPLOAD_KEPT, Upload};

fn with_files() -> (Rig, Arc<MediaStore>) {
    let rig = Rig::unstarted();
    let files = Arc::new(MediaStore::open(rig.dir.path()).unwrap());
    rig.store.frees(Arc::clone(&files));
    rig.start();
    (rig, files)
}

/// A body that has come whole.
fn body(files: &MediaStore, bytes: &[u8]) -> (Media, Box<Hold>) {
    let mut spool = files.spool(MediaKind::File).unwrap();
    spool.write(bytes).unwrap();
    let (media, hold) = spool.finish().unwrap();
    (media, Box::new(hold))
}

fn upload(user: UserId, media: &Media, hold: Box<Hold>) -> Op {
    Op::Upload(Upload { conn: CONN, user, ticket: 1, media: media.clone(), hold })
}

impl Rig {
    /// As if this had been found to be needed by nobody.
    fn sweep(&mut self, media: &Media) {
        let (files, rows) = (vec![media.id], vec![(media.kind, media.id)]);
        match self.ask(Op::Sweep { files, rows, order: 0 }) {
            Committed::Swept => {}
            other => panic!("{other:?}"),
        }
    }

    fn is_uploaded(&mut self) {
        assert!(matches!(self.next(), Committed::Upload(_, _, Ok(_))));
    }
}

#[test]
fn what_has_a_row_by_now_stays() {
    let (mut rig, files) = with_files();
    let ann = rig.guest("ann");
    let (media, hold) = body(&files, b"needed");
    rig.store.submit(upload(ann, &media, hold));
    rig.is_uploaded();
    rig.sweep(&media);
    assert!(files.path(&media.id).exists());
    assert_eq!(rig.store.media(ann, media.id).unwrap(), media);
}

#[test]
fn what_is_held_is_left_to_who_holds_it() {
    let (mut rig, files) = with_files();
    let ann = rig.guest("ann");
    let (media, hold) = body(&files, b"on its way");
    rig.sweep(&media);
    assert!(files.path(&media.id).exists());
    rig.store.submit(upload(ann, &media, hold));
    rig.is_uploaded();
    assert!(files.path(&media.id).exists());
    // Who does not bring it to a row lets it go.
    let (other, hold) = body(&files, b"given up");
    rig.sweep(&other);
    drop(hold);
    assert!(!files.path(&other.id).exists());
}

#[test]
fn what_nobody_has_goes() {
    let (mut rig, files) = with_files();
    let ann = rig.guest("ann");
    let (media, hold) = body(&files, b"without a row");
    hold.keep();
    drop(hold);
    assert!(files.path(&media.id).exists());
    assert_eq!(rig.store.spare(&[media.id]).unwrap().files, [media.id]);
    rig.sweep(&media);
    assert!(!files.path(&media.id).exists());
    // A row that no message and no upload has.
    let (media, hold) = body(&files, b"without a need");
    rig.store.submit(upload(ann, &media, hold));
    rig.is_uploaded();
    rig.other().execute("DELETE FROM uploads", []).unwrap();
    let spare = rig.store.spare(&[media.id]).unwrap();
    assert_eq!((spare.files, spare.rows), (vec![], vec![(media.kind, media.id)]));
    rig.sweep(&media);
    assert!(!files.path(&media.id).exists() && rig.store.used(ann).unwrap().all == 0);
}

#[test]
fn an_upload_that_nobody_sends_is_over_after_a_while() {
    let (mut rig, files) = with_files();
    let ann = rig.user("ann", "hash");
    let (never, sent_one) = (body(&files, b"never sent"), body(&files, b"sent"));
    let (media, other) = (never.0.clone(), sent_one.0.clone());
    for (media, hold) in [never, sent_one] {
        rig.store.submit(upload(ann, &media, hold));
        rig.is_uploaded();
    }
    stored(rig.send(sent(ann, all(), 0, Content::Reference(other.kind, other.id))));
    rig.pass(UPLOAD_KEPT);
    assert!(rig.store.due_chores(rig.time()).unwrap().is_none());
    rig.pass(1);
    rig.chores();
    assert!(!files.path(&media.id).exists() && files.path(&other.id).exists());
    assert_eq!(rig.store.media(ann, media.id).unwrap_err().code, Code::NotFound);
    assert_eq!(rig.store.media(ann, other.id).unwrap(), other);
}

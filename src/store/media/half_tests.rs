//! Half uploads: what goes on, what is thrown away, and what a failure leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::id::UserId;
use tempfile::TempDir;

const ANN: UserId = UserId(7);

fn store() -> (TempDir, MediaStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = MediaStore::open(dir.path()).unwrap();
    (dir, store)
}

fn id(bytes: &[u8]) -> MediaId {
    MediaId(*blake3::hash(bytes).as_bytes())
}

fn half(store: &MediaStore, bytes: &[u8]) -> Half {
    store.half(ANN, id(bytes), MediaKind::File, bytes.len() as u64).unwrap()
}

fn bytes() -> Vec<u8> {
    (0_u32..).flat_map(u32::to_be_bytes).take(1_000_000).collect()
}

#[test]
fn it_goes_on_in_other_runs_and_is_whole_at_last() {
    let (dir, store) = store();
    let bytes = bytes();
    let mut at = 0;
    for end in [1, 400, 300_000, 999_999, 1_000_000] {
        let mut half = half(&store, &bytes);
        assert_eq!(half.len(), at as u64);
        for piece in bytes[at..end].chunks(70_000) {
            half.write(piece).unwrap();
        }
        half.sync().unwrap();
        at = end;
        let touched = MediaStore::open(dir.path()).unwrap().halves().unwrap();
        assert_eq!((touched[0].user, touched[0].media, touched[0].bytes), (ANN, id(&bytes), end as u64));
        assert_eq!(store.half_left(ANN, id(&bytes)), Some(touched[0]));
        if at < bytes.len() {
            half.leave();
            continue;
        }
        let (media, hold) = half.finish().unwrap();
        hold.keep();
        assert_eq!((media.id, media.size), (id(&bytes), 1_000_000));
    }
    assert!(fs::read(store.path(&id(&bytes))).unwrap() == bytes);
    assert_eq!((store.halves().unwrap(), store.half_left(ANN, id(&bytes))), (vec![], None));
}

#[test]
fn what_nobody_keeps_is_half_an_upload_again() {
    let (_dir, store) = store();
    let bytes = bytes();
    let mut first = half(&store, &bytes);
    first.write(&bytes).unwrap();
    let (_, hold) = first.finish().unwrap();
    assert!(store.path(&id(&bytes)).exists());
    drop(hold);
    assert!(!store.path(&id(&bytes)).exists());
    let again = half(&store, &bytes);
    assert_eq!(again.len(), bytes.len() as u64);
    let (_, hold) = again.finish().unwrap();
    hold.keep();
}

/// As if the server ended before the store could say whether it keeps it, as long as what this returns lives.
#[must_use]
fn crash(whole: Half) -> Hold {
    whole.finish().unwrap().1
}

#[test]
fn one_that_was_whole_at_a_crash_is_still_its_users() {
    let (dir, store) = store();
    let bytes = bytes();
    let mut first = half(&store, &bytes);
    first.write(&bytes).unwrap();
    let _ended = crash(first);
    let store = MediaStore::open(dir.path()).unwrap();
    let again = half(&store, &bytes);
    assert_eq!(again.len(), bytes.len() as u64);
    let (media, hold) = again.finish().unwrap();
    hold.keep();
    assert!(fs::read(store.path(&media.id)).unwrap() == bytes);
    assert_eq!(store.halves().unwrap(), []);
}

#[test]
fn nothing_is_added_to_a_file_that_is_stored() {
    let (dir, store) = store();
    for announced in [5, 20] {
        let mut first = half(&store, b"the same bytes");
        first.write(b"the same bytes").unwrap();
        let _ended = crash(first);
        let store = MediaStore::open(dir.path()).unwrap();
        // Somebody else has them stored, which is the same file now.
        let mut spool = store.spool(MediaKind::File).unwrap();
        spool.write(b"the same bytes").unwrap();
        let (media, hold) = spool.finish().unwrap();
        hold.keep();
        let mut other = store.half(ANN, media.id, MediaKind::File, announced).unwrap();
        assert_eq!(other.len(), 0);
        other.write(b"other").unwrap();
        other.sync().unwrap();
        assert_eq!(fs::read(store.path(&media.id)).unwrap(), b"the same bytes");
        store.remove_half(ANN, &media.id);
        store.free(&media.id);
    }
}

#[test]
fn what_was_stored_by_others_meanwhile_stays_whatever_becomes_of_it() {
    let (_dir, store) = store();
    let mut first = half(&store, b"the same bytes");
    first.write(b"the same bytes").unwrap();
    let mut spool = store.spool(MediaKind::File).unwrap();
    spool.write(b"the same bytes").unwrap();
    spool.finish().unwrap().1.keep();
    let (media, hold) = first.finish().unwrap();
    drop(hold);
    assert!(store.path(&media.id).exists());
    assert_eq!(store.halves().unwrap()[0].bytes, 14, "its user may go on with it");
    let (held, _hold) = store.hold(&media.id, MediaKind::File, media.size).unwrap().unwrap();
    assert_eq!(held, media);
    assert_eq!(store.hold(&media.id, MediaKind::Image, media.size).unwrap_err().code, Code::BadMedia);
    assert!(store.hold(&media.id, MediaKind::File, 1).unwrap().is_none());
}

#[test]
fn other_bytes_than_were_announced_are_thrown_away() {
    let (_dir, store) = store();
    let mut half = half(&store, b"these");
    half.write(b"those").unwrap();
    assert_eq!(half.finish().unwrap_err().code, Code::Conflict);
    assert_eq!(store.halves().unwrap(), []);
    let mut picture = store.half(ANN, id(b"x"), MediaKind::Image, 100).unwrap();
    assert_eq!(picture.write(b"no picture").unwrap_err().code, Code::BadMedia);
    assert_eq!((picture.len(), store.halves().unwrap()), (0, vec![]));
}

#[test]
fn what_is_half_there_must_be_of_the_kind_too() {
    let (_dir, store) = store();
    let mut half = half(&store, b"plain words");
    half.write(b"plain").unwrap();
    drop(half);
    let refused = store.half(ANN, id(b"plain words"), MediaKind::Voice, 11).unwrap_err();
    assert_eq!((refused.code, store.halves().unwrap()), (Code::BadMedia, vec![]));
}

#[test]
fn one_that_is_longer_than_announced_now_begins_anew() {
    let (_dir, store) = store();
    let mut first = half(&store, b"plain words");
    first.write(b"plain words").unwrap();
    drop(first);
    let again = store.half(ANN, id(b"plain words"), MediaKind::File, 10).unwrap();
    assert_eq!(again.len(), 0);
    again.leave();
    assert_eq!(store.halves().unwrap(), [], "nothing is kept of nothing");
}

/// Where writing fails, what was confirmed is there, and nothing behind it.
#[test]
fn a_disk_that_fails_leaves_what_was_safe() {
    let (_dir, store) = store();
    let bytes = bytes();
    let mut failing = half(&store, &bytes);
    failing.write(&bytes[..1000]).unwrap();
    failing.sync().unwrap();
    failing.write(&bytes[1000..2000]).unwrap();
    failing.undo(&io::Error::from(io::ErrorKind::StorageFull));
    assert_eq!(failing.len(), 1000);
    drop(failing);
    assert_eq!(half(&store, &bytes).len(), 1000);
}

//! How much media may be kept (section 6.6 of docs/PROTOCOL.md, `storage_full`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::uploading::*;
use support::*;

#[test]
fn nobody_keeps_more_than_a_user_may() {
    let server = Server::with(&[("limits.storage_bytes_per_user", "100KiB")]);
    let (mut aya, mut bo) = (Peer::guest(&server), Peer::guest(&server));
    let file = |seed, kib: usize| random_bytes(seed, kib * 1024);
    aya.body_to(To { nonce: 1, ..To::default() }, kind::FILE, &file(1, 40));
    aya.expect_status(1);
    // Refused before the first byte, and the connection goes on.
    aya.body_to(To { nonce: 2, ..To::default() }, kind::FILE, &file(2, 61));
    aya.expect_error(Code::StorageFull, 2, kind::FILE);
    aya.refused(upload(3, kind::FILE, &file(2, 61)), Code::StorageFull, 3);
    assert_eq!((files(&server.data().join("media")).len(), halves(&server).len()), (1, 0));
    // What is stored is confirmed however little room there is.
    store(&mut aya, kind::FILE, &file(3, 60));
    aya.body_to(To { nonce: 1, ..To::default() }, kind::FILE, &file(1, 40));
    assert_eq!(aya.expect_status(1).duplicate, 1);
    aya.body_to(To { nonce: 4, ..To::default() }, kind::FILE, b"x");
    aya.expect_error(Code::StorageFull, 4, kind::FILE);
    aya.body_to(To { nonce: 4, ..To::default() }, kind::FILE, b"");
    aya.expect_status(4);
    // A reference to what is kept takes no room.
    aya.send(reference(kind::FILE, &file(3, 60)));
    aya.expect_status(0);
    // Others have theirs, and the same bytes are kept for who was first.
    store(&mut bo, kind::FILE, &file(3, 60));
    store(&mut bo, kind::FILE, &file(4, 100));
}

#[test]
fn half_an_upload_takes_room_as_it_is_to_be_and_then_as_it_is() {
    let mut server = Server::with(&[("limits.storage_bytes", "100KiB")]);
    let (mut aya, mut bo) = (Peer::guest(&server), Peer::guest(&server));
    let (large, other) = (random_bytes(1, 80 * 1024), random_bytes(2, 60 * 1024));
    begin(&mut aya, upload(3, kind::FILE, &large));
    bo.refused(upload(3, kind::FILE, &other), Code::StorageFull, 3);
    bo.body_to(To::default(), kind::FILE, &other);
    bo.expect_error(Code::StorageFull, 0, kind::FILE);
    aya.send_bytes(&chunk(3, 0, &large[..41 * 1024]));
    leave_half(&mut aya);
    // It left 41, so 59 are free: too few.
    bo.refused(upload(3, kind::FILE, &other), Code::StorageFull, 3);
    let there =
        || files(&server.data().join("half")).iter().map(|half| half.metadata().unwrap().len()).sum::<u64>();
    until("they are on the disk", || there() == 41 * 1024);
    server.restart();
    let (mut aya, mut bo) = (aya.again(&server), bo.again(&server));
    bo.refused(upload(3, kind::FILE, &other), Code::StorageFull, 3);
    bo.body_to(To::default(), kind::FILE, &other[..59 * 1024]);
    bo.expect_status(0);
    aya.refused(upload(3, kind::FILE, &large), Code::StorageFull, 3);
}

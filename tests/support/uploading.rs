//! An upload as a client does it: chunks, never more than the window ahead of what is confirmed.

use super::*;
use std::path::PathBuf;

pub const MEBIBYTE: usize = 1 << 20;
/// Bytes of media in a CHUNK, at most.
pub const CHUNK: usize = 65_536;
/// Bytes that a client may leave unconfirmed.
pub const WINDOW: usize = MEBIBYTE;
/// RECEIVED comes at least every so many bytes.
pub const CONFIRMED: usize = 256 * 1024;

pub fn digest(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

pub fn upload(req: u32, media_kind: u8, bytes: &[u8]) -> Upload<'static> {
    Upload { req, media_kind, size: bytes.len() as u64, digest: digest(bytes), name: "" }
}

pub fn chunk(transfer: u32, offset: usize, bytes: &[u8]) -> Vec<u8> {
    bytes_of(Chunk { transfer, offset: offset as u64, bytes })
}

/// Begins an upload; where it goes on.
#[track_caller]
pub fn begin(peer: &mut Peer, upload: Upload<'_>) -> usize {
    let req = upload.req;
    peer.send(upload);
    let ready: UploadReady = peer.expect();
    assert_eq!(ready.req, req);
    usize::try_from(ready.offset).unwrap()
}

/// Sends chunks from `at` to `end`, never more than the window ahead of what is confirmed; what is confirmed then.
#[track_caller]
pub fn send_chunks(peer: &mut Peer, req: u32, bytes: &[u8], from: usize, end: usize) -> usize {
    let (mut at, mut safe) = (from, from);
    while at < end {
        while at < end && at - safe < WINDOW {
            let n = CHUNK.min(end - at).min(WINDOW - (at - safe));
            peer.send_bytes(&chunk(req, at, &bytes[at..at + n]));
            at += n;
        }
        if at < end {
            safe = received(peer, req, safe);
        }
    }
    safe
}

#[track_caller]
pub fn received(peer: &mut Peer, req: u32, safe: usize) -> usize {
    let received: Received = peer.expect();
    assert_eq!(received.transfer, req);
    let offset = usize::try_from(received.offset).unwrap();
    let step = offset - safe;
    assert!(step > 0 && step <= CONFIRMED, "{step} bytes were confirmed at once");
    offset
}

/// The end of an upload, past what is still confirmed.
#[track_caller]
pub fn expect_stored(peer: &mut Peer, req: u32, bytes: &[u8]) {
    loop {
        match peer.next() {
            Frame::Received(received) => assert_eq!(received.transfer, req),
            Frame::Stored(stored) => {
                return assert_eq!((stored.transfer, stored.media), (req, digest(bytes)));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[track_caller]
pub fn expect_failed(peer: &mut Peer, req: u32, code: Code) {
    loop {
        match peer.next() {
            Frame::Received(received) => assert_eq!(received.transfer, req),
            Frame::Error(error) => {
                let what = (error.code, error.ref_, error.about);
                return assert_eq!(what, (code as u16, req.into(), kind::UPLOAD));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// All of an upload, from wherever it goes on.
#[track_caller]
pub fn store(peer: &mut Peer, media_kind: u8, bytes: &[u8]) {
    let req = peer.req();
    let at = begin(peer, upload(req, media_kind, bytes));
    send_chunks(peer, req, bytes, at, bytes.len());
    expect_stored(peer, req, bytes);
}

pub fn reference(media_kind: u8, bytes: &[u8]) -> Media<'static> {
    Media { media_kind, media: digest(bytes), ..Media::default() }
}

pub fn random_bytes(seed: u64, n: usize) -> Vec<u8> {
    random::Random::from(seed).bytes(n)
}

pub fn halves(server: &Server) -> Vec<PathBuf> {
    files(&server.data().join("half"))
}

/// Says goodbye in the middle of an upload, which may be confirmed until the end.
#[track_caller]
pub fn leave_half(peer: &mut Peer) {
    peer.send(Bye::default());
    loop {
        match peer.next() {
            Frame::Received(_) => {}
            Frame::Bye(bye) => break assert_eq!(bye.code, 0),
            other => panic!("{other:?}"),
        }
    }
    peer.expect_end();
}

/// Resets the connection, when the server has taken all that was sent.
#[track_caller]
pub fn reset(mut peer: Peer) {
    peer.send(Ping { bytes: b"taken?" });
    while !matches!(peer.next(), Frame::Pong(_)) {}
    // Who closes with something unread resets.
    peer.send(Ping { bytes: b"unread" });
    peer.sender().peek(&mut [0]).expect("a PONG");
}

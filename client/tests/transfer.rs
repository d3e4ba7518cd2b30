//! Files against a scripted server: sent in pieces, fetched whole or not at all.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod peer;

use chatwire_client::{Code, Download, End, Error, Outgoing, OutgoingFile, Target, Upload};
use chatwire_codec::frame::{
    Cancel, Chunk, Error as Refused, Fetch, FetchReady, Media, Ping, Pong, Received, Said, Stored, Text, To,
    Upload as Wish, UploadReady, kind,
};
use peer::{Peer, connected};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// A folder with a file of `size` bytes that tell their places.
fn folder(name: &str, size: usize) -> (TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes: Vec<u8> = (0_u32..).flat_map(u32::to_be_bytes).take(size).collect();
    let path = folder.path().join(name);
    std::fs::write(&path, &bytes).expect("a file");
    (folder, path, bytes)
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_file_goes_byte_for_byte_in_one_frame_and_a_pong_waits_for_its_end() {
    let (client, _events, mut peer) = connected().await;
    let (_folder, path, bytes) = folder("a clip.bin", 1 << 20);
    let steps = Arc::new(Mutex::new(Vec::new()));
    let sending = tokio::spawn({
        let (client, steps) = (client.clone(), steps.clone());
        let file = OutgoingFile::new(Target::Current, &path);
        async move {
            client.send_file(file, move |done, all| steps.lock().expect("alive").push((done, all))).await
        }
    });
    let to = peer.next().await;
    let To { nonce, name, .. } = to.parse();
    assert_eq!(name, "a clip.bin");
    // Its body is under way, or written already: the answer stands behind it.
    peer.send(&[Ping { bytes: b"?" }.into()]).await;
    let body = peer.next().await;
    assert_eq!(body.kind, kind::FILE);
    assert!(body.payload == bytes, "the bytes differ");
    assert_eq!(peer.next().await.parse::<Pong<'_>>().bytes, b"?");
    peer.confirm(nonce, 1).await;
    assert_eq!(sending.await.expect("no panic").expect("stored").seq, 1);
    let steps = steps.lock().expect("alive");
    assert_eq!(steps.last(), Some(&(1 << 20, 1 << 20)));
    assert!(steps.iter().is_sorted());
}

#[tokio::test]
async fn an_empty_file_is_sent_as_what_it_is() {
    let (client, _events, mut peer) = connected().await;
    let (_folder, path, _) = folder("nothing", 0);
    let receive = async {
        let nonce = peer.next().await.parse::<To<'_>>().nonce;
        let body = peer.next().await;
        assert_eq!((body.kind, body.payload.len()), (kind::FILE, 0));
        peer.confirm(nonce, 1).await;
    };
    let file = OutgoingFile::new(Target::Current, path);
    let (sent, ()) = tokio::join!(client.send_file(file, |_, _| ()), receive);
    sent.expect("stored");
}

#[tokio::test]
async fn a_file_that_is_too_large_or_missing_or_a_folder_is_not_begun() {
    let (client, _events, _peer) = connected().await;
    let (folder, path, _) = folder("big", 0);
    let big = std::fs::File::create(&path).expect("a file");
    big.set_len(40_000_001).expect("a sparse file");
    let send =
        async |path: PathBuf| client.send_file(OutgoingFile::new(Target::Current, path), |_, _| ()).await;
    assert!(matches!(send(path).await, Err(Error::TooLarge { size: 40_000_001, limit: 40_000_000 })));
    assert!(matches!(send(folder.path().join("none")).await, Err(Error::File { .. })));
    assert!(matches!(send(folder.path().to_owned()).await, Err(Error::Invalid(_))));
}

/// Answers one FETCH with these bytes.
async fn serve(peer: &mut Peer, bytes: &[u8]) -> u64 {
    let fetch = peer.next().await;
    let Fetch { req, offset, .. } = fetch.parse();
    peer.send(&[FetchReady { req, size: bytes.len() as u64, mime: "text/plain" }.into()]).await;
    let mut at = offset;
    for piece in bytes[usize::try_from(offset).expect("small")..].chunks(65_536) {
        peer.send(&[Chunk { transfer: req, offset: at, bytes: piece }.into()]).await;
        at += piece.len() as u64;
    }
    offset
}

#[tokio::test]
async fn a_fetched_file_is_whole_and_has_its_own_name() {
    let (client, _events, mut peer) = connected().await;
    let (folder, given, bytes) = folder("given", 200_000);
    let path = folder.path().join("fetched");
    let download = Download::new(*blake3::hash(&bytes).as_bytes(), &path);
    let mut last = (0, 0);
    let fetching = client.fetch(download.clone(), |done, all| last = (done, all));
    let (fetched, _) = tokio::join!(fetching, serve(&mut peer, &bytes));
    assert_eq!(fetched.expect("fetched").mime, "text/plain");
    assert!(std::fs::read(&path).expect("a file") == std::fs::read(given).expect("a file"));
    assert_eq!(last, (200_000, 200_000));
    assert_eq!(names(&folder).len(), 2, "no part is left: {:?}", names(&folder));
    assert!(matches!(client.fetch(download, |_, _| ()).await, Err(Error::Exists(_))));
}

#[tokio::test]
async fn a_wrong_digest_is_refused_and_leaves_nothing_behind() {
    let (client, _events, mut peer) = connected().await;
    let (folder, _, bytes) = folder("given", 1000);
    let download = Download { resume: true, ..Download::new([7; 32], folder.path().join("fetched")) };
    let (fetched, _) = tokio::join!(client.fetch(download, |_, _| ()), serve(&mut peer, &bytes));
    assert!(matches!(fetched, Err(Error::WrongDigest)));
    assert_eq!(names(&folder), ["given"]);
}

#[tokio::test]
async fn a_fetch_that_broke_off_goes_on_where_it_was() {
    let (folder, _, bytes) = folder("given", 1000);
    let path = folder.path().join("fetched");
    let download = Download { resume: true, ..Download::new(*blake3::hash(&bytes).as_bytes(), &path) };

    let (client, _events, mut peer) = connected().await;
    let break_off = async {
        let fetch = peer.next().await;
        let req = fetch.parse::<Fetch>().req;
        peer.send(&[
            FetchReady { req, size: 1000, mime: "" }.into(),
            Chunk { transfer: req, offset: 0, bytes: &bytes[..400] }.into(),
        ])
        .await;
        drop(peer);
    };
    let (fetched, ()) = tokio::join!(client.fetch(download.clone(), |_, _| ()), break_off);
    assert!(matches!(fetched, Err(Error::Disconnected(End::Closed))), "{fetched:?}");

    let (client, _events, mut peer) = connected().await;
    let (fetched, offset) = tokio::join!(client.fetch(download, |_, _| ()), serve(&mut peer, &bytes));
    fetched.expect("fetched");
    assert_eq!(offset, 400);
    assert!(std::fs::read(&path).expect("a file") == bytes);
}

/// Takes UPLOAD, and says where to go on. A CHUNK of an upload that was cancelled may have been on its way.
async fn ready(peer: &mut Peer, offset: u64) -> (u32, u64, [u8; 32]) {
    let mut wish = peer.next().await;
    while wish.kind == kind::CHUNK {
        wish = peer.next().await;
    }
    let Wish { req, size, digest, .. } = wish.parse();
    peer.send(&[UploadReady { req, offset }.into()]).await;
    (req, size, digest)
}

/// Takes chunks up to `end`, confirming each at once.
async fn take_chunks(peer: &mut Peer, transfer: u32, from: usize, end: usize, bytes: &[u8]) {
    let mut at = from;
    while at < end {
        let raw = peer.next().await;
        let chunk = raw.parse::<Chunk<'_>>();
        assert_eq!((chunk.transfer, chunk.offset), (transfer, at as u64));
        assert!(chunk.bytes == &bytes[at..at + chunk.bytes.len()] && chunk.bytes.len() <= 65_536);
        at += chunk.bytes.len();
        peer.send(&[Received { transfer, offset: at as u64 }.into()]).await;
    }
}

#[tokio::test]
async fn an_upload_is_never_more_than_a_mebibyte_ahead() {
    let (client, _events, mut peer) = connected().await;
    let (_folder, path, bytes) = folder("clip.bin", (3 << 20) + 5);
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = steps.clone();
    let uploading = tokio::spawn({
        let client = client.clone();
        async move {
            client.upload(Upload::new(path), move |done, _| seen.lock().expect("alive").push(done)).await
        }
    });
    let (transfer, size, digest) = ready(&mut peer, 0).await;
    assert_eq!((size, digest), (bytes.len() as u64, *blake3::hash(&bytes).as_bytes()));
    let mut got = Vec::new();
    for _ in 0..16 {
        got.extend_from_slice(peer.next().await.parse::<Chunk<'_>>().bytes);
    }
    assert_eq!(got.len(), 1 << 20);
    // All that may come has come: the next that comes is a text, and its like passes what waits.
    let _sending = client.start(Outgoing::text(Target::Current, "passes")).await.expect("taken");
    peer.next().await.parse::<To<'_>>();
    assert_eq!(peer.next().await.parse::<Text<'_>>().text, "passes");
    peer.send(&[Received { transfer, offset: 1 << 20 }.into()]).await;
    take_chunks(&mut peer, transfer, 1 << 20, bytes.len(), &bytes).await;
    peer.send(&[Stored { transfer, media: digest }.into()]).await;
    let media = uploading.await.expect("no panic").expect("stored");
    assert_eq!((media.media, media.size, &*media.name), (digest, size, "clip.bin"));
    let steps = steps.lock().expect("alive");
    assert!(steps.is_sorted() && steps.last() == Some(&size), "{steps:?}");
}

#[tokio::test]
async fn an_upload_goes_on_where_the_server_says_and_a_refusal_ends_it() {
    let (client, _events, mut peer) = connected().await;
    let (_folder, path, bytes) = folder("clip.bin", 200_000);
    let serve = async {
        let (transfer, _, digest) = ready(&mut peer, 150_000).await;
        take_chunks(&mut peer, transfer, 150_000, bytes.len(), &bytes).await;
        peer.send(&[Stored { transfer, media: digest }.into()]).await;
        // All of it is there.
        let (transfer, size, digest) = ready(&mut peer, 200_000).await;
        assert_eq!(size, 200_000);
        peer.send(&[Stored { transfer, media: digest }.into()]).await;
        // It is taken over.
        let (transfer, ..) = ready(&mut peer, 0).await;
        let said = Said::text("taken over");
        let (code, ref_, about) = (Code::Conflict as u16, transfer.into(), kind::UPLOAD);
        peer.send(&[Refused { said, code, ref_, about, retry_ms: 0 }.into()]).await;
    };
    let upload = async {
        for _ in 0..2 {
            client.upload(Upload::new(&path), |_, _| ()).await.expect("stored");
        }
        client.upload(Upload::new(&path), |_, _| ()).await
    };
    let (refused, ()) = tokio::join!(upload, serve);
    let Err(Error::Refused(refusal)) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.code(), Some(Code::Conflict));
}

#[tokio::test]
async fn an_upload_that_nobody_wants_is_cancelled_and_one_of_a_lost_connection_says_so() {
    let (client, _events, mut peer) = connected().await;
    let (_folder, path, bytes) = folder("clip.bin", 2 << 20);
    let mut uploading = Box::pin(client.upload(Upload::new(&path), |_, _| ()));
    let transfer = tokio::select! {
        ended = &mut uploading => panic!("{ended:?}"),
        (transfer, ..) = async {
            let begun = ready(&mut peer, 0).await;
            take_chunks(&mut peer, begun.0, 0, 65_536, &bytes).await;
            begun
        } => transfer,
    };
    drop(uploading);
    loop {
        let raw = peer.next().await;
        if raw.kind == kind::CANCEL {
            break assert_eq!(raw.parse::<Cancel>().transfer, transfer);
        }
        raw.parse::<Chunk<'_>>();
    }
    let break_off = async {
        ready(&mut peer, 0).await;
        drop(peer);
    };
    let (ended, ()) = tokio::join!(client.upload(Upload::new(&path), |_, _| ()), break_off);
    assert!(matches!(ended, Err(Error::Disconnected(_))), "{ended:?}");
}

#[tokio::test]
async fn a_larger_file_is_uploaded_and_then_referred_to() {
    let (client, _events, mut peer) = connected().await;
    let (_folder, path, bytes) = folder("clip.bin", (1 << 20) + 1);
    let file = OutgoingFile { nonce: 9, name: "mine.bin".into(), ..OutgoingFile::new(Target::Current, path) };
    let serve = async {
        let (transfer, _, digest) = ready(&mut peer, 0).await;
        take_chunks(&mut peer, transfer, 0, bytes.len(), &bytes).await;
        peer.send(&[Stored { transfer, media: digest }.into()]).await;
        let to = peer.next().await;
        assert_eq!((to.parse::<To<'_>>().nonce, to.parse::<To<'_>>().name), (9, "mine.bin"));
        assert_eq!(peer.next().await.parse::<Media<'_>>().media, digest);
        peer.confirm(9, 4).await;
    };
    let (sent, ()) = tokio::join!(client.send_file(file, |_, _| ()), serve);
    assert_eq!(sent.expect("stored").seq, 4);
}

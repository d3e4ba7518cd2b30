//! Files against a scripted server: sent in pieces, fetched whole or not at all.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod peer;

use chatwire_client::{Download, End, Error, OutgoingFile, Target};
use chatwire_codec::frame::{Chunk, Fetch, FetchReady, Ping, Pong, To, kind};
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
    let (_folder, path, bytes) = folder("a clip.bin", 3_000_000);
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
    // Larger than the sockets' buffers: the body is under way and cannot be over.
    peer.send(&[Ping { bytes: b"?" }.into()]).await;
    let body = peer.next().await;
    assert_eq!(body.kind, kind::FILE);
    assert!(body.payload == bytes, "the bytes differ");
    assert_eq!(peer.next().await.parse::<Pong<'_>>().bytes, b"?");
    peer.confirm(nonce, 1).await;
    assert_eq!(sending.await.expect("no panic").expect("stored").seq, 1);
    let steps = steps.lock().expect("alive");
    assert_eq!(steps.last(), Some(&(3_000_000, 3_000_000)));
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
    big.set_len(10_000_001).expect("a sparse file");
    let send =
        async |path: PathBuf| client.send_file(OutgoingFile::new(Target::Current, path), |_, _| ()).await;
    assert!(matches!(send(path).await, Err(Error::TooLarge { size: 10_000_001, limit: 10_000_000 })));
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

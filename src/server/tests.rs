//! A connection of a whole server, over a stream of our own.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::connection::{Origin, Serve};
use crate::delivery::bytes_of;
use crate::policy::places::Bounds;
use chatwire_codec::frame::{Bye, Hello, Ping, Pong, kind};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, DuplexStream};
use tokio::task::JoinHandle;

/// Bytes that are on their way in one direction.
const ROOM: usize = 64;

/// A connection that has said HELLO, and what keeps its server.
async fn connect<S>(over: impl FnOnce(DuplexStream) -> S) -> (DuplexStream, JoinHandle<()>, TempDir)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let config =
        Config { data: folder.path().to_owned(), assistant: AssistantKind::None, ..Config::default() };
    let (data, clock): (_, crate::store::sqlite::Clock) = (config.data.clone(), Arc::new(clock::wall));
    let options = Options { data, durability: config.durability, readers: 1, clock };
    let store = Arc::new(SqliteStore::open(options).unwrap());
    let shared = Arc::new(join(&config, &store).unwrap());
    let place = Places::new(Bounds { all: 1, per_source: 0, waiting: 0 }).take(None).unwrap();
    let (mut ours, theirs) = tokio::io::duplex(ROOM);
    let origin = Origin { address: "127.0.0.1:9".parse().unwrap(), is_private: true };
    let serving = Serve::new(shared, over(theirs), origin, clock::instant(), place);
    let serving = tokio::spawn(async move {
        serving.await;
        store.close();
    });
    ours.write_all(&bytes_of(&Hello { version: 1, timezone: "UTC", ..Hello::default() })).await.unwrap();
    (ours, serving, folder)
}

#[tokio::test]
async fn a_stream_that_keeps_what_it_took_is_flushed() {
    let (mut ours, serving, _folder) = connect(BufStream::new).await;
    // Nothing follows that would push it out.
    assert_eq!(ours.read_u8().await.unwrap(), kind::WELCOME);
    ours.write_all(&bytes_of(&Bye::default())).await.unwrap();
    let mut rest = Vec::new();
    ours.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(&bytes_of(&Bye { code: 0, reason: "" })));
    drop(ours);
    serving.await.unwrap();
}

#[tokio::test]
async fn a_pong_that_waits_for_the_end_of_a_frame_does_not_follow_bye() {
    let (mut ours, serving, _folder) = connect(|stream| stream).await;
    assert_eq!(ours.read_u8().await.unwrap(), kind::WELCOME);
    // There is more of WELCOME than is on its way, so PONG has to wait.
    let ping = bytes_of(&Ping { bytes: b"?" });
    ours.write_all(&[ping, bytes_of(&Bye::default())].concat()).await.unwrap();
    let mut rest = Vec::new();
    ours.read_to_end(&mut rest).await.unwrap();
    let last = [bytes_of(&Pong { bytes: b"?" }), bytes_of(&Bye { code: 0, reason: "" })].concat();
    assert!(rest.ends_with(&last), "{rest:?}");
    drop(ours);
    serving.await.unwrap();
}

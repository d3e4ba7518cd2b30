//! A connection of a whole server, over a stream of our own.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::connection::{Origin, Serve};
use crate::policy::places::Bounds;
use chatwire_codec::Payload;
use chatwire_codec::frame::{Bye, Hello, kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};

#[tokio::test]
async fn a_stream_that_keeps_what_it_took_is_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        Config { data: folder.path().to_owned(), assistant: AssistantKind::None, ..Config::default() };
    let (data, clock): (_, crate::store::sqlite::Clock) = (config.data.clone(), Arc::new(clock::wall));
    let options = Options { data, durability: config.durability, readers: 1, clock };
    let store = Arc::new(SqliteStore::open(options).unwrap());
    let shared = Arc::new(join(&config, &store).unwrap());
    let place = Places::new(Bounds { all: 1, per_source: 0, waiting: 0 }).take(None).unwrap();
    let (mut ours, theirs) = tokio::io::duplex(64);
    let origin = Origin { address: "127.0.0.1:9".parse().unwrap(), is_private: true };
    let serving = tokio::spawn(Serve::new(shared, BufStream::new(theirs), origin, clock::instant(), place));

    let mut hello = Vec::new();
    Hello { version: 1, timezone: "UTC", ..Hello::default() }.encode(&mut hello).unwrap();
    ours.write_all(&hello).await.unwrap();
    // Nothing follows that would push it out.
    assert_eq!(ours.read_u8().await.unwrap(), kind::WELCOME);
    let mut bye = Vec::new();
    Bye::default().encode(&mut bye).unwrap();
    ours.write_all(&bye).await.unwrap();
    let mut rest = Vec::new();
    ours.read_to_end(&mut rest).await.unwrap();
    bye.clear();
    Bye { code: 0, reason: "" }.encode(&mut bye).unwrap();
    assert!(rest.ends_with(&bye));
    drop(ours);
    serving.await.unwrap();
    store.close();
}

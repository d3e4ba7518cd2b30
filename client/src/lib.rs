//! A client for Chatwire servers.
//!
//! [`Client::connect`] gives a handle that sends and asks, and [`Events`], what the server tells unasked. One
//! background task reads and one writes; both end with the connection.
//!
//! ```no_run
//! use chatwire_client::{Client, Event, Options, Outgoing, Target};
//!
//! # async fn example() -> Result<(), chatwire_client::Error> {
//! let options = Options { timezone: "Asia/Tokyo".into(), ..Options::default() };
//! let (client, mut events) = Client::connect("127.0.0.1:8000", options).await?;
//! let status = client.send(Outgoing::text(Target::Current, "hello")).await?;
//! while let Some(event) = events.next().await {
//!     let Event::Message(message) = event else { continue };
//!     if message.reply_to == status.seq {
//!         break;
//!     }
//! }
//! client.bye().await
//! # }
//! ```
//!
//! A [`Client`] ends with its connection. A [`Steady`] makes one connection after the other, and never loses its
//! place: it comes back with its token, sends what was not confirmed again, goes on with each chat where it stood,
//! and keeps all that in a [`Storage`], over crashes of either side.
//!
//! ```no_run
//! use chatwire_client::{FileStorage, News, Options, Outgoing, Setup, State, Steady, Target};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = FileStorage::open("place.jsonl")?;
//! let setup = Setup::new("127.0.0.1:8000", Options::default(), storage);
//! let (client, mut news) = Steady::start(setup).await?;
//! // Kept from here on, and stored once, whatever happens in between.
//! let sending = client.send(Outgoing::text(Target::Current, "hello")).await?;
//! while let Some(news) = news.next().await {
//!     match news {
//!         News::State(State::Waiting { pause, why }) => eprintln!("again in {pause:?}: {why}"),
//!         News::State(State::Failed(why)) => return Err(why.into()),
//!         News::Message(message) => println!("{} in {}: {:?}", message.seq, message.chat, message.content),
//!         News::Answered { nonce, .. } if nonce == sending.nonce() => break,
//!         _ => {}
//!     }
//! }
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Where things are: `core` decides and does no I/O: one connection (nonces, what waits for an answer, positions,
//! the heartbeat) and, in `core::journey`, the way over many (when to connect, as whom, what to ask and send
//! again). `connection` moves the bytes of one connection, `client` is its handle; `steady` makes the connections,
//! `storage` keeps the place; `transfer` writes fetched media to files, `upload` sends them in chunks. `stream` is TCP, or
//! with the feature `tls` TLS over it. Every bound is a constant in `limits`.
//!
//! `machine` (with the feature `sans-io`) is the steady client for a runtime of one's own.
//!
//! What is lacking: WebSocket. A steady client has a place in a chat from the first
//! message that it sees, sends or is told of there: what was said in a chat that began while it was away is
//! found with [`Client::chats`] and [`Client::history`].

mod client;
mod connection;
mod core;
mod error;
mod event;
mod kept;
mod limits;
#[cfg(feature = "sans-io")]
mod machine;
mod message;
mod options;
mod outgoing;
mod request;
mod sniff;
mod steady;
mod storage;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod transfer;
mod upload;
mod writer;

pub use chatwire_codec::{Code, MediaKind, frame};
pub use client::{Asking, Client, Sending};
pub use connection::Events;
pub use error::{Anew, End, Error, Fault, Problem, Refusal, TlsProblem};
pub use event::{Event, Gone, Member, Presence, Seen, Typing};
pub use kept::{Change, Identity, Kept, Parcel, Place};
pub use limits::*;
#[cfg(feature = "sans-io")]
pub use machine::{Act, Answered, Machine};
pub use message::{Content, MediaRef, Message, Reply};
pub use options::{Login, Options, Secret, Welcome};
pub use outgoing::{Body, Outgoing, OutgoingFile, Target};
#[cfg(feature = "sans-io")]
pub use request::Answer;
pub use request::{Chat, FetchReady, Found, Joined, Left, List, Page, Participant, Request, Room};
pub use sniff::kind_of;
pub use steady::{News, NewsFeed, Pace, Setup, State, Steady};
pub use storage::{FileStorage, MemoryStorage, Storage};
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use transfer::Download;
pub use upload::Upload;

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
//! Where things are: `core` decides and does no I/O (nonces, what waits for an answer, positions, the
//! heartbeat); `connection` moves the bytes of one connection; `client` is the handle; `transfer` writes
//! fetched media to files. Every bound is a constant in `limits`.
//!
//! What is lacking: reconnecting and resending by itself (see [`Client::positions`] and [`Outgoing::nonce`]
//! for what a caller needs to do it), uploads in chunks, TLS and WebSocket.

mod client;
mod connection;
mod core;
mod error;
mod event;
mod kept;
mod limits;
mod message;
mod options;
mod outgoing;
mod request;
mod sniff;
mod steady;
mod storage;
mod transfer;
mod writer;

pub use chatwire_codec::{Code, MediaKind, frame};
pub use client::{Asking, Client, Sending};
pub use connection::Events;
pub use error::{Anew, End, Error, Fault, Problem, Refusal};
pub use event::{Event, Member, Presence, Seen, Typing};
pub use kept::{Change, Identity, Kept, Parcel, Place};
pub use limits::*;
pub use message::{Content, MediaRef, Message, Reply};
pub use options::{Login, Options, Secret, Welcome};
pub use outgoing::{Body, Outgoing, OutgoingFile, Target};
pub use request::{Chat, FetchReady, Joined, Left, List, Page, Participant, Request, Room};
pub use sniff::kind_of;
pub use steady::{News, NewsFeed, Pace, Setup, State, Steady};
pub use storage::{FileStorage, MemoryStorage, Storage};
pub use transfer::Download;

//! The Chatwire wire protocol, version 1: bytes to frames and back.
//!
//! ```text
//!   byte  0      1                         5                     5 + size
//!        ┌──────┬─────────────────────────┬──────────────────────┐
//!        │ type │ size, big-endian        │ payload              │
//!        │ u8   │ u32                     │ size bytes           │
//!        └──────┴─────────────────────────┴──────────────────────┘
//! ```
//!
//! [`frame`] holds the one table of all types. Encode a frame into any [`Buffer`] with [`Frame::encode`] or
//! [`Payload::encode`], or without a copy of its body with [`Payload::encode_head`]; decode a stream of bytes, cut
//! anywhere, with a [`Decoder`], or a single payload with [`Frame::parse`].
//!
//! | feature | what |
//! |---|---|
//! | `std` (default) | lets `bytes` use std; the crate itself needs `alloc` alone |
//! | `tokio` | `FrameCodec`: tokio-util's `Encoder` and `Decoder` |
//! | `serde` | frames as JSON and back |
//! | `arbitrary` | frames out of a fuzzer's bytes |
//! | `dump` | a stream as annotated hex |
//!
//! What this crate deliberately lacks: I/O, a clock, and any idea of what a chat is. It says what the bytes
//! mean and which of them are malformed; what to do about them is its user's.
//!
//! ```
//! use chatwire_codec::{Decoder, Event, Frame, Limits, Payload, frame::{Hello, Ping}};
//!
//! let mut bytes = Vec::new();
//! Hello { version: 1, timezone: "Asia/Tokyo", ..Hello::default() }.encode(&mut bytes)?;
//! Ping { bytes: b"are you there?" }.encode(&mut bytes)?;
//!
//! let mut decoder = Decoder::server(Limits::default());
//! let mut input = &bytes[..];
//! while let Some(event) = decoder.next(&mut input)? {
//!     match event {
//!         Event::Frame(Frame::Hello(hello)) => assert_eq!(hello.timezone, "Asia/Tokyo"),
//!         Event::Frame(Frame::Ping(ping)) => assert_eq!(ping.bytes, b"are you there?"),
//!         other => panic!("{other:?}"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The normative text is `docs/PROTOCOL.md` of the Chatwire repository; "section N" in these pages is its.

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

#[cfg(feature = "arbitrary")]
mod arbitrary;
mod decoder;
#[cfg(feature = "dump")]
pub mod dump;
mod error;
pub mod frame;
#[cfg(feature = "serde")]
pub mod json;
mod limits;
mod raw;
mod reader;
mod table;
#[cfg(feature = "tokio")]
mod tokio;
mod value;
mod writer;

pub use decoder::{Decoder, Event, FrameRef, SkipReason};
pub use error::{Code, DecodeError, EncodeError, EncodeRule, Rule};
pub use frame::{FRAMES, Frame, MediaKind, Said};
pub use limits::Limits;
pub use raw::RawFrame;
pub use table::{Direction, FieldInfo, FrameInfo, Payload};
#[cfg(feature = "tokio")]
pub use tokio::FrameCodec;
pub use value::{Fields, Value};
pub use writer::{Buffer, Full, SliceBuffer};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The highest protocol version that this crate speaks.
pub const VERSION: u8 = 1;

/// Bytes of a frame's header: `type u8 | size u32`.
pub const HEADER_LEN: usize = 5;

/// The bytes that go before a payload of `size` bytes: for bodies that are sent in pieces.
///
/// ```
/// assert_eq!(chatwire_codec::header(0x02, 0x0102_0304), [0x02, 0x01, 0x02, 0x03, 0x04]);
/// ```
#[must_use]
pub const fn header(kind: u8, size: u32) -> [u8; HEADER_LEN] {
    let s = size.to_be_bytes();
    [kind, s[0], s[1], s[2], s[3]]
}

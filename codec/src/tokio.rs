//! tokio-util's `Encoder` and `Decoder` (feature `tokio`): whole frames, for peers that may hold them.

use crate::{DecodeError, EncodeError, Frame, HEADER_LEN, RawFrame, Rule};
use bytes::{Buf, BytesMut};
use std::io;
use tokio_util::codec::{Decoder, Encoder};

extern crate std;

/// Frames for `tokio_util::codec::Framed`. It holds every frame whole, and so takes one limit for all; a
/// server that must not hold a video uses [`crate::Decoder`].
///
/// ```
/// use chatwire_codec::{Frame, FrameCodec, frame::Text};
/// use tokio_util::{bytes::BytesMut, codec::{Decoder, Encoder}};
///
/// let mut codec = FrameCodec::new(1024);
/// let mut buffer = BytesMut::new();
/// codec.encode(Frame::from(Text { text: "hi" }), &mut buffer)?;
/// let raw = codec.decode(&mut buffer)?.expect("a whole frame");
/// assert_eq!(raw.parse()?, Frame::Text(Text { text: "hi" }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FrameCodec {
    max_payload: u32,
}

impl FrameCodec {
    /// Refuses payloads of more than `max_payload` bytes before it makes room for them.
    #[must_use]
    pub const fn new(max_payload: u32) -> Self {
        FrameCodec { max_payload }
    }
}

impl Decoder for FrameCodec {
    type Item = RawFrame;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<RawFrame>> {
        let Some(&[kind, a, b, c, d]) = src.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let size = u32::from_be_bytes([a, b, c, d]);
        if size > self.max_payload {
            let rule = Rule::OverLimit { limit: self.max_payload.into() };
            return Err(invalid(DecodeError { kind, field: "", offset: 0, rule }));
        }
        let whole = HEADER_LEN + size as usize;
        if src.len() < whole {
            src.reserve(whole - src.len());
            return Ok(None);
        }
        src.advance(HEADER_LEN);
        Ok(Some(RawFrame { kind, payload: src.split_to(size as usize).freeze() }))
    }
}

impl Encoder<Frame<'_>> for FrameCodec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame<'_>, dst: &mut BytesMut) -> io::Result<()> {
        frame.encode(dst).map_err(unwritable)
    }
}

fn unwritable(e: EncodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, e)
}

fn invalid(e: DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e)
}

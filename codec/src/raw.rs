//! A frame that owns its bytes: for queues, for other threads, for frames whose type nobody knows.

use crate::error::{DecodeError, EncodeError};
use crate::frame::Frame;
use crate::{FrameRef, HEADER_LEN};
use alloc::vec::Vec;
use bytes::Bytes;

/// A frame as it came: its type, and its payload not yet looked at. Cloning it copies no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// The type byte, which may be one that this crate does not know.
    pub kind: u8,
    /// The payload.
    pub payload: Bytes,
}

impl RawFrame {
    /// Reads the payload.
    ///
    /// # Errors
    /// As [`Frame::parse`].
    pub fn parse(&self) -> Result<Frame<'_>, DecodeError> {
        Frame::parse(self.kind, &self.payload)
    }
}

impl TryFrom<&Frame<'_>> for RawFrame {
    type Error = EncodeError;

    fn try_from(frame: &Frame<'_>) -> Result<Self, EncodeError> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes)?;
        Ok(RawFrame { kind: frame.kind(), payload: Bytes::from(bytes).slice(HEADER_LEN..) })
    }
}

impl From<FrameRef<'_>> for RawFrame {
    /// Copies the payload.
    fn from(frame: FrameRef<'_>) -> Self {
        RawFrame { kind: frame.kind, payload: Bytes::copy_from_slice(frame.payload) }
    }
}

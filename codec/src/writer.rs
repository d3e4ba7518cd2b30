//! Writes frames. A size is never computed before: it is left open and filled in when the payload is there.

use crate::error::EncodeError;
use crate::table::Payload;
use alloc::vec::Vec;
use bytes::BytesMut;

/// What frames are written to: bytes appended at the end, and filled in at a place already written.
pub trait Buffer {
    /// Bytes written so far.
    fn position(&self) -> usize;
    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`EncodeError::BufferFull`] if there is no room and no more can be had.
    fn append(&mut self, bytes: &[u8]) -> Result<(), EncodeError>;
    /// Overwrites the bytes at `at`, which were appended before.
    fn fill_in(&mut self, at: usize, bytes: &[u8]);
    /// Forgets what was written from `position` on: an encoding that failed leaves nothing behind.
    fn cut(&mut self, position: usize);
}

impl Buffer for Vec<u8> {
    fn position(&self) -> usize {
        self.len()
    }
    fn append(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.extend_from_slice(bytes);
        Ok(())
    }
    fn fill_in(&mut self, at: usize, bytes: &[u8]) {
        self[at..at + bytes.len()].copy_from_slice(bytes);
    }
    fn cut(&mut self, position: usize) {
        self.truncate(position);
    }
}

impl Buffer for BytesMut {
    fn position(&self) -> usize {
        self.len()
    }
    fn append(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.extend_from_slice(bytes);
        Ok(())
    }
    fn fill_in(&mut self, at: usize, bytes: &[u8]) {
        self[at..at + bytes.len()].copy_from_slice(bytes);
    }
    fn cut(&mut self, position: usize) {
        self.truncate(position);
    }
}

/// A buffer of fixed size, for those who must not allocate.
///
/// ```
/// use chatwire_codec::{Payload, SliceBuffer, frame::Text};
///
/// let mut room = [0; 16];
/// let mut buffer = SliceBuffer::new(&mut room);
/// Text { text: "hi" }.encode(&mut buffer)?;
/// assert_eq!(buffer.written(), b"\x00\x00\x00\x00\x02hi");
/// # Ok::<(), chatwire_codec::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct SliceBuffer<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl<'a> SliceBuffer<'a> {
    /// An empty buffer over `room`.
    pub fn new(room: &'a mut [u8]) -> Self {
        SliceBuffer { room, len: 0 }
    }

    /// What was written so far.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.room[..self.len]
    }
}

impl Buffer for SliceBuffer<'_> {
    fn position(&self) -> usize {
        self.len
    }
    fn append(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let room = self.room[self.len..].get_mut(..bytes.len()).ok_or(EncodeError::BufferFull)?;
        room.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }
    fn fill_in(&mut self, at: usize, bytes: &[u8]) {
        self.room[at..at + bytes.len()].copy_from_slice(bytes);
    }
    fn cut(&mut self, position: usize) {
        self.len = position;
    }
}

/// Writes `type | size | payload`, or nothing if it fails.
pub(crate) fn frame<'a, P: Payload<'a>, B: Buffer>(
    kind: u8,
    payload: &P,
    out: &mut B,
) -> Result<(), EncodeError> {
    let start = out.position();
    let written = (|| {
        out.append(&crate::header(kind, 0))?;
        payload.write(out)?;
        let size = out.position() - start - crate::HEADER_LEN;
        let size = u32::try_from(size).map_err(|_| EncodeError::FrameTooLong)?;
        out.fill_in(start + 1, &size.to_be_bytes());
        Ok(())
    })();
    if written.is_err() {
        out.cut(start);
    }
    written
}

pub(crate) fn str8<B: Buffer>(out: &mut B, s: &str) -> Result<(), EncodeError> {
    let n = u8::try_from(s.len()).map_err(|_| EncodeError::FieldTooLong { limit: u8::MAX.into() })?;
    out.append(&[n])?;
    out.append(s.as_bytes())
}

pub(crate) fn str16<B: Buffer>(out: &mut B, s: &str) -> Result<(), EncodeError> {
    out.append(&length16(s.len())?)?;
    out.append(s.as_bytes())
}

pub(crate) fn list<'a, T: Payload<'a>, B: Buffer>(out: &mut B, list: &[T]) -> Result<(), EncodeError> {
    out.append(&length16(list.len())?)?;
    items(out, list)
}

pub(crate) fn items<'a, T: Payload<'a>, B: Buffer>(out: &mut B, items: &[T]) -> Result<(), EncodeError> {
    for item in items {
        let start = out.position();
        out.append(&[0, 0])?;
        item.write(out)?;
        out.fill_in(start, &length16(out.position() - start - 2)?);
    }
    Ok(())
}

pub(crate) fn said<B: Buffer>(out: &mut B, said: &crate::frame::Said<'_>) -> Result<(), EncodeError> {
    out.append(&length32(said.text.len())?)?;
    out.append(&length32(said.voice.len())?)?;
    out.append(said.text.as_bytes())?;
    out.append(said.voice)
}

fn length16(n: usize) -> Result<[u8; 2], EncodeError> {
    let n = u16::try_from(n).map_err(|_| EncodeError::FieldTooLong { limit: u16::MAX.into() })?;
    Ok(n.to_be_bytes())
}

fn length32(n: usize) -> Result<[u8; 4], EncodeError> {
    let n = u32::try_from(n).map_err(|_| EncodeError::FieldTooLong { limit: u32::MAX as usize })?;
    Ok(n.to_be_bytes())
}

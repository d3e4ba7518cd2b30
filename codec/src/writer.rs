//! Writes frames. A size is never computed before: it is left open and filled in when the payload is there.
//! Who has to know it before lets the same code count ([`Payload::encoded_len`]).

use crate::HEADER_LEN;
use crate::error::{EncodeError, EncodeRule};
use crate::frame::Said;
use crate::table::Payload;
use alloc::vec::Vec;
use bytes::BytesMut;

/// A [`Buffer`] has no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What frames are written to: bytes appended at the end, and filled in at a place already written.
pub trait Buffer {
    /// Bytes written so far.
    fn position(&self) -> usize;
    /// Appends `bytes`.
    ///
    /// # Errors
    /// If there is no room and no more can be had. Nothing is appended then.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Full>;
    /// Overwrites the bytes at `at`, which were appended before.
    fn fill_in(&mut self, at: usize, bytes: &[u8]);
    /// Forgets what was written from `position` on: an encoding that failed leaves nothing behind.
    fn cut(&mut self, position: usize);
}

/// Buffers that grow.
macro_rules! growing {
    ($($buffer:ty),*) => {$(
        impl Buffer for $buffer {
            #[inline]
            fn position(&self) -> usize {
                self.len()
            }
            #[inline]
            fn append(&mut self, bytes: &[u8]) -> Result<(), Full> {
                self.extend_from_slice(bytes);
                Ok(())
            }
            #[inline]
            fn fill_in(&mut self, at: usize, bytes: &[u8]) {
                self[at..at + bytes.len()].copy_from_slice(bytes);
            }
            fn cut(&mut self, position: usize) {
                self.truncate(position);
            }
        }
    )*};
}
growing!(Vec<u8>, BytesMut);

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
    #[inline]
    fn position(&self) -> usize {
        self.len
    }
    #[inline]
    fn append(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let room = self.room[self.len..].get_mut(..bytes.len()).ok_or(Full)?;
        room.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }
    #[inline]
    fn fill_in(&mut self, at: usize, bytes: &[u8]) {
        self.room[at..at + bytes.len()].copy_from_slice(bytes);
    }
    fn cut(&mut self, position: usize) {
        self.len = position;
    }
}

/// Counts what would be written.
struct Count(usize);

impl Buffer for Count {
    #[inline]
    fn position(&self) -> usize {
        self.0
    }
    #[inline]
    fn append(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.0 += bytes.len();
        Ok(())
    }
    fn fill_in(&mut self, _: usize, _: &[u8]) {}
    fn cut(&mut self, position: usize) {
        self.0 = position;
    }
}

/// How long a frame is.
pub(crate) fn len<'a>(kind: u8, payload: &impl Payload<'a>) -> Result<usize, EncodeError> {
    let mut count = Count(0);
    frame(kind, payload, &mut count)?;
    Ok(count.0)
}

/// Writes `type | size | payload`, or nothing if it fails.
#[inline]
pub(crate) fn frame<'a>(
    kind: u8,
    payload: &impl Payload<'a>,
    out: &mut impl Buffer,
) -> Result<(), EncodeError> {
    let start = out.position();
    let tail = head(kind, payload, out)?;
    out.append(tail).map_err(|Full| {
        out.cut(start);
        EncodeError { kind, ..Full.into() }
    })
}

/// The same but for the tail, which is returned.
#[inline]
pub(crate) fn head<'a>(
    kind: u8,
    payload: &impl Payload<'a>,
    out: &mut impl Buffer,
) -> Result<&'a [u8], EncodeError> {
    let (start, tail) = (out.position(), payload.tail());
    let written = (|| {
        out.append(&[kind, 0, 0, 0, 0])?;
        payload.write(out)?;
        let size = out.position() - start - HEADER_LEN + tail.len();
        let size = u32::try_from(size).map_err(|_| EncodeError::new(EncodeRule::FrameTooLong))?;
        out.fill_in(start + 1, &size.to_be_bytes());
        Ok(tail)
    })();
    written.map_err(|error: EncodeError| {
        out.cut(start);
        EncodeError { kind, ..error }
    })
}

macro_rules! integers {
    ($($int:ident),*) => {$(
        pub(crate) fn $int<B: Buffer>(out: &mut B, n: &$int) -> Result<(), EncodeError> {
            Ok(out.append(&n.to_be_bytes())?)
        }
    )*};
}
integers!(u8, u16, u32, u64, i64);

pub(crate) fn id32<B: Buffer>(out: &mut B, id: &[u8; 32]) -> Result<(), EncodeError> {
    Ok(out.append(id)?)
}

pub(crate) fn str8<B: Buffer>(out: &mut B, s: &str) -> Result<(), EncodeError> {
    let n = u8::try_from(s.len()).map_err(|_| too_long(u8::MAX.into()))?;
    out.append(&[n])?;
    Ok(out.append(s.as_bytes())?)
}

pub(crate) fn str16<B: Buffer>(out: &mut B, s: &str) -> Result<(), EncodeError> {
    out.append(&length16(s.len())?)?;
    Ok(out.append(s.as_bytes())?)
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
        out.append(item.tail())?;
        out.fill_in(start, &length16(out.position() - start - 2)?);
    }
    Ok(())
}

pub(crate) fn said<B: Buffer>(out: &mut B, said: &Said<'_>) -> Result<(), EncodeError> {
    out.append(&length32(said.text.len())?)?;
    out.append(&length32(said.voice.len())?)?;
    out.append(said.text.as_bytes())?;
    Ok(out.append(said.voice)?)
}

fn length16(n: usize) -> Result<[u8; 2], EncodeError> {
    let n = u16::try_from(n).map_err(|_| too_long(u16::MAX.into()))?;
    Ok(n.to_be_bytes())
}

fn length32(n: usize) -> Result<[u8; 4], EncodeError> {
    let n = u32::try_from(n).map_err(|_| too_long(u32::MAX as usize))?;
    Ok(n.to_be_bytes())
}

const fn too_long(limit: usize) -> EncodeError {
    EncodeError::new(EncodeRule::FieldTooLong { limit })
}

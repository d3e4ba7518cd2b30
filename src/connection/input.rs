//! From the socket through the decoder into the session.
//!
//! Bytes are read into a buffer that belongs to the thread. What is left of them, the beginning of a frame or
//! frames that must wait, is kept with the connection until it is used up.

use super::Connection;
use crate::id::Now;
use crate::outbox::Held;
use chatwire_codec::frame::{self, kind};
use chatwire_codec::{Event, Frame, HEADER_LEN, Payload};
use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of media that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// Bytes of all else: what cannot be used at once has to be kept.
const FRAME_BYTES: usize = 4 * 1024;
/// The largest frame of a JOIN that is looked for behind HELLO.
const FIRST_JOIN_BYTES: usize = 1024;
/// A rest of up to so many bytes is copied before what is read next, so that it need not be kept.
const PREFIX_BYTES: usize = 4 * 1024;
/// A rest of up to so many bytes is not counted in the budget of all connections: the beginning of a frame, mostly.
const UNCOUNTED_BYTES: usize = 512;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; PREFIX_BYTES + READ_BYTES]);
}

/// Lends the thread's buffer. Not to be nested.
pub(super) fn with_scratch<T>(use_it: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| use_it(scratch))
}

/// What has been read and not used.
#[derive(Debug)]
pub(super) struct Input {
    rest: Rest,
    /// Whether the decoder needs more than `rest` to go on.
    is_hungry: bool,
    is_over: bool,
}

#[derive(Debug)]
enum Rest {
    Small(Vec<u8>),
    /// In the budget of all connections.
    Counted(Box<(Vec<u8>, Held)>),
}

impl Default for Rest {
    fn default() -> Self {
        Rest::Small(Vec::new())
    }
}

impl Rest {
    fn bytes(&self) -> &[u8] {
        match self {
            Rest::Small(bytes) => bytes,
            Rest::Counted(counted) => &counted.0,
        }
    }

    fn take(&mut self) -> (Vec<u8>, Option<Held>) {
        match std::mem::take(self) {
            Rest::Small(bytes) => (bytes, None),
            Rest::Counted(counted) => (counted.0, Some(counted.1)),
        }
    }
}

impl Default for Input {
    fn default() -> Self {
        Input { rest: Rest::default(), is_hungry: true, is_over: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads and uses as much as the session wants.
    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>, now: Now) -> bool {
        let mut moved = false;
        while self.may_read() {
            if !self.input.is_hungry {
                let (rest, held) = self.input.rest.take();
                let used = self.feed(&rest, now);
                self.keep(rest, used, held, now);
            } else if self.input.is_over {
                self.session.handle_eof();
                self.perform_effects();
            } else if !self.poll_read(cx, now) {
                break;
            }
            moved = true;
        }
        moved
    }

    /// Reads once; false if nothing came.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Now) -> bool {
        with_scratch(|scratch| {
            let rest = self.input.rest.bytes();
            let kept = if rest.len() <= PREFIX_BYTES { rest.len() } else { 0 };
            scratch[..kept].copy_from_slice(&rest[..kept]);
            let end = if self.body.is_some() || self.uploads.is_some() {
                scratch.len()
            } else {
                // Where memory is short, no more than need be counted; but what a frame lacks at once, so that one that has come
                // whole need not be kept at all.
                let some = self.member.link.outbox.budget().share().clamp(UNCOUNTED_BYTES, FRAME_BYTES);
                let lacks = whole(rest).saturating_sub(rest.len());
                (kept + some.max(lacks)).min(scratch.len())
            };
            let mut buf = ReadBuf::new(&mut scratch[kept..end]);
            let n = match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) => buf.filled().len(),
                Poll::Ready(Err(e)) => {
                    log::debug!("connection {}: reading failed: {e}", self.member.link.id);
                    self.is_dead = true;
                    return false;
                }
            };
            if n == 0 {
                self.input.is_over = true;
                return true;
            }
            self.session.handle_read(now.instant, n);
            let (mut rest, held) = self.input.rest.take();
            if kept == rest.len() {
                let used = self.feed(&scratch[..kept + n], now);
                rest.clear();
                rest.extend_from_slice(&scratch[used..kept + n]);
                self.keep(rest, 0, held, now);
            } else {
                rest.extend_from_slice(&scratch[..n]);
                let used = self.feed(&rest, now);
                self.keep(rest, used, held, now);
            }
            true
        })
    }

    /// Keeps what is behind the first `used` bytes of `rest`; a buffer with nothing in it is given back.
    fn keep(&mut self, mut rest: Vec<u8>, used: usize, held: Option<Held>, now: Now) {
        rest.drain(..used);
        if rest.len() <= UNCOUNTED_BYTES {
            rest.shrink_to(UNCOUNTED_BYTES * usize::from(!rest.is_empty()));
            self.input.rest = Rest::Small(rest);
            return;
        }
        // For the beginning of a frame there is always room.
        let wants_more = self.input.is_hungry && rest.len() > PREFIX_BYTES;
        // All that the frame needs: who was given memory for its beginning will have it for its end.
        if wants_more {
            rest.reserve_exact(whole(&rest).min(READ_BYTES + PREFIX_BYTES).saturating_sub(rest.len()));
        } else {
            rest.shrink_to(PREFIX_BYTES);
        }
        let mut held = held.unwrap_or_else(|| Held::new(self.member.link.outbox.budget()));
        let has_grown = rest.capacity() > held.bytes();
        held.set(rest.capacity());
        let has_room = held.has_room();
        self.input.rest = Rest::Counted(Box::new((rest, held)));
        if wants_more && has_grown && !has_room {
            self.session.handle_no_room(now.instant);
            self.perform_effects();
        }
    }

    /// Hands in a JOIN that has come with HELLO, if it is whole.
    fn look_ahead(&mut self, left: &mut &[u8]) {
        let end = whole(left);
        if left.first() == Some(&kind::JOIN)
            && end <= FIRST_JOIN_BYTES
            && let Some(payload) = left.get(HEADER_LEN..end)
            && let Ok(join) = frame::Join::parse(payload)
            && self.session.handle_first_room(&join)
        {
            *left = &left[end..];
        }
    }

    /// Hands frames to the session as long as it wants any; tells how many bytes they had.
    fn feed(&mut self, bytes: &[u8], now: Now) -> usize {
        let mut left = bytes;
        let mut ended = false;
        self.input.is_hungry = false;
        while self.may_look() && !self.is_full_of_answers() {
            match self.decoder.next(&mut left) {
                Ok(Some(Event::BodyChunk(chunk))) => {
                    if let Some(body) = &mut self.body {
                        body.write(chunk);
                    }
                }
                Ok(Some(Event::Frame(Frame::Chunk(chunk)))) => {
                    ended = true;
                    self.pace.spend(None);
                    if let Some(ticket) = self.session.handle_chunk(now, &chunk)
                        && let Some(uploads) = &mut self.uploads
                    {
                        uploads.write(ticket, chunk.bytes);
                    }
                    self.perform_effects();
                }
                Ok(Some(event)) => {
                    self.pace.spend(match &event {
                        Event::Frame(frame) => Some(frame),
                        _ => None,
                    });
                    ended |= !matches!(event, Event::BodyStart { .. } | Event::Skipped { .. });
                    self.session.handle_event(now, event);
                    if self.session.is_logging_in() {
                        self.look_ahead(&mut left);
                    }
                    self.perform_effects();
                }
                Ok(None) => {
                    self.input.is_hungry = true;
                    break;
                }
                Err(error) => {
                    self.session.handle_decode_error(now.instant, &error);
                    self.perform_effects();
                }
            }
        }
        let inside = self.input.is_hungry && (!left.is_empty() || self.decoder.inside_body());
        self.session.handle_looked_at(now.instant, ended, inside);
        bytes.len() - left.len()
    }
}

/// How long the frame is that begins here; 0: that has not come yet.
fn whole(bytes: &[u8]) -> usize {
    let size = |&[_, a, b, c, d]: &[u8; HEADER_LEN]| u32::from_be_bytes([a, b, c, d]) as usize;
    bytes.first_chunk().map_or(0, |header| HEADER_LEN.saturating_add(size(header)))
}

//! What a client knows of one connection, without I/O and without a clock: what came goes into
//! [`Core::handle`], and `now` is an argument.
//!
//! The contract: offer every event of the decoder to [`Core::handle`] and do what it returns before the next;
//! then take [`Core::take_urgent`], which goes out before all that waits, but inside no unit. When the
//! connection ends, for whatever reason, call [`Core::finish`] once; nothing waits afterwards.

mod heartbeat;
mod nonces;
mod pending;
mod positions;
#[cfg(test)]
mod tests;
mod units;

pub(crate) use heartbeat::{Beat, Heartbeat};
pub(crate) use nonces::Nonces;
pub(crate) use pending::{Ask, Piece, Waiting};

use crate::error::{End, Error, Refusal};
use crate::event::Event;
use crate::limits::{PING_BYTES, URGENT_BYTES};
use crate::message::Message;
use crate::request::Answer;
use chatwire_codec::frame::{self, kind};
use chatwire_codec::{Code, Frame, HEADER_LEN, Payload, VERSION};
use pending::{Asked, Note, Pending, Transfer};
use positions::{Positions, Verdict};
use tokio::sync::mpsc;
use units::{Unit, Units};

const _: () = assert!(VERSION == 1, "another version has other rules");

/// MEMBER's `change`: left, removed.
const ENDED: [u8; 2] = [2, 4];
/// An answer's type is its request's and this.
const ANSWER: u8 = 0x80;

/// What is to be handed on, before the next event is looked at.
#[derive(Debug)]
pub(crate) enum Delivery {
    Event(Event),
    /// If nobody takes it any more, call [`Core::abandon`].
    Piece {
        transfer: u32,
        piece: Piece,
        to: mpsc::Sender<Piece>,
    },
}

/// One connection's state behind WELCOME.
#[derive(Debug)]
pub(crate) struct Core {
    user: u64,
    live: bool,
    nonces: Nonces,
    positions: Positions,
    pending: Pending,
    units: Units,
    urgent: Vec<u8>,
    /// The server's fatal ERROR: the connection's end is to be told by it.
    last_words: Option<Refusal>,
    end: Option<End>,
}

impl Core {
    pub(crate) fn new(user: u64, live: bool, nonces: Nonces) -> Self {
        Core {
            user,
            live,
            nonces,
            positions: Positions::default(),
            pending: Pending::default(),
            units: Units::default(),
            urgent: Vec::new(),
            last_words: None,
            end: None,
        }
    }

    /// Takes a message's name, and waits for its STATUS. `nonce` 0: makes one.
    pub(crate) fn send(
        &mut self,
        nonce: u64,
        unix_ms: u64,
        waiting: Waiting<frame::Status>,
    ) -> Result<u64, Error> {
        self.alive()?;
        let nonce = if nonce == 0 { self.nonces.next(unix_ms) } else { nonce };
        if self.pending.sends.contains_key(&nonce) {
            return Err(Error::NonceInFlight(nonce));
        }
        self.pending.sends.insert(nonce, waiting);
        Ok(nonce)
    }

    /// A message that [`Core::send`] took could not be said: its nonce stays free.
    pub(crate) fn unsend(&mut self, nonce: u64) {
        self.pending.sends.remove(&nonce);
    }

    /// Numbers a request and waits for its answer: the number, and what is to be written.
    pub(crate) fn ask(&mut self, ask: Ask, waiting: Waiting<Answer>) -> Result<(u32, Vec<u8>), Error> {
        self.alive()?;
        if let Note::Sync { chat, .. } = ask.note {
            self.positions.sync_sent(chat).map_err(Error::Invalid)?;
        }
        let req = self.pending.number();
        let asked = Asked { kind: ask.kind, waiting: Some(waiting), note: ask.note };
        self.pending.asked.insert(req, asked);
        Ok((req, numbered(ask.bytes, req)))
    }

    /// Sends a PING and waits for its PONG.
    pub(crate) fn ping(&mut self, waiting: Waiting<()>) -> Result<(), Error> {
        self.alive()?;
        let bytes = self.pending.ping(waiting)?;
        Ok(frame::Ping { bytes: &bytes }.encode(&mut self.urgent)?)
    }

    /// Sends a PING whose PONG is worth only the noise that it makes.
    pub(crate) fn beat(&mut self) {
        self.urge(&frame::Ping { bytes: &[] });
    }

    /// Ends a transfer that nobody reads any more.
    pub(crate) fn abandon(&mut self, transfer: u32) {
        if let Some(asked) = self.pending.asked.get_mut(&transfer) {
            asked.waiting = None;
        } else if self.pending.transfers.remove(&transfer).is_none() {
            return;
        }
        let req = self.pending.number();
        self.urge(&frame::Cancel { req, transfer });
        let asked = Asked { kind: kind::CANCEL, waiting: None, note: Note::Nothing };
        self.pending.asked.insert(req, asked);
    }

    /// Whether [`Core::take_urgent`] has anything.
    pub(crate) fn has_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// What is to be written before all that waits.
    pub(crate) fn take_urgent(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.urgent);
    }

    /// Every chat's position.
    pub(crate) fn positions(&self) -> Vec<(u64, u64)> {
        self.positions.known()
    }

    /// How the connection ended, if it has.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The connection has ended: fails all that waits, and says what the end is to be called.
    pub(crate) fn finish(&mut self, end: End) -> End {
        let end = match (self.last_words.take(), end) {
            (Some(refusal), End::Closed | End::Network(_) | End::Silent | End::Bye { .. }) => {
                End::Refused(refusal)
            }
            (_, end) => end,
        };
        self.pending.fail(&end);
        self.urgent = Vec::new();
        self.end.get_or_insert(end).clone()
    }

    /// Takes what the decoder saw.
    ///
    /// # Errors
    /// The connection is over.
    pub(crate) fn handle(&mut self, event: chatwire_codec::Event<'_>) -> Result<Option<Delivery>, End> {
        match self.units.handle(event)? {
            Unit::Open => Ok(None),
            Unit::Message(message) => self.message(message),
            Unit::Page(req, page) => self.answer(req, kind::HISTORY_PAGE, Answer::History(page)),
            Unit::Frame(frame) => self.frame(frame),
        }
    }

    fn message(&mut self, message: Message) -> Result<Option<Delivery>, End> {
        match self.positions.from(message.chat, message.seq)? {
            Verdict::Take => Ok(Some(Delivery::Event(Event::Message(message)))),
            Verdict::Ignore => Ok(None),
            Verdict::Gap { after } => self.catch_up(message.chat, after),
        }
    }

    fn catch_up(&mut self, chat: u64, after: u64) -> Result<Option<Delivery>, End> {
        let req = self.pending.number();
        self.positions.sync_sent(chat)?;
        self.urge(&frame::Sync { req, chat, after });
        let asked = Asked { kind: kind::SYNC, waiting: None, note: Note::Sync { chat, after } };
        self.pending.asked.insert(req, asked);
        Ok(None)
    }

    fn frame(&mut self, frame: Frame<'_>) -> Result<Option<Delivery>, End> {
        let event = match frame {
            Frame::Status(status) => return Ok(self.status(status)),
            Frame::Error(error) => return Ok(self.refused(&error)),
            Frame::Ping(ping) => return Ok(self.pong(ping.bytes)),
            Frame::Pong(pong) => {
                self.pending.pong(pong.bytes);
                return Ok(None);
            }
            Frame::Bye(bye) => return Err(End::Bye { code: bye.code, reason: bye.reason.to_owned() }),
            Frame::Chunk(chunk) => return Ok(self.chunk(&chunk)),
            Frame::Member(member) => self.member(member),
            Frame::Typing(typing) => Event::Typing(typing.into()),
            Frame::Presence(presence) => Event::Presence(presence.into()),
            Frame::Seen(seen) => Event::Seen(seen),
            frame => {
                let kind = frame.kind();
                return match Answer::of(frame) {
                    Some((req, answer)) => self.answer(req, kind, answer),
                    None => Ok(None),
                };
            }
        };
        Ok(Some(Delivery::Event(event)))
    }

    fn status(&mut self, status: frame::Status) -> Option<Delivery> {
        self.positions.status(status.chat, status.seq);
        if let Some(waiting) = self.pending.sends.remove(&status.nonce) {
            waiting.resolve(Ok(status));
        }
        None
    }

    fn pong(&mut self, bytes: &[u8]) -> Option<Delivery> {
        // A server that asks faster than it reads the answers gets fewer of them.
        if bytes.len() <= PING_BYTES && self.urgent.len() < URGENT_BYTES {
            self.urge(&frame::Pong { bytes });
        }
        None
    }

    fn member(&mut self, member: frame::Member<'_>) -> Event {
        if member.user == self.user && ENDED.contains(&member.change) {
            self.positions.forget(member.chat);
        }
        Event::Member(member.into())
    }

    fn answer(&mut self, req: u32, kind: u8, answer: Answer) -> Result<Option<Delivery>, End> {
        let Some(asked) = self.pending.asked.remove(&req) else { return Ok(None) };
        if asked.kind + ANSWER != kind {
            return Err("an answer to another request than was asked".into());
        }
        match (&answer, asked.note) {
            (Answer::Synced(synced), Note::Sync { chat, after }) => {
                self.positions.synced(chat, after, synced.first_seq)?;
            }
            (Answer::Joined(joined), _) if self.live && joined.new_member => {
                self.positions.joined(joined.chat, joined.last_seq)?;
            }
            (Answer::Left(left), _) => self.positions.forget(left.chat),
            // One that was abandoned meanwhile gets no transfer: its CANCEL is under way.
            (Answer::FetchReady(ready), Note::Fetch { offset, length, pieces })
                if asked.waiting.is_some() =>
            {
                self.begin_transfer(req, Transfer { next: offset, end: ready.end(offset, length), pieces });
            }
            _ => {}
        }
        if let Some(waiting) = asked.waiting {
            waiting.resolve(Ok(answer));
        }
        Ok(None)
    }

    fn begin_transfer(&mut self, req: u32, transfer: Transfer) {
        if transfer.next < transfer.end {
            self.pending.transfers.insert(req, transfer);
        }
    }

    fn chunk(&mut self, chunk: &frame::Chunk<'_>) -> Option<Delivery> {
        let id = chunk.transfer;
        let transfer = self.pending.transfers.get_mut(&id)?;
        let to = transfer.pieces.clone();
        let next = transfer.next.saturating_add(chunk.bytes.len() as u64);
        if chunk.offset != transfer.next || chunk.bytes.is_empty() || next > transfer.end {
            self.abandon(id);
            let piece = Err(Error::Violation("a piece of media that is out of place"));
            return Some(Delivery::Piece { transfer: id, piece, to });
        }
        transfer.next = next;
        if next == transfer.end {
            self.pending.transfers.remove(&id);
        }
        Some(Delivery::Piece { transfer: id, piece: Ok(chunk.bytes.to_vec()), to })
    }

    /// Finds whose ERROR it is: a message's by its nonce, a request's or transfer's by its number.
    fn refused(&mut self, error: &frame::Error<'_>) -> Option<Delivery> {
        let refusal = Refusal::from(error);
        if refusal.is_fatal() {
            self.last_words = Some(refusal.clone());
        }
        match error.about {
            kind::TEXT..=0x1F | kind::TO => {
                if let Some(waiting) = self.pending.sends.remove(&error.ref_) {
                    waiting.resolve(Err(Error::Refused(refusal)));
                    return None;
                }
            }
            kind::JOIN..=0x6F => {
                let req = u32::try_from(error.ref_).unwrap_or(0);
                if let Some(asked) = self.pending.asked.remove(&req) {
                    return self.request_refused(asked, refusal);
                }
                if let Some(transfer) = self.pending.transfers.remove(&req) {
                    let piece = Err(Error::Refused(refusal));
                    return Some(Delivery::Piece { transfer: req, piece, to: transfer.pieces });
                }
            }
            _ => {}
        }
        // A fatal one is told as the connection's end.
        (!refusal.is_fatal()).then_some(Delivery::Event(Event::ServerError(refusal)))
    }

    fn request_refused(&mut self, asked: Asked, refusal: Refusal) -> Option<Delivery> {
        let automatic = asked.waiting.is_none();
        if let Note::Sync { chat, .. } = asked.note {
            self.positions.sync_refused(chat);
            if automatic && refusal.code() == Some(Code::NotFound) {
                // The position was never given: the chat, or the server's data, is another.
                self.positions.forget(chat);
            }
        }
        match asked.waiting {
            Some(waiting) => waiting.resolve(Err(Error::Refused(refusal))),
            None if asked.kind == kind::SYNC => return Some(Delivery::Event(Event::ServerError(refusal))),
            None => {}
        }
        None
    }

    fn urge<'a>(&mut self, frame: &impl Payload<'a>) {
        // Small frames with short fields cannot fail to be encoded.
        let encoded = frame.encode(&mut self.urgent);
        debug_assert!(encoded.is_ok(), "{encoded:?}");
    }

    fn alive(&self) -> Result<(), Error> {
        match &self.end {
            Some(end) => Err(Error::Disconnected(end.clone())),
            None => Ok(()),
        }
    }
}

/// A request's first field is its number.
fn numbered(mut frame: Vec<u8>, req: u32) -> Vec<u8> {
    frame[HEADER_LEN..HEADER_LEN + size_of::<u32>()].copy_from_slice(&req.to_be_bytes());
    frame
}

impl crate::request::FetchReady {
    /// Where a transfer from `offset` ends.
    fn end(&self, offset: u64, length: u64) -> u64 {
        if length == 0 { self.size } else { self.size.min(offset.saturating_add(length)) }
    }
}

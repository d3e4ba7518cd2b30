//! What a client knows of one connection, without I/O and without a clock: what came goes into
//! [`Core::handle`], and `now` is an argument.
//!
//! The contract: offer every event of the decoder to [`Core::handle`] and do what it returns before the next;
//! then take [`Core::take_urgent`], which goes out before all that waits, but inside no unit. When the
//! connection ends, for whatever reason, call [`Core::finish`] once; nothing waits afterwards.

mod backoff;
mod heartbeat;
mod journey;
mod nonces;
mod outbox;
mod pending;
mod positions;
mod removals;
#[cfg(test)]
mod tests;
mod told;
#[cfg(test)]
mod told_tests;
mod transfers;
mod units;

pub(crate) use heartbeat::{Beat, Heartbeat};
pub(crate) use journey::{Attempt, Greeted, Journey, Step};
pub(crate) use nonces::Nonces;
pub(crate) use outbox::Next;
pub(crate) use pending::{Ask, Confirmed, Piece, Waiting};
pub(crate) use told::{Known, Listener, Told};

use crate::error::{End, Error, Refusal};
use crate::event::Event;
use crate::limits::{PING_BYTES, URGENT_BYTES};
use crate::message::Message;
use crate::request::{Answer, Joined};
use chatwire_codec::frame::{self, kind};
use chatwire_codec::{Code, Frame, Payload, VERSION};
use pending::{Asked, Note, Pending, Sent, Transfer, numbered};
use positions::{Positions, Standing, Verdict};
use removals::Removals;
use tokio::sync::mpsc;
use units::{Unit, Units};

const _: () = assert!(VERSION == 1, "another version has other rules");

/// MEMBER's `change`: left, removed.
const ENDED: [u8; 2] = [2, 4];
/// JOIN's flag: the user stays in the connection's former room.
const STAY: u8 = 1;
/// The room that everybody is in.
const EVERYBODY: &str = "all";
/// An answer's type is its request's and this.
const ANSWER: u8 = 0x80;

/// A position, and a chat that was left.
type Before = (Option<u64>, Option<u64>);

/// What is to be handed on, before the next event is looked at.
#[derive(Debug)]
pub(crate) enum Delivery {
    Told(Told),
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
    listener: Listener,
    /// The room that this connection joined last and would leave by another JOIN.
    room: Option<u64>,
    nonces: Nonces,
    positions: Positions,
    pending: Pending,
    removals: Removals,
    units: Units,
    urgent: Vec<u8>,
    /// The server's fatal ERROR: the connection's end is to be told by it.
    last_words: Option<Refusal>,
    end: Option<End>,
}

impl Core {
    /// Before WELCOME; see [`Core::opening`] and [`Core::welcomed`].
    pub(crate) fn new(live: bool, listener: Listener, nonces: Nonces) -> Self {
        Core {
            user: 0,
            live,
            listener,
            room: None,
            nonces,
            positions: Positions::default(),
            pending: Pending::default(),
            removals: Removals::default(),
            units: Units::default(),
            urgent: Vec::new(),
            last_words: None,
            end: None,
        }
    }

    /// What is pipelined behind HELLO: the rooms entered again, and a SYNC for each chat whose position is known.
    pub(crate) fn opening(&mut self, known: &[Known]) -> Result<Vec<u8>, Error> {
        for chat in known {
            self.resume(chat).map_err(Error::Invalid)?;
        }
        Ok(std::mem::take(&mut self.urgent))
    }

    fn resume(&mut self, known: &Known) -> Result<(), &'static str> {
        if !known.room.is_empty() {
            let req = self.pending.number();
            self.urge(&frame::Join { req, room: &known.room, flags: STAY });
            let note = Note::Join { stay: true, was: known.chat };
            self.pending.asked.insert(req, Asked { kind: kind::JOIN, waiting: None, note });
        }
        match known.pos {
            Some(pos) => {
                self.positions.resume(known.chat, pos)?;
                self.catch_up(known.chat, pos)
            }
            None => Ok(()),
        }
    }

    /// WELCOME came.
    pub(crate) fn welcomed(&mut self, user: u64) {
        self.user = user;
    }

    /// Takes a message's name, and waits for its STATUS. `nonce` 0: makes one. `whole`: whoever listens can
    /// make the message from its STATUS, so that it need not come again.
    pub(crate) fn send(
        &mut self,
        nonce: u64,
        unix_ms: u64,
        whole: bool,
        waiting: Waiting<frame::Status>,
    ) -> Result<u64, Error> {
        self.alive()?;
        let nonce = if nonce == 0 { self.nonces.next(unix_ms) } else { nonce };
        if self.pending.sends.contains_key(&nonce) {
            return Err(Error::NonceInFlight(nonce));
        }
        self.pending.sends.insert(nonce, Sent { waiting, whole });
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
        let mut unit = self.units.handle(event)?;
        self.removals.apply(&mut unit);
        match unit {
            Unit::Open => Ok(None),
            Unit::Message(message) => self.message(message),
            Unit::Page(req, page) => self.answer(req, kind::HISTORY_PAGE, Answer::History(page)),
            Unit::Found(req, found) => self.answer(req, kind::SEARCH_PAGE, Answer::Found(found)),
            Unit::Frame(frame) => self.frame(frame),
        }
    }

    fn message(&mut self, message: Message) -> Result<Option<Delivery>, End> {
        match self.positions.from(message.chat, message.seq)? {
            Verdict::Take => Ok(Some(Delivery::Told(Told::Event(Event::Message(message))))),
            Verdict::Ignore => Ok(None),
            Verdict::Gap { after } => {
                self.catch_up(message.chat, after)?;
                Ok(None)
            }
        }
    }

    /// Has a chat's messages come from a position on.
    pub(crate) fn catch_up(&mut self, chat: u64, after: u64) -> Result<(), &'static str> {
        let req = self.pending.number();
        self.positions.sync_sent(chat)?;
        self.urge(&frame::Sync { req, chat, after });
        let asked = Asked { kind: kind::SYNC, waiting: None, note: Note::Sync { chat, after } };
        self.pending.asked.insert(req, asked);
        Ok(())
    }

    fn frame(&mut self, frame: Frame<'_>) -> Result<Option<Delivery>, End> {
        let event = match frame {
            Frame::Status(status) => return self.status(status),
            Frame::Error(error) => return Ok(self.refused(&error)),
            Frame::Ping(ping) => return Ok(self.pong(ping.bytes)),
            Frame::Pong(pong) => {
                self.pending.pong(pong.bytes);
                return Ok(None);
            }
            Frame::Bye(bye) => return Err(End::Bye { code: bye.code, reason: bye.reason.to_owned() }),
            Frame::Chunk(chunk) => return Ok(self.chunk(&chunk)),
            Frame::Received(received) => {
                self.pending.received(received.transfer, received.offset);
                return Ok(None);
            }
            Frame::Stored(stored) => {
                self.pending.uploaded(stored.transfer, Ok(stored.media));
                return Ok(None);
            }
            Frame::Member(member) => self.member(member),
            Frame::Typing(typing) => Event::Typing(typing.into()),
            Frame::Presence(presence) => Event::Presence(presence.into()),
            Frame::Seen(seen) => Event::Seen(seen),
            Frame::MessageGone(gone) => {
                self.removals.note(&gone, &self.pending);
                Event::Gone(gone)
            }
            frame => {
                let kind = frame.kind();
                return match Answer::of(frame) {
                    Some((req, answer)) => self.answer(req, kind, answer),
                    None => Ok(None),
                };
            }
        };
        Ok(Some(Delivery::Told(Told::Event(event))))
    }

    fn status(&mut self, status: frame::Status) -> Result<Option<Delivery>, End> {
        let sent = self.pending.sends.remove(&status.nonce);
        let (chat, seq) = (status.chat, status.seq);
        let whole = sent.as_ref().is_some_and(|sent| sent.whole);
        let in_place = match self.positions.standing(chat, seq) {
            // The message itself comes in the stream, if it is missing. It may be gone by now.
            Standing::Next if status.duplicate != 0 => false,
            Standing::Next if whole || self.listener == Listener::Program => {
                self.positions.status(chat, seq);
                true
            }
            // Who listens for every message gets this one too, and has a place in the chat from it on.
            Standing::Next => {
                self.catch_up(chat, seq.saturating_sub(1))?;
                false
            }
            Standing::Unknown if self.live && self.listener == Listener::Steady => {
                self.catch_up(chat, seq.saturating_sub(1))?;
                false
            }
            Standing::Unknown | Standing::Elsewhere => false,
        };
        if let Some(sent) = sent {
            sent.waiting.resolve(Ok(status.clone()));
        }
        Ok(self.tell(Told::Stored { status, in_place }))
    }

    /// Only who keeps a place wants to know more than the events.
    fn tell(&self, told: Told) -> Option<Delivery> {
        (self.listener == Listener::Steady).then_some(Delivery::Told(told))
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
            self.forget(member.chat);
        }
        Event::Member(member.into())
    }

    fn answer(&mut self, req: u32, kind: u8, answer: Answer) -> Result<Option<Delivery>, End> {
        let Some(asked) = self.pending.asked.remove(&req) else { return Ok(None) };
        self.removals.answered(&self.pending);
        if asked.kind + ANSWER != kind {
            return Err("an answer to another request than was asked".into());
        }
        let mut told = None;
        match (&answer, asked.note) {
            (Answer::Synced(synced), Note::Sync { chat, after }) => {
                let pos = self.positions.synced(chat, after, synced.first_seq)?;
                told = self.tell(Told::Synced { chat, after, pos });
            }
            (Answer::Joined(joined), Note::Join { stay, was }) => {
                let (pos, left) = self.joined(joined, stay, was)?;
                told = self.tell(Told::Joined { joined: joined.clone(), pos, left });
            }
            (Answer::Left(left), _) => {
                self.forget(left.chat);
                told = self.tell(Told::Left { chat: left.chat });
            }
            // One that was abandoned meanwhile gets no transfer: its CANCEL is under way.
            (Answer::FetchReady(ready), Note::Fetch { offset, length, pieces })
                if asked.waiting.is_some() =>
            {
                self.begin_transfer(req, Transfer { next: offset, end: ready.end(offset, length), pieces });
            }
            (Answer::UploadReady(_), Note::Upload(confirmed)) if asked.waiting.is_some() => {
                self.pending.uploads.insert(req, confirmed);
            }
            _ => {}
        }
        if let Some(waiting) = asked.waiting {
            waiting.resolve(Ok(answer));
        }
        Ok(told)
    }

    /// The user is in a room; gives the position if the answer is one, and the room that the user has left.
    fn joined(&mut self, joined: &Joined, stay: bool, was: u64) -> Result<Before, &'static str> {
        // Behind it a SYNC from an earlier position may be under way.
        let is_position = self.live && joined.new_member && !self.positions.is_syncing(joined.chat);
        if is_position {
            self.positions.joined(joined.chat, joined.last_seq)?;
        }
        let former = self.room.replace(joined.chat);
        if joined.room == EVERYBODY {
            // Nobody leaves it.
            self.room = None;
        }
        let left = match former {
            _ if was != 0 => Some(was),
            former if !stay => former,
            _ => None,
        };
        let left = left.filter(|left| *left != joined.chat);
        if let Some(left) = left {
            self.positions.forget(left);
        }
        Ok((is_position.then_some(joined.last_seq), left))
    }

    fn forget(&mut self, chat: u64) {
        self.positions.forget(chat);
        self.room.take_if(|room| *room == chat);
    }

    /// Finds whose ERROR it is: a message's by its nonce, a request's or transfer's by its number.
    fn refused(&mut self, error: &frame::Error<'_>) -> Option<Delivery> {
        let refusal = Refusal::from(error);
        if refusal.is_fatal() {
            self.last_words = Some(refusal.clone());
        }
        match error.about {
            kind::TEXT..=0x1F | kind::TO => {
                if let Some(sent) = self.pending.sends.remove(&error.ref_) {
                    sent.waiting.resolve(Err(Error::Refused(refusal.clone())));
                    return self.tell(Told::Refused { nonce: error.ref_, refusal });
                }
            }
            kind::JOIN..=0x6F => {
                let req = u32::try_from(error.ref_).unwrap_or(0);
                if let Some(asked) = self.pending.asked.remove(&req) {
                    return self.request_refused(asked, refusal);
                }
                if self.pending.uploaded(req, Err(Error::Refused(refusal.clone()))) {
                    return None;
                }
                if let Some(transfer) = self.pending.transfers.remove(&req) {
                    let piece = Err(Error::Refused(refusal));
                    return Some(Delivery::Piece { transfer: req, piece, to: transfer.pieces });
                }
            }
            _ => {}
        }
        // A fatal one is told as the connection's end.
        (!refusal.is_fatal()).then_some(Delivery::Told(Told::Event(Event::ServerError(refusal))))
    }

    fn request_refused(&mut self, asked: Asked, refusal: Refusal) -> Option<Delivery> {
        if let Note::Sync { chat, .. } = asked.note {
            self.positions.sync_refused(chat);
        }
        match (asked.waiting, asked.note) {
            (Some(waiting), _) => waiting.resolve(Err(Error::Refused(refusal))),
            (None, Note::Sync { chat, .. } | Note::Join { was: chat, .. }) => {
                return Some(self.lost(chat, refusal));
            }
            (None, _) => {}
        }
        None
    }

    /// The client's own SYNC or JOIN was refused.
    fn lost(&mut self, chat: u64, refusal: Refusal) -> Delivery {
        // The position was never given, or the user is not in the chat any more.
        if matches!(refusal.code(), Some(Code::NotFound | Code::Forbidden)) {
            self.forget(chat);
            if let Some(told) = self.tell(Told::Lost { chat, refusal: refusal.clone() }) {
                return told;
            }
        }
        Delivery::Told(Told::Event(Event::ServerError(refusal)))
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

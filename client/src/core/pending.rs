//! What waits for an answer: messages by nonce, requests by number, transfers, PINGs.
//!
//! Each entry is resolved once and then gone; when the connection ends all are failed together.

use crate::error::{End, Error};
use crate::limits::PINGS_PENDING;
use crate::outgoing::within_request;
use crate::request::{Answer, Request};
use chatwire_codec::{Frame, HEADER_LEN, frame};
use std::collections::{HashMap, VecDeque};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

/// Somebody who waits; dropping it gives its place to the next.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    reply: oneshot::Sender<Result<T, Error>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<T> Waiting<T> {
    pub(crate) fn new(place: Option<OwnedSemaphorePermit>) -> (Self, oneshot::Receiver<Result<T, Error>>) {
        let (reply, answer) = oneshot::channel();
        (Waiting { reply, _place: place }, answer)
    }

    /// Whoever waited may have gone; then nobody needs to know.
    pub(crate) fn resolve(self, result: Result<T, Error>) {
        let _ = self.reply.send(result);
    }
}

/// What is known of a request besides who asked.
#[derive(Debug)]
pub(crate) enum Note {
    Nothing,
    Sync {
        chat: u64,
        after: u64,
    },
    /// `stay`: no room is left for it. `was`: the chat that the room was; 0: that is not known.
    Join {
        stay: bool,
        was: u64,
    },
    Fetch {
        offset: u64,
        length: u64,
        pieces: mpsc::Sender<Piece>,
    },
    Upload(watch::Sender<Confirmed>),
}

/// How far an upload is.
#[derive(Debug, Default)]
pub(crate) struct Confirmed {
    /// Bytes that are safe.
    pub(crate) safe: u64,
    /// The media that is stored, or why it is not.
    pub(crate) end: Option<Result<[u8; 32], Error>>,
}

/// A request that has no number yet.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) kind: u8,
    pub(crate) bytes: Vec<u8>,
    pub(crate) note: Note,
}

impl Ask {
    /// `pieces`: where FETCH's go.
    pub(crate) fn new<'a>(
        request: impl Request<'a>,
        pieces: Option<mpsc::Sender<Piece>>,
    ) -> Result<Self, Error> {
        let frame: Frame<'a> = request.into();
        let mut bytes = Vec::new();
        frame.encode(&mut bytes)?;
        within_request(bytes.len())?;
        let note = match (&frame, pieces) {
            (Frame::Sync(sync), _) => Note::Sync { chat: sync.chat, after: sync.after },
            (Frame::Join(join), _) => Note::Join { stay: join.flags & 1 != 0, was: 0 },
            (Frame::Fetch(fetch), Some(pieces)) => {
                Note::Fetch { offset: fetch.offset, length: fetch.length, pieces }
            }
            _ => Note::Nothing,
        };
        Ok(Ask { kind: frame.kind(), bytes, note })
    }

    /// UPLOAD; `confirmed` is told of all that comes of it.
    pub(crate) fn upload(
        upload: &frame::Upload<'_>,
        confirmed: watch::Sender<Confirmed>,
    ) -> Result<Self, Error> {
        Ok(Ask { note: Note::Upload(confirmed), ..Ask::new(upload.clone(), None)? })
    }
}

/// A request's first field is its number.
pub(super) fn numbered(mut frame: Vec<u8>, req: u32) -> Vec<u8> {
    frame[HEADER_LEN..HEADER_LEN + size_of::<u32>()].copy_from_slice(&req.to_be_bytes());
    frame
}

/// A piece of fetched media, or why no more comes.
pub(crate) type Piece = Result<Vec<u8>, Error>;

/// A request without an answer; `waiting` is `None` where the client itself asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) kind: u8,
    pub(crate) waiting: Option<Waiting<Answer>>,
    pub(crate) note: Note,
}

/// A message without an answer.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) waiting: Waiting<frame::Status>,
    pub(crate) whole: bool,
}

/// A FETCH that was answered and is not over.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) next: u64,
    pub(crate) end: u64,
    pub(crate) pieces: mpsc::Sender<Piece>,
}

/// All that waits.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) sends: HashMap<u64, Sent>,
    pub(crate) asked: HashMap<u32, Asked>,
    pub(crate) transfers: HashMap<u32, Transfer>,
    pub(crate) uploads: HashMap<u32, watch::Sender<Confirmed>>,
    pings: VecDeque<(u64, Waiting<()>)>,
    last_req: u32,
    last_ping: u64,
}

impl Pending {
    /// A number that no request or transfer has; never 0.
    pub(crate) fn number(&mut self) -> u32 {
        loop {
            self.last_req = self.last_req.wrapping_add(1).max(1);
            let req = self.last_req;
            let is_taken = self.asked.contains_key(&req)
                || self.transfers.contains_key(&req)
                || self.uploads.contains_key(&req);
            if !is_taken {
                return req;
            }
        }
    }

    /// Waits for a PONG with the bytes that this gives.
    pub(crate) fn ping(&mut self, waiting: Waiting<()>) -> Result<[u8; 8], Error> {
        if self.pings.len() >= PINGS_PENDING {
            return Err(Error::Invalid("too many PINGs wait for their answers"));
        }
        self.last_ping += 1;
        self.pings.push_back((self.last_ping, waiting));
        Ok(self.last_ping.to_be_bytes())
    }

    pub(crate) fn pong(&mut self, bytes: &[u8]) {
        let Ok(bytes) = bytes.try_into() else { return };
        let number = u64::from_be_bytes(bytes);
        let found = self.pings.iter().position(|(ping, _)| *ping == number);
        if let Some((_, waiting)) = found.and_then(|at| self.pings.remove(at)) {
            waiting.resolve(Ok(()));
        }
    }

    /// So much of an upload is safe.
    pub(crate) fn received(&mut self, transfer: u32, offset: u64) {
        if let Some(upload) = self.uploads.get(&transfer) {
            upload.send_modify(|confirmed| confirmed.safe = confirmed.safe.max(offset));
        }
    }

    /// An upload has ended; false if there was none.
    pub(crate) fn uploaded(&mut self, transfer: u32, end: Result<[u8; 32], Error>) -> bool {
        let Some(upload) = self.uploads.remove(&transfer) else { return false };
        upload.send_modify(|confirmed| confirmed.end = Some(end));
        true
    }

    /// Fails all. Whoever reads a transfer's pieces sees their end.
    pub(crate) fn fail(&mut self, end: &End) {
        let error = || Error::Disconnected(end.clone());
        for (_, sent) in self.sends.drain() {
            sent.waiting.resolve(Err(error()));
        }
        for waiting in self.asked.drain().filter_map(|(_, asked)| asked.waiting) {
            waiting.resolve(Err(error()));
        }
        for (_, waiting) in self.pings.drain(..) {
            waiting.resolve(Err(error()));
        }
        self.transfers.clear();
        for (_, upload) in self.uploads.drain() {
            upload.send_modify(|confirmed| confirmed.end = Some(Err(error())));
        }
    }
}

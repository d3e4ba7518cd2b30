//! Transfers: which are running, where each upload goes on, and that each ends once (section 6.6).

use super::{Effect, Session, State};
use crate::delivery;
use crate::error::Refusal;
use crate::id::{MediaId, Now};
use crate::names;
use chatwire_codec::frame::{self, kind};
use chatwire_codec::{Code, MediaKind};

/// Fetches that one connection may have at once.
pub const FETCHES: usize = 4;
/// Uploads that one connection may have at once.
pub const UPLOADS: usize = 4;
/// When who has too many should try again.
const RETRY_MS: u32 = 1000;

/// An UPLOAD that may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The request's number.
    pub req: u32,
    /// The upload among all of its connection: unlike `req` it is never given again.
    pub ticket: u32,
    /// What it is to be.
    pub media: MediaId,
    /// As what.
    pub kind: MediaKind,
    /// Bytes in all.
    pub size: u64,
}

/// A transfer that is running.
#[derive(Debug)]
pub(super) struct Transfer {
    req: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Fetch,
    /// An upload, with its ticket, the next byte, and how many there are to be.
    Upload(u32, u64, u64),
}

impl Session {
    /// An upload may go on from this byte; UPLOAD_READY is in the queue.
    pub fn handle_upload_begun(&mut self, wish: &Wish, offset: u64) {
        let State::Open(open) = &mut self.state else { return };
        let stage = Stage::Upload(wish.ticket, offset, wish.size);
        open.transfers.push(Transfer { req: wish.req, stage });
        if offset == wish.size {
            self.effects.push_back(Effect::FinishUpload(wish.ticket));
        }
    }

    /// A CHUNK. If it is the next of an upload, that upload's ticket: its bytes are to be taken before the next
    /// effect.
    pub fn handle_chunk(&mut self, now: Now, chunk: &frame::Chunk<'_>) -> Option<u32> {
        let State::Open(open) = &mut self.state else { return None };
        let running = open.transfers.iter_mut().find(|running| running.req == chunk.transfer)?;
        let Stage::Upload(ticket, next, size) = &mut running.stage else { return None };
        let (ticket, len) = (*ticket, chunk.bytes.len() as u64);
        if len == 0 {
            self.malformed(now, kind::CHUNK, "a CHUNK has at least one byte");
            return None;
        }
        if next == size {
            // All has come, and its end is on its way.
            return None;
        }
        if chunk.offset != *next || len > *size - *next {
            let text = format!("the next chunk begins at {next} and ends at {size} at most; upload again");
            let end = self.ended(ticket, &Refusal::new(Code::Conflict, text)).unwrap_or_default();
            self.effects.push_back(Effect::EndUpload(ticket, end));
            return None;
        }
        *next += len;
        if next == size {
            self.effects.push_back(Effect::FinishUpload(ticket));
        }
        Some(ticket)
    }

    /// So many bytes of an upload are safe.
    pub fn handle_received(&mut self, ticket: u32, offset: u64) {
        if let Some(transfer) = self.running(ticket) {
            let received = delivery::bytes_of(&frame::Received { transfer, offset });
            self.effects.push_back(Effect::Send(received));
        }
    }

    /// An upload has ended, whoever was told and whatever came of it.
    pub fn handle_uploaded(&mut self, ticket: u32, result: Result<MediaId, Refusal>) {
        let end = match result {
            Ok(media) => self.running(ticket).map(|transfer| {
                self.forget(transfer);
                delivery::bytes_of(&frame::Stored { transfer, media: media.0 })
            }),
            Err(refusal) => self.ended(ticket, &refusal),
        };
        self.effects.extend(end.map(Effect::Send));
    }

    /// A fetch has begun.
    pub fn handle_fetch_begun(&mut self, req: u32) {
        self.with_open(|open| open.transfers.push(Transfer { req, stage: Stage::Fetch }));
    }

    /// A fetch has sent all that it was to send.
    pub fn handle_fetch_done(&mut self, req: u32) {
        self.forget(req);
    }

    pub(super) fn upload(&mut self, upload: &frame::Upload<'_>) -> Result<Effect, Refusal> {
        let State::Open(open) = &mut self.state else { return Err(Refusal::internal()) };
        let uploads = open.transfers.iter().filter(|running| matches!(running.stage, Stage::Upload(..)));
        if uploads.count() >= UPLOADS {
            return Err(too_many(UPLOADS, "uploads"));
        }
        let Some(kind) = MediaKind::from_number(upload.media_kind) else {
            return Err(Refusal::new(Code::BadMedia, "an upload must be of a VOICE, VIDEO, IMAGE or FILE"));
        };
        if upload.size > self.rules.max_media {
            let text = format!("media has at most {} bytes", self.rules.max_media);
            return Err(Refusal::new(Code::TooLarge, text));
        }
        // Nothing needs it, since MEDIA names the file; but what is no name is told now.
        names::file(upload.name)?;
        open.last_upload = open.last_upload.wrapping_add(1);
        let (req, ticket, media, size) = (upload.req, open.last_upload, MediaId(upload.digest), upload.size);
        Ok(Effect::BeginUpload(Wish { req, ticket, media, kind, size }))
    }

    pub(super) fn fetch_room(&self) -> Result<(), Refusal> {
        let State::Open(open) = &self.state else { return Err(Refusal::internal()) };
        let fetches = open.transfers.iter().filter(|running| matches!(running.stage, Stage::Fetch));
        if fetches.count() >= FETCHES { Err(too_many(FETCHES, "fetches")) } else { Ok(()) }
    }

    /// Also where no such transfer is running: it may have ended while the CANCEL was on its way. An upload of which
    /// all has come is stored all the same, and nothing more is said of it.
    pub(super) fn cancel(&mut self, req: u32, transfer: u32) -> Effect {
        let cancelled = delivery::bytes_of(&frame::Cancelled { req });
        let ticket = match &self.state {
            State::Open(open) => open.transfers.iter().find_map(|running| match running.stage {
                Stage::Upload(ticket, ..) if running.req == transfer => Some(ticket),
                _ => None,
            }),
            _ => None,
        };
        self.forget(transfer);
        match ticket {
            Some(ticket) => Effect::EndUpload(ticket, cancelled),
            None => Effect::CancelFetch(transfer, cancelled),
        }
    }

    /// Whether a transfer of this number is running.
    pub(super) fn is_running(&self, req: u32) -> bool {
        matches!(&self.state, State::Open(open) if open.transfers.iter().any(|running| running.req == req))
    }

    /// The ERROR that an upload ends with, if it is running.
    fn ended(&mut self, ticket: u32, refusal: &Refusal) -> Option<Vec<u8>> {
        let req = self.running(ticket)?;
        self.forget(req);
        log::debug!("connection {}: an upload ends: {refusal}", self.conn);
        let mut error = Vec::new();
        delivery::error(&mut error, kind::UPLOAD, req.into(), refusal);
        Some(error)
    }

    /// The number of an upload that is running.
    fn running(&self, ticket: u32) -> Option<u32> {
        let State::Open(open) = &self.state else { return None };
        let is_it = |running: &&Transfer| matches!(running.stage, Stage::Upload(of, ..) if of == ticket);
        open.transfers.iter().find(is_it).map(|running| running.req)
    }

    fn forget(&mut self, req: u32) {
        self.with_open(|open| {
            open.transfers.retain(|running| running.req != req);
            if open.transfers.is_empty() {
                open.transfers = Vec::new();
            }
        });
    }
}

fn too_many(limit: usize, what: &str) -> Refusal {
    let text = format!("{limit} {what} are running; wait for one of them to end");
    Refusal { retry_ms: RETRY_MS, ..Refusal::new(Code::RateLimited, text) }
}

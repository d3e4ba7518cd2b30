//! What the server owes an answer to, and that it comes: in the order in which it was asked, and what it says is true.

use super::{Check, Stream, Watch};
use crate::found::{Asked, Found};
use crate::frames::number;
use crate::media::Wanted;
use crate::page::Page;
use crate::truth::{ALL, Truth};
use chatwire_codec::Frame;
use chatwire_codec::frame::{self, kind};

const ANSWER: u8 = 0x80;
const INTERNAL: u16 = 500;
const CONFLICT: u16 = 409;
const NOT_FOUND: u16 = 404;
const RATE_LIMITED: u16 = 429;
/// Codes that no client of a run should see: it sends nothing that is malformed, and nobody is banned.
const NEVER: [u16; 6] = [400, 401, 405, 415, 421, 460];

/// What the server owes an answer to, in the order in which it was sent.
#[derive(Clone, Debug)]
pub(super) enum Owed {
    /// Its nonce, and its type.
    Message(u64, u8),
    Join {
        req: u32,
        stay: bool,
    },
    Sync {
        req: u32,
        chat: u64,
        after: u64,
    },
    /// And how far the stream had come when it was asked.
    History(frame::History, u64),
    Upload {
        req: u32,
        file: usize,
        /// What was confirmed when it was asked.
        safe: usize,
    },
    Fetch {
        req: u32,
        wanted: Wanted,
    },
    Cancel {
        req: u32,
        transfer: u32,
    },
    Search(Asked),
    Remove {
        req: u32,
        chat: u64,
    },
    Request {
        req: u32,
        kind: u8,
    },
}

impl Watch {
    pub(super) fn error(&mut self, error: &frame::Error<'_>, truth: &Truth) -> Check {
        let is_fatal = self.user == 0
            || chatwire_codec::Code::from_number(error.code).is_some_and(|code| code.is_fatal());
        let may_be = !is_fatal || self.was_stalled || (self.may_fail && error.code == INTERNAL);
        if NEVER.contains(&error.code) || !may_be || (error.code == INTERNAL && !self.may_fail) {
            return Err("no such refusal was to come".into());
        }
        if is_fatal {
            self.is_over = true;
            return Ok(());
        }
        self.is_too_fast |= error.code == RATE_LIMITED;
        let req = u32::try_from(error.ref_).unwrap_or(0);
        if error.about == kind::UPLOAD
            && let Some(file) = self.transfers.fails(req)
        {
            // Another has taken it over, or it could not be committed.
            let is_taken_over = truth.claims.get(&(self.user, file)).is_some_and(|claims| *claims > 1);
            let may_be = (error.code == CONFLICT && is_taken_over) || error.code == INTERNAL;
            return if may_be { Ok(()) } else { Err("the upload was to go on".into()) };
        }
        if error.about == kind::FETCH && self.transfers.fetch_fails(req) {
            return if error.code == NOT_FOUND { Ok(()) } else { Err("the fetch was to go on".into()) };
        }
        let is_of = |owed: &Owed| match owed {
            Owed::Message(nonce, kind) => (error.about, error.ref_) == (*kind, *nonce),
            Owed::Upload { req, .. } => (error.about, error.ref_) == (kind::UPLOAD, (*req).into()),
            Owed::Fetch { req, .. } => (error.about, error.ref_) == (kind::FETCH, (*req).into()),
            Owed::Cancel { req, .. } => (error.about, error.ref_) == (kind::CANCEL, (*req).into()),
            Owed::Search(asked) => (error.about, error.ref_) == (kind::SEARCH, asked.req.into()),
            Owed::Join { req, .. } => (error.about, error.ref_) == (kind::JOIN, (*req).into()),
            Owed::Sync { req, .. } => (error.about, error.ref_) == (kind::SYNC, (*req).into()),
            Owed::Remove { req, .. } => (error.about, error.ref_) == (kind::REMOVE, (*req).into()),
            Owed::History(of, _) => (error.about, error.ref_) == (kind::HISTORY, of.req.into()),
            Owed::Request { req, kind } => (error.about, error.ref_) == (*kind, (*req).into()),
        };
        match self.owed.pop_front() {
            Some(owed) if is_of(&owed) => Ok(()),
            other => Err(format!("{other:?} was to be answered")),
        }
    }

    pub(super) fn answer(&mut self, frame: &Frame<'_>, truth: &mut Truth) -> Check {
        let owed = self.owed.pop_front();
        let wrong = || Err(format!("{owed:?} was to be answered"));
        match (frame, &owed) {
            (Frame::Joined(joined), Some(Owed::Join { req, stay })) if joined.req == *req => {
                if let Some(left) = self.current.filter(|left| !stay && *left != joined.chat && *left != ALL)
                {
                    self.end(left);
                }
                if joined.new_member != 0 {
                    let start = truth.start(self.conn, joined.chat).ok_or("nobody has come in")?;
                    if start != joined.last_seq {
                        return Err(format!("its newest message is {start}"));
                    }
                    self.begin(joined.chat, Some(start));
                }
                self.current = Some(joined.chat);
            }
            (Frame::Synced(synced), &Some(Owed::Sync { req, chat, after })) if synced.req == req => {
                let pos = after.max(synced.first_seq - 1);
                if synced.chat != chat || synced.first_seq > 1 || synced.last_seq > truth.head(chat) {
                    return Err(format!("the chat has come to {}", truth.head(chat)));
                }
                // It asks for it: so it comes, live or not.
                self.streams.insert(chat, Stream { pos: Some(pos), ..Stream::default() });
            }
            (Frame::UploadReady(ready), &Some(Owed::Upload { req, file, safe })) if ready.req == req => {
                self.transfers.upload_ready(req, file, ready.offset, safe)?;
            }
            (Frame::FetchReady(ready), &Some(Owed::Fetch { req, wanted })) if ready.req == req => {
                self.transfers.fetch_ready(ready, wanted)?;
            }
            (Frame::Cancelled(cancelled), &Some(Owed::Cancel { req, transfer })) if cancelled.req == req => {
                self.transfers.cancelled(transfer);
            }
            (Frame::SearchPage(page), Some(Owed::Search(asked))) if page.req == asked.req => {
                self.found = Found::begin(page, asked.clone(), truth)?;
            }
            (Frame::HistoryPage(page), Some(Owed::History(asked, pos))) if page.req == asked.req => {
                if page.last_seq < *pos || page.last_seq > truth.head(page.chat) {
                    return Err("it is not of now".into());
                }
                self.page = Page::begin(page, asked)?;
            }
            (Frame::Removed(removed), &Some(Owed::Remove { req, chat })) if removed.req == req => {
                // Whoever removes oneself is told by this alone.
                if removed.user == self.user {
                    self.end(chat);
                }
            }
            (Frame::Left(left), Some(Owed::Request { req, kind: kind::LEAVE })) if left.req == *req => {
                self.end(left.chat);
            }
            (Frame::Created(created), Some(Owed::Request { req, kind: kind::CREATE }))
                if created.req == *req =>
            {
                let start = truth.start(self.conn, created.chat).ok_or("nobody has come in")?;
                self.begin(created.chat, Some(start));
            }
            (Frame::Deleted(deleted), Some(Owed::Request { req, kind: kind::DELETE }))
                if deleted.req == *req =>
            {
                if truth.said(deleted.chat, deleted.seq).is_none_or(|said| said.text.is_some()) {
                    return Err("it is not removed".into());
                }
                if let Some(stream) = self.streams.get_mut(&deleted.chat) {
                    stream.shown.remove(&deleted.seq);
                }
            }
            (frame, &Some(Owed::Request { req, kind })) => {
                if frame.kind() != kind + ANSWER || number(frame) != Some(req) {
                    return wrong();
                }
            }
            _ => return wrong(),
        }
        Ok(())
    }
}

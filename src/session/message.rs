//! Messages: a TO and its content become one append. Refused ones take the same way, so that the answers
//! come in the order of the messages.

use super::{Body, Effect, Session, State};
use crate::error::Refusal;
use crate::id::{ChatId, MediaId, Now};
use crate::names;
use crate::store::{Append, Content, Media, Op, Target};
use chatwire_codec::frame::{self, kind};
use chatwire_codec::{Code, MediaKind};
use std::sync::Arc;

/// What a message in flight costs beyond its text: its address, its place in the queues.
const OVERHEAD_BYTES: u32 = 256;

/// What a TO said, or what holds without one.
#[derive(Debug, Default)]
pub(super) struct Draft {
    nonce: u64,
    /// `None`: the current chat.
    target: Option<Target>,
    reply_to: u64,
    /// A bad name refuses the message, not the TO.
    name: Option<Result<Box<str>, Refusal>>,
    /// Why it may not be stored now.
    refused: Option<Refusal>,
}

impl Session {
    pub(super) fn to(&mut self, now: Now, to: &frame::To<'_>) {
        let named = [to.chat != 0, !to.room.is_empty(), !to.user.is_empty()];
        if named.iter().filter(|named| **named).count() > 1 {
            return self.malformed(now, kind::TO, "TO names more than one of chat, room and user");
        }
        let target = match named {
            [true, ..] => Some(Target::Chat(ChatId(to.chat))),
            [_, true, _] => Some(Target::Room(names::key(to.room))),
            [.., true] => Some(Target::User(names::key(to.user))),
            _ => None,
        };
        let name = (!to.name.is_empty()).then(|| names::file(to.name));
        let draft = Draft { nonce: to.nonce, target, reply_to: to.reply_to, name, refused: None };
        self.with_open(|open| open.draft = Some(Box::new(draft)));
    }

    pub(super) fn text(&mut self, now: Now, text: &str) {
        let content = if text.is_empty() {
            Err(Refusal::new(Code::BadMedia, "a text must not be empty"))
        } else {
            Ok(Content::Text(text.into()))
        };
        self.with_open(|open| {
            if let Some(draft) = &mut open.draft {
                draft.name = None;
            }
        });
        let draft = self.draft(now);
        self.append(draft, kind::TEXT, content);
    }

    pub(super) fn reference(&mut self, now: Now, media: &frame::Media<'_>) {
        let content = match MediaKind::from_number(media.media_kind) {
            Some(kind) => Ok(Content::Reference(kind, MediaId(media.media))),
            None => Err(Refusal::new(Code::BadMedia, "a reference must be to a VOICE, VIDEO, IMAGE or FILE")),
        };
        if !media.name.is_empty() {
            let name = names::file(media.name);
            self.with_open(|open| {
                open.draft.get_or_insert_default().name.get_or_insert(name);
            });
        }
        let draft = self.draft(now);
        self.append(draft, kind::MEDIA, content);
    }

    pub(super) fn body_start(&mut self, now: Now, kind: u8, size: u32) {
        let mut draft = self.draft(now);
        // Without a nonce no earlier copy can be meant, so there is nothing to look at the body for.
        if draft.nonce == 0
            && let Some(refusal) = draft.refused.take()
        {
            return self.append(draft, kind, Err(refusal));
        }
        let Some(media_kind) = MediaKind::from_number(kind) else { return };
        let nonce = draft.nonce;
        self.with_open(|open| open.body = Some(Box::new(Body { draft, kind })));
        self.effects.push_back(Effect::OpenBody { kind: media_kind, size, nonce });
    }

    pub(super) fn body_end(&mut self) {
        let State::Open(open) = &mut self.state else { return };
        if open.body.is_some() {
            open.waits = true;
            self.effects.push_back(Effect::CloseBody);
        }
    }

    /// The body's file is finished, or there is none.
    pub fn handle_body(&mut self, result: Result<Media, Refusal>) {
        let body = match &mut self.state {
            State::Open(open) => open.body.take(),
            State::Ending(ending) => ending.open.as_mut().and_then(|open| open.body.take()),
            _ => None,
        };
        if let Some(body) = body {
            let Body { draft, kind } = *body;
            self.append(draft, kind, result.map(|media| Content::Media(Arc::new(media))));
        }
        self.answered_request();
    }

    /// A content frame that was passed over.
    pub(super) fn refuse_message(&mut self, kind: u8, refusal: Refusal) {
        let draft = match &mut self.state {
            State::Open(open) => *open.draft.take().unwrap_or_default(),
            _ => return,
        };
        self.append(draft, kind, Err(refusal));
    }

    /// The TO that stands before this content, or none; and whether messages are taken at this hour.
    fn draft(&mut self, now: Now) -> Draft {
        let State::Open(open) = &mut self.state else { return Draft::default() };
        let mut draft = *open.draft.take().unwrap_or_default();
        draft.refused = self.rules.policy.admit_hour(open.zone, now.wall).err();
        if let Some(Err(refusal)) = &draft.name {
            draft.refused.get_or_insert_with(|| refusal.clone());
        }
        draft
    }

    fn append(&mut self, draft: Draft, about: u8, content: Result<Content, Refusal>) {
        let Some(open) = self.open() else { return };
        let text_len = match &content {
            Ok(Content::Text(text)) => text.len(),
            _ => 0,
        };
        let append = Append {
            conn: Some(self.conn),
            user: open.user,
            user_name: open.name.clone(),
            nonce: draft.nonce,
            target: draft.target.unwrap_or(Target::Current(open.current)),
            reply_to: draft.reply_to,
            name: draft.name.and_then(Result::ok).unwrap_or_default(),
            about,
            permit: u32::try_from(text_len).unwrap_or(u32::MAX).saturating_add(OVERHEAD_BYTES),
            hold: None,
            content,
            refused: draft.refused,
        };
        self.in_flight += 1;
        self.effects.push_back(Effect::Submit(Op::Append(append)));
    }
}

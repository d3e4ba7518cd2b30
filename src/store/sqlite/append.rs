//! A message: where it goes, whether it was stored before, and its rows.
//!
//! Most messages are texts to a chat that is remembered, and cost one INSERT. The index of nonces is asked
//! for a copy only when that INSERT, or a rule, says no: a copy wins over every rule but an unreadable body.

use super::chat::{self, MAX_SEQ, message_id, sql};
use super::fault::{self, Done, Fault};
use super::query::no_media;
use super::row::{self, GONE, REFERENCE, REPLY, TEXT};
use super::writer::Writer;
use crate::error::Refusal;
use crate::id::{ChatId, MediaId, Micros, Seq, UserId};
use crate::store::{Append, Appended, ChatKind, Committed, Content, Media, Message, Outcome, Target};
use chatwire_codec::{Code, MediaKind};
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;

/// Where a message goes.
enum Place {
    /// A chat that its sender may write to.
    Chat(ChatId),
    /// A direct chat with this user, which has to be made.
    New(UserId),
}

/// A message's row.
struct Placed {
    chat: ChatId,
    kind: ChatKind,
    seq: Seq,
    at: Micros,
}

/// A message that has the nonce already.
struct Copy {
    id: i64,
    at: Micros,
    kind: u8,
    body: Box<str>,
}

impl Writer {
    pub(super) fn append(&mut self, mut append: Append) -> Appended {
        let done = self.try_append(&mut append);
        let outcome = self.settle(done).unwrap_or_else(Outcome::Refused);
        if let Some(hold) = append.hold.take() {
            self.holds.push(*hold);
        }
        let Append { conn, nonce, about, permit, .. } = append;
        Appended { conn, nonce, about, permit, outcome }
    }

    fn try_append(&mut self, append: &mut Append) -> Done<Outcome> {
        if let Err(refusal) = &append.content {
            return Err(refusal.clone().into());
        }
        let done = match append.refused.take() {
            Some(refusal) => Err(refusal.into()),
            None => self.store(append),
        };
        match done {
            Err(fault) if may_have_copy(append, &fault) => self.first_copy(append)?.ok_or(fault),
            done => done,
        }
    }

    fn store(&mut self, append: &mut Append) -> Done<Outcome> {
        let place = self.place(append)?;
        if let (Place::Chat(chat), Ok(Content::Text(text))) = (&place, &append.content) {
            let placed = self.insert(*chat, append, TEXT, text)?;
            return Ok(Outcome::Stored(message(append, &placed)));
        }
        self.store_parts(append, &place)
    }

    /// A message of several rows.
    fn store_parts(&mut self, append: &mut Append, place: &Place) -> Done<Outcome> {
        if let Some(copy) = self.first_copy(append)? {
            return Ok(copy);
        }
        self.resolve(append)?;
        let sender = append.user;
        let placed = self.atomically(|writer| {
            let chat = match place {
                Place::Chat(chat) => *chat,
                Place::New(other) => writer.open_pair(ChatKind::Direct, sender, *other)?,
            };
            writer.insert_parts(chat, append)
        })?;
        let message = message(append, &placed);
        Ok(match place {
            Place::Chat(_) => Outcome::Stored(message),
            Place::New(other) => Outcome::Opened(message, [sender, *other]),
        })
    }

    /// Where the message goes, checked for its sender.
    fn place(&mut self, append: &Append) -> Done<Place> {
        let chat = match &append.target {
            Target::User(key) => {
                let other = self.addressee(append.user, key)?;
                match self.cache.pair(&self.db, append.user, other)? {
                    Some(chat) => chat,
                    None if append.reply_to > 0 => return Err(no_message()),
                    None => {
                        self.may_have_one_more(append.user, ChatKind::Direct)?;
                        return Ok(Place::New(other));
                    }
                }
            }
            _ => self.named(append)?.ok_or_else(chat::no_chat)?,
        };
        let head = self.cache.admit(&self.db, append.user, chat)?;
        if append.reply_to > head.last_seq {
            return Err(no_message());
        }
        Ok(Place::Chat(chat))
    }

    /// The other side of a direct chat; of the home chat, which everybody has, it is the assistant.
    fn addressee(&self, sender: UserId, key: &str) -> Done<UserId> {
        let found = chat::user(&self.db, key)?;
        let other = found.filter(|user| !user.is_deleted && user.id != sender);
        let other = other.ok_or_else(|| Fault::new(Code::NotFound, "there is no such user to write to"))?;
        Ok(other.id)
    }

    /// The chat that the message names, if there is one, whether or not it may go there.
    fn named(&mut self, append: &Append) -> rusqlite::Result<Option<ChatId>> {
        match &append.target {
            Target::Current(Some(chat)) | Target::Chat(chat) => Ok(Some(*chat)),
            Target::Current(None) => self.cache.pair(&self.db, UserId::ASSISTANT, append.user),
            Target::Room(key) => self.cache.room(&self.db, key),
            Target::User(key) => match chat::user(&self.db, key)? {
                Some(other) => self.cache.pair(&self.db, append.user, other.id),
                None => Ok(None),
            },
        }
    }

    /// Makes of a reference what it refers to.
    fn resolve(&mut self, append: &mut Append) -> Done<()> {
        match append.content {
            Ok(Content::Reference(kind, id)) => {
                let media = chat::readable_media(&self.db, append.user, id, Some(kind))?;
                append.content = Ok(Content::Media(Arc::new(as_kind(media.ok_or_else(no_media)?, kind)?)));
                Ok(())
            }
            Ok(Content::Gone) => Err(Fault::new(Code::Unsupported, "a removed message cannot be sent")),
            _ => Ok(()),
        }
    }

    fn insert_parts(&mut self, chat: ChatId, append: &Append) -> Done<Placed> {
        let (kind, body, media): (u8, &str, &[Arc<Media>]) = match &append.content {
            Ok(Content::Text(text)) => (TEXT, text, &[]),
            Ok(Content::Reply(text, media)) => (REPLY, text, media),
            Ok(Content::Media(media)) if append.about == REFERENCE => {
                (REFERENCE, "", std::slice::from_ref(media))
            }
            Ok(Content::Media(media)) => (media.kind as u8, "", std::slice::from_ref(media)),
            Ok(Content::Reference(..) | Content::Gone) | Err(_) => return Err(Refusal::internal().into()),
        };
        let placed = self.insert(chat, append, kind, body)?;
        for (part, media) in (0_i64..).zip(media) {
            self.refer(message_id(chat, placed.seq), part, media, append.user, placed.at)?;
        }
        Ok(placed)
    }

    /// The row itself. The seq is taken when the row is in: a message that fails leaves no gap.
    fn insert(&mut self, chat: ChatId, append: &Append, kind: u8, body: &str) -> Done<Placed> {
        let now = self.now();
        let head = self.cache.head(&self.db, chat)?.ok_or_else(chat::no_chat)?;
        let (seq, at) = (head.last_seq + 1, head.last_at.max(now));
        if seq > MAX_SEQ {
            return Err(Fault::new(Code::StorageFull, "this chat cannot take any more messages"));
        }
        self.db
            .prepare_cached(
                "INSERT INTO messages (id, at, user, kind, nonce, reply_to, name, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                message_id(chat, seq),
                at,
                sql(append.user.0),
                kind,
                append.nonce.cast_signed(),
                sql(append.reply_to),
                append.name,
                body
            ])?;
        (head.last_seq, head.last_at) = (seq, at);
        self.backlog.add(chat, body.len() + append.name.len());
        Ok(Placed { chat, kind: head.kind, seq, at })
    }

    fn refer(
        &mut self,
        message: i64,
        part: i64,
        media: &Media,
        owner: UserId,
        at: Micros,
    ) -> rusqlite::Result<()> {
        self.insert_media(media, owner, at)?;
        self.db
            .prepare_cached("INSERT INTO media_refs (message, part, media, kind) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![message, part, media.id.0, media.kind as u8])?;
        Ok(())
    }

    /// What a message with the nonce of an earlier one comes to: the same again, or a conflict.
    fn first_copy(&mut self, append: &Append) -> Done<Option<Outcome>> {
        let Some(copy) = self.with_nonce(append.user, append.nonce)? else { return Ok(None) };
        let chat = chat::chat_of(copy.id);
        let goes_there = matches!(append.target, Target::Current(_)) || self.named(append)? == Some(chat);
        if goes_there && self.is_same(append, &copy)? {
            return Ok(Some(Outcome::Duplicate { chat, seq: chat::seq_of(copy.id), at: copy.at }));
        }
        Err(Fault::new(Code::Conflict, "this nonce was used for another message"))
    }

    /// Whether this confirms a message that stands, though what was done last is undone.
    pub(super) fn is_copy_of_kept(&self, committed: &Committed) -> bool {
        let Committed::Append(Appended { nonce, outcome: Outcome::Duplicate { chat, seq, .. }, .. }) =
            committed
        else {
            return false;
        };
        let kept = self
            .db
            .prepare_cached("SELECT nonce FROM messages WHERE id = ?1")
            .and_then(|mut select| select.query_row([message_id(*chat, *seq)], |row| row.get::<_, i64>(0)));
        kept.is_ok_and(|kept| kept == nonce.cast_signed())
    }

    fn with_nonce(&self, user: UserId, nonce: u64) -> rusqlite::Result<Option<Copy>> {
        if nonce == 0 {
            return Ok(None);
        }
        // `nonce <> 0` is what lets SQLite use the index.
        self.db
            .prepare_cached(
                "SELECT id, at, kind, body FROM messages WHERE nonce = ?1 AND user = ?2 AND nonce <> 0",
            )?
            .query_row(params![nonce.cast_signed(), sql(user.0)], |row| {
                Ok(Copy { id: row.get(0)?, at: row.get(1)?, kind: row.get(2)?, body: row.get(3)? })
            })
            .optional()
    }

    /// What a message was that is gone, nobody knows: its nonce says enough.
    fn is_same(&self, append: &Append, copy: &Copy) -> rusqlite::Result<bool> {
        if copy.kind == GONE {
            return Ok(true);
        }
        match &append.content {
            Ok(Content::Text(text)) => Ok(copy.kind == TEXT && copy.body == *text),
            Ok(Content::Reply(text, _)) => Ok(copy.kind == REPLY && copy.body == *text),
            Ok(Content::Media(media)) => {
                Ok(copy.kind == media.kind as u8 && self.has_media(copy, media.kind, media.id)?)
            }
            Ok(Content::Reference(kind, id)) => {
                Ok(copy.kind == REFERENCE && self.has_media(copy, *kind, *id)?)
            }
            Ok(Content::Gone) | Err(_) => Ok(false),
        }
    }

    fn has_media(&self, copy: &Copy, kind: MediaKind, id: MediaId) -> rusqlite::Result<bool> {
        Ok(row::first_media(&self.db, copy.id)? == Some((kind, id)))
    }
}

/// Whether it is worth to look for a copy: a rule forbids the message, or its nonce is there already.
fn may_have_copy(append: &Append, fault: &Fault) -> bool {
    append.nonce != 0
        && match fault {
            Fault::Refused(_) => true,
            Fault::Sql(error) => fault::is_taken(error),
        }
}

/// The message that was stored. Takes what it needs of `append`.
fn message(append: &mut Append, placed: &Placed) -> Message {
    let content = std::mem::replace(&mut append.content, Ok(Content::Gone));
    Message {
        chat: placed.chat,
        chat_kind: placed.kind,
        seq: placed.seq,
        at: placed.at,
        user: append.user,
        user_name: Arc::clone(&append.user_name),
        nonce: append.nonce,
        reply_to: append.reply_to,
        name: std::mem::take(&mut append.name),
        content: content.unwrap_or(Content::Gone),
    }
}

/// Media as this kind, which it may not have been sent as: all of it can be a file.
fn as_kind(media: Media, kind: MediaKind) -> Done<Media> {
    if media.kind == kind {
        return Ok(media);
    }
    if kind != MediaKind::File {
        return Err(Fault::new(Code::BadMedia, "this media was stored as another kind"));
    }
    Ok(Media { kind, duration_ms: 0, width: 0, height: 0, ..media })
}

fn no_message() -> Fault {
    Fault::new(Code::NotFound, "there is no message to reply to")
}

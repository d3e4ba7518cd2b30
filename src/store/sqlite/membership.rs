//! Who is in which room or group: JOIN, LEAVE, and what ends with a guest's last connection.

use super::chat::{self, Head, MAX_SEQ, id_at, kind_at, message_id, new_id, sql};
use super::fault::{Done, Fault};
use super::writer::Writer;
use super::{index, removal, row};
use crate::error::Refusal;
use crate::id::{ChatId, MediaId, Micros, UserId};
use crate::names;
use crate::store::{ChatHead, ChatKind, Committed, Join, Joined, Leave, Left, LoggedIn};
use chatwire_codec::{Code, MediaKind};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// Rooms and groups that one user may be in, and direct chats that a user may have and still open one: a login
/// asks for all of them, and so does a look for media. They are counted apart, so that nobody can keep others
/// out of rooms by writing to them.
const MEMBERSHIPS: usize = 1000;

/// A room that is to be joined.
#[derive(Clone, Copy)]
struct Room<'a> {
    /// As it is spelled here, and as it is compared.
    name: &'a str,
    key: &'a str,
    /// `None`: it is to be made.
    found: Option<ChatId>,
}

impl Writer {
    pub(super) fn join(&mut self, join: &Join) -> Committed {
        let done = self.try_join(join);
        Committed::Join(join.conn, join.req, self.settle(done))
    }

    /// A JOIN that came with this login, which has just told what the user is in.
    pub(super) fn join_first(&mut self, login: &LoggedIn, room: &str) -> Done<Joined> {
        let key = names::key(room);
        let found = self.cache.room(&self.db, &key)?;
        let is_in = |chat| login.chats.iter().any(|head| head.chat == chat);
        if !found.is_some_and(is_in) {
            let counts = |head: &&ChatHead| {
                head.chat != ChatId::ALL && matches!(head.kind, ChatKind::Room | ChatKind::Group)
            };
            has_one_more(login.chats.iter().filter(counts).count(), ChatKind::Room)?;
        }
        self.enter(login.user, login.name.clone(), Room { name: room, key: &key, found }, None)
    }

    pub(super) fn leave(&mut self, leave: &Leave) -> Committed {
        let done = self.may_leave(leave).and_then(|chat| {
            self.atomically(|writer| {
                let at = writer.now();
                writer.end_membership(leave.user, chat, at)?.ok_or_else(chat::no_chat)
            })
        });
        Committed::Leave(leave.conn, leave.req, self.settle(done))
    }

    pub(super) fn departed(&mut self, user: UserId) -> Committed {
        let done = self.atomically(|writer| writer.depart(user));
        let done = self.settle(done);
        if done.as_ref().is_err_and(|refusal| refusal.code == Code::StorageFull) {
            self.unfinished.insert(user);
        }
        // There is nobody to be told of a failure, and it is in the log.
        Committed::Departed(user, done.unwrap_or_default())
    }

    pub(super) fn add_member(&mut self, chat: ChatId, user: UserId, now: Micros) -> Done<bool> {
        let added = self
            .db
            .prepare_cached(
                "INSERT INTO members (chat, user, joined_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![sql(chat.0), sql(user.0), now])?;
        Ok(added > 0)
    }

    /// Refuses one more chat of a kind to a user who is in as many as one may be in.
    pub(super) fn may_have_one_more(&mut self, user: UserId, kind: ChatKind) -> Done<()> {
        let count: i64 = self
            .db
            .prepare_cached(
                "SELECT count(*) FROM members m JOIN chats c ON c.id = m.chat
                  WHERE m.user = ?1 AND (c.kind = 3) = ?2",
            )?
            .query_row(params![sql(user.0), kind == ChatKind::Direct], |row| row.get(0))?;
        has_one_more(usize::try_from(count).unwrap_or(usize::MAX), kind)
    }

    fn try_join(&mut self, join: &Join) -> Done<Joined> {
        let key = names::key(&join.room);
        let found = self.may_join(join, &key)?;
        let name = self.name_of(join.user)?;
        self.enter(join.user, name, Room { name: &join.room, key: &key, found }, join.leave)
    }

    /// The room that is to be joined, if there is one already.
    fn may_join(&mut self, join: &Join, key: &str) -> Done<Option<ChatId>> {
        let room = self.cache.room(&self.db, key)?;
        if let Some(chat) = room
            && self.cache.is_member(&self.db, join.user, chat)?
        {
            return Ok(room);
        }
        let leaves = match join.leave.filter(|former| *former != ChatId::ALL) {
            Some(former) => self.cache.is_member(&self.db, join.user, former)? && self.is_room(former)?,
            None => false,
        };
        if !leaves {
            self.may_have_one_more(join.user, ChatKind::Room)?;
        }
        Ok(room)
    }

    fn enter(
        &mut self,
        user: UserId,
        user_name: Arc<str>,
        room: Room<'_>,
        leave: Option<ChatId>,
    ) -> Done<Joined> {
        let at = self.now();
        let leave = leave.filter(|former| room.found != Some(*former));
        // Mostly it is one statement, which needs nothing around it.
        let (chat, is_new, left) = match (room.found, leave) {
            (Some(chat), None) => (chat, self.add_to_room(chat, user, at)?, None),
            _ => self.atomically(|writer| {
                let chat = room.found.map_or_else(|| writer.make_room(room.name, room.key, at), Ok)?;
                let is_new = writer.add_to_room(chat, user, at)?;
                let left = leave.map(|former| writer.end_room(user, former, at)).transpose()?;
                Ok((chat, is_new, left.flatten()))
            })?,
        };
        let head = self.cache.head(&self.db, chat)?.ok_or_else(chat::no_chat)?;
        let (last_seq, created) = (head.last_seq, room.found.is_none());
        Ok(Joined { user, user_name, chat, last_seq, room: head.name.clone(), created, is_new, at, left })
    }

    /// Everybody is in `all`. Whether the user is new there.
    fn add_to_room(&mut self, chat: ChatId, user: UserId, at: Micros) -> Done<bool> {
        // Looked up before something is changed, and remembered for what is told of it.
        self.cache.head(&self.db, chat)?.ok_or_else(chat::no_chat)?;
        Ok(chat != ChatId::ALL && self.add_member(chat, user, at)?)
    }

    fn make_room(&mut self, name: &str, key: &str, now: Micros) -> Done<ChatId> {
        self.db
            .prepare_cached("INSERT INTO chats (kind, name, name_key, created_at) VALUES (1, ?1, ?2, ?3)")?
            .execute(params![name, key, now])?;
        Ok(ChatId(new_id(&self.db)))
    }

    /// The chat that is to be left, if it is one that can be.
    fn may_leave(&mut self, leave: &Leave) -> Done<ChatId> {
        let forbidden = || Fault::new(Code::Forbidden, "this chat cannot be left: only rooms and groups can");
        let chat = leave.chat.filter(|chat| *chat != ChatId::ALL).ok_or_else(forbidden)?;
        let head = self.cache.admit(&self.db, leave.user, chat)?;
        match head.kind {
            ChatKind::Room | ChatKind::Group => Ok(chat),
            ChatKind::Home | ChatKind::Direct => Err(forbidden()),
        }
    }

    fn is_room(&mut self, chat: ChatId) -> rusqlite::Result<bool> {
        Ok(self.cache.head(&self.db, chat)?.is_some_and(|head| head.kind == ChatKind::Room))
    }

    /// Ends a membership, if it is one of a room.
    fn end_room(&mut self, user: UserId, chat: ChatId, at: Micros) -> Done<Option<Left>> {
        if self.is_room(chat)? { self.end_membership(user, chat, at) } else { Ok(None) }
    }

    pub(super) fn end_membership(&mut self, user: UserId, chat: ChatId, at: Micros) -> Done<Option<Left>> {
        let Some(Head { kind, name, .. }) = self.cache.head(&self.db, chat)?.cloned() else {
            return Ok(None);
        };
        let Some(end) = end(&self.db, user, chat, kind)? else { return Ok(None) };
        self.cache.left(user, chat);
        if let End::ChatDeleted(media) = end {
            self.cache.deleted(chat, &names::key(&name));
            self.free(&media)?;
        }
        let user_name = self.name_of(user)?;
        Ok(Some(Left { user, user_name, chat, room: name, at }))
    }

    pub(super) fn name_of(&self, user: UserId) -> rusqlite::Result<Arc<str>> {
        let mut named = self.db.prepare_cached("SELECT name FROM users WHERE id = ?1")?;
        named.query_row(params![sql(user.0)], |row| row.get::<_, Box<str>>(0)).map(Arc::from)
    }

    fn depart(&mut self, user: UserId) -> Done<Vec<Left>> {
        let at = self.now();
        let is_guest: Option<bool> = self
            .db
            .prepare_cached("UPDATE users SET last_seen = ?2 WHERE id = ?1 RETURNING kind = 0")?
            .query_row(params![sql(user.0), at], |row| row.get(0))
            .optional()?;
        let mut left = Vec::new();
        if is_guest != Some(true) {
            return Ok(left);
        }
        for (chat, _) in passing(&self.db, user)? {
            left.extend(self.end_membership(user, chat, at)?);
        }
        Ok(left)
    }
}

/// Refuses one more chat of a kind to a user who is in `count` of them.
fn has_one_more(count: usize, kind: ChatKind) -> Done<()> {
    if count < MEMBERSHIPS {
        return Ok(());
    }
    let text = match kind {
        ChatKind::Direct => format!("one user has at most {MEMBERSHIPS} direct chats"),
        _ => format!("one user is in at most {MEMBERSHIPS} rooms and groups; leave one first"),
    };
    Err(Refusal::new(Code::TooLarge, text).into())
}

/// Ends what guests of the last run were in: their connections ended with it. Gives the media whose files may go.
pub(super) fn end_of_all_guests(db: &Connection) -> rusqlite::Result<Vec<MediaId>> {
    let mut freed = Vec::new();
    let guests: Vec<UserId> = db
        .prepare(
            "SELECT DISTINCT m.user FROM members m JOIN users u ON u.id = m.user JOIN chats c ON c.id = m.chat
              WHERE u.kind = 0 AND c.kind IN (1, 2)",
        )?
        .query_map([], |row| id_at(row, 0).map(UserId))?
        .collect::<rusqlite::Result<_>>()?;
    for user in guests {
        for (chat, kind) in passing(db, user)? {
            if let Some(End::ChatDeleted(media)) = end(db, user, chat, kind)? {
                freed.extend(removal::free(db, &media)?);
            }
        }
    }
    Ok(freed)
}

/// What came with the end of a membership.
enum End {
    ChatStays,
    /// With its messages, which had this media.
    ChatDeleted(Vec<(MediaKind, MediaId)>),
}

/// Ends a membership of a room or group and what depends on it. `None`: there was none.
fn end(db: &Connection, user: UserId, chat: ChatId, kind: ChatKind) -> rusqlite::Result<Option<End>> {
    let owned: Option<bool> = db
        .prepare_cached("DELETE FROM members WHERE chat = ?1 AND user = ?2 RETURNING role = 1")?
        .query_row(params![sql(chat.0), sql(user.0)], |row| row.get(0))
        .optional()?;
    let Some(owned) = owned else { return Ok(None) };
    if owned {
        hand_over(db, chat)?;
    }
    Ok(Some(match kind {
        ChatKind::Room if delete_unused_room(db, chat)? => End::ChatDeleted(Vec::new()),
        ChatKind::Group => delete_empty_group(db, chat)?,
        ChatKind::Room | ChatKind::Home | ChatKind::Direct => End::ChatStays,
    }))
}

/// The longest-standing member owns the group now.
fn hand_over(db: &Connection, chat: ChatId) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE members SET role = 1 WHERE chat = ?1 AND user =
             (SELECT user FROM members WHERE chat = ?1 ORDER BY joined_at, user LIMIT 1)",
    )?
    .execute(params![sql(chat.0)])?;
    Ok(())
}

pub(super) fn delete_unused_room(db: &Connection, chat: ChatId) -> rusqlite::Result<bool> {
    let deleted = db
        .prepare_cached(
            "DELETE FROM chats WHERE id = ?1 AND id <> 1
                AND NOT EXISTS (SELECT 1 FROM members WHERE chat = ?1)
                AND NOT EXISTS (SELECT 1 FROM messages WHERE id BETWEEN ?2 AND ?3)",
        )?
        .execute(params![sql(chat.0), message_id(chat, 0), message_id(chat, MAX_SEQ)])?;
    Ok(deleted > 0)
}

fn delete_empty_group(db: &Connection, chat: ChatId) -> rusqlite::Result<End> {
    let indexed = index::indexed_seq(db, chat)?.unwrap_or(0);
    let deleted = db
        .prepare_cached(
            "DELETE FROM chats WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM members WHERE chat = ?1)",
        )?
        .execute(params![sql(chat.0)])?;
    if deleted == 0 {
        return Ok(End::ChatStays);
    }
    index::forget(db, chat, indexed)?;
    let media = row::media_refs(db, message_id(chat, 0), message_id(chat, MAX_SEQ))?;
    db.prepare_cached("DELETE FROM messages WHERE id BETWEEN ?1 AND ?2")?
        .execute(params![message_id(chat, 0), message_id(chat, MAX_SEQ)])?;
    Ok(End::ChatDeleted(media))
}

/// The chats that a guest is in only while connected.
pub(super) fn passing(db: &Connection, user: UserId) -> rusqlite::Result<Vec<(ChatId, ChatKind)>> {
    db.prepare_cached(
        "SELECT c.id, c.kind FROM members m JOIN chats c ON c.id = m.chat
          WHERE m.user = ?1 AND c.kind IN (1, 2) ORDER BY c.id",
    )?
    .query_map(params![sql(user.0)], |row| Ok((ChatId(id_at(row, 0)?), kind_at(row, 1)?)))?
    .collect()
}

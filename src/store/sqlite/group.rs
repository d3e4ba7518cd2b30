//! Groups: CREATE, INVITE, REMOVE. How a membership ends, and who owns the group then, is in
//! [`super::membership`].

use super::chat::{self, id_at, new_id, sql};
use super::fault::{Done, Fault};
use super::writer::Writer;
use crate::id::{ChatId, UserId};
use crate::store::{ChatHead, ChatKind, Committed, Create, Entered, Invite, Invited, Left, Remove};
use chatwire_codec::Code;
use rusqlite::{OptionalExtension, params};

impl Writer {
    pub(super) fn create(&mut self, create: &Create) -> Committed {
        let done = self
            .may_have_one_more(create.user, ChatKind::Group)
            .and_then(|()| self.atomically(|writer| writer.make_group(create)));
        Committed::Create(create.conn, create.req, self.settle(done))
    }

    pub(super) fn invite(&mut self, invite: &Invite) -> Committed {
        let done = self.try_invite(invite);
        Committed::Invite(invite.conn, invite.req, self.settle(done))
    }

    pub(super) fn remove(&mut self, remove: &Remove) -> Committed {
        let done = self.try_remove(remove);
        Committed::Remove(remove.conn, remove.req, self.settle(done))
    }

    fn make_group(&mut self, create: &Create) -> Done<Entered> {
        let at = self.now();
        self.db
            .prepare_cached("INSERT INTO chats (kind, name, created_at) VALUES (2, ?1, ?2)")?
            .execute(params![create.title, at])?;
        let chat = ChatId(new_id(&self.db));
        self.db
            .prepare_cached("INSERT INTO members (chat, user, role, joined_at) VALUES (?1, ?2, 1, ?3)")?
            .execute(params![sql(chat.0), sql(create.user.0), at])?;
        let user_name = self.name_of(create.user)?;
        let head = ChatHead { chat, kind: ChatKind::Group, last_seq: 0 };
        Ok(Entered { user: create.user, user_name, head, at })
    }

    fn try_invite(&mut self, invite: &Invite) -> Done<Invited> {
        let chat = invite.chat;
        self.may_change(invite.user, chat)?;
        let user = self.invitee(&invite.guest)?;
        if self.cache.is_member(&self.db, user, chat)? {
            return Ok(Invited { user, entered: None });
        }
        self.may_have_one_more(user, ChatKind::Group)?;
        let at = self.now();
        let last_seq = self.cache.head(&self.db, chat)?.ok_or_else(chat::no_chat)?.last_seq;
        let user_name = self.name_of(user)?;
        self.add_member(chat, user, at)?;
        let head = ChatHead { chat, kind: ChatKind::Group, last_seq };
        Ok(Invited { user, entered: Some(Entered { user, user_name, head, at }) })
    }

    fn try_remove(&mut self, remove: &Remove) -> Done<Left> {
        let chat = remove.chat;
        self.may_change(remove.user, chat)?;
        let no_member = || Fault::new(Code::NotFound, "the group has no such member");
        let member = chat::user(&self.db, &remove.member)?.ok_or_else(no_member)?.id;
        self.atomically(|writer| {
            let at = writer.now();
            writer.end_membership(member, chat, at)?.ok_or_else(no_member)
        })
    }

    /// Whether the user may say who is in the chat: the owner of a group alone.
    fn may_change(&mut self, user: UserId, chat: ChatId) -> Done<()> {
        if self.cache.admit(&self.db, user, chat)?.kind != ChatKind::Group {
            return Err(Fault::new(Code::Forbidden, "this is no group: nobody is invited to it or removed"));
        }
        if chat::owns(&self.db, user, chat)? {
            return Ok(());
        }
        Err(Fault::new(Code::Forbidden, "only the group's owner invites to it and removes from it"))
    }

    /// Who can be made a member. A guest's memberships end with the last connection, so none begins without.
    fn invitee(&self, key: &str) -> Done<UserId> {
        self.db
            .prepare_cached(
                "SELECT id FROM users WHERE name_key = ?1 AND deleted_at IS NULL
                    AND (kind = 1 OR kind = 0 AND last_seen IS NULL)",
            )?
            .query_row(params![key], |row| id_at(row, 0).map(UserId))
            .optional()?
            .ok_or_else(|| Fault::new(Code::NotFound, "there is no such user to invite"))
    }
}

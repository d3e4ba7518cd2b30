//! Requests: each is held up until everything before it has been answered, and holds up what is behind it.

use super::{Effect, Query, QueryKind, Session, State};
use crate::delivery;
use crate::error::Refusal;
use crate::id::{ChatId, MediaId, Now, UserId};
use crate::names;
use crate::store::{Create, Delete, Invite, Join, Leave, Op, Read, Remove, Sync, Target};
use chatwire_codec::frame;
use chatwire_codec::{Code, Frame};

/// The most rows or messages that an answer has.
const LIMIT: u16 = 200;
/// Bytes of a SEARCH's query: more words than anybody types, few enough that looking for them all is cheap.
const QUERY_BYTES: usize = 256;

/// JOIN's flag: stay in the current room too.
const STAY: u8 = 1;
/// HISTORY's flag: the oldest, not the newest.
const OLDEST: u8 = 1;

impl Session {
    pub(super) fn request(&mut self, now: Now, request: &Frame<'_>) {
        let Some(req) = number(request) else { return };
        if !matches!(self.state, State::Open(_)) {
            return;
        }
        if req == 0 || self.is_running(req) {
            return self.malformed(
                now,
                request.kind(),
                "req must be neither 0 nor that of a running transfer",
            );
        }
        if matches!(request, Frame::Participants(of) if of.chat != 0 && !of.room.is_empty()) {
            return self.malformed(now, request.kind(), "PARTICIPANTS names both a chat and a room");
        }
        let effect = self.effect_of(req, request).unwrap_or_else(|refusal| {
            log::debug!("connection {}: request {:#04x} refused: {refusal}", self.conn, request.kind());
            let mut out = Vec::new();
            delivery::error(&mut out, request.kind(), req.into(), &refusal);
            Effect::Send(out)
        });
        self.with_open(|open| open.waits = true);
        if self.in_flight == 0 {
            self.begin_request(effect);
        } else {
            self.held = Some(Box::new(effect));
        }
    }

    /// All that was sent before the request has been answered.
    pub(super) fn begin_request(&mut self, effect: Effect) {
        let is_the_answer = matches!(effect, Effect::Send(_) | Effect::EndUpload(..));
        self.effects.push_back(effect);
        if is_the_answer {
            self.answered_request();
        }
    }

    fn effect_of(&mut self, req: u32, request: &Frame<'_>) -> Result<Effect, Refusal> {
        let State::Open(open) = &self.state else { return Err(Refusal::internal()) };
        let (conn, user, current) = (self.conn, open.user, open.current);
        let query = |kind| Ok(Effect::Query(Query { req, user, kind }));
        match request {
            Frame::Join(join) => {
                let leave = if join.flags & STAY == 0 { current } else { None };
                let room = room_name(join.room)?;
                Ok(Effect::Submit(Op::Join(Join { conn, user, req, room, leave })))
            }
            Frame::Leave(leave) => {
                let chat = if leave.chat == 0 { current } else { Some(ChatId(leave.chat)) };
                Ok(Effect::Submit(Op::Leave(Leave { conn, user, req, chat })))
            }
            Frame::Sync(sync) => {
                let (chat, after) = (ChatId(sync.chat), sync.after);
                Ok(Effect::Submit(Op::Sync(Sync { conn, user, req, chat, after })))
            }
            Frame::Create(create) => {
                let title = names::label(create.title)?;
                Ok(Effect::Submit(Op::Create(Create { conn, user, req, title })))
            }
            Frame::Invite(invite) => {
                let (chat, guest) = (ChatId(invite.chat), names::key(invite.user));
                Ok(Effect::Submit(Op::Invite(Invite { conn, user, req, chat, guest })))
            }
            Frame::Remove(remove) => {
                let (chat, member) = (ChatId(remove.chat), names::key(remove.user));
                Ok(Effect::Submit(Op::Remove(Remove { conn, user, req, chat, member })))
            }
            Frame::Read(read) => {
                let (chat, seq) = (ChatId(read.chat), read.seq);
                Ok(Effect::Submit(Op::Read(Read { conn, user, req, chat, seq })))
            }
            Frame::Delete(delete) => {
                let (chat, seq) = (ChatId(delete.chat), delete.seq);
                Ok(Effect::Submit(Op::Delete(Delete { conn, user, req, chat, seq })))
            }
            Frame::Chats(chats) => {
                query(QueryKind::Chats { after: ChatId(chats.after), limit: limit(chats.limit) })
            }
            Frame::Rooms(rooms) => {
                query(QueryKind::Rooms { after: names::key(rooms.after), limit: limit(rooms.limit) })
            }
            Frame::Participants(wanted) => query(QueryKind::Participants {
                chat: participants_of(wanted, current),
                after: UserId(wanted.after),
                limit: limit(wanted.limit),
            }),
            Frame::History(history) => query(QueryKind::History {
                chat: ChatId(history.chat),
                before: history.before,
                after: history.after,
                limit: limit(history.limit),
                oldest: history.flags & OLDEST != 0,
            }),
            Frame::Search(search) if search.query.len() > QUERY_BYTES => {
                let text = format!("a search has at most {QUERY_BYTES} bytes");
                Err(Refusal::new(Code::TooLarge, text))
            }
            Frame::Search(search) => query(QueryKind::Search {
                chat: Some(ChatId(search.chat)).filter(|chat| chat.0 != 0),
                query: search.query.into(),
                before: (search.before_at, ChatId(search.before_chat), search.before),
                limit: limit(search.limit),
            }),
            Frame::Fetch(fetch) => {
                self.fetch_room()?;
                query(QueryKind::Fetch {
                    media: MediaId(fetch.media),
                    offset: fetch.offset,
                    length: fetch.length,
                })
            }
            Frame::Upload(upload) => self.upload(upload),
            Frame::Cancel(cancel) => Ok(self.cancel(req, cancel.transfer)),
            _ => Err(Refusal::new(Code::Unsupported, "this server does not serve this request yet")),
        }
    }
}

/// A request that waits has its current room from when it came, and that is left now.
pub(super) fn has_left(request: &mut Effect, chat: ChatId) {
    let current = match request {
        Effect::Submit(Op::Join(join)) => &mut join.leave,
        Effect::Query(Query {
            kind: QueryKind::Participants { chat: Target::Current(current), .. }, ..
        }) => current,
        _ => return,
    };
    current.take_if(|current| *current == chat);
}

fn participants_of(wanted: &frame::Participants<'_>, current: Option<ChatId>) -> Target {
    match (wanted.chat, wanted.room) {
        (0, "") => Target::Current(current),
        (0, room) => Target::Room(names::key(room)),
        (chat, _) => Target::Chat(ChatId(chat)),
    }
}

/// The name of a room that may be joined, and made if it is missing.
pub(super) fn room_name(name: &str) -> Result<Box<str>, Refusal> {
    let name = names::check(name)?;
    if names::is_reserved(&name) && *names::key(&name) != *names::ALL {
        return Err(Refusal::new(Code::Conflict, "this name is reserved; choose another"));
    }
    Ok(name)
}

fn limit(wanted: u16) -> u16 {
    if wanted == 0 { LIMIT } else { wanted.min(LIMIT) }
}

/// A request's `req`; `None` for what is no request.
fn number(request: &Frame<'_>) -> Option<u32> {
    match request {
        Frame::Join(r) => Some(r.req),
        Frame::Leave(r) => Some(r.req),
        Frame::Rooms(r) => Some(r.req),
        Frame::Participants(r) => Some(r.req),
        Frame::Chats(r) => Some(r.req),
        Frame::Create(r) => Some(r.req),
        Frame::Invite(r) => Some(r.req),
        Frame::Remove(r) => Some(r.req),
        Frame::History(r) => Some(r.req),
        Frame::Sync(r) => Some(r.req),
        Frame::Read(r) => Some(r.req),
        Frame::Delete(r) => Some(r.req),
        Frame::Search(r) => Some(r.req),
        Frame::Upload(r) => Some(r.req),
        Frame::Fetch(r) => Some(r.req),
        Frame::Cancel(r) => Some(r.req),
        _ => None,
    }
}

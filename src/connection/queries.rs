//! Answers to requests that only read: what the store says, with what the hub knows, in bytes.
//! All of it may wait for the disk: where that has been quick it is done at once, else on a blocking thread.

use super::Shared;
use crate::clock;
use crate::delivery::{self, Segment};
use crate::error::Refusal;
use crate::id::{ChatId, MediaId, Seq, UserId};
use crate::outbox::Budget;
use crate::presence::Presence;
use crate::session::{Query, QueryKind};
use crate::store::{HistoryQuery, Search, Target};
use chatwire_codec::frame::{self, ChatItem, ParticipantItem, RoomItem};
use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};

/// A page of HISTORY or SEARCH ends with so many bytes of text, or earlier where memory is short.
const PAGE_BYTES: usize = 1024 * 1024;

/// What a query led to.
#[derive(Debug)]
pub(super) enum Answer {
    /// These frames, and that is all.
    Segments(Vec<Segment>),
    /// This frame, and then chunks.
    Fetch(Vec<u8>, Fetch),
}

/// Media that is being fetched.
#[derive(Debug)]
pub(super) struct Fetch {
    /// The transfer's number.
    pub(super) req: u32,
    /// The open file.
    pub(super) file: File,
    /// The next byte.
    pub(super) at: u64,
    /// Behind the last byte.
    pub(super) end: u64,
}

/// Up to so long a connection's task may read by itself: to wake another thread, and to be woken by it, takes as
/// long, and where all processors are busy much longer.
const QUICK: Duration = Duration::from_millis(1);

/// How long the last read took, of all connections.
#[derive(Debug, Default)]
pub struct Reading {
    is_quick: AtomicBool,
}

impl Reading {
    fn time<T>(&self, read: impl FnOnce() -> T) -> T {
        let began = clock::instant();
        let done = read();
        self.is_quick.store(clock::instant() - began <= QUICK, Ordering::Relaxed);
        done
    }
}

/// A query that is being answered.
pub(super) enum Answering {
    Done(Box<Answer>),
    /// On a thread that may wait for the disk.
    Elsewhere(JoinHandle<Answer>),
}

impl Answering {
    /// Answers at once if reads are quick and nobody has to be waited for, else elsewhere. A disk that has become
    /// slow holds up a thread of the runtime once. A search takes as long as there is to be looked through, and says
    /// nothing of other reads.
    pub(super) fn begin(shared: &Arc<Shared>, budget: Arc<Budget>, query: Query) -> Self {
        if matches!(query.kind, QueryKind::Search { .. }) {
            let own = shared.clone();
            let job = move || answer(&own, &budget, &query);
            return Answering::Elsewhere(shared.jobs.begin(job));
        }
        if shared.reading.is_quick.load(Ordering::Relaxed) && shared.store.has_reader() {
            let answer = shared.reading.time(|| answer(shared, &budget, &query));
            return Answering::Done(Box::new(answer));
        }
        let own = shared.clone();
        let job = move || own.reading.time(|| answer(&own, &budget, &query));
        Answering::Elsewhere(shared.jobs.begin(job))
    }

    /// The answer, or what goes on.
    pub(super) fn poll(self, cx: &mut Context<'_>) -> Result<Result<Answer, JoinError>, Self> {
        match self {
            Answering::Done(answer) => Ok(Ok(*answer)),
            Answering::Elsewhere(mut job) => match Pin::new(&mut job).poll(cx) {
                Poll::Ready(answer) => Ok(answer),
                Poll::Pending => Err(Answering::Elsewhere(job)),
            },
        }
    }
}

/// The answer to a query, or ERROR.
fn answer(shared: &Shared, budget: &Budget, query: &Query) -> Answer {
    let (req, user) = (query.req, query.user);
    let result = match &query.kind {
        QueryKind::Rooms { after, limit } => rooms(shared, req, after, *limit),
        QueryKind::Participants { chat, after, limit } => {
            participants(shared, req, user, chat, *after, *limit)
        }
        &QueryKind::Chats { after, limit } => chats(shared, req, user, after, limit),
        &QueryKind::History { chat, before, after, limit, oldest } => {
            let max_bytes = budget.page_bytes(PAGE_BYTES);
            let wanted = HistoryQuery { before, after, limit, oldest, max_bytes };
            history(shared, req, user, chat, wanted)
        }
        QueryKind::Search { chat, query, before, limit } => {
            let max_bytes = budget.page_bytes(PAGE_BYTES);
            let (chat, query, before, limit) = (*chat, query.clone(), *before, *limit);
            search(shared, req, user, &Search { chat, query, before, limit, max_bytes })
        }
        &QueryKind::Fetch { media, offset, length } => fetch(shared, query, media, offset, length),
    };
    result.unwrap_or_else(|refusal| {
        log::debug!("user {user}: request {:#04x} refused: {refusal}", query.kind.about());
        let mut out = Vec::new();
        delivery::error(&mut out, query.kind.about(), req.into(), &refusal);
        whole(out)
    })
}

fn whole(frames: Vec<u8>) -> Answer {
    Answer::Segments(vec![Segment::Owned(frames)])
}

fn rooms(shared: &Shared, req: u32, after: &str, limit: u16) -> Result<Answer, Refusal> {
    let list = shared.store.rooms(after, limit)?;
    let rooms = list.rows.iter().map(|row| RoomItem {
        chat: row.chat.0,
        room: &row.room,
        online: shared.hub.online(row.chat),
        last_seq: row.last_seq,
    });
    let list = frame::RoomList { req, more: list.more.into(), rooms: rooms.collect() };
    Ok(whole(delivery::bytes_of(&list)))
}

fn participants(
    shared: &Shared,
    req: u32,
    asker: UserId,
    chat: &Target,
    after: UserId,
    limit: u16,
) -> Result<Answer, Refusal> {
    let (chat, list) = shared.store.members(asker, chat, after, limit)?;
    if chat == ChatId::ALL {
        return Ok(whole(everybody(shared, req, after, limit)));
    }
    let participants = list.rows.iter().map(|row| ParticipantItem {
        user: row.user.0,
        user_name: &row.user_name,
        presence: presence(shared, row.user),
        role: row.owner.into(),
    });
    let more = list.more.into();
    let list = frame::ParticipantList { req, more, participants: participants.collect() };
    Ok(whole(delivery::bytes_of(&list)))
}

/// The assistant is always there.
fn presence(shared: &Shared, user: UserId) -> u8 {
    if user == UserId::ASSISTANT { Presence::Online as u8 } else { shared.hub.presence(user) as u8 }
}

/// Everybody who is online is in `all`, and nobody else.
fn everybody(shared: &Shared, req: u32, after: UserId, limit: u16) -> Vec<u8> {
    let (users, more) = shared.hub.everybody(after, limit.into());
    let participants = users.iter().map(|(user, name)| ParticipantItem {
        user: user.0,
        user_name: name,
        presence: presence(shared, *user),
        role: 0,
    });
    let (more, participants) = (more.into(), participants.collect());
    delivery::bytes_of(&frame::ParticipantList { req, more, participants })
}

fn chats(shared: &Shared, req: u32, user: UserId, after: ChatId, limit: u16) -> Result<Answer, Refusal> {
    let list = shared.store.chats(user, after, limit)?;
    let chats = list.rows.iter().map(|row| ChatItem {
        chat: row.chat.0,
        chat_kind: row.kind as u8,
        title: &row.title,
        last_seq: row.last_seq,
        read_seq: row.read_seq,
    });
    let list = frame::ChatList { req, more: list.more.into(), chats: chats.collect() };
    Ok(whole(delivery::bytes_of(&list)))
}

fn history(
    shared: &Shared,
    req: u32,
    asker: UserId,
    chat: ChatId,
    wanted: HistoryQuery,
) -> Result<Answer, Refusal> {
    let page = shared.store.history(asker, chat, wanted)?;
    let mut out = Vec::new();
    // At most 200 by the query's limit.
    let count = u16::try_from(page.messages.len()).unwrap_or(u16::MAX);
    let (first_seq, last_seq): (Seq, Seq) = (page.first_seq, page.last_seq);
    let more = page.more.into();
    delivery::put(&mut out, &frame::HistoryPage { req, chat: chat.0, first_seq, last_seq, more, count });
    for message in &page.messages {
        delivery::message(&mut out, message, message.user == asker);
    }
    out.shrink_to_fit();
    Ok(whole(out))
}

fn search(shared: &Shared, req: u32, asker: UserId, wanted: &Search) -> Result<Answer, Refusal> {
    let found = shared.store.search(asker, wanted)?;
    let mut out = Vec::new();
    // At most 200 by the query's limit.
    let count = u16::try_from(found.messages.len()).unwrap_or(u16::MAX);
    delivery::put(&mut out, &frame::SearchPage { req, more: found.more.into(), count });
    for message in &found.messages {
        delivery::message(&mut out, message, message.user == asker);
    }
    out.shrink_to_fit();
    Ok(whole(out))
}

fn fetch(shared: &Shared, query: &Query, id: MediaId, offset: u64, length: u64) -> Result<Answer, Refusal> {
    let media = shared.store.media(query.user, id)?;
    let file = shared.media.open_file(&id).or_else(|e| {
        // It may have been removed just now: then there is no row any more either.
        shared.store.media(query.user, id)?;
        log::error!("media {id} has a row but its file cannot be read: {e}");
        Err(Refusal::internal())
    })?;
    let at = offset.min(media.size);
    let end = if length == 0 { media.size } else { at.saturating_add(length).min(media.size) };
    let ready = frame::FetchReady { req: query.req, size: media.size, mime: &media.mime };
    Ok(Answer::Fetch(delivery::bytes_of(&ready), Fetch { req: query.req, file, at, end }))
}

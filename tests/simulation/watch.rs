//! Watches one connection's bytes, both ways, and holds them to docs/PROTOCOL.md: that all is answered, in order; that
//! each chat's messages come in order, once, without a gap, and are what is stored; that what is removed is shown as
//! gone. It knows nothing of what either side makes of them.

use crate::frames::{number, short, text_of};
use crate::page::Page;
use crate::truth::{ALL, Said, Truth};
use chatwire::id::ConnId;
use chatwire_codec::frame::{self, From_, Member, Status, kind};
use chatwire_codec::{Decoder, Event, Frame, Limits};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Check = Result<(), String>;

const ANSWER: u8 = 0x80;
/// JOIN's flag: the user stays in the former room.
const STAY: u8 = 1;
const INTERNAL: u16 = 500;
/// Codes that no client of a run should see: it sends nothing that is malformed, and nobody is banned.
const NEVER: [u16; 6] = [400, 401, 405, 415, 421, 460];

/// What the server owes an answer to, in the order in which it was sent.
#[derive(Clone, Debug)]
enum Owed {
    Message(u64),
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
    Remove {
        req: u32,
        chat: u64,
    },
    Request {
        req: u32,
        kind: u8,
    },
}

/// One chat in the connection's stream.
#[derive(Debug, Default)]
struct Stream {
    /// The last message that came. `None`: nothing comes, since nothing was asked for.
    pos: Option<u64>,
    /// Own messages that were confirmed by STATUS, which come again while the server catches up.
    confirmed: BTreeSet<u64>,
    /// What was shown, and is not told to be gone.
    shown: BTreeSet<u64>,
    gone: BTreeSet<u64>,
}

pub(crate) struct Watch {
    conn: ConnId,
    live: bool,
    /// Commits fail now and then.
    may_fail: bool,
    user: u64,
    pub(crate) home: u64,
    up: (Decoder, Vec<u8>),
    down: (Decoder, Vec<u8>),
    to: Option<u64>,
    from: Option<From>,
    page: Option<Page>,
    owed: VecDeque<Owed>,
    /// PINGs without a PONG.
    pongs: u32,
    /// What the server's PINGs have in them, which the client is to send back.
    pub(crate) pings: Vec<Vec<u8>>,
    streams: BTreeMap<u64, Stream>,
    current: Option<u64>,
    /// What was seen, for the trace.
    pub(crate) log: Vec<String>,
    pub(crate) is_over: bool,
    /// So much was not read for so long that the server may end it.
    pub(crate) was_stalled: bool,
    /// The client has said that it says nothing more.
    pub(crate) is_leaving: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct From {
    pub(crate) chat: u64,
    pub(crate) seq: u64,
    at: i64,
    user: u64,
    nonce: u64,
    reply_to: u64,
}

impl Watch {
    pub(crate) fn new(conn: ConnId, live: bool, may_fail: bool, max_text: u32) -> Watch {
        let limits = Limits { max_text, ..Limits::default() };
        Watch {
            conn,
            live,
            may_fail,
            user: 0,
            home: 0,
            up: (Decoder::server(limits), Vec::new()),
            down: (Decoder::client(limits), Vec::new()),
            to: None,
            from: None,
            page: None,
            owed: VecDeque::new(),
            pongs: 0,
            pings: Vec::new(),
            streams: BTreeMap::new(),
            current: None,
            log: Vec::new(),
            is_over: false,
            was_stalled: false,
            is_leaving: false,
        }
    }

    pub(crate) fn user(&self) -> u64 {
        self.user
    }

    /// Chats that something came from, or may.
    pub(crate) fn chats(&self) -> Vec<u64> {
        self.streams.keys().copied().collect()
    }

    /// What the server may have to hold for this connection beside live messages.
    pub(crate) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// The client sends this.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        let (decoder, mut buffer) = (&mut self.up.0, std::mem::take(&mut self.up.1));
        buffer.extend_from_slice(bytes);
        let mut input = &buffer[..];
        while let Some(Event::Frame(frame)) = decoder.next(&mut input).unwrap() {
            let owed = match &frame {
                Frame::To(to) => {
                    self.to = Some(to.nonce);
                    continue;
                }
                Frame::Text(_) => Owed::Message(self.to.take().unwrap_or(0)),
                Frame::Join(join) => Owed::Join { req: join.req, stay: join.flags & STAY != 0 },
                Frame::Sync(sync) => Owed::Sync { req: sync.req, chat: sync.chat, after: sync.after },
                Frame::Remove(remove) => Owed::Remove { req: remove.req, chat: remove.chat },
                Frame::Ping(_) => {
                    self.pongs += 1;
                    continue;
                }
                Frame::History(history) => {
                    let pos = self.streams.get(&history.chat).and_then(|stream| stream.pos);
                    Owed::History(history.clone(), pos.unwrap_or(0))
                }
                frame => match number(frame) {
                    Some(req) => Owed::Request { req, kind: frame.kind() },
                    None => continue,
                },
            };
            self.log.push(format!("sends {} {owed:?}", short(&frame)));
            self.owed.push_back(owed);
        }
        let left = input.len();
        buffer.drain(..buffer.len() - left);
        self.up.1 = buffer;
    }

    /// The server's bytes have come.
    pub(crate) fn received(&mut self, bytes: &[u8], truth: &mut Truth) -> Check {
        let mut buffer = std::mem::take(&mut self.down.1);
        buffer.extend_from_slice(bytes);
        let mut input = &buffer[..];
        loop {
            let event = self.down.0.next(&mut input).map_err(|e| format!("cannot be decoded: {e}"))?;
            match event {
                None => break,
                Some(Event::Frame(frame)) => {
                    self.frame(&frame, truth).map_err(|why| format!("{why}, with {}", short(&frame)))?;
                }
                Some(event) => return Err(format!("{event:?} comes")),
            }
        }
        let left = input.len();
        buffer.drain(..buffer.len() - left);
        self.down.1 = buffer;
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>, truth: &mut Truth) -> Check {
        if let Some(from) = self.from.take() {
            return self.content(&from, frame, truth);
        }
        self.log.push(format!("gets {}", short(frame)));
        if self.is_over {
            return Err("something comes behind the end".into());
        }
        if let Frame::From_(from) = frame {
            self.from = Some(announced(from));
            return Ok(());
        }
        if self.page.is_some() {
            return Err("a page without its messages".into());
        }
        match frame {
            Frame::Welcome(welcome) => {
                (self.user, self.home) = (welcome.user, welcome.home);
                for (chat, start) in truth.heads(self.conn) {
                    self.begin(chat, Some(start));
                }
                Ok(())
            }
            Frame::Status(status) => self.status(status, truth),
            Frame::Error(error) => self.error(error),
            Frame::Bye(bye) => {
                self.is_over = true;
                match bye.code {
                    0 if !self.is_leaving => Err("the server says that all is done".into()),
                    0 if !self.owed.is_empty() => Err(format!("the end comes before {:?}", self.owed)),
                    0 | 1 => Ok(()),
                    code => Err(format!("the end has the code {code}")),
                }
            }
            Frame::Member(member) => self.member(member, truth),
            Frame::MessageGone(gone) => {
                let stream = self.streams.entry(gone.chat).or_default();
                stream.shown.remove(&gone.seq);
                stream.gone.insert(gone.seq);
                match truth.said(gone.chat, gone.seq) {
                    Some(said) if said.text.is_none() => Ok(()),
                    _ => Err("it was not removed".into()),
                }
            }
            Frame::Pong(_) => {
                self.pongs = self.pongs.checked_sub(1).ok_or("nobody has asked for it")?;
                Ok(())
            }
            Frame::Ping(ping) => {
                self.pings.push(ping.bytes.to_vec());
                Ok(())
            }
            Frame::Typing(_) | Frame::Presence(_) | Frame::Seen(_) => Ok(()),
            frame => self.answer(frame, truth),
        }
    }

    fn begin(&mut self, chat: u64, pos: Option<u64>) {
        let pos = pos.filter(|_| self.live);
        self.streams.insert(chat, Stream { pos, ..Stream::default() });
    }

    fn status(&mut self, status: &Status, truth: &mut Truth) -> Check {
        match self.owed.pop_front() {
            Some(Owed::Message(nonce)) if nonce == status.nonce => {}
            other => return Err(format!("{other:?} was to be answered")),
        }
        let said = truth.said(status.chat, status.seq).ok_or("nothing is stored there")?;
        if said.user != self.user || said.nonce != status.nonce || said.at != status.at {
            return Err(format!("{said:?} is stored there"));
        }
        if status.duplicate != 0 {
            return Ok(());
        }
        if status.nonce != 0 && !truth.confirm(status.chat, status.seq) {
            return Err("it was confirmed before".into());
        }
        self.find_stream(status.chat, truth)?;
        let stream = self.streams.entry(status.chat).or_default();
        match &mut stream.pos {
            Some(pos) if status.seq <= *pos => return Err(format!("the stream has come to {pos}")),
            Some(pos) if status.seq == *pos + 1 => *pos += 1,
            _ => {}
        }
        stream.confirmed.insert(status.seq);
        Ok(())
    }

    /// Of a direct chat its first message is the first that is heard.
    fn find_stream(&mut self, chat: u64, truth: &mut Truth) -> Check {
        if !self.streams.contains_key(&chat)
            && let Some(start) = truth.start(self.conn, chat)
        {
            self.begin(chat, Some(start));
        }
        if self.streams.contains_key(&chat) { Ok(()) } else { Err("of a chat that it is not in".into()) }
    }

    fn content(&mut self, from: &From, frame: &Frame<'_>, truth: &mut Truth) -> Check {
        let stored = truth.said(from.chat, from.seq).ok_or("it is not stored")?;
        let nonce = if stored.user == self.user { stored.nonce } else { 0 };
        let text = text_of(frame)?;
        let said = Said { text, nonce, user: from.user, at: from.at, reply_to: from.reply_to };
        let is_same = said.text == stored.text || said.text.is_none();
        let was = Said { text: said.text.clone(), nonce, ..stored.clone() };
        // Removed meanwhile: then there will be an event.
        let may_be = is_same || stored.text.is_none();
        if said != was || from.nonce != nonce || !may_be || (said.text.is_none() && stored.text.is_some()) {
            return Err(format!("stored is {stored:?}"));
        }
        if let Some(mut page) = self.page.take() {
            if !page.add(from)? {
                self.page = Some(page);
            }
            return Ok(());
        }
        self.find_stream(from.chat, truth)?;
        let stream = self.streams.entry(from.chat).or_default();
        let pos = stream.pos.as_mut().ok_or("nothing was to come from this chat")?;
        if from.seq == *pos + 1 {
            *pos += 1;
        } else if from.seq > *pos {
            return Err(format!("there is a gap behind {pos}"));
        } else if !stream.confirmed.remove(&from.seq) {
            return Err(format!("it came before, up to {pos}"));
        }
        if said.text.is_some() {
            if stream.gone.contains(&from.seq) {
                return Err("it was told to be gone".into());
            }
            stream.shown.insert(from.seq);
        }
        Ok(())
    }

    fn member(&mut self, member: &Member<'_>, truth: &mut Truth) -> Check {
        if member.user != self.user {
            return Ok(());
        }
        match member.change {
            1 | 3 => {
                let start = truth.start(self.conn, member.chat).ok_or("nobody has come in")?;
                self.begin(member.chat, Some(start));
            }
            _ => self.end(member.chat),
        }
        Ok(())
    }

    fn end(&mut self, chat: u64) {
        self.streams.remove(&chat);
        self.current.take_if(|current| *current == chat);
    }

    fn error(&mut self, error: &frame::Error<'_>) -> Check {
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
        let is_of = |owed: &Owed| match owed {
            Owed::Message(nonce) => (error.about, error.ref_) == (kind::TEXT, *nonce),
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

    fn answer(&mut self, frame: &Frame<'_>, truth: &mut Truth) -> Check {
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

    /// Nothing is on its way: so nothing may be missing.
    pub(crate) fn settled(&self, truth: &Truth) -> Check {
        if !self.owed.is_empty() {
            return Err(format!("nobody answers {:?}", self.owed));
        }
        if self.user == 0 || self.is_over || self.is_leaving {
            return Ok(());
        }
        if self.pongs > 0 {
            return Err(format!("{} PINGs have no PONG", self.pongs));
        }
        for (chat, stream) in &self.streams {
            if !truth.is_member(self.user, *chat) {
                return Err(format!("it does not know that it is not in chat {chat} any more"));
            }
            let head = truth.head(*chat);
            if stream.pos.is_some_and(|pos| pos != head) {
                return Err(format!(
                    "chat {chat} has come to {:?}, its newest message is {head}",
                    stream.pos
                ));
            }
            let is_gone = |seq: &&u64| truth.said(*chat, **seq).is_some_and(|said| said.text.is_none());
            if let Some(seq) = stream.shown.iter().find(is_gone) {
                return Err(format!("it does not know that {chat}/{seq} is gone"));
            }
        }
        if !self.live {
            return Ok(());
        }
        let unknown = truth.chats_of(self.user).into_iter().find(|chat| !self.streams.contains_key(chat));
        match unknown {
            Some(chat) => Err(format!("it does not know that it is in chat {chat}")),
            None => Ok(()),
        }
    }
}

fn announced(from: &From_<'_>) -> From {
    let From_ { chat, seq, at, user, nonce, reply_to, .. } = *from;
    From { chat, seq, at, user, nonce, reply_to }
}

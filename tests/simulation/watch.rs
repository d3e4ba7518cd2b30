//! Watches one connection's bytes, both ways, and holds them to docs/PROTOCOL.md: that all is answered, in order; that
//! each chat's messages come in order, once, without a gap, and are what is stored; that what is removed is shown as
//! gone. It knows nothing of what either side makes of them.

use crate::found::{Asked, Found};
use crate::frames::{number, short, text_of};
use crate::media::{self, Transfers, Wanted, of_upload};
use crate::page::Page;
use crate::server::MAX_TEXT;
use crate::truth::{Said, Truth};
use answers::Owed;
use chatwire::id::ConnId;
use chatwire_codec::frame::{Cancel, From_, Member, Status};
use chatwire_codec::{Decoder, Event, Frame, Limits};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[path = "answers.rs"]
mod answers;

type Check = Result<(), String>;

/// JOIN's flag: the user stays in the former room.
const STAY: u8 = 1;

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
    /// Of HELLO.
    inline_limit: u32,
    /// Commits fail now and then.
    may_fail: bool,
    user: u64,
    pub(crate) home: u64,
    /// With which its user comes back.
    pub(crate) token: String,
    up: (Decoder, Vec<u8>),
    down: (Decoder, Vec<u8>),
    to: Option<u64>,
    from: Option<From>,
    page: Option<Page>,
    found: Option<Found>,
    /// A message's media, whose bytes are coming.
    body: Option<(From, Vec<u8>)>,
    pub(crate) transfers: Transfers,
    /// The files that UPLOADs were sent for.
    pub(crate) claimed: Vec<usize>,
    /// How far the chats had come when the client last looked.
    heads: BTreeMap<u64, u64>,
    /// And how much of its user's uploads was confirmed.
    safe: BTreeMap<usize, usize>,
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
    /// Its last message was refused as too fast, and the server looks at the next when it likes.
    pub(crate) is_too_fast: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct From {
    pub(crate) chat: u64,
    pub(crate) seq: u64,
    pub(crate) at: i64,
    user: u64,
    nonce: u64,
    reply_to: u64,
}

impl Watch {
    pub(crate) fn new(conn: ConnId, live: bool, inline_limit: u32, may_fail: bool) -> Watch {
        let limits = Limits { max_text: MAX_TEXT, ..Limits::default() };
        Watch {
            conn,
            live,
            inline_limit,
            may_fail,
            user: 0,
            home: 0,
            token: String::new(),
            up: (Decoder::server(limits), Vec::new()),
            down: (Decoder::client(limits), Vec::new()),
            to: None,
            from: None,
            page: None,
            found: None,
            body: None,
            transfers: Transfers::default(),
            claimed: Vec::new(),
            heads: BTreeMap::new(),
            safe: BTreeMap::new(),
            owed: VecDeque::new(),
            pongs: 0,
            pings: Vec::new(),
            streams: BTreeMap::new(),
            current: None,
            log: Vec::new(),
            is_over: false,
            was_stalled: false,
            is_leaving: false,
            is_too_fast: false,
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

    /// The client looks how far all has come, before it asks.
    pub(crate) fn look(&mut self, truth: &Truth) {
        self.heads = truth.lasting_heads(self.user);
        let own = truth.safe.iter().filter(|((user, _), _)| *user == self.user);
        self.safe = own.map(|((_, file), safe)| (*file, *safe)).collect();
    }

    /// The client sends this. What it uploads it claims.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        let (decoder, mut buffer) = (&mut self.up.0, std::mem::take(&mut self.up.1));
        buffer.extend_from_slice(bytes);
        let mut input = &buffer[..];
        while let Some(event) = decoder.next(&mut input).unwrap() {
            let frame = match event {
                Event::Frame(frame) => frame,
                Event::BodyStart { kind, size } => {
                    let owed = Owed::Message(self.to.take().unwrap_or(0), kind);
                    self.log.push(format!("sends {size} bytes of media {owed:?}"));
                    self.owed.push_back(owed);
                    continue;
                }
                _ => continue,
            };
            let owed = match &frame {
                Frame::Chunk(chunk) => {
                    self.transfers.sent(chunk);
                    self.log.push(format!("sends {} bytes of upload {}", chunk.bytes.len(), chunk.transfer));
                    continue;
                }
                Frame::Upload(upload) => {
                    let file = of_upload(upload);
                    self.claimed.push(file);
                    let safe = self.safe.get(&file).copied().unwrap_or(0);
                    Owed::Upload { req: upload.req, file, safe }
                }
                Frame::Fetch(fetch) => {
                    let wanted = Wanted::of(&fetch.media, fetch.offset, fetch.length);
                    Owed::Fetch { req: fetch.req, wanted }
                }
                &Frame::Cancel(Cancel { req, transfer }) => Owed::Cancel { req, transfer },
                Frame::Search(search) => Owed::Search(Asked::of(search, self.heads.clone())),
                Frame::To(to) => {
                    self.to = Some(to.nonce);
                    continue;
                }
                Frame::Text(_) | Frame::Media(_) => Owed::Message(self.to.take().unwrap_or(0), frame.kind()),
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
                Some(event) => self.body(&event, truth)?,
            }
        }
        let left = input.len();
        buffer.drain(..buffer.len() - left);
        self.down.1 = buffer;
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>, truth: &mut Truth) -> Check {
        if let Some(from) = self.from.take() {
            return self.content(&from, text_of(frame)?, truth);
        }
        self.log.push(format!("gets {}", short(frame)));
        if self.is_over {
            return Err("something comes behind the end".into());
        }
        if let Frame::From_(from) = frame {
            self.from = Some(announced(from));
            return Ok(());
        }
        if self.page.is_some() || self.found.is_some() {
            return Err("a page without its messages".into());
        }
        match frame {
            Frame::Welcome(welcome) => {
                (self.user, self.home) = (welcome.user, welcome.home);
                welcome.token.clone_into(&mut self.token);
                for (chat, start) in truth.heads(self.conn) {
                    self.begin(chat, Some(start));
                }
                Ok(())
            }
            Frame::Status(status) => self.status(status, truth),
            Frame::Error(error) => self.error(error, truth),
            Frame::Received(received) => self.transfers.received(received, self.user, truth),
            Frame::Stored(stored) => self.transfers.stored(stored, self.user, truth),
            Frame::Chunk(chunk) => self.transfers.chunk(chunk),
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
            Some(Owed::Message(nonce, _)) if nonce == status.nonce => {}
            other => return Err(format!("{other:?} was to be answered")),
        }
        self.is_too_fast = false;
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

    /// Media that is pushed whole, in place of a reference to it.
    fn body(&mut self, event: &Event<'_>, truth: &mut Truth) -> Check {
        match (event, &mut self.body) {
            (Event::BodyStart { size, .. }, None) if *size <= self.inline_limit => {
                let from = self.from.take().ok_or("media comes that is nobody's")?;
                self.body = Some((from, Vec::new()));
                Ok(())
            }
            (Event::BodyChunk(bytes), Some((_, body))) => {
                body.extend_from_slice(bytes);
                Ok(())
            }
            (Event::BodyEnd, Some(_)) => {
                let (from, body) = self.body.take().ok_or("no body")?;
                self.log.push(format!("gets {} bytes of media", body.len()));
                self.content(&from, Some(media::said(blake3::hash(&body).as_bytes())), truth)
            }
            (event, _) => Err(format!("{event:?} comes")),
        }
    }

    fn content(&mut self, from: &From, text: Option<String>, truth: &mut Truth) -> Check {
        let stored = truth.said(from.chat, from.seq).ok_or("it is not stored")?;
        let nonce = if stored.user == self.user { stored.nonce } else { 0 };
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
        if let Some(mut found) = self.found.take() {
            if !found.add(from, said.text.as_deref(), self.user, truth)? {
                self.found = Some(found);
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
        self.transfers.settled()?;
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

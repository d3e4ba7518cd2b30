//! All that is shown, and what becomes of it: news, outcomes and keys in, wishes out. Pure: no terminal, no
//! network, and the time is an argument.

use super::chats::{Chat, Kind, media_of};
use super::editor::Editor;
use crate::render;
use chatwire_client::{
    Chat as Listed, Code, Error, Event, MediaRef, Message, News, Page, State, Welcome, frame::Status,
};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Media that can be saved by their number.
const MEDIA: usize = 1_000;
/// Chats that are listed.
const CHATS: usize = 1_000;
/// Users whose presence is remembered.
const USERS: usize = 10_000;
/// How often others are told that one is still writing.
const WRITING: Duration = Duration::from_secs(3);

/// What is to be done outside.
#[derive(Debug, PartialEq)]
pub(crate) enum Wish {
    /// The list of the user's chats.
    List,
    /// Older messages of a chat, below a seq (0: the newest).
    Older { chat: u64, before: u64 },
    /// Say that a chat is read up to a seq.
    Read { chat: u64, seq: u64 },
    /// Say that the user is writing, or has stopped.
    Typing { chat: u64, on: bool },
}

/// How it stands with the server.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    Connecting(String),
    Online,
    Waiting { until: Instant, why: String },
    Failed(String),
}

/// A file that goes or comes.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub(crate) id: u64,
    pub(crate) label: String,
    pub(crate) done: u64,
    pub(crate) all: u64,
}

/// All that is shown.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) me: Option<Welcome>,
    pub(crate) link: Link,
    pub(crate) chats: Vec<Chat>,
    /// The chat that is shown, by its id.
    pub(crate) current: u64,
    pub(crate) editor: Editor,
    pub(crate) help: bool,
    /// Messages are shown with their numbers.
    pub(crate) numbers: bool,
    pub(crate) transfers: Vec<Transfer>,
    media: VecDeque<MediaRef>,
    /// The number of the first of `media`.
    first_media: usize,
    presence: HashMap<String, u8>,
    last_id: u64,
    /// When others were last told that one is writing.
    told_writing: Option<(u64, Instant)>,
    /// The server has said that it keeps no such thing.
    no_lists: bool,
    no_reading: bool,
    wishes: Vec<Wish>,
}

impl Model {
    pub(crate) fn new() -> Self {
        Model {
            me: None,
            link: Link::Connecting(String::new()),
            chats: Vec::new(),
            current: 0,
            editor: Editor::default(),
            help: false,
            numbers: false,
            transfers: Vec::new(),
            media: VecDeque::new(),
            first_media: 1,
            presence: HashMap::new(),
            last_id: 0,
            told_writing: None,
            no_lists: false,
            no_reading: false,
            wishes: Vec::new(),
        }
    }

    /// What is to be done since the last call.
    pub(crate) fn take_wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    pub(crate) fn here(&mut self) -> Option<&mut Chat> {
        let current = self.current;
        self.chats.iter_mut().find(|chat| chat.chat == current)
    }

    /// A chat, which is made when it is missing.
    fn chat(&mut self, id: u64) -> &mut Chat {
        let at = match self.chats.iter().position(|chat| chat.chat == id) {
            Some(at) => at,
            None => {
                if self.chats.len() >= CHATS {
                    let current = self.current;
                    let old = self.chats.iter().position(|chat| chat.chat != current).unwrap_or(0);
                    self.chats.remove(old);
                }
                self.chats.push(Chat::new(id, Kind::Room, &format!("chat {id}")));
                self.chats.len() - 1
            }
        };
        &mut self.chats[at]
    }

    /// A chat has a name now.
    pub(crate) fn entitle(&mut self, id: u64, kind: Kind, title: &str) {
        let chat = self.chat(id);
        chat.kind = kind;
        title.clone_into(&mut chat.title);
        self.chats.sort_by(|a, b| (a.kind, &a.title, a.chat).cmp(&(b.kind, &b.title, b.chat)));
    }

    /// Something happened.
    pub(crate) fn news(&mut self, news: News, now: Instant) {
        match news {
            News::State(state) => self.state(state, now),
            News::Message(message) => self.message(message),
            News::Answered { nonce, answer: Err(why) } => self.not_sent(|_, of| of == nonce, &why),
            News::Answered { .. } => {}
            News::Entered { chat, room } => self.entitle(chat, Kind::Room, &room),
            News::Missed { chat, after, next } => {
                let count = next.saturating_sub(after + 1);
                self.chat(chat).note(format!("{count} messages are no longer kept."));
            }
            News::Forgotten { chat, why } => self.gone(chat, &render::error(&Error::Refused(why))),
            News::TokenRefused(_) => self.note("The server no longer knows you by your token.".to_owned()),
            News::Anew(why) => self.anew(&why.to_string()),
            News::NotKept(problem) => self.note(render::line(&format!("Your place is not kept: {problem}."))),
            News::Event(event) => self.event(event, now),
            _ => {}
        }
    }

    fn state(&mut self, state: State, now: Instant) {
        self.link = match state {
            State::Connecting { address } => Link::Connecting(render::line(&address)),
            State::Waiting { pause, why } => {
                Link::Waiting { until: now + pause, why: render::line(&why.to_string()) }
            }
            State::Failed(why) => Link::Failed(render::error(&why)),
            State::Closed => Link::Failed("closed".to_owned()),
            State::Online(welcome) => {
                self.entitle(welcome.home, Kind::Home, "home");
                let is_first = self.me.is_none();
                if is_first {
                    self.note(format!(
                        "You are {}. /help lists the commands.",
                        render::line(&welcome.user_name)
                    ));
                }
                let home = welcome.home;
                self.me = Some(welcome);
                if self.current == 0 {
                    self.show(home);
                }
                if !self.no_lists {
                    self.wishes.push(Wish::List);
                }
                Link::Online
            }
        };
    }

    /// All that was known is void.
    fn anew(&mut self, why: &str) {
        let unsaid = std::mem::take(&mut self.chats);
        drop(unsaid);
        self.me = None;
        self.current = 0;
        self.note(format!("You begin anew: {}.", render::line(why)));
    }

    fn message(&mut self, message: Message) {
        let numbers = self.number(&message);
        let (id, seq, user) = (message.chat, message.seq, message.user);
        let is_mine = self.me.as_ref().is_some_and(|me| me.user == user);
        let is_here = self.current == id;
        if !is_mine && self.chats.iter().all(|chat| chat.chat != id) {
            self.unknown(&message);
        }
        let chat = self.chat(id);
        if !is_here && !is_mine && seq > chat.newest {
            chat.unread += 1;
        }
        chat.said(message, numbers);
        if is_here && !is_mine {
            self.read(id);
        }
    }

    /// Something is said in a chat that is not listed yet.
    fn unknown(&mut self, message: &Message) {
        if self.no_lists {
            // Where the server cannot say what it is, the one who speaks there is the best name for it.
            self.entitle(message.chat, Kind::Direct, &message.user_name);
        } else {
            self.wishes.push(Wish::List);
        }
    }

    /// Gives media numbers to be saved by.
    fn number(&mut self, message: &Message) -> Vec<usize> {
        let media = media_of(message);
        media.into_iter().map(|media| self.shelve(media)).collect()
    }

    fn shelve(&mut self, media: MediaRef) -> usize {
        if self.media.len() == MEDIA {
            self.media.pop_front();
            self.first_media += 1;
        }
        self.media.push_back(media);
        self.first_media + self.media.len() - 1
    }

    pub(crate) fn media(&self, number: usize) -> Option<&MediaRef> {
        self.media.get(number.checked_sub(self.first_media)?)
    }

    fn event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Member(member) => {
                let text = format!("{} {}", render::line(&member.user_name), render::change(member.change));
                let is_me = self.me.as_ref().is_some_and(|me| me.user == member.user);
                if is_me && matches!(member.change, 2 | 4) {
                    self.gone(member.chat, "You are no longer in it.");
                } else {
                    let is_new = self.chats.iter().all(|chat| chat.chat != member.chat);
                    if (is_me || is_new) && !self.no_lists {
                        self.wishes.push(Wish::List);
                    }
                    self.chat(member.chat).note(text);
                }
            }
            Event::Typing(typing) => {
                let name = render::line(&typing.user_name);
                self.chat(typing.chat).writes(typing.user, &name, typing.on, now);
            }
            Event::Presence(presence) if self.presence.len() < USERS => {
                self.presence.insert(presence.user_name, presence.presence);
            }
            // One's own other device has read it.
            Event::Seen(seen) if self.me.as_ref().is_some_and(|me| me.user == seen.user) => {
                let chat = self.chat(seen.chat);
                chat.unread = chat.unread.min(chat.newest.saturating_sub(seen.seq));
            }
            Event::Gone(gone) => self.removed(gone.chat, gone.seq),
            Event::ServerError(refusal) => self.note(render::error(&Error::Refused(refusal))),
            _ => {}
        }
    }

    /// A message was removed, by whomever.
    pub(crate) fn removed(&mut self, id: u64, seq: u64) {
        if let Some(chat) = self.chats.iter_mut().find(|chat| chat.chat == id) {
            chat.removed(seq);
        }
    }

    /// Whether the other side of a direct chat is there.
    pub(crate) fn presence(&self, name: &str) -> Option<u8> {
        self.presence.get(name).copied()
    }

    /// The program says something, where the user looks.
    pub(crate) fn note(&mut self, text: String) {
        let current = self.current;
        match self.here() {
            Some(chat) => chat.note(text),
            None => self.chat(current).note(text),
        }
        // Before the first WELCOME it stands in a chat that is none.
        if current == 0
            && let Some(chat) = self.chats.iter_mut().find(|chat| chat.chat == 0)
        {
            chat.kind = Kind::Home;
            chat.title.clear();
        }
    }

    /// Looks at a chat.
    pub(crate) fn show(&mut self, id: u64) {
        if self.current == 0 {
            // What was noted before there was a chat moves into the first.
            if let Some(at) = self.chats.iter().position(|chat| chat.chat == 0) {
                let notes = self.chats.remove(at).entries;
                self.chat(id).entries.extend(notes);
            }
        }
        self.current = id;
        let chat = self.chat(id);
        chat.unread = 0;
        if chat.oldest() == 0 && chat.more && !chat.loading {
            chat.loading = true;
            self.wishes.push(Wish::Older { chat: id, before: 0 });
        }
        self.read(id);
    }

    fn read(&mut self, id: u64) {
        let seq = self.chat(id).newest;
        if seq > 0 && !self.no_reading {
            self.wishes.push(Wish::Read { chat: id, seq });
        }
    }

    /// The next chat, or the one before.
    pub(crate) fn step(&mut self, by: isize) {
        let Some(at) = self.chats.iter().position(|chat| chat.chat == self.current) else { return };
        let count = self.chats.len().cast_signed();
        let next = (at.cast_signed() + by).rem_euclid(count).cast_unsigned();
        self.show(self.chats[next].chat);
    }

    /// The user is in no such chat any more.
    pub(crate) fn gone(&mut self, id: u64, why: &str) {
        let Some(at) = self.chats.iter().position(|chat| chat.chat == id && chat.kind != Kind::Home) else {
            return;
        };
        let title = self.chats.remove(at).title;
        let home = self.me.as_ref().map(|me| me.home);
        if let Some(home) = home.filter(|_| self.current == id) {
            self.show(home);
        }
        self.note(render::line(&format!("{title}: {why}")));
    }

    /// Something is said here; gives the program's own number for it.
    pub(crate) fn say(&mut self, text: &str) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        if let Some(chat) = self.here() {
            chat.unsent(id, text.to_owned());
        }
        id
    }

    /// It is kept, and has a nonce.
    pub(crate) fn taken(&mut self, id: u64, nonce: u64) {
        self.chats.iter_mut().for_each(|chat| chat.named(id, nonce));
    }

    /// It is not sent, and will not be.
    pub(crate) fn not_sent(&mut self, is_it: impl Fn(u64, u64) -> bool, why: &Error) {
        let text = self.chats.iter_mut().find_map(|chat| chat.drop_unsent(&is_it));
        let said = text.map(|text| format!(" “{}”:", super::wrap::cut(&render::line(&text), 40)));
        self.note(format!("Not sent.{} {}", said.unwrap_or_default(), render::error(why)));
    }

    /// What was said to a user stands in this chat.
    pub(crate) fn direct(&mut self, name: &str, status: &Status) {
        self.entitle(status.chat, Kind::Direct, name);
    }

    /// The list of chats came.
    pub(crate) fn listed(&mut self, list: Result<Vec<Listed>, Error>) {
        match list {
            Ok(chats) => {
                for listed in chats {
                    let title = if listed.kind == 0 { "home" } else { &listed.title };
                    self.entitle(listed.chat, Kind::from_number(listed.kind), title);
                    let is_here = self.current == listed.chat;
                    let chat = self.chat(listed.chat);
                    chat.unread = if is_here { 0 } else { listed.last_seq.saturating_sub(listed.read_seq) };
                }
            }
            Err(why) if why.code() == Some(Code::Unsupported) => self.no_lists = true,
            Err(_) => {}
        }
    }

    /// A page of history came.
    pub(crate) fn older(&mut self, id: u64, page: Result<Page, Error>) {
        match page {
            Ok(page) => {
                let messages: Vec<Message> = page.messages.clone();
                let mut numbers: Vec<Vec<usize>> = messages.iter().map(|m| self.number(m)).collect();
                // It takes the newest first.
                self.chat(id).older(page, |_| numbers.pop().unwrap_or_default());
                if self.current == id {
                    self.read(id);
                }
            }
            Err(why) => {
                let chat = self.chat(id);
                chat.loading = false;
                if !matches!(why, Error::Disconnected(_)) {
                    chat.more = false;
                }
            }
        }
    }

    /// READ was answered.
    pub(crate) fn reading(&mut self, answer: &Result<(), Error>) {
        if answer.as_ref().is_err_and(|why| why.code() == Some(Code::Unsupported)) {
            self.no_reading = true;
        }
    }

    /// Scrolls by rows: up is positive. At the top older messages are asked for.
    pub(crate) fn scroll(&mut self, rows: isize) {
        if let Some(chat) = self.here() {
            chat.scroll = chat.scroll.saturating_add_signed(rows);
        }
    }

    /// The view shows the first line that is here.
    pub(crate) fn at_top(&mut self) {
        let online = matches!(self.link, Link::Online);
        let Some(chat) = self.here() else { return };
        if online && chat.more && !chat.loading {
            chat.loading = true;
            let wish = Wish::Older { chat: chat.chat, before: chat.oldest() };
            self.wishes.push(wish);
        }
    }

    /// Something was typed, or the line is empty again.
    pub(crate) fn typed(&mut self, now: Instant) {
        let text = self.editor.text();
        let writes = !text.is_empty() && !text.starts_with('/');
        match self.told_writing {
            Some((chat, _)) if !writes => {
                self.told_writing = None;
                self.wishes.push(Wish::Typing { chat, on: false });
            }
            Some((chat, at)) if chat == self.current && now < at + WRITING => {}
            _ if writes => {
                self.told_writing = Some((self.current, now));
                self.wishes.push(Wish::Typing { chat: self.current, on: true });
            }
            _ => {}
        }
    }

    pub(crate) fn progress(&mut self, id: u64, label: &str, done: u64, all: u64) {
        let transfer = Transfer { id, label: render::line(label), done, all };
        match self.transfers.iter_mut().find(|transfer| transfer.id == id) {
            Some(known) => *known = transfer,
            None => self.transfers.push(transfer),
        }
    }

    pub(crate) fn transferred(&mut self, id: u64) {
        self.transfers.retain(|transfer| transfer.id != id);
    }

    /// A number for something of one's own.
    pub(crate) fn number_of_own(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

//! What docs/PROTOCOL.md says of users, chats and who sees what, in the simplest form: sections 3.1 to 3.5,
//! 6.1 to 6.3, 6.5, the rights of 6.6, 6.7, 6.9 and 7. It knows no bytes: a message whose text begins with [`MEDIA`] is a
//! reference to that. What a device is to see next is a line of text.

#[path = "media.rs"]
mod media;
#[path = "removal.rs"]
mod removal;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) const ALL: u64 = 1;
pub(crate) const MEDIA: &str = "media ";
/// `about` of an ERROR about a message.
const ABOUT_TEXT: u8 = 0;
const ABOUT_MEDIA: u8 = 5;

pub(crate) const FORBIDDEN: u16 = 403;
pub(crate) const NOT_FOUND: u16 = 404;
pub(crate) const CONFLICT: u16 = 409;

/// What stands where a message was removed.
pub(crate) const GONE: &str = "(gone)";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Home,
    Room,
    Group,
    Direct,
}

/// What MEMBER says.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Joined = 1,
    Left = 2,
    Invited = 3,
    Removed = 4,
}

/// Where a message goes.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Current,
    Chat(u64),
    Room(String),
    User(String),
}

pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) id: u64,
    pub(crate) home: u64,
    /// Its memberships end with its last connection.
    pub(crate) is_guest: bool,
    /// What others were told last.
    told: u8,
}

pub(crate) struct Device {
    pub(crate) user: usize,
    /// Gets what is live in all of its chats, not only where it asked for it.
    pub(crate) is_live: bool,
    pub(crate) synced: BTreeSet<u64>,
    pub(crate) current: Option<u64>,
    pub(crate) presence: u8,
}

#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) user: usize,
    pub(crate) nonce: u64,
    /// `None`: it was removed.
    pub(crate) text: Option<String>,
}

pub(crate) struct Chat {
    pub(crate) kind: Kind,
    pub(crate) title: String,
    /// By standing, so that the first owns a group.
    pub(crate) members: Vec<usize>,
    pub(crate) messages: Vec<Message>,
    pub(crate) read: BTreeMap<usize, u64>,
}

impl Chat {
    fn new(kind: Kind, title: &str, members: Vec<usize>) -> Chat {
        let (messages, read) = (Vec::new(), BTreeMap::new());
        Chat { kind, title: title.into(), members, messages, read }
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.messages.len() as u64
    }
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) users: Vec<User>,
    pub(crate) devices: BTreeMap<usize, Device>,
    pub(crate) chats: BTreeMap<u64, Chat>,
    /// Who has uploaded what.
    pub(crate) stored: BTreeSet<(usize, String)>,
    /// What is to be seen, and by whom.
    pub(crate) due: BTreeMap<usize, Vec<String>>,
}

/// Asking.
impl World {
    pub(crate) fn new() -> World {
        let mut world = World::default();
        world.chats.insert(ALL, Chat::new(Kind::Room, "all", Vec::new()));
        world
    }

    pub(crate) fn is_member(&self, user: usize, chat: u64) -> bool {
        chat == ALL || self.chats.get(&chat).is_some_and(|chat| chat.members.contains(&user))
    }

    /// Whether the user may know of the chat and be in it.
    pub(crate) fn admit(&self, user: usize, chat: u64) -> Result<(), u16> {
        match self.chats.get(&chat) {
            Some(_) if self.is_member(user, chat) => Ok(()),
            Some(Chat { kind: Kind::Room, .. }) => Err(FORBIDDEN),
            _ => Err(NOT_FOUND),
        }
    }

    pub(crate) fn room(&self, name: &str) -> Option<u64> {
        let is_it = |chat: &Chat| chat.kind == Kind::Room && chat.title == name;
        self.chats.iter().find(|(_, chat)| is_it(chat)).map(|(id, _)| *id)
    }

    pub(crate) fn direct(&self, one: usize, other: usize) -> Option<u64> {
        let is_it = |chat: &Chat| {
            chat.kind == Kind::Direct && chat.members.contains(&one) && chat.members.contains(&other)
        };
        self.chats.iter().find(|(_, chat)| is_it(chat)).map(|(id, _)| *id)
    }

    pub(crate) fn user(&self, name: &str) -> Option<usize> {
        self.users.iter().position(|user| user.name == name)
    }

    pub(crate) fn devices_of(&self, user: usize) -> Vec<usize> {
        self.devices.iter().filter(|(_, device)| device.user == user).map(|(id, _)| *id).collect()
    }

    /// The highest of the user's devices.
    pub(crate) fn presence(&self, user: usize) -> u8 {
        let rank = |presence: &u8| [0, 2, 1][usize::from(*presence)];
        let devices = self.devices.values().filter(|device| device.user == user);
        devices.map(|device| device.presence).max_by_key(rank).unwrap_or(0)
    }

    fn shares(&self, one: usize, other: usize) -> bool {
        self.chats
            .iter()
            .any(|(id, chat)| *id != ALL && chat.members.contains(&one) && chat.members.contains(&other))
    }

    fn with_nonce(&self, user: usize, nonce: u64) -> Option<(u64, u64, &Message)> {
        self.chats.iter().find_map(|(id, chat)| {
            let at = chat.messages.iter().position(|m| m.user == user && m.nonce == nonce)?;
            Some((*id, at as u64 + 1, &chat.messages[at]))
        })
    }

    pub(crate) fn line(&self, chat: u64, seq: u64, reader: usize) -> String {
        let message = &self.chats[&chat].messages[usize::try_from(seq).unwrap() - 1];
        let nonce = if message.user == reader { message.nonce } else { 0 };
        let text = message.text.as_deref().unwrap_or(GONE);
        format!("FROM {chat}/{seq} {} n{nonce}: {text}", self.users[message.user].name)
    }
}

/// Changing, and telling.
impl World {
    fn tell(&mut self, device: usize, line: String) {
        self.due.entry(device).or_default().push(line);
    }

    pub(crate) fn refuse(&mut self, device: usize, code: u16, about: u8, reference: u64) {
        self.tell(device, format!("ERROR {code} {about:#04x} {reference}"));
    }

    /// Tells these users' devices, but for one.
    fn tell_users(&mut self, users: &[usize], but: Option<usize>, line: &str) {
        let devices = self.devices.iter().filter(|(_, device)| users.contains(&device.user));
        for id in devices.map(|(id, _)| *id).filter(|id| Some(*id) != but).collect::<Vec<_>>() {
            self.tell(id, line.to_owned());
        }
    }

    pub(crate) fn add_user(&mut self, name: &str, id: u64, home: u64, is_guest: bool) -> usize {
        let user = self.users.len();
        self.users.push(User { name: name.into(), id, home, is_guest, told: 0 });
        self.chats.insert(home, Chat::new(Kind::Home, "assistant", vec![user]));
        user
    }

    pub(crate) fn connect(&mut self, id: usize, user: usize, is_live: bool) {
        let synced = BTreeSet::new();
        self.devices.insert(id, Device { user, is_live, synced, current: None, presence: 1 });
        self.tell_presence(user);
    }

    pub(crate) fn disconnect(&mut self, id: usize) {
        let user = self.devices.remove(&id).unwrap().user;
        self.tell_presence(user);
        if self.devices_of(user).is_empty() && self.users[user].is_guest {
            let passing = |chat: &Chat| matches!(chat.kind, Kind::Room | Kind::Group);
            let of = self.chats.iter().filter(|(_, chat)| passing(chat) && chat.members.contains(&user));
            for chat in of.map(|(id, _)| *id).collect::<Vec<_>>() {
                self.end(user, chat, Change::Left, None);
            }
        }
    }

    pub(crate) fn present(&mut self, id: usize, presence: u8) {
        let device = self.devices.get_mut(&id).unwrap();
        device.presence = presence;
        let user = device.user;
        self.tell_presence(user);
    }

    fn tell_presence(&mut self, user: usize) {
        let is = self.presence(user);
        if std::mem::replace(&mut self.users[user].told, is) != is {
            let others = (0..self.users.len()).filter(|other| *other != user && self.shares(user, *other));
            let line = format!("PRESENCE {} {is}", self.users[user].name);
            self.tell_users(&others.collect::<Vec<_>>(), None, &line);
        }
    }

    pub(crate) fn typing(&mut self, id: usize, chat: u64, on: u8) {
        let user = self.devices[&id].user;
        if chat != ALL && self.is_member(user, chat) {
            let others: Vec<usize> =
                self.chats[&chat].members.iter().copied().filter(|other| *other != user).collect();
            let line = format!("TYPING {chat} {on} {}", self.users[user].name);
            self.tell_users(&others, None, &line);
        }
    }

    fn enter(&mut self, user: usize, chat: u64, change: Change, by: usize) {
        let mut told = self.chats[&chat].members.clone();
        told.push(user);
        self.chats.get_mut(&chat).unwrap().members.push(user);
        let line = format!("MEMBER {chat} {} {}", change as u8, self.users[user].name);
        self.tell_users(&told, Some(by), &line);
    }

    fn end(&mut self, user: usize, id: u64, change: Change, by: Option<usize>) {
        let chat = self.chats.get_mut(&id).unwrap();
        let told = chat.members.clone();
        chat.members.retain(|member| *member != user);
        let is_over = chat.members.is_empty() && (chat.kind == Kind::Group || chat.messages.is_empty());
        if is_over {
            self.chats.remove(&id);
        }
        for device in self.devices.values_mut().filter(|device| device.user == user) {
            device.synced.remove(&id);
            device.current = device.current.filter(|current| *current != id);
        }
        let line = format!("MEMBER {id} {} {}", change as u8, self.users[user].name);
        self.tell_users(&told, by, &line);
    }

    /// `made`: the id of the room, if it had to be made.
    pub(crate) fn join(&mut self, id: usize, name: &str, stay: bool, made: u64) {
        let Device { user, current, .. } = self.devices[&id];
        let found = self.room(name);
        let chat = found.unwrap_or(made);
        if found.is_none() {
            self.chats.insert(chat, Chat::new(Kind::Room, name, Vec::new()));
        }
        if let Some(former) = current.filter(|former| !stay && *former != chat && *former != ALL) {
            self.end(user, former, Change::Left, Some(id));
        }
        let is_new = !self.is_member(user, chat);
        if is_new {
            self.enter(user, chat, Change::Joined, id);
        }
        self.devices.get_mut(&id).unwrap().current = Some(chat);
        let (last, created) = (self.chats[&chat].last_seq(), u8::from(found.is_none()));
        self.tell(id, format!("JOINED {chat} {last} {name} {created} {}", u8::from(is_new)));
    }

    pub(crate) fn leave(&mut self, id: usize, named: u64, about: u8, req: u64) {
        let Device { user, current, .. } = self.devices[&id];
        let chat = if named == 0 { current } else { Some(named) };
        let may = match chat {
            None | Some(ALL) => Err(FORBIDDEN),
            Some(chat) => self.admit(user, chat).and_then(|()| match self.chats[&chat].kind {
                Kind::Room | Kind::Group => Ok((chat, self.chats[&chat].title.clone())),
                Kind::Home | Kind::Direct => Err(FORBIDDEN),
            }),
        };
        match may {
            Ok((chat, title)) => {
                self.end(user, chat, Change::Left, Some(id));
                self.tell(id, format!("LEFT {chat} {title}"));
            }
            Err(code) => self.refuse(id, code, about, req),
        }
    }

    pub(crate) fn create(&mut self, id: usize, title: &str, chat: u64) {
        let user = self.devices[&id].user;
        self.chats.insert(chat, Chat::new(Kind::Group, title, Vec::new()));
        self.enter(user, chat, Change::Joined, id);
        self.tell(id, format!("CREATED {chat}"));
    }

    fn may_change(&self, user: usize, chat: u64) -> Result<(), u16> {
        self.admit(user, chat)?;
        let chat = &self.chats[&chat];
        if chat.kind == Kind::Group && chat.members[0] == user { Ok(()) } else { Err(FORBIDDEN) }
    }

    pub(crate) fn invite(&mut self, id: usize, chat: u64, name: &str, about: u8, req: u64) {
        let user = self.devices[&id].user;
        let is_there = |other: &usize| !self.users[*other].is_guest || !self.devices_of(*other).is_empty();
        let may = self.may_change(user, chat);
        match may.and_then(|()| self.user(name).filter(is_there).ok_or(NOT_FOUND)) {
            Ok(other) => {
                if !self.is_member(other, chat) {
                    self.enter(other, chat, Change::Invited, id);
                }
                self.tell(id, format!("INVITED {}", self.users[other].id));
            }
            Err(code) => self.refuse(id, code, about, req),
        }
    }

    pub(crate) fn remove(&mut self, id: usize, chat: u64, name: &str, about: u8, req: u64) {
        let user = self.devices[&id].user;
        let is_in = |other: &usize| self.is_member(*other, chat);
        let may = self.may_change(user, chat);
        match may.and_then(|()| self.user(name).filter(is_in).ok_or(NOT_FOUND)) {
            Ok(other) => {
                self.end(other, chat, Change::Removed, Some(id));
                self.tell(id, format!("REMOVED {}", self.users[other].id));
            }
            Err(code) => self.refuse(id, code, about, req),
        }
    }

    pub(crate) fn read(&mut self, id: usize, chat: u64, seq: u64, about: u8, req: u64) {
        let user = self.devices[&id].user;
        if let Err(code) = self.admit(user, chat) {
            return self.refuse(id, code, about, req);
        }
        let of = self.chats.get_mut(&chat).unwrap();
        let (kind, seq) = (of.kind, seq.min(of.last_seq()));
        let held = of.read.entry(user).or_default();
        let has_moved = seq > *held;
        *held = seq.max(*held);
        let holds = *held;
        if has_moved && chat != ALL {
            let is_for_all = matches!(kind, Kind::Group | Kind::Direct);
            let told = if is_for_all { of.members.clone() } else { vec![user] };
            self.tell_users(&told, Some(id), &format!("SEEN {chat} {} {seq}", self.users[user].id));
        }
        self.tell(id, format!("READ_UP_TO {chat} {holds}"));
    }

    /// The chat that a target names.
    fn named(&self, user: usize, device: usize, to: &Target) -> Option<u64> {
        match to {
            Target::Current => Some(self.devices[&device].current.unwrap_or(self.users[user].home)),
            Target::Chat(chat) => Some(*chat),
            Target::Room(name) => self.room(name),
            Target::User(name) if name == "assistant" => Some(self.users[user].home),
            Target::User(name) => {
                self.user(name).filter(|other| *other != user).and_then(|other| self.direct(user, other))
            }
        }
    }

    /// `made`: the id of the direct chat, if it had to be made.
    pub(crate) fn say(&mut self, id: usize, to: &Target, nonce: u64, text: &str, made: u64) {
        let user = self.devices[&id].user;
        let named = self.named(user, id, to);
        let about = if text.starts_with(MEDIA) { ABOUT_MEDIA } else { ABOUT_TEXT };
        let may_refer = self.may_refer(user, text);
        if nonce != 0
            && let Some((chat, seq, first)) = self.with_nonce(user, nonce)
        {
            let goes_there = matches!(to, Target::Current) || named == Some(chat);
            if goes_there && first.text.as_ref().is_none_or(|first| first == text) {
                return self.tell(id, format!("STATUS n{nonce} {chat}/{seq} 1"));
            }
            return self.refuse(id, CONFLICT, about, nonce);
        }
        let chat = match (named, to) {
            (Some(chat), _) => self.admit(user, chat).map(|()| chat),
            (None, Target::User(name)) => match self.user(name).filter(|other| *other != user) {
                Some(other) if may_refer => {
                    self.chats.insert(made, Chat::new(Kind::Direct, "", vec![user, other]));
                    Ok(made)
                }
                _ => Err(NOT_FOUND),
            },
            (None, _) => Err(NOT_FOUND),
        };
        let chat = match chat {
            Ok(chat) if may_refer => chat,
            Ok(_) => return self.refuse(id, NOT_FOUND, about, nonce),
            Err(code) => return self.refuse(id, code, about, nonce),
        };
        let of = self.chats.get_mut(&chat).unwrap();
        of.messages.push(Message { user, nonce, text: Some(text.into()) });
        let seq = of.last_seq();
        for other in self.devices.keys().copied().collect::<Vec<_>>() {
            let device = &self.devices[&other];
            if other == id {
                self.tell(id, format!("STATUS n{nonce} {chat}/{seq} 0"));
            } else if self.is_member(device.user, chat) && (device.is_live || device.synced.contains(&chat)) {
                let line = self.line(chat, seq, device.user);
                self.tell(other, line);
            }
        }
    }

    pub(crate) fn sync(&mut self, id: usize, chat: u64, after: u64, about: u8, req: u64) {
        let user = self.devices[&id].user;
        let known = |()| if after > self.chats[&chat].last_seq() { Err(NOT_FOUND) } else { Ok(()) };
        if let Err(code) = self.admit(user, chat).and_then(known) {
            return self.refuse(id, code, about, req);
        }
        self.devices.get_mut(&id).unwrap().synced.insert(chat);
        let last = self.chats[&chat].last_seq();
        self.tell(id, format!("SYNCED {chat} 1 {last}"));
        for seq in after + 1..=last {
            let line = self.line(chat, seq, user);
            self.tell(id, line);
        }
    }

    pub(crate) fn history(&mut self, id: usize, chat: u64, before: u64, limit: u64, about: u8, req: u64) {
        let user = self.devices[&id].user;
        if let Err(code) = self.admit(user, chat) {
            return self.refuse(id, code, about, req);
        }
        let last = self.chats[&chat].last_seq();
        let end = if before == 0 { last } else { last.min(before - 1) };
        let begin = end.saturating_sub(limit);
        let more = u8::from(begin > 0);
        self.tell(id, format!("PAGE {chat} 1 {last} {more} {}", end - begin));
        for seq in begin + 1..=end {
            let line = self.line(chat, seq, user);
            self.tell(id, line);
        }
    }

    pub(crate) fn participants(&mut self, id: usize, chat: u64, about: u8, req: u64) {
        let user = self.devices[&id].user;
        if let Err(code) = self.admit(user, chat) {
            return self.refuse(id, code, about, req);
        }
        let of = &self.chats[&chat];
        let is_listed = |member: &usize| {
            if chat == ALL { !self.devices_of(*member).is_empty() } else { of.members.contains(member) }
        };
        let mut items: Vec<(u64, String)> = (0..self.users.len())
            .filter(is_listed)
            .map(|member| {
                let role = u8::from(of.kind == Kind::Group && of.members[0] == member);
                let of = &self.users[member];
                (of.id, format!(" {}/{}/{role}", of.name, self.presence(member)))
            })
            .collect();
        if of.kind == Kind::Home {
            items.push((1, " assistant/1/0".into()));
        }
        items.sort_unstable();
        let items: String = items.into_iter().map(|(_, item)| item).collect();
        self.tell(id, format!("PARTICIPANTS{items}"));
    }

    pub(crate) fn chats(&mut self, id: usize) {
        let user = self.devices[&id].user;
        let mut line = String::from("CHATS");
        for (id, chat) in self.chats.iter().filter(|(id, _)| self.is_member(user, **id)) {
            let other = chat.members.iter().find(|member| **member != user);
            let title = match chat.kind {
                Kind::Direct => &self.users[*other.unwrap()].name,
                _ => &chat.title,
            };
            let (kind, read) = (chat.kind as u8, chat.read.get(&user).copied().unwrap_or(0));
            line += &format!(" {id}/{kind}/{title}/{}/{read}", chat.last_seq());
        }
        self.tell(id, line);
    }
}

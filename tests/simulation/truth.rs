//! What is committed, as it is handed to the hub: the one thing that all others are compared with. It checks what it
//! is told as it comes: that it is on the disk, that seqs have no gap, that no nonce is stored twice.

use crate::media;
use chatwire::id::{ChatId, ConnId, UserId};
use chatwire::store::sqlite::SqliteStore;
use chatwire::store::{Appended, ChatHead, Committed, Content, Entered, Left, Message, Outcome, Store};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

/// The room that everybody is in.
pub(crate) const ALL: u64 = 1;
/// More than any chat of a run has.
const ALL_BYTES: usize = 1 << 30;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) user: u64,
    pub(crate) nonce: u64,
    pub(crate) at: i64,
    pub(crate) reply_to: u64,
    /// `None`: it was removed.
    pub(crate) text: Option<String>,
}

/// What the server knows of a connection.
#[derive(Default)]
struct Known {
    user: u64,
    /// The chats that it was in as it was let in, and their newest messages.
    heads: Vec<(u64, u64)>,
    /// Where its stream begins in chats that it came into later, which it has not noticed yet.
    starts: BTreeMap<u64, VecDeque<u64>>,
}

#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) chats: BTreeMap<u64, Vec<Said>>,
    pub(crate) nonces: BTreeMap<(u64, u64), (u64, u64)>,
    /// Of rooms, groups, direct and home chats; not of `all`.
    pub(crate) members: BTreeMap<u64, BTreeSet<u64>>,
    /// Who has ever been in which chat.
    ever: BTreeSet<(u64, u64)>,
    /// Home and direct chats, whose memberships never end.
    lasting: BTreeSet<u64>,
    groups: BTreeSet<u64>,
    pub(crate) names: BTreeMap<u64, String>,
    /// Messages whose STATUS was sent as the first.
    confirmed: BTreeSet<(u64, u64)>,
    conns: BTreeMap<ConnId, Known>,
    /// Bytes of each user's uploads that were confirmed.
    pub(crate) safe: BTreeMap<(u64, usize), usize>,
    /// How often each user has asked to upload a file.
    pub(crate) claims: BTreeMap<(u64, usize), usize>,
    /// Where the files of media are.
    pub(crate) data: PathBuf,
    /// What was found to be wrong.
    pub(crate) wrong: Vec<String>,
    /// Registered users, whose memberships last.
    pub(crate) registered: BTreeSet<u64>,
}

impl Truth {
    pub(crate) fn head(&self, chat: u64) -> u64 {
        self.chats.get(&chat).map_or(0, |said| said.len() as u64)
    }

    pub(crate) fn said(&self, chat: u64, seq: u64) -> Option<&Said> {
        self.chats.get(&chat)?.get(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    pub(crate) fn is_member(&self, user: u64, chat: u64) -> bool {
        chat == ALL || self.members.get(&chat).is_some_and(|members| members.contains(&user))
    }

    /// Whether a user may ever have read a chat.
    pub(crate) fn was_member(&self, user: u64, chat: u64) -> bool {
        chat == ALL || self.ever.contains(&(user, chat))
    }

    /// A group that nobody is in any more is deleted.
    pub(crate) fn is_kept(&self, chat: u64) -> bool {
        !self.groups.contains(&chat) || self.members.get(&chat).is_some_and(|members| !members.is_empty())
    }

    /// How far the chats have come that a user is in for ever.
    pub(crate) fn lasting_heads(&self, user: u64) -> BTreeMap<u64, u64> {
        let lasting = self.lasting.iter().copied().filter(|chat| self.is_member(user, *chat));
        lasting.chain([ALL]).map(|chat| (chat, self.head(chat))).collect()
    }

    /// The chats of a user.
    pub(crate) fn chats_of(&self, user: u64) -> Vec<u64> {
        let own = self.members.iter().filter(|(_, members)| members.contains(&user)).map(|(chat, _)| *chat);
        own.chain([ALL]).collect()
    }

    /// Where the streams of a connection begin that was let in.
    pub(crate) fn heads(&self, conn: ConnId) -> Vec<(u64, u64)> {
        self.conns.get(&conn).map_or_else(Vec::new, |known| known.heads.clone())
    }

    /// Where the stream of a chat begins that a connection came into; each beginning is asked for once.
    pub(crate) fn start(&mut self, conn: ConnId, chat: u64) -> Option<u64> {
        self.conns.get_mut(&conn)?.starts.get_mut(&chat)?.pop_front()
    }

    /// A STATUS that is no duplicate is sent; false if there was one for this message.
    pub(crate) fn confirm(&mut self, chat: u64, seq: u64) -> bool {
        self.confirmed.insert((chat, seq))
    }

    /// The process has ended: with it the connections, and the memberships of guests.
    pub(crate) fn end_of_process(&mut self) {
        self.conns.clear();
        let registered = &self.registered;
        for (chat, members) in &mut self.members {
            if !self.lasting.contains(chat) {
                members.retain(|user| registered.contains(user));
            }
        }
    }

    fn fail(&mut self, why: String) {
        self.wrong.push(why);
    }

    /// Takes what is about to be told to everybody, which is on the disk. `is_online`: whether a user had a connection
    /// before this batch.
    pub(crate) fn note(
        &mut self,
        batch: &[Committed],
        store: &SqliteStore,
        is_online: impl Fn(UserId) -> bool,
    ) {
        let mut arrived = BTreeSet::new();
        for committed in batch {
            match committed {
                Committed::Login(_, Ok(login)) => drop(arrived.insert(login.user)),
                Committed::Departed(user, left)
                    if !left.is_empty() && (arrived.contains(user) || is_online(*user)) =>
                {
                    self.fail(format!("user {user} is back, and {left:?} end behind that"));
                }
                _ => {}
            }
            self.note_one(committed);
        }
        let stored = batch.iter().filter_map(|committed| match committed {
            Committed::Append(Appended { outcome: Outcome::Stored(m) | Outcome::Opened(m, _), .. }) => {
                Some(m)
            }
            _ => None,
        });
        let is_missing = |message: &&Message| {
            let (chat, seq) = (message.chat, message.seq);
            let read = store.messages(chat, seq - 1, seq, ALL_BYTES).unwrap_or_default();
            self.is_kept(chat.0) && read.first().map(said).as_ref() != self.said(chat.0, seq)
        };
        let missing = stored.clone().filter(is_missing);
        let missing = missing.map(|m| format!("{}/{} is told of and is not on the disk", m.chat, m.seq));
        let mut missing: Vec<_> = missing.collect();
        // Behind the batch: what it has removed again needs no file.
        for message in stored {
            let said = self.said(message.chat.0, message.seq).filter(|_| self.is_kept(message.chat.0));
            let file = said.and_then(|said| said.text.as_deref());
            if let Some(Err(why)) = file.map(|file| media::check_said(&self.data, file)) {
                missing.push(format!("{}/{}: {why}", message.chat, message.seq));
            }
        }
        self.wrong.extend(missing);
    }

    fn note_one(&mut self, committed: &Committed) {
        match committed {
            Committed::Append(appended) => match &appended.outcome {
                Outcome::Stored(message) => self.stored(message),
                Outcome::Opened(message, users) => {
                    let chat = message.chat.0;
                    self.members.insert(chat, users.iter().map(|user| user.0).collect());
                    self.lasting.insert(chat);
                    for user in users {
                        self.ever.insert((user.0, chat));
                        self.begin(user.0, chat, message.seq - 1);
                    }
                    self.stored(message);
                }
                Outcome::Duplicate { chat, seq, .. } => {
                    let nonce = self.said(chat.0, *seq).map(|said| said.nonce);
                    if nonce != Some(appended.nonce) {
                        self.fail(format!("{chat}/{seq} is confirmed as a copy and has the nonce {nonce:?}"));
                    }
                }
                Outcome::Refused(_) => {}
            },
            Committed::Login(conn, Ok(login)) => {
                let user = login.user.0;
                self.names.insert(user, login.name.to_string());
                self.members.entry(login.home.0).or_default().insert(user);
                self.ever.insert((user, login.home.0));
                self.lasting.insert(login.home.0);
                let heads = login.chats.iter().map(|head| (head.chat.0, head.last_seq)).collect();
                for ChatHead { chat, last_seq, .. } in &login.chats {
                    if *last_seq != self.head(chat.0) || !self.is_member(user, chat.0) {
                        self.fail(format!("user {user} is told of chat {chat} up to {last_seq}"));
                    }
                }
                self.conns.insert(*conn, Known { user, heads, starts: BTreeMap::new() });
            }
            Committed::Join(_, _, Ok(joined)) => {
                if let Some(left) = &joined.left {
                    self.left(left);
                }
                if joined.is_new {
                    self.enter(joined.user.0, joined.chat.0, joined.last_seq);
                }
            }
            Committed::Create(_, _, Ok(entered)) => {
                self.groups.insert(entered.head.chat.0);
                self.entered(entered);
            }
            Committed::Invite(_, _, Ok(invited)) => {
                if let Some(entered) = &invited.entered {
                    self.entered(entered);
                }
            }
            Committed::Leave(_, _, Ok(left)) | Committed::Remove(_, _, Ok(left)) => self.left(left),
            Committed::Departed(_, all) => all.iter().for_each(|left| self.left(left)),
            Committed::Upload(_, _, Ok(media)) => {
                if let Err(why) = media::check_file(&self.data, &media.0) {
                    self.fail(why);
                }
            }
            Committed::Delete(_, _, Ok(deleted)) => {
                let said = usize::try_from(deleted.seq - 1).ok();
                let said = said.and_then(|at| self.chats.get_mut(&deleted.chat.0)?.get_mut(at));
                match said {
                    Some(said) => said.text = None,
                    None => self.fail(format!("{}/{} is removed and never was", deleted.chat, deleted.seq)),
                }
            }
            _ => {}
        }
    }

    fn stored(&mut self, message: &Message) {
        let (chat, seq) = (message.chat.0, message.seq);
        if seq != self.head(chat) + 1 {
            self.fail(format!("{chat}/{seq} was stored behind {}", self.head(chat)));
        }
        if message.nonce != 0
            && let Some(first) = self.nonces.insert((message.user.0, message.nonce), (chat, seq))
            && self.is_kept(first.0)
        {
            self.fail(format!("{chat}/{seq} has the nonce of {first:?}"));
        }
        self.chats.entry(chat).or_default().push(said(message));
    }

    fn entered(&mut self, entered: &Entered) {
        self.enter(entered.user.0, entered.head.chat.0, entered.head.last_seq);
    }

    fn enter(&mut self, user: u64, chat: u64, last_seq: u64) {
        if last_seq != self.head(chat) {
            self.fail(format!("user {user} comes into chat {chat} at {last_seq}, not {}", self.head(chat)));
        }
        self.members.entry(chat).or_default().insert(user);
        self.ever.insert((user, chat));
        self.begin(user, chat, last_seq);
    }

    fn begin(&mut self, user: u64, chat: u64, last_seq: u64) {
        for known in self.conns.values_mut().filter(|known| known.user == user) {
            known.starts.entry(chat).or_default().push_back(last_seq);
        }
    }

    fn left(&mut self, left: &Left) {
        if let Some(members) = self.members.get_mut(&left.chat.0) {
            members.remove(&left.user.0);
        }
    }

    /// What the disk has is what was told, and nothing else.
    pub(crate) fn compare(&mut self, store: &SqliteStore) {
        let all: Vec<u64> = self.chats.keys().copied().collect();
        for chat in all {
            if !self.is_kept(chat) {
                continue;
            }
            let read = store.messages(ChatId(chat), 0, u64::MAX >> 32, ALL_BYTES);
            let read: Vec<Said> = read.unwrap_or_default().iter().map(said).collect();
            let texts: BTreeSet<&String> = read.iter().filter_map(|said| said.text.as_ref()).collect();
            for why in texts.into_iter().filter_map(|text| media::check_said(&self.data, text).err()) {
                self.wrong.push(format!("chat {chat}: {why}"));
            }
            if read != self.chats[&chat] {
                let known = self.chats[&chat].len();
                self.fail(format!(
                    "chat {chat} has {} messages on the disk, {known} were told of",
                    read.len()
                ));
            }
        }
    }
}

fn said(message: &Message) -> Said {
    Said {
        user: message.user.0,
        nonce: message.nonce,
        at: message.at,
        reply_to: message.reply_to,
        text: match &message.content {
            Content::Text(text) | Content::Reply(text, _) => Some(text.to_string()),
            Content::Media(media) => Some(media::said(&media.id.0)),
            _ => None,
        },
    }
}

//! The messages of one commit on their way to their readers.
//!
//! They are put into runs, one a chat, so that a run is encoded once and costs each reader one push, however
//! many messages are in it. What must not change is the order of a connection's answers: when a connection
//! has sent to one chat and then to another, or was refused something, what came before is delivered first.

use super::line::CROWD;
use super::{Chat, ChatState, Hub, Link, Place, Sub, lock};
use crate::delivery::{self, Segment};
use crate::id::{ChatId, ConnId, UserId};
use crate::outbox::Budget;
use crate::permits::Permits;
use crate::store::{Appended, ChatHead, ChatKind, Content, Message, Outcome};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// A run is delivered when it has about so many bytes of frames, so that one push fits into an outbox.
const RUN_BYTES: usize = 48 * 1024;
/// So many answers to logins and JOINs wait for each other.
const TOGETHER: usize = 64;
/// Bytes of a message's frames beside its text: two headers, the numbers of FROM, a name.
const OVERHEAD_BYTES: usize = 128;

/// Reused from commit to commit; empty in between.
#[derive(Default)]
pub(super) struct Batch {
    runs: Vec<Run>,
    by_chat: HashMap<ChatId, usize>,
    /// Where each connection has sent in the runs that wait.
    sent_to: HashMap<ConnId, ChatId>,
    /// Who has come in, or into a room, and has not been woken for it.
    to_wake: Vec<Arc<Link>>,
    /// Permits to be given back.
    count: usize,
    cost: usize,
}

/// Messages of one chat, in order, without a gap.
struct Run {
    chat: ChatId,
    messages: Vec<(Option<ConnId>, Message)>,
    bytes: usize,
}

impl Batch {
    pub(super) fn add(&mut self, hub: &Hub, appended: Appended) {
        let Appended { conn, nonce, about, permit, outcome } = appended;
        if conn.is_some() {
            self.count += 1;
            self.cost += permit as usize;
        }
        match outcome {
            Outcome::Stored(message) => self.push(hub, conn, message),
            Outcome::Opened(message, users) => {
                self.deliver(hub);
                hub.opened(&message, users);
                self.push(hub, conn, message);
            }
            Outcome::Duplicate { chat, seq, at } => {
                self.answer(hub, conn, |out| delivery::status(out, nonce, chat, seq, at, true));
            }
            Outcome::Refused(refusal) => {
                if let Some(conn) = conn {
                    log::debug!("connection {conn}: message of type {about:#04x} refused: {refusal}");
                }
                self.answer(hub, conn, |out| delivery::error(out, about, nonce, &refusal));
            }
        }
    }

    fn push(&mut self, hub: &Hub, conn: Option<ConnId>, message: Message) {
        let chat = message.chat;
        if let Some(conn) = conn
            && self.sent_to.insert(conn, chat).is_some_and(|earlier| earlier != chat)
        {
            self.deliver(hub);
            self.sent_to.insert(conn, chat);
        }
        let runs = &mut self.runs;
        let at = *self.by_chat.entry(chat).or_insert_with(|| {
            runs.push(Run { chat, messages: Vec::new(), bytes: 0 });
            runs.len() - 1
        });
        let run = &mut self.runs[at];
        run.bytes += OVERHEAD_BYTES + text_len(&message);
        run.messages.push((conn, message));
        if run.bytes >= RUN_BYTES {
            run.deliver(hub);
            run.messages.clear();
            run.bytes = 0;
        }
    }

    /// Answers a message that nobody else hears of.
    fn answer(&mut self, hub: &Hub, conn: Option<ConnId>, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(conn) = conn else { return };
        if self.sent_to.contains_key(&conn) {
            self.deliver(hub);
        }
        if let Some(link) = hub.link(conn) {
            link.outbox.answer_messages(1, write);
        }
    }

    /// Delivers what waits.
    pub(super) fn deliver(&mut self, hub: &Hub) {
        for run in self.runs.drain(..).filter(|run| !run.messages.is_empty()) {
            run.deliver(hub);
        }
        self.by_chat.clear();
        self.sent_to.clear();
    }

    /// One whose answer has begun. Woken with others: one by one, the runtime's threads would fall asleep in between
    /// again and again. And when its next outcome is there too: WELCOME and JOINED go out in one write.
    pub(super) fn wake_soon(&mut self, link: Option<Arc<Link>>) {
        let is_in = |link: &Arc<Link>| self.to_wake.last().is_some_and(|last| last.id == link.id);
        self.to_wake.extend(link.filter(|link| !is_in(link)));
        if self.to_wake.len() >= TOGETHER {
            self.wake();
        }
    }

    /// Wakes who waits for it.
    pub(super) fn wake(&mut self) {
        self.to_wake.drain(..).for_each(|link| link.outbox.wake());
    }

    pub(super) fn give_back(&mut self, permits: &Permits) {
        permits.give_back(std::mem::take(&mut self.count), std::mem::take(&mut self.cost));
    }
}

impl Run {
    fn deliver(&self, hub: &Hub) {
        let mut senders = Senders::of(&self.messages);
        if let Some(chat) = hub.chat(self.chat) {
            self.to_chat(hub, &chat, &mut senders);
        }
        for (conn, own) in senders.unanswered() {
            if let Some(link) = hub.link(conn) {
                self.confirm(&link, own);
            }
        }
        self.to_assistant(hub);
    }

    /// Gives the run to everybody who is in the chat, its senders among them.
    fn to_chat(&self, hub: &Hub, chat: &Chat, senders: &mut Senders) {
        let mut users: Vec<UserId> = self.messages.iter().map(|(_, message)| message.user).collect();
        users.sort_unstable();
        users.dedup();
        let mut shared =
            Shared { run: self, budget: &hub.budget, encoded: None, has_media: self.has_media() };
        let mut state = lock(&chat.state);
        self.move_head(chat, &mut state);
        let mut crowd = (state.subs.len() > CROWD).then(|| hub.line.crowd());
        for ((user, conn), sub) in state.subs.iter_mut() {
            let is_sender = users.binary_search(&user).is_ok();
            let own = if is_sender { senders.answer(conn) } else { &[] };
            if sub.place != Place::Live {
                self.confirm(&sub.link, own);
                continue;
            }
            let fits = if is_sender || shared.differs_for(&sub.link) {
                self.to_one(user, &sub.link, own, &mut shared)
            } else {
                let (outbox, run) = (&sub.link.outbox, &shared.encoded().0);
                match &mut crowd {
                    Some(crowd) => outbox.live_in_line(run, || crowd.add(&sub.link)),
                    None => outbox.live(run),
                }
            };
            if !fits {
                self.fall_behind(hub, chat.id, sub);
            }
        }
    }

    fn move_head(&self, chat: &Chat, state: &mut ChatState) {
        let (Some((_, first)), Some((_, last))) = (self.messages.first(), self.messages.last()) else {
            return;
        };
        if first.seq != state.head + 1 {
            log::error!("chat {}: seq {} was delivered after {}", chat.id, first.seq, state.head);
        }
        state.head = last.seq;
    }

    /// The run as one connection sees it whose user sent some of it, or who takes media whole.
    fn to_one(&self, user: UserId, link: &Link, own: &[Sent], shared: &mut Shared<'_>) -> bool {
        if own.len() == self.messages.len() {
            self.confirm(link, own);
            return true;
        }
        let outbox = &link.outbox;
        let fits = if shared.differs_for(link) {
            let segments = self.with_inline_media(user, link);
            let bytes = segments.iter().map(Segment::len).sum();
            outbox.live_segments(count(own), bytes, segments)
        } else {
            // STATUS is smaller than what it stands for.
            let pieces = shared.pieces(user, link.id);
            outbox.live_segments(count(own), pieces.run.len(), pieces)
        };
        if !fits {
            outbox.answer(|out| self.statuses(own, out));
        }
        fits
    }

    fn with_inline_media(&self, user: UserId, link: &Link) -> Vec<Segment> {
        let mut segments = Vec::new();
        for (by, message) in &self.messages {
            if *by == Some(link.id) {
                let mut answer = Vec::new();
                status(&mut answer, message);
                segments.push(Segment::Owned(answer));
            } else {
                delivery::segments(&mut segments, message, message.user == user, link.inline_limit());
            }
        }
        segments
    }

    /// The answers alone, for a connection that gets the messages otherwise or not at all.
    fn confirm(&self, link: &Link, own: &[Sent]) {
        if !own.is_empty() {
            link.outbox.answer_messages(count(own), |out| self.statuses(own, out));
        }
    }

    fn statuses(&self, own: &[Sent], out: &mut Vec<u8>) {
        for (_, at) in own {
            status(out, &self.messages[*at].1);
        }
    }

    /// There is no room for the run: it will come from the store.
    fn fall_behind(&self, hub: &Hub, chat: ChatId, sub: &mut Sub) {
        let Some((_, first)) = self.messages.first() else { return };
        sub.place = Place::Behind { at: first.seq - 1, round: hub.new_round() };
        sub.link.outbox.add_behind(chat);
        log::debug!("connection {}: behind in chat {chat} from {}", sub.link.id, first.seq);
    }

    fn has_media(&self) -> bool {
        self.messages.iter().any(|(_, message)| matches!(message.content, Content::Media(_)))
    }

    fn to_assistant(&self, hub: &Hub) {
        let Some(assistant) = &hub.assistant else { return };
        let asked = |m: &Message| m.chat_kind == ChatKind::Home && m.user != UserId::ASSISTANT;
        for (conn, message) in self.messages.iter().filter(|(_, message)| asked(message)) {
            let link = conn.and_then(|conn| hub.link(conn));
            assistant.heard(message, link.and_then(|link| link.greeted.get().map(|g| g.zone)));
        }
    }
}

impl Hub {
    /// A direct chat has come to be: both sides' connections are in it from its first message on.
    fn opened(&self, message: &Message, users: [UserId; 2]) {
        let head = ChatHead { chat: message.chat, kind: ChatKind::Direct, last_seq: message.seq - 1 };
        let mut directory = self.directory();
        for user in users {
            let links: Vec<Arc<Link>> = directory.users.get(&user).cloned().unwrap_or_default();
            links.iter().for_each(|link| directory.subscribe(link, &head));
        }
    }
}

/// A message of a run, by its place there, and the connection that sent it.
type Sent = (ConnId, usize);

/// Which connection sent which messages of a run, and who of them has been answered.
struct Senders {
    /// By connection, and then in the order of the run.
    sent: Vec<Sent>,
    is_answered: Vec<bool>,
}

impl Senders {
    fn of(messages: &[(Option<ConnId>, Message)]) -> Self {
        let mut sent: Vec<Sent> =
            messages.iter().enumerate().filter_map(|(at, (conn, _))| Some(((*conn)?, at))).collect();
        sent.sort_unstable();
        let is_answered = vec![false; sent.len()];
        Senders { sent, is_answered }
    }

    /// What a connection sent, which is answered with this.
    fn answer(&mut self, conn: ConnId) -> &[Sent] {
        let from = self.sent.partition_point(|(by, _)| *by < conn);
        let count = self.sent[from..].iter().take_while(|(by, _)| *by == conn).count();
        self.is_answered[from..from + count].fill(true);
        &self.sent[from..from + count]
    }

    fn unanswered(&self) -> impl Iterator<Item = (ConnId, &[Sent])> {
        let mut from = 0;
        let chunks = self.sent.chunk_by(|(one, _), (other, _)| one == other);
        chunks.filter_map(move |own| {
            let is_answered = self.is_answered[from];
            from += own.len();
            (!is_answered).then_some((own[0].0, own))
        })
    }
}

/// The run as most of its readers get it: encoded when the first of them comes.
struct Shared<'a> {
    run: &'a Run,
    budget: &'a Arc<Budget>,
    /// The frames, and where each message's end.
    encoded: Option<(Bytes, Vec<usize>)>,
    has_media: bool,
}

impl Shared<'_> {
    fn differs_for(&self, link: &Link) -> bool {
        self.has_media && link.inline_limit() > 0
    }

    fn encoded(&mut self) -> &(Bytes, Vec<usize>) {
        self.encoded.get_or_insert_with(|| {
            let mut out = Vec::with_capacity(self.run.bytes);
            let mut ends = Vec::with_capacity(self.run.messages.len());
            for (_, message) in &self.run.messages {
                delivery::message(&mut out, message, false);
                ends.push(out.len());
            }
            (self.budget.shared(out), ends)
        })
    }

    /// What the others get, but STATUS where the connection's own messages are, and the nonce with those of its
    /// user's other connections.
    fn pieces(&mut self, user: UserId, conn: ConnId) -> Pieces<'_> {
        let messages = &self.run.messages;
        let (run, ends) = self.encoded();
        Pieces { messages, run, ends, at: 0, user, conn }
    }
}

/// A run cut where one user's messages are: what is in between is shared with all.
struct Pieces<'a> {
    messages: &'a [(Option<ConnId>, Message)],
    run: &'a Bytes,
    ends: &'a [usize],
    at: usize,
    user: UserId,
    conn: ConnId,
}

impl Iterator for Pieces<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let left = &self.messages[self.at..];
        let others = left.iter().take_while(|(_, message)| message.user != self.user).count();
        if others > 0 {
            let from = if self.at == 0 { 0 } else { self.ends[self.at - 1] };
            self.at += others;
            return Some(Segment::Shared(self.run.slice(from..self.ends[self.at - 1])));
        }
        let mut out = Vec::new();
        for (by, message) in left.iter().take_while(|(_, message)| message.user == self.user) {
            if *by == Some(self.conn) {
                status(&mut out, message);
            } else {
                delivery::message(&mut out, message, true);
            }
            self.at += 1;
        }
        (!out.is_empty()).then_some(Segment::Owned(out))
    }
}

fn status(out: &mut Vec<u8>, message: &Message) {
    delivery::status(out, message.nonce, message.chat, message.seq, message.at, false);
}

fn text_len(message: &Message) -> usize {
    match &message.content {
        Content::Text(text) | Content::Reply(text, _) => text.len(),
        _ => 0,
    }
}

fn count(own: &[Sent]) -> u32 {
    u32::try_from(own.len()).unwrap_or(u32::MAX)
}

//! Parts of the server by themselves: a store to write to, a hub with members, what they are given.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each bench uses a part of it, and may stop where it stands"
)]

use chatwire::config::Durability;
use chatwire::hub::{Greeting, Hub, Link};
use chatwire::id::{ChatId, ConnId, UserId};
use chatwire::outbox::{Outbox, Queue};
use chatwire::permits::Permits;
use chatwire::session::{Greeted, Token};
use chatwire::store::sqlite::{Options, SqliteStore};
use chatwire::store::{
    Append, Appended, ChatHead, ChatKind, Committed, Consumer, Content, LoggedIn, Login, Message, Op,
    Outcome, Target, Who,
};
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) const ROOM: ChatId = ChatId(7);
const TEXT_BYTES: usize = 128;
const HOMES: u64 = 10_000;
/// 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600_000_000;
const GREETING: Greeting = Greeting { epoch: 1, heartbeat: 30, max_text: 65_536, max_media: 1 << 30 };

/// A store on a folder of its own in `target`, which goes with it. It does not wait for the disk.
pub(crate) fn store() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let options = Options {
        data: folder.path().to_owned(),
        durability: Durability::Normal,
        readers: 1,
        clock: Arc::new(|| NOW),
    };
    (SqliteStore::open(options).unwrap(), folder)
}

/// The login of a new guest.
pub(crate) fn login() -> Op {
    let who = Who::Guest { name: None };
    Op::Login(Login { conn: ConnId(1), who, device: "".into(), new_token: [1; 32], first_room: None })
}

/// A text to the user's home chat.
pub(crate) fn append(user: UserId, nonce: u64) -> Op {
    Op::Append(Append {
        conn: None,
        user,
        user_name: "guest".into(),
        nonce,
        target: Target::Current(None),
        reply_to: 0,
        name: "".into(),
        about: 0,
        hold: None,
        permit: 0,
        content: Ok(text()),
        refused: None,
    })
}

/// A hub, and everybody in it.
pub(crate) struct Online {
    pub(crate) hub: Hub,
    pub(crate) links: Vec<Arc<Link>>,
    _folder: TempDir,
}

impl Online {
    /// So many connections that have logged in and are in the room, with all of their logins sent.
    pub(crate) fn members(count: u64) -> Online {
        let (store, folder) = store();
        let hub = Hub::new(Arc::new(store), GREETING, Permits::new(1 << 20), None, || NOW);
        let links = (0..count).map(|number| member(&hub, number)).collect();
        Online { hub, links, _folder: folder }
    }

    /// Texts to the room, of somebody who is in it on no connection of this server.
    pub(crate) fn to_the_room(first_seq: u64, count: u64) -> Vec<Committed> {
        let somebody = Message { chat: ROOM, chat_kind: ChatKind::Room, ..message(2) };
        (first_seq..first_seq + count).map(|seq| stored(None, Message { seq, ..somebody.clone() })).collect()
    }

    /// A text of everybody to their home chat.
    pub(crate) fn to_their_homes(&self, seq: u64) -> Vec<Committed> {
        let by = |(number, link): (u64, &Arc<Link>)| {
            let own = message(100 + number);
            stored(Some(link.id), Message { chat: ChatId(HOMES + number), seq, ..own })
        };
        (0..).zip(&self.links).map(by).collect()
    }

    /// Commits it, and lets everybody send what came of it.
    pub(crate) fn deliver(&self, mut batch: Vec<Committed>) {
        self.hub.committed(&mut batch);
        self.take_all();
    }

    /// Lets everybody send what waits. Tells how many bytes each had.
    pub(crate) fn take_all(&self) -> Vec<usize> {
        let mut taken = Queue::default();
        self.links.iter().map(|link| drain(&link.outbox, &mut taken)).collect()
    }
}

fn member(hub: &Hub, number: u64) -> Arc<Link> {
    let link = hub.enter(std::net::Ipv4Addr::LOCALHOST.into());
    let greeted = Greeted {
        version: 1,
        zone: chrono_tz::UTC,
        inline_limit: 0,
        live: true,
        at: 0,
        token: Token::Known([0; 32]),
    };
    link.greeted.set(greeted).unwrap();
    let home = ChatId(HOMES + number);
    let login = LoggedIn {
        user: UserId(100 + number),
        name: format!("guest{number}").into(),
        home,
        token_given: true,
        chats: vec![
            ChatHead { chat: home, kind: ChatKind::Home, last_seq: 0 },
            ChatHead { chat: ROOM, kind: ChatKind::Room, last_seq: 0 },
        ],
    };
    hub.committed(&mut vec![Committed::Login(link.id, Ok(login))]);
    drain(&link.outbox, &mut Queue::default());
    link
}

fn message(user: u64) -> Message {
    Message {
        chat: ROOM,
        chat_kind: ChatKind::Home,
        seq: 1,
        at: NOW,
        user: UserId(user),
        user_name: "somebody".into(),
        nonce: 1,
        reply_to: 0,
        name: "".into(),
        content: text(),
    }
}

fn stored(conn: Option<ConnId>, message: Message) -> Committed {
    let permit = u32::from(conn.is_some());
    Committed::Append(Appended {
        conn,
        nonce: message.seq,
        about: 0,
        permit,
        outcome: Outcome::Stored(message),
    })
}

fn text() -> Content {
    Content::Text("x".repeat(TEXT_BYTES).into())
}

/// What a connection's task does with what waits, without the writing. Tells how many bytes it was.
pub(crate) fn drain(outbox: &Outbox, taken: &mut Queue) -> usize {
    let unsent = outbox.take_into(taken);
    let memory = taken.iter().map(|segment| segment.size().memory).sum();
    *taken = Queue::default();
    outbox.sent(unsent, memory);
    unsent
}

//! A step as a line of JSON, as [`super::FileStorage`] writes it. Fields are added here, never changed.

use crate::kept::{Change, Identity, Kept, Parcel, Place};
use crate::message::MediaRef;
use crate::outgoing::{Body, Outgoing, OutgoingFile, Target};
use chatwire_codec::MediaKind;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    All(RecordAll),
    Identity(Option<RecordIdentity>),
    Place(RecordPlace),
    Forgotten(u64),
    Unsent(RecordParcel),
    Answered(u64),
}

#[derive(Serialize, Deserialize)]
pub(super) struct RecordAll {
    identity: Option<RecordIdentity>,
    #[serde(default)]
    places: Vec<RecordPlace>,
    #[serde(default)]
    unsent: Vec<RecordParcel>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RecordIdentity {
    user: u64,
    user_name: String,
    home: u64,
    epoch: u64,
    token: String,
    guest: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RecordPlace {
    chat: u64,
    pos: Option<u64>,
    #[serde(default)]
    room: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RecordParcel {
    nonce: u64,
    #[serde(default)]
    chat: u64,
    #[serde(default)]
    room: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    reply_to: u64,
    #[serde(default)]
    name: String,
    body: RecordBody,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RecordBody {
    Text(String),
    Media(RecordMedia),
    File { path: std::path::PathBuf, kind: Option<u8> },
}

#[derive(Serialize, Deserialize)]
struct RecordMedia {
    kind: u8,
    media: [u8; 32],
    size: u64,
    mime: String,
    name: String,
    duration_ms: u32,
    width: u32,
    height: u32,
}

impl From<&Change> for Record {
    fn from(change: &Change) -> Self {
        match change {
            Change::All(kept) => Record::All(RecordAll {
                identity: kept.identity.as_ref().map(RecordIdentity::from),
                places: kept.places.iter().map(|(chat, place)| RecordPlace::new(*chat, place)).collect(),
                unsent: kept.unsent.iter().map(RecordParcel::from).collect(),
            }),
            Change::Identity(identity) => Record::Identity(identity.as_ref().map(RecordIdentity::from)),
            Change::Place(chat, place) => Record::Place(RecordPlace::new(*chat, place)),
            Change::Forgotten(chat) => Record::Forgotten(*chat),
            Change::Unsent(parcel) => Record::Unsent(parcel.into()),
            Change::Answered(nonce) => Record::Answered(*nonce),
        }
    }
}

impl From<Record> for Change {
    fn from(record: Record) -> Self {
        match record {
            Record::All(all) => Change::All(Box::new(Kept {
                identity: all.identity.map(Identity::from),
                places: all.places.into_iter().map(RecordPlace::place).collect(),
                unsent: all.unsent.into_iter().map(Parcel::from).collect(),
            })),
            Record::Identity(identity) => Change::Identity(identity.map(Identity::from)),
            Record::Place(place) => {
                let (chat, place) = place.place();
                Change::Place(chat, place)
            }
            Record::Forgotten(chat) => Change::Forgotten(chat),
            Record::Unsent(parcel) => Change::Unsent(parcel.into()),
            Record::Answered(nonce) => Change::Answered(nonce),
        }
    }
}

impl From<&Identity> for RecordIdentity {
    fn from(identity: &Identity) -> Self {
        RecordIdentity {
            user: identity.user,
            user_name: identity.user_name.clone(),
            home: identity.home,
            epoch: identity.epoch,
            token: identity.token.reveal().to_owned(),
            guest: identity.guest,
        }
    }
}

impl From<RecordIdentity> for Identity {
    fn from(record: RecordIdentity) -> Self {
        Identity {
            user: record.user,
            user_name: record.user_name,
            home: record.home,
            epoch: record.epoch,
            token: record.token.into(),
            guest: record.guest,
        }
    }
}

impl RecordPlace {
    fn new(chat: u64, place: &Place) -> Self {
        RecordPlace { chat, pos: place.pos, room: place.room.clone() }
    }

    fn place(self) -> (u64, Place) {
        (self.chat, Place { pos: self.pos, room: self.room })
    }
}

impl From<&Parcel> for RecordParcel {
    fn from(parcel: &Parcel) -> Self {
        let (target, nonce, reply_to, name, body) = match parcel {
            Parcel::Message(m) => (&m.target, m.nonce, m.reply_to, &m.name, (&m.body).into()),
            Parcel::File(f) => {
                let body = RecordBody::File { path: f.path.clone(), kind: f.kind.map(|kind| kind as u8) };
                (&f.target, f.nonce, f.reply_to, &f.name, body)
            }
        };
        let (mut chat, mut room, mut user) = (0, String::new(), String::new());
        match target {
            Target::Current => {}
            Target::Chat(named) => chat = *named,
            Target::Room(named) => room.clone_from(named),
            Target::User(named) => user.clone_from(named),
        }
        RecordParcel { nonce, chat, room, user, reply_to, name: name.clone(), body }
    }
}

impl From<&Body> for RecordBody {
    fn from(body: &Body) -> Self {
        match body {
            Body::Text(text) => RecordBody::Text(text.clone()),
            Body::Reference(media) => RecordBody::Media(RecordMedia {
                kind: media.kind as u8,
                media: media.media,
                size: media.size,
                mime: media.mime.clone(),
                name: media.name.clone(),
                duration_ms: media.duration_ms,
                width: media.width,
                height: media.height,
            }),
        }
    }
}

impl From<RecordParcel> for Parcel {
    fn from(record: RecordParcel) -> Self {
        let RecordParcel { nonce, chat, room, user, reply_to, name, body } = record;
        let target = match (chat, room.is_empty(), user.is_empty()) {
            (0, true, true) => Target::Current,
            (0, false, _) => Target::Room(room),
            (0, true, false) => Target::User(user),
            (chat, ..) => Target::Chat(chat),
        };
        let body = match body {
            RecordBody::Text(text) => Body::Text(text),
            RecordBody::Media(media) => Body::Reference(media.into()),
            RecordBody::File { path, kind } => {
                let kind = kind.and_then(MediaKind::from_number);
                return Parcel::File(OutgoingFile { path, target, nonce, reply_to, name, kind });
            }
        };
        Parcel::Message(Outgoing { target, nonce, reply_to, name, body })
    }
}

impl From<RecordMedia> for MediaRef {
    fn from(record: RecordMedia) -> Self {
        MediaRef {
            kind: MediaKind::from_number(record.kind).unwrap_or(MediaKind::File),
            media: record.media,
            size: record.size,
            mime: record.mime,
            name: record.name,
            duration_ms: record.duration_ms,
            width: record.width,
            height: record.height,
        }
    }
}

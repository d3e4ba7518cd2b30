//! What a client keeps to come back to: who it is, how far it has read, and what is not confirmed yet.
//!
//! [`Kept`] is the whole, [`Change`] a step; [`Kept::apply`] makes the one of the other.

use crate::outgoing::{Outgoing, OutgoingFile, Target};
use std::collections::BTreeMap;

/// Everything that a client keeps between connections, and between one run of a program and the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Who the client is, once a server has said so.
    pub identity: Option<Identity>,
    /// Every chat that has a place.
    pub places: BTreeMap<u64, Place>,
    /// What is not confirmed, in the order in which it was sent.
    pub unsent: Vec<Parcel>,
}

/// Who the client is on its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: u64,
    /// The user.
    pub user_name: String,
    /// The user's chat with the assistant.
    pub home: u64,
    /// Of the server's data; another one makes all that is kept void.
    pub epoch: u64,
    /// To come back with; empty: there is none.
    pub token: crate::Secret,
    /// Whether the user is a guest, whose rooms end with the connection and are entered again.
    pub guest: bool,
}

/// A client's place in one chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The `seq` of the last message that the program has dealt with.
    pub pos: Option<u64>,
    /// The name of the room, if it was entered; else empty.
    pub room: String,
}

/// A message that is kept until it is confirmed or refused. Its nonce is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parcel {
    /// A text or a reference.
    Message(Outgoing),
    /// A file, by its path: it has to stay what it is until then.
    File(OutgoingFile),
}

/// A step from one [`Kept`] to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Everything at once.
    All(Box<Kept>),
    /// Who the client is.
    Identity(Option<Identity>),
    /// A chat's place.
    Place(u64, Place),
    /// A chat has no place any more.
    Forgotten(u64),
    /// Another message is to be sent.
    Unsent(Parcel),
    /// The message of this nonce was confirmed or refused.
    Answered(u64),
}

impl Parcel {
    /// Its name.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        match self {
            Parcel::Message(message) => message.nonce,
            Parcel::File(file) => file.nonce,
        }
    }

    /// Makes the current chat this one, so that it goes there however often it is sent.
    pub(crate) fn name_chat(&mut self, chat: u64) {
        let target = match self {
            Parcel::Message(message) => &mut message.target,
            Parcel::File(file) => &mut file.target,
        };
        if *target == Target::Current {
            *target = Target::Chat(chat);
        }
    }

    /// Bytes that it counts for while it is kept.
    #[must_use]
    pub(crate) fn weight(&self) -> usize {
        match self {
            Parcel::Message(message) => message.weight(),
            Parcel::File(file) => file.path.as_os_str().len() + file.name.len(),
        }
    }
}

impl Kept {
    /// Takes a step. Taking it twice changes nothing.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::All(all) => self.clone_from(all),
            Change::Identity(identity) => self.identity.clone_from(identity),
            Change::Place(chat, place) => drop(self.places.insert(*chat, place.clone())),
            Change::Forgotten(chat) => drop(self.places.remove(chat)),
            Change::Unsent(parcel) => {
                if self.unsent.iter().all(|kept| kept.nonce() != parcel.nonce()) {
                    self.unsent.push(parcel.clone());
                }
            }
            Change::Answered(nonce) => self.unsent.retain(|parcel| parcel.nonce() != *nonce),
        }
    }
}

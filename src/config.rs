//! Every setting: its name, unit, default and check. The wish is raw; a [`Config`] is valid.

use crate::policy::Policy;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Valid settings: what the server runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// `data`: the folder that everything is kept in.
    pub data: PathBuf,
    /// `listen.tcp`.
    pub listen_tcp: SocketAddr,
    /// `store.durability`: whether a commit waits for the disk.
    pub durability: Durability,
    /// `policy.*`: zones, hours, guests.
    pub policy: Policy,
    /// `limits.*`.
    pub limits: Limits,
    /// `timing.*`.
    pub timing: Timing,
    /// `assistant.kind`.
    pub assistant: AssistantKind,
}

/// `store.durability`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What is confirmed survives power loss.
    Full,
    /// What is confirmed survives a crash of the server, but not of the machine.
    Normal,
}

/// `assistant.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssistantKind {
    /// A few things that it can do by itself.
    Builtin,
    /// Says what it was told.
    Echo,
    /// Nobody answers.
    None,
}

/// `limits.*`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once of one user; 0: no limit.
    pub connections_per_user: usize,
    /// How long a new connection waits for a place.
    pub wait: Duration,
    /// Messages taken from clients and not yet answered, of all connections.
    pub messages_in_flight: usize,
    /// The largest TEXT, in bytes.
    pub text_bytes: u32,
    /// The largest media, in bytes.
    pub media_bytes: u32,
}

/// `timing.*`.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Silence before a PING, and again before the end.
    pub heartbeat: Duration,
    /// From the accept to a whole HELLO.
    pub hello: Duration,
    /// How long a frame may stand still.
    pub frame: Duration,
    /// How long a connection may take no byte of what waits for it.
    pub stall: Duration,
}

//! Every setting: its name, unit, default and check. The wish is raw; a [`Config`] is valid.
//!
//! [`settings`] is the table. [`Sources`] are where wishes come from; what they hold is read, merged and checked
//! once, by [`Sources::load`], and nothing behind it checks a setting again. Nothing here serves or listens, and
//! the one file that is read is the settings' own.

mod file;
mod problem;
mod reload;
pub mod settings;
mod source;
mod takes;

pub use problem::{ConfigError, Problem};
pub use reload::Changes;
pub use source::{Loaded, Origin, Sources};

use crate::policy::{Policy, newcomers};
use crate::quota::Allowed;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Valid settings: what the server runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `data`: the folder that everything is kept in.
    pub data: PathBuf,
    /// `listen.tcp`.
    pub listen_tcp: Option<SocketAddr>,
    /// `listen.tls`. If it is set, so is `tls`.
    pub listen_tls: Option<SocketAddr>,
    /// `tls.*`.
    pub tls: TlsFiles,
    /// `store.durability`: whether a commit waits for the disk.
    pub durability: Durability,
    /// `store.retention_days`: how long messages are kept; 0: for ever.
    pub retention_days: usize,
    /// `policy.*`: zones, hours, guests.
    pub policy: Policy,
    /// `limits.*`.
    pub limits: Limits,
    /// `timing.*`.
    pub timing: Timing,
    /// `assistant.kind`.
    pub assistant: AssistantKind,
}

impl Default for Config {
    /// What is in force where nobody says otherwise.
    fn default() -> Self {
        let mut config = Config::blank();
        for setting in settings::SETTINGS {
            let is_valid = setting.takes.put(setting.default, &mut config).is_ok();
            debug_assert!(is_valid, "the default of {}", setting.key);
        }
        config
    }
}

impl Config {
    /// What the table fills in. None of these values is ever in force.
    fn blank() -> Self {
        Config {
            data: PathBuf::new(),
            listen_tcp: None,
            listen_tls: None,
            tls: TlsFiles::default(),
            durability: Durability::Full,
            retention_days: 0,
            policy: Policy::default(),
            limits: Limits::default(),
            timing: Timing::default(),
            assistant: AssistantKind::None,
        }
    }
}

/// `tls.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: Option<PathBuf>,
    /// The private key. It is there if the chain is.
    pub key: Option<PathBuf>,
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

/// `limits.*`. The default is blank: the values in force by default are those of [`Config::default`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address; 0: no limit.
    pub connections_per_address: usize,
    /// Connections at once of one user; 0: no limit.
    pub connections_per_user: usize,
    /// How long a new connection waits for a place.
    pub wait: Duration,
    /// Messages taken from clients and not yet answered, of all connections.
    pub messages_in_flight: usize,
    /// Messages a second of one connection; 0: no limit.
    pub messages_per_sec: usize,
    /// Guests and accounts from one address.
    pub newcomers: newcomers::Bounds,
    /// The largest TEXT, in bytes.
    pub text_bytes: u32,
    /// The largest media, in bytes.
    pub media_bytes: u32,
    /// Media that may be kept.
    pub storage: Allowed,
}

/// `timing.*`. The default is blank, like that of [`Limits`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

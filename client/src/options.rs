//! What a client says in HELLO, and what the server says in WELCOME.

use crate::error::Error;
use crate::limits::HELLO_BYTES;
use chatwire_codec::{HEADER_LEN, Payload, VERSION, frame};
use std::fmt;

/// Live messages come only from chats that SYNC has asked for.
const QUIET: u8 = 1;
/// The assistant's replies come as references too.
const REPLY_REFERENCES: u8 = 2;

/// How to present oneself to a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// An IANA time zone name, spelled exactly.
    pub timezone: String,
    /// The wished-for or registered name; empty: the server gives one. Ignored with a token.
    pub name: String,
    /// How the user proves who it is.
    pub login: Login,
    /// This device's name; a token is bound to it.
    pub device: String,
    /// The largest media that the server may push whole, in bytes (it cuts it to 1 MiB); 0: references alone.
    pub inline_limit: u32,
    /// Whether live messages come from every chat, or only from those that [`crate::Client::sync`] names.
    pub live: bool,
    /// Whether the assistant's voices and pictures come as references, however small they are.
    pub reply_references: bool,
    /// TLS, and whom to take for the server; `None`: plain TCP, which everybody on the way can read.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::Tls>,
}

impl Default for Options {
    /// A guest in UTC, on an unnamed device, to whom messages come live and media as references.
    fn default() -> Self {
        Options {
            timezone: "UTC".to_owned(),
            name: String::new(),
            login: Login::Guest,
            device: String::new(),
            inline_limit: 0,
            live: true,
            reply_references: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// How a user proves who it is.
#[derive(Clone, Debug)]
pub enum Login {
    /// Not at all.
    Guest,
    /// With the password of a registered user.
    Password(Secret),
    /// With a token of an earlier [`Welcome`].
    Token(Secret),
    /// As a new user, with this password from now on.
    Register(Secret),
}

/// A password or token: it does not show itself in logs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<S: Into<String>> From<S> for Secret {
    fn from(secret: S) -> Self {
        Secret(secret.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Options {
    /// The HELLO that says it.
    pub(crate) fn hello(&self) -> Result<Vec<u8>, Error> {
        let (auth, secret) = match &self.login {
            Login::Guest => (0, ""),
            Login::Password(secret) => (1, secret.reveal()),
            Login::Token(secret) => (2, secret.reveal()),
            Login::Register(secret) => (3, secret.reveal()),
        };
        let quiet = if self.live { 0 } else { QUIET };
        let references = if self.reply_references { REPLY_REFERENCES } else { 0 };
        let hello = frame::Hello {
            version: VERSION,
            timezone: &self.timezone,
            user: &self.name,
            auth,
            secret,
            device: &self.device,
            inline_limit: self.inline_limit,
            flags: quiet | references,
        };
        let mut bytes = Vec::new();
        hello.encode(&mut bytes)?;
        if bytes.len() > HEADER_LEN + HELLO_BYTES {
            return Err(Error::Invalid("the password or token is too long"));
        }
        Ok(bytes)
    }
}

/// What the server said when it took the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both speak.
    pub version: u8,
    /// Who the client is.
    pub user: u64,
    /// Who the client is.
    pub user_name: String,
    /// This connection's number.
    pub session: u64,
    /// The server's time: microseconds since the Unix epoch.
    pub at: i64,
    /// Changes when the server's data was restored: forget positions and nonces then.
    pub epoch: u64,
    /// Seconds of silence before a PING; 0: none.
    pub heartbeat: u16,
    /// The largest text, in bytes.
    pub max_text: u32,
    /// The largest media, in bytes.
    pub max_media: u64,
    /// The largest media that comes whole, in bytes.
    pub inline_limit: u32,
    /// The user's chat with the assistant.
    pub home: u64,
    /// To come back as the same user, with [`Login::Token`]; empty after a login by token, which stays good.
    pub token: Secret,
}

impl From<frame::Welcome<'_>> for Welcome {
    fn from(f: frame::Welcome<'_>) -> Self {
        Welcome {
            version: f.version,
            user: f.user,
            user_name: f.user_name.to_owned(),
            session: f.session,
            at: f.at,
            epoch: f.epoch,
            heartbeat: f.heartbeat,
            max_text: f.max_text,
            max_media: f.max_media,
            inline_limit: f.inline_limit,
            home: f.home,
            token: f.token.into(),
        }
    }
}

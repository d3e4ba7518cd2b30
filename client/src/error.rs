//! What can go wrong: whose fault it is, and what to do about it.

use chatwire_codec::{Code, DecodeError, EncodeError, EncodeRule, frame};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why all that a client knew is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Anew {
    /// The server's data is another: it was restored from a backup, or made anew.
    #[error("the server's data was restored, and what was known of it is void")]
    Restored,
    /// The client is another user than before.
    #[error("the server knows this client as another user now")]
    OtherUser,
}

/// Why something was not done.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused this message or request; the connection lives, unless the code is fatal.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The connection ended before the answer. Whether a message was stored is not known: connect again and
    /// send it with the same nonce.
    #[error("the connection ended: {0}")]
    Disconnected(End),
    /// No connection came about: is the address right, and does the server run?
    #[error("cannot reach the server: {0}")]
    Unreachable(Problem),
    /// No connection over TLS came about. Nothing of HELLO was sent.
    #[error("{0}")]
    Tls(TlsProblem),
    /// The server did not do its part in time.
    #[error("the server did not answer in time ({0})")]
    TimedOut(&'static str),
    /// Larger than the server takes. Nothing was sent.
    #[error("{size} bytes are more than the {limit} that the server takes")]
    TooLarge {
        /// What was to be sent, in bytes.
        size: u64,
        /// What the server takes, in bytes.
        limit: u64,
    },
    /// What was asked for cannot be said in the protocol. Nothing was sent.
    #[error("{0}")]
    Invalid(&'static str),
    /// A message with this nonce waits for its answer already.
    #[error("nonce {0} is in flight already")]
    NonceInFlight(u64),
    /// A file on this side could not be read or written.
    #[error("{path}: {problem}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        problem: Problem,
    },
    /// There is a file of this name already, and it stays.
    #[error("{path} exists already", path = .0.display())]
    Exists(PathBuf),
    /// What was fetched is not what its digest names. It was thrown away.
    #[error("the bytes that came are not those that were asked for (wrong BLAKE3 digest)")]
    WrongDigest,
    /// The server answered against the protocol.
    #[error("the server broke the protocol: {0}")]
    Violation(&'static str),
    /// What was kept is void. Whether the message was stored is not known, and it is not sent again.
    #[error("not sent again: {0}")]
    Void(Anew),
    /// What a client has kept cannot be read, so it would not know its place.
    #[error("what was kept cannot be read: {0}")]
    Storage(Problem),
    /// A [`crate::Steady`] was closed.
    #[error("this client was closed")]
    Over,
}

/// Why there is no TLS between client and server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsProblem {
    /// The certificate is for other names.
    #[error("the server's certificate is not for {wanted}{}", .names.first().map_or_else(String::new, |_| {
        format!(" but for {}: connect by such a name, if it is your server", .names.join(", "))
    }))]
    OtherName {
        /// By which the client connects.
        wanted: String,
        /// For which it is good; empty where that is not known.
        names: Vec<String>,
    },
    /// Nobody who is trusted has signed it.
    #[error(
        "the server's certificate is signed by nobody whom this client trusts: if it is your server, give the file of \
         its certificate, or of the one that signed it, as CA"
    )]
    UnknownIssuer,
    /// It was good, and is no longer.
    #[error(
        "the server's certificate has expired: its operator has to get a new one (or this clock is wrong)"
    )]
    Expired,
    /// It will be good.
    #[error("the server's certificate is not valid yet: is the clock of this machine right?")]
    NotValidYet,
    /// What answered is no TLS.
    #[error("the server does not speak TLS at this address: connect without it, or to its address for TLS")]
    NotSpoken,
    /// What answered is TLS, and the client speaks none.
    #[error("the server speaks TLS at this address: connect with it")]
    Spoken,
    /// Anything else.
    #[error("no connection over TLS: {0}")]
    Other(String),
}

impl TlsProblem {
    fn fault(&self) -> Fault {
        match self {
            TlsProblem::Expired | TlsProblem::Other(_) => Fault::Server,
            _ => Fault::Caller,
        }
    }
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller's, or its user's: ask for something else.
    Caller,
    /// The server's.
    Server,
    /// The network's, or nobody's: try again later.
    Network,
    /// This machine's: its files, its disk.
    Here,
}

impl Error {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Error::Refused(refusal) => refusal.fault(),
            Error::Disconnected(End::Refused(refusal)) => refusal.fault(),
            Error::Disconnected(End::Violation(_)) | Error::Violation(_) | Error::WrongDigest => {
                Fault::Server
            }
            Error::Disconnected(End::File(_)) | Error::File { .. } | Error::Storage(_) => Fault::Here,
            Error::Disconnected(_) | Error::Unreachable(_) | Error::TimedOut(_) => Fault::Network,
            Error::Void(_) => Fault::Server,
            Error::Tls(problem) => problem.fault(),
            Error::TooLarge { .. }
            | Error::Invalid(_)
            | Error::NonceInFlight(_)
            | Error::Exists(_)
            | Error::Over => Fault::Caller,
        }
    }

    /// The server's code, if it is the server that refused.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Refused(refusal) | Error::Disconnected(End::Refused(refusal)) => refusal.code(),
            _ => None,
        }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        Error::File { path: path.into(), problem: error.into() }
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        match error.rule {
            EncodeRule::FieldTooLong { .. } => Error::Invalid("a name or another field is too long"),
            _ => Error::Invalid("too long for one frame"),
        }
    }
}

/// An ERROR of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its number; see [`Refusal::code`].
    pub number: u16,
    /// The type of the frame that it answers; 0xFF: none.
    pub about: u8,
    /// For people.
    pub text: String,
    /// When to try again, in milliseconds; 0: no such time.
    pub retry_ms: u32,
}

impl Refusal {
    /// The code, unless it is one that this version does not know.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        Code::from_number(self.number)
    }

    /// Whether the connection ends with it.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.code().is_some_and(Code::is_fatal)
    }

    fn fault(&self) -> Fault {
        match self.code() {
            Some(Code::Internal | Code::StorageFull) => Fault::Server,
            Some(Code::Timeout | Code::Busy) => Fault::Network,
            _ if self.number >= 500 => Fault::Server,
            _ => Fault::Caller,
        }
    }
}

impl From<&frame::Error<'_>> for Refusal {
    fn from(error: &frame::Error<'_>) -> Self {
        Refusal {
            number: error.code,
            about: error.about,
            text: error.said.text.to_owned(),
            retry_ms: error.retry_ms,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code() {
            Some(code) => f.write_str(code.name())?,
            None => write!(f, "error {}", self.number)?,
        }
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        if self.retry_ms > 0 {
            write!(f, " (try again in {} s)", self.retry_ms.div_ceil(1000))?;
        }
        Ok(())
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The server said BYE: 0 done, 1 shutting down, 2 replaced, 3 kicked, or an error code.
    #[error("the server said goodbye (code {code}{sep}{reason})", sep = if reason.is_empty() { "" } else { ": " })]
    Bye {
        /// Why.
        code: u16,
        /// Why, for people.
        reason: String,
    },
    /// The server said why in a fatal ERROR.
    #[error("{0}")]
    Refused(Refusal),
    /// The server closed it without a word.
    #[error("the server closed it without a word")]
    Closed,
    /// Nothing came for two heartbeats, or the server did not close in time.
    #[error("the server has fallen silent")]
    Silent,
    /// The network failed.
    #[error("{0}")]
    Network(Problem),
    /// The server sent what it may not.
    #[error("the server broke the protocol: {0}")]
    Violation(String),
    /// This side said goodbye.
    #[error("this side said goodbye")]
    Left,
    /// A file being sent could not be read to its end, and a frame once begun cannot be taken back.
    #[error("a file could not be sent whole: {0}")]
    File(Problem),
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        End::Violation(error.to_string())
    }
}

impl From<&'static str> for End {
    fn from(violation: &'static str) -> Self {
        End::Violation(violation.to_owned())
    }
}

/// What the operating system says of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which sort it is.
    pub kind: io::ErrorKind,
    text: String,
}

impl From<&io::Error> for Problem {
    fn from(error: &io::Error) -> Self {
        Problem { kind: error.kind(), text: error.to_string() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

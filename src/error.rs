//! What a client is told when something is refused: the one type that becomes ERROR.

use chatwire_codec::Code;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Why something was not done: a code for the client, a sentence for its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The page's code.
    pub code: Code,
    /// Whose fault it is and what to do about it. Names nothing that the client may not know of.
    pub text: Cow<'static, str>,
    /// When to try again, in milliseconds; 0: no such time.
    pub retry_ms: u32,
}

impl Refusal {
    /// A refusal without a time to try again.
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Refusal { code, text: text.into(), retry_ms: 0 }
    }

    /// A refusal of what may be tried again in so long. Rounded up: whoever waits so long has waited long enough.
    pub fn too_early(code: Code, text: impl Into<Cow<'static, str>>, by: Duration) -> Self {
        let retry_ms = u32::try_from(by.as_millis() + 1).unwrap_or(u32::MAX);
        Refusal { retry_ms, ..Refusal::new(code, text) }
    }

    /// The server's own fault. Its cause is for the log, not for the client.
    #[must_use]
    pub fn internal() -> Self {
        Refusal::new(Code::Internal, "the server failed; nothing was stored; try again later")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.text)
    }
}

impl std::error::Error for Refusal {}

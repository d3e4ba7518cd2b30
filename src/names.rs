//! The rules for names of users and rooms, and for titles and names of files and devices (section 5).

use crate::error::Refusal;

/// A name of a user or room that is well formed, in NFC.
///
/// # Errors
/// `conflict`: says which rule it breaks.
pub fn check(name: &str) -> Result<Box<str>, Refusal> {
    todo!("{name}")
}

/// What names are compared by: NFKC and case folding.
#[must_use]
pub fn key(name: &str) -> Box<str> {
    todo!("{name}")
}

/// Whether a user may not take this name: `all`, the assistant's, `guest` and digits.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    todo!("{name}")
}

/// A file's name as it is kept: without its folders, at most 255 bytes, no control characters.
///
/// # Errors
/// `conflict`.
pub fn file(name: &str) -> Result<Box<str>, Refusal> {
    todo!("{name}")
}

/// A device's name or a title: at most 255 bytes, no control characters.
///
/// # Errors
/// `conflict`.
pub fn label(name: &str) -> Result<Box<str>, Refusal> {
    todo!("{name}")
}

//! Why a command ended without doing what it was asked for, and the exit code that says so.

use std::path::{Path, PathBuf};

/// Something did not come, or not as it should: the thing that is looked at is at fault.
const DIFFERS: u8 = 1;
/// The tool could not do its work.
const CANNOT: u8 = 2;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("{server}: {error}")]
    Connect { server: String, error: std::io::Error },
    /// What was written on the command line or in a script makes no sense.
    #[error("{0}")]
    Usage(String),
    #[error("{place}: {error}")]
    Line { place: String, error: String },
    /// An expectation was not met.
    #[error("{place}: {what}")]
    Unmet { place: String, what: String },
    /// A replay was answered otherwise.
    #[error("{0} differences")]
    Differs(usize),
}

impl Error {
    /// Makes an error of a file's.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |error| Error::File { path, error }
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Error::Unmet { .. } | Error::Differs(_) => DIFFERS,
            _ => CANNOT,
        }
    }
}

//! What can be wrong with settings: where, what, and what would be right.

use super::source::Origin;
use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with the settings: at least one problem, a line each.
#[derive(Debug)]
pub struct ConfigError {
    /// In the order in which they were found.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A key that no setting has.
    #[error("{origin}: unknown setting `{key}`; the nearest known one is `{nearest}`")]
    Unknown {
        /// The key, or the variable's name.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// What may have been meant.
        nearest: String,
    },
    /// A value that its setting does not take.
    #[error("{origin}: {key} = {value}: {why}; accepted: {accepted}")]
    Refused {
        /// The key.
        key: &'static str,
        /// The value, as it was written.
        value: String,
        /// Where it stands.
        origin: Origin,
        /// What is wrong with it.
        why: String,
        /// What would be right.
        accepted: String,
    },
    /// The settings' file cannot be read, or is no TOML.
    #[error("{}: {why}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

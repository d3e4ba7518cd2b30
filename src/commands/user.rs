//! `chatwire user …`

use super::{Error, done, open, open_or_make, say, secret, table, time};
use chatwire::auth;
use chatwire::names;
use chatwire::store::sqlite::admin::{AdminError, UserRow};
use clap::Subcommand;
use std::path::Path;

/// What is to be done with users.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum UserCommand {
    /// Register a user. The password is asked for, or is the first line of standard input.
    Add {
        /// The name.
        name: String,
    },
    /// List the users who are registered.
    List {
        /// The guests too who may come back.
        #[arg(long)]
        guests: bool,
    },
    /// Give a user a new password, and end all sessions. It is asked for, or is the first line of standard input.
    Password {
        /// The name.
        name: String,
    },
    /// End all sessions of a user, and let it not log in any more.
    Disable {
        /// The name.
        name: String,
    },
    /// Let a user log in again.
    Enable {
        /// The name.
        name: String,
    },
    /// End a user for ever. Its messages stay, but for those to the assistant; nobody else gets its name.
    Delete {
        /// The name.
        name: String,
    },
    /// List the devices on which a user can log in without a password.
    Sessions {
        /// The name.
        name: String,
        /// End them all, and all connections.
        #[arg(long)]
        end: bool,
    },
}

impl UserCommand {
    pub(crate) fn run(&self, data: &Path) -> Result<(), Error> {
        match self {
            UserCommand::Add { name } => {
                // Before a password is asked for.
                names::free(name).map_err(AdminError::from)?;
                let hash = auth::hash(&secret::read(name)?).map_err(AdminError::from)?;
                let user = open_or_make(data)?.add_user(name, &hash)?;
                say(&format!("{name} is registered as user {user}."))
            }
            UserCommand::List { guests } => list(data, *guests),
            UserCommand::Password { name } => {
                let hash = auth::hash(&secret::read(name)?).map_err(AdminError::from)?;
                let effect = open(data)?.set_password(name, &hash)?;
                done(effect, &format!("{name} has the new password; all sessions have ended."))
            }
            UserCommand::Disable { name } => {
                done(open(data)?.disable(name)?, &format!("{name} is disabled; all sessions have ended."))
            }
            UserCommand::Enable { name } => {
                open(data)?.enable(name)?;
                say(&format!("{name} may log in again."))
            }
            UserCommand::Delete { name } => done(open(data)?.delete(name)?, &format!("{name} is deleted.")),
            UserCommand::Sessions { name, end: true } => {
                done(open(data)?.end_sessions(name)?, &format!("All sessions of {name} have ended."))
            }
            UserCommand::Sessions { name, end: false } => sessions(data, name),
        }
    }
}

fn list(data: &Path, guests: bool) -> Result<(), Error> {
    let users = open(data)?.users()?;
    let row = |user: &UserRow| {
        let state = match user {
            UserRow { is_disabled: true, .. } => "disabled",
            UserRow { is_guest: true, .. } => "guest",
            _ => "",
        };
        let seen = match user.last_seen {
            None => "connected".to_owned(),
            Some(at) if at == user.created_at => "never".to_owned(),
            Some(at) => time(at),
        };
        [user.user.to_string(), user.name.to_string(), time(user.created_at), seen, state.to_owned()]
    };
    let rows: Vec<_> = users.iter().filter(|user| guests || !user.is_guest).map(row).collect();
    table(["ID", "NAME", "SINCE", "LAST SEEN", "STATE"], &rows)
}

fn sessions(data: &Path, name: &str) -> Result<(), Error> {
    let sessions = open(data)?.sessions(name)?;
    let rows: Vec<_> =
        sessions.iter().map(|s| [format!("{:?}", s.device), time(s.created_at), time(s.last_used)]).collect();
    table(["DEVICE", "SINCE", "LAST LOGIN"], &rows)
}

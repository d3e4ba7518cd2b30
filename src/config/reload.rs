//! What becomes of settings that are read again: which of them are in force at once, and which from the next start.

use super::Config;
use super::settings::{From, SETTINGS};

/// What differs from the settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// What is in force now: the new values of all that needs no restart.
    pub config: Config,
    /// Keys that have a new value, which is in force.
    pub taken: Vec<&'static str>,
    /// Keys that have a new value, which is in force from the next start on.
    pub waiting: Vec<&'static str>,
}

impl Changes {
    /// Between what is in force and what was read.
    #[must_use]
    pub fn between(in_force: &Config, read: &Config) -> Self {
        let (mut old, mut new) = (in_force.clone(), read.clone());
        let mut changes = Changes { config: read.clone(), taken: Vec::new(), waiting: Vec::new() };
        for setting in SETTINGS {
            let is_changed = setting.takes.show(&mut old) != setting.takes.show(&mut new);
            match setting.from {
                From::Reload if is_changed => changes.taken.push(setting.key),
                From::Start if is_changed => {
                    setting.takes.copy(&mut old, &mut changes.config);
                    changes.waiting.push(setting.key);
                }
                _ => {}
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Durability;

    #[test]
    fn what_needs_a_restart_stays_as_it_was_and_the_rest_is_taken() {
        let old = Config::default();
        let mut read = old.clone();
        read.limits.connections = 7;
        read.policy.guests = false;
        read.durability = Durability::Normal;
        read.listen_tcp = None;
        let changes = Changes::between(&old, &read);
        assert_eq!(changes.taken, ["policy.guests", "limits.connections"]);
        assert_eq!(changes.waiting, ["listen.tcp", "store.durability"]);
        let mut want = old.clone();
        want.limits.connections = 7;
        want.policy.guests = false;
        assert_eq!(changes.config, want);
        // What waits goes on waiting.
        assert_eq!(Changes::between(&changes.config, &read).waiting, changes.waiting);
        assert_eq!(Changes::between(&old, &old), Changes { config: old, taken: vec![], waiting: vec![] });
    }
}

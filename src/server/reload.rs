//! What can be changed while the server runs: SIGHUP reads the settings and the certificate again, and takes all that
//! needs no restart, or nothing.

use super::descriptors::{self, Shares};
use crate::config::{Changes, Config, Sources};
use crate::listener::{self, Entrance};
use crate::policy::places::Bounds;
use crate::policy::rate::Rate;
use crate::session::Rules;
use crate::tls::Keys;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// The settings in force, and all that goes by them.
pub(super) struct InForce {
    sources: Sources,
    config: Config,
    keys: Option<Arc<Keys>>,
    entrance: Arc<Entrance>,
}

impl InForce {
    /// What the server began with.
    pub(super) fn new(
        sources: Sources,
        config: Config,
        keys: Option<Arc<Keys>>,
        entrance: Arc<Entrance>,
    ) -> Self {
        InForce { sources, config, keys, entrance }
    }

    /// Reads everything again, and says in the log what came of it. In a word:
    pub(super) fn reload(&mut self) -> &'static str {
        match self.read() {
            Ok((changes, keys)) => {
                self.take(changes, keys);
                "serving"
            }
            Err(why) => {
                let lines = why.lines().map(|line| format!("\n  {line}")).collect::<String>();
                log::error!("the settings were not reloaded, and stay as they were:{lines}");
                "serving; the last reload was refused, and the log says why"
            }
        }
    }

    /// All that can go wrong goes wrong here.
    fn read(&self) -> Result<(Changes, Option<Keys>), String> {
        let read = self.sources.load().map_err(|e| e.to_string())?;
        let changes = Changes::between(&self.config, &read.config);
        let keys = if self.keys.is_some() { keys(&changes.config).transpose() } else { Ok(None) };
        Ok((changes, keys.map_err(|e| e.to_string())?))
    }

    fn take(&mut self, changes: Changes, keys: Option<Keys>) {
        let Changes { config, taken, waiting } = changes;
        let certificate = if keys.is_some() { ", and the certificate was read again" } else { "" };
        if let (Some(ours), Some(new)) = (&self.keys, keys) {
            ours.replace(new);
        }
        self.config = config;
        self.apply(descriptors::share(self.config.limits.connections));
        let shared = &self.entrance.shared;
        shared.hub.tell_rules(&shared.rules.read().unwrap_or_else(PoisonError::into_inner).clone());
        match &taken[..] {
            [] => log::info!("reloaded: no setting has changed{certificate}"),
            keys => log::info!("reloaded: {} changed{certificate}", keys.join(", ")),
        }
        if !waiting.is_empty() {
            log::warn!("{} changed too, but stay as they were until the next start", waiting.join(", "));
        }
    }

    /// Hands out what is in force, but for what connections have that are there.
    pub(super) fn apply(&self, shares: Shares) {
        let (config, shared) = (&self.config, &self.entrance.shared);
        let rules = Arc::new(rules(config));
        *shared.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        shared.hub.set_connections_per_user(config.limits.connections_per_user);
        shared.warden.set_retention(config.retention_days);
        shared.warden.set_newcomers(config.limits.newcomers.clone());
        self.entrance.set_rules(door_rules(config));
        self.entrance.places.set_bounds(bounds(config, shares));
    }
}

/// What is read of the files of `tls.*`, if they are set.
pub(super) fn keys(config: &Config) -> Option<Result<Keys, crate::tls::Error>> {
    let (Some(cert), Some(key)) = (&config.tls.cert, &config.tls.key) else { return None };
    Some(Keys::read(cert, key))
}

/// What sessions go by.
pub(super) fn rules(config: &Config) -> Rules {
    Rules {
        policy: config.policy.clone(),
        heartbeat: config.timing.heartbeat,
        hello: config.timing.hello,
        frame: config.timing.frame,
        stall: config.timing.stall,
        max_media: config.limits.media_bytes.into(),
        messages: Rate::within(config.limits.messages_per_sec, Duration::from_secs(1)),
    }
}

/// What doors go by.
pub(super) fn door_rules(config: &Config) -> listener::Rules {
    listener::Rules {
        patience: config.limits.wait,
        hello: config.timing.hello,
        exempt: config.limits.newcomers.exempt.clone(),
    }
}

/// How many places there are.
pub(super) fn bounds(config: &Config, shares: Shares) -> Bounds {
    let per_source = config.limits.connections_per_address;
    Bounds { all: shares.places, per_source, waiting: shares.waiting }
}

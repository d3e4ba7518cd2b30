//! Where wishes come from, and which of them counts: flag > variable > file > default.

use super::Config;
use super::file;
use super::problem::{ConfigError, Problem};
use super::settings::{SETTINGS, Setting, VARIABLE_PREFIX};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Write};
use std::path::PathBuf;

/// Variables that begin like those of the settings and are none: the log's filter and the file's place.
const OTHER_VARIABLES: [&str; 2] = ["CHATWIRE_LOG", "CHATWIRE_CONFIG"];

/// How like a known name a variable must be to count as a slip of the keyboard (0 to 1).
const SLIP: f64 = 0.7;

/// Where the settings are to be found. Can be loaded again, for what the file holds then.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment's variables; those that do not concern the settings are left alone.
    pub variables: Vec<(OsString, OsString)>,
    /// Flag, key and value, in the order of the command line: the last one of a key counts.
    pub flags: Vec<(&'static str, String, String)>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody asked for anything else.
    Default,
    /// The file.
    File(PathBuf),
    /// The environment variable of this name.
    Variable(String),
    /// The flag of this name.
    Flag(&'static str),
}

/// Settings that are in force, and where each came from.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    raw: Raw,
}

/// What was asked for, not yet checked: by key, the one wish that counts.
#[derive(Debug, Default)]
pub(super) struct Raw(BTreeMap<&'static str, (String, Origin)>);

impl Sources {
    /// Reads, merges and checks.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let (mut raw, mut problems) = (Raw::default(), Vec::new());
        if let Some(path) = &self.file {
            file::read(path, &mut raw, &mut problems);
        }
        for (name, value) in &self.variables {
            variable(name.to_string_lossy().into_owned(), value, &mut raw, &mut problems);
        }
        for (flag, key, value) in &self.flags {
            match Setting::named(key) {
                Some(setting) => raw.wish(setting, value.clone(), Origin::Flag(flag)),
                None => problems.push(unknown(key.clone(), Origin::Flag(flag))),
            }
        }
        let config = raw.check(&mut problems);
        if problems.is_empty() { Ok(Loaded { config, raw }) } else { Err(ConfigError { problems }) }
    }
}

impl Raw {
    /// Takes a wish, over any that was there before.
    pub(super) fn wish(&mut self, setting: &'static Setting, value: String, origin: Origin) {
        self.0.insert(setting.key, (value, origin));
    }

    fn check(&self, problems: &mut Vec<Problem>) -> Config {
        let mut config = Config::default();
        for setting in SETTINGS {
            let Some((value, origin)) = self.0.get(setting.key) else { continue };
            if let Err(why) = setting.takes.put(value, &mut config) {
                problems.push(refused(setting, format!("{value:?}"), origin.clone(), why));
            }
        }
        self.check_tls(&config, problems);
        config
    }

    /// A door over TLS takes both files, and one file is none.
    fn check_tls(&self, config: &Config, problems: &mut Vec<Problem>) {
        let wishes = [config.listen_tls.is_some(), config.tls.cert.is_some(), config.tls.key.is_some()];
        let keys = ["listen.tls", "tls.cert", "tls.key"];
        let Some(wish) = wishes.iter().position(|wish| *wish) else { return };
        let Some(lacks) = (1..3).find(|key| !wishes[*key]) else { return };
        let Some(setting) = Setting::named(keys[wish]) else { return };
        let (value, origin) =
            self.0.get(setting.key).cloned().unwrap_or_else(|| (String::new(), Origin::Default));
        let why = format!("{} is missing", keys[lacks]);
        let accepted = "tls.cert and tls.key together; `chatwire cert` makes a pair for trying".into();
        problems.push(Problem::Refused {
            key: setting.key,
            value: format!("{value:?}"),
            origin,
            why,
            accepted,
        });
    }
}

impl Loaded {
    /// Every setting that is in force, and where it came from, as a TOML file that asks for the same.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let (mut config, mut text) = (self.config.clone(), String::new());
        for setting in SETTINGS {
            let value = setting.takes.show(&mut config);
            let origin = self.raw.0.get(setting.key).map_or(&Origin::Default, |(_, origin)| origin);
            let gap = if text.is_empty() { "" } else { "\n" };
            // Writing to a String does not fail.
            let _ = writeln!(text, "{gap}# {}\n# Accepted: {}.", setting.doc, setting.takes);
            let _ = writeln!(text, "{} = {value} # {origin}", setting.key);
        }
        text
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            // A path may hold anything; a line break in it must not break a line here.
            Origin::File(path) => write!(f, "{}", path.to_string_lossy().escape_debug()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

fn variable(name: String, value: &OsString, raw: &mut Raw, problems: &mut Vec<Problem>) {
    if !name.starts_with(VARIABLE_PREFIX) || OTHER_VARIABLES.contains(&&*name) {
        return;
    }
    match SETTINGS.iter().find(|setting| setting.variable() == name) {
        Some(setting) => match value.to_str() {
            Some(value) => raw.wish(setting, value.into(), Origin::Variable(name)),
            None => {
                let (value, why) = (format!("{value:?}"), "not UTF-8".into());
                problems.push(refused(setting, value, Origin::Variable(name), why));
            }
        },
        None => problems.extend(slip(name)),
    }
}

/// A variable that must have been meant for a setting: it begins like a section, or is much like one. Others
/// may be anybody's: some that run services name variables of their own after the service.
fn slip(name: String) -> Option<Problem> {
    let likeness = |known: &String| strsim::normalized_damerau_levenshtein(known, &name);
    let variables = SETTINGS.iter().rev().map(Setting::variable);
    let nearest = variables.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    let section = |setting: &Setting| Some(setting.key.split_once('.')?.0.to_ascii_uppercase());
    let rest = &name[VARIABLE_PREFIX.len()..];
    let is_in_section = SETTINGS
        .iter()
        .filter_map(section)
        .any(|section| rest.strip_prefix(&*section).is_some_and(|rest| rest.starts_with('_')));
    let is_meant = is_in_section || likeness(&nearest) >= SLIP;
    is_meant.then(|| Problem::Unknown { origin: Origin::Variable(name.clone()), key: name, nearest })
}

fn unknown(key: String, origin: Origin) -> Problem {
    let nearest = Setting::nearest(&key).into();
    Problem::Unknown { key, origin, nearest }
}

fn refused(setting: &Setting, value: String, origin: Origin, why: String) -> Problem {
    Problem::Refused { key: setting.key, value, origin, why, accepted: setting.takes.to_string() }
}

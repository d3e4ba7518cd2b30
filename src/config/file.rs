//! The settings' file: TOML, in nested tables or dotted keys.

use super::problem::Problem;
use super::settings::{SETTINGS, Setting};
use super::source::{Origin, Raw};
use std::path::Path;
use toml::{Table, Value};

/// Puts what a file asks for into `raw`, and what is wrong with it into `problems`.
pub(super) fn read(path: &Path, raw: &mut Raw, problems: &mut Vec<Problem>) {
    match parse(path) {
        Ok(table) => walk("", &table, &Origin::File(path.into()), raw, problems),
        Err(why) => problems.push(Problem::File { path: path.into(), why }),
    }
}

fn parse(path: &Path) -> Result<Table, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read it: {error}"))?;
    text.parse().map_err(|error: toml::de::Error| match error.span() {
        Some(span) => format!("line {}: {}", line(&text, span.start), error.message()),
        None => error.message().to_string(),
    })
}

fn walk(above: &str, table: &Table, origin: &Origin, raw: &mut Raw, problems: &mut Vec<Problem>) {
    for (name, value) in table {
        let key = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        match (Setting::named(&key), value) {
            (Some(setting), _) => match setting.takes.spell(value) {
                Some(text) => raw.wish(setting, text, origin.clone()),
                None => problems.push(Problem::Refused {
                    key: setting.key,
                    value: value.to_string(),
                    origin: origin.clone(),
                    why: format!("{} does not belong here", kind(value)),
                    accepted: setting.takes.to_string(),
                }),
            },
            (None, Value::Table(inner)) if is_section(&key) => walk(&key, inner, origin, raw, problems),
            (None, _) => {
                let nearest = Setting::nearest(&key).into();
                problems.push(Problem::Unknown { key, origin: origin.clone(), nearest });
            }
        }
    }
}

fn is_section(key: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) | Value::Float(_) => "a number without quotes",
        Value::Boolean(_) => "true or false without quotes",
        Value::Datetime(_) => "a date or time without quotes",
        Value::Array(_) => "such a list",
        Value::Table(_) => "a table",
    }
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

//! A frame as one line, in the language of `wire cat`, or as one JSON object.

use crate::language::is_one_value;
use crate::seen::{Field, Seen, Val};
use chatwire_codec::SkipReason;
use chatwire_codec::dump::Trouble;
use serde_json::{Map, Value as Json, json};
use std::fmt::Write;

/// How many bytes of one value are shown.
const SHOWN: usize = 256;

/// One line, such as `status nonce=0 chat=12 seq=1`.
pub(crate) fn line(seen: &Seen) -> String {
    let mut line = seen.name().to_lowercase();
    let needs_no_names = seen.info().is_some_and(is_one_value);
    for field in &seen.fields {
        let name = if needs_no_names { "" } else { &field.path };
        let _ = write!(line, " {name}{}{}", if needs_no_names { "" } else { "=" }, shown(field));
    }
    if let Some(body) = &seen.body {
        let _ = write!(line, " ({} bytes: {}", body.len, hex(&body.head));
        line.push_str(if body.len > body.head.len() as u64 { "…)" } else { ")" });
    }
    if let Some(trouble) = &seen.trouble {
        let _ = write!(line, "  !! {}", said(trouble));
    }
    line
}

/// A value, or the word that stands for a number.
fn shown(field: &Field) -> String {
    match (&field.value, &field.meaning) {
        (Val::Unsigned(_), Some(word)) => value(&Val::Text(word.clone())),
        (known, _) => value(known),
    }
}

/// What is wrong with a frame, in words.
pub(crate) fn said(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Wrong(error) => format!("{}: {error}", error.code().name()),
        Trouble::Skipped(SkipReason::Unknown { .. }) => "skipped: unknown in this direction".into(),
        Trouble::Skipped(SkipReason::TooLarge { limit }) => {
            format!("skipped: larger than its limit of {limit} bytes")
        }
        Trouble::Cut { missing } => format!("the stream ends here, {missing} bytes short"),
    }
}

/// A value as it is written behind `=`.
pub(crate) fn value(value: &Val) -> String {
    match value {
        Val::Unsigned(n) => n.to_string(),
        Val::Signed(n) => n.to_string(),
        Val::Text(text) if text.len() > SHOWN => {
            format!("{:?}…({} bytes)", text.chars().take(SHOWN).collect::<String>(), text.len())
        }
        Val::Text(text) if is_bare(text) => text.clone(),
        Val::Text(text) => format!("{text:?}"),
        Val::Bytes(bytes) if bytes.len() > SHOWN => {
            format!("{}…({} bytes)", hex(&bytes[..SHOWN]), bytes.len())
        }
        Val::Bytes(bytes) => hex(bytes),
    }
}

/// Whether a text reads as itself without quotes.
fn is_bare(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "_./+-:*".contains(c);
    !text.is_empty() && text.chars().all(plain) && !text.starts_with('x')
}

/// `x` and hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("x"), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// One JSON object; `docs/WIRE.md` says what it holds. `more` goes first.
pub(crate) fn object(seen: &Seen, more: Vec<(&'static str, Json)>) -> String {
    let mut object: Map<String, Json> = more.into_iter().map(|(key, value)| (key.into(), value)).collect();
    let mut put = |key: &str, value: Json| object.insert(key.into(), value);
    put("offset", json!(seen.at));
    put("frame", json!(seen.name()));
    put("type", json!(seen.kind));
    put("size", json!(seen.size));
    if let Some(info) = seen.info() {
        put("section", json!(info.section));
    }
    put("fields", seen.fields.iter().map(field).collect());
    if !seen.left_out.is_empty() {
        put("left_out", json!(seen.left_out));
    }
    if let Some(body) = &seen.body {
        let is_whole = body.len == body.head.len() as u64;
        put("body", json!({ "size": body.len, "hex": digits(&body.head), "shortened": !is_whole }));
    }
    if let Some(trouble) = &seen.trouble {
        put("trouble", trouble_object(trouble));
    }
    Json::Object(object).to_string()
}

fn field(field: &Field) -> Json {
    let value = match &field.value {
        Val::Unsigned(n) => json!(n),
        Val::Signed(n) => json!(n),
        Val::Text(text) => json!(text),
        Val::Bytes(bytes) => json!(digits(bytes)),
    };
    let mut object = json!({
        "name": field.path, "type": field.ty, "offset": field.offset, "size": field.size, "value": value,
    });
    if let Some(meaning) = &field.meaning {
        object["meaning"] = json!(meaning);
    }
    object
}

fn digits(bytes: &[u8]) -> String {
    hex(bytes).split_off(1)
}

fn trouble_object(trouble: &Trouble) -> Json {
    let words = said(trouble);
    match trouble {
        Trouble::Wrong(error) => json!({
            "kind": "wrong", "code": error.code().name(), "rule": error.rule.name(),
            "field": error.field, "offset": error.offset, "text": words,
        }),
        Trouble::Skipped(_) => json!({ "kind": "skipped", "text": words }),
        Trouble::Cut { missing } => json!({ "kind": "cut", "missing": missing, "text": words }),
    }
}

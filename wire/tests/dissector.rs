//! The dissector in Lua against `wire pcap`: tshark and wire must see the same fields in the same capture.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod support;

use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::process::Command;
use support::wire;

const SESSION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/session.pcapng");
const DISSECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dissector/chatwire.lua");
/// What stands between the values of one packet.
const BETWEEN: char = '\u{1f}';

#[test]
fn tshark_sees_the_fields_that_wire_sees() {
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!(
            "tshark is not installed: the dissector was not compared (on Debian: apt-get install tshark)"
        );
        return;
    }
    let expected = fields_by_wire();
    assert!(expected.len() > 40, "the session has too little in it: {expected:?}");
    let names: Vec<&String> = expected.keys().collect();
    let found = fields_by_tshark(&names.iter().map(|name| name.as_str()).collect::<Vec<_>>());
    for (name, values) in &expected {
        assert_eq!(found.get(name.as_str()), Some(values), "{name}");
    }
    assert_eq!(fields_by_tshark(&["chatwire.malformed", "chatwire.later"]), BTreeMap::new());
}

#[test]
fn the_dissector_comes_with_the_tool() {
    assert_eq!(wire(&["dissector"], b"").succeeded().out, std::fs::read_to_string(DISSECTOR).unwrap());
}

/// The values of every field, in the order in which they came. Empty ones cannot be told from none.
fn fields_by_wire() -> BTreeMap<String, Vec<String>> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for frame in wire(&["pcap", "--json", SESSION], b"").succeeded().objects() {
        let name = frame["frame"].as_str().unwrap().to_lowercase();
        fields.entry("chatwire.size".into()).or_default().push(frame["size"].to_string());
        for field in frame["fields"].as_array().unwrap() {
            let path = field["name"].as_str().unwrap();
            let path: Vec<&str> = path.split('.').filter(|part| part.parse::<usize>().is_err()).collect();
            let value = shown(field);
            if !value.is_empty() {
                fields.entry(format!("chatwire.{name}.{}", path.join("."))).or_default().push(value);
            }
        }
    }
    fields
}

/// As tshark writes it.
fn shown(field: &Json) -> String {
    match (&field["value"], field["type"].as_str()) {
        (Json::String(text), _) => text.clone(),
        (Json::Number(_), Some("i64")) => time(field["meaning"].as_str().unwrap_or("1970-01-01T00:00:00Z")),
        (number, _) => number.to_string(),
    }
}

/// `Nov 21, 2026 17:44:52.206153000 UTC` of `2026-11-21T17:44:52.206153Z`.
fn time(text: &str) -> String {
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (date, time) = text.trim_end_matches('Z').split_once('T').unwrap();
    let parts: Vec<&str> = date.split('-').collect();
    let month = months[parts[1].parse::<usize>().unwrap() - 1];
    let day = parts[2].trim_start_matches('0');
    let (second, micros) = time.split_once('.').unwrap_or((time, "000000"));
    format!("{month} {day:>2}, {} {second}.{micros}000 UTC", parts[0])
}

fn fields_by_tshark(names: &[&str]) -> BTreeMap<String, Vec<String>> {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("tshark");
    command.env("HOME", home.path()).args([
        "-X",
        &format!("lua_script:{DISSECTOR}"),
        "-r",
        SESSION,
        "-T",
        "fields",
    ]);
    command.args(["-E", "occurrence=a", "-E", &format!("aggregator={BETWEEN}"), "-E", "separator=/t"]);
    names.iter().for_each(|name| {
        command.args(["-e", name]);
    });
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        for (name, values) in names.iter().zip(line.split('\t')) {
            let values = values.split(BETWEEN).filter(|value| !value.is_empty());
            fields.entry((*name).into()).or_default().extend(values.map(str::to_string));
        }
    }
    fields.retain(|_, values| !values.is_empty());
    fields
}

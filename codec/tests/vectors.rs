//! The vectors: bytes, and what comes of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chatwire_codec::{DecodeError, Event, FRAMES, Rule, SkipReason, frame};
use common::{Seen, Vector, collect, hex, vectors};
use std::collections::HashSet;

#[test]
fn every_vector_gives_what_it_says() {
    for vector in &vectors() {
        assert_eq!(outcome_of(vector), said_by(vector), "vector {}", vector.name());
    }
}

#[test]
fn canonical_vectors_are_written_as_they_were_read() {
    for vector in &vectors() {
        let Some(canonical) = vector.one("canonical") else { continue };
        let bytes = vector.bytes();
        let mut written = Vec::new();
        match vector.decoder().next(&mut &bytes[..]) {
            Ok(Some(Event::Frame(frame))) => frame.encode(&mut written).unwrap(),
            other => panic!("vector {}: {other:?}", vector.name()),
        }
        assert_eq!(written == bytes, canonical == "yes", "vector {}", vector.name());
    }
}

#[test]
fn every_frame_and_every_kind_of_outcome_has_a_vector() {
    let vectors = vectors();
    let words = |key, nth| -> HashSet<&str> {
        vectors.iter().filter_map(|v| v.one(key)?.split(' ').nth(nth)).collect()
    };
    let named: HashSet<&str> = words("frame", 0).union(&words("body", 0)).copied().collect();
    assert_eq!(named, FRAMES.iter().map(|info| info.name).collect());
    let rules = [
        "missing",
        "ends_inside",
        "not_utf8",
        "over_limit",
        "far_over_limit",
        "hello_first",
        "content_expected",
    ];
    assert_eq!(words("error", 1), rules.into());
    assert_eq!(words("skip", 0), ["unknown", "too_large"].into());
}

#[test]
fn every_frame_has_a_vector_that_leaves_fields_out() {
    let vectors = vectors();
    for info in FRAMES {
        let Some(optional) = info.fields.iter().find(|field| !field.required) else { continue };
        // Without its bytes such a field is the same as with none.
        let shows = !matches!(optional.ty, "text" | "rest") && !optional.ty.starts_with("items");
        let shorter = |v: &Vector| v.one("frame") == Some(info.name) && v.one("canonical") == Some("no");
        assert!(!shows || vectors.iter().any(shorter), "{}", info.name);
    }
}

#[test]
fn names_of_vectors_are_unique() {
    let vectors = vectors();
    let names: HashSet<&str> = vectors.iter().map(Vector::name).collect();
    assert_eq!(names.len(), vectors.len());
}

/// The lines of a vector behind its bytes, but `canonical`.
fn said_by(vector: &Vector) -> Vec<String> {
    let lines = |key: &'static str| vector.all(key).map(move |value| format!("{key} {value}"));
    ["frame", "field", "body", "skip", "error"].into_iter().flat_map(lines).collect()
}

/// What the decoder makes of a vector's bytes, in the notation of the vectors.
fn outcome_of(vector: &Vector) -> Vec<String> {
    let (mut decoder, bytes) = (vector.decoder(), vector.bytes());
    if vector.one("error").is_some() {
        let error = decoder.next(&mut &bytes[..]).expect_err(vector.name());
        return vec![error_line(&error)];
    }
    let (mut input, mut seen) = (&bytes[..], Vec::new());
    collect(&mut decoder, &mut input, &mut seen).unwrap();
    assert!(input.is_empty(), "vector {}: bytes are left", vector.name());
    match &seen[..] {
        [Seen::Frame(kind, fields)] => {
            let lines = fields.iter().map(|field| format!("field {field}"));
            [format!("frame {}", name(*kind))].into_iter().chain(lines).collect()
        }
        [Seen::Start(kind, 0), Seen::End] => vec![format!("body {} x", name(*kind))],
        [Seen::Start(kind, _), Seen::Bytes(body), Seen::End] => {
            vec![format!("body {} {}", name(*kind), hex(body))]
        }
        [Seen::Skipped(kind, size, SkipReason::Unknown { req })] => {
            vec![format!("skip unknown {kind:#04x} {size} {req}")]
        }
        [Seen::Skipped(kind, size, SkipReason::TooLarge { limit })] => {
            vec![format!("skip too_large {kind:#04x} {size} {limit}")]
        }
        other => panic!("vector {}: {other:?}", vector.name()),
    }
}

fn name(kind: u8) -> &'static str {
    frame::info(kind).unwrap().name
}

fn error_line(error: &DecodeError) -> String {
    let rule = match error.rule {
        Rule::Missing => "missing",
        Rule::EndsInside => "ends_inside",
        Rule::NotUtf8 => "not_utf8",
        Rule::UnknownType => "unknown_type",
        Rule::OverLimit { .. } => "over_limit",
        Rule::FarOverLimit { .. } => "far_over_limit",
        Rule::HelloFirst => "hello_first",
        Rule::ContentExpected => "content_expected",
    };
    let field = if error.field.is_empty() { "-" } else { error.field };
    format!("error {} {rule} {:#04x} {field} {}", error.code().name(), error.kind, error.offset)
}

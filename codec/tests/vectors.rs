//! The vectors: bytes, and what comes of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chatwire_codec::{Direction, Event, FRAMES, FieldInfo, Frame, FrameInfo, HEADER_LEN, SkipReason, frame};
use common::{Seen, Vector, collect, error_line, hex, vectors};
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
fn every_field_that_may_be_left_out_has_a_vector_that_leaves_it_out() {
    let vectors = vectors();
    for info in FRAMES {
        // Of the last field, "left out" and "with none of its bytes" are the same bytes where it runs to the end.
        let shows = |field: &&FieldInfo| !field.required && !runs_to_the_end(field);
        for field in info.fields.iter().filter(shows) {
            let ends_before = |v: &&Vector| {
                let payload = &v.bytes()[HEADER_LEN..];
                v.one("frame") == Some(info.name) && last_field(info.kind, payload) == before(info, field)
            };
            assert!(vectors.iter().any(|v| ends_before(&v)), "{} without {}", info.name, field.name);
        }
    }
}

#[test]
fn every_field_has_vectors_in_which_it_is_cut_and_if_required_missing() {
    let vectors = vectors();
    let told = |info: &FrameInfo, rule: &str, field: &str| {
        let line = format!("malformed {rule} {:#04x} {field} ", info.kind);
        assert!(vectors.iter().any(|v| v.one("error").is_some_and(|e| e.starts_with(&line))), "{line}");
    };
    for info in FRAMES {
        for field in info.fields.iter().filter(|field| !runs_to_the_end(field)) {
            let name = if field.ty == "said" { "text_size" } else { field.name };
            if field.required {
                told(info, "missing", name);
            }
            // One byte cannot be cut, nor does a server read what of an event is its own.
            let is_servers =
                info.direction == Direction::Both && matches!(field.name, "user" | "user_name" | "last_seen");
            if field.ty != "u8" && field.ty != "said" && !field.ty.starts_with("list") && !is_servers {
                told(info, "ends_inside", name);
            }
        }
    }
}

fn runs_to_the_end(field: &FieldInfo) -> bool {
    matches!(field.ty, "text" | "rest") || field.ty.starts_with("items")
}

/// The field before this one, by its name.
fn before(info: &FrameInfo, field: &FieldInfo) -> Option<&'static str> {
    let at = info.fields.iter().position(|other| other.name == field.name).unwrap();
    at.checked_sub(1).map(|before| info.fields[before].name)
}

/// The last field that a payload has: cutting its last byte off is an error in that field, or leaves it out.
fn last_field(kind: u8, payload: &[u8]) -> Option<&'static str> {
    let (_, shorter) = payload.split_last()?;
    match Frame::parse(kind, shorter) {
        Err(error) if error.field == "text" || error.field.ends_with("_size") => Some("said"),
        Err(error) => Some(error.field),
        Ok(_) => {
            // It was one byte long: with that byte changed, only it differs.
            let mut changed = payload.to_vec();
            *changed.last_mut().unwrap() ^= 1;
            let was = Frame::parse(kind, payload).unwrap();
            let is = match Frame::parse(kind, &changed) {
                Ok(is) => is,
                Err(error) => return Some(error.field),
            };
            let (was, is) = (was.fields(), is.fields());
            was.iter().zip(&is).find(|(was, is)| was != is).map(|(was, _)| was.0)
        }
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
        return vec![format!("error {}", error_line(&error))];
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

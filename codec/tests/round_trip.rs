//! What is read is written again, for every frame; and a payload may grow and shrink as section 1.3 says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chatwire_codec::{FRAMES, Frame, HEADER_LEN, Rule, Value};
use common::arbitrary::{any_frame, whole};
use common::can_grow;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_read_is_written_again(parts in any_frame()) {
        let bytes = whole(&parts);
        let frame = Frame::parse(parts.0.kind, &bytes[HEADER_LEN..]).unwrap();
        let mut written = Vec::new();
        frame.encode(&mut written).unwrap();
        prop_assert_eq!(&written, &bytes);
        prop_assert_eq!(frame.kind(), parts.0.kind);
    }

    #[test]
    fn bytes_behind_the_last_field_are_ignored(
        parts in any_frame().prop_filter("it can grow", |parts| can_grow(parts.0)),
        more in proptest::collection::vec(any::<u8>(), 1..20),
    ) {
        let payload = parts.1.concat();
        let grown = [&payload[..], &more].concat();
        prop_assert_eq!(Frame::parse(parts.0.kind, &grown), Frame::parse(parts.0.kind, &payload));
    }

    #[test]
    fn a_payload_may_end_before_any_field_that_is_not_required_and_nowhere_else(parts in any_frame()) {
        let (info, fields) = &parts;
        let payload = fields.concat();
        let whole = Frame::parse(info.kind, &payload).unwrap();
        for cut in 0..payload.len() {
            let (mut begins, mut n) = (0, 0);
            while begins < cut {
                begins += fields[n].len();
                n += 1;
            }
            // `n` fields are whole; or else the cut is inside field `n - 1`.
            let inside = begins > cut;
            let required = info.fields.iter().filter(|f| f.required).count();
            match Frame::parse(info.kind, &payload[..cut]) {
                Ok(frame) if inside => prop_assert!(cut_anywhere(info.fields[n - 1].ty), "{:?} {:?}", frame, whole),
                Ok(frame) => {
                    prop_assert!(n >= required);
                    prop_assert_eq!(frame.fields().len(), whole.fields().len());
                    for (i, (field, of_whole)) in frame.fields().iter().zip(whole.fields()).enumerate() {
                        let is_there = i < n || info.fields[0].ty == "said" && i < n + 1;
                        let holds = if is_there { *field == of_whole } else { is_default(&field.1) };
                        prop_assert!(holds, "{:?}", field);
                    }
                }
                Err(error) if inside => prop_assert!(error.rule != Rule::UnknownType, "{error}"),
                Err(error) => {
                    prop_assert!(n < required, "{error}");
                    prop_assert_eq!(error.rule, Rule::Missing);
                    prop_assert_eq!(error.offset, cut);
                }
            }
        }
    }
}

/// Whether a part of the field is a field too: bytes to the end, or whole items out of some.
fn cut_anywhere(ty: &str) -> bool {
    matches!(ty, "rest" | "text") || ty.starts_with("items")
}

fn is_default(value: &Value<'_>) -> bool {
    match value {
        Value::Unsigned(n) => *n == 0,
        Value::Signed(n) => *n == 0,
        Value::Text(s) => s.is_empty(),
        Value::Bytes(b) => b.iter().all(|b| *b == 0),
        Value::Items(items) => items.is_empty(),
    }
}

#[test]
fn a_type_that_is_not_in_the_table_is_no_frame() {
    for kind in (0..=255).filter(|kind| FRAMES.iter().all(|info| info.kind != *kind)) {
        let error = Frame::parse(kind, b"whatever").unwrap_err();
        assert_eq!(error.rule, Rule::UnknownType);
        assert_eq!(error.to_string(), format!("frame type {kind:#04x}: unknown in this direction"));
    }
}

#[test]
fn the_table_is_in_the_order_of_the_numbers() {
    assert!(FRAMES.windows(2).all(|two| two[0].kind < two[1].kind));
}

#[test]
fn fields_that_are_not_required_stand_behind_those_that_are() {
    for info in FRAMES {
        assert!(info.fields.windows(2).all(|two| two[0].required || !two[1].required), "{}", info.name);
    }
}

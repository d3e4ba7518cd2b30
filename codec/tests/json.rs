//! Frames as JSON: every one comes back as it was, and mistakes are told by name.

#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chatwire_codec::frame::{Join, RoomItem, RoomList, To, Voice};
use chatwire_codec::{Frame, HEADER_LEN, RawFrame, Said, frame};
use common::arbitrary::{any_frame, whole};
use common::vectors;
use proptest::prelude::*;

fn back(frame: &Frame<'_>) -> RawFrame {
    serde_json::from_str(&serde_json::to_string(frame).unwrap()).unwrap()
}

#[test]
fn every_vector_comes_back_as_it_was() {
    let mut frames = 0;
    for vector in &vectors() {
        let bytes = vector.bytes();
        let raw = RawFrame { kind: bytes[0], payload: bytes[HEADER_LEN..].to_vec().into() };
        let json = serde_json::to_string(&raw).unwrap();
        let read: RawFrame = serde_json::from_str(&json).unwrap();
        match raw.parse() {
            Ok(frame) => {
                assert_eq!(read.parse(), Ok(frame.clone()), "{json}");
                assert_eq!(serde_json::to_string(&frame).unwrap(), json);
                frames += 1;
            }
            // What cannot be read is what it was, byte for byte.
            Err(_) => assert_eq!(read, raw, "{json}"),
        }
    }
    assert!(frames > 100);
}

proptest! {
    #[test]
    fn any_frame_comes_back_as_it_was(parts in any_frame()) {
        let bytes = whole(&parts);
        let frame = Frame::parse(parts.0.kind, &bytes[HEADER_LEN..]).unwrap();
        prop_assert_eq!(&back(&frame).payload[..], &bytes[HEADER_LEN..]);
    }
}

#[test]
fn a_frame_is_its_fields_by_the_names_of_the_page() {
    let room = RoomItem { chat: 1, room: "all", online: 3, last_seq: 9 };
    let said = Said { text: "東京 \"x\"", voice: b"\xff\0" };
    let cases: &[(Frame<'_>, &str)] = &[
        (
            Join { req: 7, room: "harbour", flags: 0 }.into(),
            r#"{"type":"JOIN","req":7,"room":"harbour","flags":0}"#,
        ),
        (Voice { body: &[0xFF, 0xFB] }.into(), r#"{"type":"VOICE","body":"fffb"}"#),
        (
            RoomList { req: 7, more: 0, rooms: vec![room] }.into(),
            r#"{"type":"ROOM_LIST","req":7,"more":0,"rooms":[{"chat":1,"room":"all","online":3,"last_seq":9}]}"#,
        ),
        (
            frame::Error { said, code: 404, ref_: 9, about: 65, retry_ms: 0 }.into(),
            r#"{"type":"ERROR","text":"東京 \"x\"","voice":"ff00","code":404,"ref":9,"about":65,"retry_ms":0}"#,
        ),
        (frame::Gone {}.into(), r#"{"type":"GONE"}"#),
    ];
    for (frame, json) in cases {
        assert_eq!(serde_json::to_string(frame).unwrap(), *json);
        assert_eq!(back(frame).parse(), Ok(frame.clone()));
    }
}

#[test]
fn numbers_that_javascript_does_not_hold_are_strings() {
    let json = |nonce| serde_json::to_value(Frame::from(To { nonce, ..To::default() })).unwrap();
    assert_eq!(json((1 << 53) - 1)["nonce"], (1u64 << 53) - 1);
    assert_eq!(json(1 << 53)["nonce"], "9007199254740992");
    assert_eq!(json(u64::MAX)["nonce"], "18446744073709551615");
    let presence = |last_seen| frame::Presence { last_seen, ..Default::default() };
    let json = serde_json::to_value(Frame::from(presence(i64::MIN))).unwrap();
    assert_eq!(json["last_seen"], "-9223372036854775808");
    for last_seen in [i64::MIN, -(1 << 53), -1, 0, i64::MAX] {
        assert_eq!(back(&presence(last_seen).into()).parse(), Ok(presence(last_seen).into()));
    }
    // Read, it may be either.
    for json in
        [r#"{"type":"TO","nonce":18446744073709551615}"#, r#"{"type":"TO","nonce":"18446744073709551615"}"#]
    {
        let read: RawFrame = serde_json::from_str(json).unwrap();
        assert_eq!(read.parse(), Ok(To { nonce: u64::MAX, ..To::default() }.into()));
    }
}

#[test]
fn fields_that_the_page_lets_be_left_out_may_be_and_their_order_is_free() {
    let read: RawFrame = serde_json::from_str(r#"{"room":"harbour","req":7,"type":"JOIN"}"#).unwrap();
    assert_eq!(read.parse(), Ok(Join { req: 7, room: "harbour", flags: 0 }.into()));
    let read: RawFrame =
        serde_json::from_str(r#"{"type":"ROOM_LIST","req":7,"rooms":[{},{"chat":9}]}"#).unwrap();
    let rooms = vec![RoomItem::default(), RoomItem { chat: 9, ..RoomItem::default() }];
    assert_eq!(read.parse(), Ok(RoomList { req: 7, more: 0, rooms }.into()));
}

#[test]
fn mistakes_are_told_by_frame_and_field() {
    let long = format!(r#"{{"type":"JOIN","req":7,"room":"{}"}}"#, "x".repeat(256));
    let cases: &[(&str, &str)] = &[
        ("[]", "a frame is a map of its fields"),
        (r#"{"req":7}"#, "a frame has a `type`"),
        (r#"{"type":"SHOUT"}"#, "there is no frame type SHOUT"),
        (r#"{"type":"JOIN","req":7}"#, "JOIN, field `room`: it is missing"),
        (r#"{"type":"JOIN","req":7,"room":"a","flag":1}"#, "JOIN, field `flag`: there is no such field"),
        (
            r#"{"type":"JOIN","req":7,"room":"a","req":8}"#,
            "JOIN, field `req`: there is no such field, or it is",
        ),
        (
            r#"{"type":"JOIN","req":4294967296,"room":"a"}"#,
            "JOIN, field `req`: 4294967296 is out of its range",
        ),
        (r#"{"type":"JOIN","req":-1,"room":"a"}"#, "JOIN, field `req`: -1 is out of its range"),
        (r#"{"type":"JOIN","req":"x","room":"a"}"#, "JOIN, field `req`: not a whole number"),
        (r#"{"type":"JOIN","req":1.5,"room":"a"}"#, "invalid type: floating point"),
        (r#"{"type":"JOIN","req":7,"room":7}"#, "JOIN, field `room`: not a string"),
        (&long, "JOIN, field `room`: longer than the 255 that it may be"),
        (r#"{"type":"VOICE","body":"abc"}"#, "VOICE, field `body`: not bytes in hex"),
        (r#"{"type":"VOICE","body":"é"}"#, "VOICE, field `body`: not bytes in hex"),
        (r#"{"type":"FETCH","req":1,"media":"00"}"#, "FETCH, field `media`: a digest is 32 bytes"),
        (r#"{"type":"ROOM_LIST","req":1,"rooms":7}"#, "ROOM_LIST, field `rooms`: not a list"),
        (r#"{"type":"ROOM_LIST","req":1,"rooms":[7]}"#, "ROOM_LIST, field `rooms`: an item is a map"),
        (r#"{"type":"ROOM_LIST","req":1,"rooms":[{"x":7}]}"#, "ROOM_LIST, field `x`: there is no such field"),
        (r#"{"type":"0x1ff","payload":""}"#, "`type` 0x1ff is no byte in hex"),
        (r#"{"type":"0x6e"}"#, "a frame by number has a `payload`"),
    ];
    for (json, problem) in cases {
        let error = serde_json::from_str::<RawFrame>(json).unwrap_err().to_string();
        assert!(error.starts_with(problem), "{json}: {error}");
    }
}

//! What cannot be written is refused, and leaves the buffer as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use bytes::BytesMut;
use chatwire_codec::frame::{self, Hello, Join, ReplyText, RoomItem, RoomList, Text, To};
use chatwire_codec::{Buffer, EncodeError, EncodeRule, FRAMES, Frame, Payload, Said, SliceBuffer};
use common::arbitrary::{any_frame, whole};
use proptest::prelude::*;

fn too_long(kind: u8, field: &'static str, limit: usize) -> Result<(), EncodeError> {
    Err(EncodeError { kind, field, rule: EncodeRule::FieldTooLong { limit } })
}

#[test]
fn a_field_longer_than_its_length_can_say_is_refused() {
    let long = "x".repeat(70_000);
    let long_room = vec![RoomItem { room: &long[..300], ..RoomItem::default() }];
    let cases: &[(Frame<'_>, &'static str, usize)] = &[
        (Join { room: &long[..256], ..Default::default() }.into(), "room", 255),
        (To { name: &long[..65_536], ..Default::default() }.into(), "name", 65_535),
        (Hello { secret: &long, ..Default::default() }.into(), "secret", 65_535),
        (RoomList { rooms: vec![RoomItem::default(); 65_536], ..Default::default() }.into(), "rooms", 65_535),
        (RoomList { rooms: long_room, ..Default::default() }.into(), "room", 255),
        (
            ReplyText {
                said: Said::text("ok"),
                attachments: vec![frame::Media { name: &long[..65_500], ..Default::default() }],
            }
            .into(),
            "attachments",
            65_535,
        ),
    ];
    for (frame, field, limit) in cases {
        let too_long = too_long(frame.kind(), field, *limit);
        let mut buffer = b"before".to_vec();
        assert_eq!(frame.encode(&mut buffer), too_long);
        assert_eq!(buffer, b"before");
        assert_eq!(frame.encode_head(&mut buffer).map(|_| ()), too_long);
        assert_eq!(buffer, b"before");
        let mut buffer = BytesMut::from(&b"before"[..]);
        assert_eq!(frame.encode(&mut buffer), too_long);
        assert_eq!(&buffer[..], b"before");
        assert_eq!(frame.encoded_len().map(|_| ()), too_long);
    }
}

#[test]
fn the_longest_field_is_written() {
    let long = "x".repeat(255);
    let mut buffer = Vec::new();
    Join { req: 1, room: &long, flags: 0 }.encode(&mut buffer).unwrap();
    assert_eq!(buffer.len(), 5 + 4 + 256 + 1);
}

#[test]
fn frames_are_written_one_behind_the_other() {
    let mut buffer = Vec::new();
    Text { text: "a" }.encode(&mut buffer).unwrap();
    Text { text: "bc" }.encode(&mut buffer).unwrap();
    assert_eq!(buffer, b"\0\0\0\0\x01a\0\0\0\0\x02bc");
}

#[test]
fn a_default_frame_is_written_with_every_field() {
    let mut buffer = Vec::new();
    Hello::default().encode(&mut buffer).unwrap();
    assert_eq!(buffer.len(), 5 + 1 + 1 + 1 + 1 + 2 + 1 + 4 + 1);
}

proptest! {
    #[test]
    fn every_buffer_holds_the_same(parts in any_frame()) {
        let bytes = whole(&parts);
        let frame = Frame::parse(parts.0.kind, &bytes[5..]).unwrap();
        let mut room = vec![0; bytes.len()];
        let mut slice = SliceBuffer::new(&mut room);
        frame.encode(&mut slice).unwrap();
        prop_assert_eq!(slice.written(), &bytes[..]);
        let mut shared = BytesMut::new();
        frame.encode(&mut shared).unwrap();
        prop_assert_eq!(&shared[..], &bytes[..]);
        prop_assert_eq!(frame.encoded_len(), Ok(bytes.len()));
    }

    #[test]
    fn a_head_and_its_tail_are_the_frame_and_the_tail_is_where_it_was(parts in any_frame()) {
        let bytes = whole(&parts);
        let frame = Frame::parse(parts.0.kind, &bytes[5..]).unwrap();
        let mut head = Vec::new();
        let tail = frame.encode_head(&mut head).unwrap();
        prop_assert_eq!(&[&head[..], tail].concat(), &bytes);
        let has_tail = parts.0.fields.last().is_some_and(|f| matches!(f.ty, "text" | "rest"));
        prop_assert_eq!(tail.len(), if has_tail { parts.1.last().unwrap().len() } else { 0 });
        prop_assert!(tail.is_empty() || bytes.as_ptr_range().contains(&tail.as_ptr()), "it was copied");
    }

    #[test]
    fn a_slice_that_is_too_small_is_full_and_holds_what_it_held(parts in any_frame(), small in 0..1000usize) {
        let bytes = whole(&parts);
        let frame = Frame::parse(parts.0.kind, &bytes[5..]).unwrap();
        let mut room = vec![0; 3 + small % bytes.len()];
        let mut slice = SliceBuffer::new(&mut room);
        slice.append(b"abc").unwrap();
        let error = frame.encode(&mut slice).unwrap_err();
        prop_assert_eq!((error.kind, error.rule), (parts.0.kind, EncodeRule::BufferFull));
        prop_assert!(error.field.is_empty() || names_a_field(&error));
        prop_assert_eq!(slice.written(), b"abc");
    }
}

fn names_a_field(error: &EncodeError) -> bool {
    let info = FRAMES.iter().find(|info| info.kind == error.kind).unwrap();
    let items = info.fields.iter().flat_map(|field| field.items);
    info.fields.iter().chain(items).any(|field| field.name == error.field)
}

#[test]
fn what_left_fields_out_may_be_too_long_with_them() {
    // An attachment that is as long as an item can be, without its last three fields.
    let name = "x".repeat(65_535 - (1 + 32 + 8 + 1 + 2));
    let mut item = vec![0; 1 + 32 + 8 + 1];
    item.extend_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
    item.extend_from_slice(name.as_bytes());
    let payload = [&[0; 8][..], &[0xFF, 0xFF], &item].concat();
    let frame = Frame::parse(frame::kind::REPLY_TEXT, &payload).unwrap();
    let error = too_long(frame::kind::REPLY_TEXT, "attachments", 65_535);
    assert_eq!(frame.encode(&mut Vec::new()), error);
}

#[test]
fn errors_say_what_to_do_about_them() {
    let full = EncodeError { kind: 0x40, field: "req", rule: EncodeRule::BufferFull };
    assert_eq!(full.to_string(), "JOIN, field `req`: the buffer is full");
    let long = too_long(0x40, "room", 255).unwrap_err().to_string();
    assert_eq!(long, "JOIN, field `room`: longer than the 255 that it may be");
    let frame = EncodeError { kind: 0x02, field: "", rule: EncodeRule::FrameTooLong };
    assert_eq!(frame.to_string(), "VIDEO: the payload is longer than 4 GiB - 1");
}

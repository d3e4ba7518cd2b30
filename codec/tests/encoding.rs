//! What cannot be written is refused, and leaves the buffer as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use bytes::BytesMut;
use chatwire_codec::frame::{self, Hello, Join, ReplyText, RoomItem, RoomList, Text, To};
use chatwire_codec::{Buffer, EncodeError, Frame, Payload, Said, SliceBuffer};
use common::arbitrary::{any_frame, whole};
use proptest::prelude::*;

fn too_long(limit: usize) -> Result<(), EncodeError> {
    Err(EncodeError::FieldTooLong { limit })
}

#[test]
fn a_field_longer_than_its_length_can_say_is_refused() {
    let long = "x".repeat(70_000);
    let cases: &[(Frame<'_>, usize)] = &[
        (Join { room: &long[..256], ..Default::default() }.into(), 255),
        (To { name: &long[..65_536], ..Default::default() }.into(), 65_535),
        (Hello { secret: &long, ..Default::default() }.into(), 65_535),
        (RoomList { rooms: vec![RoomItem::default(); 65_536], ..Default::default() }.into(), 65_535),
        (
            ReplyText {
                said: Said::text("ok"),
                attachments: vec![frame::Media { name: &long[..65_500], ..Default::default() }],
            }
            .into(),
            65_535,
        ),
    ];
    for (frame, limit) in cases {
        let mut buffer = b"before".to_vec();
        assert_eq!(frame.encode(&mut buffer), too_long(*limit));
        assert_eq!(buffer, b"before");
        let mut buffer = BytesMut::from(&b"before"[..]);
        assert_eq!(frame.encode(&mut buffer), too_long(*limit));
        assert_eq!(&buffer[..], b"before");
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
    }

    #[test]
    fn a_slice_that_is_too_small_is_full_and_holds_what_it_held(parts in any_frame(), small in 0..1000usize) {
        let bytes = whole(&parts);
        let frame = Frame::parse(parts.0.kind, &bytes[5..]).unwrap();
        let mut room = vec![0; 3 + small % bytes.len()];
        let mut slice = SliceBuffer::new(&mut room);
        slice.append(b"abc").unwrap();
        prop_assert_eq!(frame.encode(&mut slice), Err(EncodeError::BufferFull));
        prop_assert_eq!(slice.written(), b"abc");
    }
}

#[test]
fn errors_say_what_to_do_about_them() {
    assert_eq!(EncodeError::BufferFull.to_string(), "the buffer is full");
    assert_eq!(too_long(255).unwrap_err().to_string(), "a field is longer than the 255 that it may be");
}

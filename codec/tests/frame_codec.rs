//! tokio-util's side: whole frames, cut anywhere, refused before room is made for them.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use bytes::BytesMut;
use chatwire_codec::{
    DecodeError, EncodeError, EncodeRule, Frame, FrameCodec, RawFrame, Rule, frame::Join, frame::Text, header,
};
use common::vectors;
use std::io::ErrorKind;
use tokio_util::codec::{Decoder, Encoder};

#[test]
fn every_whole_vector_comes_out_however_it_is_cut() {
    for vector in vectors().iter().filter(|v| v.one("frame").is_some() || v.one("body").is_some()) {
        let bytes = vector.bytes();
        for at in 0..bytes.len() {
            let mut codec = FrameCodec::new(1024);
            let mut buffer = BytesMut::from(&bytes[..at]);
            assert_eq!(codec.decode(&mut buffer).unwrap(), None, "{} to {at}", vector.name());
            buffer.extend_from_slice(&bytes[at..]);
            let raw = codec.decode(&mut buffer).unwrap().unwrap();
            assert_eq!((raw.kind, &raw.payload[..]), (bytes[0], &bytes[5..]), "{}", vector.name());
            assert!(buffer.is_empty());
            assert_eq!(raw.parse(), Frame::parse(bytes[0], &bytes[5..]));
        }
    }
}

#[test]
fn what_is_encoded_is_decoded() {
    let mut codec = FrameCodec::new(1024);
    let mut buffer = BytesMut::new();
    codec.encode(Text { text: "a" }.into(), &mut buffer).unwrap();
    codec.encode(Join { req: 1, room: "r", flags: 0 }.into(), &mut buffer).unwrap();
    let raw = codec.decode(&mut buffer).unwrap().unwrap();
    assert_eq!(raw.parse(), Ok(Frame::Text(Text { text: "a" })));
    let raw = codec.decode(&mut buffer).unwrap().unwrap();
    assert_eq!(raw.parse(), Ok(Frame::Join(Join { req: 1, room: "r", flags: 0 })));
    assert_eq!(codec.decode(&mut buffer).unwrap(), None);
}

#[test]
fn a_payload_over_the_limit_is_refused_at_its_header() {
    let mut codec = FrameCodec::new(10);
    let mut buffer = BytesMut::from(&header(0, 10)[..]);
    assert_eq!(codec.decode(&mut buffer).unwrap(), None);
    let mut buffer = BytesMut::from(&header(0, 11)[..]);
    let error = codec.decode(&mut buffer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let error = error.get_ref().unwrap().downcast_ref::<DecodeError>().unwrap();
    assert_eq!(error.rule, Rule::OverLimit { limit: 10 });
    assert!(buffer.capacity() < 1000);
}

#[test]
fn a_type_that_is_not_known_comes_as_it_is() {
    let mut buffer = BytesMut::from(&b"\x6e\0\0\0\x01x"[..]);
    let raw = FrameCodec::new(10).decode(&mut buffer).unwrap().unwrap();
    assert_eq!(raw, RawFrame { kind: 0x6e, payload: b"x"[..].into() });
    assert_eq!(raw.parse().unwrap_err().rule, Rule::UnknownType);
}

#[test]
fn a_frame_that_cannot_be_written_leaves_the_buffer_as_it_was() {
    let mut buffer = BytesMut::from(&b"before"[..]);
    let long = "x".repeat(256);
    let error = FrameCodec::new(10).encode(Join { room: &long, ..Default::default() }.into(), &mut buffer);
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = error.get_ref().unwrap().downcast_ref::<EncodeError>();
    assert_eq!(
        error,
        Some(&EncodeError { kind: 0x40, field: "room", rule: EncodeRule::FieldTooLong { limit: 255 } })
    );
    assert_eq!(&buffer[..], b"before");
}

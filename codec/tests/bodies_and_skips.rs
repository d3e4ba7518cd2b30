//! Large bodies pass in pieces, and what is passed over leaves the stream where it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chatwire_codec::{Decoder, Event, Frame, Limits, SkipReason, frame::Text, frame::kind, header};
use common::after_hello;
use common::arbitrary::with_header;

const HI: &[u8] = b"\x00\x00\x00\x00\x02hi";

fn expect_hi(decoder: &mut Decoder) {
    let mut input = HI;
    assert_eq!(decoder.next(&mut input), Ok(Some(Event::Frame(Frame::Text(Text { text: "hi" })))));
    assert!(input.is_empty());
}

#[test]
fn a_body_begins_at_its_header() {
    for kind in [kind::VOICE, kind::VIDEO, kind::IMAGE, kind::FILE] {
        let mut decoder = after_hello(Limits::default());
        let header = header(kind, 1 << 30);
        let mut input = &header[..];
        assert_eq!(decoder.next(&mut input), Ok(Some(Event::BodyStart { kind, size: 1 << 30 })));
        assert!(decoder.inside_body());
        assert_eq!(decoder.next(&mut input), Ok(None));
    }
}

#[test]
fn a_body_is_all_its_bytes_as_they_come() {
    let mut decoder = Decoder::client(Limits::default());
    decoder.next(&mut &header(kind::VIDEO, 5)[..]).unwrap();
    assert_eq!(decoder.next(&mut &b"ab"[..]), Ok(Some(Event::BodyChunk(b"ab"))));
    let mut input = &b"cde\x00"[..];
    assert_eq!(decoder.next(&mut input), Ok(Some(Event::BodyChunk(b"cde"))));
    assert!(decoder.inside_body());
    assert_eq!(decoder.next(&mut input), Ok(Some(Event::BodyEnd)));
    assert!(!decoder.inside_body());
    assert_eq!(input, b"\x00", "what is behind the body is not the body's");
}

#[test]
fn an_empty_body_begins_and_ends() {
    let mut decoder = after_hello(Limits::default());
    let bytes = with_header(kind::FILE, b"");
    let mut input = &bytes[..];
    assert_eq!(decoder.next(&mut input), Ok(Some(Event::BodyStart { kind: kind::FILE, size: 0 })));
    assert_eq!(decoder.next(&mut input), Ok(Some(Event::BodyEnd)));
    assert_eq!(decoder.next(&mut input), Ok(None));
    expect_hi(&mut decoder);
}

#[test]
fn an_unknown_type_is_passed_over() {
    let mut decoder = after_hello(Limits::default());
    let bytes = [&with_header(0x45 | 0x20, &[0, 0, 1, 0, 9, 9, 9]), HI].concat();
    let mut input = &bytes[..];
    let reason = SkipReason::Unknown { req: 256 };
    assert_eq!(decoder.next(&mut input), Ok(Some(Event::Skipped { kind: 0x65, size: 7, reason })));
    assert!(decoder.inside_body());
    let Ok(Some(Event::Frame(Frame::Text(text)))) = decoder.next(&mut input) else { panic!("no text") };
    assert_eq!(text.text, "hi");
}

#[test]
fn an_unknown_type_waits_for_its_first_four_bytes_alone() {
    let mut decoder = after_hello(Limits::default());
    let bytes = with_header(0x6e, &[0, 0, 0, 7, 1, 2, 3]);
    for end in 0..9 {
        assert_eq!(decoder.next(&mut &bytes[..end]), Ok(None), "{end}");
    }
    let skipped = Event::Skipped { kind: 0x6e, size: 7, reason: SkipReason::Unknown { req: 7 } };
    assert_eq!(decoder.next(&mut &bytes[..9]), Ok(Some(skipped)));
}

#[test]
fn what_is_too_large_is_told_at_the_header_and_passed_over() {
    let mut decoder = after_hello(Limits { max_text: 10, max_media: 0 });
    let header = header(kind::TEXT, 100_000);
    let told = decoder.next(&mut &header[..]).unwrap();
    let reason = SkipReason::TooLarge { limit: 10 };
    assert_eq!(told, Some(Event::Skipped { kind: kind::TEXT, size: 100_000, reason }));
    for _ in 0..1000 {
        let mut input = &[0xEE; 100][..];
        assert!(decoder.inside_body());
        assert_eq!(decoder.next(&mut input), Ok(None));
        assert!(input.is_empty(), "skipped bytes are taken");
    }
    expect_hi(&mut decoder);
}

#[test]
fn an_unknown_frame_before_hello_is_the_end_and_not_passed_over() {
    let mut decoder = Decoder::server(Limits::default());
    assert!(decoder.next(&mut &with_header(0x7f, b"")[..]).is_err());
}

#[test]
fn what_was_passed_over_is_gone_when_the_frame_behind_it_is_malformed() {
    let mut decoder = after_hello(Limits::default());
    let bad = with_header(kind::JOIN, b"");
    let bytes = [&with_header(0x6e, b"123456"), &bad[..]].concat();
    let mut input = &bytes[..];
    assert!(matches!(decoder.next(&mut input), Ok(Some(Event::Skipped { .. }))));
    let error = decoder.next(&mut input).unwrap_err();
    assert_eq!((error.kind, error.field), (kind::JOIN, "req"));
    assert_eq!(input, bad, "the frame at fault is at the front");
    assert_eq!(decoder.next(&mut input), Err(error));
}

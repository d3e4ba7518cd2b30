//! No bytes from anybody make the decoder panic, stand still, or ask for more than it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chatwire_codec::{Decoder, Event, FRAMES, Frame, HEADER_LEN, Limits, header};
use common::after_hello;
use common::arbitrary::{any_frame, whole};
use proptest::collection::vec;
use proptest::prelude::*;

fn decoders(limits: Limits) -> [Decoder; 3] {
    [Decoder::server(limits), after_hello(limits), Decoder::client(limits)]
}

/// Takes events to the end, and checks that each takes bytes, or is one of those that may take none.
fn run(mut decoder: Decoder, mut input: &[u8]) {
    let needs = decoder.needs();
    loop {
        let before = input.len();
        match decoder.next(&mut input) {
            Ok(Some(Event::BodyEnd)) => {}
            Ok(Some(Event::BodyChunk(chunk))) => assert!(!chunk.is_empty() && input.len() < before),
            Ok(Some(_)) => assert!(before - input.len() >= HEADER_LEN),
            Ok(None) => return assert!(input.len() < needs, "{} bytes are not enough", input.len()),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return assert_eq!(decoder.next(&mut input), Err(error), "an error stays");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn random_bytes_are_events_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        for decoder in decoders(Limits::default()) {
            run(decoder, &bytes);
        }
    }

    #[test]
    fn random_payloads_of_known_types_are_a_frame_or_an_error(
        i in 0..FRAMES.len(),
        payload in vec(any::<u8>(), 0..120),
        behind in vec(any::<u8>(), 0..20),
    ) {
        let size = u32::try_from(payload.len()).unwrap();
        let bytes = [&header(FRAMES[i].kind, size)[..], &payload, &behind].concat();
        for decoder in decoders(Limits { max_text: 100, max_media: 90 }) {
            run(decoder, &bytes);
        }
    }

    #[test]
    fn a_frame_with_a_few_bytes_changed_is_a_frame_or_an_error(
        parts in any_frame(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = whole(&parts);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for decoder in decoders(Limits::default()) {
            run(decoder, &bytes);
        }
    }

    #[test]
    fn what_could_be_read_can_be_written_and_read_again(
        i in 0..FRAMES.len(),
        payload in vec(any::<u8>(), 0..120),
    ) {
        if let Ok(frame) = Frame::parse(FRAMES[i].kind, &payload) {
            let mut written = Vec::new();
            frame.encode(&mut written).unwrap();
            prop_assert_eq!(Frame::parse(frame.kind(), &written[HEADER_LEN..]), Ok(frame.clone()));
        }
    }
}

#[test]
fn a_count_without_items_makes_no_room_for_them() {
    // 65,535 items of a promised list, and two bytes: refused before anything is allocated for the count.
    let error = Frame::parse(0xC2, &[0, 0, 0, 1, 0, 0xFF, 0xFF, 0, 0]).unwrap_err();
    assert_eq!((error.field, error.offset), ("rooms", 5));
}

//! Each limit of section 1.6: at it, one over it, 16 MiB over it, and one more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chatwire_codec::frame::{Hello, Presence, Typing, kind};
use chatwire_codec::{Code, Decoder, Event, FRAMES, Limits, Payload, Rule, SkipReason, header};
use common::after_hello;

const LIMITS: Limits = Limits { max_text: 1000, max_media: 2000 };
const FAR: u32 = 16 * 1024 * 1024;

/// What becomes of a header one over the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Over {
    Skipped,
    Malformed,
}
use Over::{Malformed, Skipped};

const TO_SERVER: &[(&[u8], u32, Over)] = &[
    (&[kind::TEXT], LIMITS.max_text, Skipped),
    (&[kind::VOICE, kind::VIDEO, kind::IMAGE, kind::FILE], LIMITS.max_media, Skipped),
    (&[kind::MEDIA], 4096, Skipped),
    (&[kind::TO], 4096, Malformed),
    (&[kind::HELLO], 2048, Malformed),
    (&[kind::PING, kind::PONG], 64, Malformed),
    (&[kind::BYE], 1024, Malformed),
    (&[kind::CHUNK], 12 + 65_536, Malformed),
    (&[kind::JOIN, kind::LEAVE, kind::ROOMS, kind::PARTICIPANTS, kind::CHATS, kind::CREATE], 4096, Malformed),
    (&[kind::INVITE, kind::REMOVE, kind::HISTORY, kind::SEARCH, kind::SYNC, kind::READ], 4096, Malformed),
    (&[kind::DELETE, kind::UPLOAD, kind::FETCH, kind::CANCEL], 4096, Malformed),
    (&[kind::TYPING, kind::PRESENCE], 4096, Malformed),
    (
        &[kind::GONE, kind::WELCOME, kind::STATUS, kind::ERROR, kind::JOINED, 0x06, 0x6e, 0x55, 0xFF],
        1 << 20,
        Skipped,
    ),
];

const TO_CLIENT: &[(&[u8], u32, Over)] = &[
    (&[kind::TEXT], LIMITS.max_text, Skipped),
    (&[kind::VOICE, kind::VIDEO, kind::IMAGE, kind::FILE], 1 << 20, Skipped),
    (&[kind::REPLY_TEXT, kind::REPLY_VOICE, kind::REPLY_IMAGE], 1 << 20, Skipped),
    (&[kind::CHUNK], 12 + 65_536, Malformed),
    (&[kind::MEDIA, kind::GONE], 65_536, Skipped),
    (
        &[kind::ERROR, kind::WELCOME, kind::PING, kind::PONG, kind::BYE, kind::FROM, kind::STATUS],
        65_536,
        Malformed,
    ),
    (&[kind::TYPING, kind::PRESENCE, kind::MEMBER, kind::SEEN, kind::JOINED, kind::LEFT], 65_536, Malformed),
    (&[kind::ROOM_LIST, kind::PARTICIPANT_LIST, kind::CHAT_LIST, kind::CREATED], 65_536, Malformed),
    (&[kind::INVITED, kind::REMOVED, kind::HISTORY_PAGE, kind::SYNCED, kind::READ_UP_TO], 65_536, Malformed),
    (&[kind::SEARCH_PAGE, kind::DELETED, kind::MESSAGE_GONE], 65_536, Malformed),
    (
        &[kind::UPLOAD_READY, kind::STORED, kind::FETCH_READY, kind::CANCELLED, kind::RECEIVED],
        65_536,
        Malformed,
    ),
    (&[kind::HELLO, kind::TO, kind::JOIN, 0x06, 0x6e, 0xFF], 65_536, Skipped),
];

fn check(table: &[(&[u8], u32, Over)], decoder: impl Fn() -> Decoder) {
    for &(kinds, limit, over) in table {
        for &kind in kinds {
            let next = |size| {
                let header = header(kind, size);
                let mut input = &header[..];
                let outcome = decoder().next(&mut input).map(|event| match event {
                    Some(Event::Skipped { reason: SkipReason::TooLarge { limit }, .. }) => Some(limit),
                    _ => None,
                });
                outcome.map_err(|error| (error.code(), error.rule))
            };
            assert_eq!(next(limit), Ok(None), "{kind:#04x} at its limit");
            let one_over = match over {
                Skipped => Ok(Some(limit.into())),
                Malformed => Err((Code::Malformed, Rule::OverLimit { limit: limit.into() })),
            };
            assert_eq!(next(limit + 1), one_over, "{kind:#04x} one over");
            assert_eq!(next(limit + FAR), one_over, "{kind:#04x} 16 MiB over");
            let far = Err((Code::TooLarge, Rule::FarOverLimit { limit: limit.into() }));
            assert_eq!(next(limit + FAR + 1), far, "{kind:#04x} further over");
            assert_eq!(next(u32::MAX), far, "{kind:#04x} as far as can be");
        }
    }
}

#[test]
fn to_a_server() {
    check(TO_SERVER, || after_hello(LIMITS));
}

#[test]
fn to_a_client() {
    check(TO_CLIENT, || Decoder::client(LIMITS));
}

#[test]
fn every_frame_has_a_limit_here() {
    for info in FRAMES {
        let listed = |table: &[(&[u8], u32, Over)]| table.iter().any(|row| row.0.contains(&info.kind));
        assert!(listed(TO_SERVER) || listed(TO_CLIENT), "{}", info.name);
    }
}

#[test]
fn of_the_first_frame_2048_whatever_it_is() {
    for kind in 0..=u8::MAX {
        let next = |size| {
            let header = header(kind, size);
            Decoder::server(LIMITS).next(&mut &header[..]).map(|e| e.is_some()).map_err(|e| e.code())
        };
        let (at, over) = match kind {
            kind::HELLO => (Ok(false), Err(Code::Malformed)),
            _ => (Err(Code::HelloExpected), Err(Code::HelloExpected)),
        };
        assert_eq!(next(2048), at, "{kind:#04x}");
        assert_eq!(next(2049), over, "{kind:#04x}");
        assert_eq!(next(2048 + FAR), over, "{kind:#04x}");
        assert_eq!(next(2048 + FAR + 1), Err(Code::TooLarge), "{kind:#04x}");
    }
}

#[test]
fn limits_can_be_set_when_welcome_tells_them() {
    let mut decoder = Decoder::client(LIMITS);
    decoder.set_limits(Limits { max_text: 5, ..LIMITS });
    let header = header(kind::TEXT, 6);
    let event = decoder.next(&mut &header[..]).unwrap();
    let reason = SkipReason::TooLarge { limit: 5 };
    assert_eq!(event, Some(Event::Skipped { kind: kind::TEXT, size: 6, reason }));
}

#[test]
fn a_text_limit_may_be_larger_than_all_others() {
    let limits = Limits { max_text: 3 << 20, max_media: 0 };
    for decoder in [after_hello(limits), Decoder::client(limits)] {
        assert_eq!(decoder.needs(), 5 + (3 << 20));
    }
}

#[test]
fn to_is_followed_by_content_and_by_nothing_else() {
    let after_to = |kind: u8| {
        let mut decoder = after_hello(LIMITS);
        let to = [&header(kind::TO, 8)[..], &[0; 8], &header(kind, 4), &[0; 4]].concat();
        let mut input = &to[..];
        decoder.next(&mut input).unwrap();
        decoder.next(&mut input).map(|event| event.is_some())
    };
    for kind in 0..=u8::MAX {
        let rule = after_to(kind).map_err(|error| (error.kind, error.rule, error.code()));
        if kind == kind::MEDIA {
            assert_eq!(rule, Err((kind, Rule::EndsInside, Code::Malformed)), "its own fault");
        } else if kind <= kind::GONE {
            assert_eq!(rule, Ok(true), "{kind:#04x}");
        } else {
            assert_eq!(rule, Err((kind, Rule::ContentExpected, Code::Malformed)), "{kind:#04x}");
        }
    }
}

#[test]
fn one_to_is_for_one_content() {
    let mut decoder = after_hello(LIMITS);
    let to = [&header(kind::TO, 8)[..], &[0; 8]].concat();
    for content in
        [&header(kind::TEXT, 1)[..], &header(kind::FILE, 1), &header(kind::TEXT, 5000), &header(9, 1)]
    {
        let size = u32::from_be_bytes(content[1..].try_into().unwrap()) as usize;
        let bytes = [&to[..], content, &vec![b'a'; size], &header(kind::PING, 0)].concat();
        let mut input = &bytes[..];
        while decoder.next(&mut input).unwrap().is_some() {}
        assert!(input.is_empty());
    }
}

#[test]
fn what_a_client_sends_behind_its_own_fields_of_an_event_is_ignored() {
    let mut bytes = Vec::new();
    Hello { version: 1, timezone: "UTC", ..Hello::default() }.encode(&mut bytes).unwrap();
    // TYPING has two fields of a client's, PRESENCE one; what stands behind them is no field of the server's.
    bytes.extend_from_slice(b"\x70\0\0\0\x0b\0\0\0\0\0\0\0\x07\x01\xff\xff");
    bytes.extend_from_slice(b"\x71\0\0\0\x03\x02\xff\xff");
    let mut decoder = Decoder::server(Limits::default());
    let mut input = &bytes[..];
    decoder.next(&mut input).unwrap();
    let typing = Typing { chat: 7, on: 1, ..Typing::default() };
    assert_eq!(decoder.next(&mut input), Ok(Some(Event::Frame(typing.into()))));
    let presence = Presence { presence: 2, ..Presence::default() };
    assert_eq!(decoder.next(&mut input), Ok(Some(Event::Frame(presence.into()))));
    assert!(input.is_empty());
}

//! What the dump says of bytes, against what the decoder makes of the same bytes.

#![cfg(feature = "dump")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chatwire_codec::dump::{Item, Printer, Sender, Style, Tracer, Trouble, What, annotate, parts};
use chatwire_codec::{FRAMES, Frame, Limits, Rule, SkipReason, frame};
use common::{Vector, error_line, hex, render, vectors};
use proptest::prelude::*;

#[test]
fn every_vector_is_shown_for_what_it_is() {
    for vector in &vectors() {
        let name = vector.name();
        let troubles = troubles(vector);
        if let Some(error) = vector.one("error") {
            assert!(
                matches!(&troubles[..], [Trouble::Wrong(e)] if error_line(e) == error),
                "{name}: {troubles:?}"
            );
        } else if let Some(skip) = vector.one("skip") {
            let too_large = matches!(troubles[0], Trouble::Skipped(SkipReason::TooLarge { .. }));
            assert_eq!(skip.starts_with("too_large"), too_large, "{name}: {troubles:?}");
        } else {
            assert_eq!(troubles, [], "{name}");
        }
    }
}

#[test]
fn every_field_of_every_vector_has_its_value_and_its_bytes() {
    for vector in vectors().iter().filter(|v| v.one("frame").is_some()) {
        let bytes = vector.bytes();
        let payload = &bytes[5..];
        let frame = Frame::parse(bytes[0], payload).unwrap();
        let (found, covered) = values(bytes[0], payload);
        let expected = render(&frame.fields());
        for line in &found {
            assert!(expected.contains(line), "{}: {line} is not in {expected:#?}", vector.name());
        }
        assert_eq!(covered, payload, "{}", vector.name());
        let left_out = expected.iter().filter(|line| !found.contains(line));
        for line in left_out {
            let is_empty = [" 0", " \"\"", " x"].iter().any(|end| line.ends_with(end));
            // Attachments have no count of their own: their items are shown.
            let is_uncounted = line.starts_with("attachments ");
            assert!(is_empty || is_uncounted || line.ends_with(&hex(&[0; 32])), "{}: {line}", vector.name());
        }
    }
}

#[test]
fn the_bytes_may_come_in_any_pieces() {
    let bytes: Vec<u8> = vectors()
        .iter()
        .filter(|v| v.one("to") == Some("client") && is_fine(v))
        .flat_map(Vector::bytes)
        .collect();
    let whole = annotate(Sender::Server, &bytes);
    for size in [1, 2, 3, 7, 1000] {
        assert_eq!(shown(Sender::Server, bytes.chunks(size)), whole, "in pieces of {size}");
    }
}

#[test]
fn a_frame_is_told_as_soon_as_its_last_byte_is_there() {
    let bytes = b"\x22\0\0\0\x01x\x24\0\0\0\x02\0\0";
    let mut tracer = Tracer::new(Sender::Server, Limits::default());
    let mut told_after = Vec::new();
    for (i, byte) in bytes.iter().enumerate() {
        tracer.feed(&[*byte], &mut |_| told_after.push(i + 1));
    }
    assert_eq!(told_after, [6, 13]);
}

#[test]
fn an_error_is_shown_where_it_is_and_the_next_frame_is_found() {
    let bytes = b"\x20\0\0\0\x03\x01\x09U\x22\0\0\0\x02hi";
    assert_eq!(
        annotate(Sender::Client, bytes),
        "\
00000000  20 00 00 00 03                       HELLO, 3 bytes (section 5.2)
00000005  01                                     version 1
00000006  09 55                                  timezone ?
                                               !! malformed: HELLO, field `timezone` at byte 1: the payload ends inside it
00000008  22 00 00 00 02                       PING, 2 bytes (section 5.5)
0000000d  68 69                                  bytes, 2 bytes
"
    );
}

#[test]
fn a_stream_without_hello_is_read_all_the_same() {
    let shown = annotate(Sender::Client, b"\0\0\0\0\x02hi\0\0\0\0\x02ho");
    assert_eq!(shown.matches("HELLO must come first").count(), 1, "{shown}");
    assert!(shown.contains("text \"hi\"") && shown.contains("text \"ho\""), "{shown}");
}

#[test]
fn what_stands_behind_a_size_that_nobody_believes_is_not_taken_for_frames() {
    let shown = annotate(Sender::Client, b"GET / HTTP/1.1\r\n\r\n\0\0\0\0\x02hi");
    assert!(shown.contains("where the next frame begins cannot be told"), "{shown}");
    assert!(!shown.contains("TEXT"), "{shown}");
}

#[test]
fn a_large_body_is_shortened_with_a_count_and_never_kept() {
    let mut tracer = Tracer::midway(Sender::Client, Limits::default());
    let mut printer = Printer::new(Style::default());
    let mut shown = String::new();
    let mut pieces = vec![b"\x02\x00\x98\x96\x80".to_vec()];
    pieces.extend(vec![vec![7; 10_000]; 1000]);
    for piece in &pieces {
        tracer.feed(piece, &mut |item| printer.print(&item, &mut shown).unwrap());
    }
    assert!(shown.contains("VIDEO, 10,000,000 bytes (section 2)"), "{shown}");
    assert!(shown.contains("so far"), "{shown}");
    assert!(shown.lines().count() < 15, "{shown}");
    tracer.finish(&mut |item| printer.print(&item, &mut shown).unwrap());
    assert!(!shown.contains("short"), "{shown}");
    tracer.feed(b"\x22\0\0\0\0", &mut |item| printer.print(&item, &mut shown).unwrap());
    assert!(shown.contains("… and 9,999,952 bytes more\n00989685"), "{shown}");
}

#[test]
fn a_stream_that_is_cut_says_what_is_missing() {
    assert!(annotate(Sender::Server, b"\x24\0\0").contains("the stream ends here, 2 bytes short"));
    let shown = annotate(Sender::Server, b"\x24\0\0\0\x04\0\x01\0");
    assert!(shown.contains("code 1") && shown.contains("reason ?"), "{shown}");
    assert!(shown.contains("the stream ends here, 1 byte short"), "{shown}");
    let shown = annotate(Sender::Server, b"\x04\0\0\0\x04ab");
    assert!(shown.contains("61 62") && shown.contains("the stream ends here, 2 bytes short"), "{shown}");
}

#[test]
fn the_limits_of_welcome_hold_from_there_on() {
    let mut bytes = Vec::new();
    let welcome = frame::Welcome { version: 1, max_text: 100_000, ..Default::default() };
    Frame::from(welcome).encode(&mut bytes).unwrap();
    Frame::from(frame::Text { text: &"x".repeat(90_000) }).encode(&mut bytes).unwrap();
    assert!(!annotate(Sender::Server, &bytes).contains("!!"));
}

#[test]
fn text_of_strangers_cannot_command_a_terminal() {
    let shown = annotate(Sender::Server, "\0\0\0\0\x07\x1b[2J\u{202e}".as_bytes());
    assert!(shown.contains("\\u{1b}[2J\\u{202e}"), "{shown}");
}

proptest! {
    #[test]
    fn parts_agree_with_the_decoder_about_any_payload(
        which in 0..FRAMES.len(),
        payload in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..80),
    ) {
        let kind = FRAMES[which].kind;
        let (found, covered) = values(kind, &payload);
        prop_assert_eq!(&covered, &payload);
        match Frame::parse(kind, &payload) {
            Ok(frame) => {
                let expected = render(&frame.fields());
                prop_assert!(found.iter().all(|line| expected.contains(line)), "{found:?} {expected:?}");
            }
            Err(error) => {
                let (path, rule) = broken(kind, &payload).expect("a broken part");
                prop_assert_eq!(rule, error.rule);
                let field = path.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
                prop_assert_eq!(field.rsplit('.').next().unwrap(), error.field);
            }
        }
    }

    #[test]
    fn any_bytes_in_any_pieces_are_shown_alike(
        bytes in prop::collection::vec(prop_oneof![0_u8..8, any::<u8>()], 0..200),
        size in 1_usize..40,
        from_client in any::<bool>(),
    ) {
        let sender = if from_client { Sender::Client } else { Sender::Server };
        prop_assert_eq!(shown(sender, bytes.chunks(size)), annotate(sender, &bytes));
    }
}

fn is_fine(vector: &Vector) -> bool {
    vector.one("error").is_none() && !vector.one("skip").is_some_and(|skip| skip.starts_with("too_large"))
}

fn shown<'a>(sender: Sender, pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let (mut tracer, mut printer) = (Tracer::new(sender, Limits::default()), Printer::new(Style::default()));
    let mut shown = String::new();
    let mut show = |item: Item<'_>| printer.print(&item, &mut shown).unwrap();
    for piece in pieces {
        tracer.feed(piece, &mut show);
    }
    tracer.finish(&mut show);
    shown
}

/// What a tracer finds wrong with a vector, where the vector stands.
fn troubles(vector: &Vector) -> Vec<Trouble> {
    let sender = if vector.one("to") == Some("client") { Sender::Server } else { Sender::Client };
    let mut tracer = match vector.is_first() {
        true => Tracer::new(sender, Limits::default()),
        false => Tracer::midway(sender, Limits::default()),
    };
    if vector.one("behind") == Some("to") {
        tracer.feed(b"\x30\0\0\0\0", &mut |_| {});
    }
    let mut troubles = Vec::new();
    tracer.feed(&vector.bytes(), &mut |item| match item {
        Item::Frame { trouble, .. } | Item::Start { trouble, .. } => troubles.extend(trouble),
        _ => {}
    });
    // Where the header alone is the vector, the payload is missing; what the header said was said.
    tracer.finish(&mut |item| match item {
        Item::Frame { trouble, .. } if vector.one("error").is_some() && troubles.is_empty() => {
            troubles.extend(trouble);
        }
        _ => {}
    });
    troubles
}

/// The values of a payload in the notation of the vectors, and all of its parts' bytes, joined.
fn values(kind: u8, payload: &[u8]) -> (Vec<String>, Vec<u8>) {
    let (mut lines, mut covered) = (Vec::new(), Vec::new());
    parts(frame::info(kind).unwrap().fields, payload, true, &mut |part| {
        assert_eq!(part.offset, covered.len());
        covered.extend_from_slice(part.bytes);
        match &part.what {
            What::Value(_) if part.path.ends_with("_size") && part.ty == "u32" => {}
            What::Value(value) => {
                lines.push(render(&[("", value.clone())])[0].replacen(' ', &format!("{} ", part.path), 1));
            }
            _ => {}
        }
    });
    (lines, covered)
}

fn broken(kind: u8, payload: &[u8]) -> Option<(String, Rule)> {
    let mut found = None;
    parts(frame::info(kind).unwrap().fields, payload, true, &mut |part| {
        if let What::Broken(rule) = part.what {
            found = Some((part.path.to_string(), rule));
        }
    });
    found
}

#[test]
fn a_value_is_shown_with_what_it_stands_for() {
    let error = b"\x13\0\0\0\x17\0\0\0\0\0\0\0\0\x01\x94\0\0\0\0\0\0\0\x07\x41\0\0\0\0";
    let shown = annotate(Sender::Server, error);
    for text in ["code 404 (not_found)", "about 65 (LEAVE)", "ref 7"] {
        assert!(shown.contains(text), "{text} is not in\n{shown}");
    }
}

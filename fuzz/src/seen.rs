//! Events that own what they say, so that those of two decoders can be compared.

use chatwire_codec::{DecodeError, Decoder, Event, Frame, HEADER_LEN, SkipReason};

/// An event; the chunks of a body are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A frame, written again.
    Frame(Vec<u8>),
    Start(u8, u32),
    Bytes(Vec<u8>),
    End,
    Skipped(u8, u32, SkipReason),
}

impl Seen {
    /// Adds an event to those that were seen before.
    pub(crate) fn add(event: Event<'_>, seen: &mut Vec<Seen>) {
        let event = match event {
            Event::Frame(frame) => Seen::Frame(written_again(&frame)),
            Event::BodyStart { kind, size } => Seen::Start(kind, size),
            Event::BodyChunk(bytes) => {
                assert!(!bytes.is_empty(), "a chunk is never empty");
                if let Some(Seen::Bytes(before)) = seen.last_mut() {
                    return before.extend_from_slice(bytes);
                }
                Seen::Bytes(bytes.to_vec())
            }
            Event::BodyEnd => Seen::End,
            Event::Skipped { kind, size, reason } => Seen::Skipped(kind, size, reason),
        };
        seen.push(event);
    }
}

/// A frame's bytes, which mean the same frame, and which are written the same once more.
fn written_again(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes).expect("what was read can be written");
    let again = Frame::parse(bytes[0], &bytes[HEADER_LEN..]).expect("what was written can be read");
    assert_eq!(&again, frame);
    assert_eq!(
        bytes.len() - HEADER_LEN,
        u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize
    );
    bytes
}

/// What a stream gave: the events, how much is left, and the error that ended it, if one did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fed {
    pub(crate) seen: Vec<Seen>,
    pub(crate) left: Vec<u8>,
    pub(crate) error: Option<DecodeError>,
}

/// Feeds the pieces one behind the other, as a connection does.
pub(crate) fn feed<'a>(mut decoder: Decoder, pieces: impl Iterator<Item = &'a [u8]>) -> Fed {
    let mut fed = Fed { seen: Vec::new(), left: Vec::new(), error: None };
    for piece in pieces {
        fed.left.extend_from_slice(piece);
        if fed.error.is_some() {
            continue;
        }
        let mut input = &fed.left[..];
        loop {
            match decoder.next(&mut input) {
                Ok(Some(event)) => Seen::add(event, &mut fed.seen),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next(&mut input), Err(error), "an error stays");
                    fed.error = Some(error);
                    break;
                }
            }
        }
        assert!(fed.error.is_some() || input.len() < decoder.needs(), "enough was offered");
        fed.left = input.to_vec();
    }
    fed
}

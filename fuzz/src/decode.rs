//! Any bytes: they are events or an error, and what can be read can be written and means the same then.
//!
//! The first byte says where in a stream the others stand. The frames that are not looked into must be those
//! that are read.

use crate::decoder;
use crate::seen::{Seen, feed};
use chatwire_codec::{DecodeError, Event};

/// See the module.
pub fn run(data: &[u8]) {
    let Some((&place, bytes)) = data.split_first() else { return };
    let fed = feed(decoder(place), std::iter::once(bytes));
    let (unread, error) = unread(place, bytes);
    assert_eq!(unread[..fed.seen.len()], fed.seen);
    match fed.error {
        // A field is wrong, which who looks at none does not see.
        Some(error) if !error.field.is_empty() => assert!(!error.to_string().is_empty()),
        expected => assert_eq!(error, expected),
    }
}

/// What a decoder that looks at no field sees, read behind it.
fn unread(place: u8, mut input: &[u8]) -> (Vec<Seen>, Option<DecodeError>) {
    let (mut decoder, mut seen) = (decoder(place), Vec::new());
    loop {
        let event = match decoder.next_ref(&mut input) {
            Ok(Some(event)) => event,
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        };
        let event = match event {
            Event::Frame(frame) => match frame.parse() {
                Ok(frame) => Event::Frame(frame),
                Err(error) => {
                    assert!(!error.field.is_empty());
                    return (seen, Some(error));
                }
            },
            Event::BodyStart { kind, size } => Event::BodyStart { kind, size },
            Event::BodyChunk(bytes) => Event::BodyChunk(bytes),
            Event::BodyEnd => Event::BodyEnd,
            Event::Skipped { kind, size, reason } => Event::Skipped { kind, size, reason },
        };
        Seen::add(event, &mut seen);
    }
}

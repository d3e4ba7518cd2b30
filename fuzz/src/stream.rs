//! A stream of frames, whole, cut, changed and made up: however it is cut, the events are the same.

use crate::decoder;
use crate::seen::feed;
use arbitrary::{Arbitrary, Unstructured};
use chatwire_codec::{Frame, header};

/// What a stream is made of.
#[derive(Debug, Arbitrary)]
enum Part<'a> {
    /// A frame as it should be.
    Frame(Frame<'a>),
    /// A frame of this type with these bytes.
    Made(u8, &'a [u8]),
    /// A header that may promise what does not come.
    Header(u8, u16),
    /// Anything.
    Bytes(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
struct Case<'a> {
    place: u8,
    /// The sizes of the pieces, again and again.
    sizes: Vec<u8>,
    parts: Vec<Part<'a>>,
}

/// See the module.
pub fn run(data: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut stream = Vec::new();
    for part in &case.parts {
        match part {
            Part::Frame(frame) => frame.encode(&mut stream).expect("it can be written"),
            Part::Made(kind, payload) => {
                stream.extend_from_slice(&header(*kind, u32::try_from(payload.len()).unwrap_or(u32::MAX)));
                stream.extend_from_slice(payload);
            }
            Part::Header(kind, size) => stream.extend_from_slice(&header(*kind, (*size).into())),
            Part::Bytes(bytes) => stream.extend_from_slice(bytes),
        }
    }
    let whole = feed(decoder(case.place), std::iter::once(&stream[..]));
    let cut = feed(decoder(case.place), pieces(&stream, &case.sizes));
    assert_eq!(cut, whole);
    if stream.len() < 200 {
        assert_eq!(feed(decoder(case.place), stream.chunks(1)), whole);
    }
}

fn pieces<'s>(stream: &'s [u8], sizes: &'s [u8]) -> impl Iterator<Item = &'s [u8]> {
    let mut rest = Some(stream);
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let all = rest?;
        let size = sizes.next().map_or(all.len(), |size| usize::from(*size) + 1);
        let (piece, behind) = all.split_at(size.min(all.len()));
        rest = (!behind.is_empty()).then_some(behind);
        Some(piece)
    })
}

//! Payloads of every frame, made from the frame table alone, field by field.

use chatwire_codec::{FRAMES, FieldInfo, FrameInfo, header};
use proptest::collection::vec;
use proptest::prelude::*;

/// A frame of the table and the bytes of each of its fields.
pub(crate) type Parts = (&'static FrameInfo, Vec<Vec<u8>>);

pub(crate) fn any_frame() -> impl Strategy<Value = Parts> {
    (0..FRAMES.len()).prop_flat_map(|i| (Just(&FRAMES[i]), fields(FRAMES[i].fields)))
}

pub(crate) fn whole((info, fields): &Parts) -> Vec<u8> {
    with_header(info.kind, &fields.concat())
}

pub(crate) fn with_header(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap();
    [&header(kind, size)[..], payload].concat()
}

fn fields(fields: &'static [FieldInfo]) -> BoxedStrategy<Vec<Vec<u8>>> {
    fields.iter().map(field).collect::<Vec<_>>().boxed()
}

fn field(info: &'static FieldInfo) -> BoxedStrategy<Vec<u8>> {
    match info.ty {
        "u8" => vec(any::<u8>(), 1).boxed(),
        "u16" => vec(any::<u8>(), 2).boxed(),
        "u32" => vec(any::<u8>(), 4).boxed(),
        "u64" | "i64" => vec(any::<u8>(), 8).boxed(),
        "id32" => vec(any::<u8>(), 32).boxed(),
        "str8" => ".{0,40}".prop_map(|s| counted(&u8::try_from(s.len()).unwrap().to_be_bytes(), &s)).boxed(),
        "str16" => {
            ".{0,90}".prop_map(|s| counted(&u16::try_from(s.len()).unwrap().to_be_bytes(), &s)).boxed()
        }
        "text" => ".{0,90}".prop_map(String::into_bytes).boxed(),
        "rest" => vec(any::<u8>(), 0..90).boxed(),
        "said" => (".{0,40}", vec(any::<u8>(), 0..40)).prop_map(|(text, voice)| said(&text, &voice)).boxed(),
        list => items(info.items, list.starts_with("list")),
    }
}

fn items(item: &'static [FieldInfo], counted: bool) -> BoxedStrategy<Vec<u8>> {
    let item = fields(item).prop_map(|fields| {
        let payload = fields.concat();
        [&u16::try_from(payload.len()).unwrap().to_be_bytes()[..], &payload].concat()
    });
    vec(item, 0..4)
        .prop_map(move |items| match counted {
            true => [&u16::try_from(items.len()).unwrap().to_be_bytes()[..], &items.concat()].concat(),
            false => items.concat(),
        })
        .boxed()
}

fn counted(length: &[u8], s: &str) -> Vec<u8> {
    [length, s.as_bytes()].concat()
}

fn said(text: &str, voice: &[u8]) -> Vec<u8> {
    let size = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    [&size(text.len())[..], &size(voice.len()), text.as_bytes(), voice].concat()
}

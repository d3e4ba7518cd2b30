//! `wire explain`: one frame with the meaning of every field, or what a frame of that name or number consists of.

use crate::cli::Explain;
use crate::dump::sender_of;
use crate::error::Error;
use crate::language::unhex;
use chatwire_codec::dump::{Item, Printer, Style, Tracer};
use chatwire_codec::frame::info;
use chatwire_codec::{Direction, FRAMES, FieldInfo, FrameInfo, Limits};
use std::fmt::Write as _;
use std::io::Write;

pub(crate) fn run(wish: &Explain) -> Result<(), Error> {
    let text = wish.frame.join(" ");
    let named = FRAMES.iter().find(|info| info.name.eq_ignore_ascii_case(text.trim()));
    let shown = match named {
        Some(info) => described(info),
        None => match unhex(&text).map_err(|error| no_frame(&text, &error))?[..] {
            // One byte is no frame, so it is a frame's number.
            [kind] => {
                described(info(kind).ok_or_else(|| Error::Usage(format!("no frame has type {kind:#04x}")))?)
            }
            ref bytes => explained(wish, bytes)?,
        },
    };
    Ok(std::io::stdout().write_all(shown.as_bytes())?)
}

fn explained(wish: &Explain, bytes: &[u8]) -> Result<String, Error> {
    let Some(&kind) = bytes.first() else { return Err(Error::Usage("there are no bytes to explain".into())) };
    let sender = wish.direction.map_or_else(|| sender_of(kind), |from| from.sender());
    let mut tracer = Tracer::midway(sender, Limits::default());
    let style = Style { colour: wish.colour.is_on(), bytes: usize::MAX, explain: true };
    let (mut printer, mut shown) = (Printer::new(style), String::new());
    let mut show = |item: Item<'_>| {
        // Writing to a String cannot fail.
        let _ = printer.print(&item, &mut shown);
    };
    tracer.feed(bytes, &mut show);
    tracer.finish(&mut show);
    Ok(shown)
}

fn no_frame(text: &str, error: &str) -> Error {
    Error::Usage(format!(
        "`{text}` is neither a frame's name, as docs/PROTOCOL.md has them, nor bytes: {error}"
    ))
}

fn described(info: &FrameInfo) -> String {
    let way = match info.direction {
        Direction::ToServer => "from client to server",
        Direction::ToClient => "from server to client",
        Direction::Both => "either way",
    };
    let mut shown =
        format!("{} ({:#04x}), {way}, section {}: {}\n", info.name, info.kind, info.section, info.doc);
    describe(info.fields, 1, &mut shown);
    if info.fields.iter().any(|field| field.required) {
        shown.push_str("  (* must be there; the payload may end before any other)\n");
    }
    shown
}

fn describe(fields: &[FieldInfo], depth: usize, shown: &mut String) {
    for field in fields {
        let ty = field.ty.split('[').next().unwrap_or_default();
        let star = if field.required { "*" } else { "" };
        let head = format!("{}{} {ty}{star}", "  ".repeat(depth), field.name);
        let _ = writeln!(shown, "{head:<26} {}", field.doc);
        describe(field.items, depth + 1, shown);
    }
}

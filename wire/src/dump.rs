//! `wire dump`: a stream of bytes, from a file or a pipe, shown as it comes.

use crate::cli::Dump;
use crate::error::Error;
use crate::show::{Format, Stream};
use chatwire_codec::dump::{Sender, Tracer};
use chatwire_codec::{Direction, Limits, frame};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Bytes that are read at once.
const READ: usize = 64 * 1024;

pub(crate) fn run(wish: &Dump) -> Result<(), Error> {
    let mut input = open(&wish.file)?;
    let view = wish.look.view(if wish.json { Format::Json } else { wish.format });
    let limits = Limits { max_text: wish.max_text, ..Limits::default() };
    let (mut stream, mut buffer) = (None, vec![0; READ]);
    let (mut stdout, mut shown) = (std::io::stdout().lock(), String::new());
    loop {
        let n = read(&mut input, &mut buffer).map_err(Error::file(&wish.file))?;
        let bytes = &buffer[..n];
        if stream.is_none() && is_capture(bytes) {
            let file = wish.file.display();
            return Err(Error::Usage(format!("{file}: this is a capture, which `wire pcap {file}` shows")));
        }
        if n > 0 {
            let stream = stream.get_or_insert_with(|| {
                let tracer = match wish.direction {
                    Some(from) => Tracer::new(from.sender(), limits),
                    None => guessed(bytes[0], limits),
                };
                Stream::new(tracer, &view)
            });
            stream.feed(bytes, &view, &mut (), &mut shown);
        } else if let Some(stream) = &mut stream {
            stream.finish(&view, &mut (), &mut shown);
        }
        // Whole lines, which stdout does not keep back: more may not come for hours.
        stdout.write_all(shown.as_bytes())?;
        shown.clear();
        if n == 0 {
            return Ok(());
        }
    }
}

/// A file, or stdin for `-`.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, Error> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    Ok(Box::new(File::open(path).map_err(Error::file(path))?))
}

fn read(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Whether bytes begin as pcapng or pcap does. As a frame each of them would be larger than any may be.
fn is_capture(bytes: &[u8]) -> bool {
    const BEGINNINGS: [[u8; 4]; 5] = [
        *b"\x0a\x0d\x0d\x0a",
        *b"\xa1\xb2\xc3\xd4",
        *b"\xd4\xc3\xb2\xa1",
        *b"\xa1\xb2\x3c\x4d",
        *b"\x4d\x3c\xb2\xa1",
    ];
    bytes.first_chunk().is_some_and(|begins| BEGINNINGS.contains(begins))
}

/// The sender that the first frame's type tells of. Without a HELLO the stream's beginning was not seen.
fn guessed(first: u8, limits: Limits) -> Tracer {
    let sender = sender_of(first);
    if first == frame::kind::HELLO { Tracer::new(sender, limits) } else { Tracer::midway(sender, limits) }
}

/// Who sends frames of this type; a client, of types that both send.
pub(crate) fn sender_of(kind: u8) -> Sender {
    match frame::info(kind).map(|info| info.direction) {
        Some(Direction::ToClient) => Sender::Server,
        _ => Sender::Client,
    }
}

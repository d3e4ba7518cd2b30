//! One connection of a capture as a row of frames.

use crate::capture;
use crate::connections::{Connections, Event};
use crate::error::Error;
use crate::seen::{Collector, Seen};
use chatwire_codec::dump::{Item, Sender, Tracer};
use chatwire_codec::{Limits, header};
use std::path::Path;

/// Bytes of a connection that can be replayed: they are all in memory.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// What happens next on a connection.
#[derive(Debug)]
pub(crate) enum Step {
    Frame(Box<Recorded>),
    /// The client ends its sending side.
    ClientEnds,
}

/// A frame of one side.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) from: Sender,
    pub(crate) seen: Seen,
    /// Header and payload, as they were.
    pub(crate) bytes: Vec<u8>,
}

/// Reads the connection of that number, counted from 1.
pub(crate) fn read(path: &Path, port: Option<u16>, number: usize) -> Result<Vec<Step>, Error> {
    let mut connections = Connections::new(port);
    let mut wanted = Wanted {
        number,
        sides: [Side::new(Sender::Client), Side::new(Sender::Server)],
        steps: Vec::new(),
        bytes: 0,
        has_gap: false,
    };
    capture::read(path, &mut |segment| {
        connections.take(&segment, &mut |event| wanted.take(&event));
        match wanted.bytes {
            0..=MAX_BYTES => Ok(()),
            _ => Err(Error::Usage(
                "the connection has over 256 MiB, which is more than can be replayed".into(),
            )),
        }
    })?;
    connections.finish(&mut |event| wanted.take(&event));
    if wanted.has_gap {
        return Err(Error::Usage(format!(
            "{}: bytes of connection {number} were not captured, so it cannot be replayed",
            path.display()
        )));
    }
    if !wanted.steps.iter().any(|step| matches!(step, Step::Frame(_))) {
        return Err(Error::Usage(format!("{}: no connection {number} with frames in it", path.display())));
    }
    Ok(wanted.steps)
}

struct Wanted {
    number: usize,
    sides: [Side; 2],
    steps: Vec<Step>,
    bytes: usize,
    has_gap: bool,
}

impl Wanted {
    fn take(&mut self, event: &Event<'_>) {
        let Wanted { number: wanted, sides, steps, bytes: total, has_gap } = self;
        match event {
            Event::Bytes { number, from, bytes, .. } if number == wanted => {
                *total += bytes.len();
                let Side { tracer, frame } = &mut sides[*from as usize];
                tracer.feed(bytes, &mut |item| steps.extend(frame.take(&item)));
            }
            Event::Gap { number, .. } if number == wanted => *has_gap = true,
            Event::End { number, from, .. } if number == wanted => {
                let Side { tracer, frame } = &mut sides[*from as usize];
                tracer.finish(&mut |item| steps.extend(frame.take(&item)));
                if *from == Sender::Client {
                    steps.push(Step::ClientEnds);
                }
            }
            _ => {}
        }
    }
}

struct Side {
    tracer: Tracer,
    frame: Unfinished,
}

/// The frame that has begun, and its bytes so far.
struct Unfinished {
    from: Sender,
    collector: Collector,
    bytes: Vec<u8>,
}

impl Side {
    fn new(from: Sender) -> Side {
        let frame = Unfinished { from, collector: Collector::default(), bytes: Vec::new() };
        Side { tracer: Tracer::new(from, Limits::default()), frame }
    }
}

impl Unfinished {
    fn take(&mut self, item: &Item<'_>) -> Option<Step> {
        match item {
            Item::Frame { bytes, .. } => self.bytes = bytes.to_vec(),
            Item::Start { kind, size, .. } => self.bytes = header(*kind, *size).to_vec(),
            Item::Piece { bytes, .. } => self.bytes.extend_from_slice(bytes),
            Item::End { .. } => {}
        }
        let seen = self.collector.take(item)?;
        let bytes = std::mem::take(&mut self.bytes);
        Some(Step::Frame(Box::new(Recorded { from: self.from, seen, bytes })))
    }
}

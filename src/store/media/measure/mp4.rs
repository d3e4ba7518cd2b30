//! The duration and picture size of an MP4: a walk over its boxes, which allocates nothing.
//!
//! ```text
//! box:   size u32 | type 4 | (size u64, if size is 1) | content       size 0: to the end
//! moov > mvhd:         version u8 | flags 3 | times 2 × (u32, or u64 in version 1) | timescale u32 | duration
//! moov > trak > tkhd:  ends in width u32 | height u32, each 16.16 fixed point; 0 in a track of sound
//! ```

use super::Measures;
use std::io::{Read, Seek, SeekFrom};

/// A tkhd of version 1, the largest of the boxes that are read.
const BOX_LEN: usize = 96;

pub(super) fn measure(file: &mut (impl Read + Seek), size: u64) -> Option<Measures> {
    let mut measures = Measures::default();
    let moov = find(file, 0..size, *b"moov")?;
    let mut at = moov.start;
    while let Some(inner) = next(file, at..moov.end) {
        match &inner.name {
            b"mvhd" => measures.duration_ms = duration(&content(file, &inner)).unwrap_or(0),
            b"trak" => measure_track(file, &inner, &mut measures),
            _ => {}
        }
        at = inner.end;
    }
    Some(measures)
}

struct Box {
    name: [u8; 4],
    start: u64,
    end: u64,
}

/// The largest picture of all tracks.
fn measure_track(file: &mut (impl Read + Seek), track: &Box, measures: &mut Measures) {
    let Some(header) = find(file, track.start..track.end, *b"tkhd") else { return };
    let bytes = content(file, &header);
    let len = usize::try_from(header.end - header.start).unwrap_or(usize::MAX);
    let Some(sizes) = bytes.get(len.saturating_sub(8)..len) else { return };
    let width = u32::from(u16::from_be_bytes([sizes[0], sizes[1]]));
    let height = u32::from(u16::from_be_bytes([sizes[4], sizes[5]]));
    if width > measures.width {
        (measures.width, measures.height) = (width, height);
    }
}

fn duration(header: &[u8; BOX_LEN]) -> Option<u32> {
    let (timescale, duration) = match header[0] {
        0 => (u32_at(header, 12)?, u64::from(u32_at(header, 16)?)),
        1 => (u32_at(header, 20)?, u64::from(u32_at(header, 24)?) << 32 | u64::from(u32_at(header, 28)?)),
        _ => return None,
    };
    let ms = u128::from(duration) * 1000 / u128::from((timescale != 0).then_some(timescale)?);
    u32::try_from(ms).ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn find(file: &mut (impl Read + Seek), within: std::ops::Range<u64>, name: [u8; 4]) -> Option<Box> {
    let mut at = within.start;
    loop {
        let found = next(file, at..within.end)?;
        if found.name == name {
            return Some(found);
        }
        at = found.end;
    }
}

/// The box that begins where `within` does. Each is 8 bytes at least, so that a walk over them ends.
fn next(file: &mut (impl Read + Seek), within: std::ops::Range<u64>) -> Option<Box> {
    let mut header = [0; 8];
    file.seek(SeekFrom::Start(within.start)).ok()?;
    file.read_exact(&mut header).ok()?;
    let mut start = within.start.checked_add(8)?;
    let size = match u32_at(&header, 0)? {
        0 => within.end.checked_sub(within.start)?,
        1 => {
            let mut long = [0; 8];
            file.read_exact(&mut long).ok()?;
            start += 8;
            u64::from_be_bytes(long)
        }
        size => u64::from(size),
    };
    let end = within.start.checked_add(size)?;
    let is_inside = start <= end && end <= within.end;
    is_inside.then_some(Box { name: [header[4], header[5], header[6], header[7]], start, end })
}

/// The first bytes of a box, with zeros behind what it does not have.
fn content(file: &mut (impl Read + Seek), of: &Box) -> [u8; BOX_LEN] {
    let mut bytes = [0; BOX_LEN];
    let len = usize::try_from(of.end - of.start).unwrap_or(BOX_LEN).min(BOX_LEN);
    let read = file.seek(SeekFrom::Start(of.start)).and_then(|_| file.read_exact(&mut bytes[..len]));
    if read.is_err() {
        return [0; BOX_LEN];
    }
    bytes
}

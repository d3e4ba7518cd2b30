//! How long and how large media is. Files are hostile: what cannot be measured within a bound of work, or
//! makes a parser fail in whatever way, measures 0.

mod mp4;

use chatwire_codec::MediaKind;
use lofty::config::{ParseOptions, ParsingMode};
use lofty::file::AudioFile;
use lofty::mpeg::MpegFile;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes that a parser may read of one file.
const READ_BYTES: u64 = 32 << 20;
/// Reads and seeks that a parser may do: a chain of tiny boxes ends here.
const STEPS: u32 = 20_000;

/// What is known of a file; 0 is what is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measures {
    pub(super) duration_ms: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Measures a file of this kind and size.
pub(super) fn file(kind: MediaKind, file: &File, size: u64) -> Measures {
    if kind == MediaKind::File {
        return Measures::default();
    }
    let mut bounded = BufReader::new(Bounded { file, bytes: READ_BYTES, steps: STEPS });
    // The parsers are other people's, and hold nothing that outlives this.
    catch_unwind(AssertUnwindSafe(|| {
        bounded.rewind().ok()?;
        match kind {
            MediaKind::Voice => voice(&mut bounded),
            MediaKind::Video => mp4::measure(&mut bounded, size),
            MediaKind::Image => image(&mut bounded),
            MediaKind::File => None,
        }
    }))
    .unwrap_or_else(|_| {
        log::warn!("media: a parser panicked on a file of kind {kind:?}");
        None
    })
    .unwrap_or_default()
}

fn voice(reader: &mut BufReader<Bounded<'_>>) -> Option<Measures> {
    let options =
        ParseOptions::new().read_tags(false).read_cover_art(false).parsing_mode(ParsingMode::Relaxed);
    let file = MpegFile::read_from(reader, options).ok()?;
    let duration_ms = u32::try_from(file.properties().duration().as_millis()).ok()?;
    Some(Measures { duration_ms, ..Measures::default() })
}

fn image(reader: &mut (impl BufRead + Seek)) -> Option<Measures> {
    let size = imagesize::reader_size(reader).ok()?;
    let (width, height) = (u32::try_from(size.width).ok()?, u32::try_from(size.height).ok()?);
    Some(Measures { width, height, ..Measures::default() })
}

/// A file that ends early for who reads too much of it.
struct Bounded<'a> {
    file: &'a File,
    bytes: u64,
    steps: u32,
}

impl Bounded<'_> {
    fn step(&mut self) -> io::Result<()> {
        self.steps = self.steps.checked_sub(1).ok_or_else(|| io::Error::other("too many steps"))?;
        Ok(())
    }
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.step()?;
        let read = self.file.read(buffer)?;
        self.bytes = self.bytes.checked_sub(read as u64).ok_or_else(|| io::Error::other("too many bytes"))?;
        Ok(read)
    }
}

impl Seek for Bounded<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.step()?;
        self.file.seek(to)
    }
}

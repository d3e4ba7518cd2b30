//! What a file is, by its first bytes. It says what the file claims to be, not that it is sound.

use super::bad_media;
use crate::error::Refusal;
use chatwire_codec::MediaKind;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// So many first bytes tell a kind.
const SIGNATURE_LEN: usize = 12;
/// So many are looked at in any file, to guess what it is: office documents tell themselves from other archives late.
const HEAD_LEN: usize = 8192;

const UNKNOWN: &str = "application/octet-stream";

/// Formats that share MP4's box structure but are pictures, sound alone in another suit, or QuickTime's own.
const NOT_MP4: &[&[u8; 4]] = &[
    b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"qt  ",
    b"crx ", b"jp2 ",
];

/// The first bytes of a file that is to be of a kind, as they come. They are kept for as long as they may be of another.
#[derive(Debug)]
pub(super) struct Head {
    kind: MediaKind,
    /// Fewer than [`SIGNATURE_LEN`].
    bytes: Vec<u8>,
    verdict: Verdict,
}

impl Head {
    pub(super) fn new(kind: MediaKind) -> Self {
        let verdict = if kind == MediaKind::File { Verdict::Any } else { Verdict::NeedMore };
        Head { kind, bytes: Vec::new(), verdict }
    }

    /// The head of a file that is there, whole or not; or `bad_media`.
    pub(super) fn read(kind: MediaKind, file: &File) -> io::Result<Result<Self, Refusal>> {
        let mut head = Head::new(kind);
        let taken = head.take(&first_bytes::<SIGNATURE_LEN>(file)?);
        Ok(taken.map(|()| head))
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// `bad_media` as soon as they are seen to be of another kind.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if !matches!(self.verdict, Verdict::NeedMore) {
            return Ok(());
        }
        let missing = SIGNATURE_LEN - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        self.verdict = match judge(self.kind, &self.bytes) {
            Verdict::NeedMore if self.bytes.len() == SIGNATURE_LEN => Verdict::IsNot,
            verdict => verdict,
        };
        match self.verdict {
            Verdict::NeedMore => return Ok(()),
            Verdict::IsNot => return Err(bad_media()),
            Verdict::Is(_) | Verdict::Any => self.bytes = Vec::new(),
        }
        Ok(())
    }

    pub(super) fn kind(&self) -> MediaKind {
        self.kind
    }

    /// The media type of the file, which has no more bytes; or `bad_media`.
    pub(super) fn mime(&self, file: &File) -> io::Result<Result<&'static str, Refusal>> {
        Ok(match self.verdict {
            Verdict::Is(mime) => Ok(mime),
            Verdict::Any => Ok(guess(&first_bytes::<HEAD_LEN>(file)?)),
            Verdict::NeedMore | Verdict::IsNot => Err(bad_media()),
        })
    }
}

/// The first bytes of a file, `N` if it has as many.
fn first_bytes<const N: usize>(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; N];
    let mut len = 0;
    loop {
        let read = file.read_at(&mut bytes[len..], len as u64)?;
        len += read;
        if read == 0 {
            bytes.truncate(len);
            return Ok(bytes);
        }
    }
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Too few to say.
    NeedMore,
    /// Of the kind, and of this media type.
    Is(&'static str),
    /// Of another kind.
    IsNot,
    /// They may be any.
    Any,
}

/// Judges a file that begins so, and may go on.
fn judge(kind: MediaKind, head: &[u8]) -> Verdict {
    match kind {
        MediaKind::Voice => mp3(head),
        MediaKind::Video => mp4(head),
        MediaKind::Image => image(head),
        MediaKind::File => Verdict::Any,
    }
}

fn guess(head: &[u8]) -> &'static str {
    infer::get(head).map_or(UNKNOWN, |found| found.mime_type())
}

/// Either a tag in front, or the first frame's header:
///
/// ```text
/// 'I' 'D' '3' | version, not 255 | revision, not 255 | flags | size: 4 × 7 bits
/// 11 × 1 | version 2, not 01 | layer 2: 01 is III | crc 1 | bitrate 4, not 15 | rate 2, not 3 | ...
/// ```
fn mp3(head: &[u8]) -> Verdict {
    match head {
        [b'I', b'D', b'3', version, revision, _, size @ ..] if *version != 0xFF && *revision != 0xFF => {
            let Some(size) = size.first_chunk::<4>() else { return Verdict::NeedMore };
            is(size.iter().all(|byte| *byte < 0x80), "audio/mpeg")
        }
        [0xFF, second, third, ..] => {
            let layer_3 = second & 0xE0 == 0xE0 && second & 0x18 != 0x08 && second & 0x06 == 0x02;
            is(layer_3 && third & 0xF0 != 0xF0 && third & 0x0C != 0x0C, "audio/mpeg")
        }
        [] | [0xFF] | [0xFF, _] => Verdict::NeedMore,
        short => unfinished(short, b"ID3", 6),
    }
}

/// ```text
/// size of the first box, 8 at least | 'f' 't' 'y' 'p' | brand
/// ```
fn mp4(head: &[u8]) -> Verdict {
    let Some((first, _)) = head.split_first_chunk::<12>() else {
        return if head.len() > 4 && !b"ftyp".starts_with(&head[4..head.len().min(8)]) {
            Verdict::IsNot
        } else {
            Verdict::NeedMore
        };
    };
    let (size, rest) = first.split_at(4);
    let is_large_enough = size[..3] != [0; 3] || size[3] >= 8 || size[3] == 1;
    let is_other = NOT_MP4.iter().any(|brand| rest[4..] == brand[..]);
    is(is_large_enough && rest.starts_with(b"ftyp") && !is_other, "video/mp4")
}

fn image(head: &[u8]) -> Verdict {
    const SIGNATURES: &[(&[u8], &str)] = &[
        (b"\xFF\xD8\xFF", "image/jpeg"),
        (b"\x89PNG\r\n\x1A\n", "image/png"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
    ];
    if let Some((_, mime)) = SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature)) {
        return Verdict::Is(mime);
    }
    if SIGNATURES.iter().any(|(signature, _)| signature.starts_with(head)) {
        return Verdict::NeedMore;
    }
    webp(head)
}

/// ```text
/// 'R' 'I' 'F' 'F' | size 4 | 'W' 'E' 'B' 'P'
/// ```
fn webp(head: &[u8]) -> Verdict {
    match head.split_first_chunk::<8>() {
        Some((riff, rest)) if riff.starts_with(b"RIFF") => match unfinished(rest, b"WEBP", 4) {
            Verdict::IsNot => is(rest.starts_with(b"WEBP"), "image/webp"),
            verdict => verdict,
        },
        Some(_) => Verdict::IsNot,
        None => unfinished(head, b"RIFF", 8),
    }
}

/// Whether `head`, shorter than `len`, may still become what begins with `signature`.
fn unfinished(head: &[u8], signature: &[u8], len: usize) -> Verdict {
    let known = head.len().min(signature.len());
    if head.len() < len && head[..known] == signature[..known] { Verdict::NeedMore } else { Verdict::IsNot }
}

fn is(yes: bool, mime: &'static str) -> Verdict {
    if yes { Verdict::Is(mime) } else { Verdict::IsNot }
}

//! Tells media kinds apart by their leading bytes, as a server will.

use chatwire_codec::MediaKind;

/// Leading bytes that [`kind_of`] looks at.
pub(crate) const SNIFF_BYTES: usize = 16;

/// The brands of MP4 that are video; HEIC, AVIF and M4A begin alike and are none.
const MP4_BRANDS: &[&[u8; 4]] = &[
    b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"mp4v", b"mp71", b"mmp4",
    b"avc1", b"dash", b"MSNV", b"M4V ", b"F4V ",
];

/// What media is, by its first 16 bytes: what is no MP3, MP4 or picture is a file.
///
/// ```
/// use chatwire_client::{MediaKind, kind_of};
/// assert_eq!(kind_of(b"GIF89a..."), MediaKind::Image);
/// assert_eq!(kind_of(b"Dear all,"), MediaKind::File);
/// ```
#[must_use]
pub fn kind_of(head: &[u8]) -> MediaKind {
    match head {
        [0xFF, 0xD8, 0xFF, ..] | [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => MediaKind::Image,
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => MediaKind::Image,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => MediaKind::Image,
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] if is_mp4(brand) => MediaKind::Video,
        [b'I', b'D', b'3', ..] => MediaKind::Voice,
        [0xFF, b, c, ..] if is_mp3(*b, *c) => MediaKind::Voice,
        _ => MediaKind::File,
    }
}

fn is_mp4(brand: &[u8]) -> bool {
    MP4_BRANDS.iter().any(|known| brand.starts_with(*known))
}

/// The second and third byte of an MPEG audio frame: sync, a version, layer III, a bit and a sample rate.
fn is_mp3(b: u8, c: u8) -> bool {
    b & 0xE0 == 0xE0 && b & 0x18 != 0x08 && b & 0x06 == 0x02 && c & 0xF0 != 0xF0 && c & 0x0C != 0x0C
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_by_its_first_bytes() {
        for (head, kind) in [
            (&b"\xFF\xD8\xFF\xE0"[..], MediaKind::Image),
            (b"\x89PNG\r\n\x1A\n", MediaKind::Image),
            (b"RIFF\x10\0\0\0WEBPVP8 ", MediaKind::Image),
            (b"RIFF\x10\0\0\0WAVEfmt ", MediaKind::File),
            (b"\0\0\0\x18ftypisom", MediaKind::Video),
            (b"\0\0\0\x18ftypheic", MediaKind::File),
            (b"\0\0\0\x18ftypM4A ", MediaKind::File),
            (b"ID3\x04", MediaKind::Voice),
            (b"\xFF\xFB\x90\x64", MediaKind::Voice),
            (b"\xFF\xF1\x50\x80", MediaKind::File),
            (b"", MediaKind::File),
        ] {
            assert_eq!(kind_of(head), kind, "{head:?}");
        }
    }
}

//! Files: what is taken for what, what stays and what goes.

use super::measure::Measures;
use super::*;
use std::io::Read;
use tempfile::TempDir;

const PNG: &[u8] = b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\x02\x80\0\0\x01\xE0\x08\x06\0\0\0";
const GIF: &[u8] = b"GIF89a\x40\x01\xC8\0\x80\0\0\0\0\0\xFF\xFF\xFF";
const WEBP: &[u8] = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\x3f\x01\x18\0\0\0\0\0\0\0\0\0";
const JPEG: &[u8] = b"\xFF\xD8\xFF\xC0\0\x11\x08\0\x10\0\x20\x03\x01\x22\0\x02\x11\x01\x03\x11\x01";
const ID3: &[u8] = b"ID3\x04\0\0\0\0\0\x0A..........";

fn store() -> (TempDir, MediaStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = MediaStore::open(dir.path()).unwrap();
    (dir, store)
}

/// Spools bytes in pieces of this size.
fn spool(store: &MediaStore, kind: MediaKind, bytes: &[u8], piece: usize) -> Result<Media, Refusal> {
    let mut spool = store.spool(kind).unwrap();
    for piece in bytes.chunks(piece) {
        spool.write(piece)?;
    }
    spool.finish().map(|(media, hold)| {
        hold.keep();
        media
    })
}

fn tmp_files(dir: &TempDir) -> usize {
    fs::read_dir(dir.path().join(TMP)).unwrap().count()
}

/// Four frames of MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes each.
fn mp3() -> Vec<u8> {
    let mut frame = vec![0xFF, 0xFB, 0x90, 0x00];
    frame.resize(417, 0);
    frame.repeat(4)
}

fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    [&size.to_be_bytes(), &name[..], content].concat()
}

/// 1.5 s, a track of sound and one of 320 × 240.
fn mp4() -> Vec<u8> {
    let mut mvhd = vec![0; 100];
    mvhd[12..20].copy_from_slice(&[0, 0, 3, 0xE8, 0, 0, 5, 0xDC]);
    let sound = boxed(b"trak", &boxed(b"tkhd", &[0; 84]));
    let mut tkhd = vec![0; 84];
    tkhd[76..].copy_from_slice(&[1, 0x40, 0, 0, 0, 0xF0, 0, 0]);
    let picture = boxed(b"trak", &boxed(b"tkhd", &tkhd));
    let moov = boxed(b"moov", &[boxed(b"mvhd", &mvhd), sound, picture].concat());
    [boxed(b"ftyp", b"isom\0\0\x02\0isom"), boxed(b"mdat", &[7; 1000]), moov].concat()
}

#[test]
fn media_is_stored_whole_under_its_digest_however_it_is_cut() {
    for piece in [1, 7, 100, 100_000] {
        let (dir, store) = store();
        let bytes = mp4();
        let media = spool(&store, MediaKind::Video, &bytes, piece).unwrap();
        assert_eq!(media.id.0, *blake3::hash(&bytes).as_bytes());
        assert_eq!((media.size, &*media.mime), (bytes.len() as u64, "video/mp4"));
        let mut read = Vec::new();
        store.open_file(&media.id).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == bytes);
        let hex = media.id.to_string();
        assert_eq!(store.path(&media.id), dir.path().join("media").join(&hex[..2]).join(&hex[2..]));
        assert_eq!(tmp_files(&dir), 0);
    }
}

#[test]
fn media_is_measured() {
    let (_dir, store) = store();
    let check = |kind, bytes: &[u8], mime: &str, duration_ms, width, height| {
        let media = spool(&store, kind, bytes, 5).unwrap();
        assert_eq!(&*media.mime, mime);
        let measured = Measures { duration_ms: media.duration_ms, width: media.width, height: media.height };
        assert_eq!(measured, Measures { duration_ms, width, height }, "{mime}");
    };
    check(MediaKind::Image, PNG, "image/png", 0, 640, 480);
    check(MediaKind::Image, GIF, "image/gif", 0, 320, 200);
    check(MediaKind::Image, JPEG, "image/jpeg", 0, 32, 16);
    check(MediaKind::Image, WEBP, "image/webp", 0, 320, 97);
    check(MediaKind::Video, &mp4(), "video/mp4", 1500, 320, 240);
    check(MediaKind::Voice, &mp3(), "audio/mpeg", 104, 0, 0);
    check(MediaKind::Voice, ID3, "audio/mpeg", 0, 0, 0);
    check(MediaKind::File, PNG, "image/png", 0, 0, 0);
    check(MediaKind::File, b"plain words", "application/octet-stream", 0, 0, 0);
    check(MediaKind::File, b"", "application/octet-stream", 0, 0, 0);
}

#[test]
fn bytes_of_another_kind_are_refused_and_leave_nothing() {
    let (dir, store) = store();
    let heic = boxed(b"ftyp", b"heic\0\0\0\0");
    let bad: &[(MediaKind, &[u8])] = &[
        (MediaKind::Voice, PNG),
        (MediaKind::Voice, b""),
        (MediaKind::Voice, b"ID"),
        (MediaKind::Voice, b"\xFF\xD8\xFF\xE0"),
        (MediaKind::Voice, b"\xFF\xF1\x50\x80"), // AAC
        (MediaKind::Video, &mp3()),
        (MediaKind::Video, b"\0\0\0\x18fty"),
        (MediaKind::Video, &heic),
        (MediaKind::Image, b"GIF90a"),
        (MediaKind::Image, b"\x89PNG"),
        (MediaKind::Image, b"RIFF\0\0\0\0WAVE"),
        (MediaKind::Image, &mp4()),
    ];
    for (kind, bytes) in bad {
        for piece in [1, 1000] {
            assert_eq!(
                spool(&store, *kind, bytes, piece).unwrap_err().code,
                Code::BadMedia,
                "{kind:?} {bytes:?}"
            );
        }
    }
    assert_eq!(tmp_files(&dir), 0);
    assert_eq!(fs::read_dir(dir.path().join(MEDIA)).unwrap().count(), 0);
}

#[test]
fn the_kind_is_refused_before_the_whole_body_has_come() {
    let (_dir, store) = store();
    let mut spool = store.spool(MediaKind::Image).unwrap();
    assert_eq!(spool.write(b"no picture at all").unwrap_err().code, Code::BadMedia);
}

#[test]
fn a_spool_that_is_dropped_leaves_nothing() {
    let (dir, store) = store();
    let mut spool = store.spool(MediaKind::File).unwrap();
    spool.write(b"half").unwrap();
    assert_eq!((tmp_files(&dir), spool.size()), (1, 4));
    drop(spool);
    assert_eq!(tmp_files(&dir), 0);
}

#[test]
fn the_same_bytes_twice_are_one_file() {
    let (dir, store) = store();
    let first = spool(&store, MediaKind::Image, PNG, 9).unwrap();
    assert_eq!(spool(&store, MediaKind::Image, PNG, 50).unwrap(), first);
    assert_eq!(fs::read_dir(dir.path().join(MEDIA)).unwrap().count(), 1);
    assert_eq!(tmp_files(&dir), 0);
}

#[test]
fn a_file_that_was_cut_by_hand_is_made_whole_by_the_next_copy() {
    let (_dir, store) = store();
    let media = spool(&store, MediaKind::Image, PNG, 9).unwrap();
    fs::write(store.path(&media.id), &PNG[..9]).unwrap();
    spool(&store, MediaKind::Image, PNG, 9).unwrap();
    assert_eq!(fs::read(store.path(&media.id)).unwrap(), PNG);
}

#[test]
fn temporary_files_of_the_last_run_are_cleared() {
    let (dir, store) = store();
    fs::write(dir.path().join(TMP).join("0"), b"left over").unwrap();
    drop(store);
    let store = MediaStore::open(dir.path()).unwrap();
    assert_eq!(tmp_files(&dir), 0);
    spool(&store, MediaKind::File, b"new", 9).unwrap();
}

#[test]
fn a_body_larger_than_a_stretch_of_write_back_is_whole() {
    let (_dir, store) = store();
    let piece = vec![0xA5; 1 << 20];
    let mut spool = store.spool(MediaKind::File).unwrap();
    let mut hasher = blake3::Hasher::new();
    for _ in 0..70 {
        spool.write(&piece).unwrap();
        hasher.update(&piece);
    }
    let (media, hold) = spool.finish().unwrap();
    hold.keep();
    assert_eq!((media.size, media.id.0), (70 << 20, *hasher.finalize().as_bytes()));
}

/// Cut anywhere and with any byte broken, a file is measured as something or nothing, and nobody panics.
#[test]
fn broken_files_measure_what_they_can() {
    let (_dir, store) = store();
    let files: [(MediaKind, Vec<u8>); 5] = [
        (MediaKind::Video, mp4()),
        (MediaKind::Voice, mp3()),
        (MediaKind::Image, JPEG.into()),
        (MediaKind::Image, WEBP.into()),
        (MediaKind::Image, PNG.into()),
    ];
    let mut path = store.data.clone();
    path.push("broken");
    for (kind, bytes) in files {
        for at in (0..bytes.len()).step_by(if bytes.len() > 200 { 3 } else { 1 }) {
            let mut broken = bytes.clone();
            broken[at] = 0xFF;
            for case in [&bytes[..at], &broken] {
                fs::write(&path, case).unwrap();
                measure::file(kind, &File::open(&path).unwrap(), case.len() as u64);
            }
        }
    }
}

#[test]
fn a_full_disk_is_said() {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    assert_eq!(refusal(&full).code, Code::StorageFull);
    assert_eq!(refusal(&io::Error::other("?")).code, Code::Internal);
}

#[test]
fn what_nobody_keeps_is_removed_when_the_last_one_lets_go() {
    let (_dir, store) = store();
    let finish = || {
        let mut spool = store.spool(MediaKind::File).unwrap();
        spool.write(b"the same bytes").unwrap();
        spool.finish().unwrap()
    };
    let (media, first) = finish();
    let (_, second) = finish();
    drop(first);
    assert!(store.path(&media.id).exists(), "it is still held");
    drop(second);
    assert!(!store.path(&media.id).exists());

    let (_, kept) = finish();
    kept.keep();
    drop(kept);
    let (_, again) = finish();
    drop(again);
    assert!(store.path(&media.id).exists(), "it was stored before");
}

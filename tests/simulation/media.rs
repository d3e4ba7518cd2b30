//! Files that a number stands for, and the transfers of one connection, held to section 6.6 of docs/PROTOCOL.md.

use crate::random::Random;
use crate::truth::Truth;
use chatwire_codec::Payload;
use chatwire_codec::frame::{Chunk, FetchReady, Received, Stored, Upload, kind};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

type Check = Result<(), String>;

/// Bytes of the files; the last ones take the room of large texts.
const SIZES: [usize; 8] = [1, 40, 600, 3_000, 5_000, 70_000, 300_000, 700_000];
/// The files of a run without that room.
pub(crate) const SMALL: usize = 5;
pub(crate) const ALL: usize = SIZES.len();
/// Bytes on their way that are too few for the large ones.
pub(crate) const SMALL_ROOM: usize = 10_000;
/// Bytes of media in a CHUNK, at most.
const CHUNK: usize = 65_536;
/// Chunks that are sent at once.
const AT_ONCE: usize = 5;

pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: [u8; 32],
}

/// The file of a number.
pub(crate) fn file(n: usize) -> &'static File {
    static FILES: OnceLock<Vec<File>> = OnceLock::new();
    &FILES.get_or_init(|| SIZES.map(made).into())[n]
}

fn made(size: usize) -> File {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(&size.to_be_bytes()).finalize_xof().fill(&mut bytes);
    File { digest: *blake3::hash(&bytes).as_bytes(), bytes }
}

/// What a message with this media says, in the words of the truth.
pub(crate) fn said(digest: &[u8; 32]) -> String {
    (0..ALL).find(|n| file(*n).digest == *digest).map_or("unknown media".to_owned(), |n| format!("file {n}"))
}

/// A file of media that a row tells of is there, whole.
pub(crate) fn check_file(data: &Path, digest: &[u8; 32]) -> Check {
    let n = number(digest)?;
    let hex = blake3::Hash::from_bytes(*digest).to_hex();
    let path = data.join("media").join(&hex[..2]).join(&hex[2..]);
    match std::fs::read(path) {
        Ok(bytes) if bytes == file(n).bytes => Ok(()),
        Ok(bytes) => Err(format!("of file {n} there are {} bytes, or others", bytes.len())),
        Err(e) => Err(format!("file {n} is told of: {e}")),
    }
}

/// Whether that is what the truth says of media.
pub(crate) fn is_file(text: &str) -> bool {
    text.starts_with("file ")
}

/// As [`check_file`], if this is what the truth says of a file.
pub(crate) fn check_said(data: &Path, text: &str) -> Check {
    let n = text.strip_prefix("file ").and_then(|n| n.parse::<usize>().ok());
    n.map_or(Ok(()), |n| check_file(data, &file(n).digest))
}

fn number(digest: &[u8; 32]) -> Result<usize, String> {
    (0..ALL).find(|n| file(*n).digest == *digest).ok_or("no such file was ever sent".to_owned())
}

#[derive(Debug)]
struct Up {
    file: usize,
    /// What the client has sent.
    at: usize,
    /// What is confirmed.
    safe: usize,
}

#[derive(Debug)]
struct Down {
    file: usize,
    at: usize,
    end: usize,
}

/// What runs on a connection.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    ups: BTreeMap<u32, Up>,
    downs: BTreeMap<u32, Down>,
}

/// FETCH, as it was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) file: usize,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Wanted {
    pub(crate) fn of(media: &[u8; 32], offset: u64, length: u64) -> Wanted {
        Wanted { file: number(media).unwrap(), offset, length }
    }
}

impl Transfers {
    /// One of them, of either kind.
    pub(crate) fn any(&self, random: &mut Random) -> Option<u32> {
        let all: Vec<u32> = self.ups.keys().chain(self.downs.keys()).copied().collect();
        (!all.is_empty()).then(|| random.pick(&all))
    }

    /// The next chunks of an upload.
    pub(crate) fn chunks(&self, random: &mut Random, out: &mut Vec<u8>) {
        let open: Vec<u32> = self
            .ups
            .iter()
            .filter(|(_, up)| up.at < file(up.file).bytes.len())
            .map(|(req, _)| *req)
            .collect();
        if open.is_empty() {
            return;
        }
        let transfer = random.pick(&open);
        let up = &self.ups[&transfer];
        let (bytes, mut at) = (&file(up.file).bytes, up.at);
        for _ in 0..1 + random.below(AT_ONCE) {
            let most = CHUNK.min(bytes.len() - at);
            if most == 0 {
                return;
            }
            let n = if random.below(4) == 0 { 1 + random.below(most) } else { most };
            Chunk { transfer, offset: at as u64, bytes: &bytes[at..at + n] }.encode(out).unwrap();
            at += n;
        }
    }

    /// The client has sent a chunk.
    pub(crate) fn sent(&mut self, chunk: &Chunk<'_>) {
        if let Some(up) = self.ups.get_mut(&chunk.transfer) {
            up.at += chunk.bytes.len();
        }
    }

    /// UPLOAD_READY: never behind what any connection of this user was told to be `safe` before it was asked.
    pub(crate) fn upload_ready(&mut self, req: u32, n: usize, offset: u64, safe: usize) -> Check {
        let at = usize::try_from(offset).unwrap();
        if at < safe || at > file(n).bytes.len() {
            return Err(format!("of {safe} confirmed bytes of file {n} {at} are left"));
        }
        self.ups.insert(req, Up { file: n, at, safe: at });
        Ok(())
    }

    pub(crate) fn received(&mut self, received: &Received, user: u64, truth: &mut Truth) -> Check {
        let up = self.ups.get_mut(&received.transfer).ok_or("no such upload runs")?;
        let offset = usize::try_from(received.offset).unwrap();
        if offset <= up.safe || offset > up.at {
            return Err(format!("{} bytes were confirmed, and {} sent", up.safe, up.at));
        }
        up.safe = offset;
        let safe = truth.safe.entry((user, up.file)).or_default();
        *safe = offset.max(*safe);
        Ok(())
    }

    pub(crate) fn stored(&mut self, stored: &Stored, user: u64, truth: &mut Truth) -> Check {
        let up = self.ups.remove(&stored.transfer).ok_or("no such upload runs")?;
        let whole = file(up.file);
        if stored.media != whole.digest || up.at != whole.bytes.len() {
            return Err(format!("of file {} {} bytes were sent", up.file, up.at));
        }
        truth.safe.insert((user, up.file), whole.bytes.len());
        Ok(())
    }

    /// ERROR about an upload that runs.
    pub(crate) fn fails(&mut self, req: u32) -> Option<usize> {
        self.ups.remove(&req).map(|up| up.file)
    }

    pub(crate) fn fetch_ready(&mut self, ready: &FetchReady<'_>, wanted: Wanted) -> Check {
        let size = file(wanted.file).bytes.len();
        if ready.size != size as u64 {
            return Err(format!("it has {size} bytes"));
        }
        let at = size.min(usize::try_from(wanted.offset).unwrap());
        let length = usize::try_from(wanted.length).unwrap();
        let end = if length == 0 { size } else { size.min(at + length) };
        if at < end {
            self.downs.insert(ready.req, Down { file: wanted.file, at, end });
        }
        Ok(())
    }

    /// A chunk of a fetch: no byte twice, none left out, none changed.
    pub(crate) fn chunk(&mut self, chunk: &Chunk<'_>) -> Check {
        let down = self.downs.get_mut(&chunk.transfer).ok_or("no such fetch runs")?;
        let is_next = chunk.offset == down.at as u64 && down.at + chunk.bytes.len() <= down.end;
        if !is_next || !file(down.file).bytes[down.at..].starts_with(chunk.bytes) {
            return Err(format!("the next bytes of {down:?} are others"));
        }
        down.at += chunk.bytes.len();
        if down.at == down.end {
            self.downs.remove(&chunk.transfer);
        }
        Ok(())
    }

    /// Whether a fetch has ended with an ERROR.
    pub(crate) fn fetch_fails(&mut self, req: u32) -> bool {
        self.downs.remove(&req).is_some()
    }

    pub(crate) fn cancelled(&mut self, transfer: u32) {
        self.ups.remove(&transfer);
        self.downs.remove(&transfer);
    }

    /// Nothing is on its way: so every fetch is whole, and every upload of which all was sent is over.
    pub(crate) fn settled(&self) -> Check {
        if !self.downs.is_empty() {
            return Err(format!("these are not fetched to their ends: {:?}", self.downs));
        }
        match self.ups.iter().find(|(_, up)| up.at == file(up.file).bytes.len()) {
            Some(whole) => Err(format!("this upload is whole, and not told to be: {whole:?}")),
            None => Ok(()),
        }
    }
}

/// UPLOAD of a file.
pub(crate) fn upload(req: u32, n: usize) -> Upload<'static> {
    let File { bytes, digest } = file(n);
    Upload { req, media_kind: kind::FILE, size: bytes.len() as u64, digest: *digest, name: "" }
}

/// Which file UPLOAD is about.
pub(crate) fn of_upload(upload: &Upload<'_>) -> usize {
    number(&upload.digest).unwrap()
}

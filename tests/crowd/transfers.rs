//! Uploads that go on over crashes, and fetches that are compared.

use super::*;
use std::path::Path;

/// Bytes of media in a CHUNK, at most.
const CHUNK: usize = 65_536;

/// An upload, from its beginning to STORED, over however many connections.
pub struct Half {
    file: u64,
    req: u32,
    /// Bytes that RECEIVED has confirmed.
    safe: u64,
    /// Power was lost, and it has not been gone on with since.
    lost_power: bool,
    /// Those among them that are what was sent, whatever comes.
    sure: u64,
    /// Behind a loss of power the server had more than it had confirmed: that may be a length without its bytes.
    is_doubtful: bool,
    pub is_running: bool,
}

impl Half {
    pub fn new(file: u64) -> Half {
        Half { file, req: 0, safe: 0, sure: 0, lost_power: false, is_doubtful: false, is_running: false }
    }

    /// UPLOAD, on a new connection too.
    pub fn begin(&mut self, req: u32) -> Upload<'static> {
        (self.req, self.is_running) = (req, true);
        let body = Body::Reference(self.file);
        let size = body.bytes().len() as u64;
        Upload { req, media_kind: kind::FILE, size, digest: body.digest(), name: "" }
    }

    /// UPLOAD_READY: sends what is missing.
    pub fn go_on(&mut self, peer: &mut Peer, offset: u64) {
        assert!(offset >= self.safe, "of {} confirmed bytes {offset} are left", self.safe);
        self.is_doubtful |= std::mem::take(&mut self.lost_power) && offset > self.safe;
        let bytes = Body::Reference(self.file).bytes();
        let mut at = usize::try_from(offset).unwrap();
        for piece in bytes[at..].chunks(CHUNK) {
            let chunk = bytes_of(Chunk { transfer: self.req, offset: at as u64, bytes: piece });
            if !peer.try_send_bytes(&chunk) {
                return;
            }
            at += piece.len();
        }
    }

    pub fn received(&mut self, received: &Received) {
        assert_eq!(received.transfer, self.req);
        self.safe = received.offset;
        if !self.is_doubtful {
            self.sure = self.safe;
        }
    }

    /// What is stored.
    pub fn stored(self, stored: &Stored) -> u64 {
        assert_eq!((stored.transfer, stored.media), (self.req, Body::Reference(self.file).digest()));
        self.file
    }

    /// The server has broken it off; what was confirmed is kept.
    pub fn failed(&mut self, req: u32) {
        self.is_running &= self.req != req;
    }

    /// Whether the digest of the whole told that it is not what was sent, and it begins anew: only where it may be.
    pub fn begins_anew(&mut self, error: &Error<'_>) -> bool {
        let may = self.is_doubtful && (error.code, error.about) == (Code::Conflict as u16, kind::UPLOAD);
        if may {
            (self.safe, self.sure, self.is_doubtful, self.is_running) = (0, 0, false, false);
        }
        may
    }

    /// The connection is gone. Of what was confirmed every byte is there, in the half upload of this user or in what it
    /// has become.
    pub fn cut(&mut self, user: u64, data: &Path, lost_power: bool) {
        self.is_running = false;
        self.lost_power |= lost_power;
        let (body, sure) = (Body::Reference(self.file), usize::try_from(self.sure).unwrap());
        let name = blake3::Hash::from_bytes(body.digest()).to_hex();
        let (half, whole) = (format!("half/{user}-{name}"), format!("media/{}/{}", &name[..2], &name[2..]));
        let found = std::fs::read(data.join(half)).or_else(|_| std::fs::read(data.join(whole)));
        if sure > 0 {
            let found = found.unwrap_or_else(|e| panic!("{sure} bytes of {name} were confirmed: {e}"));
            assert!(
                found.starts_with(&body.bytes()[..sure]),
                "of {sure} confirmed bytes of {name} some are others"
            );
        }
    }
}

/// A fetch that runs.
pub struct Chunks {
    bytes: Vec<u8>,
    at: usize,
}

impl Chunks {
    pub fn of(body: Body) -> Chunks {
        Chunks { bytes: body.bytes(), at: 0 }
    }

    /// FETCH_READY; whether that was all.
    pub fn begin(&self, size: u64) -> bool {
        assert_eq!(size, self.bytes.len() as u64);
        size == 0
    }

    /// A chunk; whether that was all.
    pub fn take(&mut self, chunk: &Chunk<'_>) -> bool {
        assert_eq!(chunk.offset, self.at as u64);
        assert!(self.bytes[self.at..].starts_with(chunk.bytes), "a fetch brings other bytes");
        self.at += chunk.bytes.len();
        self.at == self.bytes.len()
    }
}

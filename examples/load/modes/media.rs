//! media: a file in one frame until STATUS, and back with FETCH; upload: the same by UPLOAD, until STORED. No poll loop:
//! one connection, which waits.

use crate::Result;
use crate::measure::Watch;
use crate::nonce::Nonces;
use crate::options::{Mode, Plan};
use crate::process::Process;
use crate::report::{Faults, Figures};
use crate::target::Target;
use chatwire_codec::frame::{Chunk, Fetch, Hello, Received, Upload, kind};
use chatwire_codec::{HEADER_LEN, Payload, header};
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PIECE: usize = 256 * 1024;
/// Bytes of media in one CHUNK.
const CHUNK: usize = 64 * 1024;
/// Bytes of an upload that may be unconfirmed.
const WINDOW: u64 = 1024 * 1024;
/// The longest that one read or write may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    let body = Body::new(plan.size as usize)?;
    let digest = body.digest();
    let stream = TcpStream::connect(target.addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = Line {
        input: BufReader::with_capacity(PIECE, stream.try_clone()?),
        output: stream,
        payload: Vec::new(),
        came: 0,
    };
    line.put(&Hello { version: 1, timezone: "UTC", ..Hello::default() })?;
    line.expect(kind::WELCOME)?;

    let mut figures = Figures::new(Faults::default());
    let growth = Growth::watch(target)?;
    let watch = Watch::start(target)?;
    if plan.mode == Mode::Upload {
        line.upload(&body, digest)?;
    } else {
        line.output.write_all(&header(kind::FILE, plan.size))?;
        body.pieces().try_for_each(|piece| line.output.write_all(piece))?;
        line.expect(kind::STATUS)?;
    }
    let sent = watch.stop()?;
    let grown_by_send = growth.kib()?;

    let growth = Growth::watch(target)?;
    let watch = Watch::start(target)?;
    line.put(&Fetch { req: 1, media: digest, ..Fetch::default() })?;
    line.expect(kind::FETCH_READY)?;
    let mut hasher = blake3::Hasher::new();
    let mut got = 0;
    while got < plan.size as usize {
        line.expect(kind::CHUNK)?;
        let bytes = Chunk::parse(&line.payload)?.bytes;
        hasher.update(bytes);
        got += bytes.len();
    }
    let fetched = watch.stop()?;
    let grown_by_fetch = growth.kib()?;
    figures.faults.errors += u64::from(*hasher.finalize().as_bytes() != digest);

    let megabytes = f64::from(plan.size) / 1e6;
    figures.put("send_mb_per_s", megabytes / sent.seconds);
    figures.put("fetch_mb_per_s", megabytes / fetched.seconds);
    if let (Some(send), Some(fetch)) = (sent.server_cpu, fetched.server_cpu) {
        figures.put("send_cpu_s_per_gb", send * 1e3 / megabytes);
        figures.put("fetch_cpu_s_per_gb", fetch * 1e3 / megabytes);
    }
    if let (Some(send), Some(fetch)) = (grown_by_send, grown_by_fetch) {
        figures.put("send_kib_more", send);
        figures.put("fetch_kib_more", fetch);
    }
    if let (Some(send), Some(fetch)) = (sent.shares, fetched.shares) {
        figures.put("send_client_percent", send.client);
        figures.put("fetch_client_percent", fetch.client);
        figures.put("steal_percent", send.steal.max(fetch.steal));
    }
    Ok(figures)
}

/// How much more memory the server had at its peak than at the beginning.
struct Growth(Option<(Process, f64)>);

impl Growth {
    fn watch(target: &Target) -> Result<Growth> {
        let Some(process) = target.process.clone() else { return Ok(Growth(None)) };
        process.forget_peak()?;
        let before = process.resident()?;
        Ok(Growth(Some((process, before))))
    }

    fn kib(&self) -> Result<Option<f64>> {
        let Some((process, before)) = &self.0 else { return Ok(None) };
        Ok(Some((process.peak()? - before).max(0.0)))
    }
}

/// Bytes that nobody has sent before: a piece again and again, behind a number that is new.
struct Body {
    head: [u8; 8],
    piece: Vec<u8>,
    size: usize,
}

impl Body {
    fn new(size: usize) -> Result<Body> {
        let mut piece = vec![0; PIECE];
        getrandom::fill(&mut piece)?;
        Ok(Body { head: Nonces::new()?.next().to_be_bytes(), piece, size })
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let head = self.head.get(..self.size).unwrap_or(&self.head);
        let behind = self.size - head.len();
        let rest = (0..behind.div_ceil(PIECE)).map(move |n| &self.piece[..PIECE.min(behind - n * PIECE)]);
        std::iter::once(head).chain(rest)
    }

    fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for piece in self.pieces() {
            hasher.update(piece);
        }
        *hasher.finalize().as_bytes()
    }
}

/// A connection whose frames come one after the other.
struct Line {
    input: BufReader<TcpStream>,
    output: TcpStream,
    /// Of the frame that came last.
    payload: Vec<u8>,
    came: u8,
}

impl Line {
    fn put<'a>(&mut self, frame: &impl Payload<'a>) -> Result<()> {
        let mut out = Vec::new();
        frame.encode(&mut out)?;
        Ok(self.output.write_all(&out)?)
    }

    fn upload(&mut self, body: &Body, digest: [u8; 32]) -> Result<()> {
        let size = body.size as u64;
        self.put(&Upload { req: 1, media_kind: kind::FILE, size, digest, name: "" })?;
        self.expect(kind::UPLOAD_READY)?;
        let (mut at, mut safe) = (0, 0);
        let mut out = Vec::new();
        for bytes in body.pieces().flat_map(|piece| piece.chunks(CHUNK)) {
            while at + bytes.len() as u64 - safe > WINDOW {
                self.expect(kind::RECEIVED)?;
                safe = Received::parse(&self.payload)?.offset;
            }
            out.clear();
            Chunk { transfer: 1, offset: at, bytes }.encode(&mut out)?;
            self.output.write_all(&out)?;
            at += bytes.len() as u64;
        }
        while self.next()? == kind::RECEIVED {}
        self.is(kind::STORED)
    }

    fn expect(&mut self, kind: u8) -> Result<()> {
        self.next()?;
        self.is(kind)
    }

    fn is(&self, kind: u8) -> Result<()> {
        if self.came != kind {
            return Err(format!("a frame of type {:#04x} came, not {kind:#04x}", self.came).into());
        }
        Ok(())
    }

    fn next(&mut self) -> Result<u8> {
        let mut header = [0; HEADER_LEN];
        self.input.read_exact(&mut header)?;
        let [came, size @ ..] = header;
        self.payload.resize(u32::from_be_bytes(size) as usize, 0);
        self.input.read_exact(&mut self.payload)?;
        self.came = came;
        Ok(came)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_its_size() {
        for size in [1, 7, 8, 9, PIECE, PIECE + 8, 3 * PIECE + 1] {
            let body = Body::new(size).unwrap();
            assert_eq!(body.pieces().map(<[u8]>::len).sum::<usize>(), size);
        }
    }
}

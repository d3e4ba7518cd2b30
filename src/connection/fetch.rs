//! FETCH: chunks of media, read from their files as there is room for them, the running fetches in turn.

use super::output::{Chunk, Output, read_piece};
use super::queries::Fetch;
use crate::jobs::Jobs;
use crate::outbox::Budget;
use chatwire_codec::frame::kind;
use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

/// Bytes of media in one CHUNK.
const CHUNK: usize = 64 * 1024;
/// Bytes of media that are read at once.
const PIECE: usize = 2 * CHUNK;

/// The running fetches of a connection, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    waiting: VecDeque<Fetch>,
    reading: Option<Reading>,
}

/// A fetch that has ended.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) req: u32,
    /// Not all of it could be read.
    pub(super) failed: bool,
}

#[derive(Debug)]
struct Reading {
    req: u32,
    at: u64,
    end: u64,
    is_cancelled: bool,
    job: JoinHandle<io::Result<(File, Vec<u8>)>>,
}

impl Fetches {
    pub(super) fn add(&mut self, fetch: Fetch) {
        self.waiting.push_back(fetch);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.reading.is_none()
    }

    pub(super) fn cancel(&mut self, transfer: u32) {
        self.waiting.retain(|fetch| fetch.req != transfer);
        if let Some(reading) = &mut self.reading {
            reading.is_cancelled |= reading.req == transfer;
        }
    }

    /// Reads on where there is room; tells which fetches are done, and whether anything moved.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Output,
        budget: &Arc<Budget>,
        jobs: Jobs,
    ) -> (Vec<Done>, bool) {
        let (mut done, mut moved) = (Vec::new(), false);
        loop {
            if self.reading.is_none() {
                if !output.has_room_for_chunks(PIECE) {
                    break;
                }
                let Some(fetch) = self.waiting.pop_front() else { break };
                self.reading = Some(Reading::begin(fetch, jobs));
            }
            let Some(reading) = &mut self.reading else { break };
            let Poll::Ready(result) = Pin::new(&mut reading.job).poll(cx) else { break };
            let Some(reading) = self.reading.take() else { break };
            moved = true;
            match result {
                _ if reading.is_cancelled => {}
                Ok(Ok((file, piece))) => {
                    let fetch = reading.chunks(file, &piece, output, budget);
                    if fetch.at == fetch.end {
                        done.push(Done { req: fetch.req, failed: false });
                    } else {
                        self.waiting.push_back(fetch);
                    }
                }
                Ok(Err(e)) => done.push(reading.fail(&e)),
                Err(e) => done.push(reading.fail(&io::Error::other(e))),
            }
        }
        (done, moved)
    }
}

impl Reading {
    fn begin(fetch: Fetch, jobs: Jobs) -> Self {
        let Fetch { req, file, at, end } = fetch;
        let n = (end - at).min(PIECE as u64);
        let job = jobs.begin(move || read_piece(file, at, n));
        Reading { req, at, end, is_cancelled: false, job }
    }

    /// Queues what was read, and tells where to go on.
    fn chunks(self, file: File, piece: &[u8], output: &mut Output, budget: &Arc<Budget>) -> Fetch {
        let mut at = self.at;
        for bytes in piece.chunks(CHUNK) {
            output.chunk(Chunk { transfer: self.req, frame: chunk_frame(self.req, at, bytes) }, budget);
            at += bytes.len() as u64;
        }
        Fetch { req: self.req, file, at, end: self.end }
    }

    /// The file is not what it was.
    fn fail(&self, e: &io::Error) -> Done {
        log::error!("a fetch could not be read on at byte {}: {e}", self.at);
        Done { req: self.req, failed: true }
    }
}

/// A CHUNK frame, built without a second copy of its bytes.
fn chunk_frame(transfer: u32, offset: u64, bytes: &[u8]) -> Vec<u8> {
    let size = u32::try_from(12 + bytes.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(chatwire_codec::HEADER_LEN + 12 + bytes.len());
    frame.extend_from_slice(&chatwire_codec::header(kind::CHUNK, size));
    frame.extend_from_slice(&transfer.to_be_bytes());
    frame.extend_from_slice(&offset.to_be_bytes());
    frame.extend_from_slice(bytes);
    frame
}

//! Writes what waits, in order, many frames at once; a file's body in pieces, and nothing inside it.
//!
//! What is urgent (PONG, PING, SYNC) goes before all that waits, but never inside a unit: between two items. Chunks of
//! uploads go when nothing else waits.

use crate::connection::Shared;
use crate::error::{End, Problem};
use crate::limits::{READ_BYTES, WRITE_BYTES, WRITE_QUEUE};
use chatwire_codec::{Payload, frame};
use std::io;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;

/// Told of bytes done and bytes in all.
pub(crate) type Progress = Box<dyn FnMut(u64, u64) + Send>;

/// What waits to be written.
pub(crate) enum Outbound {
    /// Whole units.
    Frames(Vec<u8>),
    /// A unit that ends in a file.
    File(Box<FileBody>),
    /// The last thing said.
    Bye,
}

/// TO, a header, and the file that is its payload.
pub(crate) struct FileBody {
    pub(crate) head: Vec<u8>,
    pub(crate) file: File,
    pub(crate) size: u64,
    pub(crate) progress: Progress,
}

/// The sending side of a connection. It ends with BYE, when every handle is gone, or when something breaks.
pub(crate) struct Writer {
    socket: OwnedWriteHalf,
    queue: mpsc::Receiver<Outbound>,
    chunks: mpsc::Receiver<Vec<u8>>,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
}

/// Where to put what is to be written.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    /// What goes in order.
    pub(crate) queue: mpsc::Sender<Outbound>,
    /// Chunks of uploads, which all else passes.
    pub(crate) chunks: mpsc::Sender<Vec<u8>>,
}

impl Writer {
    /// `first` goes out before all else.
    pub(crate) fn new(socket: OwnedWriteHalf, shared: Arc<Shared>, first: Vec<u8>) -> (Lanes, Self) {
        let (sender, queue) = mpsc::channel(WRITE_QUEUE);
        let (chunk_sender, chunks) = mpsc::channel(1);
        let lanes = Lanes { queue: sender, chunks: chunk_sender };
        (lanes, Writer { socket, queue, chunks, shared, buffer: first })
    }

    pub(crate) async fn run(mut self) {
        let broken = self.write_all().await.err();
        self.shared.sending_ended(broken);
    }

    async fn write_all(&mut self) -> Result<(), End> {
        self.flush().await?;
        loop {
            let item = tokio::select! {
                biased;
                () = self.shared.urgent.notified() => None,
                item = self.queue.recv() => Some(item),
                Some(chunk) = self.chunks.recv() => Some(Some(Outbound::Frames(chunk))),
            };
            let has_ping = self.shared.take_urgent(&mut self.buffer);
            let next = match item {
                None => None,
                Some(None) => Some(Outbound::Bye),
                Some(Some(item)) => self.gather(item),
            };
            self.flush().await?;
            if has_ping {
                self.shared.ping_written();
            }
            match next {
                Some(Outbound::File(body)) => self.stream(*body).await?,
                Some(Outbound::Bye) => return self.bye().await,
                Some(Outbound::Frames(_)) | None => {}
            }
        }
    }

    /// Takes as many frames as one write should have; what cannot be gathered is given back.
    fn gather(&mut self, first: Outbound) -> Option<Outbound> {
        let mut item = first;
        loop {
            let Outbound::Frames(mut bytes) = item else { return Some(item) };
            self.buffer.append(&mut bytes);
            if self.buffer.len() >= WRITE_BYTES {
                return None;
            }
            item = self.queue.try_recv().ok()?;
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        self.socket.write_all(&self.buffer).await.map_err(|error| End::Network((&error).into()))?;
        self.buffer.clear();
        Ok(())
    }

    /// Once its header is written the body has to follow, whatever happens.
    async fn stream(&mut self, body: FileBody) -> Result<(), End> {
        let FileBody { head, file, size, mut progress } = body;
        let mut file = file.take(size);
        let mut done = 0;
        self.buffer.extend_from_slice(&head);
        while done < size {
            self.buffer.reserve(READ_BYTES);
            let read = file.read_buf(&mut self.buffer).await.map_err(|error| End::File((&error).into()))?;
            if read == 0 {
                return Err(End::File(shrunk()));
            }
            self.flush().await?;
            done += read as u64;
            progress(done, size);
        }
        self.flush().await
    }

    async fn bye(&mut self) -> Result<(), End> {
        let bye = frame::Bye::default().encode(&mut self.buffer);
        debug_assert!(bye.is_ok(), "{bye:?}");
        self.flush().await?;
        // The server may have closed already.
        let _ = self.socket.shutdown().await;
        Ok(())
    }
}

fn shrunk() -> Problem {
    Problem::from(&io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was sent"))
}

//! One connection: its socket, what has come and is not a whole frame yet, what could not be written yet.

use crate::Result;
use chatwire_codec::{Decoder, Limits};
use mio::net::TcpStream;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

pub(super) struct Conn {
    pub(super) stream: TcpStream,
    pub(super) decoder: Decoder,
    /// The beginning of a frame.
    pub(super) input: Vec<u8>,
    pub(super) out: Vec<u8>,
    /// Whether it waits for the next flush.
    pub(super) is_dirty: bool,
}

impl Conn {
    pub(super) fn open(addr: SocketAddr) -> Result<Conn> {
        let stream = std::net::TcpStream::connect(addr).map_err(|e| format!("{addr}: {e}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Conn {
            stream: TcpStream::from_std(stream),
            decoder: Decoder::client(Limits::default()),
            input: Vec::new(),
            out: Vec::new(),
            is_dirty: false,
        })
    }

    /// Writes what the socket takes.
    pub(super) fn write(&mut self) -> Result<()> {
        let mut written = 0;
        while written < self.out.len() {
            match self.stream.write(&self.out[written..]) {
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        if written == self.out.len() {
            self.out.clear();
        } else {
            self.out.drain(..written);
        }
        Ok(())
    }
}

/// Reads until nothing is left to be read, and gives it to `take`, which moves past what it took. What is
/// left is kept in `input`; most of the time that is nothing, and the bytes are taken where they were read.
pub(super) fn read_all(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    input: &mut Vec<u8>,
    mut take: impl FnMut(&mut &[u8]) -> Result<()>,
) -> Result<()> {
    loop {
        let n = match stream.read(buffer) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.into()),
        };
        if input.is_empty() {
            let mut rest = &buffer[..n];
            take(&mut rest)?;
            input.extend_from_slice(rest);
        } else {
            input.extend_from_slice(&buffer[..n]);
            let mut rest = &input[..];
            take(&mut rest)?;
            let used = input.len() - rest.len();
            input.drain(..used);
        }
        if n < buffer.len() {
            return Ok(());
        }
    }
}

//! A connection's bytes on their way: what the client has sent and the server not read, what the server has written
//! and the client not got. It decides nothing: the run says when how many bytes move, and when it breaks.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Default)]
struct Lane {
    bytes: VecDeque<u8>,
    /// Whoever sends says nothing more.
    is_over: bool,
    waker: Option<Waker>,
}

/// Both directions. Clones are the same.
#[derive(Clone)]
pub(crate) struct Pipe(Arc<Mutex<Inner>>);

struct Inner {
    up: Lane,
    down: Lane,
    /// Bytes that either lane holds.
    room: usize,
    /// Whoever reads or writes is told that the network failed.
    is_broken: bool,
}

impl Pipe {
    pub(crate) fn new(room: usize) -> Pipe {
        let (up, down) = (Lane::default(), Lane::default());
        Pipe(Arc::new(Mutex::new(Inner { up, down, room, is_broken: false })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Bytes that the client could send now.
    pub(crate) fn room_up(&self) -> usize {
        let inner = self.lock();
        inner.room.saturating_sub(inner.up.bytes.len())
    }

    /// From the client to the server's socket.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        inner.up.bytes.extend(bytes);
        wake(&mut inner.up.waker);
    }

    /// The client has ended its sending side.
    pub(crate) fn end_up(&self) {
        let mut inner = self.lock();
        inner.up.is_over = true;
        wake(&mut inner.up.waker);
    }

    /// Bytes that are on their way to the client.
    pub(crate) fn waiting_down(&self) -> usize {
        self.lock().down.bytes.len()
    }

    /// Bytes that the server has not read.
    pub(crate) fn waiting_up(&self) -> usize {
        self.lock().up.bytes.len()
    }

    /// Whether the server has closed and all that it said has come.
    pub(crate) fn is_over_down(&self) -> bool {
        let inner = self.lock();
        inner.down.is_over && inner.down.bytes.is_empty()
    }

    /// Up to `n` bytes come to the client.
    pub(crate) fn take(&self, n: usize) -> Vec<u8> {
        let mut inner = self.lock();
        let n = n.min(inner.down.bytes.len());
        let (front, back) = inner.down.bytes.as_slices();
        let in_front = n.min(front.len());
        let bytes = [&front[..in_front], &back[..n - in_front]].concat();
        inner.down.bytes.drain(..n);
        wake(&mut inner.down.waker);
        bytes
    }

    /// The network fails: what was on its way is lost.
    pub(crate) fn cut(&self) {
        let mut inner = self.lock();
        inner.is_broken = true;
        inner.up.bytes.clear();
        inner.down.bytes.clear();
        wake(&mut inner.up.waker);
        wake(&mut inner.down.waker);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// The server's end.
pub(crate) struct ServerEnd(pub(crate) Pipe);

impl Drop for ServerEnd {
    fn drop(&mut self) {
        self.0.lock().down.is_over = true;
    }
}

impl AsyncRead for ServerEnd {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if inner.is_broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if inner.up.bytes.is_empty() {
            if inner.up.is_over {
                return Poll::Ready(Ok(()));
            }
            inner.up.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (front, _) = inner.up.bytes.as_slices();
        let n = front.len().min(buf.remaining());
        buf.put_slice(&front[..n]);
        inner.up.bytes.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServerEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        if inner.is_broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = inner.room.saturating_sub(inner.down.bytes.len());
        if room == 0 {
            inner.down.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut left = room;
        for buf in bufs {
            let n = buf.len().min(left);
            inner.down.bytes.extend(&buf[..n]);
            left -= n;
        }
        Poll::Ready(Ok(room - left))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().down.is_over = true;
        Poll::Ready(Ok(()))
    }
}

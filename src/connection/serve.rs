//! The life of a connection as the runtime has it: a future that serves, and then closes.

use super::{Connection, Origin, Shared, input};
use crate::places::Place;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};

/// After its end a connection's input is thrown away for so long, or so many bytes, so that what was sent
/// last is not lost in a reset.
const DISCARD_FOR: Duration = Duration::from_secs(2);
const DISCARD_BYTES: usize = 1024 * 1024;

/// Serves one connection, accepted at that moment, until it is over.
///
/// Not an `async fn`: what such a one is given and what it does next lie in it side by side, and there is one of
/// these for every client that is connected.
pub struct Serve<S> {
    stage: Stage<S>,
    /// The connection's place among those that may be, given back when all is over.
    _place: Place,
}

#[expect(clippy::large_enum_variant, reason = "the large one is what it is nearly always")]
enum Stage<S> {
    Serving(Connection<S>),
    Closing(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Serve<S> {
    /// Enters the hub.
    pub fn new(shared: Arc<Shared>, stream: S, origin: Origin, accepted: Instant, place: Place) -> Self {
        let connection = Connection::new(shared, stream, origin, accepted);
        Serve { stage: Stage::Serving(connection), _place: place }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Future for Serve<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Stage::Serving(connection) = &mut self.stage {
            ready!(connection.poll(cx));
            let Stage::Serving(connection) =
                std::mem::replace(&mut self.stage, Stage::Closing(Box::pin(async {})))
            else {
                return Poll::Ready(());
            };
            // Its place in the hub is given back before the socket is closed.
            let Connection { stream, is_dead, .. } = connection;
            if is_dead {
                return Poll::Ready(());
            }
            self.stage = Stage::Closing(Box::pin(close(stream)));
        }
        match &mut self.stage {
            Stage::Closing(closing) => closing.as_mut().poll(cx),
            Stage::Serving(_) => Poll::Pending,
        }
    }
}

/// Ends the sending side, and throws away what still comes for a while.
pub async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let discard = async {
        if std::future::poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await.is_err() {
            return;
        }
        let mut left = DISCARD_BYTES;
        while left > 0 {
            let read = std::future::poll_fn(|cx| {
                input::with_scratch(|scratch| {
                    let mut buf = tokio::io::ReadBuf::new(scratch);
                    ready!(Pin::new(&mut stream).poll_read(cx, &mut buf))?;
                    Poll::Ready(Ok::<usize, std::io::Error>(buf.filled().len()))
                })
            });
            match read.await {
                Ok(0) | Err(_) => return,
                Ok(n) => left = left.saturating_sub(n),
            }
        }
    };
    // Either way the connection is over.
    let _ = tokio::time::timeout(DISCARD_FOR, discard).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    /// With what the runtime adds it is 640 bytes; one more and it would be 768, for each that is connected.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Serve<TcpStream>>() <= 528, "{}", size_of::<Serve<TcpStream>>());
    }
}

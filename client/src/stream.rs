//! The way of a connection's bytes: TCP, or TLS over it.

use crate::error::Error;
use crate::options::Options;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// The receiving side.
pub(crate) type ReadHalf = Box<dyn AsyncRead + Send + Sync + Unpin>;
/// The sending side. What is written must be flushed: TLS may keep some of it.
pub(crate) type WriteHalf = Box<dyn AsyncWrite + Send + Sync + Unpin>;

/// Connects to `host:port`, as the options say. Over TLS nothing is sent before the server has proven who it is.
pub(crate) async fn connect(address: &str, options: &Options) -> Result<(ReadHalf, WriteHalf), Error> {
    let unreachable = |error: io::Error| Error::Unreachable((&error).into());
    let socket = TcpStream::connect(address).await.map_err(unreachable)?;
    socket.set_nodelay(true).map_err(unreachable)?;
    #[cfg(feature = "tls")]
    if let Some(tls) = &options.tls {
        let (reader, writer) = tokio::io::split(tls.connect(address, socket).await?);
        return Ok((Box::new(reader), Box::new(writer)));
    }
    #[cfg(not(feature = "tls"))]
    let _ = options;
    let (reader, writer) = socket.into_split();
    Ok((Box::new(reader), Box::new(writer)))
}

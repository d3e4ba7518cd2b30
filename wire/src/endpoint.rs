//! A server's address, and the two halves of a connection to it: over TCP, or TLS over TCP.
//!
//! Who reads and who writes are different threads, so the halves are apart.

use crate::cli::Trust;
use crate::error::Error;
use crate::tls;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a connection may take to be made, and each answer of a handshake to come.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    door: Door,
    /// `HOST:PORT`.
    address: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Tcp,
    Tls,
}

/// What a connection is written to.
pub(crate) trait Sink: Write + Send {
    /// Ends the sending side; what comes can still be read.
    fn finish(&mut self) -> io::Result<()>;
}

/// A connection.
pub(crate) struct Link {
    pub reader: Box<dyn Read + Send>,
    pub writer: Box<dyn Sink>,
    /// The server's end of it.
    pub peer: SocketAddr,
}

impl Endpoint {
    /// `HOST:PORT`, `tcp://HOST:PORT` or `tls://HOST:PORT`.
    pub(crate) fn parse(text: &str) -> Result<Endpoint, Error> {
        let (door, address) = match text.split_once("://") {
            None => (Door::Tcp, text),
            Some(("tcp", address)) => (Door::Tcp, address),
            Some(("tls", address)) => (Door::Tls, address),
            Some((scheme, _)) => {
                return Err(Error::Usage(format!(
                    "{scheme}:// is no door of a server that wire knows: tcp, tls"
                )));
            }
        };
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Endpoint { door, address: address.into() })
            }
            _ => Err(Error::Usage(format!("`{text}` is no server: write HOST:PORT"))),
        }
    }

    pub(crate) fn connect(&self, trust: &Trust) -> Result<Link, Error> {
        let failed = |error| Error::Connect { server: self.to_string(), error };
        let socket = self.socket().map_err(failed)?;
        let peer = socket.peer_addr()?;
        if self.door == Door::Tls {
            let (reader, writer) = tls::connect(socket, self.host(), tls::config(trust)?).map_err(failed)?;
            return Ok(Link { reader: Box::new(reader), writer: Box::new(writer), peer });
        }
        let writer = Box::new(socket.try_clone()?);
        Ok(Link { reader: Box::new(socket), writer, peer })
    }

    fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or("", |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    fn socket(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    return Ok(socket);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.door {
            Door::Tcp => f.write_str(&self.address),
            Door::Tls => write!(f, "tls://{}", self.address),
        }
    }
}

impl Sink for TcpStream {
    fn finish(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::{Door, Endpoint};

    #[test]
    fn a_server_is_a_host_and_a_port_behind_a_door() {
        let door = |text| Endpoint::parse(text).map(|endpoint| endpoint.door).ok();
        assert_eq!(door("localhost:8000"), Some(Door::Tcp));
        assert_eq!(door("[::1]:8000"), Some(Door::Tcp));
        assert_eq!(door("tls://chat.example:8001"), Some(Door::Tls));
        assert_eq!(Endpoint::parse("tls://[::1]:8001").unwrap().host(), "::1");
        for text in ["localhost", "localhost:", ":8000", "ws://localhost:80", "localhost:99999"] {
            assert_eq!(door(text), None, "{text}");
        }
    }
}

//! The doors that clients come in by: opened here, or handed over by whoever started the server (LISTEN_FDS, as
//! systemd does).

use super::Error;
use crate::config::Config;
use crate::listener::Door;
use crate::tls::Keys;
use socket2::SockRef;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system keeps until they are accepted. Of those that find no room each tries again a
/// second later, so it is as long as systems allow: all clients of a server come back at once when it restarts.
const BACKLOG: u32 = 4096;
/// Bytes beside those under way that the system may have unsent for a connection. Left to itself it takes megabytes for a
/// client that reads nothing, of memory that all connections share, and of work for nobody.
#[cfg(target_os = "linux")]
const UNSENT_IN_SYSTEM: u32 = 64 * 1024;
/// The name that a socket for TLS is handed over by; every other name is for plain TCP.
const TLS: &str = "tls";

/// Sockets that were handed over.
#[derive(Default)]
pub(super) struct Handed {
    tcp: Vec<std::net::TcpListener>,
    tls: Vec<std::net::TcpListener>,
}

/// Takes what was handed over. Before any thread runs, since it is told of in the environment.
pub(super) fn handed() -> Result<Handed, Error> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut sockets = listenfd::ListenFd::from_env();
    let mut handed = Handed::default();
    for (at, name) in (0..sockets.len()).zip(names.split(':').chain(std::iter::repeat(""))) {
        let taken = sockets.take_tcp_listener(at).map_err(|e| Error::Handed(at, e))?;
        let kind = if name == TLS { &mut handed.tls } else { &mut handed.tcp };
        kind.extend(taken);
    }
    Ok(handed)
}

/// Opens all doors. A kind of which one was handed over is not opened.
pub(super) fn open(config: &Config, handed: Handed, keys: Option<&Arc<Keys>>) -> Result<Vec<Door>, Error> {
    let mut doors = Vec::new();
    for socket in kind(handed.tcp, config.listen_tcp)? {
        doors.push(Door { listener: socket, keys: None });
    }
    for socket in kind(handed.tls, config.listen_tls)? {
        let Some(keys) = keys else { return Err(Error::NoKeys) };
        doors.push(Door { listener: socket, keys: Some(keys.clone()) });
    }
    if doors.is_empty() { Err(Error::NoDoor) } else { Ok(doors) }
}

fn kind(handed: Vec<std::net::TcpListener>, address: Option<SocketAddr>) -> Result<Vec<TcpListener>, Error> {
    if handed.is_empty() {
        let opened = address.map(|address| listen(address).map_err(|e| Error::Listen(address, e)));
        return opened.into_iter().collect();
    }
    let adopt = |socket: std::net::TcpListener| {
        socket.set_nonblocking(true)?;
        tune(&SockRef::from(&socket))?;
        TcpListener::from_std(socket)
    };
    let adopted = handed.into_iter().enumerate();
    adopted.map(|(at, socket)| adopt(socket).map_err(|e| Error::Handed(at, e))).collect()
}

/// Binds a door, as `TcpListener::bind` does, but for the length of its queue.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    tune(&SockRef::from(&socket))?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What a door has, each connection that comes in by it has too.
fn tune(door: &SockRef<'_>) -> io::Result<()> {
    // Frames are small and written together: waiting for more would only delay them.
    door.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    door.set_tcp_notsent_lowat(UNSENT_IN_SYSTEM)?;
    Ok(())
}

/// Says on stdout that clients may come, and where: a line a door.
pub(super) fn announce(doors: &[Door]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for door in doors {
        let kind = if door.keys.is_some() { TLS } else { "tcp" };
        writeln!(stdout, "listening {kind} {}", door.listener.local_addr()?)?;
    }
    stdout.flush()
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    /// Has a client come in by this door, and says what its connection is like: not delayed, and how much may be unsent.
    async fn accepted(doors: Vec<TcpListener>) -> (bool, Option<u32>) {
        let door = doors.first().expect("a door");
        let _client =
            std::net::TcpStream::connect(door.local_addr().expect("an address")).expect("a connection");
        let (stream, _) = door.accept().await.expect("a connection");
        let stream = SockRef::from(&stream);
        #[cfg(target_os = "linux")]
        let unsent = stream.tcp_notsent_lowat().ok();
        #[cfg(not(target_os = "linux"))]
        let unsent = None;
        (stream.tcp_nodelay().expect("an answer"), unsent)
    }

    #[tokio::test]
    async fn connections_are_quick_and_hold_little_in_the_system_whoever_opened_their_door() {
        let expected = (true, cfg!(target_os = "linux").then_some(64 * 1024));
        let own = kind(Vec::new(), Some(([127, 0, 0, 1], 0).into())).expect("opened");
        assert_eq!(accepted(own).await, expected);
        let handed = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        assert_eq!(accepted(kind(vec![handed], None).expect("adopted")).await, expected);
    }
}

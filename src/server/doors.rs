//! The doors that clients come in by: opened here, or handed over by whoever started the server (LISTEN_FDS, as
//! systemd does).

use super::Error;
use crate::config::Config;
use crate::listener::Door;
use crate::tls::Keys;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system keeps until they are accepted. Of those that find no room each tries again a
/// second later, so it is as long as systems allow: all clients of a server come back at once when it restarts.
const BACKLOG: u32 = 4096;
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
        TcpListener::from_std(socket)
    };
    let adopted = handed.into_iter().enumerate();
    adopted.map(|(at, socket)| adopt(socket).map_err(|e| Error::Handed(at, e))).collect()
}

/// Binds a door, as `TcpListener::bind` does, but for the length of its queue.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
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

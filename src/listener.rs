//! Accepts connections, over TCP and over TLS, and admits as many as may be: the rest wait a while for a place, and
//! are then told.

use crate::clock;
use crate::connection::{self, Origin, Serve, Shared};
use crate::delivery;
use crate::error::Refusal;
use crate::places::{Full, Place, Places};
use crate::policy::source::{Exempt, Source};
use crate::tls::Keys;
use chatwire_codec::Code;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// When to come back where there was no place.
const COME_BACK: Duration = Duration::from_secs(5);
/// TLS handshakes at once; more wait, within their time. Each may make the server keep 64 KiB.
const HANDSHAKES: usize = 1024;
/// Encrypted bytes that wait for the socket: one record of TLS.
const UNSENT_BYTES: usize = 16 * 1024;
/// How long the acceptor rests when the system gives it no connection, as when descriptors have run out.
const REST: Duration = Duration::from_millis(100);

/// Who may come in, by any door.
pub struct Entrance {
    /// What all connections share.
    pub shared: Arc<Shared>,
    /// Who has a place.
    pub places: Places,
    /// What may change while it is open.
    rules: Mutex<Rules>,
    /// Connections that may still be told.
    telling: Semaphore,
    /// Handshakes that may still begin.
    handshakes: Semaphore,
    /// All connections.
    pub tasks: TaskTracker,
    /// Nobody comes in any more.
    pub stop: CancellationToken,
}

/// What may change while a door is open.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How long to wait for a place.
    pub patience: Duration,
    /// How long a TLS handshake may take, from the accept on.
    pub hello: Duration,
    /// Who is not counted for its address.
    pub exempt: Exempt,
}

/// Where connections come in.
pub struct Door {
    /// Where it is.
    pub listener: TcpListener,
    /// What its connections are encrypted with; `None`: nothing.
    pub keys: Option<Arc<Keys>>,
}

impl Entrance {
    /// Nobody is there yet. `turned_away`: connections that may be told at once why they are not let in; more are
    /// closed without a word.
    #[must_use]
    pub fn new(shared: Arc<Shared>, places: Places, rules: Rules, turned_away: usize) -> Self {
        let (telling, handshakes) = (Semaphore::new(turned_away), Semaphore::new(HANDSHAKES));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Entrance { shared, places, rules: Mutex::new(rules), telling, handshakes, tasks, stop }
    }

    /// Other rules from now on.
    pub fn set_rules(&self, rules: Rules) {
        *self.rules() = rules;
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts until the entrance stops. Every connection is a task.
pub async fn accept(door: Door, entrance: Arc<Entrance>) {
    let mut has_failed = false;
    loop {
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            () = entrance.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                has_failed = false;
                let (at, keys) = (clock::instant(), door.keys.clone());
                admit(Arrival { stream, peer, at, keys, entrance: entrance.clone() });
            }
            // The client has gone before it was accepted.
            Err(e) if is_of_one_connection(&e) => {}
            Err(e) => {
                if !std::mem::replace(&mut has_failed, true) {
                    log::warn!("no connection can be accepted: {e}; trying on");
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

fn admit(arrival: Arrival) {
    let entrance = arrival.entrance.clone();
    // Whoever is banned takes nobody's place.
    if let Err(refusal) = entrance.shared.warden.admit(arrival.peer.ip()) {
        return drop(entrance.tasks.spawn(refuse(arrival, refusal)));
    }
    let source = entrance.rules().exempt.source(arrival.peer.ip());
    match entrance.places.take(source) {
        Some(place) => arrival.serve(place),
        None => drop(entrance.tasks.spawn(wait(arrival, source))),
    }
}

/// A connection that has come and is not served yet.
struct Arrival {
    stream: TcpStream,
    peer: SocketAddr,
    at: Instant,
    keys: Option<Arc<Keys>>,
    entrance: Arc<Entrance>,
}

impl Arrival {
    /// Goes on in a task of just the size that a connection takes.
    fn serve(self, place: Place) {
        let tasks = self.entrance.tasks.clone();
        if self.keys.is_some() {
            return drop(tasks.spawn(secure(self, place)));
        }
        let origin = Origin { address: self.peer, is_private: self.peer.ip().is_loopback() };
        drop(tasks.spawn(Serve::new(self.entrance.shared.clone(), self.stream, origin, self.at, place)));
    }

    /// The handshake, in its time and when it is its turn.
    async fn shake_hands(self, keys: &Keys) -> Option<TlsStream<TcpStream>> {
        let by = self.at + self.entrance.rules().hello;
        let shaking = async {
            let _turn = self.entrance.handshakes.acquire().await.ok()?;
            let bounded = |tls: &mut ServerConnection| tls.set_buffer_limit(Some(UNSENT_BYTES));
            let shaken = keys.acceptor().accept_with(self.stream, bounded).await;
            shaken.inspect_err(|e| log::debug!("{}: no TLS: {e}", self.peer)).ok()
        };
        tokio::select! {
            biased;
            () = self.entrance.stop.cancelled() => None,
            shaken = timeout_at(by.into(), shaking) => shaken.ok().flatten(),
        }
    }
}

/// A connection over TLS, which counts as one that nobody listens to.
async fn secure(arrival: Arrival, place: Place) {
    let Some(keys) = arrival.keys.clone() else { return };
    let (shared, tasks) = (arrival.entrance.shared.clone(), arrival.entrance.tasks.clone());
    let (origin, at) = (Origin { address: arrival.peer, is_private: true }, arrival.at);
    if let Some(stream) = arrival.shake_hands(&keys).await {
        drop(tasks.spawn(Serve::new(shared, stream, origin, at, place)));
    }
}

/// All places are taken: waits for one a while.
async fn wait(arrival: Arrival, source: Option<Source>) {
    let entrance = arrival.entrance.clone();
    let patience = entrance.rules().patience;
    let place = tokio::select! {
        biased;
        () = entrance.stop.cancelled() => Err(Full::All),
        place = entrance.places.wait(source, patience) => place,
    };
    let text = match place {
        Ok(place) => return arrival.serve(place),
        Err(Full::All) => "the server has no place for another connection; come back later",
        Err(Full::Address) => "this address has as many connections as one may; close one of them first",
    };
    refuse(arrival, Refusal::too_early(Code::Busy, text, COME_BACK)).await;
}

/// Says why somebody is not let in, if there are not too many who are told so.
async fn refuse(arrival: Arrival, why: Refusal) {
    let entrance = arrival.entrance.clone();
    let Ok(_telling) = entrance.telling.try_acquire() else { return };
    match arrival.keys.clone() {
        None => turn_away(arrival.stream, &why).await,
        Some(keys) => {
            if let Some(stream) = arrival.shake_hands(&keys).await {
                turn_away(stream, &why).await;
            }
        }
    }
}

async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, why: &Refusal) {
    let mut frames = Vec::new();
    delivery::error(&mut frames, delivery::ABOUT_NOTHING, 0, why);
    // Whoever does not listen has gone away already.
    let _ = stream.write_all(&frames).await;
    connection::close(stream).await;
}

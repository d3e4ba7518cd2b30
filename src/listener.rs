//! Accepts connections and admits as many as may be: the rest wait a while for a place, and are then told.

use crate::clock;
use crate::connection::{self, Origin, Serve, Shared};
use crate::delivery;
use crate::error::Refusal;
use chatwire_codec::Code;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections that may wait for a place; more are turned away at once.
const WAITING: usize = 1024;
/// When to come back where there was no place.
const COME_BACK_MS: u32 = 5_000;
/// Connections that are being told why they are not let in; more are closed without a word.
const TURNED_AWAY: usize = 256;
/// How long the acceptor rests when the system gives it no connection, as when descriptors have run out.
const REST: Duration = Duration::from_millis(100);

/// Who may come in.
#[derive(Clone, Debug)]
pub struct Door {
    /// Places that are free.
    places: Arc<Semaphore>,
    /// Places to wait in that are free.
    waiting: Arc<Semaphore>,
    /// Connections that may still be told.
    telling: Arc<Semaphore>,
    /// How long to wait for a place.
    patience: Duration,
}

impl Door {
    /// A door with so many places behind it.
    #[must_use]
    pub fn new(places: usize, patience: Duration) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let (places, waiting, telling) = (semaphore(places), semaphore(WAITING), semaphore(TURNED_AWAY));
        Door { places, waiting, telling, patience }
    }
}

/// Accepts until `stop`. Every connection is a task of `tasks`.
pub async fn accept(
    listener: TcpListener,
    door: Door,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let guest = Arrival { stream, peer, at: clock::instant(), shared: shared.clone() };
                // Whoever is banned takes nobody's place.
                if let Err(refusal) = shared.warden.admit(peer.ip()) {
                    drop(tasks.spawn(refuse(guest, door.clone(), refusal)));
                    continue;
                }
                match door.places.clone().try_acquire_owned() {
                    Ok(place) => drop(tasks.spawn(guest.serve(place))),
                    Err(_) => drop(tasks.spawn(wait(guest, door.clone(), tasks.clone(), stop.clone()))),
                }
            }
            Err(e) => {
                log::warn!("no connection could be accepted: {e}");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// A connection that has come and is not served yet.
struct Arrival {
    stream: TcpStream,
    peer: SocketAddr,
    at: Instant,
    shared: Arc<Shared>,
}

impl Arrival {
    fn serve(self, place: OwnedSemaphorePermit) -> Serve<TcpStream> {
        // Frames are small and written together: waiting for more would only delay them.
        if let Err(e) = self.stream.set_nodelay(true) {
            log::debug!("{}: {e}", self.peer);
        }
        let origin = Origin { address: self.peer, is_private: self.peer.ip().is_loopback() };
        Serve::new(self.shared, self.stream, origin, self.at, place)
    }
}

/// All places are taken: waits for one a while. Who gets one goes on in a task of just its size.
async fn wait(arrival: Arrival, door: Door, tasks: TaskTracker, stop: CancellationToken) {
    match place(&door, &stop).await {
        Some(place) => drop(tasks.spawn(arrival.serve(place))),
        None => {
            let text = "the server has no place for another connection; come back later";
            let busy = Refusal { retry_ms: COME_BACK_MS, ..Refusal::new(Code::Busy, text) };
            refuse(arrival, door, busy).await;
        }
    }
}

/// Says why somebody is not let in, if there are not too many who are told so.
async fn refuse(arrival: Arrival, door: Door, why: Refusal) {
    let Ok(_telling) = door.telling.try_acquire() else { return };
    turn_away(arrival.stream, &why).await;
}

async fn place(door: &Door, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    let _waiting = door.waiting.try_acquire().ok()?;
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        place = tokio::time::timeout(door.patience, door.places.clone().acquire_owned()) => place.ok()?.ok(),
    }
}

async fn turn_away(mut stream: TcpStream, why: &Refusal) {
    let mut frames = Vec::new();
    delivery::error(&mut frames, delivery::ABOUT_NOTHING, 0, why);
    // Whoever does not listen has gone away already.
    let _ = stream.write_all(&frames).await;
    connection::close(stream).await;
}

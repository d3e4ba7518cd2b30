//! Accepts connections and admits as many as may be: the rest wait a while for a place, and are then told.

use crate::clock;
use crate::connection::{self, Origin, Shared};
use crate::delivery;
use crate::error::Refusal;
use chatwire_codec::Code;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections that may wait for a place; more are turned away at once.
const WAITING: usize = 1024;
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
                let now = clock::instant();
                drop(tasks.spawn(admit(stream, peer, door.clone(), shared.clone(), stop.clone(), now)));
            }
            Err(e) => {
                log::warn!("no connection could be accepted: {e}");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    shared: Arc<Shared>,
    stop: CancellationToken,
    accepted: Instant,
) {
    // Whoever is banned takes nobody's place.
    if let Err(refusal) = shared.warden.admit(peer.ip()) {
        let Ok(_telling) = door.telling.try_acquire() else { return };
        return Box::pin(turn_away(stream, &refusal)).await;
    }
    let place = match door.places.clone().try_acquire_owned() {
        Ok(place) => place,
        Err(_) => match Box::pin(wait(&door, &stop)).await {
            Some(place) => place,
            None => {
                let Ok(_telling) = door.telling.try_acquire() else { return };
                return Box::pin(turn_away(stream, &no_place())).await;
            }
        },
    };
    // Frames are small and written together: waiting for more would only delay them.
    if let Err(e) = stream.set_nodelay(true) {
        log::debug!("{peer}: {e}");
    }
    let origin = Origin { address: peer, is_private: peer.ip().is_loopback() };
    connection::serve(shared, stream, origin, accepted).await;
    drop(place);
}

async fn wait(door: &Door, stop: &CancellationToken) -> Option<tokio::sync::OwnedSemaphorePermit> {
    let _waiting = door.waiting.try_acquire().ok()?;
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        place = tokio::time::timeout(door.patience, door.places.clone().acquire_owned()) => place.ok()?.ok(),
    }
}

fn no_place() -> Refusal {
    let text = "the server has no place for another connection; come back later";
    Refusal { retry_ms: 5_000, ..Refusal::new(Code::Busy, text) }
}

async fn turn_away(mut stream: TcpStream, why: &Refusal) {
    let mut frames = Vec::new();
    delivery::error(&mut frames, delivery::ABOUT_NOTHING, 0, why);
    // Whoever does not listen has gone away already.
    let _ = stream.write_all(&frames).await;
    connection::close(stream).await;
}

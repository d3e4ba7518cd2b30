//! Builds the parts, joins them, and stops them in order.

use crate::assistant::{Builtin, Desk, Echo};
use crate::auth::Auth;
use crate::clock;
use crate::config::{AssistantKind, Config};
use crate::connection::{Reading, Shared};
use crate::hub::{Greeting, Hub, Listener};
use crate::listener::{self, Door};
use crate::permits::Permits;
use crate::quota::Quota;
use crate::session::Rules;
use crate::store::Store;
use crate::store::media::MediaStore;
use crate::store::sqlite::{OpenError, Options, SqliteStore};
use crate::uploads::Uploads;
use crate::warden::Warden;
use chatwire_codec::Limits;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Descriptors for what is no connection: the database, files of media, those who wait at the door.
const SPARE_DESCRIPTORS: u64 = 512;
/// Jobs on the disk that run at once: each holds a page or a piece of a file in memory.
const DISK_THREADS: usize = 64;
/// Connections to the database that read.
const READERS: u32 = 8;
/// Connections that the system keeps until they are accepted. Of those that find no room each tries again a
/// second later, so it is as long as systems allow: all clients of a server come back at once when it restarts.
const BACKLOG: u32 = 4096;
/// How long the connections have to end when the server stops.
const DRAIN: Duration = Duration::from_secs(8);

/// Why the server could not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The bans cannot be read.
    #[error("the bans cannot be read: {0}")]
    Bans(Box<str>),
    /// The folder of the media cannot be used.
    #[error("the media folder cannot be used: {0}")]
    Media(io::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The system denies something that every process may have.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Serves until SIGTERM or Ctrl-C, then ends what is under way. A second signal ends the process at once.
///
/// # Errors
/// If it cannot begin.
pub fn run(config: &Config) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(DISK_THREADS)
        .build()?;
    let store = Arc::new(SqliteStore::open(Options {
        data: config.data.clone(),
        durability: config.durability,
        readers: READERS,
        clock: Arc::new(clock::wall),
    })?);
    let result = runtime.block_on(serve(config, store.clone()));
    // Jobs on the disk may still hold the store; they end with the runtime.
    runtime.shutdown_timeout(DRAIN);
    store.close();
    if result.is_ok() {
        log::info!("stopped");
    }
    result
}

async fn serve(config: &Config, store: Arc<SqliteStore>) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let address = config.listen_tcp;
    let socket = listen(address).map_err(|e| Error::Listen(address, e))?;
    let shared = Arc::new(join(config, &store)?);

    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let door = Door::new(places(config.limits.connections), config.limits.wait);
    log::info!("the data is in {}", config.data.display());
    announce(&socket)?;
    let accepting = listener::accept(socket, door, shared.clone(), tasks.clone(), stop.clone());
    let accepting = tokio::spawn(accepting);
    let walking = AbortOnDropHandle::new(tokio::spawn(
        shared.warden.clone().walk(shared.hub.clone(), shared.uploads.clone()),
    ));

    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    stop.cancel();
    // It has no other way to end than the one that it was just shown.
    let _ = accepting.await;
    drop(walking);
    tasks.close();
    let open = shared.hub.shut_down();
    log::info!("stopping; {open} connections are open");
    tokio::select! {
        () = tasks.wait() => {}
        () = tokio::time::sleep(DRAIN) => log::warn!("{} connections did not end in time", tasks.len()),
        _ = terminate.recv() => log::warn!("stopped by a second signal"),
        _ = tokio::signal::ctrl_c() => log::warn!("stopped by a second signal"),
    }
    Ok(())
}

/// Binds a door, as `TcpListener::bind` does, but for the length of its queue.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// As many connections as are wished for, if the system has a descriptor for each.
fn places(wished: usize) -> usize {
    let wanted = wished as u64 + SPARE_DESCRIPTORS;
    let allowed = rlimit::increase_nofile_limit(wanted).unwrap_or(u64::MAX);
    let places = usize::try_from(allowed.saturating_sub(SPARE_DESCRIPTORS)).unwrap_or(usize::MAX).max(1);
    if places < wished {
        log::warn!(
            "limits.connections is {wished}, but the system allows {allowed} open files: at most {places} \
             connections are served; raise the limit (ulimit -n, LimitNOFILE) or lower the setting"
        );
    }
    places.min(wished)
}

/// Gives each part what it needs of the others.
fn join(config: &Config, store: &Arc<SqliteStore>) -> Result<Shared, Error> {
    let as_store: Arc<dyn Store> = store.clone();
    let permits = Permits::new(config.limits.messages_in_flight);
    let greeting = Greeting {
        epoch: store.epoch(),
        heartbeat: whole_secs(config.timing.heartbeat),
        max_text: config.limits.text_bytes,
        max_media: config.limits.media_bytes,
        connections_per_user: config.limits.connections_per_user,
    };
    let assistant = assistant(config, &as_store);
    let hub = Arc::new(Hub::new(as_store.clone(), greeting, permits.clone(), assistant, clock::wall));
    let media = Arc::new(MediaStore::open(&config.data).map_err(Error::Media)?);
    store.frees(media.clone());
    store.start(hub.clone())?;
    let warden = Warden::new(as_store.clone()).map_err(|refusal| Error::Bans(refusal.text.into()))?;
    let halves = media.halves().map_err(Error::Media)?;
    let quota = Quota::new(as_store.clone(), config.limits.storage, &halves);
    let uploads = Arc::new(Uploads::new(as_store.clone(), media.clone(), quota.clone()));
    Ok(Shared {
        hub,
        auth: Arc::new(Auth::new(as_store.clone())),
        warden: Arc::new(warden),
        store: as_store,
        media,
        quota,
        uploads,
        permits,
        rules: Arc::new(Rules {
            policy: config.policy.clone(),
            heartbeat: config.timing.heartbeat,
            hello: config.timing.hello,
            frame: config.timing.frame,
            stall: config.timing.stall,
            max_media: config.limits.media_bytes.into(),
        }),
        reading: Reading::default(),
        limits: Limits { max_text: config.limits.text_bytes, max_media: config.limits.media_bytes },
    })
}

fn assistant(config: &Config, store: &Arc<dyn Store>) -> Option<Arc<dyn Listener>> {
    let max_text = config.limits.text_bytes;
    match config.assistant {
        AssistantKind::None => None,
        AssistantKind::Echo => {
            let (desk, work) = Desk::open(Echo, store.clone(), max_text);
            drop(tokio::spawn(work));
            Some(Arc::new(desk))
        }
        AssistantKind::Builtin => {
            let (desk, work) = Desk::open(Builtin, store.clone(), max_text);
            drop(tokio::spawn(work));
            Some(Arc::new(desk))
        }
    }
}

/// Seconds, rounded up: a client that waits so long waits long enough.
fn whole_secs(span: Duration) -> u16 {
    let secs = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    u16::try_from(secs).unwrap_or(u16::MAX)
}

/// Says on stdout that clients may come.
fn announce(socket: &TcpListener) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening tcp {}", socket.local_addr()?)?;
    stdout.flush()
}

//! Builds the parts, joins them, and stops them in order.

mod descriptors;
mod doors;
mod reload;
mod systemd;
#[cfg(test)]
mod tests;

use crate::assistant::{Builtin, Desk, Echo};
use crate::auth::Auth;
use crate::clock;
use crate::config::{AssistantKind, Config, Sources};
use crate::connection::{Reading, Shared};
use crate::hub::{Greeting, Hub, Listener};
use crate::jobs::Jobs;
use crate::listener::{self, Entrance};
use crate::permits::Permits;
use crate::places::Places;
use crate::quota::Quota;
use crate::store::Store;
use crate::store::media::MediaStore;
use crate::store::sqlite::{OpenError, Options, SqliteStore};
use crate::tls;
use crate::turns::Turns;
use crate::uploads::Uploads;
use crate::warden::Warden;
use chatwire_codec::Limits;
use doors::Handed;
use reload::InForce;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

/// Jobs on the disk that run at once: each holds a page or a piece of a file in memory.
const DISK_THREADS: usize = 64;
/// Connections to the database that read.
const READERS: u32 = 8;
/// How long the connections have to end when the server stops. Within three seconds each has been told all that it
/// will be (`session`); the rest is for clients to close.
const DRAIN: Duration = Duration::from_secs(4);
/// How long jobs on the disk have to end after that.
const LAST_JOBS: Duration = Duration::from_millis(500);

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
    /// A socket that was handed over is none that can be used.
    #[error("the socket number {0} of those that were handed over (LISTEN_FDS) cannot be used: {1}")]
    Handed(usize, io::Error),
    /// Nobody could come in.
    #[error("no door is open: set listen.tcp or listen.tls")]
    NoDoor,
    /// A socket for TLS was handed over, and there is nothing to encrypt with.
    #[error("a socket named tls was handed over, and tls.cert and tls.key are not set")]
    NoKeys,
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The system denies something that every process may have.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Serves until SIGTERM or Ctrl-C, then ends what is under way. A second signal ends the process at once. SIGHUP has
/// the settings read again from `sources`.
///
/// # Errors
/// If it cannot begin.
pub fn run(sources: &Sources, config: &Config) -> Result<(), Error> {
    let handed = doors::handed()?;
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
    let result = runtime.block_on(serve(sources, config, handed, store.clone()));
    // Connections that are left, and jobs on the disk, may still hold the store; they end with the runtime.
    runtime.shutdown_timeout(LAST_JOBS);
    store.close();
    result.inspect(|()| log::info!("stopped"))
}

async fn serve(
    sources: &Sources,
    config: &Config,
    handed: Handed,
    store: Arc<SqliteStore>,
) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    let keys = reload::keys(config).transpose()?.map(Arc::new);
    let doors = doors::open(config, handed, keys.as_ref())?;
    let shared = Arc::new(join(config, &store)?);
    let shares = descriptors::share(config.limits.connections);
    let places = Places::new(reload::bounds(config, shares));
    let entrance =
        Arc::new(Entrance::new(shared.clone(), places, reload::door_rules(config), shares.turned_away));
    let mut in_force = InForce::new(sources.clone(), config.clone(), keys, entrance.clone());
    in_force.apply(shares);

    log::info!("the data is in {}", config.data.display());
    doors::announce(&doors)?;
    let accepting: Vec<_> =
        doors.into_iter().map(|door| tokio::spawn(listener::accept(door, entrance.clone()))).collect();
    let walking = AbortOnDropHandle::new(tokio::spawn(
        shared.warden.clone().walk(shared.hub.clone(), shared.uploads.clone()),
    ));
    systemd::ready("serving");
    while signals.wants_reload().await {
        systemd::reloading();
        systemd::ready(in_force.reload());
    }

    systemd::stopping();
    entrance.stop.cancel();
    for accepting in accepting {
        // It has no other way to end than the one that it was just shown.
        let _ = accepting.await;
    }
    // Gone before the runtime is: a job of its that has not begun by then would be taken for one that failed.
    walking.abort();
    let _ = walking.await;
    entrance.tasks.close();
    let open = shared.hub.shut_down();
    log::info!("stopping; {open} connections are open");
    tokio::select! {
        () = entrance.tasks.wait() => {}
        () = tokio::time::sleep(DRAIN) => {
            log::warn!("{} connections did not end in time", entrance.tasks.len());
        }
        () = signals.ends() => log::warn!("stopped by a second signal"),
    }
    Ok(())
}

/// What the system tells the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// SIGTERM, or Ctrl-C.
    async fn ends(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// SIGHUP; false when it is time to end.
    async fn wants_reload(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => false,
            _ = self.hangup.recv() => true,
        }
    }
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
    };
    let assistant = assistant(config, &as_store);
    let hub = Arc::new(Hub::new(as_store.clone(), greeting, permits.clone(), assistant, clock::wall));
    let media = Arc::new(MediaStore::open(&config.data).map_err(Error::Media)?);
    store.frees(media.clone());
    store.start(hub.clone())?;
    let warden = Warden::new(as_store.clone()).map_err(|refusal| Error::Bans(refusal.text.into()))?;
    let halves = media.halves().map_err(Error::Media)?;
    let quota = Quota::new(as_store.clone(), config.limits.storage, &halves);
    let uploads = Arc::new(Uploads::new(as_store.clone(), media.clone(), quota.clone(), Jobs::OnThreads));
    let warden = Arc::new(warden);
    Ok(Shared {
        turns: Arc::new(Turns::new(clock::instant(), hub.line().clone())),
        hub,
        auth: Arc::new(Auth::new(as_store.clone(), warden.clone())),
        warden,
        store: as_store,
        media,
        quota,
        uploads,
        permits,
        rules: RwLock::new(Arc::new(reload::rules(config))),
        reading: Reading::default(),
        jobs: Jobs::OnThreads,
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

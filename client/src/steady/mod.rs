//! A client that never loses its place: the handle, and what it shares with the tasks behind it.
//!
//! ```text
//!   Steady ──► Journey ◄── driver ──► connection, connection, … (one after the other)
//!   send        decides      │  ▲
//!                 │          │  └── feeder: what is unsent, onto the connection that is there
//!              changes       └────► NewsFeed
//!                 ▼
//!               saver ──► Storage
//! ```

mod driver;
mod news;
mod saver;

pub use news::{News, State};

use crate::client::{Client, Sending, unix_ms};
use crate::core::Journey;
use crate::error::{Error, Problem};
use crate::kept::Parcel;
use crate::limits::{
    ADDRESSES, BACKOFF_FIRST, BACKOFF_MOST, NEWS, TEXT_BYTES, UNSENT_BYTES, UNSENT_MESSAGES,
};
use crate::options::Options;
use crate::outgoing::{Outgoing, OutgoingFile};
use crate::request::{Joined, Left};
use crate::storage::Storage;
use chatwire_codec::frame;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

/// JOIN's flag: the user stays in the connection's former room.
const STAY: u8 = 1;

/// Where a steady client finds its server, who it is there, and where it keeps its place.
pub struct Setup {
    /// The server's addresses, such as `chat.example.org:8000`, the best first: at least one, and at most
    /// [`ADDRESSES`].
    pub addresses: Vec<String>,
    /// How to present oneself where no token is kept, or the token is refused.
    pub options: Options,
    /// Where the token, the positions and what is unsent are kept.
    pub storage: Box<dyn Storage>,
    /// How long it waits between tries.
    pub pace: Pace,
}

/// The pauses between tries: each is twice as long as the one before, and half of it is left to chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The first.
    pub first: Duration,
    /// The longest, unless the server wants a longer one.
    pub most: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { first: BACKOFF_FIRST, most: BACKOFF_MOST }
    }
}

impl Setup {
    /// One address, at the usual pace.
    pub fn new(address: impl Into<String>, options: Options, storage: impl Storage) -> Self {
        Setup { addresses: vec![address.into()], options, storage: Box::new(storage), pace: Pace::default() }
    }
}

/// A client that never loses its place. It connects by itself and again and again, comes back as the same user,
/// sends what was not confirmed once more, and goes on with each chat where it stood.
///
/// Clones are the same client. When the last one is dropped it closes, as [`Steady::close`] does, and does not
/// wait.
#[derive(Clone, Debug)]
pub struct Steady {
    inner: Arc<Inner>,
}

/// Held by every clone. Its drop ends the tasks.
#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.closing.send_replace(true);
    }
}

/// What the handle and the tasks share.
struct Shared {
    journey: Mutex<Journey>,
    waiting: Mutex<HashMap<u64, Waiting>>,
    state: watch::Sender<State>,
    /// The connection that is there.
    client: watch::Sender<Option<Client>>,
    /// The program wants no more.
    closing: watch::Sender<bool>,
    /// The tasks have ended, and everything is kept.
    done: watch::Sender<bool>,
    /// Calls of [`Shared::keep`], and how many of them were answered by saving.
    asked: Mutex<u64>,
    saved: watch::Sender<u64>,
    /// Wakes the saver: at once, and in a moment.
    save_now: Notify,
    save_soon: Notify,
    /// Wakes the feeder.
    feed: Notify,
    /// Wakes the driver: there is news from elsewhere.
    look: Notify,
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// Whoever waits for a message's answer, and the room that the message takes.
struct Waiting {
    reply: oneshot::Sender<Result<frame::Status, Error>>,
    progress: Option<Progress>,
    _room: [OwnedSemaphorePermit; 2],
}

/// Told of bytes done and bytes in all, and that again when a file goes once more.
type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Shared {
    fn journey(&self) -> MutexGuard<'_, Journey> {
        self.journey.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, u64> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything up to now is saved, or could not be.
    async fn keep(&self) {
        let ticket = {
            let mut asked = self.asked();
            *asked += 1;
            *asked
        };
        self.save_now.notify_one();
        // An error means that the tasks are gone: then it was tried.
        let _ = self.saved.subscribe().wait_for(|saved| *saved >= ticket).await;
    }
}

/// What a steady client tells, in order.
///
/// Take news steadily: while [`NEWS`] of them and [`crate::EVENT_BYTES`] behind them wait, the client stops
/// reading. Asking for the next says that the one before is dealt with: its position is kept then, within
/// [`crate::POSITIONS_SAVED`]. So nothing is lost in a crash of the program, and what was dealt with in its last
/// moment is told again.
#[derive(Debug)]
pub struct NewsFeed {
    queue: mpsc::Receiver<News>,
    shared: Arc<Shared>,
    dealt_with: Option<(u64, u64)>,
}

impl NewsFeed {
    /// The next; `None` behind [`State::Failed`] and [`State::Closed`].
    pub async fn next(&mut self) -> Option<News> {
        if let Some((chat, seq)) = self.dealt_with.take() {
            self.shared.journey().taken(chat, seq);
            self.shared.save_soon.notify_one();
        }
        let news = self.queue.recv().await?;
        if let News::Message(message) = &news {
            self.dealt_with = Some((message.chat, message.seq));
        }
        Some(news)
    }
}

impl Steady {
    /// Reads what was kept, and begins to connect in the background.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::Invalid`]: no address, or what no HELLO can say.
    pub async fn start(setup: Setup) -> Result<(Steady, NewsFeed), Error> {
        let Setup { addresses, options, mut storage, pace } = setup;
        if addresses.is_empty() || addresses.len() > ADDRESSES {
            return Err(Error::Invalid("a server has 1 to 16 addresses"));
        }
        options.hello()?;
        let random = u32::try_from(random()? >> u32::BITS).unwrap_or(0);
        let loading = tokio::task::spawn_blocking(move || storage.load().map(|kept| (storage, kept)));
        let lost = |_| Error::Invalid("the storage panicked");
        let (storage, kept) =
            loading.await.map_err(lost)?.map_err(|error| Error::Storage(Problem::from(&error)))?;

        let first = State::Connecting { address: addresses[0].clone() };
        let journey = Journey::new(addresses.clone(), options, pace, kept, random, Instant::now());
        let shared = Arc::new(Shared {
            journey: Mutex::new(journey),
            waiting: Mutex::default(),
            state: watch::Sender::new(first),
            client: watch::Sender::new(None),
            closing: watch::Sender::new(false),
            done: watch::Sender::new(false),
            asked: Mutex::new(0),
            saved: watch::Sender::new(0),
            save_now: Notify::new(),
            save_soon: Notify::new(),
            feed: Notify::new(),
            look: Notify::new(),
            messages: Arc::new(Semaphore::new(UNSENT_MESSAGES)),
            bytes: Arc::new(Semaphore::new(UNSENT_BYTES)),
        });
        let (news, queue) = mpsc::channel(NEWS);
        let saver = saver::Saver::new(storage, shared.clone(), news.clone());
        tokio::spawn(driver::run(addresses, shared.clone(), news, saver));
        let feed = NewsFeed { queue, shared: shared.clone(), dealt_with: None };
        Ok((Steady { inner: Arc::new(Inner { shared }) }, feed))
    }

    /// What the client is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared().state.borrow().clone()
    }

    /// Takes a message to be sent, online or not, and waits until it is kept: from then on it is sent until it
    /// is answered, over any number of connections, and stored once. What comes of it is what [`Sending`]
    /// becomes, and [`News::Answered`]. It waits for room while too much is unsent.
    ///
    /// [`crate::Target::Current`] is the chat that is current now, wherever the client is when it goes out; before
    /// the first connection that is the home chat.
    ///
    /// Messages go out in the order in which they were taken. (One that the server finds too fast is sent
    /// again; those that were under way behind it may be stored before it.)
    ///
    /// # Errors
    /// The message cannot be sent as it is, or the client is over.
    pub async fn send(&self, message: Outgoing) -> Result<Sending, Error> {
        message.encode(1, TEXT_BYTES)?;
        self.take(Parcel::Message(message), None).await
    }

    /// The same for a file, which is read when its turn comes, and has to stay as it is until the answer. One that is
    /// larger than [`crate::FRAME_FILE_BYTES`] is uploaded beside what else is sent, several at a time, and goes on
    /// behind a lost connection where it was; its message is sent when all of it is there. `progress` is told of
    /// bytes done and bytes in all.
    ///
    /// # Errors
    /// As [`Steady::send`].
    pub async fn send_file(
        &self,
        file: OutgoingFile,
        progress: impl Fn(u64, u64) + Send + Sync + 'static,
    ) -> Result<Sending, Error> {
        file.head(1, crate::MediaKind::File, 0)?;
        if file.path.to_str().is_none() {
            return Err(Error::Invalid("a file's path has to be UTF-8"));
        }
        let path = std::path::absolute(&file.path).map_err(|error| Error::file(&file.path, &error))?;
        self.take(Parcel::File(OutgoingFile { path, ..file }), Some(Arc::new(progress))).await
    }

    async fn take(&self, parcel: Parcel, progress: Option<Progress>) -> Result<Sending, Error> {
        let shared = self.shared();
        let weight = u32::try_from(parcel.weight().max(1)).unwrap_or(u32::MAX);
        let over = |_| shared.journey().over().cloned().unwrap_or(Error::Over);
        let message = shared.messages.clone().acquire_owned().await.map_err(over)?;
        let bytes = shared.bytes.clone().acquire_many_owned(weight).await.map_err(over)?;
        let (reply, answer) = oneshot::channel();
        let nonce = {
            let mut journey = shared.journey();
            let nonce = journey.send(parcel, unix_ms())?;
            let waiting = Waiting { reply, progress, _room: [message, bytes] };
            shared.waiting().insert(nonce, waiting);
            nonce
        };
        shared.keep().await;
        Ok(Sending::new(nonce, answer))
    }

    /// The connection that is there, or the next one: for requests and fetches, which a lost connection fails.
    /// It is waited for as long as it takes.
    ///
    /// # Errors
    /// There is none any more: the client failed or was closed.
    pub async fn online(&self) -> Result<Client, Error> {
        let mut client = self.shared().client.subscribe();
        let mut state = self.shared().state.subscribe();
        loop {
            if let Some(client) = client.borrow_and_update().clone() {
                return Ok(client);
            }
            match &*state.borrow_and_update() {
                State::Failed(why) => return Err(why.clone()),
                State::Closed => return Err(Error::Over),
                _ => {}
            }
            tokio::select! {
                Ok(()) = client.changed() => {}
                Ok(()) = state.changed() => {}
                else => return Err(Error::Over),
            }
        }
    }

    /// Enters a room, and makes it if it is missing. It becomes [`crate::Target::Current`]; no other room is
    /// left. A guest's rooms are entered again on every connection.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn join(&self, room: &str) -> Result<Joined, Error> {
        let join = frame::Join { room, flags: STAY, ..frame::Join::default() };
        let joined = self.online().await?.request(join).await?;
        self.shared().journey().entered(joined.chat);
        Ok(joined)
    }

    /// Leaves a room or group.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn leave(&self, chat: u64) -> Result<Left, Error> {
        self.online().await?.leave(chat).await
    }

    /// Waits until the positions of all messages that were dealt with are kept.
    pub async fn keep(&self) {
        self.shared().keep().await;
    }

    /// Ends the connection in order, keeps what is to be kept, and ends. What is not confirmed by then is sent
    /// the next time that a client starts with the same storage.
    pub async fn close(self) {
        let shared = self.shared();
        shared.closing.send_replace(true);
        let _ = shared.done.subscribe().wait_for(|done| *done).await;
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }
}

fn random() -> Result<u64, Error> {
    getrandom::u64().map_err(|_| Error::Invalid("this system gives no random numbers"))
}

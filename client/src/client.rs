//! The handle: sends, asks, fetches and leaves.

use crate::connection::{self, Events, Opened, Shared};
use crate::core::{Ask, Listener, Waiting};
use crate::error::{End, Error};
use crate::limits::{CLOSE_TIME, FRAME_FILE_BYTES};
use crate::options::{Options, Welcome};
use crate::outgoing::{Outgoing, OutgoingFile};
use crate::request::{Answer, Chat, Found, Joined, Left, List, Page, Participant, Request, Room};
use crate::sniff::{SNIFF_BYTES, kind_of};
use crate::upload::Upload;
use crate::writer::{FileBody, Lanes, Outbound};
use chatwire_codec::{MediaKind, Payload, frame};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::net::ToSocketAddrs;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// A connection to a server; clones are the same connection.
///
/// When the last clone is dropped the client says goodbye, as [`Client::bye`] does, and does not wait.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

/// Held by every clone. Its drop closes the queue, by which the writer ends.
#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    lanes: Lanes,
    welcome: Welcome,
}

/// A message on its way. It becomes its STATUS, or why there is none.
///
/// Dropping it changes nothing for the message.
#[derive(Debug)]
pub struct Sending {
    nonce: u64,
    answer: Answered<frame::Status>,
}

/// A request on its way. It begins when it is first polled, and borrows nothing of the request.
pub type Asking<'c, A> = Pin<Box<dyn Future<Output = Result<A, Error>> + Send + 'c>>;

pub(crate) type Answered<T> = oneshot::Receiver<Result<T, Error>>;

impl Sending {
    pub(crate) fn new(nonce: u64, answer: Answered<frame::Status>) -> Self {
        Sending { nonce, answer }
    }

    /// The message's nonce: if the connection ends first, send it again with this.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.nonce
    }
}

impl Future for Sending {
    type Output = Result<frame::Status, Error>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(settled)
    }
}

impl Client {
    /// Connects to a server and presents itself.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::TimedOut`], or what the server has against it: [`Error::Refused`].
    pub async fn connect(addr: impl ToSocketAddrs, options: Options) -> Result<(Client, Events), Error> {
        let opened = connection::open(addr, &options, Listener::Program, &[]).await?;
        Ok(Client::of(opened))
    }

    pub(crate) fn of(opened: Opened) -> (Client, Events) {
        let Opened { shared, lanes, events, welcome } = opened;
        (Client { inner: Arc::new(Inner { shared, lanes, welcome }) }, events)
    }

    /// What the server said when it took the client.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.inner.welcome
    }

    /// Sends a message and waits until it is stored for good.
    ///
    /// # Errors
    /// As [`Client::start`]; or the server refused it, or the connection ended.
    pub async fn send(&self, message: Outgoing) -> Result<frame::Status, Error> {
        self.start(message).await?.await
    }

    /// Sends a message and waits for nothing but room: start many, await them later. They go out in the order
    /// in which they were started.
    ///
    /// # Errors
    /// The message cannot be sent as it is, or the connection has ended.
    pub async fn start(&self, message: Outgoing) -> Result<Sending, Error> {
        self.start_kept(&message, false).await
    }

    /// The same; `whole`: its STATUS is enough to make the message as it comes to others.
    pub(crate) async fn start_kept(&self, message: &Outgoing, whole: bool) -> Result<Sending, Error> {
        let max_text = self.inner.welcome.max_text;
        let place = self.place(&self.inner.shared.messages).await?;
        let make = |nonce| message.encode(nonce, max_text).map(Outbound::Frames);
        self.dispatch(message.nonce, place, whole, make).await
    }

    /// Has a chat's messages come from a position on, and waits for nothing.
    pub(crate) fn catch_up(&self, chat: u64, after: u64) {
        // If there is no room for another chat, it has no place.
        let _ = self.inner.shared.with(|core| core.catch_up(chat, after));
    }

    /// Sends a file as one message, read as it goes, and waits until it is stored for good. `progress` is told
    /// of bytes done and bytes in all. One of up to [`FRAME_FILE_BYTES`] goes in one frame; a larger one is uploaded
    /// first ([`Client::upload`]), and its message is sent when it is there.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::TooLarge`], or as [`Client::send`]. [`chatwire_codec::Code::BadMedia`]: send
    /// it as [`MediaKind::File`].
    pub async fn send_file(
        &self,
        message: OutgoingFile,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<frame::Status, Error> {
        let (file, size, sniffed) = open_file(&message.path).await?;
        let kind = message.kind.unwrap_or(sniffed);
        if size > FRAME_FILE_BYTES {
            drop(file);
            let upload = Upload { path: message.path.clone(), kind: Some(kind) };
            let media = self.upload(upload, progress).await?;
            return self.send(message.refer(media)).await;
        }
        let limit = self.inner.welcome.max_media;
        let frame_size = u32::try_from(size).ok().filter(|_| limit == 0 || size <= limit);
        let frame_size = frame_size.ok_or(Error::TooLarge { size, limit })?;
        let place = self.place(&self.inner.shared.messages).await?;
        let sending = self.dispatch(message.nonce, place, false, |nonce| {
            let head = message.head(nonce, kind, frame_size)?;
            Ok(Outbound::File(Box::new(FileBody { head, file, size, progress: Box::new(progress) })))
        });
        sending.await?.await
    }

    /// Names a message, and queues what `make` makes of it, in one step: so the queue's order is the order.
    async fn dispatch(
        &self,
        nonce: u64,
        place: OwnedSemaphorePermit,
        whole: bool,
        make: impl FnOnce(u64) -> Result<Outbound, Error>,
    ) -> Result<Sending, Error> {
        let slot = self.slot().await?;
        let (waiting, answer) = Waiting::new(Some(place));
        self.inner.shared.with(|core| {
            let nonce = core.send(nonce, unix_ms(), whole, waiting)?;
            let outbound = make(nonce).inspect_err(|_| core.unsend(nonce))?;
            slot.send(outbound);
            Ok(Sending { nonce, answer })
        })
    }

    /// Asks the server for anything of [`frame`] that is a [`Request`]; its `req` is filled in.
    ///
    /// # Errors
    /// The request cannot be said, the server refused it, or the connection ended.
    pub fn request<'a, R: Request<'a>>(&self, request: R) -> Asking<'_, R::Answer> {
        let ask = Ask::new(request, None);
        let answer_of: fn(Answer) -> Option<R::Answer> = R::answer;
        Box::pin(async move {
            let (_, answer) = self.ask(ask?).await?;
            answer_of(settled(answer.await)?).ok_or(Error::Violation("an answer to another request"))
        })
    }

    pub(crate) async fn ask(&self, ask: Ask) -> Result<(u32, Answered<Answer>), Error> {
        let place = self.place(&self.inner.shared.requests).await?;
        let slot = self.slot().await?;
        let (waiting, answer) = Waiting::new(Some(place));
        self.inner.shared.with(|core| {
            let (req, bytes) = core.ask(ask, waiting)?;
            slot.send(Outbound::Frames(bytes));
            Ok((req, answer))
        })
    }

    /// Enters a room, and makes it if it is missing. It becomes the current chat instead of the former one.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn join(&self, room: &str) -> Result<Joined, Error> {
        self.request(frame::Join { room, ..frame::Join::default() }).await
    }

    /// Leaves a room or group; 0: the current room.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn leave(&self, chat: u64) -> Result<Left, Error> {
        self.request(frame::Leave { chat, ..frame::Leave::default() }).await
    }

    /// Up to 200 rooms behind the one of this name, by name.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn rooms(&self, after: &str) -> Result<List<Room>, Error> {
        self.request(frame::Rooms { after, ..frame::Rooms::default() }).await
    }

    /// Up to 200 members of a chat behind this user, by id.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn participants(&self, chat: u64, after: u64) -> Result<List<Participant>, Error> {
        self.request(frame::Participants { chat, after, ..frame::Participants::default() }).await
    }

    /// Up to 200 of the user's chats behind this one, by id.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn chats(&self, after: u64) -> Result<List<Chat>, Error> {
        self.request(frame::Chats { after, ..frame::Chats::default() }).await
    }

    /// The newest `limit` messages (1 to 200) of a chat below `before` (0: of all).
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn history(&self, chat: u64, before: u64, limit: u16) -> Result<Page, Error> {
        self.request(frame::History { chat, before, limit, ..frame::History::default() }).await
    }

    /// The newest `limit` messages (1 to 200) with all words of `query`, of a chat or (0) of all of the user's. How
    /// to go on behind a page, see [`frame::Search`].
    ///
    /// # Errors
    /// As [`Client::request`]; `bad_media`: there is no word in the query.
    pub async fn search(&self, chat: u64, query: &str, limit: u16) -> Result<Found, Error> {
        self.request(frame::Search { chat, query, limit, ..frame::Search::default() }).await
    }

    /// Removes a message for everybody: one's own, any in a group that one owns or in one's home chat. Again is the
    /// same.
    ///
    /// # Errors
    /// As [`Client::request`]; `forbidden`: it is not one's to remove; `not_found`: there is no such message.
    pub async fn delete(&self, chat: u64, seq: u64) -> Result<frame::Deleted, Error> {
        self.request(frame::Delete { chat, seq, ..frame::Delete::default() }).await
    }

    /// Has a chat's messages behind `after` come as events, running into live ones.
    ///
    /// # Errors
    /// As [`Client::request`]; `not_found`: this position was never given.
    pub async fn sync(&self, chat: u64, after: u64) -> Result<frame::Synced, Error> {
        self.request(frame::Sync { chat, after, ..frame::Sync::default() }).await
    }

    /// Ends a transfer by the number of its request. ([`Client::fetch`] does so when it is dropped.)
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn cancel(&self, transfer: u32) -> Result<frame::Cancelled, Error> {
        self.request(frame::Cancel { transfer, ..frame::Cancel::default() }).await
    }

    /// Tells the others in a chat that the user is writing, or has stopped. Nothing answers it.
    ///
    /// # Errors
    /// The connection ended.
    pub async fn typing(&self, chat: u64, on: bool) -> Result<(), Error> {
        self.tell(&frame::Typing { chat, on: on.into(), ..frame::Typing::default() }).await
    }

    /// Tells others that this device is online (1) or away (2). Nothing answers it.
    ///
    /// # Errors
    /// The connection ended.
    pub async fn presence(&self, presence: u8) -> Result<(), Error> {
        self.tell(&frame::Presence { presence, ..frame::Presence::default() }).await
    }

    async fn tell<'a>(&self, event: &impl Payload<'a>) -> Result<(), Error> {
        let mut bytes = Vec::new();
        event.encode(&mut bytes)?;
        self.slot().await?.send(Outbound::Frames(bytes));
        Ok(())
    }

    /// How long a PING takes to come back.
    ///
    /// # Errors
    /// Too many wait already, or the connection ended.
    pub async fn ping(&self) -> Result<Duration, Error> {
        let start = Instant::now();
        let (waiting, answer) = Waiting::new(None);
        self.inner.shared.with(|core| core.ping(waiting))?;
        settled(answer.await)?;
        Ok(start.elapsed())
    }

    /// The last `seq` that came of each chat. With [`Welcome::epoch`] they are what a program keeps, to
    /// [`Client::sync`] from there on another connection.
    #[must_use]
    pub fn positions(&self) -> Vec<(u64, u64)> {
        self.inner.shared.with(|core| core.positions())
    }

    /// Ends the connection in order: what was sent before is answered first.
    ///
    /// # Errors
    /// The connection broke instead, or the server did not end it in time.
    pub async fn bye(self) -> Result<(), Error> {
        let mut ended = self.inner.shared.ended.subscribe();
        let bye = async {
            if let Ok(slot) = self.slot().await {
                slot.send(Outbound::Bye);
            }
            let _ = ended.wait_for(|ended| *ended).await;
        };
        tokio::time::timeout(CLOSE_TIME, bye).await.map_err(|_| Error::TimedOut("saying goodbye"))?;
        match self.why_ended() {
            Error::Disconnected(End::Bye { code: 0, .. } | End::Closed) => Ok(()),
            error => Err(error),
        }
    }

    pub(crate) fn why_ended(&self) -> Error {
        self.inner.shared.why_ended()
    }

    /// Sends a chunk of an upload, when nothing else waits.
    pub(crate) async fn send_chunk(&self, chunk: Vec<u8>) -> Result<(), Error> {
        self.inner.lanes.chunks.send(chunk).await.map_err(|_| self.why_ended())
    }

    /// One of the uploads that may run at once.
    pub(crate) async fn upload_place(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.place(&self.inner.shared.uploads).await
    }

    pub(crate) fn abandon(&self, transfer: u32) {
        self.inner.shared.with(|core| core.abandon(transfer));
    }

    async fn place(&self, places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
        places.clone().acquire_owned().await.map_err(|_| self.why_ended())
    }

    async fn slot(&self) -> Result<mpsc::Permit<'_, Outbound>, Error> {
        self.inner.lanes.queue.reserve().await.map_err(|_| self.why_ended())
    }
}

/// Whoever waits is told before the connection goes; if not, it went.
pub(crate) fn settled<T>(answer: Result<Result<T, Error>, oneshot::error::RecvError>) -> Result<T, Error> {
    answer.unwrap_or(Err(Error::Disconnected(End::Closed)))
}

pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Opens a file to be sent: its size, and what its first bytes say that it is.
pub(crate) async fn open_file(path: &Path) -> Result<(File, u64, MediaKind), Error> {
    let error = |error| Error::file(path, &error);
    // Looked at before it is opened: opening a pipe waits for its other end.
    if !tokio::fs::metadata(path).await.map_err(error)?.is_file() {
        return Err(Error::Invalid("only plain files can be sent"));
    }
    let mut file = File::open(path).await.map_err(error)?;
    let size = file.metadata().await.map_err(error)?.len();
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    (&mut file).take(SNIFF_BYTES as u64).read_to_end(&mut head).await.map_err(error)?;
    file.rewind().await.map_err(error)?;
    Ok((file, size, kind_of(&head)))
}

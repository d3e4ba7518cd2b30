//! One connection's life: HELLO, then reading until its end. It moves bytes and decides nothing.
//!
//! ```text
//!  socket ─► buffer ─► Decoder ─► Core ─┬─► Events, a bounded queue     (full: reading stops)
//!                                       ├─► a fetch's pieces, likewise
//!                                       └─► PONG, SYNC ─► Writer ─► socket
//! ```
//!
//! Reconnecting stands above this module, in `steady`: it makes one connection after the other.

use crate::core::{Beat, Core, Delivery, Heartbeat, Known, Listener, Nonces, Told};
use crate::error::{End, Error, TlsProblem};
use crate::event::Event;
use crate::limits::{
    CLOSE_TIME, CONNECT_TIME, EVENT_BYTES, EVENT_COST, MESSAGES_IN_FLIGHT, OPENING_CHATS, READ_BYTES,
    REQUESTS_PENDING, TEXT_BYTES, UPLOADS,
};
use crate::options::{Options, Welcome};
use crate::stream::{self, ReadHalf, WriteHalf};
use crate::writer::{Lanes, Writer};
use bytes::{Buf, BytesMut};
use chatwire_codec::{Decoder, Frame, Limits};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

/// What the server tells unasked, in order.
///
/// Take events steadily: when [`EVENT_BYTES`] of them wait, the client stops reading, and then no answer comes
/// either. So await answers in another task than the one that takes events, or take events meanwhile. Dropping
/// this throws all events away and lets the answers come.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::UnboundedReceiver<(Told, OwnedSemaphorePermit)>,
}

impl Events {
    /// The next one; `None` behind [`Event::Disconnected`].
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            // A program is told of events alone.
            if let Told::Event(event) = self.told().await? {
                return Some(event);
            }
        }
    }

    /// The same, with all that whoever keeps a place wants to know.
    pub(crate) async fn told(&mut self) -> Option<Told> {
        self.queue.recv().await.map(|(told, _room)| told)
    }
}

/// What the handle, the reader and the writer of one connection share. It lives as long as any of them.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Wakes the writer: the core has something urgent.
    pub(crate) urgent: Notify,
    /// Wakes the reader: the sending side has ended.
    closing: Notify,
    /// Becomes true once, at the connection's end.
    pub(crate) ended: watch::Sender<bool>,
    /// A place for each message in flight; closed at the end.
    pub(crate) messages: Arc<Semaphore>,
    /// A place for each request; closed at the end.
    pub(crate) requests: Arc<Semaphore>,
    /// A place for each upload; closed at the end.
    pub(crate) uploads: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    core: Core,
    heartbeat: Heartbeat,
    /// What broke the sending side.
    broken: Option<End>,
}

impl Shared {
    fn new(core: Core, heartbeat: Heartbeat) -> Self {
        Shared {
            state: Mutex::new(State { core, heartbeat, broken: None }),
            urgent: Notify::new(),
            closing: Notify::new(),
            ended: watch::Sender::new(false),
            messages: Arc::new(Semaphore::new(MESSAGES_IN_FLIGHT)),
            requests: Arc::new(Semaphore::new(REQUESTS_PENDING)),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks into the core, and wakes the writer if that made something urgent.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Core) -> T) -> T {
        let mut state = self.lock();
        let result = f(&mut state.core);
        if state.core.has_urgent() {
            self.urgent.notify_one();
        }
        result
    }

    /// Appends what is urgent, and says whether the heartbeat's PING is among it.
    pub(crate) fn take_urgent(&self, out: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        state.core.take_urgent(out);
        state.heartbeat.is_asked()
    }

    /// The heartbeat's PING was written.
    pub(crate) fn ping_written(&self) {
        self.lock().heartbeat.written(Instant::now().into_std());
    }

    /// The writer has stopped: because all was said, or because something broke.
    pub(crate) fn sending_ended(&self, broken: Option<End>) {
        self.lock().broken = broken;
        self.closing.notify_one();
    }

    /// Why nothing can be sent any more.
    pub(crate) fn why_ended(&self) -> Error {
        let state = self.lock();
        let end = state.core.end().or(state.broken.as_ref());
        Error::Disconnected(end.cloned().unwrap_or(End::Left))
    }

    fn finish(&self, end: End) -> End {
        let mut state = self.lock();
        let end = match (state.broken.take(), end) {
            (Some(broken), End::Closed | End::Silent | End::Network(_)) => broken,
            (_, end) => end,
        };
        let end = state.core.finish(end);
        self.messages.close();
        self.requests.close();
        self.uploads.close();
        self.ended.send_replace(true);
        end
    }
}

/// A connection that has been welcomed, and its two tasks.
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lanes: Lanes,
    pub(crate) events: Events,
    pub(crate) welcome: Welcome,
}

/// Connects, says HELLO, asks for the chats that are known, waits for WELCOME, and starts the reader and the
/// writer.
pub(crate) async fn open(
    address: &str,
    options: &Options,
    listener: Listener,
    known: &[Known],
) -> Result<Opened, Error> {
    let mut hello = options.hello()?;
    let mut seed = [0; 4];
    getrandom::fill(&mut seed).map_err(|_| Error::Invalid("this system gives no random numbers"))?;
    let mut core = Core::new(options.live, listener, Nonces::new(u32::from_be_bytes(seed)));
    // What does not fit waits for WELCOME: nothing is read before it.
    let (first, rest) = known.split_at(known.len().min(OPENING_CHATS));
    hello.extend(core.opening(first)?);
    let greeted = tokio::time::timeout(CONNECT_TIME, greet(address, options, &hello));
    let (socket, write_half, greeting) = greeted.await.map_err(|_| Error::TimedOut("connecting"))??;
    let Greeting { welcome, decoder, buffer } = greeting;

    core.welcomed(welcome.user);
    let rest = core.opening(rest)?;
    let heartbeat = Heartbeat::new(Duration::from_secs(welcome.heartbeat.into()), Instant::now().into_std());
    let shared = Arc::new(Shared::new(core, heartbeat));
    let (lanes, writer) = Writer::new(write_half, shared.clone(), rest);
    let writer = tokio::spawn(writer.run());
    #[expect(clippy::disallowed_methods, reason = "bounded by the bytes of its events, with `room` below")]
    let (events, queued) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(EVENT_BYTES as usize));
    let reader = Reader { socket, decoder, buffer, shared: shared.clone(), events, room, close_by: None };
    tokio::spawn(async move { reader.run(writer).await });
    Ok(Opened { shared, lanes, events: Events { queue: queued }, welcome })
}

/// How a server over TLS answers a HELLO in the clear: an alert, of TLS 1.x. No frame of ours begins so.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

struct Greeting {
    welcome: Welcome,
    decoder: Decoder,
    /// What came behind WELCOME.
    buffer: BytesMut,
}

async fn greet(
    address: &str,
    options: &Options,
    hello: &[u8],
) -> Result<(ReadHalf, WriteHalf, Greeting), Error> {
    let unreachable = |error: io::Error| Error::Unreachable((&error).into());
    let (mut socket, mut writer) = stream::connect(address, options).await?;
    // A server that refuses at once may have closed already: what it said says more than this would.
    let _ = writer.write_all(hello).await;
    let _ = writer.flush().await;
    let mut decoder = Decoder::client(Limits::default());
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let welcome = loop {
        if buffer.starts_with(&TLS_ALERT) {
            return Err(Error::Tls(TlsProblem::Spoken));
        }
        if let Some(welcome) = welcome(&mut decoder, &mut buffer)? {
            break welcome;
        }
        if socket.read_buf(&mut buffer).await.map_err(unreachable)? == 0 {
            return Err(Error::Disconnected(End::Closed));
        }
    };
    let max_text = welcome.max_text.min(TEXT_BYTES);
    decoder.set_limits(Limits { max_text, ..Limits::default() });
    Ok((socket, writer, Greeting { welcome, decoder, buffer }))
}

/// WELCOME, once it is there whole.
pub(crate) fn welcome(decoder: &mut Decoder, buffer: &mut BytesMut) -> Result<Option<Welcome>, Error> {
    let mut input = &buffer[..];
    let event = decoder.next(&mut input).map_err(|error| Error::Disconnected(error.into()))?;
    let welcome = match event {
        None => return Ok(None),
        Some(chatwire_codec::Event::Frame(Frame::Welcome(welcome))) => Welcome::from(welcome),
        Some(chatwire_codec::Event::Frame(Frame::Error(error))) => {
            return Err(Error::Refused((&error).into()));
        }
        Some(chatwire_codec::Event::Frame(Frame::Bye(bye))) => {
            let end = End::Bye { code: bye.code, reason: bye.reason.to_owned() };
            return Err(Error::Disconnected(end));
        }
        Some(_) => return Err(Error::Violation("something else than WELCOME came first")),
    };
    let taken = buffer.len() - input.len();
    buffer.advance(taken);
    Ok(Some(welcome))
}

struct Reader {
    socket: ReadHalf,
    decoder: Decoder,
    /// At most one frame, and what one read brings: the decoder takes all else.
    buffer: BytesMut,
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<(Told, OwnedSemaphorePermit)>,
    /// Bytes left in the queue of events; each event gives back its own when it is taken.
    room: Arc<Semaphore>,
    /// When to stop waiting for the server's end, after this side's.
    close_by: Option<Instant>,
}

impl Reader {
    async fn run(mut self, writer: tokio::task::JoinHandle<()>) {
        let end = loop {
            if let Err(end) = self.digest().await {
                break end;
            }
            if let Err(end) = self.read().await {
                break end;
            }
        };
        writer.abort();
        let end = self.shared.finish(end);
        drop(self.socket);
        let event = Event::Disconnected(end);
        if let Ok(room) = self.room.acquire_many_owned(event.cost()).await {
            let _ = self.events.send((Told::Event(event), room));
        }
    }

    /// Hands on all that is whole.
    async fn digest(&mut self) -> Result<(), End> {
        let mut bytes = std::mem::take(&mut self.buffer);
        let mut input = &bytes[..];
        while let Some(event) = self.decoder.next(&mut input)? {
            let delivery = self.shared.with(|core| core.handle(event))?;
            if let Some(delivery) = delivery {
                self.deliver(delivery).await;
            }
        }
        let taken = bytes.len() - input.len();
        bytes.advance(taken);
        self.buffer = bytes;
        Ok(())
    }

    async fn read(&mut self) -> Result<(), End> {
        self.buffer.reserve(READ_BYTES);
        let deadline = self.deadline();
        tokio::select! {
            read = self.socket.read_buf(&mut self.buffer) => match read {
                Ok(0) => Err(End::Closed),
                Ok(_) => {
                    self.shared.lock().heartbeat.heard(Instant::now().into_std());
                    Ok(())
                }
                Err(error) => Err(End::Network((&error).into())),
            },
            () = self.shared.closing.notified() => self.closing(),
            () = until(deadline) => self.on_time(),
        }
    }

    /// The sending side has ended: the server's answers and its end are still to come.
    fn closing(&mut self) -> Result<(), End> {
        self.close_by = Some(Instant::now() + CLOSE_TIME);
        match &self.shared.lock().broken {
            Some(end @ End::File(_)) => Err(end.clone()),
            _ => Ok(()),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.close_by.or_else(|| self.shared.lock().heartbeat.deadline().map(Instant::from_std))
    }

    fn on_time(&mut self) -> Result<(), End> {
        if self.close_by.is_some() {
            return Err(End::Silent);
        }
        let beat = self.shared.lock().heartbeat.beat(Instant::now().into_std());
        match beat {
            Beat::Wait => Ok(()),
            Beat::Dead => Err(End::Silent),
            Beat::Ping => {
                self.shared.with(Core::beat);
                Ok(())
            }
        }
    }

    async fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Told(told) => {
                let cost = match &told {
                    Told::Event(event) => event.cost().min(EVENT_BYTES),
                    _ => EVENT_COST,
                };
                let room = self.room.clone().acquire_many_owned(cost);
                if let Ok(room) = self.patiently(room).await {
                    // Nobody may want events; answers are still wanted.
                    let _ = self.events.send((told, room));
                }
            }
            Delivery::Piece { transfer, piece, to } => {
                if self.patiently(to.send(piece)).await.is_err() {
                    self.shared.with(|core| core.abandon(transfer));
                }
            }
        }
    }

    /// Waits for a slow consumer. Nothing is read meanwhile, so the server's silence says nothing; PINGs keep
    /// the server from taking this side for dead.
    async fn patiently<F: Future>(&self, wait: F) -> F::Output {
        let mut wait = std::pin::pin!(wait);
        loop {
            let deadline = self.shared.lock().heartbeat.deadline();
            tokio::select! {
                done = &mut wait => return done,
                () = until(deadline.map(Instant::from_std)) => {
                    self.shared.lock().heartbeat.heard(Instant::now().into_std());
                    self.shared.with(Core::beat);
                }
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

//! Makes one connection after the other, as the journey says, and moves what each tells to the program.

use super::saver::Saver;
use super::{News, Shared, State, random};
use crate::client::Client;
use crate::connection::{self, Opened};
use crate::core::{Attempt, Greeted, Listener, Next, Step, Told};
use crate::error::{End, Error};
use crate::event::Event;
use crate::kept::Parcel;
use crate::limits::{FRAME_FILE_BYTES, RETRY_MOST, UPLOAD_CONFLICTS, UPLOAD_PAUSE};
use crate::message::MediaRef;
use crate::outgoing::{Outgoing, OutgoingFile};
use crate::upload::Upload;
use chatwire_codec::Code;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Drives the journey to its end, saving beside it, and once more at the end.
pub(super) async fn run(addresses: Vec<String>, shared: Arc<Shared>, news: mpsc::Sender<News>, saver: Saver) {
    let (stop, stopped) = oneshot::channel();
    let saving = tokio::spawn(saver.run(stopped));
    let closing = shared.closing.subscribe();
    let mut driver = Driver { addresses, shared: shared.clone(), news, closing };
    driver.drive().await;
    drop(stop);
    // With it goes the storage, which is free for the next client then.
    let _ = saving.await;
    driver.finish();
    shared.done.send_replace(true);
}

struct Driver {
    addresses: Vec<String>,
    shared: Arc<Shared>,
    news: mpsc::Sender<News>,
    closing: watch::Receiver<bool>,
}

impl Driver {
    async fn drive(&mut self) {
        loop {
            let step = self.shared.journey().step(Instant::now());
            self.publish().await;
            match step {
                Step::Over => return,
                Step::Wait(at) => tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = closed(&mut self.closing) => self.shared.journey().close(),
                },
                Step::Connect(attempt) => {
                    let address = self.addresses.get(attempt.address).cloned().unwrap_or_default();
                    tokio::select! {
                        opened = open(&address, &attempt) => self.opened(opened).await,
                        () = closed(&mut self.closing) => self.shared.journey().close(),
                    }
                }
            }
        }
    }

    async fn opened(&mut self, opened: Result<Opened, Error>) {
        let now = Instant::now();
        let opened = match opened {
            Ok(opened) => opened,
            Err(why) => {
                let random = random().unwrap_or(0);
                return self.shared.journey().failed(why, now, random);
            }
        };
        let greeted = self.shared.journey().welcomed(&opened.welcome, now);
        if let Greeted::Go { catch_up } = greeted {
            self.online(opened, catch_up).await;
        }
    }

    /// One connection, until its end.
    async fn online(&mut self, opened: Opened, catch_up: Option<(u64, u64)>) {
        let (client, mut events) = Client::of(opened);
        if let Some((chat, after)) = catch_up {
            client.catch_up(chat, after);
        }
        // In this order: who sees the state sees the connection.
        self.shared.client.send_replace(Some(client.clone()));
        self.publish().await;
        let mut feeding = Some(tokio::spawn(feed(self.shared.clone(), client.clone())));
        let mut handle = Some(client);
        let end = loop {
            tokio::select! {
                told = events.told() => match told {
                    Some(Told::Event(Event::Disconnected(end))) => break end,
                    Some(told) => self.told(told).await,
                    None => break End::Closed,
                },
                () = self.shared.look.notified() => self.publish().await,
                () = closed(&mut self.closing), if handle.is_some() => {
                    // What is under way is still answered; nothing new goes out.
                    self.shared.client.send_replace(None);
                    stop(feeding.take()).await;
                    if let Some(client) = handle.take() {
                        tokio::spawn(client.bye());
                    }
                }
            }
        };
        stop(feeding).await;
        self.shared.client.send_replace(None);
        let random = random().unwrap_or(0);
        let mut journey = self.shared.journey();
        if handle.is_none() {
            journey.close();
        }
        journey.ended(end, Instant::now(), random);
    }

    async fn told(&mut self, told: Told) {
        let answers = matches!(told, Told::Stored { .. } | Told::Refused { .. });
        self.shared.journey().told(told, Instant::now());
        if answers {
            self.shared.feed.notify_one();
        }
        self.publish().await;
    }

    /// Hands on the news, waiting for who takes them.
    async fn publish(&mut self) {
        let (news, changed) = {
            let mut journey = self.shared.journey();
            (journey.take_news(), journey.has_changes())
        };
        if changed {
            self.shared.save_soon.notify_one();
        }
        for news in news {
            if let News::State(state) = &news {
                self.shared.state.send_replace(state.clone());
            }
            if let News::Answered { nonce, answer } = &news
                && let Some(waiting) = self.shared.waiting().remove(nonce)
            {
                let _ = waiting.reply.send(answer.clone());
            }
            tokio::select! {
                biased;
                // If nobody takes news, nobody misses them. What was not taken comes again another time.
                _ = self.news.send(news) => {}
                () = closed(&mut self.closing) => {}
            }
        }
    }

    /// Whoever still waits is told that nothing comes.
    fn finish(&mut self) {
        let why = self.shared.journey().over().cloned().unwrap_or(Error::Over);
        // Nobody saves any more.
        self.shared.saved.send_replace(u64::MAX);
        self.shared.messages.close();
        self.shared.bytes.close();
        for (_, waiting) in self.shared.waiting().drain() {
            let _ = waiting.reply.send(Err(why.clone()));
        }
        if !self.shared.state.borrow().is_over() {
            self.shared.state.send_replace(State::Closed);
        }
    }
}

async fn open(address: &str, attempt: &Attempt) -> Result<Opened, Error> {
    connection::open(address, &attempt.options, Listener::Steady, &attempt.known).await
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that nobody can say so any more; the handle says so before it goes.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Waits until it has stopped, so that it takes nothing that the next one should.
async fn stop(task: Option<tokio::task::JoinHandle<()>>) {
    if let Some(task) = task {
        task.abort();
        let _ = task.await;
    }
}

/// Puts what is unsent onto the connection, in order, as fast as it takes it.
async fn feed(shared: Arc<Shared>, client: Client) {
    // They end with the feeder: what they have brought so far is gone on with on the next connection.
    let mut files = JoinSet::new();
    loop {
        let next = shared.journey().next_parcel(Instant::now());
        let (nonce, sent) = match next {
            Next::Parcel(Parcel::Message(message)) => (message.nonce, send(&client, message).await),
            Next::Parcel(Parcel::File(file)) if is_large(&file).await => {
                // What stands behind it goes on meanwhile.
                shared.journey().goes_beside(file.nonce);
                files.spawn(send_beside(shared.clone(), client.clone(), file));
                while files.try_join_next().is_some() {}
                continue;
            }
            Next::Parcel(Parcel::File(file)) => (file.nonce, send_file(&shared, &client, file).await),
            Next::At(time) => {
                tokio::select! {
                    () = tokio::time::sleep_until(time.into()) => {}
                    () = shared.feed.notified() => {}
                }
                continue;
            }
            Next::Nothing => {
                shared.feed.notified().await;
                continue;
            }
        };
        if settle(&shared, nonce, sent).is_break() {
            return;
        }
    }
}

/// Uploads a file, and then sends its message.
async fn send_beside(shared: Arc<Shared>, client: Client, file: OutgoingFile) {
    let nonce = file.nonce;
    let sent = match upload(&shared, &client, &file).await {
        Ok(media) => send(&client, file.refer(media)).await,
        Err(why @ Error::Refused(_)) => {
            shared.journey().unsendable(nonce, why);
            shared.look.notify_one();
            return;
        }
        Err(why) => Err(why),
    };
    // The feeder itself sees the end of the connection.
    let _ = settle(&shared, nonce, sent);
}

/// Uploads a file, again where it is too soon, and a few times where another device has taken it over.
async fn upload(shared: &Shared, client: &Client, file: &OutgoingFile) -> Result<MediaRef, Error> {
    let shown = progress_of(shared, file.nonce);
    let mut conflicts = 0;
    loop {
        let (upload, shown) = (Upload { path: file.path.clone(), kind: file.kind }, shown.clone());
        let refusal = match client.upload(upload, shown).await {
            Err(Error::Refused(refusal)) => refusal,
            done => return done,
        };
        match refusal.code() {
            Some(Code::RateLimited) => {}
            Some(Code::Conflict) if conflicts < UPLOAD_CONFLICTS => conflicts += 1,
            _ => return Err(Error::Refused(refusal)),
        }
        let pause = Duration::from_millis(refusal.retry_ms.into()).clamp(UPLOAD_PAUSE, RETRY_MOST);
        tokio::time::sleep(pause).await;
    }
}

/// Notes what cannot be sent; breaks where the connection has ended.
fn settle(shared: &Shared, nonce: u64, sent: Result<(), Error>) -> ControlFlow<()> {
    match sent {
        Ok(()) => {}
        Err(Error::Disconnected(_)) => return ControlFlow::Break(()),
        // That comes with what the connection tells, in its place.
        Err(Error::Refused(_)) => {}
        Err(why) => {
            shared.journey().unsendable(nonce, why);
            shared.look.notify_one();
        }
    }
    ControlFlow::Continue(())
}

/// Whether its bytes go beside what else is sent. One that is not there fails in its turn.
async fn is_large(file: &OutgoingFile) -> bool {
    tokio::fs::metadata(&file.path).await.is_ok_and(|found| found.len() > FRAME_FILE_BYTES)
}

async fn send(client: &Client, message: Outgoing) -> Result<(), Error> {
    client.start_kept(&message, message.body.is_whole()).await.map(drop)
}

async fn send_file(shared: &Shared, client: &Client, file: OutgoingFile) -> Result<(), Error> {
    let shown = progress_of(shared, file.nonce);
    client.send_file(file, shown).await.map(drop)
}

/// Tells whoever waits for this file's answer how far it is.
fn progress_of(shared: &Shared, nonce: u64) -> impl Fn(u64, u64) + Clone + Send + use<> {
    let progress = shared.waiting().get(&nonce).and_then(|waiting| waiting.progress.clone());
    move |done, all| {
        if let Some(progress) = &progress {
            progress(done, all);
        }
    }
}

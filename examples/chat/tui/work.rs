//! Does what takes time, each thing in a task of its own, and tells what came of it.

use super::chats::Kind;
use super::model::{Model, Wish};
use super::say;
use crate::app::numbered;
use crate::commands::{Command, parse};
use crate::removal;
use crate::render;
use chatwire_client::frame::{Create, History, Invite, Read, Remove, Status};
use chatwire_client::{
    Chat, Client, Download, Error, Joined, Left, MediaRef, Outgoing, OutgoingFile, Page, Steady, Target,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Texts that wait to be taken; more are not said.
const TEXTS: usize = 64;
/// Messages of one page.
const PAGE: u16 = 50;
/// Entries of a list that are asked for.
const LIST: usize = 1_000;
/// Names that are tried for a file to be saved.
const NAMES: u32 = 100;
/// The pause before a fetch that broke off goes on.
const AGAIN: Duration = Duration::from_millis(200);
/// How often progress is shown.
const PROGRESS: Duration = Duration::from_millis(100);

/// What came of something.
pub(crate) enum Outcome {
    Said(String),
    Taken { id: u64, nonce: u64 },
    NotTaken { id: u64, why: Error },
    Direct { name: String, status: Status },
    Joined(Joined),
    Left(Left),
    Created { chat: u64, title: String },
    Deleted { chat: u64, seq: Option<u64> },
    Listed(Result<Vec<Chat>, Error>),
    Older { chat: u64, page: Result<Page, Error> },
    Reading(Result<(), Error>),
    Progress { id: u64, label: String, done: u64, all: u64 },
    Transferred { id: u64, said: String },
    Failed(Error),
}

/// What is to be said, in order.
struct Text {
    id: u64,
    target: Target,
    text: String,
    /// The user whom it goes to, if it does.
    to: Option<String>,
}

/// Hands out the work.
pub(crate) struct Worker {
    steady: Steady,
    outcomes: mpsc::Sender<Outcome>,
    texts: mpsc::Sender<Text>,
}

impl Worker {
    pub(crate) fn new(steady: Steady, outcomes: mpsc::Sender<Outcome>) -> Self {
        let (texts, waiting) = mpsc::channel(TEXTS);
        tokio::spawn(send_texts(steady.clone(), outcomes.clone(), waiting));
        Worker { steady, outcomes, texts }
    }

    /// A line was typed; false: the user leaves.
    pub(crate) fn line(&mut self, line: &str, model: &mut Model) -> bool {
        match parse(line) {
            Ok(Command::Quit) => return false,
            Ok(command) => self.obey(command, model),
            Err(help) => say(model, &help),
        }
        true
    }

    fn obey(&mut self, command: Command, model: &mut Model) {
        let here = model.current;
        match command {
            Command::Nothing | Command::Quit => {}
            Command::Help => model.help = true,
            Command::Say(text) => self.say(text, Target::Chat(here), None, model),
            Command::Message(user, text) => self.say(text, Target::User(user.clone()), Some(user), model),
            Command::Join(room) => self.ask(async move |steady| {
                let joined = steady.join(&room).await?;
                Ok(Outcome::Joined(joined))
            }),
            Command::Leave => {
                self.ask(async move |steady| Ok(Outcome::Left(steady.leave(here).await?)));
            }
            Command::Rooms => self.ask(async |steady| rooms(&steady.online().await?).await),
            Command::Who => self.ask(async move |steady| who(&steady.online().await?, here).await),
            Command::Create(title) => self.ask(async move |steady| {
                let client = steady.online().await?;
                let chat = client.request(Create { req: 0, title: &title }).await?.chat;
                Ok(Outcome::Created { chat, title })
            }),
            Command::Invite(user) => self.ask(async move |steady| {
                let invite = Invite { req: 0, chat: here, user: &user };
                steady.online().await?.request(invite).await?;
                Ok(Outcome::Said(format!("{user} is a member now.")))
            }),
            Command::Remove(user) => self.ask(async move |steady| {
                let remove = Remove { req: 0, chat: here, user: &user };
                steady.online().await?.request(remove).await?;
                Ok(Outcome::Said(format!("{user} is no member any more.")))
            }),
            Command::Send(path) => self.send_file(path, here, model),
            Command::Save(number, folder) => match model.media(number).cloned() {
                Some(media) => self.save(media, number, folder, model),
                None => say(model, &format!("There is no [{number}] here.")),
            },
            Command::Delete(number) => {
                let me = model.me.as_ref().map_or(0, |me| me.user);
                self.ask(async move |steady| {
                    let seq = removal::delete(&steady.online().await?, here, me, number).await?;
                    Ok(Outcome::Deleted { chat: here, seq })
                });
            }
            Command::Numbers => model.numbers = !model.numbers,
            Command::History(_) => say(model, "PageUp scrolls; older messages come by themselves."),
        }
    }

    /// Texts are taken in the order in which they were typed.
    fn say(&mut self, text: String, target: Target, to: Option<String>, model: &mut Model) {
        if target == Target::Chat(0) {
            return say(model, "You are not connected yet.");
        }
        let id = if to.is_none() { model.say(&text) } else { model.number_of_own() };
        if self.texts.try_send(Text { id, target, text, to }).is_err() {
            let why = Error::Invalid("too much waits to be sent");
            model.not_sent(|of, _| of == id, &why);
        }
    }

    pub(crate) fn wishes(&mut self, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::List => {
                    self.ask(async |steady| Ok(Outcome::Listed(chats(&steady.online().await?).await)));
                }
                Wish::Older { chat, before } => self.ask(async move |steady| {
                    let history = History { chat, before, limit: PAGE, ..History::default() };
                    let page = match steady.online().await {
                        Ok(client) => client.request(history).await,
                        Err(why) => Err(why),
                    };
                    Ok(Outcome::Older { chat, page })
                }),
                Wish::Read { chat, seq } => self.ask(async move |steady| {
                    let client = steady.online().await?;
                    let answer = client.request(Read { req: 0, chat, seq }).await;
                    Ok(Outcome::Reading(answer.map(drop)))
                }),
                Wish::Typing { chat, on } => {
                    let steady = self.steady.clone();
                    tokio::spawn(async move {
                        if let chatwire_client::State::Online(_) = steady.state()
                            && let Ok(client) = steady.online().await
                        {
                            // Nobody misses it.
                            let _ = client.typing(chat, on).await;
                        }
                    });
                }
            }
        }
    }

    /// Does something and tells what came of it.
    fn ask<F>(&self, work: impl FnOnce(Steady) -> F)
    where
        F: Future<Output = Result<Outcome, Error>> + Send + 'static,
    {
        let outcomes = self.outcomes.clone();
        let work = work(self.steady.clone());
        tokio::spawn(async move {
            let outcome = work.await.unwrap_or_else(Outcome::Failed);
            let _ = outcomes.send(outcome).await;
        });
    }

    fn send_file(&self, path: PathBuf, here: u64, model: &mut Model) {
        let id = model.number_of_own();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let label = format!("sending {name}");
        let progress = self.progress(id, label);
        self.ask(async move |steady| {
            let said = match steady.send_file(OutgoingFile::new(Target::Chat(here), path), progress).await {
                Ok(sending) => sending.await.map(drop),
                Err(why) => Err(why),
            };
            let said =
                said.map_or_else(|why| format!("Not sent. {}", render::error(&why)), |()| String::new());
            Ok(Outcome::Transferred { id, said })
        });
    }

    fn save(&self, media: MediaRef, number: usize, folder: PathBuf, model: &mut Model) {
        let id = model.number_of_own();
        let name = render::file_name(&media, number);
        let progress: Arc<dyn Fn(u64, u64) + Send + Sync> =
            Arc::new(self.progress(id, format!("saving {name}")));
        self.ask(async move |steady| {
            let said = match save(&steady, &media, &folder, &name, progress).await {
                Ok(path) => format!("Saved as {}.", path.display()),
                Err(why) => format!("Not saved. {}", render::error(&why)),
            };
            Ok(Outcome::Transferred { id, said })
        });
    }

    /// Tells of progress, not too often; what does not fit is not missed.
    fn progress(&self, id: u64, label: String) -> impl Fn(u64, u64) + Send + Sync + use<> {
        let outcomes = self.outcomes.clone();
        let last = std::sync::Mutex::new(None::<Instant>);
        move |done, all| {
            let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if last.is_none_or(|last| last.elapsed() >= PROGRESS) {
                *last = Some(Instant::now());
                let _ = outcomes.try_send(Outcome::Progress { id, label: label.clone(), done, all });
            }
        }
    }

    /// Shows what came of something.
    pub(crate) fn done(&mut self, outcome: Outcome, model: &mut Model) {
        match outcome {
            Outcome::Said(text) => say(model, &text),
            Outcome::Taken { id, nonce } => model.taken(id, nonce),
            Outcome::NotTaken { id, why } => model.not_sent(|of, _| of == id, &why),
            Outcome::Direct { name, status } => {
                model.direct(&name, &status);
                model.show(status.chat);
            }
            Outcome::Joined(joined) => {
                model.entitle(joined.chat, Kind::Room, &joined.room);
                model.show(joined.chat);
                if joined.created {
                    say(model, "This room is new.");
                }
            }
            Outcome::Left(left) => model.gone(left.chat, "You left."),
            Outcome::Created { chat, title } => {
                model.entitle(chat, Kind::Group, &title);
                model.show(chat);
                say(model, "This group is new. /invite user");
            }
            Outcome::Deleted { chat, seq: Some(seq) } => model.removed(chat, seq),
            Outcome::Deleted { .. } => say(model, "None of the last messages here is yours."),
            Outcome::Listed(list) => model.listed(list),
            Outcome::Older { chat, page } => model.older(chat, page),
            Outcome::Reading(answer) => model.reading(&answer),
            Outcome::Progress { id, label, done, all } => model.progress(id, &label, done, all),
            Outcome::Transferred { id, said } => {
                model.transferred(id);
                if !said.is_empty() {
                    say(model, &said);
                }
            }
            Outcome::Failed(why) => say(model, &render::error(&why)),
        }
    }
}

async fn send_texts(steady: Steady, outcomes: mpsc::Sender<Outcome>, mut texts: mpsc::Receiver<Text>) {
    while let Some(Text { id, target, text, to }) = texts.recv().await {
        let sending = match steady.send(Outgoing::text(target, text)).await {
            Ok(sending) => sending,
            Err(why) => {
                let _ = outcomes.send(Outcome::NotTaken { id, why }).await;
                continue;
            }
        };
        let _ = outcomes.send(Outcome::Taken { id, nonce: sending.nonce() }).await;
        if let Some(name) = to {
            // Where it stands says which chat it is. If it is refused, the news says so.
            let outcomes = outcomes.clone();
            tokio::spawn(async move {
                if let Ok(status) = sending.await {
                    let _ = outcomes.send(Outcome::Direct { name, status }).await;
                }
            });
        }
    }
}

async fn chats(client: &Client) -> Result<Vec<Chat>, Error> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let mut page = client.chats(after).await?;
        let more = page.more;
        all.append(&mut page.items);
        match all.last() {
            Some(last) if more && all.len() < LIST => after = last.chat,
            _ => return Ok(all),
        }
    }
}

async fn rooms(client: &Client) -> Result<Outcome, Error> {
    let (mut lines, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.rooms(&after).await?;
        lines.extend(page.items.iter().map(|room| format!("{} ({} online)", room.room, room.online)));
        match page.items.last() {
            Some(last) if page.more && lines.len() < LIST => after.clone_from(&last.room),
            _ => return Ok(Outcome::Said(format!("Rooms: {}", lines.join(", ")))),
        }
    }
}

async fn who(client: &Client, chat: u64) -> Result<Outcome, Error> {
    let (mut lines, mut after) = (Vec::new(), 0);
    loop {
        let page = client.participants(chat, after).await?;
        lines.extend(page.items.iter().map(|user| {
            let owner = if user.role == 1 { ", owner" } else { "" };
            format!("{} ({}{owner})", user.user_name, render::presence(user.presence))
        }));
        match page.items.last() {
            Some(last) if page.more && lines.len() < LIST => after = last.user,
            _ => return Ok(Outcome::Said(format!("Here: {}", lines.join(", ")))),
        }
    }
}

/// Fetches media to a name that is free, over as many connections as it takes.
async fn save(
    steady: &Steady,
    media: &MediaRef,
    folder: &Path,
    name: &str,
    progress: Arc<dyn Fn(u64, u64) + Send + Sync>,
) -> Result<PathBuf, Error> {
    if let Err(error) = std::fs::create_dir_all(folder) {
        return Err(Error::File { path: folder.into(), problem: (&error).into() });
    }
    let mut attempt = 1;
    loop {
        let path = folder.join(numbered(name, attempt));
        let download = Download { max_size: media.size, resume: true, ..Download::new(media.media, &path) };
        let shown = progress.clone();
        match steady.online().await?.fetch(download, move |done, all| shown(done, all)).await {
            Ok(_) => return Ok(path),
            Err(Error::Exists(_)) if attempt < NAMES => attempt += 1,
            // It goes on with the next connection, from where it broke off.
            Err(Error::Disconnected(_)) => tokio::time::sleep(AGAIN).await,
            Err(why) => return Err(why),
        }
    }
}

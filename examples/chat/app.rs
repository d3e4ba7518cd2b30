//! Does what the typed lines say, one after the other.

use crate::commands::{Command, HELP, parse};
use crate::removal;
use crate::render;
use crate::screen::Screen;
use crate::state::State;
use chatwire_client::frame::{Create, Invite, Remove};
use chatwire_client::{Client, Download, Error, MediaRef, Outgoing, OutgoingFile, Sending, Target};
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long the end of the input waits for the assistant's last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// Messages whose STATUS is waited for behind the typing.
const UNCONFIRMED: usize = 128;
/// Entries of a list that are shown.
const LIST: usize = 1000;
/// Names that are tried for a file to be saved.
const NAMES: u32 = 100;

/// The typing side.
pub(crate) struct App {
    client: Client,
    screen: Screen,
    state: Arc<State>,
}

impl App {
    pub(crate) fn new(client: Client, screen: Screen, state: Arc<State>) -> Self {
        App { client, screen, state }
    }

    /// Until the lines end, or one says /quit.
    pub(crate) async fn run(&self, mut lines: mpsc::Receiver<String>) {
        let (unconfirmed, confirmed) = self.confirm();
        let mut quit = false;
        while let Some(line) = lines.recv().await {
            let done = match parse(&line) {
                Ok(Command::Quit) => {
                    quit = true;
                    break;
                }
                Ok(command) => self.obey(command, &unconfirmed).await,
                Err(help) => {
                    self.screen.complain(&render::text(&help));
                    continue;
                }
            };
            if let Err(error) = done {
                self.screen.complain(&render::error(&error));
            }
        }
        drop(unconfirmed);
        let _ = confirmed.await;
        // A pipe's end comes before its last line is answered.
        if !quit {
            let _ = tokio::time::timeout(LAST_ANSWERS, self.state.all_answered()).await;
        }
    }

    /// Waits for the STATUS of what was said, in order, while more is typed.
    fn confirm(&self) -> (mpsc::Sender<Sending>, JoinHandle<()>) {
        let (sender, mut unconfirmed) = mpsc::channel::<Sending>(UNCONFIRMED);
        let (screen, state) = (self.screen.clone(), self.state.clone());
        let confirmed = tokio::spawn(async move {
            while let Some(sending) = unconfirmed.recv().await {
                match sending.await {
                    Ok(status) => {
                        state.said(status.chat, status.seq);
                        screen.whisper("  ✓");
                    }
                    Err(error) => screen.complain(&format!("Not sent. {}", render::error(&error))),
                }
            }
        });
        (sender, confirmed)
    }

    async fn obey(&self, command: Command, unconfirmed: &mpsc::Sender<Sending>) -> Result<(), Error> {
        match command {
            Command::Nothing | Command::Quit => Ok(()),
            Command::Help => {
                self.screen.say(HELP);
                Ok(())
            }
            Command::Say(text) => {
                let sending = self.client.start(Outgoing::text(self.here(), text)).await?;
                // It ends only with this side.
                let _ = unconfirmed.send(sending).await;
                Ok(())
            }
            Command::Join(room) => self.join(&room).await,
            Command::Leave => self.leave().await,
            Command::Rooms => self.rooms().await,
            Command::Who => self.who().await,
            Command::Message(user, text) => {
                let sending = self.client.start(Outgoing::text(Target::User(user), text)).await?;
                let _ = unconfirmed.send(sending).await;
                Ok(())
            }
            Command::Create(title) => {
                let group = self.client.request(Create { req: 0, title: &title }).await?;
                self.state.entered_group(group.chat, &title);
                self.screen.say(&format!("You are in the group {}.", render::line(&title)));
                Ok(())
            }
            Command::Invite(user) => {
                let chat = self.state.current();
                self.client.request(Invite { req: 0, chat, user: &user }).await.map(drop)
            }
            Command::Remove(user) => {
                let chat = self.state.current();
                self.client.request(Remove { req: 0, chat, user: &user }).await.map(drop)
            }
            Command::Send(path) => self.send(path).await,
            Command::Save(number, folder) => self.save(number, &folder).await,
            Command::History(count) => self.history(count).await,
            Command::Delete(number) => self.delete(number).await,
            Command::Numbers => {
                let is_on = self.state.toggle_numbers();
                self.screen.say(if is_on { "Messages have their numbers." } else { "No numbers." });
                Ok(())
            }
        }
    }

    fn here(&self) -> Target {
        Target::Chat(self.state.current())
    }

    async fn join(&self, room: &str) -> Result<(), Error> {
        let joined = self.client.join(room).await?;
        self.state.entered(&joined);
        let made = if joined.created { ", which is new" } else { "" };
        self.screen.say(&format!("You are in {}{made}.", render::line(&joined.room)));
        Ok(())
    }

    async fn leave(&self) -> Result<(), Error> {
        if self.state.current() == self.state.home {
            self.screen.say("You are at home, with the assistant. /quit leaves.");
            return Ok(());
        }
        let left = self.client.leave(self.state.current()).await?;
        self.state.left(left.chat);
        self.screen
            .say(&format!("You left {} and are at home, with the assistant.", render::line(&left.room)));
        Ok(())
    }

    async fn rooms(&self) -> Result<(), Error> {
        let mut after = String::new();
        let mut shown = 0;
        loop {
            let page = self.client.rooms(&after).await?;
            for room in &page.items {
                self.screen.say(&format!("  {}  ({} online)", render::line(&room.room), room.online));
            }
            shown += page.items.len();
            match page.items.last() {
                Some(last) if page.more && shown < LIST => after.clone_from(&last.room),
                Some(_) => return Ok(()),
                None => {
                    if shown == 0 {
                        self.screen.say("There are no rooms yet. /join makes one.");
                    }
                    return Ok(());
                }
            }
        }
    }

    async fn who(&self) -> Result<(), Error> {
        let (mut after, mut shown) = (0, 0);
        loop {
            let page = self.client.participants(self.state.current(), after).await?;
            for user in &page.items {
                let presence = render::presence(user.presence);
                self.screen.say(&format!("  {}  ({presence})", render::line(&user.user_name)));
            }
            shown += page.items.len();
            match page.items.last() {
                Some(last) if page.more && shown < LIST => after = last.user,
                _ => return Ok(()),
            }
        }
    }

    async fn history(&self, count: u16) -> Result<(), Error> {
        let page = self.client.history(self.state.current(), 0, count).await?;
        if page.messages.is_empty() {
            self.screen.say("Nothing was said here yet.");
        }
        for message in &page.messages {
            self.screen.say(&render::message(message, &self.state));
        }
        Ok(())
    }

    async fn delete(&self, number: Option<u64>) -> Result<(), Error> {
        let here = self.state.current();
        match removal::delete(&self.client, here, self.state.me, number).await? {
            Some(seq) => self.screen.say(&format!("Message #{seq} is removed.")),
            None => self.screen.say("None of the last messages here is yours."),
        }
        Ok(())
    }

    async fn send(&self, path: PathBuf) -> Result<(), Error> {
        let bar = Cleared(self.screen.bar("sending".to_owned()));
        let shown = bar.0.clone();
        let file = OutgoingFile::new(self.here(), path);
        let sent = self.client.send_file(file, move |done, all| {
            shown.set_length(all);
            shown.set_position(done);
        });
        let status = sent.await?;
        self.state.said(status.chat, status.seq);
        drop(bar);
        self.screen.say("Sent.");
        Ok(())
    }

    async fn save(&self, number: usize, folder: &Path) -> Result<(), Error> {
        let Some(media) = self.state.media(number) else {
            self.screen.complain(&format!("There is no [{number}] here."));
            return Ok(());
        };
        let name = render::file_name(&media, number);
        if let Err(error) = std::fs::create_dir_all(folder) {
            self.screen.complain(&format!("There is no folder {} to save to: {error}.", folder.display()));
            return Ok(());
        }
        for attempt in 1..NAMES {
            let path = folder.join(numbered(&name, attempt));
            match self.fetch(&media, &path).await {
                Err(Error::Exists(_)) => {}
                Ok(()) => {
                    self.screen.say(&format!("Saved as {}.", render::line(&path.display().to_string())));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Exists(folder.join(name)))
    }

    async fn fetch(&self, media: &MediaRef, path: &Path) -> Result<(), Error> {
        let bar = Cleared(self.screen.bar("saving".to_owned()));
        let download = Download { max_size: media.size, ..Download::new(media.media, path) };
        let fetched = self.client.fetch(download, |done, all| {
            bar.0.set_length(all);
            bar.0.set_position(done);
        });
        fetched.await.map(|_| ())
    }
}

/// A bar that goes away, however what it shows ends.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// `clip.mp4`, `clip (2).mp4`, …
pub(crate) fn numbered(name: &str, attempt: u32) -> String {
    match name.rsplit_once('.') {
        _ if attempt == 1 => name.to_owned(),
        Some((stem, extension)) if !stem.is_empty() => format!("{stem} ({attempt}).{extension}"),
        _ => format!("{name} ({attempt})"),
    }
}

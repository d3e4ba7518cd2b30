//! A chat in the terminal.
//!
//! Run: `cargo run --release --example chat [-- --addr 127.0.0.1:8000 --name ann --timezone Asia/Tokyo]`
//!
//! You will see your chats on the left, and what others say on the right, with the time where you are. What you
//! type is said to the current chat: at first that is the one with the assistant, who answers. F1 lists the keys
//! and commands; `/quit` and Ctrl-C leave. When the connection breaks it comes back, and nothing is lost; with
//! `--keep FILE` it also knows its place the next time.
//!
//! `--register` makes an account of your name, and `--login` comes back to it: you are asked for the password, or
//! it is the first line of what is piped in. With `--keep FILE` you need neither the next time.
//!
//! In a pipe it is plain lines: `echo hello | cargo run --example chat`. That way it does not reconnect.
//!
//! `main` joins the parts: `commands` says what a line means, `render` makes text of what comes. `tui` is the
//! full screen. In a pipe `app` does what the lines say, `screen` prints, `state` is what they share.

mod app;
mod commands;
mod removal;
mod render;
mod screen;
mod state;
#[path = "../shared/tls.rs"]
mod tls;
mod tui;

use app::App;
use chatwire_client::{
    Change, Client, End, Error, Event, Events, FileStorage, Identity, Login, MemoryStorage, Options, Secret,
    Setup, Storage, Welcome,
};
use chrono_tz::Tz;
use clap::Parser;
use screen::Screen;
use state::State;
use std::io::{BufRead, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tls::TlsArguments;
use tokio::sync::mpsc;

/// Lines that wait to be looked at; the reading of more waits meanwhile.
const LINES: usize = 16;
/// Bytes of one line; a longer one is cut in two.
const LINE_BYTES: u64 = 60_000;

/// A chat in the terminal.
#[derive(Parser)]
struct Arguments {
    /// The server.
    #[arg(long, default_value = "127.0.0.1:8000")]
    addr: String,
    #[command(flatten)]
    tls: TlsArguments,
    /// Your name; if it is not given you are asked.
    #[arg(long)]
    name: Option<String>,
    /// Your time zone, such as Asia/Tokyo; if it is not given it is the system's.
    #[arg(long)]
    timezone: Option<String>,
    /// A file to keep your place in, so that you come back as the same user.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Make an account of your name. The password is asked for, or is the first line of standard input.
    #[arg(long, requires = "name")]
    register: bool,
    /// Log in with the password of your account, also if the file has a token.
    #[arg(long, requires = "name", conflicts_with = "register")]
    login: bool,
    /// Plain lines, though there is a terminal.
    #[arg(long)]
    plain: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let screen = Screen::new();
    let arguments = Arguments::parse();
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let ran = if is_terminal && !arguments.plain {
        full_screen(arguments).await
    } else {
        run(arguments, &screen).await
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.complain(&render::error(&error));
            ExitCode::FAILURE
        }
    }
}

async fn full_screen(arguments: Arguments) -> Result<(), Error> {
    let password = if arguments.register || arguments.login { Some(read_password()?) } else { None };
    let has_password = password.is_some();
    let options = options(&arguments, password)?;
    let zone = options.timezone.parse().unwrap_or(Tz::UTC);
    let addr = arguments.addr.clone();
    let setup = match storage(&arguments, has_password)? {
        Some(storage) => Setup::new(addr, options, storage),
        None => Setup::new(addr, options, MemoryStorage::default()),
    };
    tui::run(setup, zone).await
}

async fn run(arguments: Arguments, screen: &Screen) -> Result<(), Error> {
    // Before anything else reads the input.
    let password = if arguments.register || arguments.login { Some(read_password()?) } else { None };
    let mut lines = read_lines();
    let has_password = password.is_some();
    let mut options = options(&arguments, password)?;
    let mut storage = storage(&arguments, has_password)?;
    let kept = storage.as_mut().map(Storage::load).transpose().map_err(|error| not_kept(&error))?;
    let known = kept.and_then(|kept| kept.identity).filter(|known| !known.token.reveal().is_empty());
    if let Some(known) = &known {
        options.login = Login::Token(known.token.clone());
    }
    if arguments.name.is_none() && known.is_none() && std::io::stdin().is_terminal() {
        screen.say("Your name? (Enter alone: a guest without one)");
        lines.recv().await.unwrap_or_default().trim().clone_into(&mut options.name);
    }
    let is_guest = known.as_ref().map_or(matches!(options.login, Login::Guest), |known| known.guest);
    let zone = options.timezone.parse().unwrap_or(Tz::UTC);
    let (client, events) = Client::connect(&arguments.addr, options).await?;
    let me = client.welcome();
    if let Some(storage) = &mut storage {
        keep(storage, me, is_guest)?;
    }
    screen.say(&format!("You are {}. /help lists the commands.", render::line(&me.user_name)));

    let state = Arc::new(State::new(me, zone));
    let app = App::new(client.clone(), screen.clone(), state.clone());
    let mut shown = tokio::spawn(show(events, screen.clone(), state));
    tokio::select! {
        () = app.run(lines) => {}
        _ = tokio::signal::ctrl_c() => {}
        end = &mut shown => return ended(end.ok().flatten()),
    }
    client.bye().await
}

/// What others say, as it comes. It takes events steadily, so that answers come too.
async fn show(mut events: Events, screen: Screen, state: Arc<State>) -> Option<End> {
    while let Some(event) = events.next().await {
        if let Event::Disconnected(end) = event {
            return Some(end);
        }
        if let Some(text) = render::event(&event, &state) {
            screen.say(&text);
        }
        if let Event::Message(message) = &event {
            state.heard(message);
        }
    }
    None
}

fn ended(end: Option<End>) -> Result<(), Error> {
    match end {
        Some(End::Bye { code: 0, .. }) | None => Ok(()),
        Some(end) => Err(Error::Disconnected(end)),
    }
}

fn options(arguments: &Arguments, password: Option<String>) -> Result<Options, Error> {
    let system = || iana_time_zone::get_timezone().unwrap_or_else(|_| "UTC".to_owned());
    let timezone = arguments.timezone.clone().unwrap_or_else(system);
    let login = match password {
        Some(password) if arguments.register => Login::Register(password.into()),
        Some(password) => Login::Password(password.into()),
        None => Login::Guest,
    };
    let name = arguments.name.clone().unwrap_or_default();
    let device = "chat example".to_owned();
    let tls = arguments.tls.tls()?;
    Ok(Options { timezone, name, login, device, reply_references: true, tls, ..Options::default() })
}

/// From the terminal without an echo, or the first line of what is piped in.
fn read_password() -> Result<String, Error> {
    let password = if std::io::stdin().is_terminal() {
        rpassword::prompt_password("Your password: ")
    } else {
        let mut line = String::new();
        std::io::stdin().lock().take(LINE_BYTES).read_line(&mut line).map(|_| line)
    };
    let password = password.map_err(|_| Error::Invalid("no password could be read"))?;
    Ok(password.trim_end_matches(['\r', '\n']).to_owned())
}

/// Where the place is kept. Who gives a password wants to log in with it, whatever token is there.
fn storage(arguments: &Arguments, has_password: bool) -> Result<Option<FileStorage>, Error> {
    let Some(path) = &arguments.keep else { return Ok(None) };
    let mut storage = FileStorage::open(path).map_err(|error| not_kept(&error))?;
    if has_password {
        let known = storage.load().map_err(|error| not_kept(&error))?.identity;
        let known = known.map(|known| Identity { token: Secret::default(), ..known });
        storage.save(&[Change::Identity(known)]).map_err(|error| not_kept(&error))?;
    }
    Ok(Some(storage))
}

fn not_kept(error: &std::io::Error) -> Error {
    Error::Storage(error.into())
}

/// Without reconnecting the token is all that is kept.
fn keep(storage: &mut FileStorage, me: &Welcome, guest: bool) -> Result<(), Error> {
    if me.token.reveal().is_empty() {
        return Ok(());
    }
    let identity = Identity {
        user: me.user,
        user_name: me.user_name.clone(),
        home: me.home,
        epoch: me.epoch,
        token: me.token.clone(),
        guest,
    };
    storage.save(&[Change::Identity(Some(identity))]).map_err(|error| not_kept(&error))
}

/// Standard input, line by line. Its thread may stay behind in a read: the program's end ends it.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(LINES);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut line = Vec::new();
        while input.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if sender.blocking_send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

//! A chat in the terminal.
//!
//! Run: `cargo run --release --example chat [-- --addr 127.0.0.1:8000 --name ann --timezone Asia/Tokyo]`
//!
//! `--register` makes an account of your name, and `--login` comes back to it: you are asked for the password, or
//! it is the first line of what is piped in. With `--token-file FILE` you need neither the next time.
//!
//! You will see who you are, and then what others say, with the time where you are. What you type is said to
//! the current chat: at first that is the one with the assistant, who answers. `/help` lists the commands,
//! `/quit`, the end of the input and Ctrl-C leave. It works in a pipe too: `echo hello | … --example chat`.
//!
//! `main` joins the parts: `commands` says what a line means, `app` does it, `render` makes text of what
//! comes, `screen` prints it around the progress bars, `state` is what they share. It does not reconnect.

mod app;
mod commands;
mod render;
mod screen;
mod state;

use app::App;
use chatwire_client::{Client, End, Error, Event, Events, Login, Options};
use chrono_tz::Tz;
use clap::Parser;
use screen::Screen;
use state::State;
use std::io::{BufRead, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
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
    /// Your name; if it is not given you are asked.
    #[arg(long)]
    name: Option<String>,
    /// Your time zone, such as Asia/Tokyo; if it is not given it is the system's.
    #[arg(long)]
    timezone: Option<String>,
    /// A file to keep a token in, so that you come back as the same user.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Make an account of your name. The password is asked for, or is the first line of standard input.
    #[arg(long, requires = "name")]
    register: bool,
    /// Log in with the password of your account, also if the file has a token.
    #[arg(long, requires = "name", conflicts_with = "register")]
    login: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let screen = Screen::new();
    match run(Arguments::parse(), &screen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.complain(&render::error(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments, screen: &Screen) -> Result<(), Error> {
    // Before anything else reads the input.
    let password = if arguments.register || arguments.login { Some(read_password()?) } else { None };
    let mut lines = read_lines();
    let options = options(&arguments, password, screen, &mut lines).await;
    let zone = options.timezone.parse().unwrap_or(Tz::UTC);
    let (client, events) = Client::connect(&arguments.addr, options).await?;
    let me = client.welcome();
    keep_token(&arguments, me.token.reveal(), screen);
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

async fn options(
    arguments: &Arguments,
    password: Option<String>,
    screen: &Screen,
    lines: &mut mpsc::Receiver<String>,
) -> Options {
    let system = || iana_time_zone::get_timezone().unwrap_or_else(|_| "UTC".to_owned());
    let timezone = arguments.timezone.clone().unwrap_or_else(system);
    let login = match (password, kept_token(arguments)) {
        (Some(password), _) if arguments.register => Login::Register(password.into()),
        (Some(password), _) => Login::Password(password.into()),
        (None, Some(token)) => Login::Token(token.into()),
        (None, None) => Login::Guest,
    };
    let name = match (&arguments.name, &login) {
        (Some(name), _) => name.clone(),
        (None, Login::Guest) if std::io::stdin().is_terminal() => {
            screen.say("Your name? (Enter alone: a guest without one)");
            lines.recv().await.unwrap_or_default().trim().to_owned()
        }
        _ => String::new(),
    };
    let device = "chat example".to_owned();
    Options { timezone, name, login, device, reply_references: true, ..Options::default() }
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

fn kept_token(arguments: &Arguments) -> Option<String> {
    let token = std::fs::read_to_string(arguments.token_file.as_ref()?).ok()?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
}

/// A token is as good as a password: nobody else may read it.
fn keep_token(arguments: &Arguments, token: &str, screen: &Screen) {
    let Some(path) = arguments.token_file.as_ref().filter(|_| !token.is_empty()) else { return };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let kept = options.open(path).and_then(|mut file| std::io::Write::write_all(&mut file, token.as_bytes()));
    if let Err(error) = kept {
        screen.complain(&format!("The token was not kept in {}: {error}", path.display()));
    }
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

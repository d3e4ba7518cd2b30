//! The full screen: joins the keys, the news and the work, and draws what comes of them.
//!
//! `model` is all that is shown, `chats` one chat of it, `editor` the line that is typed: all pure. `draw` draws
//! it, `wrap` cuts text into rows, `keys` says what a key means, `work` does what takes time.

mod chats;
mod draw;
mod editor;
mod keys;
mod model;
#[cfg(test)]
mod tests;
mod work;
mod wrap;

use crate::render;
use chatwire_client::{Error, NewsFeed, Problem, Setup, Steady};
use chrono_tz::Tz;
use keys::Meaning;
use model::Model;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste, Event};
use ratatui::crossterm::execute;
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use work::Worker;

/// Keys that wait to be looked at.
const KEYS: usize = 64;
/// Outcomes that wait to be looked at.
const OUTCOMES: usize = 64;
/// What has come is taken in so many steps at most before it is drawn.
const STEPS: usize = 256;
/// How often something is drawn that changes by itself: a countdown, somebody who stopped writing.
const TICK: Duration = Duration::from_millis(500);

/// Runs until the user leaves.
pub(crate) async fn run(setup: Setup, zone: Tz) -> Result<(), Error> {
    let (steady, news) = Steady::start(setup).await?;
    let mut terminal = ratatui::try_init().map_err(|error| broken(&error))?;
    // If the terminal cannot, pasted lines are typed ones.
    let _ = execute!(io::stdout(), EnableBracketedPaste);
    let shown = show(&mut terminal, steady.clone(), news, zone).await;
    let _ = execute!(io::stdout(), DisableBracketedPaste);
    ratatui::restore();
    steady.close().await;
    shown.map_err(|error| broken(&error))
}

fn broken(error: &io::Error) -> Error {
    Error::File { path: "the terminal".into(), problem: Problem::from(error) }
}

async fn show(
    terminal: &mut DefaultTerminal,
    steady: Steady,
    mut news: NewsFeed,
    zone: Tz,
) -> io::Result<()> {
    let mut model = Model::new();
    let (outcomes, mut done) = mpsc::channel(OUTCOMES);
    let mut worker = Worker::new(steady, outcomes);
    let mut keys = read_keys();
    let mut tick = tokio::time::interval(TICK);
    let mut lives = true;
    loop {
        terminal.draw(|frame| draw::draw(frame, &mut model, zone, Instant::now()))?;
        worker.wishes(model.take_wishes());
        tokio::select! {
            event = keys.recv() => {
                // Without a keyboard nobody can leave in another way.
                let Some(event) = event else { return Ok(()) };
                if !key(&event, &mut model, &mut worker) {
                    return Ok(());
                }
            }
            item = news.next(), if lives => match item {
                Some(item) => model.news(item, Instant::now()),
                None => lives = false,
            },
            Some(outcome) = done.recv() => worker.done(outcome, &mut model),
            _ = tick.tick() => {}
        }
        // What else has come by now is taken before it is drawn.
        for _ in 0..STEPS {
            tokio::select! {
                biased;
                Some(event) = keys.recv() => if !key(&event, &mut model, &mut worker) {
                    return Ok(());
                },
                Some(outcome) = done.recv() => worker.done(outcome, &mut model),
                Some(item) = news.next(), if lives => model.news(item, Instant::now()),
                () = std::future::ready(()) => break,
            }
        }
    }
}

/// A key was pressed; false: the user leaves.
fn key(event: &Event, model: &mut Model, worker: &mut Worker) -> bool {
    match keys::pressed(event, model, Instant::now()) {
        Meaning::Nothing => true,
        Meaning::Leave => false,
        Meaning::Line(line) => worker.line(&line, model),
    }
}

/// The terminal's events. Its thread may stay behind in a read: the program's end ends it.
fn read_keys() -> mpsc::Receiver<Event> {
    let (sender, keys) = mpsc::channel(KEYS);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    keys
}

/// Something that the program says.
fn say(model: &mut Model, text: &str) {
    model.note(render::lines(text));
}

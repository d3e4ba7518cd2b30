//! Sends one text or one file, and says where it stands. A connection that is lost is made again, and a file goes on
//! where it was.
//!
//! Run: `cargo run --release --example send -- --room lobby "text"`
//! or:  `cargo run --release --example send -- --file clip.mp4`
//!
//! You will see `chat 12, message 7, 2026-01-31 09:30:00 UTC`; without --room it goes to your chat with the
//! assistant.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks")]

use chatwire_client::{
    Error, MemoryStorage, News, NewsFeed, Options, Outgoing, OutgoingFile, Setup, State, Steady, Target,
    frame,
};
use chrono::DateTime;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;

/// Sends one text or one file.
#[derive(Parser)]
struct Arguments {
    /// The server.
    #[arg(long, default_value = "127.0.0.1:8000")]
    addr: String,
    /// Your name; without one the server gives you one.
    #[arg(long, default_value = "")]
    name: String,
    /// The room; it is joined first.
    #[arg(long)]
    room: Option<String>,
    /// A file to send: MP3, MP4 and pictures go as what they are.
    #[arg(long, conflicts_with = "text", required_unless_present = "text")]
    file: Option<PathBuf>,
    /// The text.
    text: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let timezone = iana_time_zone::get_timezone().unwrap_or_else(|_| "UTC".to_owned());
    // Only the answers are wanted: no live messages, and nobody to take events.
    let options = Options { timezone, name: arguments.name.clone(), live: false, ..Options::default() };
    let setup = Setup::new(&arguments.addr, options, MemoryStorage::default());
    let (steady, news) = Steady::start(setup).await?;
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    tokio::spawn(watch(news, bar.clone()));
    let sent = send(&steady, arguments, bar.clone()).await;
    bar.finish_and_clear();
    steady.close().await;
    let status = sent?;
    let at = DateTime::from_timestamp_micros(status.at).unwrap_or_default();
    println!("chat {}, message {}, {}", status.chat, status.seq, at.format("%Y-%m-%d %H:%M:%S UTC"));
    Ok(())
}

async fn send(steady: &Steady, arguments: Arguments, bar: ProgressBar) -> Result<frame::Status, Error> {
    let target = match &arguments.room {
        Some(room) => Target::Chat(steady.join(room).await?.chat),
        None => Target::Current,
    };
    let Some(path) = arguments.file else {
        return steady.send(Outgoing::text(target, arguments.text.unwrap_or_default())).await?.await;
    };
    let progress = move |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    steady.send_file(OutgoingFile::new(target, path), progress).await?.await
}

/// Says why it takes longer.
async fn watch(mut news: NewsFeed, bar: ProgressBar) {
    while let Some(news) = news.next().await {
        if let News::State(State::Waiting { pause, why }) = news {
            bar.suspend(|| eprintln!("{why}; again in {:.1} s", pause.as_secs_f64()));
        }
    }
}

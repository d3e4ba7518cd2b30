//! Prints the last messages of a room.
//!
//! Run: `cargo run --release --example history -- lobby [--last 50]`
//!
//! You will see a line a message, the oldest first: `2026-01-31 09:30:00  ann: good morning`, in UTC. Joining
//! is what lets you read, so members see you come and go.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks")]

#[path = "shared/tls.rs"]
mod tls;

use chatwire_client::{Client, Content, Error, Message, Options};
use chrono::DateTime;
use clap::Parser;
use std::process::ExitCode;
use tls::TlsArguments;

/// Prints the last messages of a room.
#[derive(Parser)]
struct Arguments {
    /// The room.
    room: String,
    /// How many messages.
    #[arg(long, default_value_t = 20)]
    last: usize,
    /// The server.
    #[arg(long, default_value = "127.0.0.1:8000")]
    addr: String,
    #[command(flatten)]
    tls: TlsArguments,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("history: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let options = Options { live: false, tls: arguments.tls.tls()?, ..Options::default() };
    let (client, _) = Client::connect(&arguments.addr, options).await?;
    let read = read(&client, &arguments.room, arguments.last).await;
    client.bye().await?;
    for message in read? {
        let at = DateTime::from_timestamp_micros(message.at).unwrap_or_default();
        // Debug writes control characters out: a message shall not command the terminal.
        println!(
            "{}  {}: {}",
            at.format("%Y-%m-%d %H:%M:%S"),
            message.user_name.escape_debug(),
            say(&message)
        );
    }
    Ok(())
}

/// The last `wanted` messages: pages from the end, until there are enough or no others.
async fn read(client: &Client, room: &str, wanted: usize) -> Result<Vec<Message>, Error> {
    let chat = client.join(room).await?.chat;
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let missing = u16::try_from(wanted.saturating_sub(messages.len())).unwrap_or(200).min(200);
        let before = messages.first().map_or(0, |oldest| oldest.seq);
        if missing == 0 {
            return Ok(messages);
        }
        let mut page = client.history(chat, before, missing).await?;
        let more = page.more && !page.messages.is_empty();
        page.messages.append(&mut messages);
        messages = page.messages;
        if !more {
            return Ok(messages);
        }
    }
}

fn say(message: &Message) -> String {
    match &message.content {
        Content::Text(text) => text.escape_debug().to_string(),
        Content::Reply(reply) => reply.text.escape_debug().to_string(),
        Content::Media(media) => {
            format!("[{:?}, {}, {} bytes]", media.kind, media.mime.escape_debug(), media.size)
        }
        Content::Gone => "[removed]".to_owned(),
        other => format!("[{other:?}]"),
    }
}

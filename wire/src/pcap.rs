//! `wire pcap`: the connections in a capture, shown as `wire tap` would have shown them.

use crate::capture;
use crate::cli::Pcap;
use crate::connections::{Connections, Event};
use crate::conversation::{Conversation, time_of_day};
use crate::error::Error;
use crate::show::{Format, View};
use serde_json::json;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;

pub(crate) fn run(wish: &Pcap) -> Result<(), Error> {
    let view = wish.look.view(if wish.json { Format::Json } else { wish.format });
    let mut connections = Connections::new(wish.port);
    let mut conversations: HashMap<usize, Conversation> = HashMap::new();
    let mut stdout = std::io::stdout().lock();
    let mut shown = String::new();
    capture::read(&wish.file, &mut |segment| {
        connections.take(&segment, &mut |event| show(&event, &mut conversations, &view, &mut shown));
        stdout.write_all(shown.as_bytes())?;
        shown.clear();
        Ok(())
    })?;
    connections.finish(&mut |event| show(&event, &mut conversations, &view, &mut shown));
    stdout.write_all(shown.as_bytes())?;
    if connections.strangers() > 0 {
        let text = format!(
            "wire: {} other connections were passed over; --port shows those to a port",
            connections.strangers()
        );
        writeln!(std::io::stderr(), "{text}")?;
    }
    Ok(())
}

fn show(
    event: &Event<'_>,
    conversations: &mut HashMap<usize, Conversation>,
    view: &View,
    shown: &mut String,
) {
    match *event {
        Event::Bytes { number, from, bytes, at } => {
            let conversation = conversations.entry(number).or_insert_with(|| Conversation::new(number, view));
            conversation.feed(from, bytes, at, view, shown);
        }
        Event::Gap { number, from, bytes, at } => {
            let conversation = conversations.entry(number).or_insert_with(|| Conversation::new(number, view));
            conversation.finish(from, at, view, shown);
            conversation.resume(from, view);
            let words = format!("{bytes} bytes were not captured");
            // Writing to a String cannot fail.
            let _ = match view.format {
                Format::Json => {
                    writeln!(shown, "{}", json!({ "connection": number, "gap": bytes, "text": words }))
                }
                _ => writeln!(shown, "{} #{number} !! {words}", time_of_day(at)),
            };
        }
        Event::End { number, from, at } => {
            if let Some(conversation) = conversations.get_mut(&number) {
                conversation.finish(from, at, view, shown);
            }
        }
    }
}

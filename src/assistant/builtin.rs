//! The assistants that need nobody else: one that knows a few things, one that says what it was told.

use super::{Answering, Assistant, Question, Reply};
use crate::store::{Content, Media};
use chatwire_codec::MediaKind;
use chrono::DateTime;

/// Says what it was told.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl Assistant for Echo {
    fn answer<'a>(&'a self, question: &'a Question) -> Answering<'a> {
        let text = said(question);
        Box::pin(async move { Ok(Reply { text }) })
    }
}

/// Answers `help` and `time`, and else says what it was told.
#[derive(Clone, Copy, Debug)]
pub struct Builtin;

impl Assistant for Builtin {
    fn answer<'a>(&'a self, question: &'a Question) -> Answering<'a> {
        let text = match &question.content {
            Content::Text(text) => match text.trim().to_lowercase().as_str() {
                "help" | "?" => format!(
                    "Hello {}. I answer `help` and `time`, and repeat all else. Nobody but you reads this chat; \
                     join a room to meet others.",
                    question.user_name
                ),
                "time" => time(question),
                _ => format!("You said: {}", said(question)),
            },
            _ => format!("You sent {}.", said(question)),
        };
        Box::pin(async move { Ok(Reply { text }) })
    }
}

/// The time where the user is.
fn time(question: &Question) -> String {
    let Some(utc) = DateTime::from_timestamp_micros(super::now()) else {
        return "I do not know what time it is.".to_owned();
    };
    match question.zone {
        Some(zone) => {
            format!("It is {} ({zone}).", utc.with_timezone(&zone).format("%A, %-d %B %Y, %H:%M:%S"))
        }
        None => format!("It is {} UTC.", utc.format("%A, %-d %B %Y, %H:%M:%S")),
    }
}

/// What the user said, in words.
fn said(question: &Question) -> String {
    match &question.content {
        Content::Text(text) | Content::Reply(text, _) => text.to_string(),
        Content::Media(media) => describe(media),
        Content::Reference(..) | Content::Gone => "nothing".to_owned(),
    }
}

fn describe(media: &Media) -> String {
    let what = match media.kind {
        MediaKind::Voice => "a voice message",
        MediaKind::Video => "a video",
        MediaKind::Image => "a picture",
        MediaKind::File => "a file",
    };
    let seconds = media.duration_ms / 1000;
    match (media.width, media.height, media.duration_ms) {
        (0, _, 0) => format!("{what} of {} bytes", media.size),
        (0, _, _) => format!("{what} of {seconds} s, {} bytes", media.size),
        (w, h, 0) => format!("{what} of {w} x {h} pixels, {} bytes", media.size),
        (w, h, _) => format!("{what} of {w} x {h} pixels, {seconds} s, {} bytes", media.size),
    }
}

//! Makes text of what comes. Whatever others wrote is a stranger's: it must not command the terminal, pass
//! for another line, or name a path.

use crate::state::State;
use chatwire_client::{Code, Content, Error, Event, MediaKind, MediaRef, Member, Message};
use chrono::DateTime;

/// Bytes of a saved file's name; a part's ending and a number fit behind it.
const NAME_BYTES: usize = 180;
/// The assistant.
const ASSISTANT: u64 = 1;

/// Text without what a terminal obeys; line breaks stay, set in so that none looks like a message of its own.
pub(crate) fn text(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join("\n      ")
}

/// The same, without setting it in: for a window, which does so itself.
pub(crate) fn lines(text: &str) -> String {
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The same, on one line.
pub(crate) fn line(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { '\u{FFFD}' } else { c }).collect()
}

/// Control characters, line separators, and those that turn the direction of writing or hide.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}')
        || matches!(c, '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

/// What an event looks like, if it is to be seen.
pub(crate) fn event(event: &Event, state: &State) -> Option<String> {
    match event {
        Event::Message(message) => Some(self::message(message, state)),
        Event::Member(member) => Some(self::member(member, state)),
        Event::Gone(gone) => Some(format!("* message #{} was removed{}", gone.seq, place(gone.chat, state))),
        Event::ServerError(refusal) => Some(error(&Error::Refused(refusal.clone()))),
        _ => None,
    }
}

/// `09:30 ann: hello`, and the chat's name if it is another than the current one.
pub(crate) fn message(message: &Message, state: &State) -> String {
    let at = DateTime::from_timestamp_micros(message.at).unwrap_or_default().with_timezone(&state.zone);
    let chat = state.elsewhere(message.chat).map(|name| format!("[{}] ", line(&name))).unwrap_or_default();
    let who = match message.user {
        user if user == state.me => "you".to_owned(),
        ASSISTANT if message.user_name.is_empty() => "assistant".to_owned(),
        _ => line(&message.user_name),
    };
    let number = if state.has_numbers() { format!("#{} ", message.seq) } else { String::new() };
    format!("{number}{} {chat}{who}: {}", at.format("%H:%M"), content(message, state))
}

fn content(message: &Message, state: &State) -> String {
    match &message.content {
        Content::Text(said) => text(said),
        Content::Media(reference) => media(reference, &message.name, state),
        Content::Reply(reply) => {
            let attachments = reply.attachments.iter().map(|reference| media(reference, "", state));
            let parts: Vec<String> = std::iter::once(text(&reply.text)).chain(attachments).collect();
            parts.join("\n      ")
        }
        Content::Gone => "(removed)".to_owned(),
        _ => "(something that this program cannot show)".to_owned(),
    }
}

fn media(media: &MediaRef, name: &str, state: &State) -> String {
    let named = named(media, name);
    label(&named, state.number(&named))
}

/// Media with the name that its message gives it, unless it has one of its own.
pub(crate) fn named(media: &MediaRef, name: &str) -> MediaRef {
    let mut named = media.clone();
    if named.name.is_empty() {
        name.clone_into(&mut named.name);
    }
    named
}

/// `[3] video clip.mp4 1.2 MB - /save 3`
pub(crate) fn label(media: &MediaRef, number: usize) -> String {
    let kind = match media.kind {
        MediaKind::Voice => "voice",
        MediaKind::Video => "video",
        MediaKind::Image => "picture",
        MediaKind::File => "file",
    };
    let name = if media.name.is_empty() { String::new() } else { format!("{} ", line(&media.name)) };
    format!("[{number}] {kind} {name}{} - /save {number}", size(media.size))
}

fn member(member: &Member, state: &State) -> String {
    let place = place(member.chat, state);
    format!("* {} {}{place}", line(&member.user_name), change(member.change))
}

/// Where something is, if it is not here.
fn place(chat: u64, state: &State) -> String {
    state.elsewhere(chat).map(|name| format!(" ({})", line(&name))).unwrap_or_default()
}

/// What became of a member.
pub(crate) fn change(change: u8) -> &'static str {
    match change {
        1 => "came",
        2 => "left",
        3 => "was invited",
        _ => "was removed",
    }
}

pub(crate) fn presence(presence: u8) -> &'static str {
    match presence {
        1 => "online",
        2 => "away",
        _ => "offline",
    }
}

/// `1.2 MB`
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    // Tenths of a unit: rounded down, and exact enough for eyes.
    let (mut tenths, mut unit) = (bytes / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        (tenths, unit) = (tenths / 1000, unit + 1);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A name to save media under: one part of a path, visible, and nothing that any system takes specially.
pub(crate) fn file_name(media: &MediaRef, number: usize) -> String {
    let last = media.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let special = |c: char| is_obeyed(c) || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*');
    let mut name: String = last.chars().map(|c| if special(c) { '_' } else { c }).collect();
    name = name.trim_matches(['.', ' ']).to_owned();
    while name.len() > NAME_BYTES {
        // From the middle, so that the ending stays.
        let middle = name.chars().count() / 2;
        name = name.chars().take(middle - 1).chain(name.chars().skip(middle)).collect();
    }
    if name.is_empty() { format!("media-{number}{}", extension(&media.mime)) } else { name }
}

fn extension(mime: &str) -> &'static str {
    match mime {
        "audio/mpeg" => ".mp3",
        "video/mp4" => ".mp4",
        "image/jpeg" => ".jpg",
        "image/png" => ".png",
        "image/webp" => ".webp",
        "image/gif" => ".gif",
        _ => "",
    }
}

/// An error in plain words, the server's own behind.
pub(crate) fn error(error: &Error) -> String {
    let words = match error.code() {
        Some(Code::Unauthenticated) => {
            "The server does not know you. If you gave a token file, it is out of date."
        }
        Some(Code::Forbidden) => "You may not do that here.",
        Some(Code::NotFound) => "There is no such thing here.",
        Some(Code::Unsupported) => "The server cannot do that yet.",
        Some(Code::Conflict) => "That name cannot be had.",
        Some(Code::TooLarge) => "That is too large.",
        Some(Code::BadMedia) => "The file is not what it looks like.",
        Some(Code::BadTimezone) => "The server does not take your time zone; give another with --timezone.",
        Some(Code::OutsideHours) => "The server takes no messages at this hour.",
        Some(Code::RateLimited) => "That was too fast.",
        Some(Code::Banned) => "You are banned.",
        Some(Code::StorageFull) => "The server has no room left.",
        Some(_) => "That did not work.",
        None => return line(&format!("It did not work: {error}.")),
    };
    line(&format!("{words} ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_commands_no_terminal_and_makes_no_line_of_its_own() {
        assert_eq!(line("a\x1b[2Jb\u{202E}c\u{9b}d\r"), "a\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}d\u{FFFD}");
        assert_eq!(text("one\n09:30 ann: two"), "one\n      09:30 ann: two");
    }

    #[test]
    fn a_saved_name_is_one_visible_part_of_a_path() {
        let named = |name: &str| MediaRef {
            kind: MediaKind::Image,
            media: [0; 32],
            size: 0,
            mime: "image/png".to_owned(),
            name: name.to_owned(),
            duration_ms: 0,
            width: 0,
            height: 0,
        };
        for (name, safe) in [
            ("cat.png", "cat.png"),
            ("../../.ssh/authorized_keys", "authorized_keys"),
            ("C:\\boot.ini", "boot.ini"),
            ("..", "media-3.png"),
            (".bashrc", "bashrc"),
            ("a\x1bb\n.png", "a_b_.png"),
            ("", "media-3.png"),
        ] {
            assert_eq!(file_name(&named(name), 3), safe, "{name:?}");
        }
        let long = file_name(&named(&format!("{}.png", "é".repeat(200))), 3);
        assert!(long.len() <= NAME_BYTES && long.ends_with(".png"), "{long}");
    }

    #[test]
    fn sizes_are_for_eyes() {
        for (bytes, shown) in
            [(999, "999 bytes"), (1_234_567, "1.2 MB"), (1_000, "1.0 kB"), (u64::MAX, "18446744.0 TB")]
        {
            assert_eq!(size(bytes), shown);
        }
    }
}

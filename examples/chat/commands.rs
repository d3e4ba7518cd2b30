//! What a typed line means.

use std::path::PathBuf;

/// How many messages `/history` shows by itself, and at most.
const HISTORY: u16 = 20;
const HISTORY_MOST: u16 = 200;

pub(crate) const HELP: &str = "\
What you type is said to the current chat. A line that begins with / is a command (// says a /):
  /join room          enter a room, and make it if it is missing
  /leave              leave the current room
  /rooms              list the rooms
  /who                list who is in the current chat
  /send file          send a file: MP3, MP4 and pictures go as what they are
  /save n [folder]    save media number n
  /msg user text      write to a user
  /create title       make a group; /invite user and /remove user change who is in it
  /history [n]        show the last n messages (20)
  /delete [n]         take back your last message here, or message number n; /numbers shows them
  /quit               leave";

/// A line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Nothing,
    Say(String),
    Join(String),
    Leave,
    Rooms,
    Who,
    Message(String, String),
    Create(String),
    Invite(String),
    Remove(String),
    Send(PathBuf),
    Save(usize, PathBuf),
    History(u16),
    /// By its number; `None`: one's own last.
    Delete(Option<u64>),
    Numbers,
    Help,
    Quit,
}

/// What the line means, or what is wrong with it.
pub(crate) fn parse(line: &str) -> Result<Command, String> {
    let Some(command) = line.strip_prefix('/') else {
        return Ok(if line.trim().is_empty() { Command::Nothing } else { Command::Say(line.to_owned()) });
    };
    if command.starts_with('/') {
        return Ok(Command::Say(command.to_owned()));
    }
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    Ok(match word {
        "join" if rest.is_empty() => return Err("Which room? /join room".to_owned()),
        "join" => Command::Join(rest.to_owned()),
        "leave" => Command::Leave,
        "rooms" => Command::Rooms,
        "who" => Command::Who,
        "msg" => return message(rest),
        "create" | "invite" | "remove" if rest.is_empty() => return Err(format!("Which? /{word} name")),
        "create" => Command::Create(rest.to_owned()),
        "invite" => Command::Invite(rest.to_owned()),
        "remove" => Command::Remove(rest.to_owned()),
        "send" if rest.is_empty() => return Err("Which file? /send file".to_owned()),
        "send" => Command::Send(rest.into()),
        "save" => return save(rest),
        "history" if rest.is_empty() => Command::History(HISTORY),
        "history" => match rest.parse() {
            Ok(n) if n > 0 => Command::History(HISTORY_MOST.min(n)),
            _ => return Err("How many? /history 20".to_owned()),
        },
        "delete" if rest.is_empty() => Command::Delete(None),
        "delete" => match rest.trim_start_matches('#').parse() {
            Ok(n) if n > 0 => Command::Delete(Some(n)),
            _ => return Err("Which one? /delete 12, by the number that /numbers shows".to_owned()),
        },
        "numbers" => Command::Numbers,
        "help" => Command::Help,
        "quit" => Command::Quit,
        _ => return Err(format!("There is no command /{word}. /help lists them.")),
    })
}

fn message(rest: &str) -> Result<Command, String> {
    match rest.split_once(char::is_whitespace) {
        Some((user, text)) if !text.trim().is_empty() => {
            Ok(Command::Message(user.to_owned(), text.trim().to_owned()))
        }
        _ => Err("To whom, and what? /msg user text".to_owned()),
    }
}

fn save(rest: &str) -> Result<Command, String> {
    let (number, folder) = rest.split_once(char::is_whitespace).unwrap_or((rest, "."));
    match number.parse() {
        Ok(number) => Ok(Command::Save(number, folder.trim().into())),
        Err(_) => Err("Which one? /save 3, the number that stands in [ ] before it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_unless_it_begins_with_one_slash() {
        assert_eq!(parse("hi"), Ok(Command::Say("hi".to_owned())));
        assert_eq!(parse("//etc"), Ok(Command::Say("/etc".to_owned())));
        assert_eq!(parse("  "), Ok(Command::Nothing));
        assert_eq!(parse("/save 3 my files"), Ok(Command::Save(3, "my files".into())));
        assert_eq!(parse("/delete"), Ok(Command::Delete(None)));
        assert_eq!(parse("/delete #12"), Ok(Command::Delete(Some(12))));
        assert!(parse("/delete 0").is_err() && parse("/delete it").is_err());
        assert!(parse("/save x").is_err() && parse("/nonsense").is_err() && parse("/join ").is_err());
    }
}

//! The line that is typed at a terminal: history, and completion from the frame table.

use crate::error::Error;
use crate::language::{COMMANDS, frame_named, is_one_value};
use crate::output::Output;
use chatwire_codec::{Direction, FRAMES};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Context, Editor, Helper, Highlighter, Hinter, Validator};
use std::path::PathBuf;

/// Lines that are remembered.
const HISTORY: usize = 1000;

pub(crate) struct Prompt {
    editor: Editor<Words, FileHistory>,
    /// Where lines are remembered, if there is such a place.
    history: Option<PathBuf>,
}

impl Prompt {
    pub(crate) fn new() -> Result<Prompt, Error> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .max_history_size(HISTORY)
            .map(rustyline::config::Builder::build);
        let mut editor = config.and_then(Editor::with_config).map_err(std::io::Error::other)?;
        editor.set_helper(Some(Words));
        let history = history_file();
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        Ok(Prompt { editor, history })
    }

    /// Prints above the line.
    pub(crate) fn output(&mut self) -> Result<Output, Error> {
        Ok(Output::above_prompt(self.editor.create_external_printer().map_err(std::io::Error::other)?))
    }

    /// The next line; `None` at the end of input.
    pub(crate) fn line(&mut self) -> Result<Option<String>, Error> {
        match self.editor.readline("> ") {
            Ok(line) => {
                self.remember(&line);
                Ok(Some(line))
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
            Err(ReadlineError::Io(error)) => Err(error.into()),
            Err(error) => Err(std::io::Error::other(error).into()),
        }
    }

    /// Lines with passwords and tokens are not kept.
    fn remember(&mut self, line: &str) {
        if line.contains("secret=") {
            return;
        }
        // A history that cannot be written is no reason to stop.
        let _ = self.editor.add_history_entry(line);
        if let Some(path) = &self.history {
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = self.editor.save_history(path);
        }
    }
}

fn history_file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join("chatwire/wire_history"))
}

/// Completes names of frames and commands, then names of fields.
#[derive(Helper, Hinter, Highlighter, Validator)]
struct Words;

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(candidates(line.get(..at).unwrap_or_default()))
    }
}

/// Where the word begins that `line` ends with, and what it could become.
fn candidates(line: &str) -> (usize, Vec<String>) {
    let begin = line.rfind(' ').map_or(0, |space| space + 1);
    let word = line[begin..].to_lowercase();
    let before: Vec<&str> = line[..begin].split_whitespace().collect();
    let words: Vec<String> = match before[..] {
        [] => {
            let to_server = FRAMES.iter().filter(|info| info.direction != Direction::ToClient);
            let frames = to_server.map(|info| info.name.to_lowercase());
            frames.chain(COMMANDS.iter().map(|word| (*word).to_string())).collect()
        }
        ["expect" | "next" | "quiet"] => {
            let to_client = FRAMES.iter().filter(|info| info.direction != Direction::ToServer);
            to_client.map(|info| info.name.to_lowercase()).chain(["end".to_string()]).collect()
        }
        ["expect" | "next", frame, ..] | [frame, ..] => fields(frame),
    };
    (begin, words.into_iter().filter(|candidate| candidate.starts_with(&word)).collect())
}

fn fields(frame: &str) -> Vec<String> {
    let Ok(info) = frame_named(frame) else { return Vec::new() };
    if is_one_value(info) {
        return Vec::new();
    }
    let names = info.fields.iter().map(|field| if field.ty == "said" { "text" } else { field.name });
    names.map(|name| format!("{name}=")).collect()
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn names_of_frames_then_of_fields_are_completed() {
        assert_eq!(candidates("hel"), (0, vec!["hello".to_string(), "help".to_string()]));
        assert_eq!(candidates("join ro"), (5, vec!["room=".to_string()]));
        assert_eq!(candidates("expect sta"), (7, vec!["status".to_string()]));
        assert_eq!(candidates("expect status seq=1 du"), (20, vec!["duplicate=".to_string()]));
        assert_eq!(candidates("text hi"), (5, Vec::new()));
    }
}

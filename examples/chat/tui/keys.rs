//! What a key means.

use super::model::Model;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::time::Instant;

/// Rows that a page scrolls.
const PAGE: isize = 10;

/// What a key asks for, beyond what it changes in the model.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Nothing,
    Leave,
    /// This line was typed.
    Line(String),
}

/// Takes an event of the terminal.
pub(crate) fn pressed(event: &Event, model: &mut Model, now: Instant) -> Meaning {
    match event {
        Event::Paste(text) => {
            model.editor.paste(text);
            model.typed(now);
            Meaning::Nothing
        }
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            let meaning = meaning(key, model);
            model.typed(now);
            meaning
        }
        _ => Meaning::Nothing,
    }
}

fn meaning(key: &KeyEvent, model: &mut Model) -> Meaning {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') if control => return Meaning::Leave,
        KeyCode::F(1) => model.help = !model.help,
        KeyCode::Esc => model.help = false,
        KeyCode::Enter if !model.editor.is_empty() => return Meaning::Line(model.editor.take()),
        KeyCode::Char('u') if control => model.editor.delete_to_start(),
        KeyCode::Char('w') if control => model.editor.delete_word(),
        KeyCode::Char('a') if control => model.editor.home(),
        KeyCode::Char('e') if control => model.editor.end(),
        KeyCode::Char('n') if control => model.step(1),
        KeyCode::Char('p') if control => model.step(-1),
        KeyCode::Tab => model.step(1),
        KeyCode::BackTab => model.step(-1),
        KeyCode::PageUp => model.scroll(PAGE),
        KeyCode::PageDown => model.scroll(-PAGE),
        KeyCode::Up => model.scroll(1),
        KeyCode::Down => model.scroll(-1),
        KeyCode::Left => model.editor.left(),
        KeyCode::Right => model.editor.right(),
        KeyCode::Home => model.editor.home(),
        KeyCode::End => model.editor.end(),
        KeyCode::Backspace => model.editor.backspace(),
        KeyCode::Delete => model.editor.delete(),
        KeyCode::Char(c) if !control => model.editor.insert(c),
        _ => {}
    }
    Meaning::Nothing
}

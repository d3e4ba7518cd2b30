//! The line that is being typed: pure, and by characters of any width.

use super::wrap::{columns, columns_of};

/// Bytes of one line: the server takes no more in one text, by default.
const LINE_BYTES: usize = 60_000;

/// A line and the place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Editor {
    text: String,
    /// A byte, at a character's boundary.
    at: usize,
}

impl Editor {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes the line away.
    pub(crate) fn take(&mut self) -> String {
        self.at = 0;
        std::mem::take(&mut self.text)
    }

    pub(crate) fn insert(&mut self, c: char) {
        // A line break of what is pasted stays; all else that a terminal obeys would not be seen.
        if self.text.len() + c.len_utf8() <= LINE_BYTES && (!c.is_control() || c == '\n') {
            self.text.insert(self.at, c);
            self.at += c.len_utf8();
        }
    }

    pub(crate) fn paste(&mut self, text: &str) {
        text.replace("\r\n", "\n").replace(['\r', '\t'], " ").chars().for_each(|c| self.insert(c));
    }

    pub(crate) fn left(&mut self) {
        self.at = self.before(self.at);
    }

    pub(crate) fn right(&mut self) {
        self.at = self.behind(self.at);
    }

    pub(crate) fn home(&mut self) {
        self.at = 0;
    }

    pub(crate) fn end(&mut self) {
        self.at = self.text.len();
    }

    pub(crate) fn backspace(&mut self) {
        let from = self.before(self.at);
        self.text.drain(from..self.at);
        self.at = from;
    }

    pub(crate) fn delete(&mut self) {
        let to = self.behind(self.at);
        self.text.drain(self.at..to);
    }

    /// Takes the word before the place away.
    pub(crate) fn delete_word(&mut self) {
        let head = self.text[..self.at].trim_end();
        let from = head.rfind(' ').map_or(0, |space| space + 1);
        self.text.drain(from..self.at);
        self.at = from;
    }

    pub(crate) fn delete_to_start(&mut self) {
        self.text.drain(..self.at);
        self.at = 0;
    }

    /// One character back, with the marks that stand on it.
    fn before(&self, at: usize) -> usize {
        let mut from = at;
        for (i, c) in self.text[..at].char_indices().rev() {
            from = i;
            if columns(c) > 0 || c == '\n' {
                break;
            }
        }
        from
    }

    fn behind(&self, at: usize) -> usize {
        let mut chars = self.text[at..].char_indices();
        chars.next();
        chars.find(|(_, c)| columns(*c) > 0 || *c == '\n').map_or(self.text.len(), |(i, _)| at + i)
    }

    /// What is seen of the line in `width` columns, and the column of the place in it.
    pub(crate) fn seen(&self, width: usize) -> (String, usize) {
        let visible = |c: char| if c == '\n' { '⏎' } else { c };
        let head: Vec<char> = self.text[..self.at].chars().map(visible).collect();
        let mut used = 0;
        // One column stays for the place itself.
        let room = width.saturating_sub(1);
        let from = head.iter().rposition(|c| {
            used += columns(*c);
            used > room
        });
        let head: String = head[from.map_or(0, |from| from + 1)..].iter().collect();
        let column = columns_of(&head);
        let mut seen = head;
        let mut used = column;
        for c in self.text[self.at..].chars().map(visible) {
            used += columns(c);
            if used > width {
                break;
            }
            seen.push(c);
        }
        (seen, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Editor {
        let mut editor = Editor::default();
        editor.paste(text);
        editor
    }

    #[test]
    fn the_place_moves_by_what_is_seen_as_one_character() {
        let mut e = typed("a東e\u{301}!");
        e.left();
        e.backspace();
        assert_eq!(e.text(), "a東!");
        e.left();
        e.delete();
        assert_eq!(e.text(), "a!");
        e.home();
        e.right();
        e.insert('b');
        assert_eq!((e.text(), e.seen(10)), ("ab!", ("ab!".to_owned(), 2)));
    }

    #[test]
    fn a_line_that_is_too_wide_is_seen_around_the_place() {
        let mut e = typed("good morning, 東京");
        let (seen, column) = e.seen(8);
        assert_eq!((seen.as_str(), column), ("g, 東京", 7));
        e.home();
        assert_eq!(e.seen(8), ("good mor".to_owned(), 0));
    }

    #[test]
    fn words_and_lines_go_at_once_and_control_characters_never_come_in() {
        let mut e = typed("one two  three");
        e.delete_word();
        assert_eq!(e.text(), "one two  ");
        e.delete_word();
        assert_eq!(e.text(), "one ");
        e.delete_to_start();
        assert!(e.is_empty());
        assert_eq!(typed("a\x1b[2J\u{9b}b\r\nc\td").text(), "a[2Jb\nc d");
        assert!(typed(&"x".repeat(LINE_BYTES + 9)).text().len() <= LINE_BYTES);
    }
}

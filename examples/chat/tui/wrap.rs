//! Cuts text into rows of a width in columns, of which some characters take two and some none.

use unicode_width::UnicodeWidthChar;

/// Columns that a character takes.
pub(crate) fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Columns that a text takes.
pub(crate) fn columns_of(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// The text in rows of at most `width` columns: cut at spaces where there are any, and at line breaks.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    text.split('\n').flat_map(|line| wrap_line(line, width)).collect()
}

fn wrap_line(line: &str, width: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let (mut row, mut used) = (String::new(), 0);
    // Where the row could be cut: behind the last space.
    let mut space = None;
    for c in line.chars() {
        if used + columns(c) > width {
            let rest = match space {
                Some(at) if c != ' ' => row.split_off(at),
                _ => String::new(),
            };
            rows.push(std::mem::replace(&mut row, rest).trim_end().to_owned());
            (used, space) = (columns_of(&row), None);
            if c == ' ' {
                continue;
            }
        }
        row.push(c);
        used += columns(c);
        if c == ' ' {
            space = Some(row.len());
        }
    }
    rows.push(row);
    rows
}

/// As much of the text as fits, with `…` where something is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if columns_of(text) <= width {
        return text.to_owned();
    }
    let mut row = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += columns(c);
        if used > width {
            break;
        }
        row.push(c);
    }
    row.push('…');
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_at_spaces_and_never_wider_than_they_may_be() {
        assert_eq!(wrap("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrap("abcdefghijkl", 5), ["abcde", "fghij", "kl"]);
        assert_eq!(wrap("one\n\ntwo", 10), ["one", "", "two"]);
        assert_eq!(wrap("東京の天気は晴れ", 7), ["東京の", "天気は", "晴れ"]);
        // A mark that takes no column stays with its letter.
        assert_eq!(wrap("e\u{301}e\u{301}e\u{301}", 2), ["e\u{301}e\u{301}", "e\u{301}"]);
        for width in 2..30 {
            for row in wrap("早上好 good morning, 東京 and 🌍 all others", width) {
                assert!(columns_of(&row) <= width, "{row:?} at {width}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        assert_eq!(cut("harbour", 7), "harbour");
        assert_eq!(cut("harbour", 6), "harbo…");
        assert_eq!(cut("東京駅", 5), "東京…");
        assert_eq!(cut("東京駅", 4), "東…");
    }
}

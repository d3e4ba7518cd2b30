//! A Rust file as the rules see it: what is code, what stands in quotes, and which paths the code names.
//!
//! Not a parser: it knows comments, literals and the shape of `use`, and nothing else of the language.

use std::collections::BTreeSet;
use std::path::Path;

/// A file, read.
pub(crate) struct Source {
    /// Its path from the root, with `/` between.
    pub(crate) path: String,
    /// As it stands.
    pub(crate) text: String,
    /// Without comments, and with every literal emptied; up to the unit tests.
    pub(crate) code: String,
    /// The same of the unit tests, which are last in a file.
    pub(crate) tests: String,
    /// What stands in quotes, up to the unit tests.
    pub(crate) strings: Vec<String>,
}

/// Every Rust file of the project, but for those that are still empty.
pub(crate) fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "codec", "client", "wire", "tests", "examples", "benches", "fuzz"] {
        walk(root, &root.join(folder), &mut found);
    }
    found.retain(|source| !source.text.trim().is_empty());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 10, "the project's files are not where they are looked for");
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            walk(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.push(Source::new(name, text));
        }
    }
}

impl Source {
    /// Takes a file apart.
    pub(crate) fn new(path: String, text: String) -> Self {
        let is_test = path.contains("tests/") || path.ends_with("/tests.rs");
        let begin = if is_test { 0 } else { unit_tests(&text) };
        let (code, strings) = strip(&text[..begin]);
        let (tests, _) = strip(&text[begin..]);
        Source { path, text, code, tests, strings }
    }

    /// Whether the file is this module or stands below it, as `src/hub.rs` and `src/hub/…` are `src/hub`.
    pub(crate) fn is_in(&self, module: &str) -> bool {
        self.path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// The paths that the code names, from the crate's root or another crate's name.
    pub(crate) fn paths(&self) -> BTreeSet<String> {
        paths(&self.code, &self.module())
    }

    /// The same of the unit tests.
    pub(crate) fn test_paths(&self) -> BTreeSet<String> {
        paths(&self.tests, &self.module())
    }

    /// The file's module: `store`, `chat` of `src/store/chat.rs`.
    fn module(&self) -> Vec<&str> {
        let inside = self.path.split_once("src/").map_or("", |(_, inside)| inside);
        let mut module: Vec<_> = inside.trim_end_matches(".rs").split('/').collect();
        if matches!(module.last(), Some(&("mod" | "lib" | "main"))) {
            module.pop();
        }
        module
    }
}

/// Where the unit tests begin that stand in the file itself; `mod tests;` only says where else they are.
fn unit_tests(text: &str) -> usize {
    let opens = |at: &usize| {
        let module = text[*at..].lines().find(|line| !line.starts_with("#["));
        module.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    text.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(opens).unwrap_or(text.len())
}

/// Whether one of the paths is this one or begins with it.
pub(crate) fn names<'a>(paths: &'a BTreeSet<String>, path: &str) -> Option<&'a String> {
    paths.iter().find(|named| named.strip_prefix(path).is_some_and(|r| r.is_empty() || r.starts_with("::")))
}

fn paths(code: &str, module: &[&str]) -> BTreeSet<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(|c: char| c.is_alphabetic() || c == '_') {
        let before = rest[..at].chars().next_back();
        rest = &rest[at..];
        let end = rest.find(|c: char| !is_of_path(c)).unwrap_or(rest.len());
        let word = rest[..end].trim_end_matches(':');
        if word == "use" {
            let tree = rest[end..].split(';').next().unwrap_or_default();
            expand("", tree, &mut found);
            rest = &rest[end + tree.len()..];
        } else {
            if word.contains("::") && before != Some('.') {
                found.push(word.to_string());
            }
            rest = &rest[end.max(1)..];
        }
    }
    found.iter().map(|path| from_root(path, module)).collect()
}

fn is_of_path(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expand(before: &str, tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((stem, branches)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        found.push(format!("{before}{name}").trim_end_matches("::self").to_string());
        return;
    };
    let stem = format!("{before}{}", stem.trim());
    let branches = branches.trim_end().strip_suffix('}').unwrap_or(branches);
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in branches.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&stem, &branches[begin..at], found);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if !branches[begin..].trim().is_empty() {
        expand(&stem, &branches[begin..], found);
    }
}

/// The path from the crate's root, where it begins with `self` or `super`.
fn from_root(path: &str, module: &[&str]) -> String {
    let mut parts: Vec<_> = path.split("::").collect();
    let above = parts.iter().take_while(|part| **part == "super").count();
    if above == 0 && parts[0] != "self" {
        return path.to_string();
    }
    parts.drain(..above.max(1));
    let kept = &module[..module.len().saturating_sub(above)];
    ["crate"].iter().chain(kept).chain(&parts).copied().collect::<Vec<_>>().join("::")
}

/// Code without comments and with emptied literals; and what stood in the literals.
fn strip(text: &str) -> (String, Vec<String>) {
    let (mut code, mut strings) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some((content, len)) = raw_string(rest, &code).or_else(|| string(rest)) {
            strings.push(content.to_string());
            code.push_str("\"\"");
            len
        } else if let Some(len) = character(rest) {
            code.push_str("' '");
            len
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[len..];
    }
    (code, strings)
}

fn string(text: &str) -> Option<(&str, usize)> {
    let inside = text.strip_prefix('"')?;
    let mut is_escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            '"' if !is_escaped => return Some((&inside[..at], at + 2)),
            _ => is_escaped = c == '\\' && !is_escaped,
        }
    }
    Some((inside, text.len()))
}

fn raw_string<'a>(text: &'a str, before: &str) -> Option<(&'a str, usize)> {
    let is_in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !before.ends_with('b');
    let inside = text.strip_prefix('r').filter(|_| !is_in_word)?;
    let hashes = inside.len() - inside.trim_start_matches('#').len();
    let content = inside[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let at = content.find(&end).unwrap_or(content.len());
    Some((&content[..at], (1 + hashes + 1 + at + end.len()).min(text.len())))
}

/// The length of a character literal; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if let Some(escaped) = inside.strip_prefix('\\') {
        let skip = escaped.chars().next()?.len_utf8();
        return escaped[skip..].find('\'').map(|end| 1 + 1 + skip + end + 1);
    }
    let c = inside.chars().next()?;
    inside[c.len_utf8()..].starts_with('\'').then(|| 1 + c.len_utf8() + 1)
}

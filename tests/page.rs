//! docs/PROTOCOL.md against the code: its frame tables, its error table and every example in hex.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

/// What the codec's own tests have for its vectors.
#[path = "../codec/tests/common/mod.rs"]
mod common;

use chatwire_codec::{Code, Direction, FRAMES, FieldInfo, FrameInfo};
use common::{Vector, unhex, vectors};
use std::collections::HashMap;

#[test]
fn the_frame_tables_are_those_of_the_code() {
    let page = page();
    let mut on_page: Vec<&str> = page.lines().filter(|line| is_frame_row(line)).collect();
    on_page.sort_unstable();
    let in_code: Vec<String> = FRAMES.iter().map(frame_row).collect();
    assert_eq!(on_page, in_code);
}

#[test]
fn the_sections_that_frames_name_speak_of_them() {
    let page = page();
    for info in FRAMES {
        let section = section(&page, info.section).unwrap_or_else(|| panic!("no section {}", info.section));
        let request = FRAMES.iter().find(|other| other.kind | 0x80 == info.kind);
        let says = |info: &FrameInfo| section.contains(info.name);
        assert!(
            says(info) || request.is_some_and(says),
            "section {} says nothing of {}",
            info.section,
            info.name
        );
    }
}

#[test]
fn the_error_table_is_that_of_the_code() {
    let page = page();
    let on_page: Vec<String> = page.lines().filter_map(code_row).collect();
    let in_code: Vec<String> = Code::ALL.iter().map(|&code| code_line(code)).collect();
    assert_eq!(on_page, in_code);
}

#[test]
fn the_examples_are_vectors() {
    let page = page();
    let vectors = vectors();
    let by_name: HashMap<&str, &Vector> = vectors.iter().map(|v| (v.name(), v)).collect();
    let mut examples = 0;
    for block in page.split("```hex").skip(1) {
        let (head, rest) = block.split_once('\n').unwrap();
        let name = head.strip_prefix(" name=").expect("an example in hex has a name");
        let (hex, _) = rest.split_once("```").unwrap();
        let bytes: String = hex.lines().map(|line| line.split('#').next().unwrap()).collect();
        let vector = by_name.get(name).unwrap_or_else(|| panic!("there is no vector {name}"));
        assert_eq!(unhex(&bytes), vector.bytes(), "{name}");
        examples += 1;
    }
    assert!(examples > 0, "the page has examples");
}

#[test]
fn the_command_for_a_shell_sends_the_two_frames_beside_it() {
    let page = page();
    let (_, command) = page.split_once("printf '").unwrap();
    let mut shown = command.split_once('\'').unwrap().0.split('\\');
    let mut bytes = shown.next().unwrap().as_bytes().to_vec();
    for escaped in shown {
        let (octal, plain) = escaped.split_at(3);
        bytes.push(u8::from_str_radix(octal, 8).unwrap());
        bytes.extend_from_slice(plain.as_bytes());
    }
    let frames = vectors().into_iter().filter(|v| ["hello-smallest", "text-hi"].contains(&v.name()));
    let mut frames: Vec<Vec<u8>> = frames.map(|v| v.bytes()).collect();
    frames.sort_unstable_by(|a, b| b.cmp(a)); // HELLO is first
    assert_eq!(bytes, frames.concat());
}

#[test]
fn the_limits_in_words_are_those_of_the_error_vectors() {
    let page = page();
    for vector in vectors().iter().filter(|v| v.one("skip").is_some_and(|s| s.starts_with("too_large"))) {
        let limit: u64 = vector.one("skip").unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        let known_by_name = [65_536, 1 << 30].contains(&limit); // max_text, max_media, or 64 KiB
        assert!(known_by_name || page.contains(&with_commas(limit)), "{limit} is not on the page");
    }
}

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/PROTOCOL.md");
    std::fs::read_to_string(path).expect("docs/PROTOCOL.md of the repository")
}

/// The text of section `number`, up to the next heading.
fn section<'a>(page: &'a str, number: &str) -> Option<&'a str> {
    let heading = |line: &str| {
        let (hashes, rest) = line.split_once(' ')?;
        let number = rest.split(' ').next()?.trim_end_matches('.');
        hashes.chars().all(|c| c == '#').then(|| number.to_string())
    };
    let mut sections = page.split_inclusive("\n#").filter(|text| !text.is_empty());
    sections.find(|text| heading(&format!("#{text}")).as_deref() == Some(number))
}

/// A row such as `| 0x20 | HELLO | …`: a type in full, and a name in capitals.
fn is_frame_row(line: &str) -> bool {
    let mut cells = line.split(" | ");
    let is_type = cells.next().is_some_and(|cell| cell.starts_with("| 0x") && cell.len() == 6);
    is_type && cells.next().is_some_and(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

fn frame_row(info: &FrameInfo) -> String {
    let direction = match info.direction {
        Direction::ToServer => "C→S",
        Direction::ToClient => "S→C",
        Direction::Both => "both",
    };
    let fields: Vec<String> = info.fields.iter().map(field).collect();
    let payload = if fields.is_empty() { String::new() } else { format!("`{}` ", fields.join(r" \| ")) };
    format!("| 0x{:02X} | {} | {direction} | {payload}|", info.kind, info.name)
}

fn field(info: &FieldInfo) -> String {
    let star = if info.required { "*" } else { "" };
    match info.ty {
        "said" => r"text_size u32* \| voice_size u32* \| text \| voice".into(),
        ty if ty.starts_with("items[Media") => format!("{} × (size u16, MEDIA)", info.name),
        ty if ty.starts_with("list[") => {
            let items = info.items.iter().map(|f| format!(", {} {}", f.name, f.ty));
            format!(r"count u16 \| count × (size u16{})", items.collect::<String>())
        }
        ty => format!("{} {ty}{star}", info.name),
    }
}

/// `400 malformed fatal` from `| 400 | malformed | fatal | … |`.
fn code_row(line: &str) -> Option<String> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, number, name, fatal, _, _] = cells[..] else { return None };
    number.parse::<u16>().ok()?;
    Some(format!("{number} {name} {fatal}").trim_end().into())
}

fn code_line(code: Code) -> String {
    let fatal = if code.is_fatal() { " fatal" } else { "" };
    format!("{} {}{fatal}", code as u16, code.name())
}

fn with_commas(n: u64) -> String {
    match n / 1000 {
        0 => n.to_string(),
        thousands => format!("{},{:03}", with_commas(thousands), n % 1000),
    }
}

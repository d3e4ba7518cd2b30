//! Annotated hex: where the bytes lie, the bytes, and what they are, a row a field.
//!
//! ```text
//! 00000000  40 00 00 00 0d                       JOIN, 13 bytes (section 6.1)
//! 00000005  00 00 00 07                            req 7
//! 00000009  07 68 61 72 62 6f 75 72                room "harbour"
//! 00000011  00                                     flags 0
//! ```

use super::{Item, Part, Trouble, What, header_of, meaning, missing_of, parts};
use crate::HEADER_LEN;
use crate::decoder::SkipReason;
use crate::error::Rule;
use crate::frame::info;
use crate::value::Value;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{Result, Write};

/// Bytes in a row of hex.
const ROW: usize = 12;
/// How far the hex reaches.
const HEX_WIDTH: usize = ROW * 3 - 1;
/// After so many bytes of a body it is said how much has come, and then whenever that has doubled.
const FIRST_REPORT: u64 = 1024 * 1024;

/// How frames are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With the escape sequences of a terminal.
    pub colour: bool,
    /// How many bytes of one field, or of a body, are shown; the rest is counted.
    pub bytes: usize,
    /// What each field means, and a row for each that is left out.
    pub explain: bool,
}

impl Default for Style {
    /// Without colour, 48 bytes of each field, without explanations.
    fn default() -> Self {
        Style { colour: false, bytes: 4 * ROW, explain: false }
    }
}

/// Writes the items of one stream.
#[derive(Debug)]
pub struct Printer {
    style: Style,
    large: Option<Large>,
}

/// A frame whose payload comes in pieces.
#[derive(Debug)]
struct Large {
    size: u32,
    /// The row that is not full yet, and where it begins.
    row: Vec<u8>,
    at: u64,
    /// Bytes that have come.
    seen: u64,
    report_at: u64,
}

#[derive(Clone, Copy)]
enum Paint {
    Faint,
    Bold,
    Name,
    Error,
}

impl Printer {
    /// For a stream that has not begun.
    #[must_use]
    pub const fn new(style: Style) -> Self {
        Printer { style, large: None }
    }

    /// Writes what there is to say of an item, in whole lines.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn print(&mut self, item: &Item<'_>, out: &mut dyn Write) -> Result {
        match *item {
            Item::Frame { at, bytes, trouble } => self.frame(at, bytes, trouble, out),
            Item::Start { at, kind, size, trouble } => {
                self.large = Some(Large { size, row: Vec::new(), at: 0, seen: 0, report_at: FIRST_REPORT });
                self.header(at, &crate::header(kind, size), out)?;
                trouble.map_or(Ok(()), |trouble| self.trouble(trouble, out))
            }
            Item::Piece { at, bytes } => self.piece(at, bytes, out),
            Item::End { missing } => self.end(missing, out),
        }
    }

    fn frame(&self, at: u64, bytes: &[u8], trouble: Option<Trouble>, out: &mut dyn Write) -> Result {
        match header_of(bytes).and_then(|(kind, _)| info(kind)) {
            Some(info) => {
                let (header, payload) = bytes.split_at(HEADER_LEN);
                self.header(at, header, out)?;
                self.payload(at + HEADER_LEN as u64, info.fields, payload, trouble.is_some(), out)?;
            }
            None => self.rows(at, bytes, Paint::Error, "a frame that is not whole", out)?,
        }
        let Some(trouble) = trouble else { return Ok(()) };
        self.trouble(trouble, out)?;
        match missing_of(bytes) {
            missing if missing > 0 && !matches!(trouble, Trouble::Cut { .. }) => {
                self.trouble(Trouble::Cut { missing }, out)
            }
            _ => Ok(()),
        }
    }

    fn header(&self, at: u64, header: &[u8], out: &mut dyn Write) -> Result {
        let (kind, size) = header_of(header).unwrap_or_default();
        let mut title = String::new();
        let bytes = if size == 1 { "byte" } else { "bytes" };
        match info(kind) {
            Some(info) => {
                write!(title, "{}, {} {bytes} (section {})", info.name, Commas(size.into()), info.section)?;
            }
            None => write!(title, "type {kind:#04x}, {} {bytes}", Commas(size.into()))?,
        }
        if let Some(info) = info(kind).filter(|_| self.style.explain) {
            write!(title, ": {}", info.doc)?;
        }
        self.rows(at, header, Paint::Bold, &title, out)
    }

    fn payload(
        &self,
        at: u64,
        fields: &'static [crate::FieldInfo],
        payload: &[u8],
        strict: bool,
        out: &mut dyn Write,
    ) -> Result {
        let (mut done, mut left_out) = (Ok(()), String::new());
        parts(fields, payload, strict, &mut |part| {
            if part.what == What::LeftOut && !self.style.explain {
                let comma = if left_out.is_empty() { "" } else { ", " };
                let _ = write!(left_out, "{comma}{}", part.path);
            } else if done.is_ok() {
                done = self.part(at, part, out);
            }
        });
        done?;
        if left_out.is_empty() {
            return Ok(());
        }
        let left_out = alloc::format!("left out: {left_out}");
        self.line("", "", Paint::Faint, &left_out, out)
    }

    fn part(&self, at: u64, part: &Part<'_, '_>, out: &mut dyn Write) -> Result {
        let mut text = String::from(if part.path.contains('.') { "    " } else { "  " });
        text.push_str(if part.path.is_empty() { "bytes" } else { part.path });
        let n = part.bytes.len();
        let mut paint = Paint::Name;
        match &part.what {
            What::Value(Value::Unsigned(items)) if part.ty.starts_with("list[") => {
                write!(text, ", {}", Count(*items, "item"))?;
            }
            What::Value(value) => self.value(value, part.ty, &mut text)?,
            What::Item => {
                let size = part.bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
                write!(text, ", {}", Count(size, "byte"))?;
            }
            What::LeftOut => text.push_str(" is left out"),
            What::Later => write!(text, ": {} of a later version", Count(n as u64, "byte"))?,
            What::NotRead => write!(text, ": {} that nobody reads", Count(n as u64, "byte"))?,
            What::Broken(_) => text.push_str(" ?"),
        }
        match part.what {
            What::Later | What::NotRead | What::LeftOut => paint = Paint::Faint,
            What::Broken(_) => paint = Paint::Error,
            _ => {}
        }
        if let Some(meaning) = meaning(part) {
            write!(text, " ({meaning})")?;
        }
        if self.style.explain && !part.doc.is_empty() {
            text = alloc::format!("{text:<30} {}", part.doc);
        }
        if part.bytes.is_empty() && !matches!(part.what, What::Value(_)) {
            return self.line("", "", paint, &text, out);
        }
        self.rows(at + part.offset as u64, part.bytes, paint, &text, out)
    }

    fn value(&self, value: &Value<'_>, ty: &str, text: &mut String) -> Result {
        match value {
            Value::Unsigned(n) => write!(text, " {n}"),
            Value::Signed(n) => write!(text, " {n}"),
            Value::Text(shown) => {
                let mut end = shown.len().min(self.style.bytes);
                while !shown.is_char_boundary(end) {
                    end -= 1;
                }
                write!(text, " {:?}", &shown[..end])?;
                if end < shown.len() {
                    write!(text, "… {} in all", Count(shown.len() as u64, "byte"))
                } else {
                    Ok(())
                }
            }
            Value::Bytes(_) if ty == "id32" => Ok(()),
            Value::Bytes(bytes) => write!(text, ", {}", Count(bytes.len() as u64, "byte")),
            // Of a part a list is its count.
            Value::Items(_) => Ok(()),
        }
    }

    fn trouble(&self, trouble: Trouble, out: &mut dyn Write) -> Result {
        let mut text = String::from("!! ");
        match trouble {
            Trouble::Wrong(error) => {
                write!(text, "{}: {error}", error.code().name())?;
                if matches!(error.rule, Rule::FarOverLimit { .. }) {
                    text.push_str("; where the next frame begins cannot be told");
                }
            }
            Trouble::Skipped(SkipReason::Unknown { .. }) => {
                text.push_str("skipped: unknown in this direction");
            }
            Trouble::Skipped(SkipReason::TooLarge { limit }) => {
                write!(text, "skipped: larger than its limit of {}", Count(limit, "byte"))?;
            }
            Trouble::Cut { missing } => {
                write!(text, "the stream ends here, {} short", Count(missing, "byte"))?;
            }
        }
        self.line("", "", Paint::Error, &text, out)
    }

    fn piece(&mut self, at: u64, bytes: &[u8], out: &mut dyn Write) -> Result {
        let Some(mut large) = self.large.take() else { return Ok(()) };
        for (i, byte) in bytes.iter().enumerate() {
            if large.seen + i as u64 >= self.style.bytes as u64 {
                break;
            }
            if large.row.is_empty() {
                large.at = at + i as u64;
            }
            large.row.push(*byte);
            if large.row.len() == ROW {
                self.rows(large.at, &core::mem::take(&mut large.row), Paint::Name, "", out)?;
            }
        }
        large.seen += bytes.len() as u64;
        if large.seen >= large.report_at && large.seen < u64::from(large.size) {
            let text =
                alloc::format!("  … {} of {} bytes so far", Commas(large.seen), Commas(large.size.into()));
            self.line("", "", Paint::Faint, &text, out)?;
            large.report_at = large.seen * 2;
        }
        self.large = Some(large);
        Ok(())
    }

    fn end(&mut self, missing: u64, out: &mut dyn Write) -> Result {
        let Some(large) = self.large.take() else { return Ok(()) };
        if !large.row.is_empty() {
            self.rows(large.at, &large.row, Paint::Name, "", out)?;
        }
        if let Some(more) = large.seen.checked_sub(self.style.bytes as u64).filter(|more| *more > 0) {
            let text = alloc::format!("  … and {} more", Count(more, "byte"));
            self.line("", "", Paint::Faint, &text, out)?;
        }
        if missing > 0 { self.trouble(Trouble::Cut { missing }, out) } else { Ok(()) }
    }

    /// The first bytes in rows, the first of which says what they are; and how many more there are.
    fn rows(&self, at: u64, bytes: &[u8], paint: Paint, text: &str, out: &mut dyn Write) -> Result {
        let shown = &bytes[..bytes.len().min(self.style.bytes.max(HEADER_LEN))];
        let mut rows = shown.chunks(ROW);
        let mut line = |at: u64, row: &[u8], text: &str| {
            let mut hex = String::new();
            for (i, byte) in row.iter().enumerate() {
                write!(hex, "{}{byte:02x}", if i == 0 { "" } else { " " })?;
            }
            self.line(&alloc::format!("{at:08x}"), &hex, paint, text, out)
        };
        line(at, rows.next().unwrap_or_default(), text)?;
        for (i, row) in rows.enumerate() {
            line(at + ((i + 1) * ROW) as u64, row, "")?;
        }
        match bytes.len() - shown.len() {
            0 => Ok(()),
            more => {
                let text = alloc::format!("  … and {} more", Count(more as u64, "byte"));
                self.line("", "", Paint::Faint, &text, out)
            }
        }
    }

    fn line(&self, at: &str, hex: &str, paint: Paint, text: &str, out: &mut dyn Write) -> Result {
        if text.is_empty() {
            return writeln!(out, "{}{at:<8}{}  {hex}", self.begin(Paint::Faint), self.reset());
        }
        let (faint, begin, reset) = (self.begin(Paint::Faint), self.begin(paint), self.reset());
        writeln!(out, "{faint}{at:<8}{reset}  {hex:<HEX_WIDTH$}  {begin}{text}{reset}")
    }

    const fn begin(&self, paint: Paint) -> &'static str {
        match paint {
            _ if !self.style.colour => "",
            Paint::Faint => "\x1b[2m",
            Paint::Bold => "\x1b[1m",
            Paint::Name => "\x1b[36m",
            Paint::Error => "\x1b[31m",
        }
    }

    const fn reset(&self) -> &'static str {
        if self.style.colour { "\x1b[0m" } else { "" }
    }
}

/// `1 byte`, `65,541 bytes`.
struct Count(u64, &'static str);

impl core::fmt::Display for Count {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", Commas(self.0), self.1)
    }
}

/// `65,541`.
struct Commas(u64);

impl core::fmt::Display for Commas {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> Result {
        match self.0 / 1000 {
            0 => write!(f, "{}", self.0),
            thousands => write!(f, "{},{:03}", Commas(thousands), self.0 % 1000),
        }
    }
}

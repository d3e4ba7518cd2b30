//! Bytes of one side of one connection, in; what a person or a program is to see of them, out.

use crate::form;
use crate::seen::{Collector, Seen};
use chatwire_codec::dump::{Item, Printer, Sender, Style, Tracer};
use chatwire_codec::{FRAMES, Limits};
use clap::ValueEnum;
use serde_json::Value as Json;
use std::fmt::Write;
use std::io::IsTerminal;

/// The form in which frames are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Annotated hex, field by field
    Hex,
    /// A line a frame, in the language of `wire cat`
    Line,
    /// A JSON object a frame, on a line
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// At a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl Colour {
    /// Whether what goes to stdout is to have it.
    pub(crate) fn is_on(self) -> bool {
        match self {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                !refused && std::io::stdout().is_terminal()
            }
        }
    }
}

/// Which frames are shown, and how.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub format: Format,
    pub style: Style,
    /// Types to show; empty: all.
    pub only: Vec<u8>,
    /// Types not to show.
    pub hide: Vec<u8>,
}

impl View {
    fn shows(&self, kind: Option<u8>) -> bool {
        let Some(kind) = kind else { return true };
        (self.only.is_empty() || self.only.contains(&kind)) && !self.hide.contains(&kind)
    }
}

/// A frame type by its name on the page, in any case, or its number (`0x32`): for filters.
pub(crate) fn kind_of(word: &str) -> Result<u8, String> {
    let number = word.strip_prefix("0x").and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let named = || FRAMES.iter().find(|info| info.name.eq_ignore_ascii_case(word)).map(|info| info.kind);
    number
        .or_else(named)
        .ok_or_else(|| format!("no frame type `{word}` (they are named as in docs/PROTOCOL.md)"))
}

/// What is to be said of a frame beside what it holds: when it came, and from whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// For people, before the frame.
    pub title: String,
    /// For programs, in the object.
    pub keys: Vec<(&'static str, Json)>,
}

/// Is told of the frames as they come.
pub(crate) trait Watcher {
    /// A frame begins whose body comes in pieces.
    fn begins(&mut self) -> Context {
        Context::default()
    }
    /// A frame is whole, and is about to be shown.
    fn whole(&mut self, _: &Seen) -> Context {
        Context::default()
    }
    /// A frame was shown, or was not to be.
    fn shown(&mut self, _: Seen) {}
}

/// Nothing to add.
impl Watcher for () {}

/// One side's bytes.
pub(crate) struct Stream {
    tracer: Tracer,
    printer: Printer,
    collector: Collector,
    is_hidden: bool,
}

impl Stream {
    pub(crate) fn new(tracer: Tracer, view: &View) -> Stream {
        Stream {
            tracer,
            printer: Printer::new(view.style),
            collector: Collector::default(),
            is_hidden: false,
        }
    }

    /// What `sender` sends, from the beginning.
    pub(crate) fn of(sender: Sender, view: &View) -> Stream {
        Stream::new(Tracer::new(sender, Limits::default()), view)
    }

    /// Takes the next bytes, and adds what they tell to `out`.
    pub(crate) fn feed(&mut self, bytes: &[u8], view: &View, watcher: &mut dyn Watcher, out: &mut String) {
        let Stream { tracer, printer, collector, is_hidden } = self;
        let mut teller = Teller { printer, collector, is_hidden, view, watcher, out };
        tracer.feed(bytes, &mut |item| teller.tell(&item));
    }

    /// The stream ends.
    pub(crate) fn finish(&mut self, view: &View, watcher: &mut dyn Watcher, out: &mut String) {
        let Stream { tracer, printer, collector, is_hidden } = self;
        let mut teller = Teller { printer, collector, is_hidden, view, watcher, out };
        tracer.finish(&mut |item| teller.tell(&item));
    }

    /// As a server's WELCOME has set them.
    pub(crate) fn limits(&self) -> Limits {
        self.tracer.limits()
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.tracer.set_limits(limits);
    }
}

struct Teller<'a> {
    printer: &'a mut Printer,
    collector: &'a mut Collector,
    is_hidden: &'a mut bool,
    view: &'a View,
    watcher: &'a mut dyn Watcher,
    out: &'a mut String,
}

impl Teller<'_> {
    fn tell(&mut self, item: &Item<'_>) {
        let seen = self.collector.take(item);
        if let Item::Start { kind, .. } = item {
            *self.is_hidden = !self.view.shows(Some(*kind));
        }
        if let (Item::Frame { .. }, Some(seen)) = (item, &seen) {
            *self.is_hidden = !self.view.shows(seen.kind);
        }
        let context = match (item, &seen) {
            (Item::Start { .. }, _) => self.watcher.begins(),
            (_, Some(seen)) => self.watcher.whole(seen),
            _ => Context::default(),
        };
        if !*self.is_hidden {
            self.print(item, seen.as_ref(), context);
        }
        if let Some(seen) = seen {
            self.watcher.shown(seen);
        }
    }

    fn print(&mut self, item: &Item<'_>, seen: Option<&Seen>, context: Context) {
        // Writing to a String cannot fail.
        let _ = match (self.view.format, seen) {
            (Format::Hex, _) => {
                if !context.title.is_empty() && !matches!(item, Item::End { .. }) {
                    let (bold, reset) =
                        if self.view.style.colour { ("\x1b[1;34m", "\x1b[0m") } else { ("", "") };
                    let _ = writeln!(self.out, "{bold}{}{reset}", context.title);
                }
                self.printer.print(item, self.out)
            }
            (Format::Line, Some(seen)) if context.title.is_empty() => {
                writeln!(self.out, "{}", form::line(seen))
            }
            (Format::Line, Some(seen)) => writeln!(self.out, "{}  {}", context.title, form::line(seen)),
            (Format::Json, Some(seen)) => writeln!(self.out, "{}", form::object(seen, context.keys)),
            (Format::Line | Format::Json, None) => Ok(()),
        };
    }
}

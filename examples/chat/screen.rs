//! Prints lines, and progress bars below them, so that neither tears the other.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};

/// The terminal, or what stands for it in a pipe: lines go to standard output, bars and complaints elsewhere.
#[derive(Clone)]
pub(crate) struct Screen {
    bars: MultiProgress,
    is_terminal: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Screen { bars: MultiProgress::new(), is_terminal: std::io::stdout().is_terminal() }
    }

    pub(crate) fn say(&self, text: &str) {
        // If nobody reads any more, nobody misses it.
        self.bars.suspend(|| drop(writeln!(std::io::stdout(), "{text}")));
    }

    /// For eyes only: in a pipe it would be noise.
    pub(crate) fn whisper(&self, text: &str) {
        if self.is_terminal {
            self.say(text);
        }
    }

    pub(crate) fn complain(&self, text: &str) {
        self.bars.suspend(|| drop(writeln!(std::io::stderr(), "{text}")));
    }

    /// A bar of bytes; take it away with [`ProgressBar::finish_and_clear`].
    pub(crate) fn bar(&self, label: String) -> ProgressBar {
        let template = "{msg} {bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bars.add(ProgressBar::new(0).with_style(style)).with_message(label)
    }
}

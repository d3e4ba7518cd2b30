//! Where everything is printed: stdout, or above the line that is being typed.

use rustyline::ExternalPrinter;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

pub(crate) struct Output(Mutex<Kind>);

enum Kind {
    Stdout,
    /// At a terminal, where somebody types.
    AbovePrompt(Box<dyn ExternalPrinter + Send>),
}

impl Output {
    pub(crate) fn stdout() -> Output {
        Output(Mutex::new(Kind::Stdout))
    }

    pub(crate) fn above_prompt(printer: impl ExternalPrinter + Send + 'static) -> Output {
        Output(Mutex::new(Kind::AbovePrompt(Box::new(printer))))
    }

    /// Prints whole lines, at once.
    pub(crate) fn print(&self, lines: &str) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Kind::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines.as_bytes())?;
                stdout.flush()
            }
            Kind::AbovePrompt(printer) => printer.print(lines.to_string()).map_err(io::Error::other),
        }
    }
}

//! What happened in a run, a line each: the last lines for whoever reads a failure, and a number that is another one
//! when anything is.

use std::collections::VecDeque;

/// Lines that are kept.
const LINES: usize = 120;

#[derive(Default)]
pub(crate) struct Trace {
    hash: u64,
    lines: VecDeque<String>,
    /// Lines are printed as they come.
    is_loud: bool,
}

impl Trace {
    pub(crate) fn new(is_loud: bool) -> Trace {
        Trace { is_loud, ..Trace::default() }
    }

    #[allow(clippy::print_stderr, reason = "asked for")]
    pub(crate) fn note(&mut self, line: String) {
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if self.is_loud {
            eprintln!("{line}");
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The same for the same lines.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn last_lines(&self) -> String {
        self.lines.iter().map(|line| format!("  {line}\n")).collect()
    }
}

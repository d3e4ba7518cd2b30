//! A load generator: many connections, made and watched from few threads, and what that costs the server.
//!
//! Run: `cargo run --release --example load -- MODE [options]`
//! or:  `cargo run --release --example load -- --describe`
//!
//! You will see what the mode measures and what it does not show, a line a repetition, and the medians with
//! their ranges. Without `--addr` it starts `target/release/chatwire` on a port of its own with a new folder
//! for the data, once a repetition. Whatever goes wrong is counted and makes the exit code 1.
//!
//! `options` says what can be asked for, and `modes` holds a file for each mode. `pool` is the client: a poll
//! loop over many sockets. `measure` joins threads and counts time; `target` starts and watches the server.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that talks")]

mod describe;
mod measure;
mod modes;
mod nonce;
mod options;
mod pace;
mod pool;
mod position;
mod process;
mod report;
mod stats;
mod target;
mod texts;

use clap::Parser;
use options::{Arguments, Plan};
use report::Report;
use std::process::ExitCode;
use target::Target;

/// What goes wrong ends a repetition, and is only ever shown.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
fn run(arguments: Arguments) -> Result<bool> {
    if arguments.describe {
        describe::print(arguments.data.as_deref())?;
        return Ok(true);
    }
    let plan = Plan::try_from(arguments)?;
    let mut report = Report::new(&plan);
    for repetition in 1..=plan.repetitions {
        let target = Target::open(&plan)?;
        let figures = modes::run(&plan, &target)?;
        report.add(repetition, figures)?;
    }
    Ok(report.finish())
}

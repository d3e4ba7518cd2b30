//! The command line: `chatwire serve`, `chatwire config`, `chatwire cert`, and the operator's commands: users, bans, and
//! the care of the data.

mod cli;
mod commands;

use chatwire::server;
use clap::Parser;
use cli::{Cli, Command};
use std::io::Write;
use std::process::ExitCode;

/// At every message one thread gives back what another took: the writer a reader's text, a connection the
/// writer's frames. The system's allocator does that under a lock, and has more to spare beside tasks, which
/// stand at multiples of 128 bytes (docs/BENCHMARKS.md has the figures).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The exit code for settings that are wrong; the command line's own errors have it too.
const BAD_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let (command, sources) = Cli::parse().into_command();
    start_log();
    let loaded = match sources.load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error, BAD_SETTINGS),
    };
    match command {
        Command::Serve => finish(server::run(&sources, &loaded.config)),
        Command::Config => finish(std::io::stdout().write_all(loaded.to_toml().as_bytes())),
        Command::Cert(command) => finish(command.run()),
        Command::User(command) => finish(command.run(&loaded.config.data)),
        Command::Ban(command) => finish(command.run(&loaded.config.data)),
        Command::Gc(command) => finish(command.run(&loaded.config.data)),
        Command::Backup(command) => finish(command.run(&loaded.config.data)),
        Command::Export(command) => finish(command.run(&loaded.config.data)),
        Command::Restore(command) => finish(command.run(&loaded.config.data)),
        Command::Check(command) => finish(command.run(&loaded.config.data)),
    }
}

/// The log goes to stderr, from `info` on, unless `CHATWIRE_LOG` or `RUST_LOG` say otherwise.
fn start_log() {
    let filter = ["CHATWIRE_LOG", "RUST_LOG"].into_iter().find_map(|name| std::env::var(name).ok());
    // What lofty warns of are the media that clients send, which is nothing that an operator could mend.
    let mut log = env_logger::Builder::new();
    log.filter_module("lofty", log::LevelFilter::Error);
    log.parse_filters(filter.as_deref().unwrap_or("info")).init();
}

fn finish(outcome: Result<(), impl std::fmt::Display>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    // If stderr is gone, there is nobody left to tell.
    let _ = error.to_string().lines().try_for_each(|line| writeln!(std::io::stderr(), "chatwire: {line}"));
    ExitCode::from(code)
}

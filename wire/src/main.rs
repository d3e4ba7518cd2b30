//! The command line of `wire`: tools that show, send, record and replay what goes over a Chatwire connection.
//!
//! No server is inside, and no client library: the tools know frames (`chatwire-codec`) and sockets, so that they see
//! what is there and not what somebody made of it.

mod build;
mod capture;
mod cat;
mod cli;
mod connections;
mod conversation;
mod dissector;
mod dump;
mod endpoint;
mod error;
mod expect;
mod explain;
mod form;
mod inbox;
mod language;
mod latency;
mod output;
mod pcap;
mod peer;
mod prompt;
mod reassembly;
mod record;
mod replay;
mod seen;
mod show;
mod tap;
mod tls;

use clap::Parser;
use cli::{Cli, Command};
use error::Error;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Dump(wish) => dump::run(&wish),
        Command::Explain(wish) => explain::run(&wish),
        Command::Cat(wish) => cat::run(&wish),
        Command::Tap(wish) => tap::run(&wish),
        Command::Pcap(wish) => pcap::run(&wish),
        Command::Replay(wish) => replay::run(&wish),
        Command::Dissector => dissector::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read along has enough.
        Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr is gone, there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "wire: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

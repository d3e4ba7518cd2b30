//! The command line: what each command takes. What they do is in a module each.

use crate::show::{Colour, Format, View, kind_of};
use chatwire_codec::dump::{Sender, Style};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Shows, sends, records and replays what goes over a Chatwire connection.
#[derive(Debug, Parser)]
#[command(name = "wire", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a stream of bytes as annotated hex, field by field
    Dump(Dump),
    /// Show one frame with the meaning of every field; or, of a frame's name or number, what it consists of
    Explain(Explain),
    /// Talk to a server in frames, by hand or by a script with expectations
    Cat(Cat),
    /// Stand between clients and a server, show both directions, and record them
    Tap(Tap),
    /// Play a client's side of a recording to a server and compare the answers
    Replay(Replay),
    /// Show the connections in a capture (pcap, pcapng, or a recording)
    Pcap(Pcap),
    /// Print a dissector for Wireshark and tshark, in Lua
    Dissector,
}

/// Who sent a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// It was sent by a client
    Client,
    /// It was sent by a server
    Server,
}

impl From {
    pub(crate) fn sender(self) -> Sender {
        match self {
            From::Client => Sender::Client,
            From::Server => Sender::Server,
        }
    }
}

/// How frames are shown: what all commands have in common.
#[derive(Debug, Args)]
pub(crate) struct Look {
    /// Colour
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub colour: Colour,
    /// How many bytes of a field or body to show; the rest is counted
    #[arg(long, value_name = "N", default_value_t = 48)]
    pub bytes: usize,
    /// Frame types to show, such as `status,text`; all others are not
    #[arg(long, value_name = "TYPES", value_delimiter = ',', value_parser = kind_of)]
    pub only: Vec<u8>,
    /// Frame types not to show
    #[arg(long, value_name = "TYPES", value_delimiter = ',', value_parser = kind_of)]
    pub hide: Vec<u8>,
}

impl Look {
    pub(crate) fn view(&self, format: Format) -> View {
        let style = Style { colour: self.colour.is_on(), bytes: self.bytes, explain: false };
        View { format, style, only: self.only.clone(), hide: self.hide.clone() }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// The bytes; `-` is stdin
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Who sent them; else the first frame's type tells
    #[arg(long, value_enum)]
    pub direction: Option<From>,
    /// One JSON object a frame, on a line: the same as `--format json`
    #[arg(long)]
    pub json: bool,
    /// The form
    #[arg(long, value_enum, default_value = "hex")]
    pub format: Format,
    /// The largest TEXT that the server takes, as its WELCOME says
    #[arg(long, value_name = "BYTES", default_value_t = 65_536)]
    pub max_text: u32,
    #[command(flatten)]
    pub look: Look,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A frame in hex, spaces as you like, or a frame's name or number
    #[arg(required = true)]
    pub frame: Vec<String>,
    /// Who sent it; else its type tells
    #[arg(long, value_enum)]
    pub direction: Option<From>,
    /// Colour
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub colour: Colour,
}

/// How a server is connected to.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// For tls://: a file of certificates (PEM) to trust instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// For tls://: do not check the server's certificate
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The server: HOST:PORT, or tls://HOST:PORT
    pub server: String,
    /// Lines from a file instead of stdin
    #[arg(long, short = 'f', value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// How what comes is shown
    #[arg(long, value_enum, default_value = "hex")]
    pub format: Format,
    /// Show what is sent, too
    #[arg(long)]
    pub sent: bool,
    /// Do not answer the server's PINGs
    #[arg(long)]
    pub no_pong: bool,
    /// How long an `expect` waits, unless it says `within=`
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
    #[command(flatten)]
    pub trust: Trust,
    #[command(flatten)]
    pub look: Look,
}

#[derive(Debug, Args)]
pub(crate) struct Tap {
    /// Where clients connect to
    #[arg(long, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The server: HOST:PORT, or tls://HOST:PORT
    #[arg(long, value_name = "SERVER")]
    pub to: String,
    /// The form
    #[arg(long, value_enum, default_value = "line")]
    pub format: Format,
    /// Write all that goes over the connections to a file (pcapng)
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// End after so many connections
    #[arg(long, value_name = "N")]
    pub connections: Option<usize>,
    #[command(flatten)]
    pub trust: Trust,
    #[command(flatten)]
    pub look: Look,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// A recording of `wire tap`, or any capture
    pub file: PathBuf,
    /// The server: HOST:PORT, or tls://HOST:PORT
    pub server: String,
    /// Which of the recording's connections, counted from 1
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub connection: usize,
    /// The server's port in the recording, if its first packets do not tell
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Fields whose values may differ, as `field` or `frame.field`; `none` for none
    #[arg(
        long,
        value_name = "FIELDS",
        value_delimiter = ',',
        default_value = "at,last_seen,before_at,epoch,session,last_seq,online"
    )]
    pub ignore: Vec<String>,
    /// Fields whose values may be others, if each is always the same other: `welcome.home` 12 may be 15 if it is 15
    /// everywhere. What the recorded client sent is changed accordingly
    #[arg(
        long,
        value_name = "FIELDS",
        value_delimiter = ',',
        default_value = "user,chat,home,user_name,token,secret,before_chat"
    )]
    pub rename: Vec<String>,
    /// Frame types that are not compared
    #[arg(
        long,
        value_name = "TYPES",
        value_delimiter = ',',
        value_parser = kind_of,
        default_value = "ping,pong,presence,typing"
    )]
    pub skip: Vec<u8>,
    /// How long to wait for an answer that the recording has
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
    #[command(flatten)]
    pub trust: Trust,
}

#[derive(Debug, Args)]
pub(crate) struct Pcap {
    /// The capture; `-` is stdin
    pub file: PathBuf,
    /// The form
    #[arg(long, value_enum, default_value = "hex")]
    pub format: Format,
    /// One JSON object a frame, on a line: the same as `--format json`
    #[arg(long)]
    pub json: bool,
    /// The server's port; without it, connections that begin with HELLO or have port 8000
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    #[command(flatten)]
    pub look: Look,
}

/// `500ms`, `2s`, `1m`; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no time; write 500ms, 2s or 1m"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" | "" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(format!("`{text}` is no time; write 500ms, 2s or 1m")),
    }
}

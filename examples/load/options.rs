//! What can be asked for: [`Arguments`] is the wish, [`Plan`] the checked value with every default filled in.

use crate::modes::Hostility;
use clap::{Parser, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Loads a Chatwire server and tells what comes of it.
#[derive(Parser, Debug)]
pub(crate) struct Arguments {
    /// What to do.
    #[arg(required_unless_present = "describe")]
    pub(crate) mode: Option<Mode>,
    /// Say what this machine is, and nothing else.
    #[arg(long)]
    pub(crate) describe: bool,
    /// A server that runs already.
    #[arg(long)]
    addr: Option<SocketAddr>,
    /// The process of that server, if it is on this machine: for its processor time and memory.
    #[arg(long, requires = "addr")]
    pid: Option<u32>,
    /// The server's program, to be started for each repetition.
    #[arg(long, default_value = "target/release/chatwire", conflicts_with = "addr")]
    server: PathBuf,
    /// store.durability of the server that is started.
    #[arg(long, default_value = "full", value_parser = ["full", "normal"])]
    durability: String,
    /// The folder in which that server's data folder is made and removed: the disk that is measured.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// That server's data folder, made if it is missing and kept for the next repetition and the next run.
    #[arg(long, conflicts_with_all = ["addr", "data"])]
    keep: Option<PathBuf>,
    /// Connections. send: 64, idle and abuse: 10000, catchup: 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    connections: Option<u32>,
    /// Messages in flight: of a connection (send), or of a room, until all members have them. 64.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    window: Option<u32>,
    /// Who is in the sender's room (fanout). 100.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    receivers: Option<u32>,
    /// Rooms. 20.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rooms: Option<u32>,
    /// Members of a room. 50.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    members: Option<u32>,
    /// Bytes of a text. 128.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    bytes: Option<u32>,
    /// Bytes of the media. 256 MiB.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    size: Option<u32>,
    /// Messages that are there before it begins: what is missing is sent. history: 10000, catchup: 100000.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    messages: Option<u32>,
    /// Read history while the load of `rooms` runs.
    #[arg(long)]
    beside_rooms: bool,
    /// Texts a second in all rooms together, as far as the window allows; else as many as it allows.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// Pages of history a second, each followed by a PING; else one after the other, without.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    page_rate: Option<u32>,
    /// Every other page of history is any one of the chat.
    #[arg(long)]
    random: bool,
    /// Seconds that count. 5.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3600))]
    secs: Option<u32>,
    /// Seconds before them that do not. 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=600))]
    warmup: Option<u32>,
    /// Repetitions. 3.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: Option<u32>,
    /// Threads of the client (send, fanout, rooms). 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: Option<u32>,
    /// Hostile connections of this kind alone (abuse).
    #[arg(long)]
    only: Option<Hostility>,
    /// Append a line of JSON a repetition to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Each connection sends to its own chat and waits for STATUS.
    Send,
    /// One sends to a room, the others receive.
    Fanout,
    /// Many rooms, whose members send in turn.
    Rooms,
    /// Log in, join, and do nothing.
    Idle,
    /// PING and PONG, one at a time.
    Ping,
    /// A file in one frame, and back with FETCH.
    Media,
    /// A file in chunks (UPLOAD), and back with FETCH.
    Upload,
    /// The newest 50 messages of a chat, again and again; perhaps any other 50 in turn with them.
    History,
    /// All messages of a chat, by SYNC.
    Catchup,
    /// Texts one at a time, alone and beside hostile connections.
    Abuse,
}

/// Which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// One that runs already.
    Running { addr: SocketAddr, pid: Option<u32> },
    /// One to be started.
    Program(PathBuf),
}

/// What will be done.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    pub(crate) server: Server,
    pub(crate) durability: String,
    pub(crate) data: PathBuf,
    /// The data folder itself, if it is to stay.
    pub(crate) keep: Option<PathBuf>,
    pub(crate) connections: usize,
    pub(crate) window: usize,
    pub(crate) receivers: usize,
    pub(crate) rooms: usize,
    pub(crate) members: usize,
    pub(crate) bytes: usize,
    pub(crate) size: u32,
    pub(crate) messages: u64,
    pub(crate) beside_rooms: bool,
    pub(crate) rate: Option<u32>,
    pub(crate) page_rate: Option<u32>,
    pub(crate) random: bool,
    pub(crate) span: Duration,
    pub(crate) warmup: Duration,
    pub(crate) repetitions: u32,
    pub(crate) threads: usize,
    pub(crate) only: Option<Hostility>,
    pub(crate) json: Option<PathBuf>,
}

impl TryFrom<Arguments> for Plan {
    type Error = String;

    fn try_from(wish: Arguments) -> Result<Plan, String> {
        let mode = wish.mode.ok_or("say which mode, or --describe")?;
        if wish.beside_rooms && mode != Mode::History {
            return Err("--beside-rooms goes with history".to_owned());
        }
        if (wish.random || wish.page_rate.is_some()) && mode != Mode::History {
            return Err("--random and --page-rate go with history".to_owned());
        }
        if wish.rate.is_some() && mode != Mode::Rooms && !wish.beside_rooms {
            return Err("--rate goes with rooms, and with history --beside-rooms".to_owned());
        }
        if wish.only.is_some() && mode != Mode::Abuse {
            return Err("--only goes with abuse".to_owned());
        }
        let server = match wish.addr {
            Some(addr) => Server::Running { addr, pid: wish.pid },
            None => Server::Program(wish.server),
        };
        let connections = match mode {
            Mode::Idle | Mode::Abuse => 10_000,
            Mode::Send => 64,
            _ => 1,
        };
        let messages = if mode == Mode::Catchup { 100_000 } else { 10_000 };
        let count = |wish: Option<u32>, default: u32| wish.unwrap_or(default) as usize;
        let plan = Plan {
            mode,
            server,
            durability: wish.durability,
            data: wish.data.unwrap_or_else(|| PathBuf::from(".")),
            keep: wish.keep,
            connections: count(wish.connections, connections),
            window: count(wish.window, 64),
            receivers: count(wish.receivers, 100),
            rooms: count(wish.rooms, 20),
            members: count(wish.members, 50),
            bytes: count(wish.bytes, 128),
            size: wish.size.unwrap_or(256 << 20),
            messages: wish.messages.unwrap_or(messages).into(),
            beside_rooms: wish.beside_rooms,
            rate: wish.rate,
            page_rate: wish.page_rate,
            random: wish.random,
            span: Duration::from_secs(wish.secs.unwrap_or(5).into()),
            warmup: Duration::from_secs(wish.warmup.unwrap_or(1).into()),
            repetitions: wish.repetitions.unwrap_or(3),
            threads: count(wish.threads, 1),
            only: wish.only,
            json: wish.json,
        };
        match plan.sharable() {
            n if plan.threads > n => Err(format!("at most {n} threads have something to do here")),
            _ => Ok(plan),
        }
    }
}

impl Plan {
    /// How many threads can share the load.
    fn sharable(&self) -> usize {
        match self.mode {
            Mode::Send => self.connections,
            Mode::Fanout => self.receivers,
            Mode::Rooms => self.rooms,
            _ => 1,
        }
    }

    /// How many connections there will be at most.
    pub(crate) fn peak_connections(&self) -> usize {
        let rooms = self.rooms * self.members;
        match self.mode {
            Mode::Send | Mode::Idle => self.connections,
            Mode::Fanout => self.receivers + 1,
            Mode::Rooms => rooms,
            Mode::History if self.beside_rooms => rooms + 1,
            Mode::Ping | Mode::Media | Mode::Upload | Mode::History => 1,
            Mode::Catchup | Mode::Abuse => self.connections + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan, String> {
        let words = std::iter::once("load").chain(line.split_whitespace());
        Plan::try_from(Arguments::try_parse_from(words).map_err(|e| e.to_string())?)
    }

    #[test]
    fn the_defaults_are_those_of_the_page() {
        let send = plan("send").unwrap();
        assert_eq!((send.connections, send.window, send.bytes, send.threads), (64, 64, 128, 1));
        assert_eq!((send.repetitions, send.span.as_secs(), send.warmup.as_secs()), (3, 5, 1));
        assert_eq!(send.server, Server::Program("target/release/chatwire".into()));
        assert_eq!(send.durability, "full");
        let rooms = plan("rooms").unwrap();
        assert_eq!((rooms.rooms, rooms.members, rooms.peak_connections()), (20, 50, 1000));
        assert_eq!(plan("idle").unwrap().connections, 10_000);
        assert_eq!(plan("history").unwrap().messages, 10_000);
        assert_eq!(plan("catchup").unwrap().messages, 100_000);
    }

    #[test]
    fn what_is_said_wins() {
        let plan = plan("send --connections 1 --window 1 --addr 127.0.0.1:9 --pid 7").unwrap();
        assert_eq!((plan.connections, plan.window), (1, 1));
        let addr = "127.0.0.1:9".parse().unwrap();
        assert_eq!(plan.server, Server::Running { addr, pid: Some(7) });
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "dance",
            "send --window 0",
            "send --pid 1",
            "send --beside-rooms",
            "send --rate 1000",
            "send --only pings",
            "history --rate 1000",
            "rooms --page-rate 10",
            "rooms --random",
            "history --keep here --addr 127.0.0.1:9",
            "ping --threads 2",
            "send --secs 9999",
        ] {
            assert!(plan(line).is_err(), "{line:?}");
        }
    }
}

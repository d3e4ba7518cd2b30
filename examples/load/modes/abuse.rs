//! abuse: what hostile connections do to somebody else's texts, and to the server's memory. First a client sends
//! texts one at a time alone, then beside them.
//!
//! Each hostile connection is of one kind, goes on with it once a second, and comes again when it has gone or was
//! thrown out. They are all of one thread, which the system lets run only when nobody else wants the processor: what it
//! does costs the server what it would cost if it came from elsewhere, and what it takes itself costs nobody.

use super::Tally;
use crate::Result;
use crate::measure::{DRAIN, Span};
use crate::options::Plan;
use crate::pool::{Door, Load, Out, Pool, enter};
use crate::process::{self, Process};
use crate::report::Figures;
use crate::target::Target;
use chatwire_codec::frame::{Chunk, Hello, History, Join, Ping, Text, Typing, Upload};
use chatwire_codec::{Frame, MediaKind, Payload, header};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often each hostile connection goes on.
const PACE: Duration = Duration::from_secs(1);
/// How long they are at it before it counts.
const SETTLE: Duration = Duration::from_secs(3);
/// Bytes that a flood offers at once.
const FLOOD_BYTES: usize = 64 * 1024;

pub(super) fn run(plan: &Plan, target: &Target) -> Result<Figures> {
    let alone = texts(plan, target)?;
    let before = target.process.as_ref().map(Use::now).transpose()?;
    let (is_over, moves, thrown_out) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (beside, moves_per_s, most) = std::thread::scope(|scope| {
        let crowd = scope.spawn(|| crowd(target.addr, plan, &is_over, &moves, &thrown_out));
        let measured = || -> Result<_> {
            std::thread::sleep(SETTLE);
            let (begin, before) = (Instant::now(), moves.load(Ordering::Relaxed));
            let beside = texts(plan, target)?;
            let moved = (moves.load(Ordering::Relaxed) - before) as f64;
            let most = target.process.as_ref().map(Use::at_most).transpose()?;
            Ok((beside, moved / begin.elapsed().as_secs_f64(), most))
        };
        let measured = measured();
        is_over.store(true, Ordering::Relaxed);
        crowd.join().map_err(|_| "the hostile connections failed")??;
        measured
    })?;
    let mut faults = alone.faults;
    faults.add(beside.faults);
    let mut figures = Figures::new(faults);
    figures.put("hostile", plan.connections as f64);
    figures.put("hostile_moves_per_s", moves_per_s);
    figures.put("thrown_out", thrown_out.load(Ordering::Relaxed) as f64);
    figures.put("alone_p50_us", alone.answers.micros(0.5));
    figures.put("alone_p99_us", alone.answers.micros(0.99));
    figures.put("beside_p50_us", beside.answers.micros(0.5));
    figures.put("beside_p99_us", beside.answers.micros(0.99));
    figures.put("p50_raised_percent", 100.0 * (beside.answers.micros(0.5) / alone.answers.micros(0.5) - 1.0));
    if let (Some(process), Some(before), Some(most)) = (&target.process, before, most) {
        figures.put("raised_mib", (most.kib - before.kib) / 1024.0);
        figures.put("descriptors", most.descriptors as f64);
        figures.put("descriptors_left", left(process, before.descriptors)? as f64);
    }
    Ok(figures)
}

/// What the server has.
struct Use {
    kib: f64,
    descriptors: usize,
}

impl Use {
    fn now(process: &Process) -> Result<Use> {
        Ok(Use { kib: process.resident()?, descriptors: process.open_descriptors()? })
    }

    fn at_most(process: &Process) -> Result<Use> {
        Ok(Use { kib: process.peak()?, ..Use::now(process)? })
    }
}

/// Descriptors that the server has more than before, once nobody is there and it has had time to notice.
fn left(process: &Process, before: usize) -> Result<usize> {
    let end = Instant::now() + DRAIN;
    loop {
        let left = process.open_descriptors()?.saturating_sub(before);
        if left == 0 || Instant::now() >= end {
            return Ok(left);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Texts one at a time.
fn texts(plan: &Plan, target: &Target) -> Result<Tally> {
    let mut pool = Pool::new(target.addr)?;
    enter(&mut pool, &[Door::home()])?;
    let begin = Instant::now() + plan.warmup;
    let span = Span { begin, end: begin + plan.span };
    let text = "a".repeat(plan.bytes);
    let mut sender = Sender { span, text, asked: None, is_over: false, tally: Tally::new()? };
    pool.run(span.end + DRAIN, &mut sender)?;
    sender.tally.faults.lost += u64::from(sender.asked.is_some());
    Ok(sender.tally)
}

struct Sender {
    span: Span,
    text: String,
    /// When the one that is not answered was sent.
    asked: Option<Instant>,
    is_over: bool,
    tally: Tally,
}

impl Load for Sender {
    fn frame(&mut self, _conn: usize, frame: &Frame<'_>, now: Instant) -> Result<()> {
        if matches!(frame, Frame::Status(_))
            && let Some(asked) = self.asked.take()
            && self.span.contains(now)
        {
            self.tally.messages += 1;
            self.tally.answers.add(now - asked);
        }
        Ok(())
    }

    fn turn(&mut self, out: &mut Out<'_>, now: Instant) -> Result<()> {
        self.is_over = now >= self.span.end;
        if self.asked.is_none() && !self.is_over {
            self.asked = Some(now);
            out.put(0, &Text { text: &self.text })?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.is_over && self.asked.is_none()
    }
}

/// What a hostile connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Says nothing.
    Silent,
    /// Says HELLO a byte at a time.
    HelloByBytes,
    /// Says a text a byte at a time.
    TextByBytes,
    /// Begins a file of which no more comes than this beginning.
    HalfAFile,
    /// Begins a large text likewise.
    HalfAText,
    /// Begins an upload likewise.
    HalfAnUpload,
    /// Asks for more and more, and reads nothing.
    Asks,
    /// PINGs, and reads nothing.
    Pings,
    /// Sends texts, and reads nothing.
    Sends,
    /// Sends texts to a room with all others that do, and reads nothing.
    Crowds,
    /// Logs in, joins a room, and goes.
    ComesAndGoes,
    /// Sends what nobody knows, and TYPING about chats that are not there.
    Noise,
}

pub(super) const KINDS: [Kind; 12] = [
    Kind::Silent,
    Kind::HelloByBytes,
    Kind::TextByBytes,
    Kind::HalfAFile,
    Kind::HalfAText,
    Kind::HalfAnUpload,
    Kind::Asks,
    Kind::Pings,
    Kind::Sends,
    Kind::Crowds,
    Kind::ComesAndGoes,
    Kind::Noise,
];

/// All hostile connections, until it is over.
fn crowd(
    addr: SocketAddr,
    plan: &Plan,
    is_over: &AtomicBool,
    moves: &AtomicU64,
    thrown_out: &AtomicU64,
) -> Result<()> {
    process::let_others_go_first()?;
    let connections = plan.connections;
    let mut hostile = Vec::with_capacity(connections);
    let mut next_round = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        next_round += PACE;
        for number in 0..connections {
            // Spread over the round, as connections of many clients are.
            while Instant::now() + PACE
                < next_round + PACE * u32::try_from(number)? / u32::try_from(connections)?
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            if is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            moves.fetch_add(1, Ordering::Relaxed);
            if hostile.len() == number {
                let kind = plan.only.unwrap_or(KINDS[number % KINDS.len()]);
                hostile.push(Hostile::connect(addr, kind)?);
            } else if !hostile[number].go_on() {
                thrown_out.fetch_add(1, Ordering::Relaxed);
                hostile[number] = Hostile::connect(addr, hostile[number].kind)?;
            }
        }
    }
    Ok(())
}

struct Hostile {
    stream: TcpStream,
    kind: Kind,
    /// What it says again and again, and how much of it is said.
    script: Vec<u8>,
    said: usize,
}

impl Hostile {
    fn connect(addr: SocketAddr, kind: Kind) -> Result<Hostile> {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_nonblocking(true)?;
        let mut hello = Vec::new();
        Hello { version: 1, timezone: "UTC", ..Hello::default() }.encode(&mut hello)?;
        if !matches!(kind, Kind::Silent | Kind::HelloByBytes) {
            stream.write_all(&hello)?;
        }
        if matches!(kind, Kind::Crowds | Kind::ComesAndGoes) {
            let mut join = Vec::new();
            Join { req: 1, room: "crowd", flags: 0 }.encode(&mut join)?;
            stream.write_all(&join)?;
        }
        let script = kind.script(&hello)?;
        let mut hostile = Hostile { stream, kind, script, said: 0 };
        hostile.go_on();
        Ok(hostile)
    }

    /// Does what it does once more; false when it was thrown out.
    fn go_on(&mut self) -> bool {
        if matches!(self.kind, Kind::ComesAndGoes) {
            return false;
        }
        let rest = &self.script[self.said..];
        let piece = match self.kind {
            Kind::HelloByBytes | Kind::TextByBytes => &rest[..rest.len().min(1)],
            _ => rest,
        };
        let said = match self.stream.write(piece) {
            Ok(said) => said,
            Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return false,
        };
        self.said += said;
        if self.said == self.script.len()
            && matches!(self.kind, Kind::Asks | Kind::Pings | Kind::Sends | Kind::Crowds | Kind::Noise)
        {
            self.said = 0;
        }
        // Those that read look whether they are still wanted.
        match self.kind {
            Kind::Asks | Kind::Pings | Kind::Sends | Kind::Crowds => true,
            _ => !matches!(self.stream.read(&mut [0; 4096]), Ok(0)),
        }
    }
}

impl Kind {
    fn script(self, hello: &[u8]) -> Result<Vec<u8>> {
        let mut once = Vec::new();
        match self {
            Kind::Silent | Kind::ComesAndGoes => return Ok(once),
            Kind::HelloByBytes => return Ok(hello.to_vec()),
            Kind::TextByBytes => {
                Text { text: &"a".repeat(1000) }.encode(&mut once)?;
                return Ok(once);
            }
            Kind::HalfAFile => {
                once.extend(header(chatwire_codec::frame::kind::FILE, 1 << 20));
                once.resize(16 * 1024, 7);
                return Ok(once);
            }
            Kind::HalfAText => {
                once.extend(header(chatwire_codec::frame::kind::TEXT, 60 * 1024));
                once.resize(50 * 1024, b'a');
                return Ok(once);
            }
            Kind::HalfAnUpload => {
                let upload =
                    Upload { req: 1, media_kind: MediaKind::File as u8, size: 1 << 20, ..Upload::default() };
                upload.encode(&mut once)?;
                Chunk { transfer: 1, offset: 0, bytes: &[7; 1000] }.encode(&mut once)?;
                return Ok(once);
            }
            Kind::Asks => History { req: 1, chat: 1, ..History::default() }.encode(&mut once)?,
            Kind::Pings => Ping { bytes: &[7; 64] }.encode(&mut once)?,
            Kind::Sends | Kind::Crowds => Text { text: "hello" }.encode(&mut once)?,
            Kind::Noise => {
                once.extend(header(0x7F, 1000));
                once.resize(1005, 7);
                Typing { chat: 99, on: 1, ..Typing::default() }.encode(&mut once)?;
            }
        }
        Ok(once.repeat(FLOOD_BYTES / once.len()))
    }
}

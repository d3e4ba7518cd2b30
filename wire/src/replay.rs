//! `wire replay`: plays what a client sent in a recording to a server again, and says where the answers differ.
//!
//! The recording's own time plays no part. What the client sent waits only for the frames that it had seen when it was
//! sent, so that a request comes after what it refers to. The n-th frame of each type is compared with the n-th: between
//! frames of different types the order may be another.

mod recording;
mod renames;

use crate::build::Outgoing;
use crate::cli::Replay;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::form;
use crate::inbox::Taken;
use crate::output::Output;
use crate::peer::{FIRST, Manner, Peer};
use crate::seen::{Field, Seen, Val};
use crate::show::{Format, View};
use chatwire_codec::dump::{Sender, Style};
use chatwire_codec::frame::kind;
use recording::{Recorded, Step};
use renames::Renames;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) fn run(wish: &Replay) -> Result<(), Error> {
    let recorded = recording::read(&wish.file, wish.port, wish.connection)?;
    // Nothing is shown but the differences.
    let view =
        View { format: Format::Line, style: Style::default(), only: Vec::new(), hide: (0..=255).collect() };
    let manner = Manner {
        view,
        output: Arc::new(Output::stdout()),
        shows_sent: false,
        answers_pings: true,
        tells_end: false,
    };
    let peer = Peer::new(Endpoint::parse(&wish.server)?.connect(&wish.trust)?, FIRST, &manner);
    let mut player = Player {
        wish,
        renames: Renames::new(&wish.rename),
        awaited: VecDeque::new(),
        early: VecDeque::new(),
        sent: 0,
        compared: 0,
        differences: Vec::new(),
    };
    player.play(recorded, &peer)?;
    player.report()
}

struct Player<'a> {
    wish: &'a Replay,
    renames: Renames,
    /// Frames of the recording's server that did not come yet, with their numbers.
    awaited: VecDeque<(usize, Seen)>,
    /// Frames that came before the recording has them.
    early: VecDeque<Seen>,
    sent: usize,
    compared: usize,
    differences: Vec<String>,
}

impl Player<'_> {
    fn play(&mut self, recorded: Vec<Step>, peer: &Peer) -> Result<(), Error> {
        for (i, step) in recorded.into_iter().enumerate() {
            let Step::Frame(frame) = step else {
                self.catch_up(peer);
                // The server may have closed before.
                let _ = peer.finish();
                continue;
            };
            let Recorded { from, seen, bytes } = *frame;
            match (from, seen.kind) {
                (Sender::Server, _) if self.skips(&seen) => {}
                (Sender::Server, _) => self.awaits(i + 1, seen),
                // PINGs of this time are answered by themselves.
                (Sender::Client, Some(kind::PONG)) => {}
                (Sender::Client, _) => {
                    let bytes =
                        if self.catch_up(peer) { self.renames.apply(&seen, bytes) } else { Vec::new() };
                    if bytes.is_empty() || peer.send(Outgoing { bytes, body: None }).is_err() {
                        let frame = form::line(&seen);
                        let text =
                            format!("#{} could not be sent, since the server had closed: {frame}", i + 1);
                        self.differences.push(text);
                        break;
                    }
                    self.sent += 1;
                }
            }
        }
        self.catch_up(peer);
        // It may have ended before.
        let _ = peer.finish();
        self.rest(peer);
        Ok(())
    }

    fn skips(&self, seen: &Seen) -> bool {
        seen.kind.is_some_and(|kind| self.wish.skip.contains(&kind))
    }

    fn awaits(&mut self, number: usize, seen: Seen) {
        match self.early.iter().position(|came| came.kind == seen.kind) {
            Some(place) => {
                if let Some(came) = self.early.remove(place) {
                    self.compare(number, &seen, &came);
                }
            }
            None => self.awaited.push_back((number, seen)),
        }
    }

    /// Waits for what the recording's client had seen by now; whether the server is still there.
    fn catch_up(&mut self, peer: &Peer) -> bool {
        while !self.awaited.is_empty() {
            match peer.inbox.take(Instant::now() + self.wish.timeout) {
                Taken::Frame(seen) => self.came(*seen),
                ended => {
                    for (number, seen) in std::mem::take(&mut self.awaited) {
                        self.differences.push(format!("#{number} did not come: {}", form::line(&seen)));
                    }
                    return !matches!(ended, Taken::End);
                }
            }
        }
        true
    }

    fn came(&mut self, seen: Seen) {
        if self.skips(&seen) {
            return;
        }
        match self.awaited.iter().position(|(_, awaited)| awaited.kind == seen.kind) {
            Some(place) => {
                if let Some((number, awaited)) = self.awaited.remove(place) {
                    self.compare(number, &awaited, &seen);
                }
            }
            None => self.early.push_back(seen),
        }
    }

    /// What still comes is more than the recording has.
    fn rest(&mut self, peer: &Peer) {
        let deadline = Instant::now() + self.wish.timeout.min(Duration::from_secs(2));
        while let Taken::Frame(seen) = peer.inbox.take(deadline) {
            self.came(*seen);
        }
        // A recording that was cut has no BYE.
        for seen in self.early.drain(..).filter(|seen| seen.kind != Some(kind::BYE)) {
            self.differences.push(format!("came, and is not in the recording: {}", form::line(&seen)));
        }
    }

    fn compare(&mut self, number: usize, was: &Seen, is: &Seen) {
        self.compared += 1;
        let mut paths: Vec<&Field> = was.fields.iter().collect();
        paths
            .extend(is.fields.iter().filter(|field| was.fields.iter().all(|other| other.path != field.path)));
        let mut text = String::new();
        for field in paths {
            let name = field.path.rsplit('.').next().unwrap_or_default();
            let (old, new) = (was.value(&field.path), is.value(&field.path));
            let (old, new) =
                (old.unwrap_or_else(|| Val::empty(field.ty)), new.unwrap_or_else(|| Val::empty(field.ty)));
            if self.ignores(was, name) {
                continue;
            }
            let expected = self.renames.expected(name, &old, &new);
            if expected != new {
                let also = match expected == old {
                    true => String::new(),
                    false => format!(" (here {} so far)", form::value(&expected)),
                };
                let (old, new) = (form::value(&old), form::value(&new));
                let _ = write!(text, "\n    {} was {old}{also}, is {new}", field.path);
            }
        }
        if let (Some(was), Some(is)) = (&was.body, &is.body)
            && (was.len, was.fingerprint()) != (is.len, is.fingerprint())
        {
            let _ = write!(text, "\n    its body was {} bytes, is {} others", was.len, is.len);
        }
        if was.trouble != is.trouble {
            let said = |seen: &Seen| {
                seen.trouble.map_or_else(|| "well-formed".into(), |trouble| form::said(&trouble))
            };
            let _ = write!(text, "\n    was {}, is {}", said(was), said(is));
        }
        if !text.is_empty() {
            self.differences.push(format!("#{number} {} differs:{text}", was.name()));
        }
    }

    fn ignores(&self, seen: &Seen, field: &str) -> bool {
        let frame = seen.name().to_lowercase();
        self.wish.ignore.iter().any(|ignored| match ignored.split_once('.') {
            Some((of, name)) => of.eq_ignore_ascii_case(&frame) && name == field,
            None => ignored == field,
        })
    }

    fn report(&self) -> Result<(), Error> {
        let mut stdout = std::io::stdout().lock();
        for difference in &self.differences {
            writeln!(stdout, "{difference}")?;
        }
        let Player { sent, compared, differences, .. } = self;
        writeln!(
            stdout,
            "{sent} frames sent, {compared} answers compared, {} differences",
            differences.len()
        )?;
        match differences.len() {
            0 => Ok(()),
            n => Err(Error::Differs(n)),
        }
    }
}

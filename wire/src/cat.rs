//! `wire cat`: statements, from a file, a pipe or a keyboard, to frames; and whether what came is what was expected.

use crate::build::{Outgoing, Scope, build};
use crate::cli::{Cat, Trust};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::expect;
use crate::language::{COMMANDS, Expect, Statement, parse};
use crate::output::Output;
use crate::peer::{FIRST, Manner, Peer};
use crate::prompt::Prompt;
use chatwire_codec::{Direction, FRAMES};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, stdin, stdout};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of a line; a longer one is a file that should be named with `@`.
const MAX_LINE: u64 = 1024 * 1024;

pub(crate) fn run(wish: &Cat) -> Result<(), Error> {
    let is_typed = wish.script.is_none() && stdin().is_terminal() && stdout().is_terminal();
    let mut prompt = if is_typed { Some(Prompt::new()?) } else { None };
    let output = match &mut prompt {
        Some(prompt) => prompt.output()?,
        None => Output::stdout(),
    };
    let manner = Manner {
        view: wish.look.view(wish.format),
        output: Arc::new(output),
        shows_sent: wish.sent,
        answers_pings: !wish.no_pong,
        tells_end: is_typed,
    };
    let endpoint = Endpoint::parse(&wish.server)?;
    let mut talk = Talk {
        endpoint,
        trust: &wish.trust,
        manner,
        peers: BTreeMap::new(),
        current: FIRST.into(),
        scope: Scope::default(),
        timeout: wish.timeout,
    };
    talk.go_on_as(FIRST)?;
    match (&mut prompt, &wish.script) {
        (Some(prompt), _) => talk.typed(prompt)?,
        (None, Some(path)) => {
            let file = File::open(path).map_err(Error::file(path))?;
            talk.script(&path.display().to_string(), BufReader::new(file))?;
        }
        (None, None) => talk.script("line", stdin().lock())?,
    }
    talk.end()
}

/// One run: its connections, and what has a name.
struct Talk<'a> {
    endpoint: Endpoint,
    trust: &'a Trust,
    manner: Manner,
    peers: BTreeMap<String, Peer>,
    current: String,
    scope: Scope,
    timeout: Duration,
}

impl Talk<'_> {
    /// Every line in order; the first that fails ends it.
    fn script(&mut self, name: &str, mut lines: impl BufRead) -> Result<(), Error> {
        for number in 1.. {
            let place = if name == "line" { format!("line {number}") } else { format!("{name}:{number}") };
            let mut line = Vec::new();
            let n = std::io::Read::take(&mut lines, MAX_LINE).read_until(b'\n', &mut line)?;
            if n == 0 {
                break;
            }
            let told = |error: String| Error::Line { place: place.clone(), error };
            if n as u64 == MAX_LINE {
                return Err(told("a line has at most 1 MiB; name a file with @ instead".into()));
            }
            let line = String::from_utf8(line).map_err(|_| told("not UTF-8; write bytes as \\xNN".into()))?;
            if let Some(statement) = parse(&line).map_err(told)? {
                self.carry_out(statement, &place)?;
            }
        }
        Ok(())
    }

    /// As they are typed; what fails is told and may be tried again.
    fn typed(&mut self, prompt: &mut Prompt) -> Result<(), Error> {
        let output = Arc::clone(&self.manner.output);
        output.print("`help` lists what can be said; the end of input (Ctrl-D) ends the connection.\n")?;
        while let Some(line) = prompt.line()? {
            let done = match parse(&line) {
                Ok(None) => Ok(()),
                Ok(Some(statement)) => self.carry_out(statement, ""),
                Err(error) => Err(Error::Usage(error)),
            };
            if let Err(error) = done {
                output.print(&format!("!! {}\n", error.to_string().trim_start_matches([':', ' '])))?;
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, statement: Statement, place: &str) -> Result<(), Error> {
        let told = |error: String| Error::Line { place: place.into(), error };
        match statement {
            Statement::Frame { info, given } => {
                let outgoing = build(info, &given, &mut self.scope).map_err(told)?;
                self.peer()?.send(outgoing).map_err(|error| told(error.to_string()))
            }
            Statement::Raw(bytes) => {
                let outgoing = Outgoing { bytes, body: None };
                self.peer()?.send(outgoing).map_err(|error| told(error.to_string()))
            }
            Statement::Expect(expect) => self.expect(&expect, place),
            Statement::Quiet { time, kind } => {
                let deadline = Instant::now() + time;
                expect::quiet(&self.peer()?.inbox, kind, deadline).map_err(unmet(place))
            }
            Statement::Set { name, value } => {
                let value = self.scope.untyped(&value).map_err(told)?;
                self.scope.set(&name, value);
                Ok(())
            }
            Statement::Pause(time) => {
                std::thread::sleep(time);
                Ok(())
            }
            Statement::Timeout(time) => {
                self.timeout = time;
                Ok(())
            }
            Statement::As(name) => self.go_on_as(&name),
            Statement::Close => Ok(self.peer()?.finish()?),
            Statement::Help => Ok(self.manner.output.print(&help())?),
        }
    }

    fn expect(&mut self, wish: &Expect, place: &str) -> Result<(), Error> {
        let deadline = Instant::now() + wish.within.unwrap_or(self.timeout);
        let inbox = Arc::clone(&self.peer()?.inbox);
        let captured = expect::meet(&inbox, wish, &self.scope, deadline).map_err(unmet(place))?;
        for (name, value) in captured {
            self.scope.set(&name, value);
        }
        Ok(())
    }

    fn go_on_as(&mut self, name: &str) -> Result<(), Error> {
        if !self.peers.contains_key(name) {
            let link = self.endpoint.connect(self.trust)?;
            self.peers.insert(name.into(), Peer::new(link, name, &self.manner));
        }
        self.current = name.into();
        Ok(())
    }

    fn peer(&self) -> Result<&Peer, Error> {
        self.peers.get(&self.current).ok_or_else(|| Error::Usage("there is no such connection".into()))
    }

    /// Ends every sending side and shows what still comes, until the server closes or the time is over.
    fn end(self) -> Result<(), Error> {
        for peer in self.peers.values() {
            // It may have ended before.
            let _ = peer.finish();
        }
        let deadline = Instant::now() + self.timeout;
        for (_, peer) in self.peers {
            if expect::end(&peer.inbox, deadline) {
                peer.join();
            }
        }
        Ok(())
    }
}

fn unmet(place: &str) -> impl FnOnce(String) -> Error {
    let place = place.to_string();
    move |what| Error::Unmet { place, what }
}

fn help() -> String {
    let frames = |direction| {
        let names =
            FRAMES.iter().filter(|info| info.direction == direction || info.direction == Direction::Both);
        names.map(|info| info.name.to_lowercase()).collect::<Vec<_>>().join(" ")
    };
    format!(
        "A line sends a frame, by its name: hello tz=Asia/Tokyo | text hi | voice @file.mp3 | join room=harbour\n\
         frames to a server: {}\n\
         commands: {}\n\
           expect status seq=1 chat->c   waits for a frame; conditions = != ~ < >; -> names a value, $c uses it\n\
           expect end                    waits for the end of the connection\n\
           next welcome                  as expect, but it has to be the very next frame\n\
           quiet 500ms text              nothing of that type comes for so long\n\
           raw 00 00000002 6869          sends bytes as they are\n\
           as bob                        goes on with another connection, made when it is missing; the first is main\n\
           set n=7 | pause 1s | timeout 10s | close\n\
         `wire explain NAME` says what a frame consists of; docs/WIRE.md describes the language.\n",
        frames(Direction::ToServer),
        COMMANDS.join(" "),
    )
}

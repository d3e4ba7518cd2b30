//! A client and its connection, as the run sees them.

use crate::pipe::Pipe;
use crate::random::Random;
use crate::raw::{ROOMS, Raw, words};
use crate::server::wall;
use crate::steady::Steady;
use crate::truth::Truth;
use crate::watch::Watch;
use chatwire::id::ConnId;
use chatwire_client::{Outgoing, Target, frame};
use std::io;
use std::time::Instant;

type Check = Result<(), String>;

pub(crate) enum Brain {
    Steady(Box<Steady>),
    Raw(Box<Raw>),
}

/// A connection.
pub(crate) struct Link {
    pub(crate) conn: ConnId,
    pub(crate) pipe: Pipe,
    pub(crate) watch: Watch,
    /// What the client has said and the network not taken.
    pub(crate) outgoing: Vec<u8>,
    pub(crate) is_stalled: bool,
    /// The sending side has ended.
    pub(crate) has_ended: bool,
}

pub(crate) struct Device {
    pub(crate) brain: Brain,
    pub(crate) link: Option<Link>,
}

impl Device {
    pub(crate) fn new(brain: Brain) -> Device {
        Device { brain, link: None }
    }

    pub(crate) fn wants_to_connect(&mut self, now: Instant) -> bool {
        self.link.is_none()
            && match &mut self.brain {
                Brain::Steady(steady) => steady.wants_to_connect(now),
                Brain::Raw(_) => true,
            }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        matches!(&self.brain, Brain::Raw(raw) if raw.is_quiet)
    }

    pub(crate) fn inline_limit(&self) -> u32 {
        match &self.brain {
            Brain::Raw(raw) => raw.inline_limit,
            Brain::Steady(_) => 0,
        }
    }

    /// There is a way to the server.
    pub(crate) fn connect(&mut self, mut link: Link, now: Instant, random: u64) -> Check {
        let hello = match &mut self.brain {
            Brain::Steady(steady) => {
                steady.machine().connected(now).map_err(|why| why.to_string())?;
                Vec::new()
            }
            Brain::Raw(raw) => raw.hello(random),
        };
        link.say(&hello);
        self.link = Some(link);
        self.flush(now);
        Ok(())
    }

    /// There is none.
    pub(crate) fn refused(&mut self, now: Instant, random: u64) {
        if let Brain::Steady(steady) = &mut self.brain {
            let why = io::ErrorKind::ConnectionRefused.into();
            steady.machine().lost(Some(&why), now, random);
        }
    }

    /// Up to so many bytes come.
    pub(crate) fn receive(&mut self, n: usize, now: Instant, random: u64, truth: &mut Truth) -> Check {
        let Some(link) = &mut self.link else { return Ok(()) };
        let bytes = link.pipe.take(n);
        link.watch.received(&bytes, truth)?;
        link.answer_pings(matches!(self.brain, Brain::Raw(_)));
        if let Brain::Raw(raw) = &self.brain {
            raw.is_welcome(&link.watch.token);
        }
        if let Brain::Steady(steady) = &mut self.brain {
            steady.machine().receive(&bytes, now, random);
            steady.look(truth)?;
            if !steady.machine().is_connected() {
                link.pipe.cut();
                self.link = None;
            }
        }
        self.flush(now);
        Ok(())
    }

    /// The connection has ended.
    pub(crate) fn lose(
        &mut self,
        why: Option<io::ErrorKind>,
        now: Instant,
        random: u64,
        truth: &Truth,
    ) -> Check {
        self.link = None;
        if let Brain::Steady(steady) = &mut self.brain {
            steady.machine().lost(why.map(io::Error::from).as_ref(), now, random);
            steady.look(truth)?;
        }
        Ok(())
    }

    /// The client's time has come.
    pub(crate) fn tick(&mut self, now: Instant, random: u64, truth: &Truth) -> Check {
        let Brain::Steady(steady) = &mut self.brain else { return Ok(()) };
        steady.machine().due(now, random);
        steady.look(truth)?;
        if self.link.is_some() && !steady.machine().is_connected() {
            let link = self.link.take();
            link.inspect(|link| link.pipe.cut());
        }
        self.flush(now);
        Ok(())
    }

    /// What a client that keeps its place has to say goes out.
    pub(crate) fn flush(&mut self, now: Instant) {
        if let (Brain::Steady(steady), Some(link)) = (&mut self.brain, &mut self.link) {
            let bytes = steady.machine().transmit(now, unix_ms());
            link.say(&bytes);
        }
    }

    /// Keeps what is to be kept.
    pub(crate) fn save(&mut self, now: Instant) -> Check {
        if let Brain::Steady(steady) = &mut self.brain {
            // While it is not connected it is busy with other things.
            steady.save(self.link.is_some())?;
        }
        self.flush(now);
        Ok(())
    }

    pub(crate) fn has_to_save(&self) -> bool {
        matches!(&self.brain, Brain::Steady(steady) if steady.has_to_save(self.link.is_some()))
    }

    /// Something is said or asked, as chance has it.
    pub(crate) fn speak(
        &mut self,
        random: &mut Random,
        truth: &mut Truth,
        max: usize,
        now: Instant,
    ) -> Check {
        match &mut self.brain {
            Brain::Raw(raw) => {
                let Some(link) = self.link.as_mut().filter(|link| !link.watch.is_leaving) else {
                    return Ok(());
                };
                link.watch.look(truth);
                let bytes = raw.speak(random, &link.watch, truth, max);
                link.say(&bytes);
                let user = link.watch.user();
                for file in link.watch.claimed.drain(..) {
                    *truth.claims.entry((user, file)).or_default() += 1;
                }
            }
            Brain::Steady(steady) => {
                let chats = self.link.as_ref().map_or_else(Vec::new, |link| link.watch.chats());
                say_something(steady, random, truth, &chats, max)?;
                steady.look(truth)?;
            }
        }
        self.flush(now);
        Ok(())
    }

    /// The client says that it says nothing more.
    pub(crate) fn leave(&mut self, with_bye: bool) {
        let Some(link) = self.link.as_mut().filter(|link| link.watch.user() != 0) else { return };
        if with_bye {
            link.outgoing.extend(Raw::bye());
        }
        link.watch.is_leaving = true;
    }
}

impl Link {
    fn say(&mut self, bytes: &[u8]) {
        self.watch.sent(bytes);
        self.outgoing.extend_from_slice(bytes);
    }

    /// Who has no library answers them here, unless it has said that it says nothing more.
    fn answer_pings(&mut self, is_raw: bool) {
        let pings = std::mem::take(&mut self.watch.pings);
        if is_raw && !self.watch.is_leaving {
            pings.iter().for_each(|bytes| self.say(&Raw::pong(bytes)));
        }
    }

    /// Up to so many bytes go to the server.
    pub(crate) fn send(&mut self, n: usize) {
        let n = n.min(self.pipe.room_up()).min(self.outgoing.len());
        self.pipe.send(&self.outgoing[..n]);
        self.outgoing.drain(..n);
        if self.outgoing.is_empty() && self.watch.is_leaving {
            self.has_ended = true;
            self.pipe.end_up();
        }
    }

    pub(crate) fn can_send(&self) -> bool {
        if self.outgoing.is_empty() {
            self.watch.is_leaving && !self.has_ended
        } else {
            self.pipe.room_up() > 0
        }
    }
}

fn say_something(
    steady: &mut Steady,
    random: &mut Random,
    truth: &Truth,
    chats: &[u64],
    max: usize,
) -> Check {
    let names: Vec<&String> = truth.names.values().collect();
    let name = if names.is_empty() { "Ann" } else { names[random.below(names.len())] };
    let chat = if chats.is_empty() { 1 } else { random.pick(chats) };
    let seq = random.below(usize::try_from(truth.head(chat)).unwrap_or(0) + 2) as u64;
    let room = random.pick(&ROOMS);
    let stay = 1;
    // What cannot be asked now, since there is no connection, is not asked.
    let asked = match random.below(20) {
        0..10 => {
            let target = match random.below(6) {
                0 => Target::Current,
                1 => Target::Room(room.into()),
                2 => Target::User(name.into()),
                _ => Target::Chat(chat),
            };
            let media = steady.media().filter(|_| random.below(4) == 0);
            let text = || Outgoing::text(target.clone(), words(random, max));
            let message = media.map_or_else(text, |media| Outgoing::reference(target.clone(), media));
            return steady.say(message, unix_ms());
        }
        10..13 => steady.machine().ask(frame::Join { room, flags: stay, ..frame::Join::default() }),
        13 => steady.machine().ask(frame::Leave { chat, ..frame::Leave::default() }),
        14 => steady.machine().ask(frame::Create { title: "group", ..frame::Create::default() }),
        15 => steady.machine().ask(frame::Invite { chat, user: name, ..frame::Invite::default() }),
        16 => steady.machine().ask(frame::Remove { chat, user: name, ..frame::Remove::default() }),
        17 => steady.machine().ask(frame::Delete { chat, seq, ..frame::Delete::default() }),
        18 => steady.machine().ask(frame::Read { chat, seq, ..frame::Read::default() }),
        _ => steady.machine().ask(frame::History { chat, before: seq, ..frame::History::default() }),
    };
    drop(asked);
    Ok(())
}

fn unix_ms() -> u64 {
    u64::try_from(wall() / 1000).unwrap_or(0)
}

//! How connections come in: HELLO, perhaps JOIN, a few at a time.

use super::{Load, Out, Pool};
use crate::Result;
use chatwire_codec::Frame;
use chatwire_codec::frame::{Hello, Join};
use std::time::{Duration, Instant};

/// Logins that are under way at once.
const UNDER_WAY: usize = 64;
/// The longest that all of them may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// HELLO's flag for no live messages.
const NOTHING_LIVE: u8 = 1;

/// How a connection enters.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// A room to join, or empty.
    pub(crate) room: String,
    /// Whether it gets what is said there.
    pub(crate) live: bool,
}

impl Door {
    /// To the home chat alone.
    pub(crate) fn home() -> Door {
        Door { room: String::new(), live: true }
    }

    pub(crate) fn room(name: &str) -> Door {
        Door { room: name.to_owned(), live: true }
    }
}

/// Who came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guest {
    /// The room, else the home chat.
    pub(crate) chat: u64,
    /// The room's position.
    pub(crate) last_seq: u64,
}

/// Connects once for each door, and logs in. The guests stand in the order of the doors, which is that of
/// their connections' numbers too, if the pool was empty.
pub(crate) fn enter(pool: &mut Pool, doors: &[Door]) -> Result<Vec<Guest>> {
    let first = pool.conns.len();
    let mut entrance = Entrance {
        first,
        doors,
        guests: vec![Guest::default(); doors.len()],
        connected: 0,
        inside: 0,
        enough: 0,
    };
    let until = Instant::now() + PATIENCE;
    while entrance.inside < doors.len() {
        while entrance.connected < doors.len() && entrance.connected - entrance.inside < UNDER_WAY {
            let conn = pool.connect()?;
            entrance.hello(&mut Out { conns: &mut pool.conns, dirty: &mut pool.dirty }, conn)?;
            entrance.connected += 1;
        }
        let is_last = entrance.connected == doors.len();
        entrance.enough = if is_last { doors.len() } else { entrance.connected - UNDER_WAY / 2 };
        if !pool.run(until, &mut entrance)? {
            let missing = doors.len() - entrance.inside;
            return Err(format!("{missing} of {} logins were not answered in time", doors.len()).into());
        }
    }
    Ok(entrance.guests)
}

struct Entrance<'a> {
    /// The number of the first connection.
    first: usize,
    doors: &'a [Door],
    guests: Vec<Guest>,
    connected: usize,
    inside: usize,
    /// With so many inside, others may connect.
    enough: usize,
}

impl Entrance<'_> {
    fn hello(&self, out: &mut Out<'_>, conn: usize) -> Result<()> {
        let Door { room, live } = &self.doors[conn - self.first];
        let flags = if *live { 0 } else { NOTHING_LIVE };
        out.put(conn, &Hello { version: 1, timezone: "UTC", flags, ..Hello::default() })?;
        if !room.is_empty() {
            out.put(conn, &Join { req: 1, room, flags: 0 })?;
        }
        Ok(())
    }
}

impl Load for Entrance<'_> {
    fn frame(&mut self, conn: usize, frame: &Frame<'_>, _now: Instant) -> Result<()> {
        let Some(at) = conn.checked_sub(self.first) else { return Ok(()) };
        match frame {
            Frame::Welcome(welcome) if self.doors[at].room.is_empty() => {
                self.guests[at] = Guest { chat: welcome.home, last_seq: 0 };
                self.inside += 1;
            }
            Frame::Joined(joined) => {
                self.guests[at] = Guest { chat: joined.chat, last_seq: joined.last_seq };
                self.inside += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn turn(&mut self, _out: &mut Out<'_>, _now: Instant) -> Result<()> {
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.inside >= self.enough
    }
}

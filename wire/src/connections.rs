//! The connections in a row of TCP segments: whose they are, who is the client, and what each side sent.

use crate::capture::Segment;
use crate::reassembly::{Piece, Side};
use chatwire_codec::dump::Sender;
use chatwire_codec::frame::kind;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The port by custom (section 5.1).
const CUSTOM_PORT: u16 = 8000;
/// The largest first frame (section 1.6).
const FIRST_LIMIT: u32 = 2048;
/// So many connections are followed at once; more are passed over.
const MAX_OPEN: usize = 65_536;

/// What happens on the connections, which are counted from 1 in the order in which they are known for Chatwire's.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Bytes {
        number: usize,
        from: Sender,
        bytes: &'a [u8],
        at: Duration,
    },
    /// So many bytes were not captured.
    Gap {
        number: usize,
        from: Sender,
        bytes: u64,
        at: Duration,
    },
    /// One side has ended.
    End {
        number: usize,
        from: Sender,
        at: Duration,
    },
}

/// All connections of a capture.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// The port that servers have, if it was said.
    port: Option<u16>,
    open: HashMap<(SocketAddr, SocketAddr), Connection>,
    tally: Tally,
}

/// How many connections there were.
#[derive(Debug, Default)]
struct Tally {
    ours: usize,
    strangers: usize,
}

#[derive(Debug)]
struct Connection {
    client: SocketAddr,
    whose: Whose,
    /// What the client sends, and the server.
    sides: [Side; 2],
    /// Which sides have ended, and at which number.
    ends: [Option<u32>; 2],
    has_ended: [bool; 2],
    last: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Its first bytes will tell.
    Unknown,
    /// With its number, once anything was said.
    Ours(Option<usize>),
    Strangers,
}

impl Connections {
    pub(crate) fn new(port: Option<u16>) -> Connections {
        Connections { port, ..Connections::default() }
    }

    pub(crate) fn take(&mut self, segment: &Segment<'_>, tell: &mut dyn FnMut(Event<'_>)) {
        let key = key(segment.from, segment.to);
        if segment.syn && !segment.ack && self.open.get(&key).is_some_and(Connection::has_begun) {
            // The same addresses again.
            if let Some(mut before) = self.open.remove(&key) {
                before.finish(&mut self.tally, tell);
            }
        }
        if !self.open.contains_key(&key) {
            if self.open.len() >= MAX_OPEN {
                self.open.retain(|_, connection| !connection.is_over());
            }
            if self.open.len() >= MAX_OPEN || segment.rst || (segment.fin && segment.bytes.is_empty()) {
                return;
            }
            let connection = self.begin(segment);
            self.open.insert(key, connection);
        }
        let Some(connection) = self.open.get_mut(&key) else { return };
        connection.last = segment.at;
        // One that is over stays here: what is sent again after its end must not look like a new one.
        connection.take(segment, &mut self.tally, tell);
    }

    /// How many connections were not ours.
    pub(crate) fn strangers(&self) -> usize {
        self.tally.strangers
    }

    /// The capture ends: tells what is left.
    pub(crate) fn finish(&mut self, tell: &mut dyn FnMut(Event<'_>)) {
        let mut open: Vec<Connection> = self.open.drain().map(|(_, connection)| connection).collect();
        open.sort_by_key(|connection| match connection.whose {
            Whose::Ours(Some(number)) => number,
            _ => usize::MAX,
        });
        open.retain(|connection| !connection.is_over());
        open.iter_mut().for_each(|connection| connection.finish(&mut self.tally, tell));
    }

    fn begin(&self, segment: &Segment<'_>) -> Connection {
        let server_port = |address: SocketAddr| address.port() == self.port.unwrap_or(CUSTOM_PORT);
        let client = match (segment.syn, segment.ack) {
            (true, false) => segment.from,
            (true, true) => segment.to,
            // Seen from its middle on.
            _ if server_port(segment.from) => segment.to,
            _ if server_port(segment.to) => segment.from,
            _ if segment.bytes.first() == Some(&kind::HELLO) => segment.from,
            _ => {
                if segment.from.port() < segment.to.port() {
                    segment.to
                } else {
                    segment.from
                }
            }
        };
        let server = if client == segment.from { segment.to } else { segment.from };
        let whose = match self.port {
            _ if segment.is_ours || server_port(server) => Whose::Ours(None),
            Some(_) => Whose::Strangers,
            None => Whose::Unknown,
        };
        Connection {
            client,
            whose,
            sides: [Side::default(), Side::default()],
            ends: [None; 2],
            has_ended: [false; 2],
            last: segment.at,
        }
    }
}

impl Connection {
    fn has_begun(&self) -> bool {
        !self.sides.iter().all(Side::is_new)
    }

    fn sender(&self, from: SocketAddr) -> Sender {
        if from == self.client { Sender::Client } else { Sender::Server }
    }

    fn is_over(&self) -> bool {
        self.has_ended == [true; 2]
    }

    fn take(&mut self, segment: &Segment<'_>, tally: &mut Tally, tell: &mut dyn FnMut(Event<'_>)) {
        let from = self.sender(segment.from);
        let Connection { sides, whose, .. } = self;
        sides[from as usize].take(segment.seq, segment.syn, segment.bytes, &mut |piece| {
            whose.told(from, segment.at, &piece, tally, tell);
        });
        if segment.fin {
            let len = u32::try_from(segment.bytes.len()).unwrap_or(u32::MAX);
            self.ends[from as usize] = Some(segment.seq.wrapping_add(len));
        }
        if segment.rst {
            return self.finish(tally, tell);
        }
        if self.ends[from as usize].is_some_and(|end| self.sides[from as usize].is_at(end)) {
            self.end(from, tell);
        }
    }

    fn end(&mut self, from: Sender, tell: &mut dyn FnMut(Event<'_>)) {
        if let (false, Whose::Ours(Some(number))) = (self.has_ended[from as usize], self.whose) {
            tell(Event::End { number, from, at: self.last });
        }
        self.has_ended[from as usize] = true;
    }

    fn finish(&mut self, tally: &mut Tally, tell: &mut dyn FnMut(Event<'_>)) {
        for from in [Sender::Client, Sender::Server] {
            let Connection { sides, whose, last, .. } = self;
            sides[from as usize].finish(&mut |piece| whose.told(from, *last, &piece, tally, tell));
            self.end(from, tell);
        }
    }
}

impl Whose {
    /// Tells a piece of one side if the connection is ours, which its first bytes decide where nothing else did.
    fn told(
        &mut self,
        from: Sender,
        at: Duration,
        piece: &Piece<'_>,
        tally: &mut Tally,
        tell: &mut dyn FnMut(Event<'_>),
    ) {
        if let (Whose::Unknown, Piece::Bytes(bytes)) = (*self, piece) {
            *self = if begins_like_ours(from, bytes) { Whose::Ours(None) } else { Whose::Strangers };
            tally.strangers += usize::from(*self == Whose::Strangers);
        }
        let Whose::Ours(number) = self else { return };
        let number = *number.get_or_insert_with(|| {
            tally.ours += 1;
            tally.ours
        });
        match *piece {
            Piece::Bytes(bytes) => tell(Event::Bytes { number, from, bytes, at }),
            Piece::Gap(bytes) => tell(Event::Gap { number, from, bytes, at }),
        }
    }
}

/// One key for both directions.
fn key(a: SocketAddr, b: SocketAddr) -> (SocketAddr, SocketAddr) {
    if a < b { (a, b) } else { (b, a) }
}

/// A client begins with HELLO, a server with WELCOME or a refusal.
fn begins_like_ours(from: Sender, bytes: &[u8]) -> bool {
    match (from, bytes) {
        (Sender::Client, [kind::HELLO, a, b, c, d, ..]) => {
            u32::from_be_bytes([*a, *b, *c, *d]) <= FIRST_LIMIT
        }
        (Sender::Client, [kind::HELLO, ..]) => true,
        (Sender::Server, [first, ..]) => matches!(*first, kind::WELCOME | kind::ERROR | kind::BYE),
        _ => false,
    }
}

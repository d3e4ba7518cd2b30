//! The client: many connections on one thread, a poll loop, and frames.
//!
//! [`Pool`] moves bytes and answers the server's PINGs; a [`Load`] decides what is sent. After each wake-up
//! the load hears of every frame that came, then has its turn to send; what it sends to a connection leaves
//! in one write.

mod conn;
mod entrance;

use crate::Result;
use chatwire_codec::frame::{Error, Pong};
use chatwire_codec::{Event, Frame, Payload};
use conn::Conn;
pub(crate) use entrance::{Door, Guest, enter};
use mio::{Events, Interest, Poll, Token};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Bytes of one read.
const READ_BYTES: usize = 256 * 1024;
const EVENTS: usize = 1024;
/// The longest that a load waits without having its turn.
const LONGEST_NAP: Duration = Duration::from_millis(200);

/// What is done with the connections of a pool.
pub(crate) trait Load {
    /// A frame has come, other than PING, BYE and ERROR.
    fn frame(&mut self, conn: usize, frame: &Frame<'_>, now: Instant) -> Result<()>;

    /// An ERROR has come: by default it ends the repetition.
    fn error(&mut self, _conn: usize, error: &Error<'_>) -> Result<()> {
        Err(format!("the server answers ERROR {}: {}", error.code, error.said.text).into())
    }

    /// All that has come was told; now send. Also called at least every [`LONGEST_NAP`].
    fn turn(&mut self, out: &mut Out<'_>, now: Instant) -> Result<()>;

    /// When it is to have its turn although nothing has come. The system may be a millisecond late.
    fn wake(&self) -> Option<Instant> {
        None
    }

    /// Whether there is nothing left to wait for.
    fn is_done(&self) -> bool;
}

/// Connections, by their numbers from 0.
pub(crate) struct Pool {
    addr: SocketAddr,
    poll: Poll,
    conns: Vec<Conn>,
    buffer: Vec<u8>,
    /// Those that have something to write.
    dirty: Vec<usize>,
}

/// Where a load writes.
pub(crate) struct Out<'a> {
    conns: &'a mut [Conn],
    dirty: &'a mut Vec<usize>,
}

impl Out<'_> {
    pub(crate) fn put<'a>(&mut self, conn: usize, frame: &impl Payload<'a>) -> Result<()> {
        frame.encode(self.to(conn))?;
        Ok(())
    }

    /// Where frames to this connection are appended.
    pub(crate) fn to(&mut self, conn: usize) -> &mut Vec<u8> {
        let found = &mut self.conns[conn];
        if !found.is_dirty {
            found.is_dirty = true;
            self.dirty.push(conn);
        }
        &mut found.out
    }
}

impl Pool {
    pub(crate) fn new(addr: SocketAddr) -> Result<Pool> {
        let poll = Poll::new()?;
        Ok(Pool { addr, poll, conns: Vec::new(), buffer: vec![0; READ_BYTES], dirty: Vec::new() })
    }

    /// One more connection; gives its number.
    pub(crate) fn connect(&mut self) -> Result<usize> {
        let mut conn = Conn::open(self.addr)?;
        let number = self.conns.len();
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut conn.stream, Token(number), both)?;
        self.conns.push(conn);
        Ok(number)
    }

    /// Goes on until the load is done, which is `true`, or until that moment, which is `false`.
    pub(crate) fn run(&mut self, until: Instant, load: &mut impl Load) -> Result<bool> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let now = Instant::now();
            load.turn(&mut Out { conns: &mut self.conns, dirty: &mut self.dirty }, now)?;
            self.flush()?;
            if load.is_done() {
                return Ok(true);
            }
            if now >= until {
                return Ok(false);
            }
            let wake = load.wake().map_or(until, |wake| wake.min(until));
            let nap = wake.saturating_duration_since(now).min(LONGEST_NAP);
            match self.poll.poll(&mut events, Some(nap)) {
                Err(e) if e.kind() != std::io::ErrorKind::Interrupted => return Err(e.into()),
                _ => {}
            }
            for event in &events {
                let Token(number) = event.token();
                if event.is_readable() || event.is_read_closed() {
                    self.read(number, load)?;
                }
                if event.is_writable() {
                    self.conns[number].write()?;
                }
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        for number in self.dirty.drain(..) {
            let conn = &mut self.conns[number];
            conn.is_dirty = false;
            conn.write()?;
        }
        Ok(())
    }

    fn read(&mut self, number: usize, load: &mut impl Load) -> Result<()> {
        let Pool { conns, buffer, dirty, .. } = self;
        let Conn { stream, input, decoder, out, is_dirty, .. } = &mut conns[number];
        conn::read_all(stream, buffer, input, |bytes| {
            let now = Instant::now();
            while let Some(event) = decoder.next(bytes)? {
                match event {
                    Event::Frame(Frame::Ping(ping)) => {
                        Pong { bytes: ping.bytes }.encode(out)?;
                        if !*is_dirty {
                            *is_dirty = true;
                            dirty.push(number);
                        }
                    }
                    Event::Frame(Frame::Error(error)) => load.error(number, &error)?,
                    Event::Frame(Frame::Bye(bye)) => {
                        return Err(format!("the server says BYE {}: {}", bye.code, bye.reason).into());
                    }
                    Event::Frame(frame) => load.frame(number, &frame, now)?,
                    other => return Err(format!("not expected here: {other:?}").into()),
                }
            }
            Ok(())
        })
    }
}

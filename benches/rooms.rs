//! Two things that people wait for: entering a large room, and coming back to many chats.
//!
//! `cargo bench --bench rooms` starts a server process. Into one of its rooms come 5,000 guests, who stay connected. Then
//! somebody enters it, and asks who is there: the time of JOIN, of the first page of PARTICIPANTS, and of all 25 pages, one
//! after the other, each as the client sees it, over loopback; and the server's processor time for all of it.
//!
//! Then a user who is in 200 rooms comes back to them, in each of which something was said meanwhile: HELLO and 200 SYNCs in
//! one write, up to the last message of the last room. Once directly, and once over a line with a latency, which a thread of
//! the bench makes: what the second takes longer, in round trips, is what the protocol costs beyond the data. The line is as
//! broad as loopback is, so what a narrow one does with the data is not shown.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a bench"
)]

mod support;

use chatwire_codec::frame::{
    From_, Hello, Join, Joined, Leave, ParticipantList, Participants, Sync, Text, To, Welcome, kind,
};
use chatwire_codec::{Payload, header};
use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use support::{Server, median};

const MEMBERS: usize = 5_000;
const ROOM: &str = "large";
/// Entered and left again so often.
const ENTRANCES: usize = 100;
/// What is said of JOIN and PARTICIPANTS, in milliseconds.
const LIMIT_MS: f64 = 10.0;
const ROOMS: usize = 200;
const MESSAGES_EACH: usize = 10;
const TEXT_BYTES: usize = 128;
const RETURNS: usize = 15;
/// From one end of the line to the other and back.
const ROUND_TRIP: Duration = Duration::from_millis(100);

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // A descriptor for each connection at either end; the server raises its own.
    rlimit::increase_nofile_limit(MEMBERS as u64 + 1_000).unwrap();
    let server = Server::start(folder.path(), "warn");
    enter_a_large_room(&server);
    come_back(&server);
}

/// One connection.
struct Peer {
    output: TcpStream,
    input: BufReader<TcpStream>,
    req: u32,
}

impl Peer {
    fn connect(address: SocketAddr) -> Peer {
        let output = TcpStream::connect(address).unwrap();
        output.set_nodelay(true).unwrap();
        // Small, since there are thousands of them.
        let input = BufReader::with_capacity(4096, output.try_clone().unwrap());
        Peer { output, input, req: 0 }
    }

    fn send<'a>(&mut self, frame: &impl Payload<'a>) {
        self.output.write_all(&bytes_of(frame)).unwrap();
    }

    fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 5];
        self.input.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes(head[1..].try_into().unwrap()) as usize];
        self.input.read_exact(&mut payload).unwrap();
        assert_ne!(head[0], kind::ERROR, "{}", String::from_utf8_lossy(&payload));
        (head[0], payload)
    }

    /// The next frame of this type; events may come before it.
    fn wait_for(&mut self, wanted: u8) -> Vec<u8> {
        loop {
            let (kind, payload) = self.frame();
            if kind == wanted {
                return payload;
            }
            assert!((0x70..0x80).contains(&kind), "a frame of type {kind:#04x}");
        }
    }

    fn req(&mut self) -> u32 {
        self.req += 1;
        self.req
    }

    fn hello(address: SocketAddr, hello: &Hello<'_>) -> (Peer, Vec<u8>) {
        let mut peer = Peer::connect(address);
        peer.send(&Hello { version: 1, timezone: "UTC", ..hello.clone() });
        let welcome = peer.wait_for(kind::WELCOME);
        (peer, welcome)
    }

    fn guest(server: &Server) -> Peer {
        Peer::hello(server.address, &Hello::default()).0
    }

    fn join(&mut self, room: &str) -> u64 {
        let req = self.req();
        self.send(&Join { req, room, flags: 1 });
        Joined::parse(&self.wait_for(kind::JOINED)).unwrap().chat
    }

    fn leave(&mut self, chat: u64) {
        let req = self.req();
        self.send(&Leave { req, chat });
        self.wait_for(kind::LEFT);
    }

    /// A page of who is there: how many, and where the next begins.
    fn participants(&mut self, chat: u64, after: u64) -> (usize, Option<u64>) {
        let req = self.req();
        self.send(&Participants { req, chat, after, ..Participants::default() });
        let payload = self.wait_for(kind::PARTICIPANT_LIST);
        let list = ParticipantList::parse(&payload).unwrap();
        let next = list.participants.last().filter(|_| list.more == 1).map(|last| last.user);
        (list.participants.len(), next)
    }
}

fn bytes_of<'a>(frame: &impl Payload<'a>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes).unwrap();
    bytes
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn enter_a_large_room(server: &Server) {
    let members: Vec<Peer> = (0..MEMBERS)
        .map(|_| {
            let mut member = Peer::guest(server);
            member.join(ROOM);
            member
        })
        .collect();
    let mut somebody = Peer::guest(server);
    let (mut join, mut page, mut all, mut both) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let cpu = server.cpu();
    for _ in 0..ENTRANCES {
        let began = Instant::now();
        let chat = somebody.join(ROOM);
        join.push(ms(began));
        let asked = Instant::now();
        let (mut count, mut next) = somebody.participants(chat, 0);
        page.push(ms(asked));
        both.push(ms(began));
        while let Some(after) = next {
            let (more, behind) = somebody.participants(chat, after);
            (count, next) = (count + more, behind);
        }
        all.push(ms(began));
        assert_eq!(count, MEMBERS + 1);
        somebody.leave(chat);
    }
    let cpu = (server.cpu() - cpu) * 1e3 / ENTRANCES as f64;
    println!("a room of {} members that are online; {ENTRANCES} times:", members.len());
    show("JOIN", &join, None);
    show("the first 200 of PARTICIPANTS", &page, None);
    show("both", &both, Some(LIMIT_MS));
    show("JOIN and all 26 pages", &all, Some(LIMIT_MS));
    println!("  the server's processor time for all of that, and LEAVE: {cpu:.2} ms");
}

fn show(what: &str, times: &[f64], limit: Option<f64>) {
    let longest = times.iter().copied().fold(0.0, f64::max);
    let median = median(times.to_vec());
    let verdict = limit.filter(|limit| median > *limit).map_or("", |_| " — over the limit");
    println!("  {what}: median {median:.2} ms, longest {longest:.2} ms{verdict}");
}

fn come_back(server: &Server) {
    let register = Hello { user: "Aya", auth: 3, secret: "correct horse", ..Hello::default() };
    let (mut aya, welcome) = Peer::hello(server.address, &register);
    let token = Welcome::parse(&welcome).unwrap().token.to_owned();
    let mut writer = Peer::guest(server);
    let rooms: Vec<u64> = (0..ROOMS)
        .map(|number| {
            let room = format!("room {number}");
            aya.join(&room);
            writer.join(&room)
        })
        .collect();
    drop(aya);
    for (chat, _) in rooms.iter().flat_map(|chat| (0..MESSAGES_EACH).map(move |n| (chat, n))) {
        let text = "x".repeat(TEXT_BYTES);
        let to = bytes_of(&To { chat: *chat, ..To::default() });
        writer.output.write_all(&[to, bytes_of(&Text { text: &text })].concat()).unwrap();
        writer.wait_for(kind::STATUS);
    }
    let far = line(server.address, ROUND_TRIP / 2);
    let (mut directly, mut over_the_line) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..RETURNS {
        bytes = sync_all(server.address, &token, &rooms, &mut directly);
        sync_all(far, &token, &rooms, &mut over_the_line);
    }
    println!("back in {ROOMS} rooms with {MESSAGES_EACH} new messages each, {bytes} bytes; {RETURNS} times:");
    show("directly", &directly, None);
    show(&format!("over a line with a round trip of {ROUND_TRIP:?}"), &over_the_line, None);
    let trips = (median(over_the_line) - median(directly)) / (ROUND_TRIP.as_secs_f64() * 1e3);
    println!("  that is {trips:.2} round trips beyond the data");
}

/// HELLO and all SYNCs at once, up to the last message.
fn sync_all(address: SocketAddr, token: &str, rooms: &[u64], times: &mut Vec<f64>) -> usize {
    let hello = Hello { version: 1, timezone: "UTC", auth: 2, secret: token, flags: 1, ..Hello::default() };
    let mut out = bytes_of(&hello);
    for (req, chat) in (1..).zip(rooms) {
        out.extend(bytes_of(&Sync { req, chat: *chat, after: 0 }));
    }
    let mut peer = Peer::connect(address);
    let began = Instant::now();
    peer.output.write_all(&out).unwrap();
    let (mut synced, mut missing, mut bytes) = (0, rooms.len() * MESSAGES_EACH, 0);
    let mut last: HashMap<u64, u64> = HashMap::new();
    while synced < rooms.len() || missing > 0 {
        let (kind, payload) = peer.frame();
        bytes += header(kind, 0).len() + payload.len();
        match kind {
            kind::SYNCED => synced += 1,
            kind::FROM => {
                let from = From_::parse(&payload).unwrap();
                let seq = last.entry(from.chat).or_default();
                *seq += 1;
                assert_eq!(from.seq, *seq);
                missing -= 1;
            }
            _ => {}
        }
    }
    times.push(ms(began));
    bytes
}

/// A door that leads to this one, and each byte takes so long, either way.
fn line(to: SocketAddr, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for near in listener.incoming() {
            let (near, far) = (near.unwrap(), TcpStream::connect(to).unwrap());
            carry(near.try_clone().unwrap(), far.try_clone().unwrap(), delay);
            carry(far, near, delay);
        }
    });
    address
}

fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    from.set_nodelay(true).unwrap();
    let (sender, pieces) = channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + delay, buffer[..n].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, piece) in pieces {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                return;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

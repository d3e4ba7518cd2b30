//! A scripted server's end: it says what the test says, and sees the raw frames that come.
#![allow(missing_docs, dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::expect_used, reason = "a test may fail loudly")]

use chatwire_client::{Client, Events, Options};
use chatwire_codec::frame::{Hello, Status, Text, To, Welcome};
use chatwire_codec::{Frame, HEADER_LEN, Payload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const ME: u64 = 20;
pub const HOME: u64 = 70;

/// The server's end of one connection.
pub struct Peer {
    pub socket: TcpStream,
}

/// A frame as it came.
#[derive(Debug)]
pub struct Raw {
    pub kind: u8,
    pub payload: Vec<u8>,
}

impl Raw {
    pub fn parse<'a, P: Payload<'a>>(&'a self) -> P {
        assert_eq!(self.kind, P::KIND, "{self:?}");
        P::parse(&self.payload).expect("a valid frame")
    }
}

impl Peer {
    pub async fn send(&mut self, frames: &[Frame<'_>]) {
        let mut bytes = Vec::new();
        for frame in frames {
            frame.encode(&mut bytes).expect("a short frame");
        }
        self.socket.write_all(&bytes).await.expect("the client reads");
    }

    pub async fn next(&mut self) -> Raw {
        let mut head = [0; HEADER_LEN];
        self.socket.read_exact(&mut head).await.expect("a frame");
        let [kind, size @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes(size) as usize];
        self.socket.read_exact(&mut payload).await.expect("a whole frame");
        Raw { kind, payload }
    }

    /// The next message: its nonce and its text.
    pub async fn next_text(&mut self) -> (u64, String) {
        let nonce = self.next().await.parse::<To<'_>>().nonce;
        (nonce, self.next().await.parse::<Text<'_>>().text.to_owned())
    }

    pub async fn confirm(&mut self, nonce: u64, seq: u64) {
        self.send(&[Status { nonce, chat: HOME, seq, at: 1, duplicate: 0 }.into()]).await;
    }

    /// Whether the client has ended its side, and left nothing unread.
    pub async fn at_end(&mut self) -> bool {
        self.socket.read(&mut [0]).await.is_ok_and(|read| read == 0)
    }
}

pub fn welcome() -> Welcome<'static> {
    Welcome {
        version: 1,
        user: ME,
        session: 1,
        at: 0,
        epoch: 5,
        heartbeat: 30,
        max_text: 1000,
        max_media: 10_000_000,
        home: HOME,
        user_name: "ann",
        token: "t0ken",
        inline_limit: 0,
    }
}

/// A listener, and its address.
pub async fn listen() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

pub async fn accept(listener: &TcpListener) -> Peer {
    Peer { socket: listener.accept().await.expect("a client").0 }
}

/// A client and its server, past WELCOME.
pub async fn connected() -> (Client, Events, Peer) {
    let (listener, addr) = listen().await;
    let greet = async {
        let mut peer = accept(&listener).await;
        assert_eq!(peer.next().await.parse::<Hello<'_>>().timezone, "UTC");
        peer.send(&[welcome().into()]).await;
        peer
    };
    let (connected, peer) = tokio::join!(Client::connect(addr, Options::default()), greet);
    let (client, events) = connected.expect("welcome");
    (client, events, peer)
}

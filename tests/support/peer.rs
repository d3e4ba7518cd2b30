//! A client that says what the test says, and sees every frame that comes.

use super::{NOTHING, PATIENCE, Server};
use chatwire_codec::frame::*;
use chatwire_codec::{Code, Frame, HEADER_LEN, Payload, header};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// The zone that all are in, unless the test says otherwise.
const ZONE: &str = "Asia/Tokyo";

/// One connection. Whatever it reads lives as long as the test, so that frames need no copies.
pub struct Peer {
    socket: TcpStream,
    input: BufReader<TcpStream>,
    welcome: Option<Welcome<'static>>,
    req: u32,
    /// Whether it looks past MEMBER.
    skips_members: bool,
    /// Whether it looks at PRESENCE: in most tests it is no matter who comes and goes.
    sees_presence: bool,
}

/// FROM and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub from: From_<'static>,
    pub content: Frame<'static>,
}

impl Message {
    #[track_caller]
    pub fn text(&self) -> &'static str {
        match &self.content {
            Frame::Text(text) => text.text,
            other => panic!("not a TEXT: {other:?}"),
        }
    }

    #[track_caller]
    pub fn media(&self) -> &Media<'static> {
        match &self.content {
            Frame::Media(media) => media,
            other => panic!("not a MEDIA: {other:?}"),
        }
    }
}

/// A frame as it goes over the wire.
pub fn bytes_of<'a>(frame: impl Into<Frame<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.into().encode(&mut bytes).expect("a frame that fits");
    bytes
}

/// A frame of any type with any payload.
pub fn raw(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("a size");
    [&header(kind, size)[..], payload].concat()
}

/// Coming in.
impl Peer {
    /// A connection that has said nothing.
    pub fn connect(server: &Server) -> Peer {
        Peer::on(TcpStream::connect(server.address()).expect("a connection"))
    }

    pub fn on(socket: TcpStream) -> Peer {
        socket.set_nodelay(true).expect("no delay");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        socket.set_write_timeout(Some(PATIENCE)).expect("a time limit");
        let input = BufReader::with_capacity(64 * 1024, socket.try_clone().expect("another handle"));
        Peer { socket, input, welcome: None, req: 1_000_000, skips_members: false, sees_presence: false }
    }

    /// Looks past MEMBER: who comes and goes is no matter here.
    pub fn without_members(mut self) -> Peer {
        self.skips_members = true;
        self
    }

    /// Looks at PRESENCE.
    pub fn with_presence(mut self) -> Peer {
        self.sees_presence = true;
        self
    }

    /// A guest.
    #[track_caller]
    pub fn guest(server: &Server) -> Peer {
        Peer::hello(server, Hello::default())
    }

    /// A guest of that name.
    #[track_caller]
    pub fn named(server: &Server, name: &str) -> Peer {
        Peer::hello(server, Hello { user: name, ..Hello::default() })
    }

    /// With this HELLO, which is welcome. Version and zone are filled in where they are missing.
    #[track_caller]
    pub fn hello(server: &Server, hello: Hello<'_>) -> Peer {
        let mut peer = Peer::connect(server);
        peer.send_hello(hello);
        peer.expect_welcome();
        peer
    }

    /// Another connection of the same user, from the same device. The token must be from this connection.
    #[track_caller]
    pub fn again(&self, server: &Server) -> Peer {
        self.again_with(server, Hello::default())
    }

    #[track_caller]
    pub fn again_with(&self, server: &Server, hello: Hello<'_>) -> Peer {
        let mut peer = Peer::hello(server, Hello { auth: 2, secret: self.me().token, ..hello });
        // A login by token brings no token.
        peer.welcome = peer.welcome.map(|welcome| Welcome { token: self.me().token, ..welcome });
        peer
    }

    pub fn send_hello(&mut self, hello: Hello<'_>) {
        self.send(Peer::filled(hello));
    }

    pub fn filled(hello: Hello<'_>) -> Hello<'_> {
        let version = if hello.version == 0 { 1 } else { hello.version };
        let timezone = if hello.timezone.is_empty() { ZONE } else { hello.timezone };
        Hello { version, timezone, ..hello }
    }

    #[track_caller]
    pub fn expect_welcome(&mut self) -> Welcome<'static> {
        let welcome: Welcome<'static> = self.expect();
        self.welcome = Some(welcome.clone());
        welcome
    }

    /// What WELCOME said.
    #[track_caller]
    pub fn me(&self) -> &Welcome<'static> {
        self.welcome.as_ref().expect("a connection that is welcome")
    }
}

/// Sending.
impl Peer {
    #[track_caller]
    pub fn send<'a>(&mut self, frame: impl Into<Frame<'a>>) {
        self.send_bytes(&bytes_of(frame));
    }

    #[track_caller]
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the server reads");
    }

    /// As [`Peer::send_bytes`], to a server that may be gone.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    pub fn text(&mut self, text: &str) {
        self.send(Text { text });
    }

    /// TO and a text.
    pub fn text_to(&mut self, to: To<'_>, text: &str) {
        self.send_bytes(&[bytes_of(to), bytes_of(Text { text })].concat());
    }

    /// TO and a body of type VOICE to FILE.
    pub fn body_to(&mut self, to: To<'_>, kind: u8, body: &[u8]) {
        self.send_bytes(&[bytes_of(to), raw(kind, body)].concat());
    }

    /// Ends the sending side.
    pub fn finish_sending(&mut self) {
        self.socket.shutdown(Shutdown::Write).expect("a connection");
    }

    /// Another handle, to send from another thread.
    pub fn sender(&self) -> TcpStream {
        self.socket.try_clone().expect("another handle")
    }
}

/// Expecting.
impl Peer {
    /// The next frame's type and payload, or `None` at the connection's end.
    #[track_caller]
    pub fn next_raw(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; HEADER_LEN];
        match self.input.read_exact(&mut head) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return None;
            }
            Err(e) => panic!("no frame came: {e}"),
        }
        let [kind, size @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes(size) as usize];
        match self.input.read_exact(&mut payload) {
            Ok(()) if kind == kind::MEMBER && self.skips_members => self.next_raw(),
            Ok(()) if kind == kind::PRESENCE && !self.sees_presence => self.next_raw(),
            Ok(()) => Some((kind, payload)),
            Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => None,
            Err(e) => panic!("a frame of type {kind:#04x} did not come whole: {e}"),
        }
    }

    /// The next frame, or `None` at the connection's end.
    #[track_caller]
    pub fn poll(&mut self) -> Option<Frame<'static>> {
        let (kind, payload) = self.next_raw()?;
        let payload: &'static [u8] = payload.leak();
        Some(Frame::parse(kind, payload).unwrap_or_else(|e| panic!("a bad frame came: {e}")))
    }

    #[track_caller]
    pub fn next(&mut self) -> Frame<'static> {
        self.poll().expect("a frame, not the end")
    }

    #[track_caller]
    pub fn expect<T: Payload<'static>>(&mut self) -> T {
        let (kind, payload) = self.next_raw().expect("a frame, not the end");
        let payload: &'static [u8] = payload.leak();
        assert_eq!(kind, T::KIND, "another frame came: {:?}", Frame::parse(kind, payload));
        T::parse(payload).unwrap_or_else(|e| panic!("a bad frame came: {e}"))
    }

    #[track_caller]
    pub fn next_message(&mut self) -> Message {
        let from = self.expect();
        Message { from, content: self.next() }
    }

    /// The next message's text, which must be one.
    #[track_caller]
    pub fn next_text(&mut self) -> &'static str {
        self.next_message().text()
    }

    #[track_caller]
    pub fn expect_status(&mut self, nonce: u64) -> Status {
        let status: Status = self.expect();
        assert_eq!(status.nonce, nonce, "{status:?}");
        status
    }

    #[track_caller]
    pub fn expect_error(&mut self, code: Code, reference: u64, about: u8) -> Error<'static> {
        let error: Error<'static> = self.expect();
        assert_eq!((error.code, error.ref_, error.about), (code as u16, reference, about), "{error:?}");
        assert!(!error.said.text.is_empty() && error.said.voice.is_empty(), "{error:?}");
        error
    }

    /// An ERROR that ends the connection.
    #[track_caller]
    pub fn expect_fatal(&mut self, code: Code, about: u8) -> Error<'static> {
        let error = self.expect_error(code, 0, about);
        self.expect_end();
        error
    }

    #[track_caller]
    pub fn expect_bye(&mut self, code: u16) {
        let bye: Bye<'static> = self.expect();
        assert_eq!(bye.code, code, "{bye:?}");
        self.expect_end();
    }

    #[track_caller]
    pub fn expect_end(&mut self) {
        if let Some(frame) = self.poll() {
            panic!("not the end, but {frame:?}");
        }
    }

    /// Nothing is on its way to this connection: neither from what was committed before, nor in its queue.
    ///
    /// Not by PING, whose answer goes ahead of what waits, but by a request that is refused where commits
    /// are handed out.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        let req = self.req();
        self.send(Leave { req, chat: u64::MAX });
        self.expect_error(Code::NotFound, req.into(), kind::LEAVE);
    }
}

impl Peer {
    /// As [`Peer::expect_nothing`], but that these frames may come, of which each is seen.
    #[track_caller]
    pub fn expect_nothing_but(
        &mut self,
        may_come: impl Fn(&Frame<'static>) -> bool,
        mut sees: impl FnMut(&Frame<'static>),
    ) {
        let req = self.req();
        self.send(Leave { req, chat: u64::MAX });
        loop {
            match self.next() {
                Frame::Error(error) => return assert_eq!(error.ref_, u64::from(req), "{error:?}"),
                frame if may_come(&frame) => sees(&frame),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Requests whose answer is the next frame.
impl Peer {
    pub fn req(&mut self) -> u32 {
        self.req += 1;
        self.req
    }

    #[track_caller]
    pub fn join(&mut self, room: &str) -> Joined<'static> {
        let req = self.req();
        self.send(Join { req, room, flags: 0 });
        let joined: Joined<'static> = self.expect();
        assert_eq!(joined.req, req);
        joined
    }

    /// JOIN without leaving the current room.
    #[track_caller]
    pub fn join_too(&mut self, room: &str) -> Joined<'static> {
        let req = self.req();
        self.send(Join { req, room, flags: 1 });
        let joined: Joined<'static> = self.expect();
        assert_eq!(joined.req, req);
        joined
    }

    #[track_caller]
    pub fn leave(&mut self, chat: u64) -> Left<'static> {
        let req = self.req();
        self.send(Leave { req, chat });
        let left: Left<'static> = self.expect();
        assert_eq!(left.req, req);
        left
    }

    /// Sends a text and takes its STATUS.
    #[track_caller]
    pub fn say(&mut self, to: To<'_>, text: &str) -> Status {
        let nonce = to.nonce;
        self.text_to(to, text);
        self.expect_status(nonce)
    }

    #[track_caller]
    pub fn sync(&mut self, chat: u64, after: u64) -> Synced {
        let req = self.req();
        self.send(Sync { req, chat, after });
        let synced: Synced = self.expect();
        assert_eq!((synced.req, synced.chat), (req, chat));
        synced
    }

    #[track_caller]
    pub fn history(&mut self, wanted: History) -> (HistoryPage, Vec<Message>) {
        let req = self.req();
        self.send(History { req, ..wanted });
        let page: HistoryPage = self.expect();
        assert_eq!((page.req, page.chat), (req, wanted.chat));
        let messages = (0..page.count).map(|_| self.next_message()).collect();
        (page, messages)
    }

    /// SEARCH: whether there is more, and the messages.
    #[track_caller]
    pub fn search(&mut self, wanted: Search<'_>) -> (bool, Vec<Message>) {
        let req = self.req();
        self.send(Search { req, ..wanted });
        let page: SearchPage = self.expect();
        assert_eq!(page.req, req);
        (page.more == 1, (0..page.count).map(|_| self.next_message()).collect())
    }

    #[track_caller]
    pub fn participants(&mut self, chat: u64) -> Vec<&'static str> {
        let req = self.req();
        self.send(Participants { req, chat, ..Participants::default() });
        let list: ParticipantList<'static> = self.expect();
        assert_eq!((list.req, list.more), (req, 0));
        list.participants.iter().map(|item| item.user_name).collect()
    }

    /// Makes a group.
    #[track_caller]
    pub fn create(&mut self, title: &str) -> u64 {
        let req = self.req();
        self.send(Create { req, title });
        let created: Created = self.expect();
        assert_eq!(created.req, req);
        created.chat
    }

    #[track_caller]
    pub fn invite(&mut self, chat: u64, user: &str) -> u64 {
        let req = self.req();
        self.send(Invite { req, chat, user });
        let invited: Invited = self.expect();
        assert_eq!(invited.req, req);
        invited.user
    }

    #[track_caller]
    pub fn remove(&mut self, chat: u64, user: &str) -> u64 {
        let req = self.req();
        self.send(Remove { req, chat, user });
        let removed: Removed = self.expect();
        assert_eq!(removed.req, req);
        removed.user
    }

    /// READ; what holds now.
    #[track_caller]
    pub fn read(&mut self, chat: u64, seq: u64) -> u64 {
        let req = self.req();
        self.send(chatwire_codec::frame::Read { req, chat, seq });
        let read: ReadUpTo = self.expect();
        assert_eq!((read.req, read.chat), (req, chat));
        read.seq
    }

    /// The user's chats: id, kind, title, newest message, read position.
    #[track_caller]
    pub fn chats(&mut self) -> Vec<(u64, u8, &'static str, u64, u64)> {
        let req = self.req();
        self.send(Chats { req, ..Chats::default() });
        let list: ChatList<'static> = self.expect();
        assert_eq!((list.req, list.more), (req, 0));
        list.chats.iter().map(|c| (c.chat, c.chat_kind, c.title, c.last_seq, c.read_seq)).collect()
    }

    /// A request that is refused.
    #[track_caller]
    pub fn refused<'a>(&mut self, request: impl Into<Frame<'a>>, code: Code, req: u32) {
        let request = request.into();
        let about = request.kind();
        self.send(request);
        self.expect_error(code, req.into(), about);
    }

    #[track_caller]
    pub fn expect_member(&mut self, chat: u64, change: u8, name: &str) {
        let member: Member<'_> = self.expect();
        assert_eq!((member.chat, member.change, member.user_name), (chat, change, name));
        assert!(member.user > 1 && member.at > 0);
    }

    /// All of a piece of media.
    #[track_caller]
    pub fn fetch(&mut self, media: [u8; 32]) -> (FetchReady<'static>, Vec<u8>) {
        let req = self.req();
        self.send(Fetch { req, media, ..Fetch::default() });
        let ready: FetchReady<'static> = self.expect();
        assert_eq!(ready.req, req);
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < ready.size {
            let chunk: Chunk<'static> = self.expect();
            assert_eq!((chunk.transfer, chunk.offset), (req, bytes.len() as u64));
            bytes.extend_from_slice(chunk.bytes);
        }
        (ready, bytes)
    }

    /// The server answers.
    #[track_caller]
    pub fn ping(&mut self) {
        self.send(Ping { bytes: b"are you there?" });
        assert_eq!(self.expect::<Pong<'static>>().bytes, b"are you there?");
    }

    /// Ends the connection in the good way.
    #[track_caller]
    pub fn bye(mut self) {
        self.send(Bye::default());
        self.expect_bye(0);
    }

    /// The ERROR that a server sends where there is no place.
    #[track_caller]
    pub fn expect_busy(&mut self) -> Error<'static> {
        self.expect_fatal(Code::Busy, NOTHING)
    }
}

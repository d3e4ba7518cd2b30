//! The door over TLS: what it serves, whom clients take for the server, and who does not get through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use chatwire_client::{
    Client, Content, Download, Error as ClientError, Event, Login, Options, Outgoing, OutgoingFile,
};
use chatwire_client::{Target, Tls, TlsProblem};
use chatwire_codec::{Decoder, Event as Decoded, Limits};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::*;
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A folder with cert.pem and key.pem.
struct Pair(TempDir);

impl Pair {
    /// As the operator makes one.
    fn made(names: &[&str]) -> Pair {
        let folder = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chatwire"));
        let made =
            command.env_clear().arg("cert").arg("--out").arg(folder.path()).args(names).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Pair(folder)
    }

    /// For localhost, good between two days of January in these years.
    fn between(years: [i32; 2]) -> Pair {
        let folder = tempfile::tempdir().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years[0], 1, 1);
        params.not_after = rcgen::date_time_ymd(years[1], 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(folder.path().join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        Pair(folder)
    }

    fn cert(&self) -> PathBuf {
        self.0.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }

    fn server(&self, set: &[(&str, &str)]) -> Server {
        let (cert, key) = (self.cert().display().to_string(), self.key().display().to_string());
        let tls = [("listen.tls", "127.0.0.1:0"), ("tls.cert", &*cert), ("tls.key", &*key)];
        Server::with(&[&tls, set].concat())
    }

    /// Gives its files to another pair.
    fn replace(&self, by: &Pair) {
        for (to, from) in [(self.cert(), by.cert()), (self.key(), by.key())] {
            std::fs::copy(from, to).unwrap();
        }
    }
}

fn localhost() -> Pair {
    Pair::made(&["localhost", "127.0.0.1"])
}

/// What a client says of itself that trusts this file's certificates.
fn trusting(ca: &Path) -> Options {
    Options { tls: Some(Tls::with_ca(ca).unwrap()), ..Options::default() }
}

fn at(host: &str, server: &Server) -> String {
    format!("{host}:{}", server.tls_address().port())
}

/// A client's side of TLS, by hand.
struct Raw(StreamOwned<ClientConnection, TcpStream>);

impl Raw {
    fn connect(address: SocketAddr, ca: &Path, alpn: &[&[u8]]) -> Raw {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Raw(StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket))
    }

    /// A guest, welcome.
    fn guest(server: &Server, ca: &Path) -> Raw {
        let mut raw = Raw::connect(server.tls_address(), ca, &[b"chatwire/1"]);
        raw.0.write_all(&bytes_of(Peer::filled(Hello::default()))).unwrap();
        assert_eq!(raw.next().0, kind::WELCOME);
        raw
    }

    /// The next frame's type and payload, that is no PRESENCE.
    fn next(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; HEADER_LEN];
        self.0.read_exact(&mut head).unwrap();
        let [kind, size @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes(size) as usize];
        self.0.read_exact(&mut payload).unwrap();
        if kind == kind::PRESENCE { self.next() } else { (kind, payload) }
    }
}

/// An address of this machine by which others could reach it, if it has one.
fn outer_address() -> Option<IpAddr> {
    // Nothing is sent: the system only says which address it would send from.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket
        .local_addr()
        .ok()
        .map(|address| address.ip())
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[tokio::test]
async fn what_works_over_tcp_works_over_tls() {
    let pair = localhost();
    let server = pair.server(&[]);
    let login = Login::Register("secret".into());
    let options = Options { name: "ann".into(), login, ..trusting(&pair.cert()) };
    let (ann, mut news) = Client::connect(at("localhost", &server), options).await.unwrap();
    let (bob, _) = Client::connect(server.address(), Options { name: "bob".into(), ..Options::default() })
        .await
        .unwrap();
    let chat = ann.join("harbour").await.unwrap().chat;
    bob.join("harbour").await.unwrap();
    let text = "a".repeat(60_000);
    bob.send(Outgoing::text(Target::Chat(chat), text.clone())).await.unwrap();
    loop {
        if let Some(Event::Message(message)) = news.next().await {
            assert_eq!(message.content, Content::Text(text));
            break;
        }
    }
    // More than any buffer on the way holds.
    let bytes = random::Random::new().bytes(9 << 20);
    let folder = tempfile::tempdir().unwrap();
    let (there, back) = (folder.path().join("there"), folder.path().join("back"));
    std::fs::write(&there, &bytes).unwrap();
    ann.send_file(OutgoingFile::new(Target::Chat(chat), there), |_, _| {}).await.unwrap();
    let page = ann.history(chat, 0, 1).await.unwrap();
    let Content::Media(media) = &page.messages[0].content else { panic!("{page:?}") };
    ann.fetch(Download::new(media.media, &back), |_, _| {}).await.unwrap();
    assert!(std::fs::read(back).unwrap() == bytes);
    ann.bye().await.unwrap();
    bob.bye().await.unwrap();
}

#[test]
fn secrets_are_taken_over_tls_from_other_machines_and_in_the_clear_they_are_not() {
    let Some(outer) = outer_address() else { return };
    let pair = localhost();
    let door = format!("{outer}:0");
    let server = pair.server(&[("listen.tcp", &*door), ("listen.tls", &*door)]);
    let register = Hello { user: "ann", auth: 3, secret: "secret", ..Hello::default() };
    let mut clear = Peer::connect(&server);
    clear.send_hello(register.clone());
    clear.expect_fatal(Code::Unauthenticated, kind::HELLO);
    let mut raw = Raw::connect(server.tls_address(), &pair.cert(), &[b"chatwire/1"]);
    raw.0.write_all(&bytes_of(Peer::filled(register))).unwrap();
    assert_eq!(raw.next().0, kind::WELCOME);
}

#[tokio::test]
async fn a_client_takes_nobody_else_for_the_server() {
    let (pair, other) = (localhost(), Pair::made(&["chat.example.org", "192.0.2.1"]));
    let (past, future) = (Pair::between([2020, 2021]), Pair::between([4000, 4001]));
    let names = || vec!["chat.example.org".to_owned(), "192.0.2.1".to_owned()];
    for (pair, ca, host, want) in [
        (&pair, &other, "localhost", TlsProblem::UnknownIssuer),
        (&other, &other, "localhost", TlsProblem::OtherName { wanted: "localhost".into(), names: names() }),
        (&other, &other, "127.0.0.1", TlsProblem::OtherName { wanted: "127.0.0.1".into(), names: names() }),
        (&past, &past, "localhost", TlsProblem::Expired),
        (&future, &future, "localhost", TlsProblem::NotValidYet),
    ] {
        let server = pair.server(&[]);
        match Client::connect(at(host, &server), trusting(&ca.cert())).await {
            Err(ClientError::Tls(problem)) => assert_eq!(problem, want),
            other => panic!("not {want:?}: {other:?}"),
        }
    }
    let server = pair.server(&[]);
    match Client::connect(server.address(), trusting(&pair.cert())).await {
        Err(ClientError::Tls(TlsProblem::NotSpoken)) => {}
        other => panic!("{other:?}"),
    }
    match Client::connect(server.tls_address(), Options::default()).await {
        Err(ClientError::Tls(TlsProblem::Spoken)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_offers_another_protocol_is_refused_and_who_offers_none_is_served() {
    let pair = localhost();
    let server = pair.server(&[]);
    let hello = bytes_of(Peer::filled(Hello::default()));
    for (alpn, is_served) in [
        (&[][..], true),
        (&[&b"chatwire/1"[..]], true),
        (&[b"h2", b"chatwire/1"], true),
        (&[b"h2"], false),
        (&[b"chatwire/2"], false),
    ] {
        let mut raw = Raw::connect(server.tls_address(), &pair.cert(), alpn);
        let greeted = raw.0.write_all(&hello).and_then(|()| raw.0.read_exact(&mut [0]));
        assert_eq!(greeted.is_ok(), is_served, "{alpn:?}: {greeted:?}");
    }
}

#[test]
fn the_certificate_is_renewed_and_nobody_who_is_there_notices() {
    let (pair, renewed, other) = (localhost(), localhost(), localhost());
    let old = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(pair.cert(), old.path()).unwrap();
    let mut server = pair.server(&[]);
    let mut there = Raw::guest(&server, old.path());
    pair.replace(&renewed);
    server.reload("the certificate was read again");
    let mut new = Raw::guest(&server, &renewed.cert());
    // A key that is not the certificate's: all stays as it was.
    std::fs::copy(other.key(), pair.key()).unwrap();
    server.reload("stay as they were");
    server.logs("is not that of the first certificate");
    server.may_log_errors();
    let mut newest = Raw::guest(&server, &renewed.cert());
    for raw in [&mut there, &mut new, &mut newest] {
        raw.0.write_all(&bytes_of(Ping { bytes: b"here?" })).unwrap();
        assert_eq!(raw.next(), (kind::PONG, b"here?".to_vec()));
    }
}

#[test]
fn a_handshake_that_stands_still_is_over_in_time_and_keeps_nobody_out() {
    let pair = localhost();
    let server = pair.server(&[("timing.hello_secs", "2")]);
    // The beginning of a ClientHello, as it is and cut.
    let client_hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &[7; 300]].concat();
    let begun = Instant::now();
    let mut still: Vec<TcpStream> = (0..300)
        .map(|n| {
            let mut socket = TcpStream::connect(server.tls_address()).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.write_all(&client_hello[..n]).unwrap();
            socket
        })
        .collect();
    Raw::guest(&server, &pair.cert());
    for socket in &mut still {
        let mut said = Vec::new();
        let ended = socket.read_to_end(&mut said);
        assert!(ended.is_ok_and(|_| !said.contains(&kind::WELCOME)), "it is still there");
    }
    assert!(begun.elapsed() >= Duration::from_secs(2));
    // The time for HELLO counts from the accept: a handshake makes it no longer.
    let mut silent = Raw::connect(server.tls_address(), &pair.cert(), &[]);
    silent.0.flush().unwrap();
    assert_eq!(silent.next().0, kind::ERROR);
}

#[test]
fn bytes_that_are_no_tls_end_the_connection_that_sent_them() {
    let pair = localhost();
    let server = pair.server(&[]);
    let mut random = random::Random::new();
    for n in 0..200 {
        let mut socket = TcpStream::connect(server.tls_address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let len = random.below(3000);
        let mut bytes = random.bytes(len);
        if n % 2 == 0 {
            let begin = [0x16, 3, 3];
            bytes.splice(..begin.len().min(len), begin);
        }
        let _ = socket.write_all(&bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        if let Err(e) = socket.read_to_end(&mut Vec::new()) {
            assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    Raw::guest(&server, &pair.cert());
}

#[test]
fn a_slow_reader_over_tls_gets_everything_and_the_end_too() {
    const MESSAGES: u64 = 200;
    let pair = localhost();
    let server = pair.server(&[]);
    let mut writer = Peer::guest(&server).without_members();
    let chat = writer.join("harbour").chat;
    let text = "a".repeat(40_000);
    for _ in 0..MESSAGES {
        writer.say(To { chat, ..To::default() }, &text);
    }
    let mut slow = Raw::guest(&server, &pair.cert());
    slow.0.write_all(&bytes_of(Join { req: 1, room: "harbour", flags: 0 })).unwrap();
    slow.0.write_all(&bytes_of(History { req: 2, chat, ..History::default() })).unwrap();
    slow.0.write_all(&bytes_of(Sync { req: 3, chat, after: 0 })).unwrap();
    // It reads nothing until the server has sent what it can: the rest is the server's to keep.
    writer.bye();
    let (mut seen, mut said_bye, mut has_ended) = (0, false, false);
    let mut decoder = Decoder::client(Limits::default());
    let (mut input, mut piece) = (Vec::new(), vec![0; 3000]);
    while !said_bye {
        let n = slow.0.read(&mut piece).unwrap();
        assert!(n > 0, "the end came after {seen}");
        input.extend_from_slice(&piece[..n]);
        let mut rest = &input[..];
        while let Some(event) = decoder.next(&mut rest).unwrap() {
            match event {
                Decoded::Frame(Frame::Synced(_)) => seen = 0,
                Decoded::Frame(Frame::Text(_)) => seen += 1,
                Decoded::Frame(Frame::Bye(_)) => said_bye = true,
                _ => {}
            }
        }
        input = rest.to_vec();
        if seen == MESSAGES && !std::mem::replace(&mut has_ended, true) {
            // The end of its sending side is the end of the connection, which is said and then made.
            slow.0.conn.send_close_notify();
            slow.0.flush().unwrap();
        }
    }
    assert_eq!(seen, MESSAGES);
    assert_eq!(slow.0.read(&mut piece).unwrap(), 0, "the end is said in TLS too");
}

#[test]
fn whoever_finds_no_place_or_is_banned_is_told_so_over_tls() {
    let pair = localhost();
    let server = pair.server(&[("limits.connections", "1"), ("limits.wait_secs", "0.05")]);
    let there = Raw::guest(&server, &pair.cert());
    let code = |raw: &mut Raw| {
        let _ = raw.0.flush();
        let (kind, payload) = raw.next();
        assert_eq!(kind, kind::ERROR);
        Error::parse(&payload).unwrap().code
    };
    let mut busy = Raw::connect(server.tls_address(), &pair.cert(), &[]);
    assert_eq!(code(&mut busy), Code::Busy as u16);
    server.operate("ban add 127.0.0.1", "");
    let mut banned = Raw::connect(server.tls_address(), &pair.cert(), &[]);
    assert_eq!(code(&mut banned), Code::Banned as u16);
    drop(there);
}

#[test]
fn an_idle_connection_over_tls_costs_little() {
    const MANY: usize = 400;
    let pair = localhost();
    let server = pair.server(&[]);
    let _warm: Vec<Raw> = (0..50).map(|_| Raw::guest(&server, &pair.cert())).collect();
    let before = server.resident();
    let _idle: Vec<Raw> = (0..MANY).map(|_| Raw::guest(&server, &pair.cert())).collect();
    let each = server.resident().saturating_sub(before) / MANY;
    assert!(each < 16 * 1024, "{each} bytes");
}

#[test]
fn a_pair_for_trying_is_made_once_and_only_its_owner_reads_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let pair = localhost();
    let mode = std::fs::metadata(pair.key()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(pair.key()).unwrap();
    let mut again = std::process::Command::new(env!("CARGO_BIN_EXE_chatwire"));
    let again = again.env_clear().arg("cert").arg("--out").arg(pair.0.path()).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists already"));
    assert_eq!(std::fs::read(pair.key()).unwrap(), before);
    for name in ["localhost:8443", "a b", ""] {
        let mut bad = std::process::Command::new(env!("CARGO_BIN_EXE_chatwire"));
        let bad =
            bad.env_clear().args(["cert", "--out"]).arg(pair.0.path().join("x")).arg(name).output().unwrap();
        assert_eq!(bad.status.code(), Some(1), "{name:?}");
    }
}

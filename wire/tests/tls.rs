//! `wire` over TLS: the certificate is checked, and both directions carry what they should.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use support::{Ran, SESSION, Server, Tap, wire};

const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/tls-ca.pem");
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/tls-server.pem");
/// More than a TLS record and than what is read at once.
const BODY: usize = 300_000;

#[test]
fn a_server_with_tls_can_be_talked_to_tapped_and_replayed_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.pcapng");
    let file = file.to_str().unwrap();
    {
        let (server, door) = Server::with_tls();
        let ca = server.certificate();
        wire(&["cat", &door, "--ca", &ca], b"hello\nexpect welcome\ntext hi\nexpect status").succeeded();
        let tap = Tap::to(&door, &["--ca", &ca, "--record", file, "--connections", "1"]);
        support::cat(tap.address, &[], SESSION).succeeded();
        let shown = tap.end();
        assert!(shown.contains(" after TEXT  status "), "{shown}");
    }
    let (server, door) = Server::with_tls();
    let again = wire(&["replay", file, &door, "--ca", &server.certificate()], b"").succeeded().out;
    assert!(again.contains("8 frames sent") && again.contains(" 0 differences"), "{again}");
}

#[test]
fn who_knocks_at_a_wrong_door_is_told_what_to_do() {
    let (server, door) = Server::with_tls();
    let (ca, tcp) = (server.certificate(), server.address);
    let told = |arguments: &[&str], words: &str| {
        let ran = wire(&[&["cat"], arguments].concat(), b"hello\nexpect welcome");
        assert!(ran.code != 0 && (ran.err + &ran.out).contains(words), "{arguments:?}");
    };
    let port = door.rsplit_once(':').unwrap().1;
    told(&[&door], &format!("{door}: invalid peer certificate"));
    told(&[&door], "--ca FILE");
    told(&[&format!("tls://0.0.0.0:{port}"), "--ca", &ca], "not valid for name");
    told(&[&format!("tls://127.0.0.1:{}", tcp.port()), "--ca", &ca], "try it without tls://");
    told(&[&format!("127.0.0.1:{port}")], "this is TLS; write tls://");
    told(&[&door, "--ca", "/nowhere/ca.pem"], "/nowhere/ca.pem");
    told(&[&door, "--ca", "Cargo.toml"], "Cargo.toml: there is no certificate in it");
    let tap = Tap::to(&door, &["--connections", "1"]);
    assert_eq!(support::cat(tap.address, &[], "hello\nexpect welcome").code, 1);
    tap.end();
}

#[test]
fn frames_go_both_ways_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    std::fs::write(&body, vec![b'b'; BODY]).unwrap();
    let (port, server) = echo();
    let script = format!(
        "bye reason=well\nexpect bye reason=well\nfile @{}\nexpect file\nclose\nexpect end",
        body.display()
    );
    cat(port, &["--ca", CA], &script).succeeded();
    assert_eq!(server.join().unwrap(), Ok(5 + BODY + 13));
}

#[test]
fn a_certificate_is_checked_unless_told_not_to() {
    let (port, server) = echo();
    let ran = cat(port, &[], "");
    assert!(ran.code == 2 && ran.err.contains("invalid peer certificate"), "{}", ran.err);
    assert!(server.join().unwrap().is_err());
    let (port, server) = echo();
    cat(port, &["--insecure"], "bye\nexpect bye").succeeded();
    assert_eq!(server.join().unwrap(), Ok(5));
    let (port, _) = echo();
    let ran = cat(port, &["--ca", SERVER, "--timeout", "1s"], "");
    assert_eq!(ran.code, 2, "{}", ran.err);
}

fn cat(port: u16, options: &[&str], script: &str) -> Ran {
    let server = format!("tls://localhost:{port}");
    wire(&[&["cat", &server, "--hide", "file"], options].concat(), script.as_bytes())
}

/// A server of one connection that says back what it hears, and how many bytes that were.
fn echo() -> (u16, JoinHandle<Result<usize, String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::pem_file_iter(SERVER).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(SERVER).unwrap();
    let versions =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = versions.with_no_client_auth().with_single_cert(certificate, key).unwrap();
    config.alpn_protocols = vec![b"chatwire/1".to_vec()];
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), socket);
        let (mut buffer, mut total) = (vec![0; 10_000], 0);
        loop {
            match stream.read(&mut buffer).map_err(|error| error.to_string())? {
                0 => break,
                n => {
                    stream.write_all(&buffer[..n]).map_err(|error| error.to_string())?;
                    total += n;
                }
            }
        }
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"chatwire/1"[..]));
        stream.conn.send_close_notify();
        stream.flush().map_err(|error| error.to_string())?;
        Ok(total)
    });
    (port, server)
}

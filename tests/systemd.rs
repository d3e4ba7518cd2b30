//! What the server tells systemd, and doors that it is handed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use support::*;

/// What was told next.
fn told(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 1024];
    let n = socket.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..n].to_vec()).unwrap()
}

#[test]
fn systemd_is_told_when_the_server_is_ready_reloads_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut server = Server::start();
    server.kill();
    let mut command = server.command();
    command.env("NOTIFY_SOCKET", &path);
    server.start_by(command);
    assert_eq!(told(&socket), "READY=1\nSTATUS=serving\n");
    server.reload("reloaded");
    let reloading = told(&socket);
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told(&socket), "READY=1\nSTATUS=serving\n");
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(told(&socket), "STOPPING=1\n");
}

/// A command that is handed this socket, as systemd does, by this name.
fn handed(server: &Server, socket: &TcpListener, name: &str) -> Command {
    let wants = server.command();
    let mut command = Command::new("/bin/sh");
    // Descriptor 3 is the first that is handed over.
    let script = "export LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 </dev/null";
    command.arg("-c").arg(script).arg(wants.get_program()).args(wants.get_args());
    command.env_clear().env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name);
    command.stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_socket_that_is_handed_over_takes_the_place_of_the_doors_own() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = Server::start();
    for name in ["tcp", "chatwire.socket", ""] {
        server.kill();
        server.start_by(handed(&server, &socket, name));
        assert_eq!(server.address(), socket.local_addr().unwrap());
        Peer::guest(&server).ping();
    }
    // Who comes while no server runs waits for the next one.
    server.kill();
    let mut waits = Peer::on(TcpStream::connect(socket.local_addr().unwrap()).unwrap());
    waits.send_hello(Hello::default());
    server.start_by(handed(&server, &socket, "tcp"));
    waits.expect_welcome();
}

#[test]
fn a_socket_for_tls_without_a_certificate_is_refused() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = Server::start();
    server.kill();
    let output = handed(&server, &socket, "tls").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("tls.cert and tls.key are not set"), "{said}");
}

#[test]
fn a_server_without_a_door_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_chatwire"))
        .args(["serve", "--listen", "off", "--data"])
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("no door is open"), "{said}");
}

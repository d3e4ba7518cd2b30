//! The real `wire` against the real server, each in a process of its own.
//!
//! Nothing here waits for a time: every wait is for a line, or for the end of a process, and fails when it takes too long.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A session with a bit of everything.
pub const SESSION: &str = "\
hello tz=Asia/Tokyo
expect welcome home->home
text hi
expect status seq=1 chat=$home
expect reply_text
join room=harbour
expect joined chat->room
text hello
expect status chat=$room
history chat=$room limit=5
expect history_page count=1
expect text hello
rooms
expect room_list rooms=2
leave chat=99999
expect error code=not_found
raw 6e 00000006 0000000a 0102
expect error code=unsupported
";

/// A server on a folder of its own, killed when it is dropped.
pub struct Server {
    child: Child,
    data: TempDir,
    pub address: SocketAddr,
}

impl Server {
    pub fn start() -> Server {
        let data = tempfile::tempdir().unwrap();
        let (child, mut out) = serve(&data, &[]);
        Server { address: door("tcp", &mut out), child, data }
    }

    /// With a door over TLS, for which it makes its certificate as an operator does; and where that door is.
    pub fn with_tls() -> (Server, String) {
        let data = tempfile::tempdir().unwrap();
        let made =
            Command::new(server_binary()).env_clear().arg("cert").arg("--out").arg(data.path()).output();
        assert!(made.unwrap().status.success());
        let file = |name: &str| data.path().join(name).display().to_string();
        let (cert, key) = (format!("tls.cert={}", file("cert.pem")), format!("tls.key={}", file("key.pem")));
        let (child, mut out) =
            serve(&data, &["--set", "listen.tls=127.0.0.1:0", "--set", &cert, "--set", &key]);
        let server = Server { address: door("tcp", &mut out), child, data };
        (server, format!("tls://localhost:{}", door("tls", &mut out).port()))
    }

    /// The file of the certificate of its door over TLS.
    pub fn certificate(&self) -> String {
        self.data.path().join("cert.pem").display().to_string()
    }
}

fn serve(data: &TempDir, options: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(server_binary());
    command.env_clear().arg("serve").arg("--data").arg(data.path());
    command.args(["--listen", "127.0.0.1:0", "--set", "assistant.kind=builtin"]).args(options);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the server's binary");
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// The next door that a server says it has opened.
fn door(kind: &str, out: &mut impl BufRead) -> SocketAddr {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix(&format!("listening {kind} "));
    address
        .and_then(|address| address.parse().ok())
        .unwrap_or_else(|| panic!("the server did not begin: {line:?}"))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server lies beside `wire`; if only this package was built, it is built now.
fn server_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let path = Path::new(env!("CARGO_BIN_EXE_wire")).with_file_name("chatwire");
        if !path.exists() {
            let built = Command::new(env!("CARGO"))
                .args(["build", "--locked", "-p", "chatwire", "--bin", "chatwire"])
                .status();
            assert!(
                built.is_ok_and(|status| status.success()) && path.exists(),
                "no server: cargo build -p chatwire"
            );
        }
        path
    })
}

/// What a run of `wire` gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    #[track_caller]
    pub fn succeeded(self) -> Ran {
        assert_eq!(
            self.code,
            0,
            "{}\n{}",
            self.err,
            self.out.lines().take(20).collect::<Vec<_>>().join("\n")
        );
        self
    }

    /// Its lines, each of which is a JSON object.
    pub fn objects(&self) -> Vec<Json> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wire"));
    command.env_clear().args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `wire` to its end.
#[track_caller]
pub fn wire(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = command(arguments).spawn().expect("wire");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // In a thread of its own, since wire may fill its output before it has read all.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a script against a server.
#[track_caller]
pub fn cat(address: SocketAddr, options: &[&str], script: &str) -> Ran {
    wire(&[&["cat", &address.to_string()], options].concat(), script.as_bytes())
}

/// A `wire tap` that is listening.
pub struct Tap {
    child: Child,
    out: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

impl Tap {
    pub fn start(server: &Server, options: &[&str]) -> Tap {
        Tap::to(&server.address.to_string(), options)
    }

    pub fn to(server: &str, options: &[&str]) -> Tap {
        let mut child = command(&[&["tap", "--listen", "127.0.0.1:0", "--to", server], options].concat())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("wire: listening on ").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("the tap did not begin: {line:?}"));
        Tap { out: BufReader::new(child.stdout.take().unwrap()), child, address }
    }

    /// Waits for its end, which `--connections` brings, and gives what it printed.
    pub fn end(mut self) -> String {
        let mut out = String::new();
        self.out.read_to_string(&mut out).unwrap();
        assert!(self.child.wait().unwrap().success());
        out
    }
}

/// The blocks of `codec/vectors/frames.txt`, which that file describes.
pub struct Vector(Vec<(String, String)>);

impl Vector {
    pub fn all() -> Vec<Vector> {
        let text = include_str!("../../../codec/vectors/frames.txt");
        let lines = |block: &str| {
            let lines = block.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
            lines
                .map(|line| line.split_once(' ').unwrap_or((line, "")))
                .map(|(k, v)| (k.into(), v.into()))
                .collect()
        };
        text.split("\n\n").map(|block| Vector(lines(block))).filter(|vector| !vector.0.is_empty()).collect()
    }

    pub fn one(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|line| line.0 == key).map(|line| line.1.as_str())
    }

    pub fn hex(&self) -> String {
        self.0.iter().filter(|line| line.0 == "hex").map(|line| line.1.as_str()).collect::<Vec<_>>().join(" ")
    }

    pub fn bytes(&self) -> Vec<u8> {
        let digits: Vec<u8> = self.hex().bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    pub fn sender(&self) -> &'static str {
        if self.one("to") == Some("client") { "server" } else { "client" }
    }
}

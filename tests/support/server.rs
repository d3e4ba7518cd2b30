//! The real binary on a folder of its own.

use super::PATIENCE;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;
use tempfile::TempDir;

/// A server, killed when it is dropped. A test whose server panicked, or logged an error, has failed.
pub struct Server {
    data: TempDir,
    set: Vec<String>,
    running: Option<Running>,
    log: String,
    may_err: bool,
}

struct Running {
    child: Child,
    address: SocketAddr,
    stderr: JoinHandle<String>,
}

impl Server {
    /// A server with the defaults, but for the assistant, who is silent.
    pub fn start() -> Server {
        Server::with(&[])
    }

    pub fn with(set: &[(&str, &str)]) -> Server {
        let quiet = ["--set".to_string(), "assistant.kind=none".to_string()];
        let set = set.iter().flat_map(|(key, value)| ["--set".to_string(), format!("{key}={value}")]);
        let set = quiet.into_iter().chain(set).collect();
        let data = tempfile::tempdir().expect("a folder");
        let mut server = Server { data, set, running: None, log: String::new(), may_err: false };
        server.start_again();
        server
    }

    /// Errors in its log are what the test is about.
    pub fn may_log_errors(&mut self) {
        self.may_err = true;
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    pub fn address(&self) -> SocketAddr {
        self.running().address
    }

    /// A server on the same folder and with the same settings, not yet begun.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatwire"));
        command.env_clear().env("RUST_BACKTRACE", "1").arg("serve").arg("--data").arg(self.data.path());
        command.args(["--listen", "127.0.0.1:0"]).args(&self.set);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A command of the operator's on the same folder, such as `user list`: whether it succeeded, and what it said.
    pub fn operator(&self, arguments: &str, input: &str) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatwire"));
        command.env_clear().args(arguments.split(' ')).arg("--data").arg(self.data.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server's binary");
        let mut stdin = child.stdin.take().expect("its stdin");
        // Not every command reads it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("its end");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).expect("text"))
    }

    /// As [`Server::operator`], for a command that must succeed.
    #[track_caller]
    pub fn operate(&self, arguments: &str, input: &str) -> String {
        let (succeeded, said) = self.operator(arguments, input);
        assert!(succeeded, "{arguments}: {said}");
        said
    }

    /// Begins again on the same folder, after [`Server::kill`] or [`Server::terminate`].
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "it is running");
        let mut child = self.command().spawn().expect("the server's binary");
        let stderr = BufReader::new(child.stderr.take().expect("its log"));
        let stderr = std::thread::spawn(move || {
            let lines = stderr.lines().map_while(Result::ok);
            lines.fold(String::new(), |log, line| log + &line + "\n")
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its stdout")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening tcp ").and_then(|a| a.parse().ok());
        let Some(address) = address else {
            // It has said nothing, so it has ended or will not begin: either way it is over.
            let _ = child.kill();
            panic!("the server did not begin: {line:?}\n{}", stderr.join().unwrap_or_default());
        };
        self.running = Some(Running { child, address, stderr });
    }

    /// As if the machine had taken it away, and then again.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // It may have ended by itself; then the log says why.
        let _ = running.child.kill();
        self.ended(running);
    }

    /// SIGTERM, without waiting for what comes of it.
    pub fn signal_term(&self) {
        let id = self.running().child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill");
        assert!(sent.success(), "SIGTERM could not be sent");
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("a server that runs");
        let begun = Instant::now();
        while running.child.try_wait().expect("its state").is_none() {
            if begun.elapsed() > PATIENCE {
                let _ = running.child.kill();
                let status = self.ended(running);
                panic!("the server did not end: {status}");
            }
            std::thread::yield_now();
        }
        self.ended(running)
    }

    /// SIGTERM, and its end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal_term();
        self.wait()
    }

    /// Its resident memory, in bytes.
    pub fn resident(&self) -> usize {
        let path = format!("/proc/{}/status", self.running().child.id());
        let status = std::fs::read_to_string(path).expect("its state");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches("kB").trim().parse::<usize>().expect("a number") * 1024
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("a server that runs")
    }

    fn ended(&mut self, mut running: Running) -> ExitStatus {
        let status = running.child.wait().expect("its end");
        self.log += &running.stderr.join().unwrap_or_default();
        let _ = writeln!(self.log, "({status})");
        status
    }
}

impl Drop for Server {
    #[allow(clippy::print_stderr, reason = "shown for a test that fails")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.log);
            return;
        }
        assert!(!self.log.contains("panicked at"), "the server panicked:\n{}", self.log);
        assert!(self.may_err || !self.log.contains(" ERROR "), "the server logged an error:\n{}", self.log);
    }
}

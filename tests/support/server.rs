//! The real binary on a folder of its own.

use super::PATIENCE;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;
use tempfile::TempDir;

/// A server, killed when it is dropped. A test whose server panicked, or logged an error, has failed.
pub struct Server {
    data: PathBuf,
    /// The data folder, unless it is somebody else's.
    folder: Option<TempDir>,
    env: Vec<(&'static str, PathBuf)>,
    set: Vec<String>,
    /// The file of settings, and its folder.
    file: Option<TempDir>,
    /// The descriptors that it may have.
    descriptors: Option<u32>,
    running: Option<Running>,
    log: String,
    may_err: bool,
    may_panic: bool,
    keeps_data: bool,
}

struct Running {
    child: Child,
    address: SocketAddr,
    /// The door over TLS.
    tls: Option<SocketAddr>,
    /// What it has logged, and who writes that down.
    log: Arc<Mutex<String>>,
    logging: JoinHandle<()>,
}

impl Server {
    /// A server with the defaults, but for the assistant, who is silent.
    pub fn start() -> Server {
        Server::with(&[])
    }

    pub fn with(set: &[(&str, &str)]) -> Server {
        let mut server = Server::of(set);
        server.start_again();
        server
    }

    /// With these settings in a file.
    pub fn with_file(settings: &str) -> Server {
        let mut server = Server::of(&[]);
        server.file = Some(tempfile::tempdir().expect("a folder"));
        server.write_settings(settings);
        server.start_again();
        server
    }

    /// With so many file descriptors, and no more.
    pub fn with_descriptors(descriptors: u32, set: &[(&str, &str)]) -> Server {
        let mut server = Server::of(set);
        server.descriptors = Some(descriptors);
        server.start_again();
        server
    }

    /// Other settings in the file, which a running server does not look at by itself.
    pub fn write_settings(&self, settings: &str) {
        std::fs::write(self.settings().expect("a server with a file"), settings).expect("the settings");
    }

    fn settings(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|folder| folder.path().join("chatwire.toml"))
    }

    fn of(set: &[(&str, &str)]) -> Server {
        // Whoever is quiet for a while is not asked whether they are there.
        let quiet = [("assistant.kind", "none"), ("timing.heartbeat_secs", "600")];
        let set =
            quiet.iter().chain(set).flat_map(|(key, value)| ["--set".to_string(), format!("{key}={value}")]);
        let set = set.collect();
        let folder = tempfile::tempdir().expect("a folder");
        let (data, folder, env) = (folder.path().to_owned(), Some(folder), Vec::new());
        let (file, descriptors, running, log) = (None, None, None, String::new());
        let (may_err, may_panic, keeps_data) = (false, false, false);
        Server { data, folder, env, set, file, descriptors, running, log, may_err, may_panic, keeps_data }
    }

    /// On a folder that is somebody else's, which need not exist, with variables; not yet started.
    pub fn on(data: PathBuf, env: Vec<(&'static str, PathBuf)>, set: &[(&str, &str)]) -> Server {
        let mut server = Server::of(set);
        (server.data, server.folder, server.env) = (data, None, env);
        server
    }

    /// If the test fails, its data stays, and where is printed.
    pub fn keep_data_of_a_failure(&mut self) {
        self.keeps_data = true;
    }

    /// Errors in its log are what the test is about.
    pub fn may_log_errors(&mut self) {
        self.may_err = true;
    }

    /// A panic is what the test is about.
    pub fn may_panic(&mut self) {
        self.may_panic = true;
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn address(&self) -> SocketAddr {
        self.running().address
    }

    /// Where it serves over TLS.
    pub fn tls_address(&self) -> SocketAddr {
        self.running().tls.expect("a server with listen.tls")
    }

    /// Waits until its log has a line with this in it, and gives the last such line.
    #[track_caller]
    pub fn logs(&self, text: &str) -> String {
        self.logs_behind(0, text)
    }

    #[track_caller]
    fn logs_behind(&self, begin: usize, text: &str) -> String {
        let mut found = None;
        super::until(&format!("{text} in the log"), || {
            let log = self.running().log.lock().expect("the log");
            found = log[begin..].lines().rfind(|line| line.contains(text)).map(str::to_owned);
            found.is_some()
        });
        found.unwrap_or_default()
    }

    /// A server on the same folder and with the same settings, not yet begun.
    pub fn command(&self) -> Command {
        let binary = &binary();
        let mut command = match self.descriptors {
            None => Command::new(binary),
            Some(descriptors) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")).arg(binary);
                shell
            }
        };
        command.env_clear().env("RUST_BACKTRACE", "1").arg("serve").arg("--data").arg(&self.data);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(file) = self.settings() {
            command.arg("--config").arg(file);
        }
        command.args(["--set", "listen.tcp=127.0.0.1:0"]).args(&self.set);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A command of the operator's on the same folder, such as `user list`: whether it succeeded, and what it said.
    pub fn operator(&self, arguments: &str, input: &str) -> (bool, String) {
        let mut child = self.begin_operator(arguments);
        let mut stdin = child.stdin.take().expect("its stdin");
        // Not every command reads it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("its end");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).expect("text"))
    }

    /// As [`Server::operator`], begun and not waited for.
    pub fn begin_operator(&self, arguments: &str) -> Child {
        let mut command = Command::new(binary());
        command.env_clear().args(arguments.split(' ')).arg("--data").arg(&self.data);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the server's binary")
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
        self.start_by(self.command());
    }

    /// Begins by this command.
    pub fn start_by(&mut self, mut command: Command) {
        let mut child = command.spawn().expect("the server's binary");
        let stderr = BufReader::new(child.stderr.take().expect("its log"));
        let log = Arc::new(Mutex::new(String::new()));
        let to = log.clone();
        let logging = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                *to.lock().expect("the log") += &(line + "\n");
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("its stdout"));
        let mut door = |kind: &str| {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("a line");
            line.trim().strip_prefix("listening ")?.strip_prefix(kind)?.trim().parse().ok()
        };
        let address = door("tcp");
        let has_tls = self.set.iter().any(|set| set.starts_with("listen.tls="));
        let tls = if has_tls && address.is_some() { door("tls") } else { None };
        let (Some(address), true) = (address, tls.is_some() == has_tls) else {
            // It has not said where it is, so it has ended or will not begin: either way it is over.
            let _ = child.kill();
            let _ = logging.join();
            panic!("the server did not begin:\n{}", log.lock().expect("the log"));
        };
        self.running = Some(Running { child, address, tls, log, logging });
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

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| running.child.try_wait().expect("its state").is_none())
    }

    /// SIGTERM, without waiting for what comes of it.
    pub fn signal_term(&self) {
        self.signal("-TERM");
    }

    /// SIGHUP, and what its log says of it: the line with this in it.
    #[track_caller]
    pub fn reload(&self, says: &str) -> String {
        let begin = self.running().log.lock().expect("the log").len();
        self.signal("-HUP");
        self.logs_behind(begin, says)
    }

    fn signal(&self, signal: &str) {
        let id = self.running().child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().expect("kill");
        assert!(sent.success(), "{signal} could not be sent");
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

    /// What it has logged, of all its lives but the one that runs.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Its resident memory, in bytes.
    pub fn resident(&self) -> usize {
        let path = format!("/proc/{}/status", self.running().child.id());
        let status = std::fs::read_to_string(path).expect("its state");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches("kB").trim().parse::<usize>().expect("a number") * 1024
    }

    /// The file descriptors that it has open.
    pub fn open_descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.running().child.id());
        std::fs::read_dir(path).expect("its descriptors").count()
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("a server that runs")
    }

    fn ended(&mut self, mut running: Running) -> ExitStatus {
        let status = running.child.wait().expect("its end");
        let _ = running.logging.join();
        self.log += &running.log.lock().expect("the log");
        let _ = writeln!(self.log, "({status})");
        status
    }
}

/// The server's binary, unless the variable names another, which is not built anew while it is used.
fn binary() -> PathBuf {
    std::env::var_os("CHATWIRE_TEST_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_chatwire").into(), PathBuf::from)
}

impl Drop for Server {
    #[allow(clippy::print_stderr, reason = "shown for a test that fails")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.log);
            if let Some(folder) = self.folder.as_mut().filter(|_| self.keeps_data) {
                folder.disable_cleanup(true);
                eprintln!("its data is kept in {}", self.data.display());
            }
            return;
        }
        assert!(self.may_panic || !self.log.contains("panicked at"), "the server panicked:\n{}", self.log);
        assert!(self.may_err || !self.log.contains(" ERROR "), "the server logged an error:\n{}", self.log);
    }
}

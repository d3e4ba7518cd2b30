//! The server that is loaded: one that runs already, or one of our own with a new folder.

use crate::Result;
use crate::options::{Plan, Server};
use crate::process::Process;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Where to connect, and whom to watch. Its drop ends the server that it started, then removes the folder.
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    /// If the server is on this machine and known.
    pub(crate) process: Option<Process>,
    _own: Option<Own>,
}

struct Own {
    child: Child,
    /// Unless it is to stay.
    _folder: Option<TempDir>,
}

impl Target {
    pub(crate) fn open(plan: &Plan) -> Result<Target> {
        match &plan.server {
            Server::Running { addr, pid } => {
                Ok(Target { addr: *addr, process: pid.map(Process::new), _own: None })
            }
            Server::Program(program) => {
                let (data, folder) = match &plan.keep {
                    Some(data) => (data.clone(), None),
                    None => {
                        let folder = tempfile::Builder::new().prefix("load-").tempdir_in(&plan.data)?;
                        (folder.path().join("data"), Some(folder))
                    }
                };
                let child = Command::new(program)
                    .args(["serve", "--listen", "127.0.0.1:0", "--set", "assistant.kind=none"])
                    .arg(format!("--set=store.durability={}", plan.durability))
                    .arg(format!("--set=limits.connections={}", plan.peak_connections() + 16))
                    .arg("--data")
                    .arg(data)
                    .env("CHATWIRE_LOG", "warn")
                    .stdout(Stdio::piped())
                    .spawn()
                    .map_err(|e| format!("{}: {e}; build it, or say --server", program.display()))?;
                let process = Some(Process::new(child.id()));
                let mut own = Own { child, _folder: folder };
                Ok(Target { addr: own.address()?, process, _own: Some(own) })
            }
        }
    }
}

impl Own {
    /// What it says first, once it is ready.
    fn address(&mut self) -> Result<SocketAddr> {
        let stdout = self.child.stdout.take().ok_or("the server has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let addr =
            line.trim().strip_prefix("listening tcp ").ok_or("the server did not say where it listens")?;
        Ok(addr.parse()?)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Its data goes with it; where it stays, what was confirmed is on the disk.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

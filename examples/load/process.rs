//! What the system says of a process: processor time, memory, descriptors. Linux alone says it.

use crate::Result;
use std::fs;
use std::process::Command;

/// `/proc/PID/stat` counts in these, on every Linux.
const TICKS_PER_SEC: f64 = 100.0;

/// A process of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Process(String);

impl Process {
    pub(crate) fn new(pid: u32) -> Process {
        Process(pid.to_string())
    }

    pub(crate) fn this() -> Process {
        Process("self".to_owned())
    }

    /// Seconds of processor time so far, in steps of a hundredth.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let stat = self.read("stat")?;
        let (_, behind_name) = stat.rsplit_once(')').ok_or("a stat without a name")?;
        let fields: Vec<&str> = behind_name.split_whitespace().collect();
        let (Some(user), Some(system)) = (fields.get(11), fields.get(12)) else {
            return Err("a stat without times".into());
        };
        Ok((user.parse::<f64>()? + system.parse::<f64>()?) / TICKS_PER_SEC)
    }

    /// KiB resident now.
    pub(crate) fn resident(&self) -> Result<f64> {
        self.status("VmRSS:")
    }

    /// The most KiB that were resident since [`Process::forget_peak`].
    pub(crate) fn peak(&self) -> Result<f64> {
        self.status("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) -> Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.0), "5")?)
    }

    /// How many files and sockets it may have open.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        let limits = self.read("limits")?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().next()).ok_or("no limit of open files")?;
        Ok(soft.parse().unwrap_or(usize::MAX))
    }

    /// How many it has open.
    pub(crate) fn open_descriptors(&self) -> Result<usize> {
        let path = format!("/proc/{}/fd", self.0);
        Ok(fs::read_dir(&path).map_err(|e| format!("{path}: {e}"))?.count())
    }

    fn status(&self, key: &str) -> Result<f64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or("a status without memory")?;
        Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
    }

    fn read(&self, what: &str) -> Result<String> {
        let path = format!("/proc/{}/{what}", self.0);
        fs::read_to_string(&path).map_err(|e| format!("{path}: {e}").into())
    }
}

/// Has this thread run only where a processor has nothing else to do: by `chrt`, which every Linux has.
pub(crate) fn let_others_go_first() -> Result<()> {
    let thread = fs::read_link("/proc/thread-self")?;
    let number = thread.file_name().ok_or("a thread without a number")?;
    let done = Command::new("chrt").args(["--idle", "--pid", "0"]).arg(number).output();
    let done = done.map_err(|e| format!("chrt: {e}; on Debian: apt-get install util-linux"))?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).trim().into()) }
}

/// The machine's processor time so far, of all processors, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub(crate) all: f64,
    /// Nobody wanted it.
    pub(crate) idle: f64,
    /// The host of a virtual machine took it away.
    pub(crate) stolen: f64,
}

/// As it is now.
pub(crate) fn machine() -> Option<Machine> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks = stat.lines().next()?.split_whitespace().skip(1).take(8);
    let ticks: Vec<f64> = ticks.filter_map(|n| n.parse().ok()).map(|n: f64| n / TICKS_PER_SEC).collect();
    let [_, _, _, idle, for_disks, _, _, stolen] = ticks[..] else { return None };
    Some(Machine { all: ticks.iter().sum(), idle: idle + for_disks, stolen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let this = Process::this();
        assert!(this.resident().unwrap() > 100.0);
        assert!(this.descriptors().unwrap() > 3);
        assert!(this.open_descriptors().unwrap() > 3);
        assert!(this.cpu().unwrap() >= 0.0);
    }

    #[test]
    fn the_machines_time_is_more_than_its_parts() {
        let Machine { all, idle, stolen } = machine().unwrap();
        assert!(all > idle + stolen, "{all} {idle} {stolen}");
    }
}

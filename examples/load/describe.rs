//! What this machine is, as text to stand beside figures.

use crate::Result;
use crate::stats::Summary;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Instant;

const SYNCS: usize = 200;
const PAGE: [u8; 4096] = [0x5A; 4096];

/// Prints it. `data` is the folder whose disk is meant, else the current one.
pub(crate) fn print(data: Option<&Path>) -> Result<()> {
    let folder = data.unwrap_or(Path::new("."));
    let cores = thread::available_parallelism()?;
    println!("processor    {} x {}", cores, value("/proc/cpuinfo", "model name").unwrap_or_default());
    println!("memory       {}", value("/proc/meminfo", "MemTotal").unwrap_or_default());
    println!("kernel       {}", read("/proc/sys/kernel/osrelease"));
    println!("file system  {}", file_system(folder).unwrap_or_else(|| "not known".to_owned()));
    println!("load         {}", read("/proc/loadavg"));
    let Some(Summary { median, least, most }) = Summary::of(&syncs(folder)?) else { return Ok(()) };
    println!(
        "sync         {median:.0} us for 4 KiB written behind each other (median; {least:.0} – {most:.0})"
    );
    Ok(())
}

/// Microseconds of each of many syncs, every one of 4 KiB at the end of a file, as a log has them.
fn syncs(folder: &Path) -> Result<Vec<f64>> {
    let folder = tempfile::Builder::new().prefix("load-").tempdir_in(folder)?;
    let mut file = File::create(folder.path().join("syncs"))?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&PAGE)?;
        let began = Instant::now();
        file.sync_data()?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(took)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "not known".to_owned(), |text| text.trim().to_owned())
}

/// Of the first line `key : value`.
fn value(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type and the options of what is mounted nearest above the folder.
fn file_system(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mounted = mounts.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (at, kind, options) = (fields.get(1)?, fields.get(2)?, fields.get(3)?);
        folder.starts_with(at).then(|| (at.len(), format!("{kind} ({options})")))
    });
    mounted.max_by_key(|(depth, _)| *depth).map(|(_, text)| text)
}

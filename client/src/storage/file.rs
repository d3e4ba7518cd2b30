//! A file of steps: a line of JSON each, appended and synced. When it has grown it is written anew: whole,
//! under another name, synced, and renamed.
//!
//! A line that is not whole can only be the last, which a crash has cut: nobody was told that it is kept.

use super::Storage;
use super::record::Record;
use crate::kept::{Change, Kept};
use crate::limits::{JOURNAL_BYTES, JOURNAL_MOST};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Keeps everything in a file that a crash does not harm. Nobody else may read it: it has the token.
#[derive(Debug)]
pub struct FileStorage {
    path: PathBuf,
    /// Held as long as this lives, so that no second program writes.
    _lock: File,
    open: Option<Open>,
}

/// The file, and what it says.
#[derive(Debug)]
struct Open {
    file: File,
    /// Bytes that are whole steps; what is behind them was not kept.
    bytes: u64,
    kept: Kept,
}

impl FileStorage {
    /// In this file, which is made when it is missing. Beside it stands `<path>.lock`.
    ///
    /// # Errors
    /// The folder is missing or closed, or another program has the file.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let lock = private().create(true).truncate(false).open(beside(&path, "lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(FileStorage { path, _lock: lock, open: None }),
            Err(TryLockError::WouldBlock) => {
                let text = format!("another program keeps its place in {}", path.display());
                Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Writes all in one step, under another name first.
    fn rewrite(&mut self, kept: Kept) -> io::Result<()> {
        let whole = [Change::All(Box::new(kept.clone()))];
        let lines = lines(&whole)?;
        let new = beside(&self.path, "new");
        let mut file = private().create(true).truncate(true).open(&new)?;
        file.write_all(&lines)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        sync_folder(&self.path)?;
        self.open = Some(Open { file, bytes: lines.len() as u64, kept });
        Ok(())
    }

    /// Reads what is whole.
    fn read(&self) -> io::Result<Kept> {
        let mut text = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(JOURNAL_MOST + 1).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            Err(error) => return Err(error),
        };
        if text.len() as u64 > JOURNAL_MOST {
            return Err(self.damaged("is too large"));
        }
        let mut kept = Kept::default();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let record: Record =
                serde_json::from_slice(line).map_err(|error| self.damaged(&error.to_string()))?;
            kept.apply(&record.into());
        }
        Ok(kept)
    }

    fn damaged(&self, how: &str) -> io::Error {
        let text = format!("{} is not what a client has kept ({how}); move it away", self.path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}

impl Storage for FileStorage {
    fn load(&mut self) -> io::Result<Kept> {
        let kept = self.read()?;
        self.rewrite(kept.clone())?;
        Ok(kept)
    }

    fn save(&mut self, changes: &[Change]) -> io::Result<()> {
        let Some(open) = &mut self.open else {
            self.load()?;
            return self.save(changes);
        };
        let lines = lines(changes)?;
        let kept = open.append(&lines).map(|()| changes.iter().for_each(|change| open.kept.apply(change)));
        kept?;
        if open.bytes > JOURNAL_BYTES.max(open.whole() * 2) {
            let kept = open.kept.clone();
            self.rewrite(kept)?;
        }
        Ok(())
    }
}

impl Open {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        // Behind a failed write there may be half a line.
        self.file.set_len(self.bytes)?;
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.file.write_all(lines)?;
        self.file.sync_data()?;
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// About the bytes that it would have if it were written anew.
    fn whole(&self) -> u64 {
        let unsent: usize = self.kept.unsent.iter().map(|parcel| parcel.weight() + 100).sum();
        (unsent + self.kept.places.len() * 100) as u64
    }
}

fn lines(changes: &[Change]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for change in changes {
        serde_json::to_writer(&mut lines, &Record::from(change))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// A token is as good as a password.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The new name has to be on the disk too.
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test may fail loudly")]
mod tests {
    use super::*;
    use crate::kept::{Identity, Parcel, Place};
    use crate::outgoing::{Outgoing, OutgoingFile, Target};

    fn steps() -> Vec<Change> {
        let identity = Identity {
            user: 7,
            user_name: "ann".into(),
            home: 12,
            epoch: u64::MAX,
            token: "t0ken".into(),
            guest: true,
        };
        let text =
            |nonce, to: &str| Outgoing { nonce, ..Outgoing::text(Target::Room(to.into()), "good\nmorning") };
        let file = OutgoingFile { nonce: u64::MAX - 1, ..OutgoingFile::new(Target::Chat(3), "/tmp/a.png") };
        vec![
            Change::Identity(Some(identity)),
            Change::Place(12, Place { pos: Some(3), room: "harbour".into() }),
            Change::Place(13, Place { pos: None, room: "quay".into() }),
            Change::Unsent(Parcel::Message(text(1, "tea"))),
            Change::Unsent(Parcel::File(file)),
            Change::Unsent(Parcel::Message(Outgoing { nonce: 3, ..Outgoing::text(Target::Current, "x") })),
            Change::Answered(1),
            Change::Forgotten(13),
            Change::Place(12, Place { pos: Some(5), room: "harbour".into() }),
        ]
    }

    fn sum(steps: &[Change]) -> Kept {
        let mut kept = Kept::default();
        steps.iter().for_each(|step| kept.apply(step));
        kept
    }

    #[test]
    fn a_file_cut_at_any_byte_has_all_steps_that_were_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("place");
        let mut whole = vec![0];
        let mut bytes = Vec::new();
        for step in steps() {
            bytes.extend(lines(&[step]).expect("plain"));
            whole.push(bytes.len());
        }
        for cut in 0..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).expect("room");
            let count = whole.iter().filter(|end| **end <= cut).count() - 1;
            let mut storage = FileStorage::open(&path).expect("free");
            assert_eq!(storage.load().expect("readable"), sum(&steps()[..count]), "cut at {cut}");
            // What follows stands on a line of its own.
            storage.save(&steps()[count..]).expect("room");
            drop(storage);
            let again = FileStorage::open(&path).expect("free").load().expect("readable");
            assert_eq!(again, sum(&steps()), "cut at {cut}");
        }
    }

    #[test]
    fn a_file_that_has_grown_is_written_anew_and_says_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("place");
        let mut storage = FileStorage::open(&path).expect("free");
        storage.load().expect("nothing yet");
        storage.save(&steps()).expect("room");
        let long = "x".repeat(60_000);
        for nonce in 10..60 {
            let message = Outgoing { nonce, ..Outgoing::text(Target::Chat(3), &*long) };
            let steps = [Change::Unsent(Parcel::Message(message)), Change::Answered(nonce)];
            storage.save(&steps).expect("room");
        }
        let bytes = std::fs::metadata(&path).expect("there").len();
        assert!(bytes < JOURNAL_BYTES + 200_000, "{bytes} bytes");
        drop(storage);
        assert_eq!(FileStorage::open(&path).expect("free").load().expect("readable"), sum(&steps()));
    }

    #[test]
    fn what_a_failed_write_has_left_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("place");
        let mut storage = FileStorage::open(&path).expect("free");
        storage.load().expect("nothing yet");
        storage.save(&steps()[..1]).expect("room");
        // As if the disk had been full in the middle of a long step.
        let half = format!("{{\"unsent\":{{\"nonce\":7,\"body\":{{\"text\":\"{}\n", "x".repeat(9_000));
        OpenOptions::new().append(true).open(&path).expect("there").write_all(half.as_bytes()).expect("room");
        storage.save(&steps()[1..]).expect("room again");
        drop(storage);
        assert_eq!(FileStorage::open(&path).expect("free").load().expect("readable"), sum(&steps()));
    }

    #[test]
    fn a_crash_between_writing_anew_and_renaming_harms_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("place");
        std::fs::write(&path, lines(&steps()).expect("plain")).expect("room");
        std::fs::write(beside(&path, "new"), b"{\"all\":{\"ident").expect("room");
        assert_eq!(FileStorage::open(&path).expect("free").load().expect("readable"), sum(&steps()));
    }

    #[test]
    fn a_second_program_is_told_that_the_file_is_taken_and_strangers_cannot_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("place");
        let mut first = FileStorage::open(&path).expect("free");
        first.load().expect("nothing yet");
        let second = FileStorage::open(&path).expect_err("taken");
        assert_eq!(second.kind(), io::ErrorKind::ResourceBusy);
        #[cfg(unix)]
        {
            let mode = std::fs::metadata(&path).expect("there").permissions();
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("place");
        std::fs::write(&path, b"Dear diary,\n").expect("room");
        let error = FileStorage::open(&path).expect("free").load().expect_err("no such file");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(std::fs::read(&path).expect("there"), b"Dear diary,\n");
    }
}

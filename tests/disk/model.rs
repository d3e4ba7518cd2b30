//! What a disk has for certain, and what it may have: from the records of all that was changed and synced.
//!
//! A sync of a file brings what was written to it before. A sync of a folder brings the names in it; a file without
//! a name is not there, however often it was synced. Of the rest a loss of power leaves whatever it likes: of writes
//! each, or some of its sectors, or none; of names each, or none; a length without its bytes. A rename is one thing,
//! as with every file system that has a journal.

use super::super::files;
use super::super::random::Random;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// What is written, or not, as a whole.
const SECTOR: usize = 512;

/// Kinds of records, as in disk.c.
const OPEN: u8 = 1;
const WRITE: u8 = 2;
const TRUNCATE: u8 = 3;
const SYNC_BEGIN: u8 = 4;
const SYNC_END: u8 = 5;
const RENAME: u8 = 6;
const UNLINK: u8 = 7;
const LINK: u8 = 8;
const MKDIR: u8 = 9;
const SYNC_FAILED: u8 = 10;
const RMDIR: u8 = 11;
/// What stands before and behind each record.
const BEGIN_MARK: &[u8] = b"\x8brecord\0";
const END_MARK: &[u8] = b"\x8bended.\0";
/// Type, three numbers, two lengths; behind them so many bytes.
const HEAD: usize = 33;

type FileId = usize;
type Names = BTreeMap<PathBuf, FileId>;

#[derive(Clone, Debug, Default)]
struct Content {
    /// On the disk.
    durable: Vec<u8>,
    /// As a process sees it.
    cached: Vec<u8>,
    /// What is between the two, with the number of its record.
    pending: Vec<(u64, Change)>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Debug)]
enum Naming {
    Create(PathBuf, FileId),
    Rename(PathBuf, PathBuf, FileId),
    Unlink(PathBuf),
    Folder(PathBuf),
    NoFolder(PathBuf),
}

/// See the module.
pub struct Model {
    root: PathBuf,
    files: Vec<Content>,
    durable: Names,
    durable_folders: BTreeSet<PathBuf>,
    cached: Names,
    cached_folders: BTreeSet<PathBuf>,
    pending: Vec<(u64, Naming)>,
    inodes: HashMap<u64, FileId>,
    /// By number: of what, and behind which record.
    syncs: HashMap<u64, (Target, u64)>,
    record: u64,
}

#[derive(Clone, Debug)]
enum Target {
    File(FileId),
    Folder(PathBuf),
    Nothing,
}

/// What a loss of power took and left of what was not synced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept {
    pub writes: usize,
    pub of_writes: usize,
    pub names: usize,
    pub of_names: usize,
}

impl std::ops::Add for Kept {
    type Output = Kept;

    fn add(self, more: Kept) -> Kept {
        Kept {
            writes: self.writes + more.writes,
            of_writes: self.of_writes + more.of_writes,
            names: self.names + more.names,
            of_names: self.of_names + more.of_names,
        }
    }
}

/// How much a loss of power leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Nothing,
    All,
    Some,
}

impl Mood {
    fn any(random: &mut Random) -> Mood {
        random.pick(&[Mood::Nothing, Mood::All, Mood::Some, Mood::Some])
    }
}

struct Record<'a> {
    kind: u8,
    a: u64,
    b: u64,
    c: u64,
    x: &'a [u8],
    y: &'a [u8],
}

impl Model {
    /// An empty folder.
    pub fn new(root: PathBuf) -> Model {
        let folders = BTreeSet::from([root.clone()]);
        Model {
            root,
            files: Vec::new(),
            durable: Names::new(),
            durable_folders: folders.clone(),
            cached: Names::new(),
            cached_folders: folders,
            pending: Vec::new(),
            inodes: HashMap::new(),
            syncs: HashMap::new(),
            record: 0,
        }
    }

    /// What a process did until it was gone.
    pub fn replay(&mut self, mut log: &[u8]) {
        self.inodes.clear();
        self.syncs.clear();
        while let Some((record, rest)) = next(log) {
            log = rest;
            self.record += 1;
            self.take(&record);
        }
    }

    fn take(&mut self, record: &Record<'_>) {
        let path = |bytes: &[u8]| PathBuf::from(String::from_utf8(bytes.to_vec()).unwrap());
        match record.kind {
            OPEN => self.opened(record.a, path(record.x)),
            WRITE => {
                self.changed(record.a, Change::Write(usize::try_from(record.b).unwrap(), record.x.to_vec()));
            }
            TRUNCATE => self.changed(record.a, Change::Truncate(usize::try_from(record.b).unwrap())),
            SYNC_BEGIN if record.c == 1 => self.sync_begins(record.b, Target::Folder(path(record.x))),
            SYNC_BEGIN => {
                let target = self.inodes.get(&record.a).map_or(Target::Nothing, |id| Target::File(*id));
                self.sync_begins(record.b, target);
            }
            SYNC_END => self.sync_ends(record.a),
            // The system takes the pages for written from now on: no later sync will bring them. Of the names in a
            // folder the same is assumed.
            SYNC_FAILED if record.x.is_empty() => {
                if let Some(id) = self.inodes.get(&record.a) {
                    self.files[*id].pending.clear();
                }
            }
            SYNC_FAILED => {
                let folder = path(record.x);
                self.pending.retain(|(_, naming)| !naming.is_in(&folder));
            }
            RENAME => {
                let Some(&id) = self.cached.get(&path(record.x)) else { return };
                self.named(Naming::Rename(path(record.x), path(record.y), id));
            }
            UNLINK => self.named(Naming::Unlink(path(record.x))),
            LINK => {
                let Some(&id) = self.cached.get(&path(record.x)) else { return };
                self.named(Naming::Create(path(record.y), id));
            }
            MKDIR => self.named(Naming::Folder(path(record.x))),
            RMDIR => self.named(Naming::NoFolder(path(record.x))),
            other => panic!("a record of kind {other}"),
        }
    }

    fn opened(&mut self, inode: u64, path: PathBuf) {
        if is_passing(&path) {
            self.inodes.remove(&inode);
            return;
        }
        let id = self.cached.get(&path).copied().unwrap_or_else(|| {
            self.files.push(Content::default());
            let id = self.files.len() - 1;
            self.named(Naming::Create(path, id));
            id
        });
        self.inodes.insert(inode, id);
    }

    fn changed(&mut self, inode: u64, change: Change) {
        let Some(&id) = self.inodes.get(&inode) else { return };
        let file = &mut self.files[id];
        change.apply(&mut file.cached);
        file.pending.push((self.record, change));
    }

    fn named(&mut self, naming: Naming) {
        naming.apply(&mut self.cached, &mut self.cached_folders);
        self.pending.push((self.record, naming));
    }

    fn sync_begins(&mut self, number: u64, target: Target) {
        self.syncs.insert(number, (target, self.record));
    }

    fn sync_ends(&mut self, number: u64) {
        let Some((target, behind)) = self.syncs.remove(&number) else { return };
        match target {
            Target::Nothing => {}
            Target::File(id) => {
                let Content { durable, pending, .. } = &mut self.files[id];
                let upto = pending.partition_point(|(record, _)| *record < behind);
                pending.drain(..upto).for_each(|(_, change)| change.apply(durable));
            }
            Target::Folder(folder) => {
                for (record, naming) in std::mem::take(&mut self.pending) {
                    if record < behind && naming.is_in(&folder) {
                        naming.apply(&mut self.durable, &mut self.durable_folders);
                    } else {
                        self.pending.push((record, naming));
                    }
                }
            }
        }
    }

    /// Chance decides about all that is not durable.
    pub fn lose_power(&mut self, random: &mut Random) -> Kept {
        let mut kept = Kept { of_names: self.pending.len(), ..Kept::default() };
        let mood = Mood::any(random);
        // Many journals keep the order: then what is lost is the end.
        let cut = (random.below(2) == 0).then(|| random.below(self.pending.len() + 1));
        for (n, (_, naming)) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            let by_chance = cut.map_or_else(|| random.below(2) == 0, |cut| n < cut);
            if mood == Mood::All || mood == Mood::Some && by_chance {
                kept.names += 1;
                naming.apply(&mut self.durable, &mut self.durable_folders);
            }
        }
        for file in &mut self.files {
            let mood = Mood::any(random);
            let has_length = mood == Mood::Some && random.below(8) == 0;
            for (_, change) in std::mem::take(&mut file.pending) {
                kept.of_writes += 1;
                let is_kept = match mood {
                    Mood::Nothing => false,
                    Mood::All => change.apply_all(&mut file.durable),
                    Mood::Some => change.apply_some(&mut file.durable, random),
                };
                kept.writes += usize::from(is_kept);
            }
            if has_length {
                file.durable.resize(file.cached.len(), 0);
            }
        }
        self.begin_anew();
        kept
    }

    /// Nothing of what is not durable is left.
    pub fn lose_all_that_is_not_synced(&mut self) {
        self.pending.clear();
        self.files.iter_mut().for_each(|file| file.pending.clear());
        self.begin_anew();
    }

    /// What is on the disk is what the next process will see.
    fn begin_anew(&mut self) {
        // What is in a folder that is lost is lost with it.
        let Model { root, durable, durable_folders, .. } = self;
        durable.retain(|path, _| {
            let mut folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&root));
            folders.all(|folder| durable_folders.contains(folder))
        });
        self.cached.clone_from(&self.durable);
        self.cached_folders.clone_from(&self.durable_folders);
        self.files.iter_mut().for_each(|file| file.cached.clone_from(&file.durable));
        self.forget_nameless();
    }

    /// What no name is left of costs room here.
    fn forget_nameless(&mut self) {
        let used: BTreeSet<FileId> = self.cached.values().copied().collect();
        for (id, file) in self.files.iter_mut().enumerate() {
            if !used.contains(&id) {
                *file = Content::default();
            }
        }
    }

    /// Makes the folder what a process sees.
    pub fn write_out(&self, root: &Path) {
        for entry in std::fs::read_dir(root).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
        for folder in self.cached_folders.iter().filter(|folder| folder.parent().is_some_and(Path::exists)) {
            if *folder != self.root {
                std::fs::create_dir(folder).unwrap();
            }
        }
        let mut written: HashMap<FileId, &PathBuf> = HashMap::new();
        for (path, id) in &self.cached {
            match written.get(id) {
                Some(first) => std::fs::hard_link(first, path).unwrap(),
                None => std::fs::write(path, &self.files[*id].cached).unwrap(),
            }
            written.insert(*id, path);
        }
    }

    /// What the records say that a process sees is what there is.
    pub fn compare(&self, root: &Path) {
        let there: BTreeSet<PathBuf> = files(root).into_iter().filter(|path| !is_passing(path)).collect();
        let told: BTreeSet<PathBuf> = self.cached.keys().cloned().collect();
        assert_eq!(there, told, "the records tell of other files than there are");
        for (path, id) in &self.cached {
            let is_same = std::fs::read(path).unwrap() == self.files[*id].cached;
            assert!(is_same, "the records tell of other bytes in {}", path.display());
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Truncate(len) => bytes.resize(*len, 0),
            Change::Write(at, new) => {
                bytes.resize(bytes.len().max(at + new.len()), 0);
                bytes[*at..at + new.len()].copy_from_slice(new);
            }
        }
    }

    fn apply_all(&self, bytes: &mut Vec<u8>) -> bool {
        self.apply(bytes);
        true
    }

    /// All of it, some sectors of it, or nothing; whether anything.
    fn apply_some(&self, bytes: &mut Vec<u8>, random: &mut Random) -> bool {
        let fate = random.below(3);
        match (self, fate) {
            (_, 0) => return false,
            (Change::Truncate(_), _) | (_, 1) => self.apply(bytes),
            (Change::Write(at, new), _) => {
                let mut from = 0;
                while from < new.len() {
                    let end = new.len().min(from + SECTOR - (at + from) % SECTOR);
                    if random.below(2) == 0 {
                        Change::Write(at + from, new[from..end].to_vec()).apply(bytes);
                    }
                    from = end;
                }
            }
        }
        true
    }
}

impl Naming {
    fn apply(&self, names: &mut Names, folders: &mut BTreeSet<PathBuf>) {
        match self {
            Naming::Create(path, id) => {
                names.insert(path.clone(), *id);
            }
            Naming::Rename(from, to, id) => {
                if names.get(from) == Some(id) {
                    names.remove(from);
                }
                names.insert(to.clone(), *id);
            }
            Naming::Unlink(path) => {
                names.remove(path);
            }
            Naming::Folder(path) => {
                folders.insert(path.clone());
            }
            Naming::NoFolder(path) => {
                folders.remove(path);
            }
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        match self {
            Naming::Create(path, _)
            | Naming::Unlink(path)
            | Naming::Folder(path)
            | Naming::NoFolder(path) => path.parent() == Some(folder),
            Naming::Rename(from, to, _) => from.parent() == Some(folder) || to.parent() == Some(folder),
        }
    }
}

/// Shared memory, which no process looks at before it has made it anew.
fn is_passing(path: &Path) -> bool {
    path.to_string_lossy().ends_with("-shm")
}

/// The first record that is whole; the last of a process that was killed may not be, and another process goes on behind it.
fn next(log: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let begins = |part: &[u8]| part == BEGIN_MARK;
    let mut log = log;
    loop {
        log = &log[log.windows(BEGIN_MARK.len()).position(begins)? + BEGIN_MARK.len()..];
        if let Some(found) = record(log) {
            return Some(found);
        }
    }
}

fn record(log: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (head, rest) = log.split_at_checked(HEAD)?;
    let number = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
    let size = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap()) as usize;
    let (x, rest) = rest.split_at_checked(size(25))?;
    let (y, rest) = rest.split_at_checked(size(29))?;
    let rest = rest.strip_prefix(END_MARK)?;
    Some((Record { kind: head[0], a: number(1), b: number(9), c: number(17), x, y }, rest))
}

#[test]
fn a_record_that_was_cut_hides_none_of_another_process() {
    let whole = |kind: u8, path: &[u8]| {
        let mut head = [0; HEAD];
        head[0] = kind;
        head[25..29].copy_from_slice(&u32::try_from(path.len()).unwrap().to_ne_bytes());
        [BEGIN_MARK, &head, path, END_MARK].concat()
    };
    let (one, cut, other) = (whole(1, b"one"), whole(2, b"cut"), whole(3, b"other"));
    for n in 0..cut.len() {
        let mut log = &[&one, &cut[..n], &other, &cut[..n]].concat()[..];
        let mut kinds = Vec::new();
        while let Some((record, rest)) = next(log) {
            kinds.push(record.kind);
            log = rest;
        }
        assert_eq!(kinds, [1, 3], "{n}");
    }
}

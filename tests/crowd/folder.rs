//! The data folder of a server that has nothing to do: the database is whole, and it and the files tell the same.

use super::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What there is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Folder {
    pub media: usize,
    /// Files that no row tells of. They cost room and nothing else.
    pub strays: usize,
    pub halves: usize,
}

/// Every row of media has its file, whole, under the name of its digest; every file is whole; what nothing refers to
/// has no row; sums are right. `all`: every page and reference of the database, and every file's bytes.
pub fn check_folder(data: &Path, all: bool) -> Folder {
    let db = rusqlite::Connection::open(data.join("chatwire.db")).unwrap();
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    if all {
        check_database(&db);
    }
    let sum = number("SELECT coalesce(sum(size), 0) FROM (SELECT DISTINCT id, size FROM media)");
    assert_eq!(number("SELECT bytes FROM storage WHERE owner = 0"), sum, "the sum of all media");
    assert_eq!(
        number("SELECT coalesce(sum(bytes), 0) FROM storage WHERE owner <> 0"),
        sum,
        "the sums of users"
    );

    let mut rows = db.prepare("SELECT DISTINCT id, size, path FROM media").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let mut told: BTreeSet<PathBuf> = BTreeSet::new();
    for row in rows {
        let (id, size, path): (Vec<u8>, i64, String) = row.unwrap();
        let path = data.join(path);
        let found = std::fs::metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(found.len(), size.cast_unsigned(), "{}", path.display());
        if all {
            let digest = blake3::hash(&std::fs::read(&path).unwrap());
            assert_eq!(digest.as_bytes()[..], id[..], "{}", path.display());
        }
        told.insert(path);
    }
    let mut strays = 0;
    for file in files(&data.join("media")).into_iter().filter(|file| !told.contains(file)) {
        let name = file.strip_prefix(data.join("media")).unwrap().to_string_lossy().replace('/', "");
        // The server may be clearing up.
        let Ok(bytes) = std::fs::read(&file) else { continue };
        assert_eq!(blake3::hash(&bytes).to_hex().to_string(), name);
        strays += 1;
    }
    until("no temporary file has outlived its server", || files(&data.join("tmp")).is_empty());
    Folder { media: told.len(), strays, halves: files(&data.join("half")).len() }
}

fn check_database(db: &rusqlite::Connection) {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let whole: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    assert!(!db.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap(), "a reference to nothing");
    let unused = "SELECT count(*) FROM media AS m
        WHERE NOT EXISTS (SELECT 1 FROM media_refs AS r WHERE r.media = m.id AND r.kind = m.kind)
          AND NOT EXISTS (SELECT 1 FROM uploads AS u WHERE u.media = m.id AND u.kind = m.kind)";
    assert_eq!(number(unused), 0, "rows of media that nothing refers to");
    let bare = "SELECT count(*) FROM messages AS m WHERE m.kind BETWEEN 1 AND 5
          AND NOT EXISTS (SELECT 1 FROM media_refs AS r WHERE r.message = m.id)";
    assert_eq!(number(bare), 0, "messages without their media");
}

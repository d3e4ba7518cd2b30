//! Data of earlier versions.

use super::*;
use crate::store::sqlite::open;
use rusqlite::Connection;

/// As the first version had it.
const FIRST: &str = include_str!("schema-1.sql");

/// All that a schema consists of, without remarks and however it is laid out.
fn shape(db: &Connection) -> Vec<String> {
    let mut objects = db
        .prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'words_%' ORDER BY type, name")
        .unwrap();
    let objects = objects.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let mut shape = Vec::new();
    for (kind, name, sql) in objects.map(rusqlite::Result::<(String, String, String)>::unwrap) {
        let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
        let sql: String = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
        if kind != "table" {
            shape.push(format!("{kind} {name}: {sql}"));
            continue;
        }
        // A column that was added later stands elsewhere in the text.
        let mut columns =
            db.prepare("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?1)").unwrap();
        let columns = columns.query_map([&name], |row| {
            let (column, kind): (String, String) = (row.get(0)?, row.get(1)?);
            let (not_null, default, key): (bool, Option<String>, u32) =
                (row.get(2)?, row.get(3)?, row.get(4)?);
            Ok(format!("table {name}: {column} {kind} {not_null} {default:?} {key}"))
        });
        shape.extend(columns.unwrap().map(Result::unwrap));
    }
    shape
}

#[test]
fn data_of_the_first_version_becomes_as_new_data_is() {
    let rig = Rig::new();
    let dir = tempfile::tempdir().unwrap();
    let old = Connection::open(open::database(dir.path())).unwrap();
    old.execute_batch(FIRST).unwrap();
    old.execute_batch(
        "INSERT INTO meta VALUES ('epoch', 77);
         INSERT INTO users (id, kind, name, name_key, created_at, last_seen) VALUES (2, 1, 'Ann', 'ann', 5, 6);
         INSERT INTO tokens VALUES (zeroblob(32), 2, 'phone', 5, 6);
         INSERT INTO chats (id, kind, low, high, created_at) VALUES (2, 0, 1, 2, 5);
         INSERT INTO members (chat, user, joined_at) VALUES (2, 2, 5);
         INSERT INTO messages (id, at, user, kind, body) VALUES (2 << 32 | 1, 6, 2, 0, 'a needle');
         PRAGMA user_version = 1;",
    )
    .unwrap();
    let rig_of_old = Rig::on(dir, rig.now.clone());
    rig_of_old.start();
    assert_eq!(shape(&rig_of_old.other()), shape(&rig.other()));
    assert_eq!(rig_of_old.store.epoch(), 77);
    let mut rig = rig_of_old;
    let (ann, home) = (UserId(2), ChatId(2));
    assert_eq!(rig.texts(ann, "needle"), ["a needle"]);
    assert_eq!(rig.login(rig.token(0), "phone", 1).unwrap_err().code, Code::Unauthenticated);
    rig.other().execute("UPDATE users SET password = 'hash' WHERE id = 2", []).unwrap();
    let back = rig.login(Who::Password { user: ann, hash: "hash".into() }, "phone", 1).unwrap();
    assert_eq!((back.home, back.chats.len()), (home, 2));
}

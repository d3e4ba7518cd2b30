//! The house rules that a machine can hold: who may import whom, who may ask for the time, where SQL stands,
//! how long a file may be, and what tests may not do. Each test names every place that breaks its rule.

#![allow(clippy::unwrap_used)]

#[path = "tidy/source.rs"]
mod source;

use source::{Source, all, names};
use std::path::Path;

/// Who, whom they may not name, and except for what.
struct ImportRule {
    who: &'static str,
    may_not_name: &'static [&'static str],
    but_for: &'static [&'static str],
}

/// The page "Who may import whom".
const IMPORT_RULES: &[ImportRule] = &[
    // Sans-IO: the time is an argument, so its type is known, and whoever asks for it is not.
    ImportRule {
        who: "src/session",
        may_not_name: &[
            "tokio",
            "rusqlite",
            "r2d2",
            "std::net",
            "std::fs",
            "std::thread",
            "crate::hub",
            "crate::connection",
            "crate::store::sqlite",
            "crate::clock",
        ],
        but_for: &["crate::clock::Now"],
    },
    ImportRule {
        who: "src/store",
        may_not_name: &["tokio", "std::net", "crate::session", "crate::hub", "crate::connection"],
        but_for: &[],
    },
    ImportRule { who: "src/hub", may_not_name: &["rusqlite", "r2d2", "crate::store::sqlite"], but_for: &[] },
    // Pure.
    ImportRule {
        who: "src/policy",
        may_not_name: &[
            "tokio",
            "std::net",
            "std::fs",
            "crate::clock",
            "crate::store",
            "crate::session",
            "crate::hub",
        ],
        but_for: &[],
    },
    // Bytes <-> frames: no I/O, no clock, no chat.
    ImportRule {
        who: "codec/src",
        may_not_name: &["std::net", "std::fs", "std::thread", "std::time", "chatwire", "chatwire_client"],
        but_for: &[],
    },
    ImportRule { who: "client/src", may_not_name: &["chatwire", "rusqlite"], but_for: &[] },
    // Sees what is there, not what the server or the client library makes of it.
    ImportRule { who: "wire/src", may_not_name: &["chatwire", "chatwire_client", "tokio"], but_for: &[] },
];

/// The only file of the server and the codec that may ask for the time.
const CLOCK: &str = "src/clock.rs";

/// The only folder with SQL, beside schema.sql.
const SQL: &str = "src/store/sqlite";

/// Files are shorter than this.
const MAX_LINES: usize = 500;

/// Files that may be longer, and why. None but a table that grows by entries.
const LONG: &[(&str, &str)] = &[("codec/src/frame.rs", "THE table: one entry for every frame type")];

/// Fails with every breach, a line each.
#[track_caller]
fn none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn nobody_imports_whom_they_may_not() {
    let mut breaches = Vec::new();
    for source in all() {
        let mut paths = source.paths();
        for rule in IMPORT_RULES.iter().filter(|rule| source.is_in(rule.who)) {
            paths.retain(|path| !rule.but_for.contains(&&**path));
            for stranger in rule.may_not_name {
                if let Some(path) = names(&paths, stranger) {
                    breaches.push(format!("{}: {} may not name {path}", source.path, rule.who));
                }
            }
        }
    }
    none(&breaches);
}

#[test]
fn the_crates_depend_downwards_only() {
    let ours = |manifest| {
        let names = dependencies(manifest).into_iter();
        names.filter(|name| name.starts_with("chatwire")).collect::<Vec<_>>()
    };
    assert_eq!(ours("codec/Cargo.toml"), [""; 0], "the codec knows nobody");
    assert_eq!(ours("client/Cargo.toml"), ["chatwire-codec"], "the client knows the codec only");
    assert_eq!(ours("wire/Cargo.toml"), ["chatwire-codec"], "the tools know the codec only");
    assert_eq!(ours("Cargo.toml"), ["chatwire-codec"], "the server knows the codec only");
}

#[test]
fn the_codec_has_no_runtime() {
    assert!(!dependencies("codec/Cargo.toml").iter().any(|name| name == "tokio" || name == "mio"));
}

/// What a manifest names as dependencies, but for those of tests.
fn dependencies(manifest: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest);
    let manifest: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
}

#[test]
fn only_the_clock_asks_for_the_time() {
    let asks = ["SystemTime::now", "Instant::now", "Utc::now", "Local::now", ".elapsed()"];
    let mut breaches = Vec::new();
    for source in all().iter().filter(|s| s.is_in("src") || s.is_in("codec/src")) {
        for ask in asks.iter().filter(|ask| source.path != CLOCK && source.code.contains(**ask)) {
            breaches.push(format!("{}: {ask} belongs into {CLOCK}", source.path));
        }
    }
    none(&breaches);
}

#[test]
fn sql_stands_in_the_sqlite_store_only() {
    let mut breaches = Vec::new();
    for source in all().iter().filter(|s| ["src", "codec/src", "client/src"].iter().any(|home| s.is_in(home)))
    {
        for text in source.strings.iter().filter(|text| !source.is_in(SQL) && is_sql(text)) {
            breaches.push(format!("{}: SQL belongs into {SQL}: {text}", source.path));
        }
    }
    none(&breaches);
}

fn is_sql(text: &str) -> bool {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let begins = [
        "insert into ",
        "insert or ",
        "delete from ",
        "create table ",
        "create index ",
        "drop table ",
        "pragma ",
    ];
    begins.iter().any(|begin| text.starts_with(begin))
        || (text.starts_with("select ") && (text.contains(" from ") || text.ends_with(" from")))
        || (text.starts_with("update ") && (text.contains(" set ") || text.ends_with(" set")))
}

#[test]
fn every_file_is_short() {
    let mut breaches = Vec::new();
    let files = all();
    for source in &files {
        let lines = source.text.lines().count();
        let may_be_long = LONG.iter().any(|(path, _)| *path == source.path);
        if lines >= MAX_LINES && !may_be_long {
            breaches.push(format!("{}: {lines} lines; a noun is missing", source.path));
        }
        if lines < MAX_LINES && may_be_long {
            breaches.push(format!("{}: is short by now; take it off the list", source.path));
        }
    }
    none(&breaches);
}

#[test]
fn every_module_says_what_it_is_for() {
    let homes = ["src", "codec/src", "client/src", "wire/src", "wire/tests", "tests"];
    let is_mute = |s: &&Source| homes.iter().any(|home| s.is_in(home)) && !s.text.starts_with("//! ");
    let breaches: Vec<_> =
        all().iter().filter(is_mute).map(|s| format!("{}: does not begin with //!", s.path)).collect();
    none(&breaches);
}

#[test]
fn no_test_is_left_out() {
    let left_out = |source: &&Source| source.code.contains("#[ignore") || source.tests.contains("#[ignore");
    let breaches: Vec<_> =
        all().iter().filter(left_out).map(|s| format!("{}: a test is ignored", s.path)).collect();
    none(&breaches);
}

#[test]
fn no_test_sleeps() {
    let sleeps = ["std::thread::sleep", "thread::sleep", "tokio::time::sleep", "time::sleep"];
    let mut breaches = Vec::new();
    for source in all() {
        let paths = source.test_paths();
        if let Some(path) = sleeps.iter().find_map(|sleep| names(&paths, sleep)) {
            breaches.push(format!("{}: {path}: wait for what is to happen, not for a time", source.path));
        }
    }
    none(&breaches);
}

#[test]
fn the_scan_sees_through_use_trees_comments_and_literals() {
    let text = r##"
        use crate::{hub::{self, Hub as H}, store::sqlite::Db, id::*};
        use super::super::clock;
        fn a<'a>(x: &'a str) -> char { tokio::spawn(x); self::b::c(); '"' }
        // use rusqlite::Connection;
        const S: &str = "std::net \" // SELECT";
        const R: &str = r#"rusqlite::"x""#;
        #[cfg(test)]
        mod elsewhere;
        #[cfg(test)]
        #[allow(dead_code)]
"##;
    let text = format!("{}mod tests {{\nuse std::thread::sleep; }}", text.replace("\n        ", "\n"));
    let source = Source::new("src/session/timers.rs".into(), text);
    let paths = source.paths();
    for path in
        ["crate::hub", "crate::hub::Hub", "crate::store::sqlite", "crate::id", "crate::clock", "tokio"]
    {
        assert!(names(&paths, path).is_some(), "{path} is not in {paths:?}");
    }
    assert!(names(&paths, "crate::session::timers::b::c").is_some(), "{paths:?}");
    for path in ["rusqlite", "std::net", "std::thread", "crate::hu", "use"] {
        assert!(names(&paths, path).is_none(), "{path} is in {paths:?}");
    }
    assert_eq!(source.strings, ["std::net \\\" // SELECT", "rusqlite::\"x\""]);
    assert!(names(&source.test_paths(), "std::thread::sleep").is_some());
    assert!(is_sql("\n  SELECT a\n FROM b") && is_sql("update x set y = 1") && !is_sql("select one of them"));
}

//! Settings, as an operator meets them: the binary's command line, and the order of the sources.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use chatwire::config::settings::{From, SETTINGS, Setting, Takes};
use chatwire::config::{AssistantKind, Config, Durability, Sources};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Sources with a file of this text (kept as long as the folder), these variables and these `--set`s.
fn sources(folder: &Path, file: &str, variables: &[(&str, &str)], set: &[(&str, &str)]) -> Sources {
    let path = folder.join("chatwire.toml");
    std::fs::write(&path, file).unwrap();
    Sources {
        file: Some(path),
        variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        flags: set.iter().map(|(key, value)| ("--set", (*key).into(), (*value).into())).collect(),
    }
}

#[track_caller]
fn taken(file: &str, variables: &[(&str, &str)], set: &[(&str, &str)]) -> Config {
    let folder = tempfile::tempdir().unwrap();
    sources(folder.path(), file, variables, set).load().unwrap_or_else(|error| panic!("{error}")).config
}

/// What is said of settings that are wrong, a line a problem.
#[track_caller]
fn refused(file: &str, variables: &[(&str, &str)], set: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let error = sources(folder.path(), file, variables, set).load().expect_err("it was taken");
    error.problems.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn set_is_refused(key: &str, value: &str, says: &str) {
    let lines = refused("", &[], &[(key, value)]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [key, value, "--set", "accepted: ", says] {
        assert!(lines[0].contains(part), "{key}: `{part}` is not in: {}", lines[0]);
    }
}

fn chatwire(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatwire"));
    command.env_clear().args(args);
    command
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let config = taken("", &[], &[]);
    assert_eq!(config, Config::default());
    assert_eq!(config.data, Path::new("./chatwire-data"));
    assert_eq!((config.listen_tcp, config.listen_tls), ("127.0.0.1:8000".parse().ok(), None));
    assert_eq!((config.durability, config.assistant), (Durability::Full, AssistantKind::Builtin));
    assert!(config.policy.guests && config.policy.registration && !config.policy.plaintext_secrets);
    assert_eq!(config.policy.zones.to_string(), "*");
    assert_eq!(config.policy.hours.to_string(), "00:00-24:00");
    let limits = &config.limits;
    assert_eq!((limits.connections, limits.connections_per_user), (10_000, 20));
    assert_eq!((limits.connections_per_address, limits.messages_per_sec), (0, 0));
    let newcomers = &limits.newcomers;
    assert_eq!((newcomers.guests_per_minute, newcomers.registrations_per_hour), (60, 20));
    assert_eq!(newcomers.exempt.to_string(), "127.0.0.0/8,::1");
    assert_eq!((limits.wait, limits.messages_in_flight), (Duration::from_secs(5), 4096));
    assert_eq!((limits.text_bytes, limits.media_bytes), (65_536, 1 << 30));
    assert_eq!((limits.storage.all, limits.storage.own), (0, 0));
    let timing = &config.timing;
    let secs = [timing.heartbeat, timing.hello, timing.frame, timing.stall].map(|time| time.as_secs());
    assert_eq!(secs, [30, 10, 30, 300]);
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let file = "[limits]\nconnections = 1\nconnections_per_user = 1\ntext_bytes = 1";
    let variables = [("CHATWIRE_LIMITS_CONNECTIONS_PER_USER", "2"), ("CHATWIRE_LIMITS_TEXT_BYTES", "2")];
    let limits = taken(file, &variables, &[("limits.text_bytes", "3")]).limits;
    assert_eq!((limits.connections, limits.connections_per_user, limits.text_bytes), (1, 2, 3));
    assert_eq!(limits.messages_in_flight, 4096);
}

#[test]
fn of_two_flags_the_last_counts() {
    let config = taken("", &[], &[("limits.connections", "1"), ("limits.connections", "2")]);
    assert_eq!(config.limits.connections, 2);
}

#[test]
fn a_file_has_tables_or_dotted_keys() {
    let tables =
        "[policy]\nguests = false\ntimezones = ['Asia/*', 'Etc/UTC']\n[timing]\nheartbeat_secs = 0.2";
    let dotted = "policy.guests = false\npolicy.timezones = 'Asia/*,Etc/UTC'\ntiming.heartbeat_secs = '0.2'";
    let config = taken(tables, &[], &[]);
    assert_eq!(config, taken(dotted, &[], &[]));
    assert_eq!(config.timing.heartbeat, Duration::from_millis(200));
    assert_eq!(config.policy.zones.to_string(), "Asia/*,Etc/UTC");
}

#[test]
fn sizes_may_have_a_unit() {
    let config = taken("limits.text_bytes = '64KiB'", &[], &[("limits.media_bytes", "2GiB")]);
    assert_eq!((config.limits.text_bytes, config.limits.media_bytes), (64 << 10, 2 << 30));
}

#[test]
fn values_out_of_bounds_are_refused() {
    for (key, value) in [
        ("limits.text_bytes", "0"),
        ("limits.text_bytes", "1048577"),
        ("limits.media_bytes", "4294967296"),
        ("limits.media_bytes", "4GiB"),
        ("limits.connections", "0"),
        ("limits.connections", "1000001"),
        ("limits.messages_in_flight", "0"),
        ("timing.heartbeat_secs", "3601"),
        ("timing.heartbeat_secs", "0"),
        ("limits.wait_secs", "-1"),
    ] {
        set_is_refused(key, value, "out of bounds");
    }
}

#[test]
fn values_of_another_kind_are_refused() {
    for (key, value) in [
        ("limits.connections", "many"),
        ("limits.text_bytes", "64kb"),
        ("timing.stall_secs", "5min"),
        ("policy.guests", "yes"),
        ("listen.tcp", "8000"),
        ("listen.tcp", "localhost:8000"),
        ("listen.tls", "on"),
        ("limits.exempt_addresses", "localhost"),
        ("store.durability", "some"),
        ("assistant.kind", "http"),
        ("policy.timezones", "Asien/*"),
        ("policy.hours", "9-17"),
    ] {
        set_is_refused(key, value, ": ");
    }
    set_is_refused("data", "", "not a path");
}

#[test]
fn a_file_has_numbers_where_numbers_belong() {
    for (line, key) in [
        ("data = 5", "data"),
        ("policy.guests = 1", "policy.guests"),
        ("limits.connections = true", "limits.connections"),
        ("limits.text_bytes = [1]", "limits.text_bytes"),
        ("policy.timezones = [1]", "policy.timezones"),
        ("listen.tcp = {}", "listen.tcp"),
    ] {
        let lines = refused(line, &[], &[]);
        assert!(lines.len() == 1 && lines[0].contains(&format!("{key} = ")), "{lines:?}");
    }
}

#[test]
fn a_feature_that_is_missing_is_refused_and_its_absence_taken() {
    assert_eq!(taken("", &[], &[("listen.http", "off")]), Config::default());
    set_is_refused("listen.http", "127.0.0.1:8080", "cannot do that yet");
}

#[test]
fn storage_may_be_as_large_as_any_disk() {
    let file = "[limits]\nstorage_bytes = \"20GiB\"\nstorage_bytes_per_user = 5000000000";
    let storage = taken(file, &[], &[]).limits.storage;
    assert_eq!((storage.all, storage.own), (20 << 30, 5_000_000_000));
    set_is_refused("limits.storage_bytes", "-1", "not a whole number");
    set_is_refused("limits.storage_bytes", "9223372036854775808", "out of bounds");
}

#[test]
fn a_door_over_tls_takes_a_certificate_and_its_key() {
    for (set, at_fault, lacks) in [
        (&[("listen.tls", "[::1]:0")][..], "listen.tls", "tls.cert"),
        (&[("listen.tls", "[::1]:0"), ("tls.cert", "c")], "listen.tls", "tls.key"),
        (&[("tls.cert", "c")], "tls.cert", "tls.key"),
        (&[("tls.key", "k")], "tls.key", "tls.cert"),
    ] {
        let lines = refused("", &[], set);
        let start = format!("--set: {at_fault} = ");
        let is_right = lines.len() == 1 && lines[0].starts_with(&start);
        assert!(is_right && lines[0].contains(&format!("{lacks} is missing")), "{lines:?}");
    }
    let config = taken("", &[], &[("listen.tls", "[::1]:0"), ("tls.cert", "c"), ("tls.key", "k")]);
    assert_eq!(config.listen_tls, "[::1]:0".parse().ok());
    assert_eq!(taken("", &[], &[("listen.tcp", "off")]).listen_tcp, None);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let lines = refused("[limits]\ntext_byte = 1", &[("CHATWIRE_DTAA", "x")], &[("limit.connections", "1")]);
    let ends = ["`limits.text_bytes`", "`CHATWIRE_DATA`", "`limits.connections`"];
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, end) in lines.iter().zip(ends) {
        assert!(line.contains("unknown setting") && line.ends_with(end), "{line}");
    }
}

#[test]
fn a_variable_that_is_none_of_ours_is_left_alone() {
    let variables =
        [("CHATWIRE_SERVICE_HOST", "x"), ("CHATWIRE_PORT", "x"), ("CHATWIRE_LOG", "x"), ("PATH", "x")];
    assert_eq!(taken("", &variables, &[]), Config::default());
    assert_eq!(refused("", &[("CHATWIRE_LIMITS_X", "1")], &[]).len(), 1);
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_where_it_stands() {
    let lines = refused(
        "limits.connections = 0",
        &[("CHATWIRE_LIMITS_TEXT_BYTES", "0")],
        &[("data", ""), ("policy.hours", "x")],
    );
    assert_eq!(lines.len(), 4, "{lines:?}");
    for part in
        ["chatwire.toml: limits.connections", "CHATWIRE_LIMITS_TEXT_BYTES: limits.text_bytes", "--set: data"]
    {
        assert!(lines.iter().any(|line| line.contains(part)), "{part} is not in {lines:?}");
    }
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_refused() {
    let missing = Sources { file: Some("/nowhere/chatwire.toml".into()), ..Sources::default() };
    assert!(missing.load().unwrap_err().to_string().starts_with("/nowhere/chatwire.toml: cannot read it"));
    let lines = refused("data = 'x'\nlimits.connections = = 1", &[], &[]);
    assert!(lines.len() == 1 && lines[0].contains("chatwire.toml: line 2: "), "{lines:?}");
}

#[test]
fn what_config_prints_is_a_file_that_asks_for_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let set = [
        ("data", "a \"quoted\" folder # 1"),
        ("policy.timezones", "Asia/*,Etc/UTC"),
        ("policy.hours", "08:00-12:00,22:00-02:00"),
        ("timing.frame_secs", "0.25"),
        ("limits.text_bytes", "1MiB"),
        ("store.durability", "normal"),
        ("assistant.kind", "echo"),
        ("policy.guests", "false"),
        ("listen.tcp", "off"),
        ("listen.tls", "[::1]:0"),
        ("tls.cert", "a cert.pem"),
        ("tls.key", "key.pem"),
        ("limits.exempt_addresses", "192.0.2.0/24,2001:db8::7"),
    ];
    let loaded = sources(folder.path(), "", &[], &set).load().unwrap();
    let again = sources(folder.path(), &loaded.to_toml(), &[], &[]).load().unwrap();
    assert_eq!(again.config, loaded.config);
    for setting in SETTINGS {
        assert!(again.to_toml().contains(&format!("\n{} = ", setting.key)), "{}", setting.key);
    }
}

#[test]
fn config_says_where_each_value_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("of.toml");
    std::fs::write(&file, "limits.connections = 7").unwrap();
    let mut command = chatwire(&["config", "--listen", "127.0.0.1:9", "--set", "timing.hello_secs=2"]);
    command.arg("--config").arg(&file).env("CHATWIRE_DATA", "elsewhere");
    let (code, stdout, stderr) = output(&mut command);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for line in [
        "data = \"elsewhere\" # CHATWIRE_DATA",
        "listen.tcp = \"127.0.0.1:9\" # --listen",
        "timing.hello_secs = 2 # --set",
        &format!("limits.connections = 7 # {}", file.display()),
        "limits.text_bytes = 65536 # default",
    ] {
        assert!(stdout.lines().any(|printed| printed == line), "`{line}` is not in:\n{stdout}");
    }
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("of.toml");
    std::fs::write(&file, "limits.connections = 7").unwrap();
    let (code, stdout, _) = output(chatwire(&["config"]).env("CHATWIRE_CONFIG", &file));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("\nlimits.connections = 7 # "), "{stdout}");
}

#[test]
fn wrong_settings_end_with_2_and_plain_words() {
    for args in [
        &["--set", "limits.connection=1"][..],
        &["serve", "--set", "limits.connection=1"],
        &["config", "--set", "limits.connection=1"],
    ] {
        let (code, stdout, stderr) = output(&mut chatwire(args));
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(stderr.starts_with("chatwire: --set: unknown setting `limits.connection`"), "{stderr}");
    }
    for args in [&["serve", "--nonsense"][..], &["nonsense"], &["--set", "x"]] {
        assert_eq!(output(&mut chatwire(args)).0, Some(2), "{args:?}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let (code, stdout, _) = output(&mut chatwire(&["--version"]));
    assert_eq!((code, stdout.trim()), (Some(0), concat!("chatwire ", env!("CARGO_PKG_VERSION"))));
    let (code, stdout, _) = output(&mut chatwire(&["--help"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("serve") && stdout.contains("config"), "{stdout}");
}

#[test]
fn the_operators_page_has_every_setting_and_its_default() {
    let page = include_str!("../docs/OPERATING.md");
    let settings = page.split("\n## ").find(|section| section.starts_with("Settings\n")).unwrap();
    let rows: Vec<_> = settings.lines().filter_map(row).collect();
    let table: Vec<_> = SETTINGS.iter().map(|Setting { key, default, .. }| (*key, *default)).collect();
    assert_eq!(rows, table);
}

#[test]
fn the_operators_page_says_what_needs_a_restart() {
    let page = include_str!("../docs/OPERATING.md");
    let says = page.split_once("take effect at the next start:").unwrap().1;
    let says = says.split_once(". ").unwrap().0;
    let keys: Vec<_> = says.split('`').skip(1).step_by(2).collect();
    let table = SETTINGS.iter().filter(|setting| setting.from == From::Start && !is_not_yet(setting));
    assert_eq!(keys, table.map(|setting| setting.key).collect::<Vec<_>>());
}

fn is_not_yet(setting: &Setting) -> bool {
    matches!(setting.takes, Takes::NotYet(_))
}

/// Key and default of a row of the page's table.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix("| `")?.split('|').map(|cell| cell.trim().trim_matches('`'));
    Some((cells.next()?, cells.next()?))
}

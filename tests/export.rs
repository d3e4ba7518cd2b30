//! `chatwire export`: everything but secrets, in lines that a few lines of Python read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::*;

fn to(chat: u64) -> To<'static> {
    To { chat, ..To::default() }
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("export.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn export(server: &Server, folder: &Path) -> (bool, String) {
    server.operator(&format!("export {}", folder.display()), "")
}

/// What docs/OPERATING.md shows.
fn script() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/OPERATING.md");
    let page = fs::read_to_string(page).unwrap();
    let script = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    script.to_owned()
}

#[test]
fn everything_but_secrets_is_there_for_others_to_read() {
    let server = Server::start();
    server.operate("user add ann", "very secret\n");
    let hello = Hello { user: "ann", auth: 1, secret: "very secret", device: "phone", ..Hello::default() };
    let mut ann = Peer::hello(&server, hello);
    let me = ann.me().user;
    let crew = ann.create("the crew \u{2603}");
    ann.say(to(crew), "hello \"there\"\nand 東京");
    ann.say(To { reply_to: 1, ..to(crew) }, "to be removed");
    ann.body_to(To { name: "a.png", ..to(crew) }, kind::IMAGE, &sample("image.png"));
    ann.expect_status(0);
    let digest = blake3::hash(&sample("image.png"));
    ann.send_bytes(
        &[
            bytes_of(To { reply_to: 1, ..to(crew) }),
            bytes_of(Media { media_kind: 4, media: *digest.as_bytes(), ..Media::default() }),
        ]
        .concat(),
    );
    ann.expect_status(0);
    ann.send(Delete { req: 9, chat: crew, seq: 2 });
    ann.expect::<Deleted>();
    ann.read(crew, 3);
    let folder = tempfile::tempdir().unwrap();
    let (succeeded, said) = export(&server, folder.path());
    assert!(succeeded && said.contains("2 users, 3 chats, 1 members, 4 messages"), "{said}");

    let lines = lines(folder.path());
    let (first, last) = (&lines[0], lines.last().unwrap());
    assert_eq!(
        (&first["type"], &first["format"], &first["version"]),
        (&"export".into(), &"chatwire-export".into(), &1.into())
    );
    assert_eq!((&last["type"], &last["messages"], &last["missing"]), (&"end".into(), &4.into(), &0.into()));
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    let user = of("user")[1];
    assert_eq!(
        (&user["id"], &user["kind"], &user["name"]),
        (&me.into(), &"registered".into(), &"ann".into())
    );
    let chat = of("chat").into_iter().find(|chat| chat["id"] == crew).unwrap();
    assert_eq!(
        (&chat["kind"], &chat["name"], &chat["last_seq"]),
        (&"group".into(), &"the crew \u{2603}".into(), &4.into())
    );
    let home = of("chat").into_iter().find(|chat| chat["kind"] == "home").unwrap();
    assert_eq!(home["users"], serde_json::json!([1, me]));
    let member = of("member")[0];
    assert_eq!(
        (&member["user"], &member["is_owner"], &member["read_seq"]),
        (&me.into(), &true.into(), &3.into())
    );
    let messages = of("message");
    let kinds: Vec<_> = messages.iter().map(|message| message["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["text", "gone", "image", "file"]);
    assert_eq!((&messages[0]["text"], &messages[0]["seq"]), (&"hello \"there\"\nand 東京".into(), &1.into()));
    assert_eq!((&messages[1]["text"], &messages[1]["reply_to"]), (&"".into(), &1.into()));
    assert_eq!(messages[2]["name"], "a.png");
    let piece = &messages[2]["media"][0];
    assert_eq!((&piece["digest"], &piece["mime"]), (&digest.to_string().into(), &"image/png".into()));
    assert!(fs::read(folder.path().join(piece["file"].as_str().unwrap())).unwrap() == sample("image.png"));
    assert_eq!(messages[3]["media"][0]["file"], piece["file"], "once, whatever kinds it is of");
    assert_eq!(files(folder.path()).len(), 2);
    let all = fs::read_to_string(folder.path().join("export.jsonl")).unwrap();
    for secret in ["argon2", "very secret", ann.me().token, "phone"] {
        assert!(secret.is_empty() || !all.contains(secret), "{secret} was exported");
    }

    let output = Command::new("python3").arg("-c").arg(script()).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && said.contains("ann: hello \"there\""), "{said}");
    assert!(said.contains(&format!("ann: [image a.png] {}", piece["file"].as_str().unwrap())), "{said}");
}

#[test]
fn what_is_not_whole_is_not_called_so() {
    let server = Server::start();
    let mut ann = Peer::guest(&server);
    ann.body_to(to(1), kind::FILE, b"about to be lost");
    ann.expect_status(0);
    let folder = tempfile::tempdir().unwrap();
    assert!(export(&server, folder.path()).0);
    let (succeeded, said) = export(&server, folder.path());
    assert!(!succeeded && said.contains("there is something in this folder already"), "{said}");
    let lost = files(&server.data().join("media"));
    fs::remove_file(&lost[0]).unwrap();
    let other = folder.path().join("other");
    let (succeeded, said) = export(&server, &other);
    assert!(
        !succeeded && said.contains("1 files of media are missing") && said.contains("`chatwire check`"),
        "{said}"
    );
    assert_eq!(lines(&other).last().unwrap()["missing"], 1);
}

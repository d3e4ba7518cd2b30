//! Many who want much at once, and one who wants little: the one is served as if the many were few.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{ErrorKind, Write};
use support::*;

/// No live messages.
const QUIET: Hello<'static> =
    Hello { version: 0, timezone: "", user: "", auth: 0, secret: "", device: "", inline_limit: 0, flags: 1 };

#[test]
fn who_sends_one_text_at_a_time_waits_for_few_of_those_who_send_as_fast_as_they_can() {
    const FLOODS: usize = 40;
    let mut server = Server::with(&[("store.durability", "normal")]);
    server.may_log_errors();
    let texts = bytes_of(Text { text: "one of many" }).repeat(5000);
    let mut floods: Vec<Peer> = (0..FLOODS).map(|_| Peer::hello(&server, QUIET).without_members()).collect();
    for flood in &mut floods {
        flood.join("harbour");
    }
    let threads: Vec<_> = floods
        .iter()
        .map(|flood| {
            let (mut socket, texts) = (flood.sender(), texts.clone());
            std::thread::spawn(move || while socket.write_all(&texts).is_ok() {})
        })
        .collect();
    let mut aya = Peer::hello(&server, QUIET).without_members();
    let mut told = vec![aya.join("harbour").last_seq];
    for n in 1..=60 {
        told.push(aya.say(To { nonce: n, room: "harbour", ..To::default() }, "hello").seq);
    }
    let mut passed: Vec<u64> = told.windows(2).map(|two| two[1] - two[0]).collect();
    passed.sort_unstable();
    assert!(told[60] > 1000, "there is no flood");
    // Each flood may have 1024 under way, all together 4096. The median, since on a busy machine this test stands still
    // at times, and floods do not.
    assert!(passed[30] < 1024, "{passed:?} of them came before each text");
    server.kill();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn large_frames_that_stand_still_take_only_so_much_memory_and_others_are_served() {
    const MANY: usize = 900;
    const LARGE: usize = 60_000;
    let server = Server::with(&[("timing.frame_secs", "300")]);
    let mut aya = Peer::guest(&server);
    let before = server.resident();
    let half = &bytes_of(Text { text: &"a".repeat(LARGE + 100) })[..LARGE];
    let mut many: Vec<Peer> = (0..MANY)
        .map(|_| {
            let mut peer = Peer::guest(&server);
            // Who is refused at once may be gone before all is said.
            let _ = peer.try_send_bytes(half);
            peer
        })
        .collect();
    aya.text(&"a".repeat(10_000));
    aya.expect_status(0);
    let refused = many.last_mut().unwrap().expect_error(Code::Busy, 0, NOTHING);
    assert!(refused.retry_ms > 0);
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 100 << 20, "it grew by {grown} bytes");
    // Those that were there before are not hurt.
    let first = &mut many[0];
    first.send_bytes(&[b'a'; 100]);
    first.send_bytes(&[b'a'; 5]);
    first.expect_status(0);
}

#[test]
#[cfg(target_os = "linux")]
fn of_what_a_client_does_not_read_the_system_keeps_little() {
    const MOST: usize = 512 * 1024;
    let server = Server::start();
    let deaf = Peer::hello(&server, QUIET);
    let (mut socket, pings) = (deaf.sender(), bytes_of(Ping { bytes: &[7; 64] }).repeat(1000));
    socket.set_write_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut said = 0;
    // Until nothing is taken though something waits to be read: on a busy machine the server may only be slow.
    let unsent = loop {
        match socket.write(&pings[said..]) {
            Ok(n) => said = (said + n) % pings.len(),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::WouldBlock);
                match unsent_to(port) {
                    0 => {}
                    unsent => break unsent,
                }
            }
        }
    };
    assert!(unsent < MOST, "{unsent} bytes");
}

/// What the system has for whoever has this port, and what is under way to them, of the other end's bytes.
#[cfg(target_os = "linux")]
fn unsent_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.into_iter().find(|fields| fields[2].ends_with(&port)).unwrap();
    usize::from_str_radix(line[4].split(':').next().unwrap(), 16).unwrap()
}

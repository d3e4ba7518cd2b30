//! SIGKILL in the middle of everything: what was confirmed is there, once, and nothing is there twice
//! (sections 3.3 and 3.4 of docs/PROTOCOL.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crowd;
mod support;

use crowd::*;
use support::*;

/// Rounds of a run, unless the variable says otherwise.
const ROUNDS: usize = 50;
const ROUNDS_VARIABLE: &str = "CHATWIRE_CRASH_ROUNDS";
/// After so many rounds everything is compared, not only what is new.
const ALL_EVERY: usize = 10;

fn rounds() -> usize {
    std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"))
}

#[test]
#[allow(clippy::print_stdout, reason = "what was done is for who runs it by hand")]
fn nothing_is_lost_or_stored_twice_over_any_number_of_crashes() {
    let mut random = random::Random::new();
    let mut server = Server::start();
    server.keep_data_of_a_failure();
    let mut crowd = Crowd::new(&server);
    let epoch = Peer::guest(&server).me().epoch;
    let (rounds, mut folder) = (rounds(), Folder::default());
    for round in 1..=rounds {
        let enough = random.number() % 400;
        crowd.load_and_kill(&mut server, &mut random, enough);
        server.start_again();
        assert_eq!(Peer::guest(&server).me().epoch, epoch);
        let all = round.is_multiple_of(ALL_EVERY) || round == rounds;
        crowd.check(&server, all);
        folder = check_folder(server.data(), all);
    }
    println!("{rounds} crashes: {:?}, {} comparisons, {folder:?}", crowd.totals(), crowd.compared);
    assert_eq!(crowd.totals().unanswered, 0);
}

#[test]
fn what_a_reader_has_seen_is_there_behind_the_crash() {
    let mut server = Server::start();
    for _ in 0..3 {
        let mut writer = Peer::hello(&server, Hello { flags: 1, ..Hello::default() });
        let mut reader = Peer::guest(&server);
        let mut back = Vec::new();
        let text =
            |n: u64| [bytes_of(To { chat: 1, ..To::default() }), bytes_of(Text { text: &n.to_string() })];
        writer.send_bytes(&(0..3000).flat_map(text).collect::<Vec<_>>().concat());
        while back.len() < 500 {
            back.push(reader.next_message());
        }
        server.kill();
        // What was on its way to the reader counts too.
        while let Some(Frame::From_(from)) = reader.poll() {
            let Some(content) = reader.next_raw() else { break };
            back.push(Message { from, content: Frame::parse(content.0, content.1.leak()).unwrap() });
        }
        server.start_again();
        let mut peer = reader.again_with(&server, Hello { flags: 1, ..Hello::default() });
        let synced = peer.sync(1, back[0].from.seq - 1);
        assert!(synced.last_seq >= back[back.len() - 1].from.seq);
        for message in back {
            assert_eq!(peer.next_message(), message);
        }
    }
}

#[test]
fn nothing_that_was_seen_is_given_again() {
    let mut server = Server::start();
    let (mut users, mut chats) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut peers: Vec<Peer> = (0..5).map(|_| Peer::guest(&server)).collect();
        users.extend(peers.iter().map(|peer| peer.me().user));
        chats.extend(peers.iter().map(|peer| peer.me().home));
        // An empty room, which is deleted.
        chats.push(peers[0].join("harbour").chat);
        peers[0].leave(0);
        server.restart();
    }
    for ids in [users, chats] {
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1] || pair[0] != pair[1]), "{ids:?}");
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "{ids:?}");
    }
}

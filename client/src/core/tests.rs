//! Scripts for [`Core`]: what comes in, what goes out. No socket, no clock.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use super::*;
use crate::message::Content;
use crate::request::{Found, Page, Request};
use chatwire_codec::frame::{From_, History, HistoryPage, Search, SearchPage, Status, Sync, Synced, Text};
use chatwire_codec::{Decoder, Limits, MediaKind, header};
use tokio::sync::oneshot;

const CHAT: u64 = 7;
const ME: u64 = 20;
type Answered<T> = oneshot::Receiver<Result<T, Error>>;

/// A core, and the server's side of the script.
struct Script {
    core: Core,
    decoder: Decoder,
}

impl Script {
    fn new() -> Self {
        let mut core = Core::new(true, Listener::Program, Nonces::new(0));
        core.welcomed(ME);
        Script { core, decoder: Decoder::client(Limits::default()) }
    }

    fn hear(&mut self, mut bytes: &[u8]) -> Result<Vec<Delivery>, End> {
        let mut deliveries = Vec::new();
        while let Some(event) = self.decoder.next(&mut bytes)? {
            deliveries.extend(self.core.handle(event)?);
        }
        assert_eq!(bytes, b"", "the script's frames are whole");
        Ok(deliveries)
    }

    fn frame<'a>(&mut self, frame: impl Into<Frame<'a>>) -> Vec<Delivery> {
        self.hear(&encoded(&[frame.into()])).expect("the connection lives")
    }

    fn message(&mut self, seq: u64) -> Vec<u64> {
        let bytes = encoded(&[from(CHAT, seq), Text { text: "hi" }.into()]);
        let deliveries = self.hear(&bytes).expect("the connection lives");
        deliveries.iter().map(|delivery| taken(delivery).seq).collect()
    }

    fn urgent(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.core.take_urgent(&mut out);
        out
    }

    fn send(&mut self, nonce: u64) -> (u64, Answered<Status>) {
        let (waiting, answer) = Waiting::new(None);
        (self.core.send(nonce, 1_000, true, waiting).expect("a free nonce"), answer)
    }

    fn ask<'a>(&mut self, request: impl Request<'a>) -> (u32, Answered<Answer>) {
        let (waiting, answer) = Waiting::new(None);
        (self.core.ask(Ask::new(request, None).expect("short"), waiting).expect("a request").0, answer)
    }
}

fn encoded(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        frame.encode(&mut bytes).expect("a short frame");
    }
    bytes
}

fn from(chat: u64, seq: u64) -> Frame<'static> {
    From_ { chat, seq, user: 2, user_name: "bob", ..From_::default() }.into()
}

fn taken(delivery: &Delivery) -> &Message {
    match delivery {
        Delivery::Told(Told::Event(Event::Message(message))) => message,
        other => panic!("no message: {other:?}"),
    }
}

fn error(code: Code, about: u8, ref_: u64) -> Frame<'static> {
    frame::Error { code: code as u16, about, ref_, ..frame::Error::default() }.into()
}

#[test]
fn a_gap_is_filled_by_one_sync_and_each_message_comes_once() {
    let mut s = Script::new();
    assert_eq!(s.message(4), [4]);
    assert_eq!(s.message(4), [] as [u64; 0]);
    assert_eq!(s.message(7), [] as [u64; 0]);
    assert_eq!(s.urgent(), encoded(&[Sync { req: 1, chat: CHAT, after: 4 }.into()]));
    assert_eq!(s.message(8), [] as [u64; 0]);
    assert_eq!(s.urgent(), [0_u8; 0]);
    s.frame(Synced { req: 1, chat: CHAT, first_seq: 1, last_seq: 8 });
    let caught_up: Vec<_> = (5..=9).flat_map(|seq| s.message(seq)).collect();
    assert_eq!(caught_up, [5, 6, 7, 8, 9]);
}

#[test]
fn a_removal_is_told_and_holds_for_a_page_that_was_on_its_way() {
    let mut s = Script::new();
    let gone = frame::MessageGone { chat: CHAT, seq: 2 };
    let page = |s: &mut Script| {
        let (req, mut answer) = s.ask(History { chat: CHAT, ..History::default() });
        let page =
            HistoryPage { req, chat: CHAT, first_seq: 1, last_seq: 2, count: 2, ..HistoryPage::default() };
        let deliveries = s.frame(gone.clone());
        let told = Delivery::Told(Told::Event(Event::Gone(gone.clone())));
        assert_eq!(format!("{deliveries:?}"), format!("{:?}", [told]));
        let text = || Text { text: "hi" }.into();
        let bytes = encoded(&[page.into(), from(CHAT, 1), text(), from(CHAT, 2), text()]);
        s.hear(&bytes).expect("the connection lives");
        match answer.try_recv() {
            Ok(Ok(Answer::History(page))) => page.messages,
            other => panic!("no page: {other:?}"),
        }
    };
    let messages = page(&mut s);
    assert_eq!(messages[0].content, Content::Text("hi".into()));
    assert_eq!(messages[1].content, Content::Gone);
    // What is asked for later is what the server says.
    let (req, mut answer) = s.ask(History { chat: CHAT, ..History::default() });
    let one = HistoryPage { req, chat: CHAT, first_seq: 1, last_seq: 2, count: 1, ..HistoryPage::default() };
    s.hear(&encoded(&[one.into(), from(CHAT, 2), Text { text: "hi" }.into()])).expect("the connection lives");
    assert!(
        matches!(answer.try_recv(), Ok(Ok(Answer::History(page))) if page.messages[0].content != Content::Gone)
    );
}

#[test]
fn a_status_that_came_before_confirms_and_takes_no_place_so_that_what_is_gone_comes_as_gone() {
    let mut s = Script::new();
    s.message(41);
    let (nonce, mut answer) = s.send(0);
    let status = Status { nonce, chat: CHAT, seq: 42, at: 5, duplicate: 1 };
    assert!(s.frame(status.clone()).is_empty());
    assert!(matches!(answer.try_recv(), Ok(Ok(answered)) if answered == status));
    let deliveries =
        s.hear(&encoded(&[from(CHAT, 42), frame::Gone {}.into()])).expect("the connection lives");
    assert_eq!((taken(&deliveries[0]).seq, &taken(&deliveries[0]).content), (42, &Content::Gone));
}

#[test]
fn content_that_is_not_known_counts_its_seq() {
    let mut s = Script::new();
    s.message(1);
    let mut bytes = encoded(&[from(CHAT, 2)]);
    bytes.extend_from_slice(&header(0x0A, 3));
    bytes.extend_from_slice(b"new");
    let deliveries = s.hear(&bytes).expect("the connection lives");
    assert_eq!(taken(&deliveries[0]).content, Content::Unknown(0x0A));
    assert_eq!(s.message(3), [3]);
}

#[test]
fn inline_media_is_joined_however_it_is_cut() {
    let mut bytes = encoded(&[from(CHAT, 1)]);
    bytes.extend_from_slice(&header(kind::IMAGE, 4));
    bytes.extend_from_slice(b"GIF8");
    let mut s = Script::new();
    let mut kept = Vec::new();
    let mut deliveries = Vec::new();
    for byte in bytes {
        kept.push(byte);
        let mut input = &kept[..];
        while let Some(event) = s.decoder.next(&mut input).expect("valid") {
            deliveries.extend(s.core.handle(event).expect("valid"));
        }
        kept = input.to_vec();
    }
    let content = Content::Inline { kind: MediaKind::Image, bytes: b"GIF8".to_vec() };
    assert_eq!(taken(&deliveries[0]).content, content);
}

#[test]
fn a_status_and_an_error_each_resolve_the_message_that_they_name() {
    let mut s = Script::new();
    let (first, mut first_answer) = s.send(0);
    let (second, mut second_answer) = s.send(0);
    let deliveries = s.frame(error(Code::TooLarge, kind::TEXT, second));
    assert!(deliveries.is_empty());
    assert!(first_answer.try_recv().is_err(), "the first still waits");
    let refused = second_answer.try_recv().expect("resolved");
    assert_eq!(refused.expect_err("refused").code(), Some(Code::TooLarge));
    s.frame(Status { nonce: first, chat: CHAT, seq: 1, ..Status::default() });
    assert_eq!(first_answer.try_recv().expect("resolved").expect("stored").seq, 1);
}

#[test]
fn a_nonce_in_flight_is_not_taken_twice_and_a_refused_one_is_free() {
    let mut s = Script::new();
    let (nonce, _answer) = s.send(99);
    let again = s.core.send(nonce, 0, true, Waiting::new(None).0);
    assert!(matches!(again, Err(Error::NonceInFlight(99))));
    s.frame(error(Code::RateLimited, kind::TEXT, nonce));
    s.send(nonce);
}

#[test]
fn an_error_that_nobody_waits_for_is_an_event() {
    let mut s = Script::new();
    let deliveries = s.frame(error(Code::Internal, kind::TYPING, 0));
    assert!(
        matches!(&deliveries[..], [Delivery::Told(Told::Event(Event::ServerError(_)))]),
        "{deliveries:?}"
    );
}

#[test]
fn a_page_of_history_is_whole_or_not_there() {
    let mut s = Script::new();
    let (req, mut answer) = s.ask(History { chat: CHAT, ..History::default() });
    s.frame(HistoryPage { req, chat: CHAT, first_seq: 1, last_seq: 9, more: 1, count: 2 });
    s.message(8);
    assert!(answer.try_recv().is_err());
    s.message(9);
    match answer.try_recv().expect("resolved") {
        Ok(Answer::History(Page { more: true, messages, .. })) => {
            assert_eq!(messages.iter().map(|m| m.seq).collect::<Vec<_>>(), [8, 9]);
        }
        other => panic!("no page: {other:?}"),
    }
    assert_eq!(s.core.positions(), [], "a page is no position");
}

#[test]
fn a_page_of_a_search_has_messages_of_any_chat() {
    let mut s = Script::new();
    let (req, mut answer) = s.ask(Search { query: "hi", ..Search::default() });
    s.frame(SearchPage { req, more: 1, count: 2 });
    s.hear(&encoded(&[from(CHAT + 1, 3), Text { text: "hi" }.into()])).expect("a message of the page");
    s.message(9);
    match answer.try_recv().expect("resolved") {
        Ok(Answer::Found(Found { more: true, messages })) => {
            let places: Vec<_> = messages.iter().map(|m| (m.chat, m.seq)).collect();
            assert_eq!(places, [(CHAT + 1, 3), (CHAT, 9)]);
        }
        other => panic!("no page: {other:?}"),
    }
    assert_eq!(s.core.positions(), [], "a page is no position");
}

#[test]
fn nothing_may_stand_inside_a_unit() {
    for inside in [frame::Ping { bytes: b"" }.into(), from(CHAT, 2)] {
        let bytes = encoded(&[from(CHAT, 1), inside]);
        assert!(matches!(Script::new().hear(&bytes), Err(End::Violation(_))));
    }
    let page = HistoryPage { req: 1, count: 1, ..HistoryPage::default() };
    let bytes = encoded(&[page.into(), frame::Ping { bytes: b"" }.into()]);
    assert!(matches!(Script::new().hear(&bytes), Err(End::Violation(_))));
    assert!(matches!(Script::new().hear(&encoded(&[Text { text: "hi" }.into()])), Err(End::Violation(_))));
}

#[test]
fn an_answer_of_another_type_than_was_asked_ends_the_connection() {
    let mut s = Script::new();
    let (req, _answer) = s.ask(History { chat: CHAT, ..History::default() });
    let bytes = encoded(&[Synced { req, ..Synced::default() }.into()]);
    assert!(matches!(s.hear(&bytes), Err(End::Violation(_))));
}

#[test]
fn a_ping_is_answered_with_its_bytes_and_a_flood_of_them_is_bounded() {
    let mut s = Script::new();
    s.frame(frame::Ping { bytes: b"abc" });
    assert_eq!(s.urgent(), encoded(&[frame::Pong { bytes: b"abc" }.into()]));
    for _ in 0..10_000 {
        s.frame(frame::Ping { bytes: &[7; PING_BYTES] });
    }
    assert!(s.urgent().len() < URGENT_BYTES + 100);
}

#[test]
fn a_fetch_takes_its_pieces_in_order_and_ends_with_the_last() {
    let mut s = Script::new();
    let (pieces, _reader) = mpsc::channel(4);
    let (waiting, mut answer) = Waiting::new(None);
    let fetch = frame::Fetch { media: [9; 32], ..frame::Fetch::default() };
    let (transfer, _) =
        s.core.ask(Ask::new(fetch, Some(pieces)).expect("short"), waiting).expect("a request");
    s.frame(frame::FetchReady { req: transfer, size: 5, mime: "text/plain" });
    assert!(answer.try_recv().expect("resolved").is_ok());
    let chunk = |offset, bytes| frame::Chunk { transfer, offset, bytes };
    assert!(matches!(&s.frame(chunk(0, b"abc"))[..], [Delivery::Piece { piece: Ok(_), .. }]));
    assert!(matches!(&s.frame(chunk(3, b"de"))[..], [Delivery::Piece { piece: Ok(_), .. }]));
    assert!(s.frame(chunk(5, b"f")).is_empty(), "no running transfer");
    assert_eq!(s.urgent(), [0_u8; 0]);
}

#[test]
fn a_piece_out_of_place_fails_its_fetch_and_cancels_it() {
    let mut s = Script::new();
    let (pieces, _reader) = mpsc::channel(4);
    let fetch = frame::Fetch { media: [9; 32], ..frame::Fetch::default() };
    let (transfer, _) =
        s.core.ask(Ask::new(fetch, Some(pieces)).expect("short"), Waiting::new(None).0).expect("a request");
    s.frame(frame::FetchReady { req: transfer, size: 5, mime: "" });
    let deliveries = s.frame(frame::Chunk { transfer, offset: 2, bytes: b"abc" });
    assert!(matches!(&deliveries[..], [Delivery::Piece { piece: Err(Error::Violation(_)), .. }]));
    assert_eq!(s.urgent(), encoded(&[frame::Cancel { req: transfer + 1, transfer }.into()]));
    assert!(s.frame(frame::Chunk { transfer, offset: 0, bytes: b"abc" }).is_empty());
}

#[test]
fn the_end_fails_all_that_waits_and_says_why() {
    let mut s = Script::new();
    let (_, mut message) = s.send(0);
    let (_, mut request) = s.ask(History { chat: CHAT, ..History::default() });
    assert!(s.frame(error(Code::Banned, 0xFF, 0)).is_empty());
    let end = s.core.finish(End::Closed);
    assert!(matches!(&end, End::Refused(refusal) if refusal.code() == Some(Code::Banned)));
    for error in [
        message.try_recv().expect("resolved").expect_err("failed"),
        request.try_recv().expect("resolved").expect_err("failed"),
        s.core.send(0, 0, true, Waiting::new(None).0).expect_err("over"),
    ] {
        assert_eq!(error.code(), Some(Code::Banned), "{error}");
    }
}

#[test]
fn leaving_a_chat_or_being_removed_forgets_its_position() {
    let mut s = Script::new();
    s.message(5);
    s.frame(frame::Member { chat: CHAT, change: 4, user: ME + 1, ..frame::Member::default() });
    assert_eq!(s.core.positions(), [(CHAT, 5)]);
    s.frame(frame::Member { chat: CHAT, change: 4, user: ME, ..frame::Member::default() });
    assert_eq!(s.core.positions(), []);
}

#[test]
fn a_position_that_the_server_never_gave_is_forgotten() {
    let mut s = Script::new();
    s.message(5);
    s.message(9);
    let deliveries = s.frame(error(Code::NotFound, kind::SYNC, 1));
    assert!(matches!(&deliveries[..], [Delivery::Told(Told::Event(Event::ServerError(_)))]));
    assert_eq!(s.message(2), [2]);
}

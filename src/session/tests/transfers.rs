//! Uploads: what may begin, which chunks go on, and that each ends once.

use super::*;
use crate::session::{FETCHES, UPLOADS, Wish};

const DIGEST: [u8; 32] = [5; 32];

fn upload(req: u32, size: u64) -> Upload<'static> {
    Upload { req, media_kind: 4, size, digest: DIGEST, name: "" }
}

impl Story {
    /// An upload that goes on from `offset`.
    fn begin(&mut self, req: u32, size: u64, offset: u64) -> Wish {
        let effects = self.send(upload(req, size));
        let Some(Effect::BeginUpload(wish)) = effects.into_iter().next() else { panic!("no upload") };
        assert!(!self.session.wants_input(), "it is a request, and holds up what is behind it");
        self.session.handle_upload_begun(&wish, offset);
        self.session.handle_notice(self.now.instant, Notice::Answered);
        wish
    }

    fn chunk(&mut self, transfer: u32, offset: u64, len: usize) -> (Option<u32>, Vec<Effect>) {
        let bytes = vec![0; len];
        let taken = self.session.handle_chunk(self.now, &Chunk { transfer, offset, bytes: &bytes });
        (taken, self.drain())
    }

    fn uploaded(&mut self, ticket: u32, result: Result<MediaId, Refusal>) -> Vec<Effect> {
        self.notice(Notice::Uploaded(ticket, result))
    }
}

fn stored(effects: &[Effect]) -> (u32, [u8; 32]) {
    let [Effect::Send(frames)] = effects else { panic!("{effects:?}") };
    assert_eq!(frames[0], kind::STORED);
    let stored = Stored::parse(&frames[5..]).unwrap();
    (stored.transfer, stored.media)
}

#[test]
fn chunks_go_on_where_the_last_one_ended_until_all_has_come() {
    let mut story = open();
    let ticket = story.begin(3, 100, 10).ticket;
    assert!(story.session.wants_input() && story.drain().is_empty());
    assert!(matches!(story.chunk(3, 10, 50), (Some(t), effects) if t == ticket && effects.is_empty()));
    let (taken, effects) = story.chunk(3, 60, 40);
    assert_eq!(taken, Some(ticket));
    assert!(matches!(effects[..], [Effect::FinishUpload(t)] if t == ticket));
    // What comes behind all of it is of no upload that takes any.
    assert!(matches!(story.chunk(3, 100, 1), (None, effects) if effects.is_empty()));
    assert_eq!(stored(&story.uploaded(ticket, Ok(MediaId(DIGEST)))), (3, DIGEST));
    assert!(story.uploaded(ticket, Ok(MediaId(DIGEST))).is_empty(), "it ends once");
}

#[test]
fn an_upload_of_which_nothing_is_missing_ends_without_a_chunk() {
    for size in [0, 7] {
        let mut story = open();
        let ticket = story.begin(3, size, size).ticket;
        assert!(matches!(story.drain()[..], [Effect::FinishUpload(t)] if t == ticket));
    }
}

#[test]
fn a_chunk_out_of_place_ends_the_upload_and_keeps_what_came() {
    for (offset, len) in [(0, 1), (9, 2), (11, 1), (10, 91), (u64::MAX, 1)] {
        let mut story = open();
        let ticket = story.begin(3, 100, 10).ticket;
        let (taken, effects) = story.chunk(3, offset, len);
        assert_eq!(taken, None);
        let [Effect::EndUpload(ended, frames)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(*ended, ticket);
        assert_eq!(error(&[Effect::Send(frames.clone())]), (Code::Conflict, 3, kind::UPLOAD));
        assert!(matches!(story.chunk(3, 10, 1), (None, effects) if effects.is_empty()));
        assert!(story.uploaded(ticket, Ok(MediaId(DIGEST))).is_empty());
    }
}

#[test]
fn an_empty_chunk_is_malformed_where_an_upload_runs_and_nothing_elsewhere() {
    let mut story = open();
    assert!(matches!(story.chunk(3, 0, 0), (None, effects) if effects.is_empty()));
    story.begin(3, 100, 0);
    assert_eq!(ends_with_error(&story.chunk(3, 0, 0).1), (Code::Malformed, 0, kind::CHUNK));
}

#[test]
fn what_is_confirmed_is_told_while_the_upload_runs() {
    let mut story = open();
    let ticket = story.begin(3, 100, 0).ticket;
    story.session.handle_received(ticket, 60);
    let effects = story.drain();
    let [Effect::Send(frames)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(Received::parse(&frames[5..]).unwrap(), Received { transfer: 3, offset: 60 });
    let effects = story.uploaded(ticket, Err(Refusal::internal()));
    assert_eq!(error(&effects), (Code::Internal, 3, kind::UPLOAD));
    story.session.handle_received(ticket, 100);
    assert!(story.drain().is_empty());
}

#[test]
fn four_uploads_and_four_fetches_run_beside_each_other() {
    let mut story = open();
    for req in 1..=4 {
        story.begin(req, 100, 0);
        story.session.handle_fetch_begun(100 + req);
    }
    assert_eq!((UPLOADS, FETCHES), (4, 4));
    assert_eq!(error(&story.send(upload(5, 100))), (Code::RateLimited, 5, kind::UPLOAD));
    assert_eq!(error(&story.send(Fetch { req: 5, ..Fetch::default() })), (Code::RateLimited, 5, kind::FETCH));
    story.session.handle_fetch_done(101);
    assert!(matches!(story.send(Fetch { req: 5, ..Fetch::default() })[..], [Effect::Query(_)]));
}

#[test]
fn what_cannot_be_uploaded_is_refused() {
    let mut story = open_by(Rules { max_media: 100, ..rules() });
    let refused = [
        (Upload { media_kind: 0, ..upload(3, 1) }, Code::BadMedia),
        (Upload { media_kind: 5, ..upload(3, 1) }, Code::BadMedia),
        (upload(3, 101), Code::TooLarge),
        (Upload { name: "a\tb", ..upload(3, 1) }, Code::Conflict),
    ];
    for (upload, code) in refused {
        assert_eq!(error(&story.send(upload)), (code, 3, kind::UPLOAD));
    }
    story.begin(3, 100, 0);
    assert_eq!(ends_with_error(&story.send(upload(3, 1))), (Code::Malformed, 0, kind::UPLOAD));
}

#[test]
fn cancelled_is_the_last_that_is_said_of_an_upload_and_its_number_is_free() {
    let mut story = open();
    let first = story.begin(3, 100, 0).ticket;
    let effects = story.send(Cancel { req: 4, transfer: 3 });
    assert!(matches!(effects[..], [Effect::EndUpload(t, _)] if t == first), "{effects:?}");
    assert!(story.session.wants_input());
    // The next one has the same number, and is not taken for it.
    let second = story.begin(3, 100, 100).ticket;
    story.drain();
    assert!(story.uploaded(first, Err(Refusal::internal())).is_empty());
    story.send(Cancel { req: 4, transfer: 3 });
    assert!(story.uploaded(second, Ok(MediaId(DIGEST))).is_empty());
}

#[test]
fn an_upload_is_a_barrier_and_its_end_is_none() {
    let mut story = open();
    story.send(Text { text: "before" });
    assert!(story.send(upload(3, 100)).is_empty(), "it waits for the STATUS");
    story.session.handle_answered(1);
    let effects = story.drain();
    let [Effect::BeginUpload(wish)] = &effects[..] else { panic!("{effects:?}") };
    let wish = wish.clone();
    story.session.handle_upload_begun(&wish, 0);
    story.notice(Notice::Answered);
    story.chunk(3, 0, 100);
    // It is being checked; everything else goes on.
    assert!(append(story.send(Text { text: "beside" })).content.is_ok());
    assert!(matches!(story.send(Ping { bytes: b"1" })[..], [Effect::Urgent(_)]));
}

//! Moves the bytes of one connection between its socket, its [`Session`], the store and its outbox, and
//! decides nothing: what bytes mean is the codec's business, what they lead to the session's, who gets what
//! the hub's.
//!
//! It is one task with one loop: what others left, what its jobs on the disk brought, what the client sent,
//! what can be sent, what time it is; until none of them moves. It owns no buffer while nothing is in it.

mod body;
mod fetch;
mod input;
mod login;
mod output;
mod page;
mod queries;
mod serve;
mod turn;
mod upload;

use crate::auth::Auth;
use crate::clock;
use crate::delivery::{self, Segment};
use crate::error::Refusal;
use crate::hub::{Hub, Link};
use crate::id::{Now, UserId};
use crate::jobs::Jobs;
use crate::outbox::Held;
use crate::permits::Permits;
use crate::quota::Quota;
use crate::session::{Effect, Notice, Rules, Session};
use crate::store::media::{Hold, MediaStore};
use crate::store::{Op, Store};
use crate::turns::Turns;
use crate::uploads;
use crate::warden::Warden;
use body::{Body, Room};
use chatwire_codec::frame::kind::FETCH;
use chatwire_codec::{Decoder, Limits, MediaKind};
use fetch::Fetches;
use input::Input;
use login::Proof;
use output::Output;
use page::Page;
pub use queries::Reading;
use queries::{Answer, Answering};
pub use serve::{Serve, close};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::Sleep;
use turn::Pace;
use upload::Uploads;

/// What all connections share.
pub struct Shared {
    /// Who is online.
    pub hub: Arc<Hub>,
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// The files.
    pub media: Arc<MediaStore>,
    /// Room for media.
    pub quota: Arc<Quota>,
    /// Uploads that go on over connections.
    pub uploads: Arc<uploads::Uploads>,
    /// Messages in flight.
    pub permits: Permits,
    /// Turns of those that have much to do.
    pub turns: Arc<Turns>,
    /// Who knows whether a password is right.
    pub auth: Arc<Auth>,
    /// Who knows whom not to let in.
    pub warden: Arc<Warden>,
    /// What sessions go by from now on. Whoever changes it tells the hub, and thereby those that are there.
    pub rules: RwLock<Arc<Rules>>,
    /// How quickly requests are answered that only read.
    pub reading: Reading,
    /// Who does what may wait for the disk.
    pub jobs: Jobs,
    /// What the decoder goes by.
    pub limits: Limits,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The other end's.
    pub address: SocketAddr,
    /// From this machine, or encrypted: secrets are safe on it.
    pub is_private: bool,
}

/// A connection's place in the hub, given back also when its task panics.
struct Member {
    shared: Arc<Shared>,
    link: Arc<Link>,
}

impl Drop for Member {
    fn drop(&mut self) {
        log::debug!("connection {}: over", self.link.id);
        self.shared.hub.leave(&self.link);
        self.link.outbox.close();
    }
}

struct Connection<S> {
    member: Member,
    stream: S,
    session: Session,
    decoder: Decoder,
    input: Input,
    output: Output,
    body: Option<Box<Body>>,
    fetches: Option<Box<Fetches>>,
    uploads: Option<Box<Uploads>>,
    /// The file of the media whose message is about to be submitted.
    hold: Option<Box<Hold>>,
    /// A message that waits for a permit.
    blocked: Option<Box<Blocked>>,
    pace: Pace,
    proof: Option<Proof>,
    query: Option<Answering>,
    page: Option<JoinHandle<Option<Page>>>,
    timer: Pin<Box<Sleep>>,
    /// The store has something that it must be told to carry out.
    has_brought: bool,
    /// The session has answered something by itself.
    has_answered: bool,
    is_finishing: bool,
    /// The socket has failed: there is nobody to send anything to.
    is_dead: bool,
}

struct Blocked {
    op: Op,
    permit: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(shared: Arc<Shared>, stream: S, origin: Origin, accepted: Instant) -> Self {
        let link = login::enter(&shared, origin);
        log::debug!("connection {}: from {}", link.id, origin.address);
        // Behind the entry: who changes the rules tells those who have entered.
        let rules = shared.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        Connection {
            session: Session::new(rules, link.id, origin.is_private, accepted),
            decoder: Decoder::server(shared.limits),
            member: Member { shared, link },
            stream,
            input: Input::default(),
            output: Output::default(),
            body: None,
            fetches: None,
            uploads: None,
            hold: None,
            blocked: None,
            pace: Pace::default(),
            proof: None,
            query: None,
            page: None,
            timer: Box::pin(tokio::time::sleep_until(accepted.into())),
            has_brought: false,
            has_answered: false,
            is_finishing: false,
            is_dead: false,
        }
    }

    /// Moves all that can be moved; ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = clock::now();
        self.pace.begin();
        loop {
            self.take_notices(cx, now.instant);
            let mut moved = self.poll_jobs(cx, now);
            moved |= self.perform_effects();
            moved |= self.poll_input(cx, now);
            if std::mem::take(&mut self.has_brought) {
                self.member.shared.store.carry_out();
            }
            moved |= self.poll_output(cx, now.instant);
            self.session.handle_reading(now.instant, self.may_read());
            moved |= self.poll_timer(cx, now.instant);
            if self.is_dead || (self.is_finishing && self.output.is_empty(&self.member.link)) {
                return Poll::Ready(());
            }
            if !moved {
                self.pause(cx, now.instant);
                self.session.rest();
                return Poll::Pending;
            }
        }
    }

    fn take_notices(&mut self, cx: &Context<'_>, now: Instant) {
        let taken = self.member.link.outbox.poll(cx);
        for notice in taken.notices {
            let notice = self.count_failure(notice);
            self.session.handle_notice(now, notice);
        }
        // What has waited for these goes by what the notices say.
        if taken.answered > 0 {
            self.session.handle_answered(taken.answered);
        }
    }

    /// Whether more of what the client has sent may be read. Asked for each read, and not for each frame but those that were
    /// answered at once: it takes a lock that others have in their hands too.
    fn may_read(&self) -> bool {
        self.may_look() && !self.member.link.outbox.is_full()
    }

    /// Whether the client's next frame, which has been read, may be looked at.
    fn may_look(&self) -> bool {
        self.session.wants_input()
            && self.blocked.is_none()
            && self.body.as_ref().is_none_or(|body| body.has_room())
            && self.uploads.as_ref().is_none_or(|uploads| uploads.has_room())
            && self.pace.has_left()
            && self.output.has_room()
    }

    /// Whether what the last frame was answered with was too much.
    fn is_full_of_answers(&mut self) -> bool {
        std::mem::take(&mut self.has_answered) && self.member.link.outbox.is_full()
    }

    /// Whether the client leaves too much of what it was sent where it is.
    fn is_not_taken(&self) -> bool {
        !self.output.has_room() || self.member.link.outbox.is_full()
    }

    fn perform_effects(&mut self) -> bool {
        let mut moved = false;
        if self.session.is_over() {
            // What was never submitted needs no answer any more.
            self.blocked = None;
        }
        while self.blocked.is_none() {
            let Some(effect) = self.session.poll_effect() else { break };
            self.perform(effect);
            moved = true;
        }
        moved
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send(frames) => {
                self.member.link.outbox.answer(|out| out.extend_from_slice(&frames));
                self.has_answered = true;
            }
            Effect::Urgent(frames) => self.output.urgent(&frames, false),
            Effect::Ping(frames) => self.output.urgent(&frames, true),
            // Set once: a session says HELLO once.
            Effect::Greet(greeted) => drop(self.member.link.greeted.set(greeted)),
            Effect::Prove(claim) => self.prove(claim),
            Effect::Submit(op) => self.submit(op),
            Effect::Query(query) => {
                let budget = self.member.link.outbox.budget().clone();
                self.query = Some(Answering::begin(&self.member.shared, budget, query));
            }
            Effect::Typing(chat, on) => self.member.shared.hub.typing(&self.member.link, chat, on),
            Effect::Presence(presence) => self.member.shared.hub.present(&self.member.link, presence),
            Effect::OpenBody { kind, size, nonce } => self.open_body(kind, size, nonce),
            Effect::CloseBody => {
                if let Some(body) = &mut self.body {
                    body.close();
                }
            }
            Effect::CancelFetch(transfer, answer) => {
                if let Some(fetches) = &mut self.fetches {
                    fetches.cancel(transfer);
                }
                self.output.drop_chunks(transfer);
                let outbox = &self.member.link.outbox;
                outbox.answer_and_notify([Notice::Answered], |out| out.extend_from_slice(&answer));
            }
            Effect::BeginUpload(wish) => self.begin_upload(wish),
            Effect::FinishUpload(ticket) => self.finish_upload(ticket),
            Effect::EndUpload(ticket, frames) => self.end_upload(ticket, &frames),
            Effect::Mute => {
                self.member.shared.hub.mute(&self.member.link);
                self.uploads = None;
                self.fetches = None;
                self.output.drop_all_chunks();
            }
            Effect::Finish(last) => {
                let urgent = self.output.take_urgent();
                self.member.link.outbox.answer(|out| out.extend_from_slice(&urgent));
                self.member.link.outbox.seal(&last);
                (self.query, self.page) = (None, None);
                self.is_finishing = true;
            }
            Effect::Abandon => self.is_dead = true,
        }
    }

    fn open_body(&mut self, kind: MediaKind, size: u32, nonce: u64) {
        let (shared, link) = (&self.member.shared, &self.member.link);
        let user = link.user().map_or(UserId::default(), |(user, _)| *user);
        let room = Room { quota: shared.quota.clone(), user, size: size.into(), nonce };
        let held = Held::new(link.outbox.budget());
        self.body = Some(Box::new(Body::new(shared.media.clone(), shared.jobs, kind, room, held)));
    }

    fn submit(&mut self, mut op: Op) {
        let cost = match &mut op {
            Op::Append(append) => {
                append.hold = self.hold.take();
                append.permit
            }
            Op::Login(login) => match self.admit_login(login) {
                Ok(()) => return self.bring(op),
                Err(why) => return self.member.link.outbox.notify(Notice::LoginRefused(why)),
            },
            _ => return self.bring(op),
        };
        if self.member.shared.permits.try_take(cost) {
            return self.bring(op);
        }
        let permit = Box::pin(self.member.shared.permits.clone().take(cost));
        self.blocked = Some(Box::new(Blocked { op, permit }));
    }

    fn bring(&mut self, op: Op) {
        self.member.shared.store.bring(op);
        self.has_brought = true;
    }

    fn poll_jobs(&mut self, cx: &mut Context<'_>, now: Now) -> bool {
        let mut moved =
            self.poll_permit(cx) | self.poll_query(cx, now.instant) | self.poll_page(cx, now.instant);
        moved |= self.poll_proof(cx, now.instant) | self.poll_uploads(cx, now.instant) | self.poll_turn(cx);
        if let Some(body) = &mut self.body
            && let Poll::Ready(result) = body.poll(cx)
        {
            self.body = None;
            self.session.handle_body(result.map(|(media, hold)| {
                self.hold = Some(Box::new(hold));
                media
            }));
            moved = true;
        }
        if let Some(fetches) = &mut self.fetches {
            let budget = self.member.link.outbox.budget();
            let (done, progress) = fetches.poll(cx, &mut self.output, budget, self.member.shared.jobs);
            done.iter().for_each(|done| self.session.handle_fetch_done(done.req));
            for failed in done.iter().filter(|done| done.failed) {
                self.output.drop_chunks(failed.req);
                let refusal = Refusal::internal();
                self.member
                    .link
                    .outbox
                    .answer(|out| delivery::error(out, FETCH, failed.req.into(), &refusal));
            }
            if fetches.is_empty() {
                self.fetches = None;
            }
            moved |= progress;
        }
        moved
    }

    fn poll_permit(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(blocked) = &mut self.blocked else { return false };
        if blocked.permit.as_mut().poll(cx).is_pending() {
            return false;
        }
        if let Some(blocked) = self.blocked.take() {
            self.bring(blocked.op);
        }
        true
    }

    fn poll_query(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(query) = self.query.take() else { return false };
        let answer = match query.poll(cx) {
            Ok(answer) => answer,
            Err(waits) => {
                self.query = Some(waits);
                return false;
            }
        };
        match answer {
            Ok(Answer::Segments(segments)) => self.member.link.outbox.segments(segments),
            Ok(Answer::Fetch(answer, fetch)) => {
                self.member.link.outbox.segments([Segment::Owned(answer)]);
                if fetch.at < fetch.end {
                    self.session.handle_fetch_begun(fetch.req);
                    self.fetches.get_or_insert_default().add(fetch);
                }
            }
            Err(e) => self.fail(now, &format!("a query failed: {e}")),
        }
        self.session.handle_notice(now, Notice::Answered);
        true
    }

    fn fail(&mut self, now: Instant, why: &str) {
        log::error!("connection {}: {why}", self.member.link.id);
        self.session.handle_failure(now);
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(due) = self.session.poll_timeout() else { return false };
        // A timer that is set too early costs one look at the clock; one that is set too late would be wrong.
        if self.timer.deadline().into_std() > due {
            self.timer.as_mut().reset(due.into());
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if due <= clock::instant() {
                self.session.handle_timeout(now.max(due));
                self.timer.as_mut().reset((now.max(due) + Duration::from_millis(1)).into());
                return true;
            }
            self.timer.as_mut().reset(due.into());
        }
        false
    }
}

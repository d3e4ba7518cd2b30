//! What a connection has to do with who its client is: its way past the bans, passwords, failures.

use super::{Connection, Origin, Shared};
use crate::error::Refusal;
use crate::hub::Link;
use crate::policy::newcomers::Newcomer;
use crate::session::{Claim, Notice, Proven};
use crate::store::{Login, Who};
use chatwire_codec::Code;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// A password that is being looked at; nobody looks on when the connection is over.
pub(super) type Proof = AbortOnDropHandle<Result<Proven, Refusal>>;

/// A place in the hub. Bans are looked at behind the entry, so that nobody comes in between a new one and its end
/// of who is in.
pub(super) fn enter(shared: &Shared, origin: Origin) -> Arc<Link> {
    let link = shared.hub.enter(origin.address.ip());
    if let Err(refusal) = shared.warden.admit(link.address) {
        link.outbox.notify(Notice::Banned(refusal));
    }
    link
}

impl<S> Connection<S> {
    pub(super) fn prove(&mut self, claim: Claim) {
        let proof = self.member.shared.auth.clone().prove(claim, self.member.link.address);
        self.proof = Some(AbortOnDropHandle::new(tokio::spawn(proof)));
    }

    /// Whether a login may go to the store: an address may bring only so many new guests.
    pub(super) fn admit_login(&self, login: &Login) -> Result<(), Refusal> {
        match login.who {
            Who::Guest { .. } => {
                self.member.shared.warden.admit_newcomer(Newcomer::Guest, self.member.link.address)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn poll_proof(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(proof) = &mut self.proof else { return false };
        let Poll::Ready(proof) = Pin::new(proof).poll(cx) else { return false };
        self.proof = None;
        self.session.handle_proof(now, proof.unwrap_or_else(|_| Err(Refusal::internal())));
        true
    }

    /// A token that is not good is a failure like a wrong password.
    pub(super) fn count_failure(&self, notice: Notice) -> Notice {
        match notice {
            Notice::LoginRefused(why) if why.code == Code::Unauthenticated => {
                Notice::LoginRefused(self.member.shared.auth.failed(self.member.link.address, why))
            }
            other => other,
        }
    }
}

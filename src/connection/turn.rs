//! How much a connection does before others have their turn: see [`crate::turns`].

use super::Connection;
use crate::turns::{QUANTUM, REQUEST, Turn};
use chatwire_codec::Frame;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};

/// What it may still do, and its turn if it has much to do.
#[derive(Default)]
pub(super) struct Pace {
    left: u32,
    /// It has sent a message, or asked for something.
    is_active: bool,
    turn: Option<Box<Stage>>,
}

enum Stage {
    Waits(Pin<Box<dyn Future<Output = Turn> + Send>>),
    Has(#[expect(dead_code, reason = "it is given back when it is dropped")] Turn),
}

impl Pace {
    /// The task is polled: who has little to do may begin anew.
    pub(super) fn begin(&mut self) {
        if self.turn.is_none() {
            (self.left, self.is_active) = (QUANTUM, false);
        }
    }

    /// Whether the next frame may be looked at.
    pub(super) fn has_left(&self) -> bool {
        self.left > 0
    }

    /// A frame is looked at; `None`: one that is passed over.
    pub(super) fn spend(&mut self, frame: Option<&Frame<'_>>) {
        let cost = match frame {
            None | Some(Frame::Ping(_) | Frame::Pong(_) | Frame::Chunk(_) | Frame::Bye(_)) => 1,
            Some(frame) => {
                self.is_active = true;
                if (0x40..=0x6F).contains(&frame.kind()) { REQUEST } else { 1 }
            }
        };
        self.left = self.left.saturating_sub(cost);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Whether its turn has come.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(Stage::Waits(waits)) = self.pace.turn.as_deref_mut() else { return false };
        let Poll::Ready(turn) = waits.as_mut().poll(cx) else { return false };
        self.pace.turn = Some(Box::new(Stage::Has(turn)));
        self.pace.left = QUANTUM;
        true
    }

    /// Nothing can be moved any more for now.
    pub(super) fn pause(&mut self, cx: &Context<'_>, now: Instant) {
        let turns = &self.member.shared.turns;
        match self.pace.turn.as_deref() {
            Some(Stage::Waits(_)) => return,
            Some(Stage::Has(_)) if self.session.is_answered() || self.is_not_taken() => self.pace.turn = None,
            Some(Stage::Has(_)) => return,
            None if self.pace.is_active && self.pace.has_left() => turns.note_little(now),
            None => {}
        }
        if !self.pace.has_left() && !self.session.is_ending() {
            self.pace.turn = Some(Box::new(Stage::Waits(Box::pin(turns.clone().take()))));
            // Whoever else has something to do comes first.
            cx.waker().wake_by_ref();
        }
    }
}

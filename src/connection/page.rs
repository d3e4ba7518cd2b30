//! Pages for a connection that is behind: from the store, with what came to be since its last one.

use super::{Connection, Shared};
use crate::delivery::{self, Segment};
use crate::hub::{Due, Link};
use crate::id::Seq;
use crate::store::Message;
use crate::turns::Turn;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes of text of one page.
const PAGE_BYTES: usize = 128 * 1024;
/// Pauses behind attempts at a page that failed.
const PAGE_PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(5)];

/// What a connection that is behind gets next.
pub(super) struct Page {
    due: Due,
    at: Seq,
    segments: Vec<Segment>,
    /// Until it is in the outbox, and counted there.
    _on_its_way: Option<Turn>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Brings the connection nearer to the head of a chat that it is behind in.
    pub(super) fn poll_page(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if self.page.is_none() && !self.session.is_ending() {
            let Some(due) = self.member.shared.hub.due(&self.member.link) else { return false };
            let (shared, link) = (self.member.shared.clone(), self.member.link.clone());
            self.page = Some(tokio::spawn(next_page(shared, link, due)));
        }
        let Some(job) = &mut self.page else { return false };
        let Poll::Ready(result) = Pin::new(job).poll(cx) else { return false };
        self.page = None;
        match result {
            Ok(Some(page)) => {
                self.member.shared.hub.catch_up(&self.member.link, &page.due, page.at, page.segments);
            }
            Ok(None) => self.fail(now, "a page could not be read"),
            Err(e) => self.fail(now, &format!("a page failed: {e}")),
        }
        true
    }
}

/// Reads the next page for a connection that is behind, and tries again where the disk fails: a slow reader is
/// not to pay for that with its connection.
async fn next_page(shared: Arc<Shared>, link: Arc<Link>, due: Due) -> Option<Page> {
    for pause in PAGE_PAUSES {
        let (own, link) = (shared.clone(), link.clone());
        let turn = shared.turns.clone().page().await;
        let read = shared.jobs.begin(move || page(&own, &link, due)).await;
        if let Ok(Some(page)) = read {
            return Some(Page { _on_its_way: Some(turn), ..page });
        }
        drop(turn);
        tokio::time::sleep(pause).await;
    }
    None
}

fn page(shared: &Shared, link: &Link, due: Due) -> Option<Page> {
    let max_bytes = link.outbox.budget().page_bytes(PAGE_BYTES);
    let messages = shared.store.messages(due.chat, due.after, due.upto, max_bytes).ok()?;
    let user = link.user().map(|(user, _)| *user)?;
    // Where nothing is left in between, the page ends where it was to end.
    let mut page = Page { due, at: due.upto, segments: Vec::new(), _on_its_way: None };
    let mut bytes = 0;
    for message in &messages {
        let limit = if is_whole(shared, message, link.inline_limit()) { link.inline_limit() } else { 0 };
        bytes += delivery::inline(message, limit).map_or(0, |media| media.size);
        if !page.segments.is_empty() && bytes > max_bytes as u64 {
            break;
        }
        delivery::segments(&mut page.segments, message, message.user == user, limit);
        page.at = message.seq;
    }
    Some(page)
}

/// Whether the file of a message that would go inline is what its row says. One that is not goes by reference:
/// a body that ends too early would end the connection.
fn is_whole(shared: &Shared, message: &Message, inline_limit: u32) -> bool {
    delivery::inline(message, inline_limit).is_none_or(|media| {
        let found = shared.media.open_file(&media.id).and_then(|file| file.metadata());
        found.is_ok_and(|found| found.len() == media.size)
    })
}

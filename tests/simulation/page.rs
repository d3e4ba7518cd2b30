//! A page of HISTORY: its messages stand in a row, and are those that were asked for.

use crate::watch::From;
use chatwire_codec::frame::{History, HistoryPage};

const OLDEST: u8 = 1;
const LIMIT: u16 = 200;

/// A page whose messages are still to come.
#[derive(Debug)]
pub(crate) struct Page {
    chat: u64,
    next: u64,
    left: u16,
}

impl Page {
    /// `None`: it has no messages.
    pub(crate) fn begin(page: &HistoryPage, asked: &History) -> Result<Option<Page>, String> {
        let limit = if asked.limit == 0 { LIMIT } else { asked.limit.min(LIMIT) };
        let below = if asked.before == 0 { u64::MAX } else { asked.before };
        let last = page.last_seq.min(below - 1);
        let first = page.first_seq.max(asked.after + 1);
        let all = (last + 1).saturating_sub(first);
        let count = u64::from(page.count);
        // It may end early, but not empty, and says so.
        let is_whole = count == all.min(limit.into());
        if page.chat != asked.chat || count > limit.into() || count > all || (count == 0) != (all == 0) {
            return Err(format!("{all} messages were to be had"));
        }
        if (page.more != 0) != (count < all) || (!is_whole && page.more == 0) {
            return Err(format!("{count} of {all} came, and more is {}", page.more));
        }
        let next = if asked.flags & OLDEST != 0 { first } else { last + 1 - count };
        Ok((count > 0).then_some(Page { chat: page.chat, next, left: page.count }))
    }

    /// The next message; true if it is the last.
    pub(crate) fn add(&mut self, from: &From) -> Result<bool, String> {
        if (from.chat, from.seq) != (self.chat, self.next) {
            return Err(format!("{}/{} was to be next on the page", self.chat, self.next));
        }
        self.next += 1;
        self.left -= 1;
        Ok(self.left == 0)
    }
}

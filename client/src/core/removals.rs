//! Messages that were removed while a page of messages was on its way: the page may have been read before.

use super::pending::Pending;
use super::units::Unit;
use crate::limits::REMOVALS_NOTED;
use crate::message::Content;
use chatwire_codec::frame::MessageGone;
use chatwire_codec::frame::kind;

/// See the module. Empty while no page is on its way.
#[derive(Debug, Default)]
pub(crate) struct Removals(Vec<(u64, u64)>);

impl Removals {
    /// The server has told of one.
    pub(crate) fn note(&mut self, gone: &MessageGone, pending: &Pending) {
        if is_page_awaited(pending) && self.0.len() < REMOVALS_NOTED {
            self.0.push((gone.chat, gone.seq));
        }
    }

    /// A page came: what is gone by now is shown as gone.
    pub(crate) fn apply(&self, unit: &mut Unit<'_>) {
        let messages = match unit {
            Unit::Page(_, page) => &mut page.messages,
            Unit::Found(_, found) => &mut found.messages,
            _ => return,
        };
        for message in messages.iter_mut().filter(|message| self.0.contains(&(message.chat, message.seq))) {
            message.name.clear();
            message.content = Content::Gone;
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&mut self, pending: &Pending) {
        if !self.0.is_empty() && !is_page_awaited(pending) {
            self.0 = Vec::new();
        }
    }
}

fn is_page_awaited(pending: &Pending) -> bool {
    pending.asked.values().any(|asked| matches!(asked.kind, kind::HISTORY | kind::SEARCH))
}

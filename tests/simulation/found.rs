//! A page of SEARCH: newest first, each a match, and of what was stored before it was asked for nothing is left out.

use crate::media;
use crate::truth::Truth;
use crate::watch::From;
use chatwire_codec::frame::{Search, SearchPage};
use std::collections::{BTreeMap, BTreeSet};

const LIMIT: u16 = 200;

/// SEARCH for one word from the newest message on, and how far the chats had come then that the asker stays in.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) req: u32,
    chat: u64,
    word: String,
    limit: u16,
    heads: BTreeMap<u64, u64>,
}

impl Asked {
    pub(crate) fn of(search: &Search<'_>, heads: BTreeMap<u64, u64>) -> Asked {
        let limit = if search.limit == 0 { LIMIT } else { search.limit.min(LIMIT) };
        Asked { req: search.req, chat: search.chat, word: search.query.to_owned(), limit, heads }
    }
}

/// A page whose messages are still to come.
#[derive(Debug)]
pub(crate) struct Found {
    asked: Asked,
    more: bool,
    left: u16,
    /// Time, chat and seq of the last that came.
    last: Option<(i64, u64, u64)>,
    came: BTreeSet<(u64, u64)>,
}

impl Found {
    /// `None`: it has no messages.
    pub(crate) fn begin(page: &SearchPage, asked: Asked, truth: &Truth) -> Result<Option<Found>, String> {
        if page.count > asked.limit || (page.count == 0 && page.more != 0) {
            return Err(format!("{} are a page", asked.limit));
        }
        let found =
            Found { left: page.count, more: page.more != 0, asked, last: None, came: BTreeSet::new() };
        if page.count == 0 {
            return found.check_whole(truth).map(|()| None);
        }
        Ok(Some(found))
    }

    /// The next message; true if it is the last.
    pub(crate) fn add(
        &mut self,
        from: &From,
        text: Option<&str>,
        user: u64,
        truth: &Truth,
    ) -> Result<bool, String> {
        if !truth.was_member(user, from.chat) {
            return Err("nobody was to find this".into());
        }
        let place = (from.at, from.chat, from.seq);
        if self.last.is_some_and(|last| last <= place) {
            return Err(format!("{:?} came before it", self.last));
        }
        if self.asked.chat != 0 && self.asked.chat != from.chat {
            return Err(format!("chat {} was searched", self.asked.chat));
        }
        // One that is removed meanwhile is shown as gone.
        if text.is_some_and(|text| !self.is_match(text)) {
            return Err(format!("{} was searched for", self.asked.word));
        }
        self.last = Some(place);
        self.came.insert((from.chat, from.seq));
        self.left -= 1;
        if self.left == 0 {
            self.check_whole(truth)?;
        }
        Ok(self.left == 0)
    }

    /// Media has no words, but for a name, which nobody gives it here.
    fn is_match(&self, text: &str) -> bool {
        !media::is_file(text)
            && text.split(|c: char| !c.is_alphanumeric()).any(|word| word == self.asked.word)
    }

    /// What there was when it was asked is on the page, or would stand behind its end.
    fn check_whole(&self, truth: &Truth) -> Result<(), String> {
        for (chat, head) in &self.asked.heads {
            if self.asked.chat != 0 && self.asked.chat != *chat {
                continue;
            }
            for seq in 1..=*head {
                let Some(said) = truth.said(*chat, seq) else { continue };
                let is_match = said.text.as_ref().is_some_and(|text| self.is_match(text));
                let is_behind = self.more && self.last.is_none_or(|last| (said.at, *chat, seq) < last);
                if is_match && !is_behind && !self.came.contains(&(*chat, seq)) {
                    return Err(format!("{chat}/{seq} is not found by {}", self.asked.word));
                }
            }
        }
        Ok(())
    }
}

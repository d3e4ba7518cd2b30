//! What docs/PROTOCOL.md says of who may refer to media: section 6.6.

use super::{Chat, MEDIA, World};

impl World {
    /// Whether this may be said, if it refers to media.
    pub(crate) fn may_refer(&self, user: usize, text: &str) -> bool {
        let has_it = |chat: &Chat| chat.messages.iter().any(|message| message.text.as_deref() == Some(text));
        !text.starts_with(MEDIA)
            || self.stored.contains(&(user, text.to_owned()))
            || self.chats.iter().any(|(id, chat)| self.is_member(user, *id) && has_it(chat))
    }
}

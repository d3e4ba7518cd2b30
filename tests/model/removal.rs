//! What docs/PROTOCOL.md says of removal: section 6.9.

use super::{FORBIDDEN, Kind, NOT_FOUND, World};

impl World {
    /// Whether something is still there to be removed.
    fn may_delete(&self, user: usize, chat: u64, seq: u64) -> Result<bool, u16> {
        self.admit(user, chat)?;
        let of = &self.chats[&chat];
        let at = usize::try_from(seq).ok().and_then(|seq| seq.checked_sub(1));
        let message = at.and_then(|at| of.messages.get(at)).ok_or(NOT_FOUND)?;
        let is_owner = of.kind == Kind::Group && of.members[0] == user;
        if message.user == user || is_owner || of.kind == Kind::Home {
            Ok(message.text.is_some())
        } else {
            Err(FORBIDDEN)
        }
    }

    pub(crate) fn delete(&mut self, id: usize, chat: u64, seq: u64, about: u8, req: u64) {
        let user = self.devices[&id].user;
        match self.may_delete(user, chat, seq) {
            Ok(is_new) => {
                if is_new {
                    self.chats.get_mut(&chat).unwrap().messages[usize::try_from(seq).unwrap() - 1].text =
                        None;
                    let told: Vec<usize> =
                        (0..self.users.len()).filter(|user| self.is_member(*user, chat)).collect();
                    self.tell_users(&told, Some(id), &format!("MESSAGE_GONE {chat} {seq}"));
                }
                self.tell(id, format!("DELETED {chat} {seq}"));
            }
            Err(code) => self.refuse(id, code, about, req),
        }
    }
}

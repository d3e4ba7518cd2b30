//! Values that are others in a replay, though they mean the same: ids, tokens, the names of guests.
//!
//! Each is learnt where the server's answer first has it, and must then be the same everywhere; what the client sent is
//! changed to match. 0 and nothing mean themselves.

use crate::seen::{Seen, Val};
use chatwire_codec::HEADER_LEN;
use std::collections::HashMap;

#[derive(Debug, Default)]
pub(crate) struct Renames {
    fields: Vec<String>,
    known: HashMap<(&'static str, Val), Val>,
}

impl Renames {
    /// For fields of these names.
    pub(crate) fn new(fields: &[String]) -> Renames {
        Renames { fields: fields.to_vec(), known: HashMap::new() }
    }

    /// What is to stand for a value of the recording: `is`, where it is seen for the first time.
    pub(crate) fn expected(&mut self, field: &str, was: &Val, is: &Val) -> Val {
        match self.class(field, was).filter(|_| !is_empty(was) && !is_empty(is)) {
            Some(class) => self.known.entry((class, was.clone())).or_insert_with(|| is.clone()).clone(),
            None => was.clone(),
        }
    }

    /// What the client sent, with the values that the replay has for those of the recording.
    pub(crate) fn apply(&self, seen: &Seen, mut bytes: Vec<u8>) -> Vec<u8> {
        if seen.trouble.is_some() {
            return bytes;
        }
        // From the end on, so that what is shorter or longer moves nothing that is still to be changed.
        for field in seen.fields.iter().rev() {
            let new = self
                .class(&field.path, &field.value)
                .and_then(|class| self.known.get(&(class, field.value.clone())));
            if let Some(encoded) = new.and_then(|value| encoded(field.ty, value)) {
                bytes.splice(field.offset..field.offset + field.size, encoded);
            }
        }
        if let Ok(size) = u32::try_from(bytes.len().saturating_sub(HEADER_LEN)) {
            bytes[1..HEADER_LEN].copy_from_slice(&size.to_be_bytes());
        }
        bytes
    }

    /// What fields of different names have in common: `home` is a chat. A `user` in words is a name.
    fn class(&self, field: &str, value: &Val) -> Option<&'static str> {
        if !self.fields.iter().any(|renamed| renamed == field) {
            return None;
        }
        match (field, value) {
            ("chat" | "home" | "before_chat", _) => Some("chat"),
            ("token" | "secret", _) => Some("token"),
            ("user" | "user_name", Val::Text(_)) => Some("name"),
            ("user", _) => Some("user"),
            ("media" | "digest", _) => Some("media"),
            ("seq" | "after" | "before" | "reply_to" | "last_seq", _) => Some("seq"),
            ("nonce", _) => Some("nonce"),
            ("session", _) => Some("session"),
            _ => None,
        }
    }
}

fn is_empty(value: &Val) -> bool {
    match value {
        Val::Unsigned(n) => *n == 0,
        Val::Signed(n) => *n == 0,
        Val::Text(text) => text.is_empty(),
        Val::Bytes(bytes) => bytes.is_empty(),
    }
}

/// The bytes of a field of this type, if it can hold the value.
fn encoded(ty: &str, value: &Val) -> Option<Vec<u8>> {
    match (ty, value) {
        ("u64", Val::Unsigned(n)) => Some(n.to_be_bytes().to_vec()),
        ("str8", Val::Text(text)) => Some([&[u8::try_from(text.len()).ok()?][..], text.as_bytes()].concat()),
        ("str16", Val::Text(text)) => {
            Some([&u16::try_from(text.len()).ok()?.to_be_bytes()[..], text.as_bytes()].concat())
        }
        ("id32", Val::Bytes(bytes)) if bytes.len() == 32 => Some(bytes.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Renames;
    use crate::seen::{Collector, Seen, Val};
    use chatwire_codec::Limits;
    use chatwire_codec::dump::{Sender, Tracer};

    fn renames() -> Renames {
        Renames::new(&["user", "chat", "home", "token", "secret"].map(String::from))
    }

    #[test]
    fn a_value_may_be_another_if_it_is_the_same_other_everywhere() {
        let mut renames = renames();
        let mut is_same = |field, was, is| {
            renames.expected(field, &Val::Unsigned(was), &Val::Unsigned(is)) == Val::Unsigned(is)
        };
        assert!(is_same("home", 12, 15));
        assert!(is_same("chat", 12, 15));
        assert!(!is_same("chat", 12, 16));
        assert!(!is_same("chat", 0, 15));
        assert!(!is_same("seq", 1, 2));
    }

    #[test]
    fn what_the_client_sent_is_changed_to_match() {
        let mut renames = renames();
        renames.expected("token", &Val::Text("old".into()), &Val::Text("newer".into()));
        let hello = b"\x20\0\0\0\x0e\x01\x03UTC\0\x02\0\x03old\x01d";
        let mut seen: Option<Seen> = None;
        let mut collector = Collector::default();
        Tracer::new(Sender::Client, Limits::default()).feed(hello, &mut |item| seen = collector.take(&item));
        let changed = renames.apply(&seen.unwrap(), hello.to_vec());
        assert_eq!(changed, b"\x20\0\0\0\x10\x01\x03UTC\0\x02\0\x05newer\x01d");
    }
}

//! What is said: texts of one size, some of which carry the moment at which they were sent.

use crate::Result;
use chatwire_codec::Payload;
use chatwire_codec::frame::{Text, To};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Every so many texts one is stamped: reading the stamps must not be what the client is busy with.
const STAMP_EVERY: u64 = 16;
const MARK: &str = "@";
/// The mark and a number of nanoseconds in hex.
const STAMP_LEN: usize = 17;

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Makes messages.
pub(crate) struct Texts {
    frame: Vec<u8>,
    text: String,
    made: u64,
}

impl Texts {
    pub(crate) fn new(bytes: usize) -> Result<Texts> {
        LazyLock::force(&EPOCH);
        let text: String = "Words as people say them. ".chars().cycle().take(bytes).collect();
        let mut frame = Vec::new();
        Text { text: &text }.encode(&mut frame)?;
        Ok(Texts { frame, text, made: 0 })
    }

    /// Appends a message to the current chat.
    pub(crate) fn put(&mut self, nonce: u64, now: Instant, out: &mut Vec<u8>) -> Result<()> {
        To { nonce, ..To::default() }.encode(out)?;
        self.made += 1;
        if self.made % STAMP_EVERY == 1 && self.text.len() >= STAMP_LEN {
            self.text.replace_range(..STAMP_LEN, &stamp(now));
            Text { text: &self.text }.encode(out)?;
        } else {
            out.extend_from_slice(&self.frame);
        }
        Ok(())
    }
}

/// How old a text is, if it tells.
pub(crate) fn age(text: &str, now: Instant) -> Option<Duration> {
    let nanos = text.strip_prefix(MARK)?.get(..STAMP_LEN - MARK.len())?;
    let sent = Duration::from_nanos(u64::from_str_radix(nanos, 16).ok()?);
    Some(now.duration_since(*EPOCH).saturating_sub(sent))
}

fn stamp(now: Instant) -> String {
    let nanos = u64::try_from(now.duration_since(*EPOCH).as_nanos()).unwrap_or(u64::MAX);
    format!("{MARK}{nanos:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamped_text_tells_its_age_and_another_does_not() {
        let sent = *EPOCH + Duration::from_millis(5);
        let text = stamp(sent) + " and more";
        assert_eq!(age(&text, sent + Duration::from_micros(70)), Some(Duration::from_micros(70)));
        assert_eq!(age("Words as people say them.", sent), None);
        assert_eq!(age("@12", sent), None);
    }

    #[test]
    fn all_messages_are_of_one_size() {
        let mut texts = Texts::new(128).unwrap();
        let mut sizes = (1..40).map(|nonce| {
            let mut out = Vec::new();
            texts.put(nonce, Instant::now(), &mut out).unwrap();
            out.len()
        });
        let first = sizes.next().unwrap();
        assert!(sizes.all(|size| size == first));
    }

    #[test]
    fn a_text_too_short_for_a_stamp_has_none() {
        let mut out = Vec::new();
        Texts::new(3).unwrap().put(1, Instant::now(), &mut out).unwrap();
        assert!(out.ends_with(b"Wor"));
    }
}

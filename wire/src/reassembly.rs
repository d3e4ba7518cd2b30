//! One side's bytes out of its TCP segments: in order, each once, whatever was lost, sent again or came too early.

use std::collections::BTreeMap;

/// So many bytes wait for those before them; then those are given up as not captured.
const MAX_WAITING: usize = 8 * 1024 * 1024;

/// What comes of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Bytes(&'a [u8]),
    /// So many bytes are not in the capture.
    Gap(u64),
}

/// One side of a connection.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// The sequence number of the byte at `position`; `None` before the first segment.
    next: Option<u32>,
    /// Bytes that were told or given up.
    position: u64,
    /// Segments that came too early, by their position.
    waiting: BTreeMap<u64, Vec<u8>>,
    waiting_bytes: usize,
}

impl Side {
    /// Takes a segment, and tells what is in order with it.
    pub(crate) fn take(&mut self, seq: u32, is_syn: bool, bytes: &[u8], tell: &mut dyn FnMut(Piece<'_>)) {
        // SYN has the number before the first byte's.
        let seq = if is_syn { seq.wrapping_add(1) } else { seq };
        let next = *self.next.get_or_insert(seq);
        // Numbers go round; a segment is at most half of the way ahead of or behind what is next.
        let ahead = i64::from(seq.wrapping_sub(next).cast_signed());
        match u64::try_from(ahead) {
            Ok(0) => self.tell(bytes, tell),
            Ok(ahead) => self.wait(self.position + ahead, bytes),
            // Of what was sent again, only the end may be new.
            Err(_) => {
                let known = usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX);
                self.tell(bytes.get(known..).unwrap_or_default(), tell);
            }
        }
        self.tell_waiting(tell);
        while self.waiting_bytes > MAX_WAITING {
            self.give_up(tell);
        }
    }

    /// Whether no byte of it was told yet.
    pub(crate) fn is_new(&self) -> bool {
        self.position == 0 && self.waiting.is_empty()
    }

    /// Whether all bytes before this number were told.
    pub(crate) fn is_at(&self, seq: u32) -> bool {
        self.next == Some(seq)
    }

    /// Nothing more comes: what waited for bytes that are not there is told.
    pub(crate) fn finish(&mut self, tell: &mut dyn FnMut(Piece<'_>)) {
        while !self.waiting.is_empty() {
            self.give_up(tell);
        }
    }

    fn tell(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Piece<'_>)) {
        if !bytes.is_empty() {
            self.advance(bytes.len() as u64);
            tell(Piece::Bytes(bytes));
        }
    }

    fn advance(&mut self, n: u64) {
        self.position += n;
        // Only the lowest 32 bits count.
        let n = u32::try_from(n & u64::from(u32::MAX)).unwrap_or_default();
        self.next = self.next.map(|next| next.wrapping_add(n));
    }

    fn wait(&mut self, position: u64, bytes: &[u8]) {
        let known = self.waiting.get(&position).map_or(0, Vec::len);
        if bytes.len() > known {
            self.waiting_bytes += bytes.len() - known;
            self.waiting.insert(position, bytes.to_vec());
        }
    }

    fn tell_waiting(&mut self, tell: &mut dyn FnMut(Piece<'_>)) {
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() <= self.position) {
            let (position, bytes) = entry.remove_entry();
            self.waiting_bytes -= bytes.len();
            let known = usize::try_from(self.position - position).unwrap_or(usize::MAX);
            self.tell(bytes.get(known..).unwrap_or_default(), tell);
        }
    }

    fn give_up(&mut self, tell: &mut dyn FnMut(Piece<'_>)) {
        let Some((&position, _)) = self.waiting.first_key_value() else { return };
        let gap = position - self.position;
        self.advance(gap);
        tell(Piece::Gap(gap));
        self.tell_waiting(tell);
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_WAITING, Piece, Side};

    fn told(segments: &[(u32, bool, &str)]) -> String {
        let (mut side, mut told) = (Side::default(), String::new());
        let mut tell = |piece: Piece<'_>| match piece {
            Piece::Bytes(bytes) => told.push_str(str::from_utf8(bytes).unwrap()),
            Piece::Gap(n) => told.push_str(&format!("[{n}]")),
        };
        for (seq, is_syn, bytes) in segments {
            side.take(*seq, *is_syn, bytes.as_bytes(), &mut tell);
        }
        side.finish(&mut tell);
        told
    }

    #[test]
    fn segments_are_put_in_order_and_told_once() {
        assert_eq!(told(&[(9, true, ""), (10, false, "ab"), (12, false, "cd")]), "abcd");
        assert_eq!(told(&[(9, true, ""), (12, false, "cd"), (10, false, "ab")]), "abcd");
        assert_eq!(told(&[(10, false, "ab"), (10, false, "ab"), (12, false, "c")]), "abc");
        assert_eq!(told(&[(10, false, "ab"), (11, false, "bcd"), (14, false, "e")]), "abcde");
        assert_eq!(told(&[(10, false, "a"), (12, false, "c"), (12, false, "cd"), (11, false, "bc")]), "abcd");
    }

    #[test]
    fn numbers_go_round() {
        let end = u32::MAX;
        assert_eq!(told(&[(end - 1, true, ""), (end, false, "ab"), (1, false, "c")]), "abc");
        assert_eq!(told(&[(end - 1, true, ""), (1, false, "c"), (end, false, "ab")]), "abc");
    }

    #[test]
    fn what_was_not_captured_is_told_as_a_gap() {
        assert_eq!(told(&[(10, false, "ab"), (15, false, "fg")]), "ab[3]fg");
        let (mut side, mut gaps) = (Side::default(), 0);
        let mut tell = |piece: Piece<'_>| gaps += u64::from(matches!(piece, Piece::Gap(_)));
        side.take(0, false, b"a", &mut tell);
        for at in 0..=MAX_WAITING / 4096 {
            side.take(2 + u32::try_from(at * 4096).unwrap(), false, &[0; 4096], &mut tell);
        }
        assert!(side.waiting.is_empty());
        assert_eq!(gaps, 1);
    }
}

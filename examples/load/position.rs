//! A member's place in a chat, by the rule of the protocol's section 3.5.

/// The last seq that a connection has of a chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) u64);

/// What a seq means to who stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is the next one, and taken.
    Next,
    /// It was there before; a STATUS of this kind only confirms.
    Known,
    /// Of a STATUS alone: stored, and it will come again in the stream.
    Ahead,
    /// Something is missing.
    Gap,
}

impl Position {
    pub(crate) fn message(&mut self, seq: u64) -> Step {
        self.step(seq, Step::Gap)
    }

    pub(crate) fn status(&mut self, seq: u64) -> Step {
        self.step(seq, Step::Ahead)
    }

    fn step(&mut self, seq: u64, beyond: Step) -> Step {
        if seq <= self.0 {
            Step::Known
        } else if seq == self.0 + 1 {
            self.0 = seq;
            Step::Next
        } else {
            beyond
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_one_is_taken_and_an_old_one_is_not() {
        let mut at = Position(41);
        assert_eq!(at.message(42), Step::Next);
        assert_eq!(at.message(42), Step::Known);
        assert_eq!(at.status(43), Step::Next);
        assert_eq!(at.status(1), Step::Known);
        assert_eq!(at, Position(43));
    }

    #[test]
    fn a_hole_is_seen_and_moves_nothing() {
        let mut at = Position(1);
        assert_eq!(at.message(3), Step::Gap);
        assert_eq!(at.status(3), Step::Ahead);
        assert_eq!(at, Position(1));
        assert_eq!(at.message(2), Step::Next);
    }
}

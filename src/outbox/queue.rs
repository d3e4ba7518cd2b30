//! Segments in order, as many as there are; mostly there is one, and that one lies here and not on the heap.
//!
//! A segment is put in by one thread and taken out by another, and what one thread allocates and another frees
//! is what an allocator is slowest at.

use crate::delivery::Segment;
use std::collections::VecDeque;

/// See the module.
#[derive(Debug, Default)]
pub struct Queue {
    /// `None` only where there is no `rest`.
    first: Option<Segment>,
    /// Never empty, so that a long queue leaves nothing behind.
    #[expect(clippy::box_collection, reason = "mostly there is none, and a box is a quarter of it")]
    rest: Option<Box<VecDeque<Segment>>>,
}

impl Queue {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// From the front to the back.
    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.first.iter().chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    /// The front.
    #[must_use]
    pub fn front(&self) -> Option<&Segment> {
        self.first.as_ref()
    }

    /// The front.
    pub fn front_mut(&mut self) -> Option<&mut Segment> {
        self.first.as_mut()
    }

    /// The back.
    pub fn back_mut(&mut self) -> Option<&mut Segment> {
        match &mut self.rest {
            Some(rest) => rest.back_mut(),
            None => self.first.as_mut(),
        }
    }

    /// Puts a segment at the back.
    pub fn push_back(&mut self, segment: Segment) {
        if self.first.is_none() {
            self.first = Some(segment);
        } else {
            self.rest.get_or_insert_default().push_back(segment);
        }
    }

    /// Puts a segment at the front.
    pub fn push_front(&mut self, segment: Segment) {
        if let Some(second) = self.first.replace(segment) {
            self.rest.get_or_insert_default().push_front(second);
        }
    }

    /// Takes the front.
    pub fn pop_front(&mut self) -> Option<Segment> {
        let second = self.take_rest(VecDeque::pop_front);
        std::mem::replace(&mut self.first, second)
    }

    /// Takes the back.
    pub fn pop_back(&mut self) -> Option<Segment> {
        self.take_rest(VecDeque::pop_back).or_else(|| self.first.take())
    }

    /// Puts all of `other` at the back, and leaves it empty.
    pub fn append(&mut self, other: &mut Queue) {
        if self.is_empty() {
            std::mem::swap(self, other);
        } else if let Some(first) = other.first.take() {
            let rest = self.rest.get_or_insert_default();
            rest.push_back(first);
            rest.extend(other.rest.take().into_iter().flat_map(|rest| *rest));
        }
    }

    fn take_rest(&mut self, take: impl FnOnce(&mut VecDeque<Segment>) -> Option<Segment>) -> Option<Segment> {
        let rest = self.rest.as_mut()?;
        let taken = take(rest);
        if rest.is_empty() {
            self.rest = None;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        PushBack,
        PushFront,
        PopBack,
        PopFront,
        Append(u8),
        AppendTo,
    }

    fn step() -> impl Strategy<Value = Step> {
        use Step::{Append, AppendTo, PopBack, PopFront, PushBack, PushFront};
        prop_oneof![
            Just(PushBack),
            Just(PushFront),
            Just(PopBack),
            Just(PopFront),
            (0..4_u8).prop_map(Append),
            Just(AppendTo)
        ]
    }

    fn segment(n: &mut u8) -> Segment {
        *n += 1;
        Segment::Owned(vec![*n])
    }

    fn number(segment: &Segment) -> u8 {
        match segment {
            Segment::Owned(bytes) => bytes[0],
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn it_does_what_a_deque_does(steps in prop::collection::vec(step(), 0..60)) {
            let (mut queue, mut model, mut n) = (Queue::default(), VecDeque::new(), 0);
            for step in steps {
                match step {
                    Step::PushBack => {
                        queue.push_back(segment(&mut n));
                        model.push_back(n);
                    }
                    Step::PushFront => {
                        queue.push_front(segment(&mut n));
                        model.push_front(n);
                    }
                    Step::PopBack => prop_assert_eq!(queue.pop_back().as_ref().map(number), model.pop_back()),
                    Step::PopFront => prop_assert_eq!(queue.pop_front().as_ref().map(number), model.pop_front()),
                    Step::Append(count) => {
                        let mut other = Queue::default();
                        for _ in 0..count {
                            other.push_back(segment(&mut n));
                            model.push_back(n);
                        }
                        queue.append(&mut other);
                        prop_assert!(other.is_empty());
                    }
                    Step::AppendTo => {
                        let mut other = Queue::default();
                        other.push_back(segment(&mut n));
                        model.push_front(n);
                        other.append(&mut queue);
                        queue = other;
                    }
                }
                prop_assert!(queue.iter().map(number).eq(model.iter().copied()));
                prop_assert_eq!(queue.front().map(number), model.front().copied());
                prop_assert_eq!(queue.front_mut().map(|s| number(s)), model.front().copied());
                prop_assert_eq!(queue.back_mut().map(|s| number(s)), model.back().copied());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                prop_assert_eq!(queue.rest.is_some(), model.len() > 1, "nothing empty is kept");
            }
        }
    }
}

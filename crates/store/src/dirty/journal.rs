//! What was listed, in order: a queue that never moves what it holds. A million listings that are copied because
//! their buffer has grown would hold up everybody who writes.

use std::collections::VecDeque;

use super::Listing;

/// Listings of a chunk. Each holds as many but the last one, and the first one, of which some were taken.
const CHUNK: usize = 512;

#[derive(Default)]
pub(super) struct Journal {
    chunks: VecDeque<VecDeque<Listing>>,
    /// Taken from the first chunk.
    taken: usize,
    len: usize,
}

impl Journal {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, listing: Listing) {
        let is_full = (self.taken + self.len).is_multiple_of(CHUNK);
        match self.chunks.back_mut() {
            Some(last) if !is_full => last.push_back(listing),
            _ => {
                let mut chunk = VecDeque::with_capacity(CHUNK);
                chunk.push_back(listing);
                self.chunks.push_back(chunk);
            }
        }
        self.len += 1;
    }

    /// Puts what another one holds behind what this one holds.
    pub(super) fn append(&mut self, other: Self) {
        if self.len == 0 {
            *self = other;
            return;
        }
        for listing in other.chunks.into_iter().flatten() {
            self.push(listing);
        }
    }

    pub(super) fn front(&self) -> Option<&Listing> {
        self.chunks.front()?.front()
    }

    pub(super) fn pop(&mut self) -> Option<Listing> {
        let first = self.chunks.front_mut()?;
        let listing = first.pop_front()?;
        self.taken += 1;
        self.len -= 1;
        if first.is_empty() {
            self.chunks.pop_front();
            self.taken = 0;
        }
        Some(listing)
    }

    /// All from the one at `at` on.
    pub(super) fn from(&self, at: usize) -> impl Iterator<Item = &Listing> {
        let place = self.taken + at;
        let taken = if place < CHUNK { self.taken } else { 0 };
        let mut chunks = self.chunks.iter().skip(place / CHUNK);
        let first = chunks.next().map(|chunk| chunk.iter().skip(place % CHUNK - taken));
        first.into_iter().flatten().chain(chunks.flatten())
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Listing> {
        self.chunks.iter().rev().flat_map(|chunk| chunk.iter().rev())
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Listing> + use<> {
        std::mem::take(self).chunks.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use base::Stamp;
    use proptest::prelude::*;

    use super::*;
    use crate::record::RowKey;

    fn listing(batch: u64) -> Listing {
        Listing { batch, stamp: Stamp(batch), key: RowKey::from(&b"K"[..]) }
    }

    fn batches<'a>(listings: impl Iterator<Item = &'a Listing>) -> Vec<u64> {
        listings.map(|listing| listing.batch).collect()
    }

    proptest! {
        /// What a plain queue does.
        #[test]
        fn it_is_a_queue(steps in proptest::collection::vec((0_u8..4, 0_usize..2_000), 1..20)) {
            let (mut journal, mut model, mut next) = (Journal::default(), VecDeque::new(), 0);
            for (step, count) in steps {
                let mut pushed = Journal::default();
                for _ in 0..count {
                    match step {
                        0 => {
                            journal.push(listing(next));
                            model.push_back(next);
                        }
                        1 => {
                            pushed.push(listing(next));
                            model.push_back(next);
                        }
                        _ => prop_assert_eq!(journal.pop().map(|listing| listing.batch), model.pop_front()),
                    }
                    next += 1;
                }
                journal.append(pushed);
                prop_assert_eq!(journal.len(), model.len());
                prop_assert_eq!(journal.front().map(|listing| listing.batch), model.front().copied());
                let at = count.min(model.len());
                prop_assert!(batches(journal.from(at)).iter().eq(model.range(at..)));
                prop_assert!(batches(journal.newest_first()).iter().eq(model.iter().rev()));
            }
            prop_assert!(journal.drain().map(|listing| listing.batch).eq(model));
            prop_assert_eq!(journal.len(), 0);
        }
    }
}

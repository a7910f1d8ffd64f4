//! What the log holds of one group, as far as it is written: the log thread's view, and the one that
//! recovery rebuilds from the records. Both apply the same records through the same functions.

use std::collections::VecDeque;

use bytes::Bytes;

/// Entries from `first` on, up to the next run's, lie in segment `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    seq: u64,
}

/// The segment of entries that a checkpoint speaks of and that no segment at hand holds. Entries are
/// still there at the end of a recovery only if a segment was lost. (Segments count from 1.)
const NOWHERE: u64 = 0;

#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) state: Option<Bytes>,
    pub(crate) purged: Option<(u64, Bytes)>,
    /// Segment by segment; empty if there are no entries.
    runs: VecDeque<Run>,
    last: u64,
}

impl Ledger {
    /// A group as a checkpoint describes it: `first > last` means that there are no entries.
    pub(crate) fn unlocated(
        state: Option<Bytes>,
        purged: Option<(u64, Bytes)>,
        first: u64,
        last: u64,
    ) -> Self {
        let runs =
            if first <= last { VecDeque::from([Run { first, seq: NOWHERE }]) } else { VecDeque::new() };
        Self { state, purged, runs, last }
    }

    pub(crate) fn bounds(&self) -> Option<(u64, u64)> {
        self.runs.front().map(|run| (run.first, self.last))
    }

    /// Whether `index` may come next; if not, what should.
    pub(crate) fn check_next(&self, index: u64) -> Result<(), u64> {
        let purged = self.purged.as_ref().map(|(index, _)| *index);
        next_index(self.bounds().map(|(_, last)| last), purged, index)
    }

    /// An entry, for which `check_next` was asked, written to segment `seq`.
    pub(crate) fn append(&mut self, index: u64, seq: u64) {
        if self.runs.back().is_none_or(|run| run.seq != seq) {
            self.runs.push_back(Run { first: index, seq });
        }
        self.last = index;
    }

    pub(crate) fn truncate(&mut self, index: Option<u64>) {
        let Some(index) = index else {
            self.runs.clear();
            return;
        };
        while self.runs.back().is_some_and(|run| run.first > index) {
            self.runs.pop_back();
        }
        self.last = self.last.min(index);
    }

    pub(crate) fn purge(&mut self, index: u64, meta: Bytes) {
        if self.purged.as_ref().is_none_or(|(purged, _)| *purged <= index) {
            self.purged = Some((index, meta));
        }
        if index >= self.last {
            self.runs.clear();
            return;
        }
        // The front run is gone if the next one begins at or below the first live entry.
        while self.runs.get(1).is_some_and(|next| next.first <= index + 1) {
            self.runs.pop_front();
        }
        if let Some(run) = self.runs.front_mut() {
            run.first = run.first.max(index + 1);
        }
    }

    /// The oldest segment that this group needs.
    pub(crate) fn oldest_segment(&self) -> Option<u64> {
        self.runs.front().map(|run| run.seq)
    }

    /// Entries that should be in a segment that is not there.
    pub(crate) fn missing(&self) -> Option<(u64, u64)> {
        let front = self.runs.front().filter(|run| run.seq == NOWHERE)?;
        let last = self.runs.get(1).map_or(self.last, |next| next.first - 1);
        Some((front.first, last))
    }
}

/// The rule for consecutive entries: the one after the last; anything above the purged ones if the
/// group is empty.
pub(crate) fn next_index(last: Option<u64>, purged: Option<u64>, index: u64) -> Result<(), u64> {
    match (last, purged) {
        (Some(last), _) if last.checked_add(1) == Some(index) => Ok(()),
        (Some(last), _) => Err(last.saturating_add(1)),
        (None, Some(purged)) if index <= purged => Err(purged.saturating_add(1)),
        (None, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread() -> Ledger {
        let mut ledger = Ledger::default();
        for (index, seq) in [(5, 1), (6, 1), (7, 2), (8, 4), (9, 4)] {
            ledger.check_next(index).unwrap();
            ledger.append(index, seq);
        }
        ledger
    }

    #[test]
    fn purging_frees_segments_in_order() {
        for (purge, bounds, oldest) in [
            (4, Some((5, 9)), Some(1)),
            (5, Some((6, 9)), Some(1)),
            (6, Some((7, 9)), Some(2)),
            (7, Some((8, 9)), Some(4)),
            (9, None, None),
            (100, None, None),
        ] {
            let mut ledger = spread();
            ledger.purge(purge, Bytes::new());
            assert_eq!((ledger.bounds(), ledger.oldest_segment()), (bounds, oldest), "purge {purge}");
        }
    }

    #[test]
    fn truncation_drops_the_end() {
        for (index, bounds) in [
            (Some(9), Some((5, 9))),
            (Some(7), Some((5, 7))),
            (Some(5), Some((5, 5))),
            (Some(4), None),
            (None, None),
        ] {
            let mut ledger = spread();
            ledger.truncate(index);
            assert_eq!(ledger.bounds(), bounds, "truncate {index:?}");
        }
    }

    #[test]
    fn entries_are_consecutive_and_above_what_is_purged() {
        let mut ledger = spread();
        assert_eq!(ledger.check_next(11), Err(10));
        assert_eq!(ledger.check_next(9), Err(10));
        ledger.purge(20, Bytes::new());
        assert_eq!(ledger.check_next(20), Err(21));
        assert_eq!(ledger.check_next(30), Ok(()));
    }

    #[test]
    fn entries_of_a_lost_segment_are_missing_until_purged_or_truncated() {
        let mut ledger = Ledger::unlocated(None, None, 3, 8);
        ledger.append(9, 7);
        assert_eq!(ledger.missing(), Some((3, 8)));
        ledger.purge(4, Bytes::new());
        assert_eq!(ledger.missing(), Some((5, 8)));
        ledger.truncate(Some(6));
        assert_eq!(ledger.missing(), Some((5, 6)));
        ledger.purge(6, Bytes::new());
        assert_eq!(ledger.missing(), None);
    }
}

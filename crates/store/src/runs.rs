//! Which entries of a stream follow one another. Nobody walks a range in the section; but who reads what is
//! new in a stream has to know what comes behind the last that he knows. That is looked up outside, a stretch
//! at a time, and kept here; what is added to a stream is added to its runs as well, so that those who are
//! at its end never look anything up.
//!
//! A run has every entry that there is between its ends, and may have some that are gone: entries are only
//! ever added behind all the others, and whoever uses a run looks up each of them.

use std::collections::{BTreeMap, VecDeque};

use crate::collection::stream::StreamId;
use crate::keys::Entries;
use crate::scratch::Appended;

/// A stretch of a stream's ids.
#[derive(Debug)]
pub(crate) struct Run {
    entries: Entries,
    epoch: Option<u64>,
    /// It begins behind this id.
    behind: StreamId,
    ids: VecDeque<StreamId>,
    /// Up to and with this one, `ids` are all there are.
    upto: StreamId,
    used: u64,
}

/// What somebody needs to know.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) entries: Entries,
    pub(crate) behind: StreamId,
    /// The last id that was given out then, to an entry that others can see.
    pub(crate) last: StreamId,
    /// What lies before the last is needed first, not what is behind the first.
    pub(crate) is_back: bool,
    pub(crate) epoch: Option<u64>,
}

impl Run {
    /// Ids of one run; from the front it forgets those that are too many.
    pub(crate) const IDS_MAX: usize = 1024;

    /// What was looked up: up to and with an id, or else all there is.
    pub(crate) fn new(wanted: &Wanted, ids: VecDeque<StreamId>, end: Option<StreamId>) -> Self {
        let found = ids.back().copied().unwrap_or(wanted.behind);
        let upto = end.unwrap_or(wanted.last).max(found);
        Self { entries: wanted.entries, epoch: wanted.epoch, behind: wanted.behind, ids, upto, used: 0 }
    }

    /// What was looked up from the last one back: all there is behind an id, or else all that was wanted.
    pub(crate) fn upto(wanted: &Wanted, ids: VecDeque<StreamId>, behind: Option<StreamId>) -> Self {
        let behind = behind.unwrap_or(wanted.behind);
        Self { entries: wanted.entries, epoch: wanted.epoch, behind, ids, upto: wanted.last, used: 0 }
    }

    fn push(&mut self, id: StreamId) {
        // Nearly always the last place; an id that was given up may have been one above it.
        let at = self.ids.partition_point(|known| *known < id);
        if self.ids.get(at) != Some(&id) {
            self.ids.insert(at, id);
        }
        self.upto = self.upto.max(id);
        if self.ids.len() > Self::IDS_MAX
            && let Some(gone) = self.ids.pop_front()
        {
            self.behind = gone;
        }
    }

    /// Goes on with what another one has behind it, which was looked up earlier or at the same time.
    fn extend(&mut self, other: Self) {
        self.used = other.used;
        if other.upto <= self.upto {
            // IMPORTANT: what was added meanwhile is here, and not there.
            return;
        }
        self.ids.extend(other.ids.into_iter().filter(|id| *id > self.upto));
        self.upto = other.upto;
        while self.ids.len() > Self::IDS_MAX
            && let Some(gone) = self.ids.pop_front()
        {
            self.behind = gone;
        }
    }
}

/// The runs of a group's streams.
#[derive(Default)]
pub(crate) struct Runs {
    /// Of each stream few: its readers are at its end, or each somewhere behind.
    of: BTreeMap<Entries, Vec<Run>>,
    count: usize,
    clock: u64,
}

/// Runs of one stream, and of all.
const OF_ONE_MAX: usize = 8;
const RUNS_MAX: usize = 1024;
/// Ids told at a time.
const TOLD_MAX: usize = 256;

impl Runs {
    /// Adds ids behind one, at most up to another; says up to where they are all. `None` if nobody knows.
    pub(crate) fn behind(
        &mut self,
        entries: Entries,
        behind: StreamId,
        to: StreamId,
        known: &mut Vec<StreamId>,
    ) -> Option<StreamId> {
        self.clock += 1;
        let runs = self.of.get_mut(&entries)?;
        let run = runs.iter_mut().find(|run| run.behind <= behind && behind < run.upto)?;
        run.used = self.clock;
        let start = run.ids.partition_point(|id| *id <= behind);
        let ids = run.ids.range(start..).copied().take_while(|id| *id <= to);
        known.extend(ids.take(TOLD_MAX));
        let is_cut = known.len() == TOLD_MAX;
        let last = if is_cut { known.last().copied() } else { None };
        Some(last.unwrap_or(run.upto.min(to)))
    }

    /// Adds ids up to and with one, from the last to the first; says behind which they are all. `None` if nobody knows.
    pub(crate) fn upto(
        &mut self,
        entries: Entries,
        upto: StreamId,
        known: &mut Vec<StreamId>,
    ) -> Option<StreamId> {
        self.clock += 1;
        let runs = self.of.get_mut(&entries)?;
        let run = runs.iter_mut().find(|run| run.behind < upto && upto <= run.upto)?;
        run.used = self.clock;
        let end = run.ids.partition_point(|id| *id <= upto);
        known.extend(run.ids.range(..end).rev().take(TOLD_MAX));
        let last = known.last().filter(|_| known.len() == TOLD_MAX);
        Some(last.and_then(|last| last.previous()).unwrap_or(run.behind))
    }

    /// Keeps what was looked up, if it was in this epoch.
    pub(crate) fn add(&mut self, mut run: Run, epoch: Option<u64>) {
        if run.epoch != epoch || epoch.is_none() {
            return;
        }
        self.clock += 1;
        run.used = self.clock;
        let runs = self.of.entry(run.entries).or_default();
        let before = runs.len();
        if let Some(front) =
            runs.iter_mut().find(|other| other.behind <= run.behind && run.behind <= other.upto)
        {
            front.extend(run);
            return;
        }
        if runs.len() == OF_ONE_MAX
            && let Some(oldest) = (0..runs.len()).min_by_key(|at| runs.get(*at).map_or(0, |run| run.used))
        {
            runs.swap_remove(oldest);
        }
        runs.push(run);
        self.count += runs.len() - before.min(runs.len());
        if self.count > RUNS_MAX {
            self.forget_some();
        }
    }

    /// Entries are added.
    pub(crate) fn appended(&mut self, appended: &[Appended]) {
        for &Appended { entries, behind, id } in appended {
            let Some(runs) = self.of.get_mut(&entries) else { continue };
            for run in runs.iter_mut().filter(|run| run.upto >= behind) {
                run.push(id);
            }
        }
    }

    /// Forgets the half that was not used for the longest time.
    fn forget_some(&mut self) {
        let mut used: Vec<u64> = self.of.values().flatten().map(|run| run.used).collect();
        used.sort_unstable();
        let limit = used.get(used.len() / 2).copied().unwrap_or(0);
        self.of.retain(|_, runs| {
            runs.retain(|run| run.used > limit);
            !runs.is_empty()
        });
        self.count = self.of.values().map(Vec::len).sum();
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Cid, Home};

    const EPOCH: Option<u64> = Some(1);

    fn entries() -> Entries {
        Entries { home: Home { slot: 1, cid: Cid { stamp: 2, seq: 3 } }, generation: 0 }
    }

    fn id(seq: u64) -> StreamId {
        StreamId::new(1, seq)
    }

    /// What was looked up behind an id when the stream had ids up to another one.
    fn run(behind: u64, last: u64) -> Run {
        let wanted =
            Wanted { entries: entries(), behind: id(behind), last: id(last), is_back: false, epoch: EPOCH };
        Run::new(&wanted, (behind + 1..=last).map(id).collect(), None)
    }

    fn check(runs: &mut Runs, behind: u64, expected: std::ops::RangeInclusive<u64>) {
        let mut known = Vec::new();
        let upto = runs.behind(entries(), id(behind), StreamId::MAX, &mut known);
        assert_eq!(upto, Some(id(*expected.end())));
        assert_eq!(known, expected.map(id).collect::<Vec<_>>());
    }

    fn append(runs: &mut Runs, seq: u64) {
        runs.appended(&[Appended { entries: entries(), behind: id(seq - 1), id: id(seq) }]);
    }

    #[test]
    fn who_is_late_takes_nothing_away_from_what_is_known() {
        let mut runs = Runs::default();
        runs.add(run(0, 5), EPOCH);
        check(&mut runs, 0, 1..=5);
        append(&mut runs, 6);
        check(&mut runs, 0, 1..=6);
        // It was looked up before there was a sixth.
        runs.add(run(0, 5), EPOCH);
        check(&mut runs, 0, 1..=6);
        runs.add(run(3, 4), EPOCH);
        check(&mut runs, 2, 3..=6);
        // What goes on where it ends is added to it.
        runs.add(run(6, 9), EPOCH);
        check(&mut runs, 5, 6..=9);
    }

    #[test]
    fn ids_are_told_from_the_last_to_the_first() {
        let mut runs = Runs::default();
        runs.add(run(0, 600), EPOCH);
        let (mut told, mut upto) = (Vec::new(), id(599));
        while upto > id(0) {
            let mut known = Vec::new();
            upto = runs.upto(entries(), upto, &mut known).unwrap();
            told.extend(known);
        }
        assert_eq!(told, (1..=599).rev().map(id).collect::<Vec<_>>());
        assert_eq!(runs.upto(entries(), id(0), &mut told), None);
        assert_eq!(runs.upto(entries(), id(601), &mut told), None);
    }

    #[test]
    fn what_was_looked_up_from_the_end_goes_on_with_what_is_added() {
        let wanted = Wanted { entries: entries(), behind: id(0), last: id(9), is_back: true, epoch: EPOCH };
        let mut runs = Runs::default();
        runs.add(Run::upto(&wanted, (5..=9).map(id).collect(), Some(id(4))), EPOCH);
        append(&mut runs, 10);
        check(&mut runs, 4, 5..=10);
        let mut known = Vec::new();
        assert_eq!(runs.upto(entries(), id(10), &mut known), Some(id(4)));
        assert_eq!(known, (5..=10).rev().map(id).collect::<Vec<_>>());
        assert_eq!(runs.behind(entries(), id(3), StreamId::MAX, &mut known), None);
    }

    #[test]
    fn a_stretch_ends_where_it_was_looked_up_to() {
        let wanted =
            Wanted { entries: entries(), behind: id(0), last: id(100), is_back: false, epoch: EPOCH };
        let mut runs = Runs::default();
        runs.add(Run::new(&wanted, (1..=7).map(id).collect(), Some(id(9))), EPOCH);
        let mut known = Vec::new();
        assert_eq!(runs.behind(entries(), id(0), StreamId::MAX, &mut known), Some(id(9)));
        assert_eq!(known, (1..=7).map(id).collect::<Vec<_>>());
        assert_eq!(runs.behind(entries(), id(9), StreamId::MAX, &mut known), None);
    }
}

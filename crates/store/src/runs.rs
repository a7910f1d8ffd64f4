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
    /// The last id that was given out then, but for those of who wants to know.
    pub(crate) last: StreamId,
    pub(crate) epoch: Option<u64>,
}

impl Run {
    /// Ids of one run; from the front it forgets those that are too many.
    pub(crate) const IDS_MAX: usize = 1024;

    /// What was looked up: up to the id where the next stretch begins, if there is one.
    pub(crate) fn new(wanted: &Wanted, ids: VecDeque<StreamId>, next: Option<StreamId>) -> Self {
        let found = ids.back().copied().unwrap_or(wanted.behind);
        let upto = match next.and_then(StreamId::previous) {
            Some(end) => end.max(found),
            None => wanted.last.max(found),
        };
        Self { entries: wanted.entries, epoch: wanted.epoch, behind: wanted.behind, ids, upto, used: 0 }
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

    /// Keeps what was looked up, if it was in this epoch.
    pub(crate) fn add(&mut self, mut run: Run, epoch: Option<u64>) {
        if run.epoch != epoch || epoch.is_none() {
            return;
        }
        self.clock += 1;
        run.used = self.clock;
        let runs = self.of.entry(run.entries).or_default();
        let before = runs.len();
        // It goes on from another one. IMPORTANT: that may have come further since it was looked for, and has all that was
        // added meanwhile; only what lies behind it is news.
        if let Some(front) =
            runs.iter_mut().find(|other| other.behind <= run.behind && run.behind <= other.upto)
        {
            let start = run.ids.partition_point(|id| *id <= front.upto);
            front.ids.extend(run.ids.drain(start..));
            (front.upto, front.used) = (run.upto.max(front.upto), run.used);
            while front.ids.len() > Run::IDS_MAX
                && let Some(gone) = front.ids.pop_front()
            {
                front.behind = gone;
            }
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

    const ENTRIES: Entries = Entries { home: Home { slot: 0, cid: Cid { stamp: 1, seq: 1 } }, generation: 0 };

    fn id(number: u64) -> StreamId {
        StreamId::new(number, 0)
    }

    /// What is found behind an id when the last one is another: ids, and the one where the next stretch begins.
    fn looked_up(behind: u64, last: u64, ids: impl Iterator<Item = u64>, next: Option<u64>) -> Run {
        let wanted = Wanted { entries: ENTRIES, behind: id(behind), last: id(last), epoch: Some(1) };
        Run::new(&wanted, ids.map(id).collect(), next.map(id))
    }

    fn append(runs: &mut Runs, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            runs.appended(&[Appended { entries: ENTRIES, behind: id(number - 1), id: id(number) }]);
        }
    }

    /// All that the section knows to be behind an id, up to another.
    #[track_caller]
    fn check(runs: &mut Runs, behind: u64, to: u64, expected: Option<impl Iterator<Item = u64>>) {
        let mut known = Vec::new();
        let mut at = id(behind);
        while at < id(to) {
            let mut some = Vec::new();
            let Some(upto) = runs.behind(ENTRIES, at, id(to), &mut some) else {
                assert!(expected.is_none(), "behind {at:?} nothing is known");
                return;
            };
            known.extend(some);
            at = upto;
        }
        assert_eq!(Some(known), expected.map(|ids| ids.map(id).collect::<Vec<_>>()));
    }

    const NOTHING: Option<std::iter::Empty<u64>> = None;

    #[test]
    fn what_is_added_is_known_to_those_at_the_end() {
        let mut runs = Runs::default();
        check(&mut runs, 0, 9, NOTHING);
        runs.add(looked_up(3, 9, 4..=9, None), Some(1));
        append(&mut runs, 10..=600);
        check(&mut runs, 3, 600, Some(4..=600));
        check(&mut runs, 500, 550, Some(501..=550));
        check(&mut runs, 2, 600, NOTHING);
    }

    #[test]
    fn a_stretch_that_goes_on_from_another_is_joined_to_it() {
        let mut runs = Runs::default();
        runs.add(looked_up(0, 900, 1..=300, Some(301)), Some(1));
        check(&mut runs, 0, 400, NOTHING);
        runs.add(looked_up(300, 900, 301..=900, None), Some(1));
        append(&mut runs, 901..=910);
        check(&mut runs, 0, 910, Some(1..=910));
    }

    #[test]
    fn what_was_looked_up_late_takes_nothing_away() {
        // Two wanted the same at the same time; the first has what comes next as well before the second is back.
        let mut runs = Runs::default();
        runs.add(looked_up(0, 900, 1..=300, Some(301)), Some(1));
        runs.add(looked_up(300, 900, 301..=900, None), Some(1));
        append(&mut runs, 901..=910);
        runs.add(looked_up(0, 900, 1..=300, Some(301)), Some(1));
        check(&mut runs, 0, 910, Some(1..=910));
        runs.add(looked_up(300, 900, 301..=900, None), Some(1));
        check(&mut runs, 0, 910, Some(1..=910));
    }

    #[test]
    fn what_was_added_while_it_was_looked_up_is_not_taken_for_known() {
        let mut runs = Runs::default();
        let run = looked_up(0, 5, 1..=5, None);
        append(&mut runs, 6..=6);
        runs.add(run, Some(1));
        append(&mut runs, 7..=7);
        check(&mut runs, 0, 5, Some(1..=5));
        check(&mut runs, 5, 7, NOTHING);
    }
}

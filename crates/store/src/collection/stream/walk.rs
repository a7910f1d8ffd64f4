//! Walking through a stream's entries, in either direction. In the section nobody walks a range: there the ids come
//! from the [`Runs`](crate::runs::Runs), and each of them is looked up.

use std::collections::VecDeque;

use base::codec::DecodeError;

use super::{Entry, Stream, StreamId};
use crate::disk::DiskError;
use crate::group::Group;
use crate::keys;
use crate::range::{Flow, visit, visit_back};
use crate::runs::{Run, Wanted};
use crate::scratch::Appended;
use crate::txn::Stop;
use crate::view::View;

/// Entries that are loaded together for whoever walks in the section.
const AT_A_TIME_MAX: usize = 64;

/// What a walk does with an entry.
type Each<'e, E> = dyn FnMut(&Entry<'_>) -> Result<Flow, E> + 'e;

impl Stream<'_, '_> {
    /// Visits the entries from an id on, up to and with another one.
    pub fn walk<E: From<Stop>>(
        &mut self,
        from: StreamId,
        to: StreamId,
        each: &mut Each<'_, E>,
    ) -> Result<(), E> {
        let Some((from, to)) = self.within(from, to) else { return Ok(()) };
        if matches!(self.txn.view, View::Section(_)) {
            return self.walk_runs(from, to, each);
        }
        let (start, end) = self.head.entries.range(from, to);
        visit(self.txn, &start, Some(&end), &mut |key, value, _| each(&entry(key, value)?))
    }

    /// Like [`Self::walk`], from the last one to the first.
    pub fn walk_back<E: From<Stop>>(
        &mut self,
        from: StreamId,
        to: StreamId,
        each: &mut Each<'_, E>,
    ) -> Result<(), E> {
        let Some((from, to)) = self.within(from, to) else { return Ok(()) };
        if matches!(self.txn.view, View::Section(_)) {
            return self.walk_runs_back(from, to, each);
        }
        let (start, end) = self.head.entries.range(from, to);
        visit_back(self.txn, &start, &end, &mut |key, value| each(&entry(key, value)?))
    }

    /// The ids that entries between these may have.
    fn within(&self, from: StreamId, to: StreamId) -> Option<(StreamId, StreamId)> {
        let (from, to) = (from.max(self.head.first), to.min(self.head.last));
        (self.head.len > 0 && from <= to).then_some((from, to))
    }

    /// In the section: looks up those of which the section knows that they may be there.
    fn walk_runs<E: From<Stop>>(
        &mut self,
        from: StreamId,
        to: StreamId,
        each: &mut Each<'_, E>,
    ) -> Result<(), E> {
        let mut behind = from.previous().unwrap_or(StreamId::ZERO);
        let (mut known, mut at_a_time) = (Vec::new(), 1);
        while behind < to {
            known.clear();
            behind = self.known_behind(behind, to, &mut known)?;
            if self.look_up(&known, &mut at_a_time, each)? == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    /// Like [`Self::walk_runs`], from the last one to the first.
    fn walk_runs_back<E: From<Stop>>(
        &mut self,
        from: StreamId,
        to: StreamId,
        each: &mut Each<'_, E>,
    ) -> Result<(), E> {
        let (mut upto, mut known, mut at_a_time) = (to, Vec::new(), 1);
        while upto >= from && upto > StreamId::ZERO {
            known.clear();
            upto = self.known_upto(upto, from, &mut known)?;
            known.retain(|id| *id >= from);
            if self.look_up(&known, &mut at_a_time, each)? == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    fn look_up<E: From<Stop>>(
        &mut self,
        mut ids: &[StreamId],
        at_a_time: &mut usize,
        each: &mut Each<'_, E>,
    ) -> Result<Flow, E> {
        while !ids.is_empty() {
            // A few at a time: whoever wants few stops soon, and for many they are loaded together.
            let (some, others) = ids.split_at_checked(*at_a_time).unwrap_or((ids, &[]));
            self.expect(some)?;
            for &id in some {
                if self.with(id, |entry| each(entry))?.transpose()? == Some(Flow::Stop) {
                    return Ok(Flow::Stop);
                }
            }
            ids = others;
            *at_a_time = (*at_a_time * 4).min(AT_A_TIME_MAX);
        }
        Ok(Flow::More)
    }

    fn expect(&mut self, ids: &[StreamId]) -> Result<(), Stop> {
        if ids.len() < 2 {
            return Ok(());
        }
        let mut key = Vec::new();
        for &id in ids {
            self.head.entries.record(&mut key, id);
            self.txn.expect(&key);
        }
        self.txn.stop_if_cold()
    }

    /// Adds ids of entries that may be there behind an id, and says up to where these are all.
    fn known_behind(
        &mut self,
        behind: StreamId,
        to: StreamId,
        known: &mut Vec<StreamId>,
    ) -> Result<StreamId, Stop> {
        let entries = self.head.entries;
        let last = self.last_of_others();
        let others_to = last.min(to);
        if behind >= others_to {
            self.own_between(behind, to, known);
            return Ok(to);
        }
        let View::Section(section) = &mut self.txn.view else { return Err(Stop::Outgrown) };
        if let Some(upto) = section.runs.behind(entries, behind, others_to, known) {
            return Ok(upto);
        }
        let epoch = section.epoch();
        self.txn.scratch.hints.run = Some(Wanted { entries, behind, last, is_back: false, epoch });
        Err(Stop::Cold)
    }

    /// Adds ids of entries that may be there up to and with an id, from the last one to the first, and says behind
    /// which these are all.
    fn known_upto(
        &mut self,
        upto: StreamId,
        from: StreamId,
        known: &mut Vec<StreamId>,
    ) -> Result<StreamId, Stop> {
        let entries = self.head.entries;
        let last = self.last_of_others();
        if upto > last {
            self.own_between(last, upto, known);
            known.reverse();
            return Ok(last);
        }
        let View::Section(section) = &mut self.txn.view else { return Err(Stop::Outgrown) };
        if let Some(behind) = section.runs.upto(entries, upto, known) {
            return Ok(behind);
        }
        let epoch = section.epoch();
        let behind = from.previous().unwrap_or(StreamId::ZERO);
        self.txn.scratch.hints.run = Some(Wanted { entries, behind, last: upto, is_back: true, epoch });
        Err(Stop::Cold)
    }

    fn own(&self) -> impl Iterator<Item = &Appended> {
        self.txn.scratch.appended.iter().filter(|own| own.entries == self.head.entries)
    }

    /// The last id of those that others know. What this transaction has added itself, nobody else knows yet; it lies
    /// behind all the others.
    fn last_of_others(&self) -> StreamId {
        self.own().map(|own| own.behind).min().unwrap_or(self.head.last)
    }

    /// Adds the ids that this transaction has given, behind one and up to another, in order.
    fn own_between(&self, behind: StreamId, to: StreamId, known: &mut Vec<StreamId>) {
        known.extend(self.own().map(|own| own.id).filter(|id| *id > behind && *id <= to));
        known.sort_unstable();
        known.dedup();
    }
}

fn entry<'a>(key: &[u8], value: &'a [u8]) -> Result<Entry<'a>, Stop> {
    match keys::id_at_end(key) {
        Some(id) => Ok(Entry { id, fields: value }),
        None => Err(Stop::Disk(DiskError::corrupt(key, DecodeError::Short))),
    }
}

impl Group {
    /// Looks up which entries there are, for whoever needs to know that in the section.
    pub(crate) fn find_run(&self, wanted: &Wanted) -> Result<Run, Stop> {
        let from = wanted.behind.next().unwrap_or(StreamId::MAX);
        // What was added meanwhile is good to know.
        let (start, end) = wanted.entries.range(from, StreamId::MAX);
        if wanted.is_back {
            let (_, end) = wanted.entries.range(from, wanted.last);
            let window = self.peek_window_back(&start, &end, Run::IDS_MAX)?;
            let behind = window.next.and_then(|first| wanted.entries.last_below(&first));
            return Ok(Run::upto(wanted, ids(&window.keys), behind));
        }
        let window = self.peek_window(&start, &end, Run::IDS_MAX)?;
        let end = window.next.and_then(|next| wanted.entries.last_below(&next));
        Ok(Run::new(wanted, ids(&window.keys), end))
    }
}

fn ids(keys: &[Vec<u8>]) -> VecDeque<StreamId> {
    keys.iter().filter_map(|key| keys::id_at_end(key)).collect()
}

//! What is known of one group of one stream, and whether it agrees with what is there. Pure.

use super::entry::{Element, EntryId};
use super::ledger::{How, Shown, Span, Verdict, in_order};
use crate::Result;
use std::collections::{BTreeMap, BTreeSet};

/// What is found of a group when nobody uses it.
#[derive(Debug, Clone, Default)]
pub struct GroupRest {
    /// As XINFO GROUPS says.
    pub last: EntryId,
    pub read: Option<i64>,
    pub lag: Option<i64>,
    pub count: i64,
    /// As XPENDING says, with what is pending for whom.
    pub summary: Summary,
    /// As XINFO CONSUMERS says.
    pub consumers: BTreeMap<usize, i64>,
    pub pending: Vec<Pending>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub count: i64,
    pub ends: Option<(EntryId, EntryId)>,
    pub by_consumer: BTreeMap<usize, i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    pub id: EntryId,
    pub consumer: usize,
    pub times: i64,
}

#[derive(Debug, Default)]
pub struct GroupBook {
    last: EntryId,
    /// How many entries it was told.
    told: u64,
    pending: BTreeMap<EntryId, Pending>,
    pub(super) shown: Vec<Shown>,
    pub(super) maybe_shown: Vec<(usize, How, usize)>,
    pub(super) acked: Vec<(Span, Vec<EntryId>, i64)>,
    pub(super) maybe_acked: BTreeSet<EntryId>,
}

/// What the verdict on a group goes by.
struct Found<'a> {
    /// What is in the stream.
    entries: &'a [(EntryId, Element)],
    rest: &'a GroupRest,
    /// What the group was told since it was compared last, and of that what reached somebody.
    new: BTreeSet<EntryId>,
    seen: BTreeSet<EntryId>,
    /// When each entry was first known to be acknowledged.
    acked: BTreeMap<EntryId, u64>,
}

impl GroupBook {
    pub(super) fn done_below(&self) -> EntryId {
        self.pending.keys().next().copied().unwrap_or_else(|| self.last.next())
    }

    pub(super) fn told(&self) -> u64 {
        self.told
    }

    pub(super) fn pending_ids(&self) -> BTreeSet<EntryId> {
        self.pending.keys().copied().collect()
    }

    pub(super) fn settle(
        &mut self,
        entries: &[(EntryId, Element)],
        total: u64,
        rest: &GroupRest,
        keeps_counts: bool,
        verdict: &mut Verdict,
    ) -> Result {
        let is_new = |id: &EntryId| *id > self.last && *id <= rest.last;
        let new: BTreeSet<EntryId> = entries.iter().map(|(id, _)| *id).filter(is_new).collect();
        let seen = self.told_in_order(entries)?;
        let acked = self.acknowledged();
        let found = Found { entries, rest, new, seen, acked };
        self.check_told(&found)?;
        self.check_shown(&found)?;
        let certain = self.check_acks(&found)?;
        self.check_pending(&found)?;
        for pending in &rest.pending {
            self.check_owner(&found, pending)?;
            if keeps_counts {
                self.check_times(&found, pending)?;
            }
        }
        check_sums(rest)?;
        self.told += found.new.len() as u64;
        let (read, lag) = (self.told as i64, total as i64 - self.told as i64);
        if keeps_counts && (rest.read != Some(read) || rest.lag != Some(lag)) {
            let GroupRest { read: says, lag: lacks, .. } = rest;
            return Err(format!("it was told {read} and lacks {lag}, but says {says:?} and {lacks:?}").into());
        }
        verdict.told += found.new.len() as u64;
        verdict.told_unseen += found.new.difference(&found.seen).count() as u64;
        let again = self.shown.iter().filter(|shown| shown.how != How::New);
        verdict.shown_again += again.map(|shown| shown.entries.len() as u64).sum::<u64>();
        verdict.acked += certain;
        verdict.pending += rest.pending.len() as u64;
        verdict.untold += lag as u64;
        let pending = rest.pending.iter().map(|pending| (pending.id, *pending)).collect();
        *self = Self { last: rest.last, told: self.told, pending, ..Self::default() };
        Ok(())
    }

    /// What was shown as new: each reply has all that there is between its first and its last entry, no entry comes
    /// twice, and who asked later is told what comes later.
    fn told_in_order(&self, entries: &[(EntryId, Element)]) -> Result<BTreeSet<EntryId>> {
        let mut seen = BTreeSet::new();
        let new = || self.shown.iter().filter(|shown| shown.how == How::New);
        for shown in new() {
            let ids: Vec<EntryId> = shown.entries.iter().map(|(id, _)| *id).collect();
            for id in &ids {
                if *id <= self.last || !seen.insert(*id) {
                    return Err(format!("{id} was told twice as new, at last to {:?}", shown.to).into());
                }
            }
            let (Some(first), Some(last)) = (ids.first(), ids.last()) else { continue };
            let from = entries.partition_point(|(id, _)| id < first);
            let all = entries.get(from..).unwrap_or_default().iter().map(|(id, _)| *id);
            let all: Vec<EntryId> = all.take_while(|id| id <= last).collect();
            if all != ids {
                return Err(format!("{ids:?} was told as new, of which there is {all:?}").into());
            }
        }
        in_order(new().flat_map(|shown| shown.entries.iter().map(|(id, _)| (*id, shown.span))))?;
        Ok(seen)
    }

    fn check_told(&self, found: &Found<'_>) -> Result {
        let Found { rest, new, seen, .. } = found;
        if rest.last < self.last {
            return Err(format!("it was told up to {}, and is at {}", self.last, rest.last).into());
        }
        if let Some(id) = seen.iter().find(|id| !new.contains(id)) {
            return Err(format!("{id} was told, but it is at {}", rest.last).into());
        }
        let is_entry = found.entries.iter().any(|(id, _)| *id == rest.last);
        if rest.last != self.last && !is_entry {
            return Err(format!("it is at {}, which is no entry", rest.last).into());
        }
        let unseen = new.len() - seen.len();
        let new_reads = self.maybe_shown.iter().filter(|(_, how, _)| *how == How::New);
        let possible: usize = new_reads.map(|(_, _, count)| *count).sum();
        if unseen > possible {
            let shown: Vec<_> = new.difference(seen).take(20).collect();
            return Err(format!(
                "{unseen} entries were told to nobody, of which reads without a reply explain {possible}: {shown:?}"
            )
            .into());
        }
        Ok(())
    }

    /// When each entry was acknowledged for certain that was pending until then.
    fn acknowledged(&self) -> BTreeMap<EntryId, u64> {
        let mut acked = BTreeMap::new();
        for (span, ids, _) in &self.acked {
            for id in ids.iter().filter(|id| **id > self.last || self.pending.contains_key(id)) {
                let first = acked.entry(*id).or_insert(span.received);
                *first = span.received.min(*first);
            }
        }
        acked
    }

    fn check_shown(&self, found: &Found<'_>) -> Result {
        for shown in &self.shown {
            for (id, element) in &shown.entries {
                let at = found.entries.binary_search_by_key(id, |(id, _)| *id);
                let there = at.ok().and_then(|at| found.entries.get(at)).map(|(_, element)| *element);
                if there.is_none() || (element.is_some() && *element != there) {
                    return Err(format!("{id} was shown with {element:?}, and is {there:?}").into());
                }
                let was_acked = *id <= self.last && !self.pending.contains_key(id);
                if was_acked || found.acked.get(id).is_some_and(|acked| *acked < shown.span.sent) {
                    let Shown { to, how, .. } = shown;
                    return Err(format!("{id} was acknowledged, and then shown to {to:?} ({how:?})").into());
                }
                if *id > found.rest.last {
                    return Err(format!("{id} was shown, but the group is at {}", found.rest.last).into());
                }
            }
        }
        Ok(())
    }

    /// Each entry is acknowledged once. Says how many are for certain.
    fn check_acks(&self, found: &Found<'_>) -> Result<u64> {
        if let Some((_, ids, count)) = self.acked.iter().find(|(_, ids, count)| *count > ids.len() as i64) {
            return Err(format!("{count} of {ids:?} were pending").into());
        }
        let certain = found.acked.len() as i64;
        let counted: i64 = self.acked.iter().map(|(_, _, count)| count).sum();
        let possible = found.acked.keys().filter(|id| self.maybe_acked.contains(id)).count() as i64;
        if counted > certain || counted < certain - possible {
            return Err(format!(
                "{certain} entries were acknowledged, of which {possible} perhaps without a reply, but {counted} were counted"
            )
            .into());
        }
        Ok(found.acked.len() as u64)
    }

    fn check_pending(&self, found: &Found<'_>) -> Result {
        let there: BTreeSet<EntryId> = found.rest.pending.iter().map(|pending| pending.id).collect();
        if there.len() != found.rest.pending.len() {
            return Err("an entry is pending twice".into());
        }
        let told: BTreeSet<EntryId> = self.pending.keys().chain(&found.new).copied().collect();
        for id in &there {
            if !told.contains(id) {
                return Err(format!("{id} is pending, but was acknowledged before or never told").into());
            }
            if found.acked.contains_key(id) {
                return Err(format!("{id} is pending, but was acknowledged").into());
            }
        }
        let is_left = |id: &&EntryId| {
            !there.contains(id) && !found.acked.contains_key(id) && !self.maybe_acked.contains(id)
        };
        match told.iter().find(is_left) {
            Some(id) => Err(format!("{id} was told and not acknowledged, but is not pending").into()),
            None => Ok(()),
        }
    }

    /// It is pending for one of those to whom it may have been given last.
    fn check_owner(&self, found: &Found<'_>, pending: &Pending) -> Result {
        let gives = |how: How| matches!(how, How::New | How::Claimed | How::ClaimedIds);
        let has = |shown: &&Shown| gives(shown.how) && shown.entries.iter().any(|(id, _)| *id == pending.id);
        let given: Vec<&Shown> = self.shown.iter().filter(has).collect();
        let was_given = |shown: &&&Shown| {
            let is_later = |other: &&Shown| other.span.sent > shown.span.received;
            shown.to.consumer == pending.consumer && !given.iter().any(is_later)
        };
        let had_it = self.pending.get(&pending.id).map(|before| before.consumer);
        let is_unseen = found.new.contains(&pending.id) && !found.seen.contains(&pending.id);
        let perhaps = |(consumer, how, _): &&(usize, How, usize)| {
            let may_be = if is_unseen { gives(*how) } else { gives(*how) && *how != How::New };
            *consumer == pending.consumer && may_be
        };
        let is_right = given.iter().any(|shown| was_given(&shown))
            || (given.is_empty() && had_it == Some(pending.consumer))
            || self.maybe_shown.iter().any(|maybe| perhaps(&maybe));
        if is_right {
            return Ok(());
        }
        let to: Vec<usize> = given.iter().map(|shown| shown.to.consumer).collect();
        Err(format!(
            "{} is pending for {}, but was given to {had_it:?}, then {to:?}",
            pending.id, pending.consumer
        )
        .into())
    }

    fn check_times(&self, found: &Found<'_>, pending: &Pending) -> Result {
        let has = |shown: &&Shown| {
            shown.how != How::ClaimedIds && shown.entries.iter().any(|(id, _)| *id == pending.id)
        };
        let before = self.pending.get(&pending.id).map_or(0, |before| before.times);
        let is_unseen = found.new.contains(&pending.id) && !found.seen.contains(&pending.id);
        let shown = before + self.shown.iter().filter(has).count() as i64;
        let (least, most) = (shown + i64::from(is_unseen), shown + self.maybe_shown.len() as i64);
        if (least..=most).contains(&pending.times) {
            return Ok(());
        }
        Err(format!("{} was shown {least} to {most} times, but says {}", pending.id, pending.times).into())
    }
}

/// All that says how much is pending says the same.
fn check_sums(rest: &GroupRest) -> Result {
    let mut by_consumer = BTreeMap::new();
    for pending in &rest.pending {
        *by_consumer.entry(pending.consumer).or_insert(0) += 1;
    }
    let ends = rest.pending.first().zip(rest.pending.last()).map(|(first, last)| (first.id, last.id));
    let summary = Summary { count: rest.pending.len() as i64, ends, by_consumer };
    if rest.summary != summary || rest.count != summary.count {
        return Err(format!(
            "{summary:?} is pending, but XPENDING says {:?}, and XINFO GROUPS {}",
            rest.summary, rest.count
        )
        .into());
    }
    let mut consumers = rest.consumers.clone();
    consumers.retain(|_, count| *count != 0);
    if consumers != summary.by_consumer {
        return Err(
            format!("{:?} is pending, but XINFO CONSUMERS says {consumers:?}", summary.by_consumer).into()
        );
    }
    Ok(())
}

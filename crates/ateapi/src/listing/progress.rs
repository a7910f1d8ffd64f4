//! How far a listing has come: all that a token holds, and how it follows from what shards say. Pure.
//!
//! A slot is *done* when every key in it that was there throughout has been seen. The slots of one shard are
//! walked together, by one scan of it. That is enough because, within one process, a cursor divides
//! the keys into those that have come and those that will come, wherever they have been between two
//! steps: only what is away *while* a step is made can be missed. So each call's stay at a shard stands between two looks at
//! it, and what was done in between counts only for the slots that were there all the while ([`Progress::leave`]).
//!
//! The keys of a slot that is on its way move one by one, from its source to its target. A complete walk of
//! the source, and one of the target that begins after that, see each of them: [`Half`] is a slot that has had
//! the first of the two.

use super::limits::{HALVES_MAX, TAKEN_MAX, TARGETS_MAX};
use crate::store::{NodeId, Shard, SlotSet, Topology};
use bytes::Bytes;
use ring::digest::{SHA256, digest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Progress {
    pub(super) done: SlotSet,
    pub(super) halves: Vec<Half>,
    pub(super) walk: Option<Walk>,
}

/// Slots that have been walked at their source, while they were on their way to their target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Half {
    pub(super) source: NodeId,
    pub(super) source_epoch: u64,
    pub(super) target: NodeId,
    pub(super) slots: SlotSet,
}

/// The walk through one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) node: NodeId,
    pub(super) run: Arc<str>,
    pub(super) epoch: u64,
    pub(super) positions: bool,
    pub(super) place: Place,
    /// Those that it is for: keys of others are not its business.
    pub(super) slots: SlotSet,
    /// Those of them that were seen on their way to another node.
    pub(super) leaving: Vec<(NodeId, SlotSet)>,
}

/// Where a walk stands: at a cursor, or within the step that begins there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) cursor: u64,
    pub(super) part: Option<Part>,
}

/// A step of which some keys have been taken, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) count: u32,
    pub(super) end: u64,
    /// The last of them; none, if they are carried over from the step before.
    pub(super) after: Bytes,
    /// Which they are, if they are few: then they are known again also in a step to another end, which may
    /// have keys that were not among those of the first.
    pub(super) taken: Vec<u64>,
}

impl Part {
    /// With one more key: the next in order of a step.
    pub(super) fn with(part: Option<Self>, count: u32, end: u64, after: Bytes) -> Self {
        let mut taken = match part {
            None => vec![print_of(&after)],
            Some(Self { mut taken, .. }) if !taken.is_empty() => {
                taken.push(print_of(&after));
                taken
            }
            Some(_) => Vec::new(),
        };
        if taken.len() > TAKEN_MAX {
            taken = Vec::new();
        }
        Self { count, end, after, taken }
    }

    /// What was taken and is not in this step: it ends earlier than the one that was left, and the next one has it. Not said
    /// again of what has been carried over to that: it may be gone.
    pub(super) fn ahead(&self, keys: &[Bytes]) -> Vec<u64> {
        if self.after.is_empty() {
            return Vec::new();
        }
        let here: BTreeSet<u64> = keys.iter().map(|key| print_of(key)).collect();
        self.taken.iter().copied().filter(|print| !here.contains(print)).collect()
    }

    /// Leaves those keys of a step that have not been taken. `false`: it cannot tell.
    pub(super) fn rest(&self, end: u64, keys: &mut Vec<Bytes>) -> bool {
        if !self.taken.is_empty() {
            // Not in the order of keys: a step to another end may have had some before the last one.
            keys.retain(|key| !self.taken.contains(&print_of(key)));
            return true;
        }
        if end == self.end {
            keys.retain(|key| *key > self.after);
        }
        end == self.end
    }
}

/// Eight bytes of a hash. That two of some dozen keys have the same does not happen by chance.
fn print_of(key: &[u8]) -> u64 {
    let hash = digest(&SHA256, key);
    hash.as_ref().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Whether a stay at a shard counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stayed {
    Counts,
    /// The shard was not the same all the while: back to where the stay began.
    InVain,
}

impl Progress {
    pub(super) fn is_complete(&self) -> bool {
        self.done == SlotSet::all()
    }

    fn pending(&self) -> SlotSet {
        let mut pending = SlotSet::all();
        pending.subtract(&self.done);
        pending
    }

    /// The lowest slot that is not done.
    pub(super) fn lowest(&self) -> Option<u16> {
        self.pending().first()
    }

    /// Which shard is next: that of the lowest slot that is left and that somebody serves.
    pub(super) fn choose(&self, topology: &Topology) -> Option<NodeId> {
        let pending = self.pending();
        let halved =
            |slot| self.halves.iter().find(|half| half.slots.contains(slot)).map(|half| &half.target);
        let owner = |slot| topology.owner(slot).map(|owner| &owner.node);
        pending.iter().find_map(|slot| halved(slot).or_else(|| owner(slot))).cloned()
    }

    /// Begins the walk through a shard, if it has anything that is left.
    pub(super) fn begin(&mut self, shard: &Shard) -> bool {
        let mut slots = self.pending();
        for half in &self.halves {
            slots.subtract(&half.slots);
        }
        slots.retain(&shard.slots);
        for half in self.halves.iter().filter(|half| half.target == shard.node) {
            slots.add(&half.slots);
        }
        self.walk = Some(Walk {
            node: shard.node.clone(),
            run: Arc::clone(&shard.run),
            epoch: shard.epoch,
            positions: shard.positions,
            place: Place::default(),
            slots,
            leaving: Vec::new(),
        });
        self.look(shard)
    }

    /// Goes on with the walk: at a cursor that an earlier call has left. `false`: it is over, and what was
    /// left of it is to be walked anew.
    pub(super) fn resume(&mut self, shard: &Shard) -> bool {
        let Some(walk) = &self.walk else { return false };
        let is_same = walk.node == shard.node && walk.run == shard.run;
        let goes_on = is_same || (walk.positions && shard.positions);
        if !goes_on {
            self.abandon();
            return false;
        }
        if walk.node != shard.node {
            let gone = walk.node.clone();
            self.forget_target(&gone);
        }
        self.look(shard)
    }

    /// Ends a stay at a shard, which said `before` when it began, at `from`, and says `after` now.
    pub(super) fn leave(&mut self, before: &Shard, after: &Shard, from: Place) -> Stayed {
        let is_same_process = before.run == after.run || (before.positions && after.positions);
        if before.node == after.node && before.epoch == after.epoch && is_same_process {
            self.look(after);
            Stayed::Counts
        } else {
            self.go_back(from);
            Stayed::InVain
        }
    }

    pub(super) fn go_back(&mut self, place: Place) {
        if let Some(walk) = &mut self.walk {
            walk.place = place;
        }
    }

    /// Gives the walk up. Its slots are walked again, on whoever has them then.
    pub(super) fn abandon(&mut self) {
        if let Some(walk) = self.walk.take() {
            self.forget_target(&walk.node);
        }
    }

    /// Nothing is known any more of what was on its way to a node.
    pub(super) fn forget_target(&mut self, node: &NodeId) {
        for half in self.halves.extract_if(.., |half| half.target == *node) {
            if let Some(walk) = self.walk.as_mut().filter(|walk| walk.node == *node) {
                walk.slots.subtract(&half.slots);
            }
        }
        self.walk.take_if(|walk| walk.slots.is_empty());
    }

    /// Fits the walk to what its shard says. What is no longer there as it should be is no longer part of
    /// it. `false`: nothing is left of it, and it is over.
    fn look(&mut self, shard: &Shard) -> bool {
        let Some(walk) = &mut self.walk else { return false };
        let mut plain = walk.slots.clone();
        let mut arriving = SlotSet::new();
        for half in self.halves.iter_mut().filter(|half| half.target == shard.node) {
            half.slots.retain(&walk.slots);
            plain.subtract(&half.slots);
            // What has arrived is here as any other.
            plain.add(&common(&half.slots, &shard.slots));
            half.slots.subtract(&shard.slots);
            half.slots.retain(&among(&shard.importing, &half.source));
            arriving.add(&half.slots);
        }
        self.halves.retain(|half| !half.slots.is_empty());
        for (target, slots) in &mut walk.leaving {
            plain.subtract(slots);
            slots.retain(&among(&shard.migrating, target));
            if walk.epoch != shard.epoch || walk.node != shard.node {
                // It may have been away, and have come back with keys that the cursor has passed.
                *slots = SlotSet::new();
            }
        }
        plain.retain(&shard.slots);
        for target in targets(shard) {
            let slots = common(&plain, &among(&shard.migrating, target));
            plain.subtract(&slots);
            match walk.leaving.iter_mut().find(|(known, _)| known == target) {
                Some((_, known)) => known.add(&slots),
                None => walk.leaving.push((target.clone(), slots)),
            }
        }
        walk.leaving.retain(|(_, slots)| !slots.is_empty());
        walk.leaving.truncate(TARGETS_MAX);
        walk.slots = plain;
        walk.slots.add(&arriving);
        walk.leaving.iter().for_each(|(_, slots)| walk.slots.add(slots));
        walk.node = shard.node.clone();
        walk.run = Arc::clone(&shard.run);
        walk.epoch = shard.epoch;
        if walk.slots.is_empty() {
            self.walk = None;
        }
        self.walk.is_some()
    }

    /// The walk has come to the end of its shard: what was there throughout is done. What is still on its way
    /// from here is half done. What is on its way to here is left to [`Progress::confirm`].
    pub(super) fn finish(&mut self) {
        let Some(mut walk) = self.walk.take() else { return };
        for half in self.halves.iter().filter(|half| half.target == walk.node) {
            walk.slots.subtract(&half.slots);
        }
        for (target, slots) in walk.leaving {
            walk.slots.subtract(&slots);
            if self.halves.len() < HALVES_MAX {
                let (source, source_epoch) = (walk.node.clone(), walk.epoch);
                self.halves.push(Half { source, source_epoch, target, slots });
            }
        }
        self.done.add(&walk.slots);
    }

    /// Whose word is needed for what is on its way to a node that has been walked to its end.
    pub(super) fn unconfirmed(&self, target: &NodeId) -> Option<NodeId> {
        self.halves.iter().find(|half| half.target == *target).map(|half| half.source.clone())
    }

    /// Both have been walked, the source first. If the slots are still on their way from the one to the
    /// other, no key went back meanwhile, and they are done.
    pub(super) fn confirm(&mut self, target: &NodeId, source: &NodeId, shard: Option<&Shard>) {
        for half in self.halves.extract_if(.., |half| half.target == *target && half.source == *source) {
            if let Some(shard) = shard.filter(|shard| shard.epoch == half.source_epoch) {
                self.done.add(&common(&half.slots, &among(&shard.migrating, target)));
            }
        }
    }
}

fn common(one: &SlotSet, other: &SlotSet) -> SlotSet {
    let mut both = one.clone();
    both.retain(other);
    both
}

/// The slots that move to, or from, a node.
fn among(moving: &BTreeMap<u16, NodeId>, node: &NodeId) -> SlotSet {
    moving.iter().filter(|(_, other)| *other == node).map(|(&slot, _)| slot).collect()
}

fn targets(shard: &Shard) -> BTreeSet<&NodeId> {
    shard.migrating.values().collect()
}

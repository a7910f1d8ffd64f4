//! A walk over all keys that match a pattern, in one call, whatever the cluster does meanwhile.
//!
//! One shard at a time, in the order of the slots. A slot is done when the shard that has it has been
//! scanned to the end, and was the same, with that slot, before and after. The keys of a slot that is on
//! its way move one by one: it is done when its source has been scanned, then its target, and it
//! still is on the same way. So a key that is there from the beginning of the walk to its end comes at least
//! once; it may come twice. (The walk of a listing does the same over many calls, and is exact about what a
//! page of it holds: see `listing`.)

use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

use crate::store::{Error, NodeId, Result, Scan, Shard, SlotSet, Store};

/// How much a server looks at in one step: less than a millisecond, so that it delays nobody.
const STEP_KEYS: u32 = 1000;

/// Between two looks at a cluster that is not what it was taken for: its nodes need some time to tell each
/// other.
const WAIT: Duration = Duration::from_millis(25);

#[derive(Debug)]
pub struct Walk {
    pattern: String,
    done: SlotSet,
    at: Option<At>,
    half: Option<Half>,
}

/// A shard that is being scanned, as it was when that began.
#[derive(Debug)]
struct At {
    shard: Shard,
    cursor: u64,
    /// It has been scanned to its end, and is to be looked at again.
    has_passed: bool,
}

/// Slots that have been scanned at their source, and are on their way to their target.
#[derive(Debug)]
struct Half {
    source: Shard,
    target: NodeId,
    slots: SlotSet,
}

/// Some of the keys: of one shard.
#[derive(Debug)]
pub struct Found {
    pub shard: Shard,
    pub keys: Vec<Bytes>,
}

/// What a step of the walk has come to.
#[derive(Debug)]
pub enum Step {
    /// Some keys, which are never none.
    Found(Found),
    Further,
    /// All have come.
    End,
}

impl Walk {
    pub fn new(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), done: SlotSet::new(), at: None, half: None }
    }

    /// The next keys, which are never none; `None` when all have come.
    pub async fn next(&mut self, store: &impl Store, deadline: Instant) -> Result<Option<Found>> {
        loop {
            if Instant::now() >= deadline {
                return Err(Error::Deadline);
            }
            match self.step(store, deadline).await? {
                Step::Found(found) => return Ok(Some(found)),
                Step::Further => {}
                Step::End => return Ok(None),
            }
        }
    }

    /// A little of the way. If it fails, or is given up, it can be made again, and nothing is missed.
    pub async fn step(&mut self, store: &impl Store, deadline: Instant) -> Result<Step> {
        let Some(at) = &mut self.at else {
            let is_begun = self.begin(store, deadline).await?;
            return Ok(if is_begun { Step::Further } else { Step::End });
        };
        if at.has_passed {
            let shard = at.shard.clone();
            self.end(store, &shard, deadline).await?;
            self.at = None;
            return Ok(Step::Further);
        }
        let scan = Scan { cursor: at.cursor, pattern: &self.pattern, count: STEP_KEYS };
        let Some(scanned) = fresh(store.scan(&at.shard, scan, deadline).await)? else {
            // Another process has its place: what is not done of it is scanned there.
            (self.at, self.half) = (None, None);
            return Ok(Step::Further);
        };
        at.cursor = scanned.cursor;
        at.has_passed = at.cursor == 0;
        if scanned.keys.is_empty() {
            return Ok(Step::Further);
        }
        Ok(Step::Found(Found { shard: at.shard.clone(), keys: scanned.keys }))
    }

    /// Begins with the target of slots that are half done, or with the shard of the first one that is not
    /// done. `false`: all are.
    async fn begin(&mut self, store: &impl Store, deadline: Instant) -> Result<bool> {
        let mut left = SlotSet::all();
        left.subtract(&self.done);
        let Some(slot) = left.first() else { return Ok(false) };
        let topology = store.topology(deadline).await?;
        let node = match (&self.half, topology.owner(slot)) {
            (Some(half), _) => half.target.clone(),
            (None, Some(owner)) => owner.node.clone(),
            (None, None) => return Err(Error::unavailable(format!("no node serves slot {slot}"))),
        };
        match fresh(store.shard(&node, deadline).await)? {
            Some(shard) if self.half.is_some() || shard.slots.contains(slot) => {
                self.at = Some(At { shard, cursor: 0, has_passed: false });
            }
            // The map is old, and now in doubt.
            _ => {
                self.half = None;
                wait(deadline).await;
            }
        }
        Ok(true)
    }

    /// A shard has been scanned to its end.
    async fn end(&mut self, store: &impl Store, before: &Shard, deadline: Instant) -> Result<()> {
        let after = fresh(store.shard(&before.node, deadline).await)?;
        let Some(after) = after.filter(|after| is_same(before, after)) else {
            self.half = None;
            wait(deadline).await;
            return Ok(());
        };
        if let Some(half) = self.half.take() {
            let source = fresh(store.shard(&half.source.node, deadline).await)?;
            if let Some(source) = source.filter(|source| is_same(&half.source, source)) {
                let mut slots = half.slots;
                slots.retain(&moving_to(&source.migrating, &half.target));
                self.done.add(&slots);
            }
        }
        self.done.add(&settled(before, &after));
        // Of what is on its way, one target at a time.
        let target = before.migrating.iter().find(|(slot, _)| !self.done.contains(**slot)).map(|(_, to)| to);
        if let Some(target) = target {
            let mut slots = moving_to(&before.migrating, target);
            slots.retain(&moving_to(&after.migrating, target));
            self.half = Some(Half { source: after, target: target.clone(), slots });
        }
        Ok(())
    }
}

/// The slots that a scan between two looks at its shard has seen whole. Pure.
fn settled(before: &Shard, after: &Shard) -> SlotSet {
    let mut slots = before.slots.clone();
    slots.retain(&after.slots);
    for slot in before.migrating.keys().chain(after.migrating.keys()) {
        slots.remove(*slot);
    }
    slots
}

/// Whether what a shard had, and has, it had all the while: slots that come raise its epoch.
fn is_same(before: &Shard, after: &Shard) -> bool {
    before.node == after.node && before.epoch == after.epoch && (before.run == after.run || after.positions)
}

fn moving_to(moving: &BTreeMap<u16, NodeId>, node: &NodeId) -> SlotSet {
    moving.iter().filter(|(_, to)| *to == node).map(|(slot, _)| *slot).collect()
}

/// `None`: the shard is not what it was taken for.
fn fresh<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Stale { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn wait(deadline: Instant) {
    sleep_until(deadline.min(Instant::now() + WAIT)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sim::{Plan, Sim};
    use std::collections::BTreeSet;

    const KEYS: usize = 2000;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    fn filled(seed: u64) -> Sim {
        let sim = Sim::new(Plan::new(3, seed));
        (0..KEYS).for_each(|at| sim.put(&format!("actor:a:{at}"), "1"));
        (0..KEYS).for_each(|at| sim.put(&format!("actor:b:{at}"), "1"));
        sim
    }

    async fn keys_of(walk: &mut Walk, sim: &Sim, steps: usize) -> BTreeSet<Bytes> {
        let mut keys = BTreeSet::new();
        for _ in 0..steps {
            let Some(found) = walk.next(sim, soon()).await.unwrap() else { break };
            keys.extend(found.keys);
        }
        keys
    }

    #[tokio::test(start_paused = true)]
    async fn every_key_of_the_pattern_comes() {
        let sim = filled(1);
        assert_eq!(keys_of(&mut Walk::new("actor:a:*"), &sim, usize::MAX).await.len(), KEYS);
        assert_eq!(keys_of(&mut Walk::new("worker:*"), &sim, usize::MAX).await.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_key_is_missed_whatever_happens_to_the_shards() {
        for call in 1..24 {
            let sim = filled(call);
            sim.at_call(call, |sim| sim.begin_move(0..=3000, 2));
            sim.at_call(call + 2, |sim| assert!(sim.move_keys(200) <= 200));
            sim.at_call(call + 4, Sim::finish_move);
            sim.at_call(call + 5, |sim| sim.restart(1));
            sim.at_call(call + 7, |sim| sim.promote(2));
            let keys = keys_of(&mut Walk::new("actor:a:*"), &sim, usize::MAX).await;
            assert_eq!(keys.len(), KEYS, "beginning at call {call}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slots_that_stay_on_their_way_are_seen_where_they_leave_and_where_they_arrive() {
        let sim = filled(5);
        sim.begin_move(100..=2000, 1);
        sim.begin_move(3000..=4000, 2);
        sim.move_keys(150);
        assert_eq!(keys_of(&mut Walk::new("actor:a:*"), &sim, usize::MAX).await.len(), KEYS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_walk_that_fails_goes_on_where_it_was() {
        for call in 1..24 {
            let sim = filled(call);
            sim.at_call(call, |sim| (0..3).for_each(|node| sim.set_up(node, false)));
            let (mut walk, mut keys, mut failures) = (Walk::new("actor:a:*"), BTreeSet::new(), 0);
            loop {
                match walk.next(&sim, soon()).await {
                    Ok(Some(found)) => keys.extend(found.keys),
                    Ok(None) => break,
                    Err(error) => {
                        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
                        failures += 1;
                        (0..3).for_each(|node| sim.set_up(node, true));
                    }
                }
            }
            assert!(keys.len() == KEYS && failures <= 1, "failing at call {call}");
            // Every key of the store is looked at once.
            assert_eq!(sim.counts().keys, KEYS as u64, "failing at call {call}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_walk_ends_by_its_deadline() {
        let sim = filled(6);
        sim.set_delay(Duration::from_secs(1));
        let deadline = Instant::now() + Duration::from_millis(3500);
        let mut walk = Walk::new("actor:a:*");
        let error = loop {
            match walk.next(&sim, deadline).await {
                Ok(found) => assert!(found.is_some()),
                Err(error) => break error,
            }
        };
        assert_eq!((error, Instant::now()), (Error::Deadline, deadline));
    }
}

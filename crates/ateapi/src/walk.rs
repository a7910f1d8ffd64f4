//! A walk over all keys that match a pattern, whatever the cluster does meanwhile.
//!
//! One shard at a time, in the order of the slots. A slot is done when the shard that has it has been
//! scanned to the end, and had it, settled and undisturbed, before and after. So a key that is there from
//! the beginning of the walk to its end comes at least once; it may come twice.

use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

use crate::store::{Error, NodeId, Result, Scan, Shard, SlotSet, Store};

/// How much a server looks at in one step: less than a millisecond, so that it delays nobody.
const STEP_KEYS: u32 = 1000;

/// Between two looks at slots that are on their way: moving one takes longer than that.
const UNSETTLED_WAIT: Duration = Duration::from_millis(50);

/// How far a walk has come.
#[derive(Debug)]
pub struct Walk {
    pattern: String,
    done: SlotSet,
    at: Option<At>,
    /// A cursor to go on from, as soon as its shard is found to be the one that gave it.
    resumed: Option<Place>,
}

/// A shard that is being scanned, as it was when that began.
#[derive(Debug)]
struct At {
    shard: Shard,
    cursor: u64,
}

/// A place that a later walk can go on from, if the same process still has the same slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub node: String,
    pub run: String,
    pub epoch: u64,
    pub cursor: u64,
}

/// What is kept of a walk that is interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub done: SlotSet,
    pub place: Option<Place>,
}

/// Some of the keys: of one shard.
#[derive(Debug)]
pub struct Found {
    pub shard: Shard,
    pub keys: Vec<Bytes>,
}

impl Walk {
    pub fn new(pattern: impl Into<String>) -> Self {
        Self::resume(pattern, Progress { done: SlotSet::new(), place: None })
    }

    /// Goes on where another walk over the same pattern has been interrupted.
    pub fn resume(pattern: impl Into<String>, from: Progress) -> Self {
        Self { pattern: pattern.into(), done: from.done, at: None, resumed: from.place }
    }

    /// How far it has come. Keys that it has given need not come again.
    pub fn progress(&self) -> Progress {
        // What comes back to a shard while it is unsettled may lie behind the cursor.
        let place = self.at.as_ref().filter(|at| at.shard.is_settled()).map(|at| Place {
            node: at.shard.node.to_string(),
            run: at.shard.run.to_string(),
            epoch: at.shard.epoch,
            cursor: at.cursor,
        });
        Progress { done: self.done.clone(), place: if self.at.is_some() { place } else { self.resumed.clone() } }
    }

    /// The next keys, which are never none; `None` when all have come.
    pub async fn next(&mut self, store: &impl Store, deadline: Instant) -> Result<Option<Found>> {
        loop {
            if Instant::now() >= deadline {
                return Err(Error::Deadline);
            }
            let Some(at) = &mut self.at else {
                if self.begin(store, deadline).await? {
                    continue;
                }
                return Ok(None);
            };
            let step = Scan { cursor: at.cursor, pattern: &self.pattern, count: STEP_KEYS };
            let keys = match store.scan(&at.shard, step, deadline).await {
                Ok(scanned) => {
                    at.cursor = scanned.cursor;
                    scanned.keys
                }
                // Another process has its place: what is not done of it is scanned there.
                Err(Error::Stale { .. }) => {
                    self.at = None;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let shard = at.shard.clone();
            if at.cursor == 0 {
                self.end(store, &shard, deadline).await?;
            }
            if !keys.is_empty() {
                return Ok(Some(Found { shard, keys }));
            }
        }
    }

    /// Begins with the shard of the first slot that is not done. `false`: all are.
    async fn begin(&mut self, store: &impl Store, deadline: Instant) -> Result<bool> {
        let mut left = SlotSet::all();
        left.subtract(&self.done);
        let Some(slot) = left.first() else { return Ok(false) };
        let topology = store.topology(deadline).await?;
        let owner = topology.owner(slot);
        let owner = owner.ok_or_else(|| Error::unavailable(format!("no node serves slot {slot}")))?;
        match store.shard(&owner.node, deadline).await {
            Ok(shard) if shard.slots.contains(slot) => {
                let cursor = self.resumed.take().filter(|place| place.is_of(&shard)).map_or(0, |it| it.cursor);
                self.at = Some(At { shard, cursor });
            }
            // The map is old, and now in doubt.
            Ok(_) | Err(Error::Stale { .. }) => wait(deadline).await,
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// A shard has been scanned to its end: what it had all the time is done.
    async fn end(&mut self, store: &impl Store, before: &Shard, deadline: Instant) -> Result<()> {
        self.at = None;
        match store.shard(&before.node, deadline).await {
            Ok(after) => match done(before, &after) {
                Some(slots) => self.done.add(&slots),
                None => wait(deadline).await,
            },
            Err(Error::Stale { .. }) => wait(deadline).await,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Place {
    fn is_of(&self, shard: &Shard) -> bool {
        let is_same_node = NodeId::new(&self.node) == shard.node && self.epoch == shard.epoch;
        is_same_node && shard.is_settled() && (shard.positions || *self.run == *shard.run)
    }
}

/// The slots that a scan between two looks at its shard has seen whole. Pure.
fn done(before: &Shard, after: &Shard) -> Option<SlotSet> {
    let is_undisturbed = before.epoch == after.epoch
        && before.is_settled()
        && after.is_settled()
        && (before.run == after.run || before.positions);
    let mut slots = before.slots.clone();
    slots.retain(&after.slots);
    (is_undisturbed && !slots.is_empty()).then_some(slots)
}

async fn wait(deadline: Instant) {
    sleep_until(deadline.min(Instant::now() + UNSETTLED_WAIT)).await;
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
            sim.at_call(call + 2, |sim| drop(sim.move_keys(200)));
            sim.at_call(call + 4, Sim::finish_move);
            sim.at_call(call + 5, |sim| sim.restart(1));
            sim.at_call(call + 7, |sim| sim.promote(2));
            let keys = keys_of(&mut Walk::new("actor:a:*"), &sim, usize::MAX).await;
            assert_eq!(keys.len(), KEYS, "beginning at call {call}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupted_walk_goes_on_where_it_was() {
        let sim = filled(7);
        let mut first = Walk::new("actor:a:*");
        let mut keys = keys_of(&mut first, &sim, 3).await;
        assert!(!keys.is_empty() && keys.len() < KEYS, "{}", keys.len());
        let before = sim.counts().scans;
        keys.extend(keys_of(&mut Walk::resume("actor:a:*", first.progress()), &sim, usize::MAX).await);
        let rest = sim.counts().scans - before;
        assert_eq!(keys.len(), KEYS);
        keys_of(&mut Walk::new("actor:a:*"), &sim, usize::MAX).await;
        let whole = sim.counts().scans - before - rest;
        assert!(rest < whole, "{rest} of {whole} steps");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cursor_of_another_process_is_not_used() {
        let sim = filled(9);
        let mut first = Walk::new("actor:a:*");
        let mut keys = keys_of(&mut first, &sim, 1).await;
        (0..3).for_each(|node| sim.restart(node));
        keys.extend(keys_of(&mut Walk::resume("actor:a:*", first.progress()), &sim, usize::MAX).await);
        assert_eq!(keys.len(), KEYS);
    }
}

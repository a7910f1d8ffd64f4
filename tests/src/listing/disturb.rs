//! What happens to the servers while they are listed.

use super::target::{PRIMARIES, Target, owner_at_first};
use super::{PATIENCE, Shared};
use base::slot::SLOTS;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use testkit::{Cluster, Result, Rng, Server, wait};

/// How many slots move at a time, at most.
const SLOTS_PER_MOVE: usize = 40;

/// How much of the actors may come, in percent, while a move stands still.
const PERCENT_PER_MOVE: usize = 2;

/// Disturbs until the listing is over.
pub(super) struct Disturber {
    target: Option<Target>,
    rng: Rng,
    actors: usize,
    shared: Arc<Shared>,
    /// The node that has each slot.
    owners: Vec<usize>,
    first_movable: usize,
    /// What has moved last.
    settling: Option<RangeInclusive<u16>>,
    slots_moved: usize,
    deaths: usize,
}

impl Disturber {
    pub(super) fn new(target: Target, rng: Rng, actors: usize, shared: Arc<Shared>) -> Self {
        let owners = (0..SLOTS).map(|slot| owner_at_first(slot, PRIMARIES).unwrap_or_default()).collect();
        Self {
            target: Some(target),
            rng,
            actors,
            shared,
            owners,
            first_movable: 0,
            settling: None,
            slots_moved: 0,
            deaths: 0,
        }
    }

    /// How many slots have moved, and how many servers have died.
    pub(super) fn run(&mut self) -> Result<(usize, usize)> {
        let result = self.disturb();
        self.open(usize::MAX);
        // The servers are there until the listing is over.
        self.wait_for(usize::MAX);
        self.target = None;
        result
    }

    fn disturb(&mut self) -> Result<(usize, usize)> {
        let mut target = self.target.take();
        let done = match &mut target {
            Some(Target::One(server)) => self.restart(server),
            Some(Target::Cluster(cluster)) => self.disturb_cluster(cluster),
            None => Ok(()),
        };
        self.target = target;
        done.map(|()| (self.slots_moved, self.deaths))
    }

    fn disturb_cluster(&mut self, cluster: &mut Cluster) -> Result {
        // Only slots of the last shard at first, so that it is known which one is walked later.
        self.first_movable = usize::from(SLOTS) / PRIMARIES * (PRIMARIES - 1) + PRIMARIES;
        self.move_slots_until(cluster, 40)?;
        self.kill_a_primary(cluster)?;
        self.first_movable = 0;
        self.move_slots_until(cluster, 100)
    }

    /// Lets the listing go on until it has so much of the actors, in percent.
    fn open(&self, percent: usize) {
        self.shared.gate.fetch_max(percent, Ordering::AcqRel);
    }

    /// Whether so much of the actors has come, in percent, or the listing is over.
    fn has_come(&self, percent: usize) -> bool {
        let seen = self.shared.seen.load(Ordering::Relaxed) * 100;
        seen >= percent.saturating_mul(self.actors) || self.shared.is_over.load(Ordering::Acquire)
    }

    fn wait_for(&self, percent: usize) {
        // Whoever lists has patience of its own, and says what is wrong.
        drop(wait::until("the listing to go on", PATIENCE * 60, || self.has_come(percent).then_some(())));
    }

    /// Kills a server and starts it on its data, twice.
    fn restart(&mut self, server: &mut Server) -> Result {
        for percent in [30, 60] {
            self.open(percent);
            self.wait_for(percent);
            server.kill()?;
            self.open(percent + 30);
            server.restart()?;
            self.deaths += 1;
        }
        Ok(())
    }

    fn move_slots_until(&mut self, cluster: &Cluster, percent: usize) -> Result {
        let mut gate = self.shared.gate.load(Ordering::Acquire);
        while !self.has_come(percent) {
            let (slots, to) = self.choose();
            cluster.begin_move(slots.clone(), to)?;
            // The listing comes by while some keys are here and some are there.
            for _ in 0..2 {
                cluster.move_keys(slots.clone(), to, 5)?;
                gate = percent.min(gate + PERCENT_PER_MOVE);
                self.open(gate);
                self.wait_for(gate);
            }
            while cluster.move_keys(slots.clone(), to, usize::MAX)? > 0 {}
            cluster.finish_move(slots.clone(), to)?;
            self.slots_moved += slots.len();
            self.settling = Some(slots.clone());
            for slot in slots {
                if let Some(owner) = self.owners.get_mut(usize::from(slot)) {
                    *owner = to;
                }
            }
        }
        Ok(())
    }

    /// Slots of one owner, and another node. None that has moved just now: a message of its owner before that may be under way
    /// still, and Valkey 8.1 takes it for the end of the new move, and deletes the slot's keys where they are.
    fn choose(&mut self) -> (RangeInclusive<u16>, usize) {
        loop {
            let (slots, to) = self.propose();
            let is_apart =
                |other: &RangeInclusive<u16>| slots.end() < other.start() || slots.start() > other.end();
            if self.settling.as_ref().is_none_or(is_apart) {
                return (slots, to);
            }
        }
    }

    fn propose(&mut self) -> (RangeInclusive<u16>, usize) {
        let first = self.first_movable + self.rng.below(usize::from(SLOTS) - self.first_movable);
        let from = self.owners.get(first).copied().unwrap_or_default();
        let count = 1 + self.rng.below(SLOTS_PER_MOVE);
        let same = self.owners.iter().skip(first).take(count).take_while(|owner| **owner == from).count();
        let mut others = self.owners.clone();
        others.sort_unstable();
        others.dedup();
        others.retain(|owner| *owner != from);
        let to = others.get(self.rng.below(others.len())).copied().unwrap_or_default();
        (first as u16..=(first + same.max(1) - 1) as u16, to)
    }

    /// Kills the primary that is being walked once its replica has everything, and waits for that to take its
    /// place.
    fn kill_a_primary(&mut self, cluster: &mut Cluster) -> Result {
        // Of three shards in the order of their slots, that is the second one at 40 percent.
        let slot = usize::from(SLOTS) / 2;
        let killed = self.owners.get(slot).copied().unwrap_or_default();
        for node in 0..PRIMARIES {
            // What replicates late by nature has arrived before the axe falls; guests are not missed.
            cluster.wait_for_replica(node)?;
        }
        cluster.kill(killed)?;
        self.open(50);
        let promoted = cluster.wait_for_promotion(slot as u16, killed)?;
        self.owners.iter_mut().filter(|owner| **owner == killed).for_each(|owner| *owner = promoted);
        self.deaths += 1;
        Ok(())
    }
}

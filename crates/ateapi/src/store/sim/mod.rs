//! A cluster that is simulated, for tests: shards whose slots move, nodes that restart, are replaced or
//! do not answer, and counts of what was asked.
//!
//! Nothing in it happens by itself. A test changes it between calls, or at a call of a certain number
//! ([`Sim::at_call`]), and one seed gives one order of keys.

mod node;
mod population;
mod store;
#[cfg(test)]
mod tests;

pub use population::{Population, Uniform};

use self::node::{Node, Order, mix};
use super::{Address, Error, NodeId, Owner, Shard, SlotSet, Topology};
use base::slot::{self, SLOTS};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// How a simulated cluster begins.
#[derive(Clone)]
pub struct Plan {
    /// Each has its equal part of the slots.
    pub shards: usize,
    pub seed: u64,
    /// Cursors are positions, as Bulkhead's.
    pub positions: bool,
    /// What it holds instead of keys. Slots do not move then.
    pub population: Option<Arc<dyn Population>>,
}

impl Plan {
    pub fn new(shards: usize, seed: u64) -> Self {
        Self { shards, seed, positions: false, population: None }
    }
}

/// What was asked so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All calls, of every kind.
    pub calls: u64,
    pub scans: u64,
    pub batches: u64,
    /// Keys that scans have given.
    pub keys: u64,
    /// Bytes of keys and values that were given.
    pub bytes: u64,
    /// Of the values of one batch, at most.
    pub batch_bytes_max: u64,
}

/// What becomes of the next write, as its maker sees it: not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    BeforeItIsMade,
    AfterItIsMade,
}

/// A handle: clones are the same cluster.
#[derive(Clone)]
pub struct Sim(Arc<Mutex<State>>);

type Hook = Box<dyn FnOnce(&Sim) + Send>;

struct State {
    plan: Plan,
    nodes: Vec<Node>,
    /// The node of each slot.
    owners: Vec<usize>,
    /// Slots on their way, and where to.
    moving: BTreeMap<u16, usize>,
    epoch: u64,
    runs: u64,
    counts: Counts,
    hooks: BTreeMap<u64, Hook>,
    delay: Duration,
    lost: Option<Lost>,
    /// What whoever reads these keys is told instead of their values.
    faults: BTreeMap<Bytes, Error>,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sim").field(&self.0.lock().counts).finish()
    }
}

/// The slots that a shard begins with.
pub(crate) fn slots_of(shard: usize, shards: usize) -> RangeInclusive<u16> {
    let first = |shard: usize| usize::from(SLOTS) * shard / shards.max(1);
    first(shard) as u16..=(first(shard + 1) - 1) as u16
}

impl Sim {
    pub fn new(plan: Plan) -> Self {
        let mut owners = Vec::with_capacity(usize::from(SLOTS));
        for shard in 0..plan.shards {
            owners.extend(slots_of(shard, plan.shards).map(|_| shard));
        }
        let mut state = State {
            nodes: Vec::new(),
            owners,
            moving: BTreeMap::new(),
            epoch: 0,
            runs: 0,
            counts: Counts::default(),
            hooks: BTreeMap::new(),
            delay: Duration::ZERO,
            lost: None,
            faults: BTreeMap::new(),
            plan,
        };
        for shard in 0..state.plan.shards {
            state.epoch += 1;
            let (run, order) = state.start();
            state.nodes.push(Node::new(NodeId::new(&format!("node-{shard}")), run, state.epoch, order));
        }
        Self(Arc::new(Mutex::new(state)))
    }

    /// Sets a key without counting it as a call.
    pub fn put(&self, key: &str, value: impl Into<Bytes>) {
        let mut state = self.0.lock();
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), value.into());
        if let Some(node) = state.home(&key) {
            node.set(key, value);
        }
    }

    /// Deletes a key without counting it as a call.
    pub fn remove(&self, key: &str) {
        self.0.lock().nodes.iter_mut().for_each(|node| drop(node.take(key.as_bytes())));
    }

    pub fn counts(&self) -> Counts {
        self.0.lock().counts
    }

    /// Each call takes so long: with tokio's paused clock, no time at all.
    pub fn set_delay(&self, delay: Duration) {
        self.0.lock().delay = delay;
    }

    /// Does something when the call of this number comes, before it is served.
    pub fn at_call(&self, number: u64, hook: impl FnOnce(&Self) + Send + 'static) {
        self.0.lock().hooks.insert(number, Box::new(hook));
    }

    /// The next write ends with [`super::Error::Unknown`].
    pub fn lose_next_write(&self, lost: Lost) {
        self.0.lock().lost = Some(lost);
    }

    /// Whoever reads this key is told an error, or no longer.
    pub fn fail_reads_of(&self, key: &str, error: Option<Error>) {
        let (mut state, key) = (self.0.lock(), Bytes::copy_from_slice(key.as_bytes()));
        match error {
            Some(error) => drop(state.faults.insert(key, error)),
            None => drop(state.faults.remove(&key)),
        }
    }

    /// Begins to move slots: they are marked, their keys still are where they were.
    pub fn begin_move(&self, slots: RangeInclusive<u16>, to: usize) {
        let mut state = self.0.lock();
        for slot in slots.filter(|&slot| state.owners.get(usize::from(slot)) != Some(&to)).collect::<Vec<_>>()
        {
            state.moving.insert(slot, to);
        }
    }

    /// Moves some of the keys of slots that are on their way. How many it has moved.
    pub fn move_keys(&self, count: usize) -> usize {
        let mut state = self.0.lock();
        let goes = &|from: usize, key: &Bytes| {
            let slot = slot::of(key);
            let is_here = state.owners.get(usize::from(slot)) == Some(&from);
            state.moving.get(&slot).filter(|_| is_here).map(|&to| (from, to, key.clone()))
        };
        let nodes = state.nodes.iter().enumerate();
        let all = nodes.flat_map(|(from, node)| node.keys().filter_map(move |key| goes(from, key)));
        let found: Vec<(usize, usize, Bytes)> = all.take(count).collect();
        let moved = found.len();
        for (from, to, key) in found {
            let value = state.nodes.get_mut(from).and_then(|node| node.take(&key));
            if let (Some(value), Some(node)) = (value, state.nodes.get_mut(to)) {
                node.set(key, value);
            }
        }
        moved
    }

    /// Moves the keys that are left, and gives the slots to where they went.
    pub fn finish_move(&self) {
        self.move_keys(usize::MAX);
        let mut state = self.0.lock();
        for (slot, to) in std::mem::take(&mut state.moving) {
            state.epoch += 1;
            let epoch = state.epoch;
            if let Some(owner) = state.owners.get_mut(usize::from(slot)) {
                *owner = to;
            }
            if let Some(node) = state.nodes.get_mut(to) {
                node.epoch = epoch;
            }
        }
    }

    /// Moves slots with their keys, at once.
    pub fn move_slots(&self, slots: RangeInclusive<u16>, to: usize) {
        self.begin_move(slots, to);
        self.finish_move();
    }

    /// Starts a node anew on its data: its cursors are of another process.
    pub fn restart(&self, node: usize) {
        let mut state = self.0.lock();
        let (run, order) = state.start();
        if let Some(node) = state.nodes.get_mut(node) {
            node.restart(run, order);
        }
    }

    /// Puts another node, with the same data, in the place of one: as when its replica is promoted.
    pub fn promote(&self, node: usize) {
        let mut state = self.0.lock();
        state.epoch += 1;
        let (epoch, (run, order)) = (state.epoch, state.start());
        if let Some(node) = state.nodes.get_mut(node) {
            node.id = NodeId::new(&format!("{}-{epoch}", node.id));
            node.epoch = epoch;
            node.is_up = true;
            node.restart(run, order);
        }
    }

    /// Whether a node answers.
    pub fn set_up(&self, node: usize, is_up: bool) {
        if let Some(node) = self.0.lock().nodes.get_mut(node) {
            node.is_up = is_up;
        }
    }
}

impl State {
    /// What is new about a process that starts.
    fn start(&mut self) -> (Arc<str>, Order) {
        self.runs += 1;
        let run = format!("run-{}", self.runs).into();
        let seed = mix(self.plan.seed ^ mix(self.runs));
        (run, if self.plan.positions { Order::Positions } else { Order::Seeded(seed) })
    }

    /// The node that has a key, or would take it: where a client ends that follows redirects.
    fn home(&mut self, key: &[u8]) -> Option<&mut Node> {
        let slot = slot::of(key);
        let owner = *self.owners.get(usize::from(slot))?;
        let is_there = self.nodes.get(owner).is_some_and(|node| node.get(key).is_some());
        let at = self.moving.get(&slot).copied().filter(|_| !is_there).unwrap_or(owner);
        self.nodes.get_mut(at)
    }

    fn topology(&self) -> Topology {
        let owners = self.nodes.iter().enumerate().map(|(at, node)| Owner {
            node: node.id.clone(),
            address: address_of(at),
            epoch: node.epoch,
            slots: self.slots(at),
        });
        Topology::new(owners.collect())
    }

    fn slots(&self, node: usize) -> SlotSet {
        (0..SLOTS).filter(|&slot| self.owners.get(usize::from(slot)) == Some(&node)).collect()
    }

    fn shard(&self, at: usize, node: &Node) -> Shard {
        let owns = |slot: u16| self.owners.get(usize::from(slot)) == Some(&at);
        let name = |at: usize| self.nodes.get(at).map_or_else(NodeId::single, |node| node.id.clone());
        let moving = || self.moving.iter().map(|(&slot, &to)| (slot, to));
        let from = |slot: u16| self.owners.get(usize::from(slot)).copied().unwrap_or_default();
        Shard {
            node: node.id.clone(),
            address: address_of(at),
            run: Arc::clone(&node.run),
            epoch: node.epoch,
            slots: self.slots(at),
            migrating: moving().filter(|(slot, _)| owns(*slot)).map(|(slot, to)| (slot, name(to))).collect(),
            importing: moving()
                .filter(|(_, to)| *to == at)
                .map(|(slot, _)| (slot, name(from(slot))))
                .collect(),
            positions: self.plan.positions,
        }
    }
}

fn address_of(node: usize) -> Address {
    Address::new("simulated", u16::try_from(node + 1).unwrap_or(u16::MAX))
}

//! The calls of a store, served by a simulated cluster.

use super::node::{Node, scan_population};
use super::{Lost, Sim, State};
use crate::record::RECORD_BYTES_MAX;
use crate::store::{Error, NodeId, Result, Scan, Scanned, Shard, Store, Swap, Topology};
use bytes::Bytes;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

impl Sim {
    /// Every call begins so.
    async fn enter(&self, deadline: Instant) -> Result<()> {
        let (hook, delay) = {
            let mut state = self.0.lock();
            state.counts.calls += 1;
            let number = state.counts.calls;
            (state.hooks.remove(&number), state.delay)
        };
        if let Some(hook) = hook {
            hook(self);
        }
        let end = Instant::now() + delay;
        if end > Instant::now() {
            sleep_until(end.min(deadline)).await;
        }
        if Instant::now() >= deadline { Err(Error::Deadline) } else { Ok(()) }
    }

    /// A write: done by `change` on the node that the key is at home on.
    fn write<T>(&self, key: &str, change: impl FnOnce(&mut Node) -> T) -> Result<T> {
        let mut state = self.0.lock();
        let lost = state.lost.take();
        let node = state.home(key.as_bytes()).ok_or_else(|| Error::unavailable("no node has this slot"))?;
        up(node)?;
        let unknown = || Err(Error::unknown("simulated: the connection broke"));
        match lost {
            Some(Lost::BeforeItIsMade) => unknown(),
            Some(Lost::AfterItIsMade) => {
                change(node);
                unknown()
            }
            None => Ok(change(node)),
        }
    }

    fn swap(&self, key: &str, old: &[u8], change: impl FnOnce(&mut Node)) -> Result<Swap> {
        self.write(key, |node| match node.get(key.as_bytes()) {
            None => Swap::Missing,
            Some(now) if now != old => Swap::Changed,
            Some(_) => {
                change(node);
                Swap::Done
            }
        })
    }
}

fn up(node: &Node) -> Result<()> {
    if node.is_up { Ok(()) } else { Err(Error::unavailable(format!("simulated: {} is down", node.id))) }
}

impl State {
    fn read(&mut self, key: &[u8], bytes_max: usize) -> Result<Option<Bytes>> {
        let population = self.plan.population.clone();
        let node = self.home(key).ok_or_else(|| Error::unavailable("no node has this slot"))?;
        up(node)?;
        let value = match population {
            Some(population) => population.value(key),
            None => node.get(key).cloned(),
        };
        if let Some(error) = self.faults.get(key) {
            return Err(error.clone());
        }
        let bytes = value.as_ref().map_or(0, Bytes::len);
        // What is too large is sent up to there.
        self.counts.bytes += bytes.min(bytes_max + 1) as u64;
        if bytes > bytes_max { Err(Error::TooLarge) } else { Ok(value) }
    }

    /// The process that `shard` describes.
    fn process(&self, shard: &Shard) -> Result<(usize, &Node)> {
        let found = self.nodes.iter().enumerate().find(|(_, node)| node.id == shard.node);
        let (at, node) = found.ok_or_else(|| Error::stale(format!("{} was replaced", shard.node)))?;
        up(node)?;
        if node.run == shard.run {
            Ok((at, node))
        } else {
            Err(Error::stale(format!("{} was restarted", shard.node)))
        }
    }
}

impl Store for Sim {
    async fn get(&self, key: &str, deadline: Instant) -> Result<Option<Bytes>> {
        self.enter(deadline).await?;
        self.0.lock().read(key.as_bytes(), RECORD_BYTES_MAX)
    }

    async fn create(&self, key: &str, value: &[u8], deadline: Instant) -> Result<bool> {
        self.enter(deadline).await?;
        self.write(key, |node| {
            let is_new = node.get(key.as_bytes()).is_none();
            if is_new {
                node.set(Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value));
            }
            is_new
        })
    }

    async fn replace(&self, key: &str, old: &[u8], new: &[u8], deadline: Instant) -> Result<Swap> {
        self.enter(deadline).await?;
        let (name, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(new));
        self.swap(key, old, |node| node.set(name, value))
    }

    async fn delete(&self, key: &str, old: &[u8], deadline: Instant) -> Result<Swap> {
        self.enter(deadline).await?;
        self.swap(key, old, |node| drop(node.take(key.as_bytes())))
    }

    async fn topology(&self, deadline: Instant) -> Result<Arc<Topology>> {
        self.enter(deadline).await?;
        Ok(Arc::new(self.0.lock().topology()))
    }

    async fn shard(&self, node: &NodeId, deadline: Instant) -> Result<Shard> {
        self.enter(deadline).await?;
        let state = self.0.lock();
        let found = state.nodes.iter().enumerate().find(|(_, found)| found.id == *node);
        let (at, node) = found.ok_or_else(|| Error::stale(format!("node {node} owns no slots")))?;
        up(node)?;
        let shard = state.shard(at, node);
        if shard.slots.is_empty() && shard.importing.is_empty() {
            return Err(Error::stale(format!("node {} owns no slots", node.id)));
        }
        Ok(shard)
    }

    async fn scan(&self, shard: &Shard, scan: Scan<'_>, deadline: Instant) -> Result<Scanned> {
        self.enter(deadline).await?;
        let mut state = self.0.lock();
        let (at, node) = state.process(shard)?;
        let scanned = match &state.plan.population {
            Some(population) => scan_population(&**population, at, scan),
            None => node.scan(scan),
        };
        state.counts.scans += 1;
        state.counts.keys += scanned.keys.len() as u64;
        state.counts.bytes += scanned.keys.iter().map(|key| key.len() as u64).sum::<u64>();
        Ok(scanned)
    }

    async fn mget(
        &self,
        shard: &Shard,
        keys: &[Bytes],
        bytes_max: usize,
        deadline: Instant,
    ) -> Result<Vec<Result<Option<Bytes>>>> {
        self.enter(deadline).await?;
        let mut state = self.0.lock();
        state.process(shard)?;
        state.counts.batches += 1;
        let before = state.counts.bytes;
        let values = keys.iter().map(|key| state.read(key, bytes_max)).collect();
        let bytes = state.counts.bytes - before;
        state.counts.batch_bytes_max = state.counts.batch_bytes_max.max(bytes);
        Ok(values)
    }
}

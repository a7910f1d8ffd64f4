//! Servers that take COUNT, and steps, as they like: SCAN promises little.

use super::*;
use crate::store::sim::Plan;
use crate::store::{NodeId, Result, Scan, Scanned, Shard, Swap, Topology};
use bytes::Bytes;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

#[derive(Debug, Clone, Copy)]
enum How {
    /// So many buckets, whatever was asked for.
    Always(u32),
    /// More than was asked for, and each time another number: the same cursor never gives the same step.
    Unsteady,
    /// Each key twice, and those of the last step again.
    Repeating,
    /// Nothing, two times of three.
    Hesitant,
}

struct Odd {
    sim: Sim,
    how: How,
    scans: AtomicU64,
    last: parking_lot::Mutex<Vec<Bytes>>,
}

impl Store for Odd {
    async fn get(&self, key: &str, deadline: Instant) -> Result<Option<Bytes>> {
        self.sim.get(key, deadline).await
    }

    async fn create(&self, key: &str, value: &[u8], deadline: Instant) -> Result<bool> {
        self.sim.create(key, value, deadline).await
    }

    async fn replace(&self, key: &str, old: &[u8], new: &[u8], deadline: Instant) -> Result<Swap> {
        self.sim.replace(key, old, new, deadline).await
    }

    async fn delete(&self, key: &str, old: &[u8], deadline: Instant) -> Result<Swap> {
        self.sim.delete(key, old, deadline).await
    }

    async fn topology(&self, deadline: Instant) -> Result<Arc<Topology>> {
        self.sim.topology(deadline).await
    }

    async fn shard(&self, node: &NodeId, deadline: Instant) -> Result<Shard> {
        self.sim.shard(node, deadline).await
    }

    async fn scan(&self, shard: &Shard, scan: Scan<'_>, deadline: Instant) -> Result<Scanned> {
        let number = self.scans.fetch_add(1, Relaxed);
        let count = match self.how {
            How::Always(count) => count,
            How::Unsteady => scan.count * (1 + number as u32 % 3) + number as u32 % 2,
            How::Hesitant if !number.is_multiple_of(3) && scan.cursor > 0 => {
                return Ok(Scanned { cursor: scan.cursor, keys: Vec::new() });
            }
            How::Repeating | How::Hesitant => scan.count,
        };
        let mut scanned = self.sim.scan(shard, Scan { count, ..scan }, deadline).await?;
        if matches!(self.how, How::Repeating) {
            let again = std::mem::replace(&mut *self.last.lock(), scanned.keys.clone());
            scanned.keys = [scanned.keys.clone(), again, scanned.keys].concat();
        }
        Ok(scanned)
    }

    async fn mget(
        &self,
        shard: &Shard,
        keys: &[Bytes],
        bytes_max: usize,
        deadline: Instant,
    ) -> Result<Vec<Result<Option<Bytes>>>> {
        self.sim.mget(shard, keys, bytes_max, deadline).await
    }
}

/// Lists 900 actors while others come and go; what came twice.
async fn check(how: How, size: i32, pages_max: usize) -> u32 {
    let sim = Sim::new(Plan::new(2, 4));
    fill(&sim, "team", 900);
    let odd = Odd { sim: sim.clone(), how, scans: AtomicU64::new(0), last: parking_lot::Mutex::default() };
    let mut listing = Listing::new(Arc::new(odd), "");
    for page in 0.. {
        assert!(page < pages_max, "{how:?}: no end: {:?}", listing.lister.counters());
        if listing.page(size).await {
            break;
        }
        put(&sim, &actor("others", &format!("b-{page}")));
        sim.remove(&format!("actor:others:b-{}", page / 2));
    }
    let stayed = listing.seen.keys().filter(|key| key.starts_with("actor:team:")).count();
    assert_eq!(stayed, 900, "{how:?}");
    listing.duplicates()
}

#[tokio::test]
async fn steps_may_be_larger_than_pages() {
    check(How::Always(700), 10, 400).await;
    check(How::Always(5000), 100, 100).await;
    // Alone, a page of one goes through a step key by key.
    check(How::Always(40), 1, 3000).await;
}

#[tokio::test]
async fn steps_may_be_another_size_each_time() {
    for (size, pages_max) in [(1, 20_000), (3, 3000), (100, 100)] {
        check(How::Unsteady, size, pages_max).await;
    }
}

#[tokio::test]
async fn keys_may_come_again_and_again() {
    assert!(check(How::Repeating, 50, 200).await <= 1000);
    check(How::Repeating, 1, 5000).await;
}

#[tokio::test]
async fn steps_may_be_empty() {
    assert!(check(How::Hesitant, 100, 100).await < 100);
}

//! What a page costs, wherever in the listing of a simulated cluster it is: for a test, and for a table.

use super::progress::{Place, Progress, Walk};
use super::token::{KEY_BYTES, Sealer};
use super::{ListError, Lister, TokenKey};
use crate::proto::ListActorsRequest;
use crate::store::sim::{Counts, Plan, Sim, Uniform};
use crate::store::{NodeId, SlotSet, Store};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const KEY: [u8; KEY_BYTES] = [7; KEY_BYTES];
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster that is full of actors.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    pub shards: usize,
    pub actors_per_shard: u64,
    pub page_size: i32,
    /// How many pages are listed at each place.
    pub pages: u64,
}

/// What the pages at one place cost, together.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// How many actors are before it.
    pub actors_before: u64,
    pub actors: u64,
    /// Asked of the store.
    pub counts: Counts,
    /// The largest page, and the longest token.
    pub page_bytes_max: usize,
    pub token_chars_max: usize,
    pub time: Duration,
}

impl Model {
    /// The costs at the beginning, in the middle, and just before the end.
    pub async fn costs(self) -> Result<Vec<Cost>, ListError> {
        let population = Uniform { shards: self.shards, actors_per_shard: self.actors_per_shard };
        let plan = Plan { population: Some(Arc::new(population)), ..Plan::new(self.shards, 1) };
        let sim = Arc::new(Sim::new(plan));
        let listed = self.pages * u64::from(self.page_size.unsigned_abs());
        let before_the_end = self.actors_per_shard.saturating_sub(listed + 1);
        let places = [
            (0, 0),
            (self.shards / 2, self.actors_per_shard / 2),
            (self.shards.saturating_sub(1), before_the_end),
        ];
        let mut costs = Vec::new();
        for (shard, cursor) in places {
            costs.push(self.cost_at(&sim, shard, cursor).await?);
        }
        Ok(costs)
    }

    async fn cost_at(self, sim: &Arc<Sim>, shard: usize, cursor: u64) -> Result<Cost, ListError> {
        let lister = Lister::new(Arc::clone(sim), TokenKey::Given(KEY));
        let token = token_at(sim, shard, cursor).await?;
        let mut request =
            ListActorsRequest { page_size: self.page_size, page_token: token, atespace: String::new() };
        let (before, begin) = (sim.counts(), Instant::now());
        let mut cost = Cost {
            actors_before: shard as u64 * self.actors_per_shard + cursor,
            actors: 0,
            counts: Counts::default(),
            page_bytes_max: 0,
            token_chars_max: 0,
            time: Duration::ZERO,
        };
        for _ in 0..self.pages {
            let page = lister.list(&request, Instant::now() + PATIENCE).await?;
            cost.actors += page.actors.len() as u64;
            cost.page_bytes_max = cost.page_bytes_max.max(page.encoded_len());
            cost.token_chars_max = cost.token_chars_max.max(page.next_page_token.len());
            request.page_token = page.next_page_token;
        }
        cost.time = begin.elapsed();
        let after = sim.counts();
        cost.counts = Counts {
            calls: after.calls - before.calls,
            scans: after.scans - before.scans,
            batches: after.batches - before.batches,
            keys: after.keys - before.keys,
            bytes: after.bytes - before.bytes,
            batch_bytes_max: after.batch_bytes_max,
        };
        Ok(cost)
    }
}

/// The token of a listing that stands at an actor of a shard, and has done the shards before it.
async fn token_at(sim: &Sim, shard: usize, cursor: u64) -> Result<String, ListError> {
    let deadline = Instant::now() + PATIENCE;
    let mut done = SlotSet::new();
    for owner in sim.topology(deadline).await?.owners.iter().take(shard) {
        done.add(&owner.slots);
    }
    let shard = sim.shard(&NodeId::new(&format!("node-{shard}")), deadline).await?;
    let walk = Walk {
        node: shard.node,
        run: shard.run,
        epoch: shard.epoch,
        positions: shard.positions,
        place: Place { cursor, part: None },
        slots: shard.slots,
        leaving: Vec::new(),
    };
    Ok(Sealer::new(&KEY).seal("", &Progress { done, halves: Vec::new(), walk: Some(walk) }))
}

//! A billion actors on 125 shards: a page costs the same wherever in the listing it is.

use super::*;
use crate::listing::progress::{Place, Progress, Walk};
use crate::listing::token::Sealer;
use crate::store::sim::{Counts, Plan, Uniform};
use crate::store::{NodeId, SlotSet};

const SHARDS: usize = 125;
const ACTORS_PER_SHARD: u64 = 8_000_000;
const PAGES: u64 = 20;

/// The token of a listing that stands at an actor of a shard.
async fn token_at(sim: &Sim, shard: usize, cursor: u64) -> String {
    let mut done = SlotSet::new();
    for owner in &sim.topology(soon()).await.unwrap().owners[..shard] {
        done.add(&owner.slots);
    }
    let shard = sim.shard(&NodeId::new(&format!("node-{shard}")), soon()).await.unwrap();
    let walk = Walk {
        node: shard.node,
        run: shard.run,
        epoch: shard.epoch,
        positions: false,
        place: Place { cursor, part: None },
        slots: shard.slots,
        leaving: Vec::new(),
    };
    Sealer::new(&[7; 32]).seal("", &Progress { done, halves: Vec::new(), walk: Some(walk) })
}

/// What some pages cost from there on, and how long their last token is.
async fn cost_at(sim: &Arc<Sim>, shard: usize, cursor: u64) -> (Counts, usize) {
    let mut listing = Listing::new(Arc::clone(sim), "");
    listing.token = token_at(sim, shard, cursor).await;
    let before = sim.counts();
    for _ in 0..PAGES {
        listing.page(1000).await;
    }
    assert_eq!((listing.seen.len() as u64, listing.duplicates()), (PAGES * 1000, 0));
    let after = sim.counts();
    let counts = Counts {
        calls: after.calls - before.calls,
        scans: after.scans - before.scans,
        batches: after.batches - before.batches,
        keys: after.keys - before.keys,
        bytes: after.bytes - before.bytes,
    };
    (counts, listing.token.len())
}

#[tokio::test]
async fn a_page_costs_the_same_at_the_beginning_in_the_middle_and_at_the_end() {
    let population = Uniform { shards: SHARDS, actors_per_shard: ACTORS_PER_SHARD };
    let plan = Plan { population: Some(Arc::new(population)), ..Plan::new(SHARDS, 1) };
    let sim = Arc::new(Sim::new(plan));
    let near_the_end = ACTORS_PER_SHARD - PAGES * 1000 - 1;
    for (shard, cursor) in [(0, 0), (62, ACTORS_PER_SHARD / 2), (124, near_the_end)] {
        let (cost, token_chars) = cost_at(&sim, shard, cursor).await;
        // Two looks, the steps, and batches of 128.
        assert!(cost.calls <= PAGES * 16, "{cost:?}");
        assert_eq!(cost.keys, PAGES * 1000, "{cost:?}");
        // Names have more digits towards the end.
        assert!((3_300_000..4_500_000).contains(&cost.bytes), "{cost:?}");
        assert!(token_chars < 400, "{token_chars}");
    }
}

//! That the simulated cluster behaves as real ones do, as far as walks and changes depend on it.

use super::{Lost, Plan, Sim, Uniform};
use crate::record::RECORD_BYTES_MAX;
use crate::store::{Error, NodeId, Scan, Shard, Store, Swap};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn filled(plan: Plan, keys: usize) -> Sim {
    let sim = Sim::new(plan);
    for number in 0..keys {
        sim.put(&format!("actor:a:{number}"), "value");
    }
    sim
}

async fn shards(sim: &Sim) -> Vec<Shard> {
    let mut shards = Vec::new();
    for owner in &sim.topology(soon()).await.unwrap().owners {
        shards.push(sim.shard(&owner.node, soon()).await.unwrap());
    }
    shards
}

/// Scans a shard from a cursor to its end.
async fn scan(sim: &Sim, shard: &Shard, mut cursor: u64) -> BTreeSet<Bytes> {
    let mut found = BTreeSet::new();
    loop {
        let step = Scan { cursor, pattern: "actor:*", count: 7 };
        let scanned = sim.scan(shard, step, soon()).await.unwrap();
        found.extend(scanned.keys);
        cursor = scanned.cursor;
        if cursor == 0 {
            return found;
        }
    }
}

#[tokio::test]
async fn scans_of_all_shards_find_every_key() {
    for positions in [false, true] {
        let sim = filled(Plan { positions, ..Plan::new(3, 1) }, 1000);
        let mut found = BTreeSet::new();
        for shard in shards(&sim).await {
            assert!(shard.is_settled() && shard.positions == positions);
            found.extend(scan(&sim, &shard, 0).await);
        }
        assert_eq!(found.len(), 1000);
        assert_eq!(sim.counts().keys, 1000);
    }
}

#[tokio::test]
async fn values_come_in_batches_wherever_their_keys_are_by_now() {
    let sim = filled(Plan::new(3, 1), 300);
    let shard = shards(&sim).await.remove(0);
    let keys: Vec<Bytes> = scan(&sim, &shard, 0).await.into_iter().collect();
    sim.begin_move(0..=2000, 1);
    assert!(sim.move_keys(5) == 5);
    let values = sim.mget(&shard, &keys, RECORD_BYTES_MAX, soon()).await.unwrap();
    assert!(values.iter().all(|value| value == &Ok(Some(Bytes::from("value")))));
    sim.finish_move();
    let values = sim.mget(&shard, &keys, RECORD_BYTES_MAX, soon()).await.unwrap();
    assert!(values.iter().all(|value| value == &Ok(Some(Bytes::from("value")))));
    let none = [Bytes::from("actor:a:none")];
    assert_eq!(sim.mget(&shard, &none, RECORD_BYTES_MAX, soon()).await.unwrap(), [Ok(None)]);
    let short = sim.mget(&shard, &keys, 4, soon()).await.unwrap();
    assert!(short.iter().all(|value| value == &Err(Error::TooLarge)));
}

#[tokio::test]
async fn a_move_is_seen_while_it_lasts_and_by_its_epoch_afterwards() {
    let sim = filled(Plan::new(2, 1), 10);
    let before = shards(&sim).await;
    sim.begin_move(5..=6, 1);
    let during = shards(&sim).await;
    assert_eq!(during[0].migrating.keys().collect::<Vec<_>>(), [&5, &6]);
    assert_eq!(during[1].importing.values().collect::<Vec<_>>(), [&NodeId::new("node-0"); 2]);
    sim.finish_move();
    let after = shards(&sim).await;
    let with_it = after.iter().find(|shard| shard.slots.contains(5)).unwrap();
    assert!(with_it.node == NodeId::new("node-1") && with_it.epoch > before[1].epoch);
}

#[tokio::test]
async fn another_process_has_other_cursors_and_says_so() {
    let sim = filled(Plan::new(1, 1), 100);
    let shard = shards(&sim).await.remove(0);
    let step = Scan { cursor: 0, pattern: "*", count: 10 };
    let first = sim.scan(&shard, step, soon()).await.unwrap();
    sim.restart(0);
    assert!(matches!(sim.scan(&shard, step, soon()).await, Err(Error::Stale { .. })));
    let restarted = shards(&sim).await.remove(0);
    assert_eq!(restarted.node, shard.node);
    assert_ne!(sim.scan(&restarted, step, soon()).await.unwrap().keys, first.keys);
    sim.promote(0);
    assert!(matches!(sim.shard(&shard.node, soon()).await, Err(Error::Stale { .. })));
    assert_eq!(scan(&sim, &shards(&sim).await[0], 0).await.len(), 100);
}

#[tokio::test]
async fn positions_hold_after_a_restart() {
    let sim = filled(Plan { positions: true, ..Plan::new(1, 1) }, 100);
    let shard = shards(&sim).await.remove(0);
    let step = Scan { cursor: 0, pattern: "*", count: 30 };
    let first = sim.scan(&shard, step, soon()).await.unwrap();
    sim.restart(0);
    let rest = scan(&sim, &shards(&sim).await[0], first.cursor).await;
    assert_eq!((first.keys.len(), rest.len()), (30, 70));
}

#[tokio::test]
async fn changes_compare_what_was_read() {
    let sim = Sim::new(Plan::new(2, 1));
    assert!(sim.create("k", b"1", soon()).await.unwrap());
    assert!(!sim.create("k", b"2", soon()).await.unwrap());
    assert_eq!(sim.replace("k", b"0", b"2", soon()).await, Ok(Swap::Changed));
    assert_eq!(sim.replace("k", b"1", b"2", soon()).await, Ok(Swap::Done));
    assert_eq!(sim.delete("k", b"1", soon()).await, Ok(Swap::Changed));
    assert_eq!(sim.delete("k", b"2", soon()).await, Ok(Swap::Done));
    assert_eq!(sim.delete("k", b"2", soon()).await, Ok(Swap::Missing));
}

#[tokio::test]
async fn a_lost_write_is_made_or_not() {
    let sim = Sim::new(Plan::new(1, 1));
    for (lost, made) in [(Lost::BeforeItIsMade, false), (Lost::AfterItIsMade, true)] {
        sim.lose_next_write(lost);
        assert!(matches!(sim.create("k", b"1", soon()).await, Err(Error::Unknown { .. })));
        assert_eq!(sim.get("k", soon()).await.unwrap().is_some(), made);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_end_by_their_deadline_and_hooks_run_at_their_call() {
    let sim = Sim::new(Plan::new(1, 1));
    sim.set_delay(Duration::from_secs(20));
    let begin = Instant::now();
    assert_eq!(sim.get("k", soon()).await, Err(Error::Deadline));
    assert_eq!(begin.elapsed(), Duration::from_secs(10));
    sim.set_delay(Duration::ZERO);
    sim.at_call(3, |sim| sim.set_up(0, false));
    assert_eq!(sim.get("k", soon()).await, Ok(None));
    assert!(matches!(sim.get("k", soon()).await, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn a_billion_actors_take_no_memory() {
    let population = Uniform { shards: 125, actors_per_shard: 8_000_000 };
    let sim = Sim::new(Plan { population: Some(Arc::new(population)), ..Plan::new(125, 1) });
    let shard = shards(&sim).await.remove(77);
    let step = Scan { cursor: 7_999_990, pattern: "actor:*", count: 100 };
    let scanned = sim.scan(&shard, step, soon()).await.unwrap();
    assert_eq!((scanned.cursor, scanned.keys.len()), (0, 10));
    assert!(scanned.keys.iter().all(|key| shard.slots.contains(base::slot::of(key))));
    let values = sim.mget(&shard, &scanned.keys, RECORD_BYTES_MAX, soon()).await.unwrap();
    for (key, value) in scanned.keys.iter().zip(values) {
        <crate::proto::Actor as crate::Record>::decode(key, &value.unwrap().unwrap()).unwrap();
    }
}

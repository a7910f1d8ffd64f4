//! Everything at once, from a seed.

use std::time::{Duration, Instant};

use wal::testing::Rng;

use super::cluster::{Cluster, options};
use super::net::Faults;
use crate::NodeOptions;

/// For so long one seed is played.
const PLAY: Duration = Duration::from_millis(2_500);

fn play(seed: u64) {
    let mut rng = Rng::new(seed);
    let options = NodeOptions { groups: 2, purge_after_bytes: 4_000, keep_for_lagging_bytes: 8_000, ..options() };
    let mut cluster = Cluster::new([1, 2, 3], options);
    let mut in_flight = Vec::new();
    let until = Instant::now() + PLAY;
    for step in 0.. {
        if Instant::now() > until {
            break;
        }
        let id = 1 + rng.below(3);
        let group = rng.below(2) as u16;
        match rng.below(20) {
            0 => cluster.net.isolate(id),
            1..4 => cluster.net.heal(),
            4 => {
                cluster.crash(id);
                cluster.start(id);
            }
            5 => cluster.restart(id),
            6 => cluster.group(id, group).trigger_purge(),
            7 => {
                cluster.net.faults(Faults {
                    lose: 2 + rng.below(30),
                    repeat: 2 + rng.below(10),
                    break_stream: 5 + rng.below(100),
                    delay: Duration::from_micros(rng.below(5_000)),
                });
            }
            8 => cluster.net.faults(Faults::default()),
            _ => {
                for n in 0..rng.below(10) {
                    let name = format!("{seed}-{step}-{n}{}", "x".repeat(rng.below(200) as usize));
                    let proposal = cluster.propose(id, group, &name);
                    in_flight.push((group, name, proposal));
                }
            }
        }
        std::thread::park_timeout(Duration::from_micros(rng.below(30_000)));
    }
    cluster.net.faults(Faults::default());
    cluster.net.heal();
    for group in 0..2 {
        cluster.write(group, &format!("{seed} settled"));
    }
    for (group, name, proposal) in in_flight {
        let _ = cluster.settle(group, &name, &proposal);
    }
    cluster.check();
}

#[test]
fn nothing_that_was_acknowledged_is_lost_whatever_happens() {
    std::thread::scope(|scope| {
        for seed in 1..=2 {
            scope.spawn(move || play(seed));
        }
    });
}

/// More of the same, for an idle hour: `CHAOS_SEEDS=100..200 cargo test -p consensus -- --ignored`
/// is not how; set the variable and run the test by its name.
#[test]
fn more_seeds_on_request() {
    let Ok(range) = std::env::var("CHAOS_SEEDS") else { return };
    let (from, to) = range.split_once("..").unwrap();
    for seed in from.parse::<u64>().unwrap()..to.parse::<u64>().unwrap() {
        play(seed);
    }
}

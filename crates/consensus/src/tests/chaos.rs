//! Everything at once, from a seed.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use wal::testing::Rng;

use super::cluster::{Cluster, options};
use super::machine::Outcome;
use super::net::Faults;
use crate::NodeOptions;

/// For so long one seed is played.
const PLAY: Duration = Duration::from_millis(2_500);

type InFlight = Vec<(u16, String, Receiver<Outcome>)>;

/// At every node that believes it leads.
fn propose(cluster: &Cluster, step: u64, rng: &mut Rng, in_flight: &mut InFlight) {
    let leading = (1..=3).flat_map(|id| [(id, 0), (id, 1)]);
    for (id, group) in leading.filter(|&(id, group)| cluster.machine(id, group).leading().is_some()) {
        for n in 0..rng.below(6) {
            let name = format!("{step}-{id}-{n}{}", "x".repeat(rng.below(300) as usize));
            in_flight.push((group, name.clone(), cluster.propose(id, group, &name)));
        }
    }
}

/// Says which seed it was.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

fn play(seed: u64) {
    let _told = Seed(seed);
    let mut rng = Rng::new(seed);
    let options =
        NodeOptions { groups: 2, purge_after_bytes: 4_000, keep_for_lagging_bytes: 8_000, ..options() };
    let mut cluster = Cluster::new([1, 2, 3], options);
    let mut in_flight = InFlight::new();
    let until = Instant::now() + PLAY;
    for step in 0.. {
        if Instant::now() > until {
            break;
        }
        let id = 1 + rng.below(3);
        let group = rng.below(2) as u16;
        match rng.below(100) {
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
            8..11 => cluster.net.faults(Faults::default()),
            _ => propose(&cluster, step, &mut rng, &mut in_flight),
        }
        std::thread::park_timeout(Duration::from_micros(rng.below(15_000)));
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

/// More of the same for whoever has the time: `CHAOS_SEEDS=100..200`.
#[test]
fn more_seeds_on_request() {
    let Ok(range) = std::env::var("CHAOS_SEEDS") else { return };
    let (from, to) = range.split_once("..").unwrap();
    for seed in from.parse::<u64>().unwrap()..to.parse::<u64>().unwrap() {
        play(seed);
    }
}

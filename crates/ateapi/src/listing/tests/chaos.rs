//! Listings while slots move, nodes restart and are replaced, replicas of the API take turns, and actors come
//! and go. Whatever happens, an actor that is there all the while comes, no page is too large, and it ends.

use super::*;
use crate::store::sim::Plan;
use base::slot::SLOTS;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// SplitMix64: one seed, one run.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A run, from its seed.
struct Run {
    rng: Rng,
    seed: u64,
    sim: Arc<Sim>,
    shards: u64,
    actors: usize,
    is_moving: Arc<AtomicBool>,
    newcomers: u64,
}

impl Run {
    fn new(seed: u64, actors: usize) -> Self {
        let mut rng = Rng(seed);
        let shards = rng.pick(&[1, 2, 3, 6]);
        let positions = rng.below(2) == 0;
        let sim = Arc::new(Sim::new(Plan { positions, ..Plan::new(shards as usize, seed) }));
        fill(&sim, "team", actors);
        Self { rng, seed, sim, shards, actors, is_moving: Arc::default(), newcomers: 0 }
    }

    /// Something happens: at once, or while the next calls are served.
    fn disturb(&mut self) {
        let node = self.rng.below(self.shards) as usize;
        let first = self.rng.below(u64::from(SLOTS)) as u16;
        let last = first.saturating_add(self.rng.pick(&[0, 10, 300, 6000])).min(SLOTS - 1);
        let count = self.rng.pick(&[1, 30, 1000]);
        let what = self.rng.below(6);
        let is_moving = Arc::clone(&self.is_moving);
        let happen = move |sim: &Sim| match what {
            // One move at a time: when it happens, not when it is planned.
            0 | 1 if !is_moving.swap(true, Relaxed) => {
                sim.begin_move(first..=last, node);
                sim.move_keys(if what == 0 { 0 } else { count });
            }
            0 | 1 => {
                sim.finish_move();
                is_moving.store(false, Relaxed);
            }
            2 => sim.restart(node),
            3 => sim.promote(node),
            4 if !is_moving.load(Relaxed) => sim.move_slots(first..=last, node),
            _ => drop(sim.move_keys(count)),
        };
        match self.rng.below(2) {
            0 => happen(&self.sim),
            _ => self.sim.at_call(self.sim.counts().calls + 1 + self.rng.below(12), happen),
        }
    }

    /// Others come and go.
    fn churn(&mut self) {
        for _ in 0..self.rng.below(20) {
            put(&self.sim, &actor("team", &format!("new-{}", self.newcomers)));
            self.newcomers += 1;
            self.sim.remove(&format!("actor:team:new-{}", self.rng.below(self.newcomers)));
        }
    }

    async fn go(mut self, disturbances: usize) -> Listing<Sim> {
        let mut listing = Listing::new(Arc::clone(&self.sim), "");
        let sizes = if self.actors > 2000 { &[100, 500, 1000][..] } else { &[1, 2, 5, 30, 100, 1000] };
        let size = self.rng.pick(sizes);
        // Seldom or often.
        let pause = self.rng.pick(&[1, 3, 10]);
        for page in 0.. {
            assert!(page < 40 * self.actors + 10_000, "seed {}: no end", self.seed);
            if page < disturbances * 10 && self.rng.below(pause) == 0 {
                self.disturb();
                self.churn();
            }
            if self.rng.below(10) == 0 {
                listing.lister = Lister::new(Arc::clone(&self.sim), KEY);
            }
            let size = if self.rng.below(3) == 0 { self.rng.pick(sizes) } else { size };
            if listing.page(size).await {
                break;
            }
        }
        for number in 0..self.actors {
            let key = format!("actor:team:a-{number}");
            assert!(listing.seen.contains_key(&key), "seed {}: {key} did not come", self.seed);
        }
        listing
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_every_actor_comes() {
    for seed in 0..150 {
        Run::new(seed, 200).go(20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_each_of_many_actors_comes() {
    for seed in 1000..1012 {
        Run::new(seed, 5000).go(10).await;
    }
    Run::new(2000, 20_000).go(10).await;
}

/// Steps end elsewhere each time, and pages of all sizes end in the middle of them.
#[tokio::test]
async fn where_cursors_are_positions_nothing_comes_twice_when_others_come_and_go() {
    for seed in 0..200 {
        let mut run = Run {
            sim: Arc::new(Sim::new(Plan { positions: true, ..Plan::new(1, seed) })),
            ..Run::new(seed, 0)
        };
        fill(&run.sim, "team", 300);
        // Steps look at many keys for few that are wanted, and find more of these than there is room for.
        fill(&run.sim, "others", 600);
        let mut listing = Listing::new(Arc::clone(&run.sim), "team");
        loop {
            run.churn();
            let size = run.rng.pick(&[1, 2, 5, 15, 40]);
            if listing.page(size).await {
                break;
            }
        }
        let stayed = listing.seen.iter().filter(|(key, _)| key.starts_with("actor:team:a-"));
        let (count, times) = stayed.fold((0, 0), |(count, sum), (_, times)| (count + 1, sum + times));
        assert_eq!((count, times), (300, 300), "seed {seed}");
    }
}

/// Slots 0 to 2000 are on their way for ever, half of their keys have arrived.
fn on_their_way(positions: bool, shards: usize, to: usize) -> Arc<Sim> {
    let sim = Sim::new(Plan { positions, ..Plan::new(shards, 5) });
    fill(&sim, "team", 3000);
    sim.begin_move(0..=2000, to);
    assert_eq!(sim.move_keys(150), 150);
    Arc::new(sim)
}

#[tokio::test]
async fn slots_that_are_on_their_way_for_ever_do_not_hold_it_up() {
    for positions in [false, true] {
        for (size, pages_max) in [(1, 3200), (100, 40)] {
            let sim = on_their_way(positions, 3, 1);
            let mut listing = Listing::new(sim, "");
            listing.run_to_end(size, pages_max).await;
            assert_eq!((listing.seen.len(), listing.duplicates()), (3000, 0));
        }
    }
}

#[tokio::test]
async fn keys_that_move_while_they_are_listed_come_once_or_twice() {
    for seed in 0..20 {
        let sim = Arc::new(Sim::new(Plan::new(3, seed)));
        fill(&sim, "team", 2000);
        sim.begin_move(0..=4000, 2);
        let mut listing = Listing::new(Arc::clone(&sim), "");
        for page in 0.. {
            assert!(page < 1000);
            sim.move_keys(7);
            if listing.page(13).await {
                break;
            }
        }
        assert_eq!(listing.seen.len(), 2000);
        assert!(listing.duplicates() <= 500, "{}", listing.duplicates());
    }
}

#[tokio::test]
async fn the_first_slots_of_a_new_node_do_not_hold_it_up() {
    let sim = Arc::new(Sim::new(Plan::new(3, 1)));
    fill(&sim, "team", 1000);
    sim.move_slots(0..=SLOTS - 1, 0);
    sim.begin_move(0..=2000, 2);
    sim.move_keys(50);
    let mut listing = Listing::new(sim, "");
    listing.run_to_end(30, 100).await;
    assert_eq!((listing.seen.len(), listing.duplicates()), (1000, 0));
}

/// How many come twice if something happens in the middle.
async fn duplicates_after(positions: bool, happen: impl Fn(&Sim)) -> (u32, u64) {
    let sim = Arc::new(Sim::new(Plan { positions, ..Plan::new(3, 9) }));
    fill(&sim, "team", 3000);
    let mut listing = Listing::new(Arc::clone(&sim), "");
    for _ in 0..25 {
        listing.page(50).await;
    }
    happen(&sim);
    listing.lister = Lister::new(sim, KEY);
    listing.run_to_end(50, 200).await;
    assert_eq!(listing.seen.len(), 3000);
    (listing.duplicates(), listing.lister.counters().restarts.load(Relaxed))
}

#[tokio::test]
async fn a_new_replica_of_the_api_goes_on_where_the_old_one_stopped() {
    assert_eq!(duplicates_after(false, |_| ()).await, (0, 0));
}

#[tokio::test]
async fn a_restart_begins_anew_only_with_that_shard() {
    // Of 1250 some 1000 are of the first shard; the second is being walked.
    assert!(matches!(duplicates_after(false, |sim| sim.restart(1)).await, (200..300, 1)));
    assert!(matches!(duplicates_after(false, |sim| sim.promote(1)).await, (200..300, 1)));
    assert_eq!(duplicates_after(false, |sim| sim.restart(0)).await, (0, 0));
    assert_eq!(duplicates_after(false, |sim| sim.promote(2)).await, (0, 0));
}

#[tokio::test]
async fn positions_hold_after_restarts_on_other_nodes_and_for_slots_that_move() {
    assert_eq!(duplicates_after(true, |sim| sim.restart(1)).await, (0, 0));
    assert_eq!(duplicates_after(true, |sim| sim.promote(1)).await, (0, 0));
    assert_eq!(duplicates_after(true, |sim| sim.move_slots(0..=SLOTS - 1, 2)).await, (0, 0));
}

#[tokio::test]
async fn slots_that_are_done_do_not_come_again_wherever_they_go() {
    let (twice, _) = duplicates_after(false, |sim| sim.move_slots(0..=5000, 2)).await;
    assert_eq!(twice, 0);
    // Those that were being walked: what came of them comes again, and no more.
    let (twice, restarts) = duplicates_after(false, |sim| sim.move_slots(5500..=5999, 0)).await;
    assert!(twice > 0 && twice < 60 && restarts == 0, "{twice}, {restarts}");
}

#[tokio::test]
async fn a_slot_that_was_away_between_two_pages_costs_nothing() {
    let there_and_back = |sim: &Sim| {
        sim.move_slots(5500..=5999, 0);
        sim.move_slots(5500..=5999, 1);
    };
    assert_eq!(duplicates_after(false, there_and_back).await, (0, 0));
}

#[tokio::test]
async fn slots_that_nobody_serves_are_waited_for() {
    let sim = Arc::new(Sim::new(Plan::new(2, 1)));
    fill(&sim, "team", 100);
    let mut listing = Listing::new(Arc::clone(&sim), "");
    sim.set_up(1, false);
    while listing.try_page(10).await.is_ok() {}
    assert!(listing.try_page(10).await.is_err());
    sim.promote(1);
    listing.run_to_end(10, 20).await;
    assert_eq!((listing.seen.len(), listing.duplicates()), (100, 0));
}

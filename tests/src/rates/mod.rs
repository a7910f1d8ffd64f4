//! How fast many actors are listed through the API, and with how much memory: beside the way it was done before, and
//! beside what an operator would type.
//!
//! | module | what it is |
//! | --- | --- |
//! | `pages` | the API: a process of it, asked for pages until there are no more |
//! | `before` | the way it was before: in a process of its own, for its memory |
//! | `typed` | `redis-cli --scan`, with its keys given to MGET |
//! | `delay` | a longer way to the store |
//! | `report` | the tables |

mod before;
mod delay;
mod pages;
mod report;
mod typed;

pub use before::{WORD, run as run_before};

use crate::listing::{Kind, Target, fill};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use testkit::{Durability, Result, Spec};

/// Of a round trip through a data centre of several zones.
const EACH_WAY: Duration = Duration::from_micros(250);

#[derive(Debug, Clone)]
pub struct Plan {
    pub kind: Kind,
    pub actors: usize,
    pub rounds: usize,
    /// How long those beside the API go on; their rate, and their memory for each actor, do not change with time.
    pub limit: Duration,
    pub out: Option<PathBuf>,
}

/// Who lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Pages,
    Before,
    Typed,
}

const WAYS: [Way; 3] = [Way::Pages, Way::Before, Way::Typed];

/// What came of one of them.
#[derive(Debug, Default)]
struct Listed {
    actors: usize,
    time: Duration,
    /// Of a process that was there only for this: before it began, and at most.
    resident_before: u64,
    resident_peak: u64,
    /// Of the API: how long pages took, by tenths of the listing.
    pages: Vec<Vec<Duration>>,
}

impl Listed {
    fn per_second(&self) -> f64 {
        self.actors as f64 / self.time.as_secs_f64().max(1e-9)
    }

    fn grown(&self) -> u64 {
        self.resident_peak.saturating_sub(self.resident_before)
    }
}

/// One measurement.
#[derive(Debug)]
struct Measured {
    way: Way,
    is_far: bool,
    round: usize,
    listed: Listed,
}

/// The store, near and far.
struct Places {
    near: Vec<SocketAddr>,
    seeds: String,
    /// `None`: clients of a cluster are told where its nodes are, and would go there on the short way.
    far: Option<SocketAddr>,
}

/// Fills a store, and has all of them list it in turn.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<String> {
    let target = match plan.kind {
        // Nothing is written to disk: only memory counts.
        Kind::Redis => Target::One(Box::new(Spec::redis()?.durability(Durability::None).start()?)),
        kind => Target::start(kind)?,
    };
    let begin = Instant::now();
    fill(&target, plan.actors, &mut |done| {
        say(&format!("filling: {done} of {} actors, {:.0} s", plan.actors, begin.elapsed().as_secs_f64()));
    })?;
    let places = places(&target)?;
    let mut trips = vec![delay::round_trip(*places.near.first().ok_or("no address")?)?];
    if let Some(far) = places.far {
        trips.push(delay::round_trip(far)?);
    }
    let mut all = Vec::new();
    for round in 0..plan.rounds {
        for is_far in [false, true].into_iter().take(trips.len()) {
            // Each comes first, second and last as often, or nearly so.
            for turn in 0..WAYS.len() {
                let way = *WAYS.get((turn + round) % WAYS.len()).ok_or("no such way")?;
                if way == Way::Typed && is_parted(plan.kind) {
                    continue;
                }
                let listed = measure(plan, way, is_far, &places, say)?;
                say(&format!(
                    "round {}, {way:?}, {}: {} actors in {:.1} s, {:.0} a second, {:.1} MiB more than before",
                    round + 1,
                    if is_far { "far" } else { "near" },
                    listed.actors,
                    listed.time.as_secs_f64(),
                    listed.per_second(),
                    listed.grown() as f64 / 1024.0 / 1024.0,
                ));
                all.push(Measured { way, is_far, round, listed });
            }
        }
    }
    Ok(report::text(plan, &all, &trips))
}

/// Whether MGET of any keys is refused, as they lie on several nodes or in several groups.
fn is_parted(kind: Kind) -> bool {
    !matches!(kind, Kind::Redis | Kind::Bulkhead { groups: 1 })
}

fn places(target: &Target) -> Result<Places> {
    let (near, far) = match target {
        Target::One(server) => (vec![server.addr()], Some(delay::start(server.addr(), EACH_WAY)?)),
        Target::Cluster(_) => (target.primaries()?, None),
    };
    Ok(Places { near, seeds: target.seeds(), far })
}

fn measure(
    plan: &Plan,
    way: Way,
    is_far: bool,
    places: &Places,
    say: &mut dyn FnMut(&str),
) -> Result<Listed> {
    let (nodes, seeds) = match places.far.filter(|_| is_far) {
        Some(far) => (vec![far], far.to_string()),
        None => (places.near.clone(), places.seeds.clone()),
    };
    match way {
        Way::Pages => pages::list(&seeds, plan.actors, say),
        Way::Before => before::start(&nodes, plan.limit, say),
        Way::Typed => typed::list(*nodes.first().ok_or("no address")?, plan.limit, say),
    }
}

/// Something to say every few seconds.
struct Progress {
    begin: Instant,
    next: Instant,
}

impl Progress {
    const PERIOD: Duration = Duration::from_secs(5);

    fn new() -> Self {
        let begin = Instant::now();
        Self { begin, next: begin + Self::PERIOD }
    }

    fn note(&mut self, what: &str, actors: usize, say: &mut dyn FnMut(&str)) {
        if Instant::now() >= self.next {
            self.next += Self::PERIOD;
            say(&format!("  {what}: {actors} actors, {:.0} s", self.begin.elapsed().as_secs_f64()));
        }
    }
}

//! A listing of many actors on real servers, while slots move, a primary dies, servers restart, actors come and go,
//! and replicas of the API take turns, of which some die: every actor that is there all the while comes.

mod disturb;
mod replicas;
mod target;

pub use replicas::Costs;
pub use target::{Kind, Target};

use self::disturb::Disturber;
use self::replicas::Replicas;
use ateapi::proto::actor::Status as State;
use ateapi::proto::{Actor, ListActorsRequest};
use ateapi::store::redis::{Options, RedisStore};
use ateapi::{Record, Store};
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use testkit::{Result, Rng, wait};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tonic::{Code, Status};

/// A store that does not serve a listing for so long never will again.
const PATIENCE: Duration = Duration::from_secs(60);

const ATESPACE: &str = "crowd";
const GUESTS: &str = "guests";

#[derive(Debug, Clone)]
pub struct Plan {
    pub kind: Kind,
    pub seed: u64,
    /// That are there all the while.
    pub actors: usize,
    /// Most pages are of this size.
    pub page_size: i32,
    /// Whether anything happens.
    pub is_disturbed: bool,
}

/// What is shared with those who disturb.
#[derive(Debug, Default)]
struct Shared {
    /// Different actors that have come.
    seen: AtomicUsize,
    /// With so much of the actors, in percent, the listing waits until more has happened: it would be over before.
    gate: AtomicUsize,
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
pub struct Summary {
    pub pages: usize,
    pub empty_pages: usize,
    pub records: usize,
    /// Of those that were there all the while, how often one came that had come before.
    pub duplicates: usize,
    /// Calls that failed with UNAVAILABLE, had no answer in time or lost their connection, and were made again.
    pub repeated: usize,
    pub costs: Costs,
    /// Processes of the API that died.
    pub replicas_died: usize,
    pub token_chars_max: usize,
    pub time: Duration,
    pub page_time_max: Duration,
    /// Slots that were moved meanwhile; primaries that died, or servers that were restarted.
    pub slots_moved: usize,
    pub deaths: usize,
}

/// Fills a store, lists it to the end while things happen, and checks that everything has come.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<Summary> {
    let target = Target::start(plan.kind)?;
    let seeds = target.seeds();
    let begin = Instant::now();
    fill(&target, plan.actors, &mut |_| ())?;
    say(&format!("{} actors in {:.1} s", plan.actors, begin.elapsed().as_secs_f64()));
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let shared = Arc::new(Shared::default());
    if !plan.is_disturbed {
        shared.gate.store(usize::MAX, Ordering::Release);
        return list(&runtime, plan, &seeds, &shared);
    }
    let store = Arc::new(RedisStore::new(Options::parse(&format!("redis://{seeds}"))?));
    let mut disturber = Disturber::new(target, Rng::new(plan.seed).fork(1), plan.actors, Arc::clone(&shared));
    let guests = runtime.spawn(guests(store, Arc::clone(&shared)));
    let disturbing = std::thread::spawn(move || disturber.run());
    let listed = list(&runtime, plan, &seeds, &shared);
    shared.is_over.store(true, Ordering::Release);
    let disturbed = disturbing.join().map_err(|_| "whoever disturbs has panicked")?;
    runtime.block_on(guests)?;
    match (listed, disturbed) {
        (Ok(mut summary), Ok(disturbed)) => {
            (summary.slots_moved, summary.deaths) = disturbed;
            Ok(summary)
        }
        (Err(listed), Err(disturbed)) => Err(format!("{listed}; and whoever disturbs: {disturbed}").into()),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
    }
}

/// Puts so many actors of one atespace there, past the API; says now and then how many there are.
pub fn fill(target: &Target, actors: usize, say: &mut dyn FnMut(usize)) -> Result {
    target.fill(actors, |number| record(number).and_then(|record| Ok(record.encode()?)), say)
}

fn name(number: usize) -> String {
    format!("a-{number}")
}

/// Which of these actors has a name.
pub fn number_of(name: &str) -> Option<usize> {
    name.strip_prefix("a-")?.parse().ok()
}

fn record(number: usize) -> Result<Actor> {
    Ok(Actor {
        actor_id: name(number),
        version: 1,
        actor_template_namespace: "default".into(),
        actor_template_name: "template".into(),
        status: State::Suspended.into(),
        atespace: ATESPACE.into(),
        ..Actor::default()
    })
}

/// Others come and go all the while, as far as the store lets them.
async fn guests(store: Arc<RedisStore>, shared: Arc<Shared>) {
    let mut number = 0;
    while !shared.is_over.load(Ordering::Acquire) {
        let guest = Actor { actor_id: name(number), atespace: GUESTS.into(), ..Actor::default() };
        let (key, Ok(text)) = (guest.key().to_string(), guest.encode()) else { return };
        let deadline = Instant::now() + Duration::from_secs(1);
        // What fails is not missed: nobody waits for a guest.
        drop(store.create(&key, &text, deadline).await);
        if number % 2 == 0 {
            drop(store.delete(&key, &text, deadline).await);
        }
        number += 1;
    }
}

/// A client with its listing.
struct Client<'a> {
    plan: &'a Plan,
    replicas: Replicas,
    shared: &'a Shared,
    rng: Rng,
    seen: Vec<bool>,
    token: String,
    summary: Summary,
}

fn list(runtime: &Runtime, plan: &Plan, seeds: &str, shared: &Shared) -> Result<Summary> {
    let _inside = runtime.enter();
    let replicas = Replicas::start(seeds.to_owned(), plan.is_disturbed)?;
    let rng = Rng::new(plan.seed);
    let seen = vec![false; plan.actors];
    let mut client =
        Client { plan, replicas, shared, rng, seen, token: String::new(), summary: Summary::default() };
    let begin = Instant::now();
    loop {
        wait::until("something to happen", PATIENCE, || client.may_go_on().then_some(()))?;
        if runtime.block_on(client.page())? {
            break;
        }
    }
    client.summary.time = begin.elapsed();
    client.summary.costs = client.replicas.costs()?;
    client.summary.replicas_died = client.replicas.deaths;
    let missing: Vec<usize> =
        (0..plan.actors).filter(|number| client.seen.get(*number) != Some(&true)).collect();
    let Some(&number) = missing.first() else { return Ok(client.summary) };
    let there = runtime.block_on(still_there(seeds, &missing));
    let there =
        there.map_or_else(|error| format!("nobody knows how many ({error})"), |count| count.to_string());
    Err(format!(
        "{} actors did not come, {} for one, of which the store has {there} (seed {}): {:?}",
        missing.len(),
        name(number),
        plan.seed,
        client.summary
    )
    .into())
}

/// How many of these actors the store has.
async fn still_there(seeds: &str, numbers: &[usize]) -> Result<usize> {
    let store = RedisStore::new(Options::parse(&format!("redis://{seeds}"))?);
    let mut there = 0;
    for number in numbers {
        let key = record(*number)?.key().to_string();
        there += usize::from(store.get(&key, Instant::now() + PATIENCE).await?.is_some());
    }
    Ok(there)
}

impl Client<'_> {
    fn may_go_on(&self) -> bool {
        let gate = self.shared.gate.load(Ordering::Acquire);
        self.shared.seen.load(Ordering::Relaxed) * 100 <= gate.saturating_mul(self.plan.actors)
    }

    /// One page. Whether the listing is over.
    async fn page(&mut self) -> Result<bool> {
        let page_size = match self.rng.below(10) {
            0 if self.plan.is_disturbed => i32::try_from(1 + self.rng.below(1000))?,
            _ => self.plan.page_size,
        };
        let request =
            ListActorsRequest { page_size, page_token: self.token.clone(), atespace: String::new() };
        let first = Instant::now();
        let page = loop {
            let begin = Instant::now();
            match self.replicas.list(request.clone()).await? {
                Ok(page) => {
                    self.summary.page_time_max = self.summary.page_time_max.max(begin.elapsed());
                    break page;
                }
                Err(status) if may_pass(&status) && first.elapsed() < PATIENCE => {
                    self.summary.repeated += 1;
                }
                Err(status) => return Err(status.into()),
            }
        };
        if page.actors.len() > usize::try_from(page_size)? {
            return Err(format!("a page of {page_size} has {} actors", page.actors.len()).into());
        }
        self.note(&page.actors);
        self.summary.token_chars_max = self.summary.token_chars_max.max(page.next_page_token.len());
        self.token = page.next_page_token;
        Ok(self.token.is_empty())
    }

    fn note(&mut self, actors: &[Actor]) {
        self.summary.pages += 1;
        self.summary.empty_pages += usize::from(actors.is_empty());
        self.summary.records += actors.len();
        for actor in actors.iter().filter(|actor| actor.atespace == ATESPACE) {
            let number = number_of(&actor.actor_id);
            let Some(seen) = number.and_then(|number| self.seen.get_mut(number)) else { continue };
            if std::mem::replace(seen, true) {
                self.summary.duplicates += 1;
            } else {
                self.shared.seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Whether the same call may succeed later: of what has a source, the connection has failed and not the call.
fn may_pass(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) || status.source().is_some()
}

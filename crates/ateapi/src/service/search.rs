//! The search for workers: a walk over the whole store, one at a time in this process.
//!
//! Among tens of millions of keys it takes longer than a call has time. So it is made by a task of its own: it goes on
//! when those who wait for it are gone, and, if the store is in trouble, from where it was when somebody needs
//! it next. All who wait share it: each gets a worker as soon as one is met that it can use. When it has come to its
//! end, its result serves others for a while, if it has taken long.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::directory::{Directory, is_free};
use super::records::Records;
use crate::names::WORKER_PATTERN;
use crate::proto::Worker;
use crate::store::{Error, Result, Store};
use crate::walk::{Found, Step, Walk};

/// A walk that takes less is made anew for each who asks: what was there when he asked is found.
const CHEAP_TIME: Duration = Duration::from_secs(1);

/// The result of one that takes longer serves for as long as it took, and no longer than this.
const FRESH_TIME_MAX: Duration = Duration::from_secs(10);

/// A walk that has stood still for so long begins anew: what it has passed is of another time.
const REST_TIME_MAX: Duration = Duration::from_secs(60);

/// What is asked of the store for one step must be answered by then: longer than it takes to see that the store
/// is not there.
const STEP_TIME_MAX: Duration = Duration::from_secs(10);

/// One task at most. It ends with its owner.
pub struct Search<S> {
    shared: Arc<Shared<S>>,
    tasks: Mutex<JoinSet<()>>,
}

struct Shared<S> {
    records: Arc<Records<S>>,
    directory: Arc<Directory>,
    state: Mutex<State>,
    /// Told when a free worker is met, and when the walk stands still.
    news: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    is_going: bool,
    /// How many have begun.
    begun: u64,
    /// One that was interrupted.
    resting: Option<Place>,
    last: Option<Ended>,
    failures: u64,
    failure: Option<Error>,
}

/// Where a walk is.
struct Place {
    walk: Walk,
    /// Keys that it has met, and whose records are not read yet.
    found: Option<Found>,
    began: Instant,
    stood_since: Instant,
}

/// The last walk that has come to its end.
#[derive(Debug, Clone, Copy)]
struct Ended {
    number: u64,
    at: Instant,
    took: Duration,
}

/// What was known when somebody began to look for a worker.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    begun: u64,
    failures: u64,
    at: Instant,
}

/// What whoever waits for a worker can expect.
#[derive(Debug, PartialEq)]
pub enum Stand {
    /// All that there are have been met.
    Over,
    /// Others may be met.
    Going,
    Failed(Error),
}

impl Ended {
    /// Whether it says enough to who has asked at that time.
    fn serves(&self, since: &Since) -> bool {
        let is_fresh = since.at <= self.at + self.took.min(FRESH_TIME_MAX);
        self.number > since.begun || (self.is_long() && is_fresh)
    }

    fn is_long(&self) -> bool {
        self.took >= CHEAP_TIME
    }
}

impl<S: Store> Search<S> {
    pub fn new(records: Arc<Records<S>>, directory: Arc<Directory>) -> Self {
        let (news, _) = watch::channel(());
        let shared = Arc::new(Shared { records, directory, state: Mutex::default(), news });
        Self { shared, tasks: Mutex::default() }
    }

    /// How many walks have begun.
    pub fn begun(&self) -> u64 {
        self.shared.state.lock().begun
    }

    pub fn now(&self) -> Since {
        let state = self.shared.state.lock();
        Since { begun: state.begun, failures: state.failures, at: Instant::now() }
    }

    /// Changes when there may be something new to know.
    pub fn news(&self) -> watch::Receiver<()> {
        self.shared.news.subscribe()
    }

    /// How it stands for one who has asked at that time. Begins a walk, or goes on with it, if that is needed.
    pub fn stand(&self, since: &Since, deadline: Instant) -> Stand {
        let mut state = self.shared.state.lock();
        if state.last.is_some_and(|last| last.serves(since)) {
            return Stand::Over;
        }
        if let Some(error) = state.failure.clone().filter(|_| state.failures > since.failures) {
            return Stand::Failed(error);
        }
        // Who has no time for another walk is told what the last one has found.
        let left = deadline.saturating_duration_since(Instant::now());
        let is_late = state.last.is_some_and(|last| last.is_long() && last.took > left);
        let place = (!state.is_going).then(|| state.begin());
        // IMPORTANT: not held below. A runtime that is about to end drops a task at once, and that takes it.
        drop(state);
        if let Some(place) = place {
            self.spawn(place);
        }
        if is_late { Stand::Over } else { Stand::Going }
    }

    fn spawn(&self, place: Place) {
        let going = Going { shared: Arc::clone(&self.shared), place: Some(place), outcome: None };
        let mut tasks = self.tasks.lock();
        // What has ended is of no interest: it has said so itself.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(going.go());
    }
}

impl State {
    /// From where a walk goes on now.
    fn begin(&mut self) -> Place {
        self.is_going = true;
        let resting = self.resting.take().filter(|place| place.stood_since.elapsed() <= REST_TIME_MAX);
        resting.unwrap_or_else(|| {
            self.begun += 1;
            let now = Instant::now();
            Place { walk: Walk::new(WORKER_PATTERN), found: None, began: now, stood_since: now }
        })
    }
}

/// A walk that goes on. However it stands still, those who wait are told.
struct Going<S: Store> {
    shared: Arc<Shared<S>>,
    place: Option<Place>,
    outcome: Option<Result<()>>,
}

impl<S: Store> Going<S> {
    async fn go(mut self) {
        if let Some(place) = &mut self.place {
            self.outcome = Some(self.shared.walk(place).await);
        }
    }
}

impl<S: Store> Drop for Going<S> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.is_going = false;
        let outcome = self.outcome.take();
        match (
            outcome.unwrap_or_else(|| Err(Error::unavailable("the search was stopped"))),
            self.place.take(),
        ) {
            (Ok(()), Some(place)) => {
                let (number, at) = (state.begun, Instant::now());
                state.last = Some(Ended { number, at, took: place.began.elapsed() });
            }
            (Err(error), place) => {
                state.failures += 1;
                state.failure = Some(error);
                state.resting = place.map(|place| Place { stood_since: Instant::now(), ..place });
            }
            (Ok(()), None) => {}
        }
        drop(state);
        self.shared.news.send_replace(());
    }
}

impl<S: Store> Shared<S> {
    /// Walks to the end, and remembers all workers that it meets.
    async fn walk(&self, place: &mut Place) -> Result<()> {
        loop {
            let deadline = Instant::now() + STEP_TIME_MAX;
            if let Some(found) = &place.found {
                let workers = self.records.read_all::<Worker>(found, deadline).await?;
                workers.iter().for_each(|worker| self.directory.saw(worker));
                if workers.iter().any(|worker| is_free(&worker.record)) {
                    self.news.send_replace(());
                }
                place.found = None;
            }
            match place.walk.step(&*self.records.store, deadline).await? {
                Step::Found(found) => place.found = Some(found),
                Step::Further => {}
                Step::End => return Ok(()),
            }
        }
    }
}

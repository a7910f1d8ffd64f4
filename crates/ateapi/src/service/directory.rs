//! Which workers there are, as far as this process has seen them.
//!
//! Workers have no index: whoever runs them just writes their records, among billions of others. So they
//! are found by walking over the store, and remembered. What is remembered may be wrong: a worker is read
//! before it is claimed, and the claim itself is a compare-and-set.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::selector::Wanted;
use crate::document::{Document, random};
use crate::proto::Worker;
use crate::record::Record;

/// Workers that are remembered: more than a cluster of Kubernetes has pods. Others are not used.
const WORKERS_MAX: usize = 200_000;

/// A worker that a caller has got is offered to others here after this, whatever has become of the caller: longer
/// than a claim takes, unless the store is in trouble.
const TAKEN_TIME: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Directory {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    workers: Vec<Known>,
    places: HashMap<String, usize>,
}

#[derive(Debug)]
struct Known {
    key: String,
    worker: Worker,
    extra: Map<String, Value>,
    /// Until when it is left to a caller here who has got it, and has not said what became of it.
    taken_until: Option<Instant>,
}

impl Seen {
    fn busy(&self, wanted: &Wanted<'_>) -> impl Iterator<Item = &Known> {
        let busy = self.workers.iter().filter(|known| !is_free(&known.worker));
        busy.filter(move |known| wanted.is_met_by(&known.worker, &known.extra))
    }
}

impl Known {
    fn is_free_for(&self, wanted: &Wanted<'_>) -> bool {
        is_free(&self.worker) && wanted.is_met_by(&self.worker, &self.extra)
    }
}

/// Whether a worker runs nobody.
pub fn is_free(worker: &Worker) -> bool {
    worker.actor_id.is_empty()
}

impl Directory {
    /// Remembers a worker as it was read, or written.
    pub fn saw(&self, worker: &Document<Worker>) {
        let key = worker.record.key().to_string();
        let (worker, extra) = (worker.record.clone(), worker.extra.clone());
        let known = Known { key, worker, extra, taken_until: None };
        let mut seen = self.seen.lock();
        let at = seen.places.get(&known.key).copied().unwrap_or(seen.workers.len());
        if let Some(place) = seen.workers.get_mut(at) {
            *place = known;
        } else if at < WORKERS_MAX {
            seen.places.insert(known.key.clone(), at);
            seen.workers.push(known);
        }
    }

    /// A worker is not there any more.
    pub fn lost(&self, key: &str) {
        let mut seen = self.seen.lock();
        let Some(at) = seen.places.remove(key) else { return };
        seen.workers.swap_remove(at);
        if let Some(key) = seen.workers.get(at).map(|moved| moved.key.clone()) {
            seen.places.insert(key, at);
        }
    }

    /// The key of a worker that seems free and is as wanted. Nobody else here gets it before it has been
    /// seen again, or some time has passed: a hundred who look for one at once get a hundred different ones.
    pub fn take(&self, wanted: &Wanted<'_>, except: &str) -> Option<String> {
        let mut seen = self.seen.lock();
        let now = Instant::now();
        let count = seen.workers.len().max(1);
        let start = (random() as usize) % count;
        // From anywhere, so that processes that look at the same time look at different ones.
        for at in (start..seen.workers.len()).chain(0..start) {
            let Some(known) = seen.workers.get_mut(at) else { continue };
            let is_taken = known.taken_until.is_some_and(|until| until > now);
            if !is_taken && known.is_free_for(wanted) && known.key != except {
                known.taken_until = Some(now + TAKEN_TIME);
                return Some(known.key.clone());
            }
        }
        None
    }

    /// Whether a worker that is as wanted is left to somebody else here, who may not need it in the end.
    pub fn is_any_taken(&self, wanted: &Wanted<'_>, except: &str) -> bool {
        let (seen, now) = (self.seen.lock(), Instant::now());
        let mut taken = seen.workers.iter().filter(|it| it.taken_until.is_some_and(|until| until > now));
        taken.any(|known| known.is_free_for(wanted) && known.key != except)
    }

    /// Workers that are as wanted and seem to run somebody, at most so many.
    pub fn busy(&self, wanted: &Wanted<'_>, max: usize) -> Vec<Worker> {
        self.seen.lock().busy(wanted).take(max).map(|known| known.worker.clone()).collect()
    }

    /// How many there are of these.
    pub fn busy_count(&self, wanted: &Wanted<'_>) -> usize {
        self.seen.lock().busy(wanted).count()
    }

    /// How many are known, and how many of them seem to be free.
    pub fn counts(&self) -> (usize, usize) {
        let seen = self.seen.lock();
        (seen.workers.len(), seen.workers.iter().filter(|known| is_free(&known.worker)).count())
    }

    pub fn forget_all(&self) {
        *self.seen.lock() = Seen::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Actor;

    fn worker(pod: usize, actor: &str) -> Document<Worker> {
        let record = Worker {
            worker_namespace: "ns".into(),
            worker_pool: "pool".into(),
            worker_pod: format!("pod-{pod}"),
            actor_id: actor.into(),
            ..Worker::default()
        };
        Document::write(record, Map::new()).unwrap()
    }

    fn take(directory: &Directory) -> Option<String> {
        directory.take(&Wanted::of(&Actor::default(), false), "")
    }

    #[test]
    fn nobody_gets_what_another_has_taken() {
        let directory = Directory::default();
        (0..10).for_each(|pod| directory.saw(&worker(pod, "")));
        directory.saw(&worker(11, "somebody"));
        let mut taken: Vec<String> = (0..10).map_while(|_| take(&directory)).collect();
        taken.sort();
        taken.dedup();
        assert_eq!((taken.len(), take(&directory)), (10, None));
        directory.saw(&worker(4, ""));
        assert_eq!(take(&directory).as_deref(), Some("worker:ns:pool:pod-4"));
    }

    #[test]
    fn what_is_lost_is_not_given() {
        let directory = Directory::default();
        (0..3).for_each(|pod| directory.saw(&worker(pod, "")));
        directory.lost("worker:ns:pool:pod-0");
        directory.lost("worker:ns:pool:pod-2");
        directory.lost("worker:ns:pool:pod-2");
        assert_eq!(take(&directory).as_deref(), Some("worker:ns:pool:pod-1"));
        assert_eq!((take(&directory), directory.counts()), (None, (1, 1)));
    }
}

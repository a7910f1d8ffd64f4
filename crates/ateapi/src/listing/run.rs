//! Does what the machine wants: asks the store, and tells the machine what it said.

use super::ListError;
use super::counters::{Counters, add};
use super::limits::{BATCH_KEYS_MAX, CALL_TIME_MAX, LARGE_KEYS_MAX, LOG_INTERVAL, PAUSE, SMALL_BYTES_MAX};
use super::page::Page;
use super::progress::Progress;
use super::walker::{Found, Walker, Want};
use crate::names;
use crate::proto::Actor;
use crate::record::{RECORD_BYTES_MAX, Record};
use crate::store::{Error, Scan, Store};
use base::slot;
use bytes::Bytes;
use parking_lot::Mutex;
use std::fmt::Display;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::{Instant, sleep};

pub(super) struct Run<'a, S> {
    store: &'a S,
    counters: &'a Counters,
    atespace: &'a str,
    deadline: Instant,
    /// Whether a record that is not understood comes, as an empty actor, instead of being left out.
    takes_all: bool,
}

impl<'a, S: Store> Run<'a, S> {
    pub(super) fn new(store: &'a S, counters: &'a Counters, atespace: &'a str, deadline: Instant) -> Self {
        Self { store, counters, atespace, deadline, takes_all: false }
    }

    /// For whoever only wants to know whether there is anything.
    pub(super) fn taking_all(self) -> Self {
        Self { takes_all: true, ..self }
    }

    /// Fills a page, from where a listing stands. Where it stands then.
    pub(super) async fn page(self, progress: Progress, page: Page) -> Result<(Progress, Page), ListError> {
        let begin = Instant::now();
        let time = CALL_TIME_MAX.min(self.deadline.saturating_duration_since(begin) / 2);
        let pattern = names::actor_pattern(Some(self.atespace).filter(|name| !name.is_empty()));
        let mut walker = Walker::new(self.atespace, progress, page);
        let mut size = Size::Small;
        loop {
            match walker.next(begin.elapsed() >= time) {
                Want::End => break,
                Want::Pause => {
                    sleep(PAUSE).await;
                    walker.heard_pause();
                }
                Want::Topology => walker.heard_topology(&*self.store.topology(self.deadline).await?),
                Want::Service(slot) => {
                    self.store.get(&key_in(slot), self.deadline).await?;
                    walker.heard_service();
                }
                Want::Shard(node) => {
                    add(&self.counters.looks, 1);
                    let shard = known(self.store.shard(&node, self.deadline).await)?;
                    walker.heard_shard(shard);
                }
                Want::Scan { shard, cursor, count } => {
                    let scan = Scan { cursor, pattern: &pattern, count };
                    add(&self.counters.scans, 1);
                    match known(self.store.scan(shard, scan, self.deadline).await)? {
                        Some(scanned) => {
                            add(&self.counters.keys, scanned.keys.len());
                            walker.heard_scan(count, scanned);
                        }
                        None => walker.heard_stale(),
                    }
                }
                Want::Values { shard, keys } => {
                    let keys = keys.get(..size.keys_max()).unwrap_or(keys).to_vec();
                    add(&self.counters.batches, 1);
                    let values = self.store.mget(shard, &keys, size.bytes_max(), self.deadline).await;
                    match known(values)? {
                        Some(mut values) => {
                            size = size.next(&mut values);
                            self.tell(&mut walker, &keys, values)?;
                        }
                        None => walker.heard_stale(),
                    }
                }
            }
        }
        add(&self.counters.dropped, walker.dropped);
        add(&self.counters.restarts, walker.restarts as usize);
        add(&self.counters.disturbances, walker.disturbances as usize);
        Ok((walker.progress, walker.page))
    }

    /// Tells the machine what the values are, one at a time: of the others there is the text only.
    fn tell(
        &self,
        walker: &mut Walker,
        keys: &[Bytes],
        values: Vec<Result<Option<Bytes>, Error>>,
    ) -> Result<(), ListError> {
        for (key, value) in keys.iter().zip(values) {
            let found = self.found(key, value)?;
            let is_actor = matches!(found, Found::Actor(_));
            if !walker.heard_value(found) {
                break;
            }
            add(&self.counters.records, usize::from(is_actor));
        }
        Ok(())
    }

    fn found(&self, key: &Bytes, value: Result<Option<Bytes>, Error>) -> Result<Found, ListError> {
        let text = match value {
            Ok(Some(text)) => text,
            Ok(None) => {
                add(&self.counters.vanished, 1);
                return Ok(Found::Nothing);
            }
            Err(error) if error.is_of_value() => return Ok(self.report(key, &error)),
            // IMPORTANT: whatever else keeps the store from giving a record, it may well be an actor, and a
            // listing without it would not be complete.
            Err(error) => return Err(error.into()),
        };
        match Actor::decode(key, &text) {
            Ok(actor) => Ok(Found::Actor(Box::new(actor))),
            Err(error) => Ok(self.report(key, &error)),
        }
    }

    /// What is no record is left out, and said: to the log now and then, and to the metrics each time.
    fn report(&self, key: &Bytes, why: &dyn Display) -> Found {
        if self.takes_all {
            return Found::Actor(Box::default());
        }
        static LAST: Mutex<Option<Instant>> = Mutex::new(None);
        let count = &self.counters.unparsable;
        add(count, 1);
        let mut last = LAST.lock();
        if last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            *last = Some(Instant::now());
            let key = String::from_utf8_lossy(key);
            tracing::warn!(%key, so_far = total(count), "a record is left out of a listing: {why}");
        }
        Found::Nothing
    }
}

/// How large the values of a batch may be: many small ones, or few of any size. Either takes no more memory
/// than a page.
#[derive(Debug, Clone, Copy)]
enum Size {
    Small,
    Large,
}

impl Size {
    fn keys_max(self) -> usize {
        match self {
            Self::Small => BATCH_KEYS_MAX,
            Self::Large => LARGE_KEYS_MAX,
        }
    }

    fn bytes_max(self) -> usize {
        match self {
            Self::Small => SMALL_BYTES_MAX,
            Self::Large => RECORD_BYTES_MAX,
        }
    }

    /// What the next batch is like, after one. Small ones end before the first value that is larger: from there
    /// on the walk asks again.
    fn next(self, values: &mut Vec<Result<Option<Bytes>, Error>>) -> Self {
        let is_larger = |value: &Result<Option<Bytes>, Error>| match value {
            Ok(Some(text)) => text.len() > SMALL_BYTES_MAX,
            Ok(None) => false,
            Err(error) => *error == Error::TooLarge,
        };
        let Some(first) = values.iter().position(is_larger) else { return Self::Small };
        if matches!(self, Self::Small) {
            values.truncate(first);
        }
        Self::Large
    }
}

fn total(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

/// `None`: what was asked is not what it was taken for. Other troubles are the caller's.
fn known<T>(result: Result<T, Error>) -> Result<Option<T>, ListError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Stale { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Some key of a slot. One in 16,384 numbers is.
fn key_in(slot: u16) -> String {
    let mut numbers = (0u32..).map(|number| number.to_string());
    numbers.find(|key| slot::of(key.as_bytes()) == slot).unwrap_or_default()
}

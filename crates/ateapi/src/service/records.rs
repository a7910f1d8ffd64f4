//! Records in the store: reading, and changes of one record that lose nothing.
//!
//! A write whose outcome is not known is sent again. That does no harm: each compares the bytes that it
//! wants to replace, so that one of them at most is made, and every text is unique, so that the record
//! says whether one was.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Display;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Map;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::{Error, Result};
use crate::document::{Document, random};
use crate::names::Key;
use crate::proto::{Actor, Worker};
use crate::record::{RECORD_BYTES_MAX, Record};
use crate::store::{self, Store, Swap};
use crate::walk::Found;

/// How often a change is tried that others have come before. Changes of this process take turns, so that
/// others are other processes: with three of them, one loses ten times in a row once in a million.
const TRIES_MAX: u32 = 16;

/// How often a write is sent whose outcome is not known: the store itself waits and tries in between.
const SENT_MAX: u32 = 8;

/// Records that are read in one go: 8 MiB in the worst case.
pub const BATCH_KEYS: usize = 32;

/// The wait before the next try: twice as long each time, and spread.
const WAIT_MIN: Duration = Duration::from_millis(1);
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Records whose changes take turns: two of them may share a turn, which costs them a little time.
const TURNS: usize = 1024;

/// A record whose changes are counted.
pub trait Versioned: Record {
    fn version(&self) -> i64;
    fn set_version(&mut self, version: i64);
}

impl Versioned for Actor {
    fn version(&self) -> i64 {
        self.version
    }
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

impl Versioned for Worker {
    fn version(&self) -> i64 {
        self.version
    }
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

/// What happened, for the metrics.
#[derive(Debug, Default)]
pub struct RecordStats {
    /// Changes that began anew because another had come before them.
    pub lost_races: AtomicU64,
    /// Writes that were sent again because their outcome was not known.
    pub repeated_writes: AtomicU64,
    /// Records that could not be used.
    pub unusable: AtomicU64,
}

pub struct Records<S> {
    pub store: Arc<S>,
    pub stats: RecordStats,
    changes: Turns,
}

/// Those who want to change the same record in this process take turns: a hundred at once come one after
/// the other, instead of failing by turns.
pub struct Turns(Box<[Mutex<()>]>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..TURNS).map(|_| Mutex::default()).collect())
    }
}

impl Turns {
    pub async fn take(&self, key: &Key<'_>, deadline: Instant) -> Result<Option<MutexGuard<'_, ()>>> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let Some(turn) = self.0.get(hasher.finish() as usize % TURNS) else { return Ok(None) };
        let turn = timeout_at(deadline, turn.lock()).await;
        turn.map(Some).map_err(|_| store::Error::Deadline.into())
    }
}

impl<S: Store> Records<S> {
    pub fn new(store: Arc<S>) -> Self {
        Self { store, stats: RecordStats::default(), changes: Turns::default() }
    }

    pub async fn get<R: Record>(&self, key: &Key<'_>, deadline: Instant) -> Result<Option<Document<R>>> {
        let key = key.to_string();
        let text = self.store.get(&key, deadline).await?;
        text.map(|text| Document::read(key.as_bytes(), text)).transpose().map_err(|problem| {
            self.stats.unusable.fetch_add(1, Relaxed);
            Error::Record { key, problem }
        })
    }

    /// Like [`Self::get`], of what has to be there.
    pub async fn need<R: Record>(&self, key: &Key<'_>, deadline: Instant) -> Result<Document<R>> {
        self.get(key, deadline).await?.ok_or_else(|| Error::Missing(name(key)))
    }

    /// The records of keys that a walk has found. One that is gone by now is left out, and so is one that
    /// cannot be used, which is logged.
    pub async fn read_all<R: Record>(
        &self,
        found: &Found,
        deadline: Instant,
    ) -> store::Result<Vec<Document<R>>> {
        let mut documents = Vec::new();
        for keys in found.keys.chunks(BATCH_KEYS) {
            for (key, value) in keys.iter().zip(self.read_batch(found, keys, deadline).await?) {
                match value {
                    Ok(None) => {}
                    Ok(Some(text)) => match Document::read(key, text) {
                        Ok(document) => documents.push(document),
                        Err(problem) => self.report(key, &problem),
                    },
                    Err(error) if error.is_of_value() => self.report(key, &error),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(documents)
    }

    pub async fn read_batch(
        &self,
        found: &Found,
        keys: &[Bytes],
        deadline: Instant,
    ) -> store::Result<Vec<store::Result<Option<Bytes>>>> {
        match self.store.mget(&found.shard, keys, RECORD_BYTES_MAX, deadline).await {
            // Its process is gone: the keys are read from where they are now.
            Err(store::Error::Stale { .. }) => {
                let mut values = Vec::with_capacity(keys.len());
                for key in keys {
                    values.push(match std::str::from_utf8(key) {
                        Ok(key) => self.store.get(key, deadline).await,
                        Err(_) => Ok(None),
                    });
                }
                Ok(values)
            }
            read => read,
        }
    }

    /// Says of a record that it cannot be used.
    pub fn report(&self, key: &[u8], problem: &dyn Display) {
        self.stats.unusable.fetch_add(1, Relaxed);
        tracing::warn!(key = %key.escape_ascii(), %problem, "a record cannot be used and is left out");
    }

    /// Makes a record. `None`: there is one with its key.
    pub async fn create<R: Record>(&self, record: R, deadline: Instant) -> Result<Option<Document<R>>> {
        let document = written(Document::write(record, Map::new()))?;
        let key = document.record.key().to_string();
        for sent in 0..SENT_MAX {
            match self.store.create(&key, &document.text, deadline).await {
                Ok(true) => return Ok(Some(document)),
                Ok(false) if sent == 0 => return Ok(None),
                Ok(false) => {
                    self.was_made(&document, deadline).await?;
                    return Ok(Some(document));
                }
                Err(error) => self.doubt(error, sent, deadline).await?,
            }
        }
        Err(Error::Unclear(name(&document.record.key())))
    }

    /// Replaces a record by what `text` says. `false`: it is no longer what was read.
    pub async fn replace<R: Record>(
        &self,
        old: &Document<R>,
        new: &Document<R>,
        deadline: Instant,
    ) -> Result<bool> {
        let key = old.record.key();
        let key_text = key.to_string();
        for sent in 0..SENT_MAX {
            match self.store.replace(&key_text, &old.text, &new.text, deadline).await {
                Ok(Swap::Done) => return Ok(true),
                Ok(Swap::Changed | Swap::Missing) if sent == 0 => return Ok(false),
                Ok(Swap::Changed | Swap::Missing) => {
                    return self.was_made(new, deadline).await.map(|()| true);
                }
                Err(error) => self.doubt(error, sent, deadline).await?,
            }
        }
        Err(Error::Unclear(name(&key)))
    }

    /// Makes the next version of a record. `None`: it is no longer what was read.
    pub async fn swap<R: Versioned>(
        &self,
        old: &Document<R>,
        mut record: R,
        deadline: Instant,
    ) -> Result<Option<Document<R>>> {
        record.set_version(old.record.version().saturating_add(1));
        let new = written(old.next(record))?;
        let is_made = self.replace(old, &new, deadline).await?;
        if !is_made {
            self.stats.lost_races.fetch_add(1, Relaxed);
        }
        Ok(is_made.then_some(new))
    }

    /// Deletes a record. `false`: it is no longer what was read.
    pub async fn delete<R: Record>(&self, old: &Document<R>, deadline: Instant) -> Result<bool> {
        let key = old.record.key();
        let key_text = key.to_string();
        for sent in 0..SENT_MAX {
            match self.store.delete(&key_text, &old.text, deadline).await {
                Ok(Swap::Done) => return Ok(true),
                Ok(Swap::Missing) => return Ok(sent > 0),
                Ok(Swap::Changed) if sent == 0 => return Ok(false),
                Ok(Swap::Changed) => break,
                Err(error) => self.doubt(error, sent, deadline).await?,
            }
        }
        Err(Error::Unclear(name(&key)))
    }

    /// Changes a record to what `decide` makes of it, however others change it meanwhile. `None`: it is
    /// good as it is.
    pub async fn change<R: Versioned + Clone>(
        &self,
        key: &Key<'_>,
        deadline: Instant,
        mut decide: impl FnMut(&R) -> Result<Option<R>>,
    ) -> Result<Document<R>> {
        let _turn = self.changes.take(key, deadline).await?;
        for tries in 0..TRIES_MAX {
            let document = self.need(key, deadline).await?;
            let Some(record) = decide(&document.record)? else { return Ok(document) };
            if let Some(changed) = self.swap(&document, record, deadline).await? {
                return Ok(changed);
            }
            pause(tries, deadline).await;
        }
        Err(Error::Raced(name(key)))
    }

    /// Whether a write was made that was sent more than once. The last answer was that the record is
    /// not, or no longer, what this write expects.
    async fn was_made<R: Record>(&self, new: &Document<R>, deadline: Instant) -> Result<()> {
        let key = new.record.key();
        let now = self.store.get(&key.to_string(), deadline).await?;
        if now.as_ref() == Some(&new.text) { Ok(()) } else { Err(Error::Unclear(name(&key))) }
    }

    /// What to do about a write that has failed: wait and send it again, if it may have been made.
    async fn doubt(&self, error: store::Error, sent: u32, deadline: Instant) -> Result<()> {
        // Its time is over, or it certainly was not made.
        if !matches!(error, store::Error::Unknown { .. }) || Instant::now() >= deadline {
            return Err(error.into());
        }
        self.stats.repeated_writes.fetch_add(1, Relaxed);
        tracing::debug!(%error, "a write is sent again");
        pause(sent, deadline).await;
        Ok(())
    }
}

/// What is written here is too large only if the caller wants too much.
fn written<R>(document: Result<R, crate::record::Error>) -> Result<R> {
    document.map_err(|problem| Error::Invalid { field: "the request", problem: problem.to_string() })
}

/// Waits before the next try, and no longer than there is time.
pub async fn pause(tries: u32, deadline: Instant) {
    let full = WAIT_MIN.saturating_mul(1 << tries.min(16)).min(WAIT_MAX);
    let wait = full.mul_f64(0.5 + (random() % 1024) as f64 / 2048.0);
    sleep_until(deadline.min(Instant::now() + wait)).await;
}

/// What a record is called in a message.
pub fn name(key: &Key<'_>) -> String {
    match key {
        Key::Actor { atespace, id } => format!("the actor {atespace}/{id}"),
        Key::Atespace { name } => format!("the atespace {name}"),
        Key::Worker { namespace, pool, pod } => format!("the worker {namespace}/{pool}/{pod}"),
    }
}

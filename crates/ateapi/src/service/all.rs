//! Calls that go over everything: ListWorkers, ListAtespaces, DebugClear.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use prost::Message;
use tokio::time::Instant;

use super::Service;
use super::error::{Error, Result};
use super::runtime::WorkerRuntime;
use crate::document::Document;
use crate::names::{ATESPACE_PATTERN, WORKER_PATTERN, actor_pattern};
use crate::proto::{Atespace, Worker};
use crate::record::Record;
use crate::store::{Error as StoreError, Store};
use crate::walk::{Found, Walk};

/// Records that are read in one go: 8 MiB in the worst case.
const BATCH_KEYS: usize = 32;

/// What a response may hold: clients refuse more than 4 MiB unless they are told otherwise. A little is
/// left for what frames it.
const RESPONSE_BYTES_MAX: usize = (4 << 20) - 1024;

/// Records that are deleted at once.
const DELETES_AT_ONCE: usize = 32;

impl<S: Store, W: WorkerRuntime> Service<S, W> {
    pub(super) async fn list_workers(&self, deadline: Instant) -> Result<Vec<Worker>> {
        self.list_all(WORKER_PATTERN, deadline).await
    }

    pub(super) async fn list_atespaces(&self, deadline: Instant) -> Result<Vec<Atespace>> {
        self.list_all(ATESPACE_PATTERN, deadline).await
    }

    /// Every record of a kind, in the order of their keys.
    async fn list_all<R: Record + Message>(&self, pattern: &str, deadline: Instant) -> Result<Vec<R>> {
        let mut all = BTreeMap::new();
        let mut bytes = 0;
        let mut walk = Walk::new(pattern);
        while let Some(found) = walk.next(&*self.records.store, deadline).await? {
            for document in self.read_all::<R>(&found, deadline).await? {
                let record = document.record;
                // In a message, each has a tag and a length besides.
                bytes += record.encoded_len() + 6;
                // One that comes twice counts once.
                if let Some(before) = all.insert(record.key().to_string(), record) {
                    let before: R = before;
                    bytes -= before.encoded_len() + 6;
                }
                if bytes > RESPONSE_BYTES_MAX {
                    let (kind, count) = (R::KIND, all.len());
                    let text = format!(
                        "there are more {kind}s than the 4 MiB of one response hold: {count} and more"
                    );
                    return Err(Error::Exhausted(text));
                }
            }
        }
        Ok(all.into_values().collect())
    }

    /// The records of keys that a walk has found. One that is gone by now is left out, and so is one that
    /// cannot be used, which is logged.
    pub(super) async fn read_all<R: Record>(
        &self,
        found: &Found,
        deadline: Instant,
    ) -> Result<Vec<Document<R>>> {
        let mut documents = Vec::new();
        for keys in found.keys.chunks(BATCH_KEYS) {
            for (key, value) in keys.iter().zip(self.read_batch(found, keys, deadline).await?) {
                let problem = match value {
                    Ok(None) => continue,
                    Ok(Some(text)) => match Document::read(key, text) {
                        Ok(document) => {
                            documents.push(document);
                            continue;
                        }
                        Err(problem) => problem.to_string(),
                    },
                    Err(error @ (StoreError::TooLarge | StoreError::Refused { .. })) => error.to_string(),
                    Err(error) => return Err(error.into()),
                };
                self.records.stats.unusable.fetch_add(1, Relaxed);
                tracing::warn!(key = %key.escape_ascii(), problem, "a record cannot be used and is left out");
            }
        }
        Ok(documents)
    }

    async fn read_batch(
        &self,
        found: &Found,
        keys: &[Bytes],
        deadline: Instant,
    ) -> Result<Vec<Result<Option<Bytes>, StoreError>>> {
        let store = &self.records.store;
        match store.mget(&found.shard, keys, deadline).await {
            Ok(values) => Ok(values),
            // Its process is gone: the keys are read from where they are now.
            Err(StoreError::Stale { .. }) => {
                let mut values = Vec::with_capacity(keys.len());
                for key in keys {
                    values.push(match std::str::from_utf8(key) {
                        Ok(key) => store.get(key, deadline).await,
                        Err(_) => Ok(None),
                    });
                }
                Ok(values)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes every record of ours. Actors first, so that none is without its atespace.
    pub(super) async fn debug_clear(&self, deadline: Instant) -> Result<()> {
        if !self.options.allow_debug_clear {
            return Err(Error::Denied(format!(
                "DebugClear deletes everything: {}",
                self.options.clear_refusal
            )));
        }
        for pattern in [&*actor_pattern(None), ATESPACE_PATTERN, WORKER_PATTERN] {
            let mut walk = Walk::new(pattern);
            while let Some(found) = walk.next(&*self.records.store, deadline).await? {
                for keys in found.keys.chunks(BATCH_KEYS) {
                    let values = self.read_batch(&found, keys, deadline).await?;
                    let pairs: Vec<_> = keys.iter().cloned().zip(values).collect();
                    let deletes = pairs.into_iter().map(|(key, value)| self.clear_one(key, value, deadline));
                    stream::iter(deletes).buffer_unordered(DELETES_AT_ONCE).try_collect::<()>().await?;
                }
            }
        }
        self.directory.forget_all();
        Ok(())
    }

    async fn clear_one(
        &self,
        key: Bytes,
        value: Result<Option<Bytes>, StoreError>,
        deadline: Instant,
    ) -> Result<()> {
        // What changes meanwhile is in use: whoever wants it gone calls again.
        if let (Some(text), Ok(key)) = (value?, std::str::from_utf8(&key)) {
            self.records.store.delete(key, &text, deadline).await?;
        }
        Ok(())
    }
}

//! Calls that go over everything: ListWorkers, ListAtespaces, DebugClear.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use prost::Message;
use tokio::time::Instant;

use super::Service;
use super::error::{Error, Result};
use super::records::BATCH_KEYS;
use super::runtime::WorkerRuntime;
use crate::names::{ATESPACE_PATTERN, WORKER_PATTERN, actor_pattern};
use crate::proto::{Atespace, Worker};
use crate::record::Record;
use crate::store::{Error as StoreError, Store};
use crate::walk::Walk;

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
            for document in self.records.read_all::<R>(&found, deadline).await? {
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
                    let values = self.records.read_batch(&found, keys, deadline).await?;
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
        let text = match value {
            Ok(text) => text,
            // There is no text of it to compare with: it stays.
            Err(error) if error.is_of_value() => {
                self.records.report(&key, &error);
                None
            }
            Err(error) => return Err(error.into()),
        };
        // What changes meanwhile is in use: whoever wants it gone calls again.
        if let (Some(text), Ok(key)) = (text, std::str::from_utf8(&key)) {
            self.records.store.delete(key, &text, deadline).await?;
        }
        Ok(())
    }
}

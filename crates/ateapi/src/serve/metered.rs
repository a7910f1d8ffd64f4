//! A store that counts what it is asked.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::metrics::Metrics;
use crate::store::{Error, NodeId, Result, Scan, Scanned, Shard, Store, Swap, Topology};

pub struct Metered<S> {
    store: S,
    metrics: Arc<Metrics>,
}

/// Places in [`super::metrics::OPERATIONS`].
#[derive(Clone, Copy)]
enum Operation {
    Get,
    Create,
    Replace,
    Delete,
    Topology,
    Shard,
    Scan,
    Mget,
}

/// Its place in [`super::metrics::FAILURES`].
fn failure(error: &Error) -> usize {
    match error {
        Error::Unavailable { .. } => 0,
        Error::Deadline => 1,
        Error::Unknown { .. } => 2,
        Error::Stale { .. } => 3,
        Error::Refused { .. } | Error::WrongType { .. } => 4,
        Error::TooLarge => 5,
    }
}

impl<S: Store> Metered<S> {
    pub fn new(store: S, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }

    async fn count<T>(&self, operation: Operation, work: impl Future<Output = Result<T>>) -> Result<T> {
        let began = Instant::now();
        let outcome = work.await;
        let failure = outcome.as_ref().err().map(failure);
        self.metrics.asked(operation as usize, failure, began.elapsed());
        outcome
    }
}

impl<S: Store> Store for Metered<S> {
    fn retries(&self) -> u64 {
        self.store.retries()
    }

    async fn get(&self, key: &str, deadline: Instant) -> Result<Option<Bytes>> {
        self.count(Operation::Get, self.store.get(key, deadline)).await
    }

    async fn create(&self, key: &str, value: &[u8], deadline: Instant) -> Result<bool> {
        self.count(Operation::Create, self.store.create(key, value, deadline)).await
    }

    async fn replace(&self, key: &str, old: &[u8], new: &[u8], deadline: Instant) -> Result<Swap> {
        self.count(Operation::Replace, self.store.replace(key, old, new, deadline)).await
    }

    async fn delete(&self, key: &str, old: &[u8], deadline: Instant) -> Result<Swap> {
        self.count(Operation::Delete, self.store.delete(key, old, deadline)).await
    }

    async fn topology(&self, deadline: Instant) -> Result<Arc<Topology>> {
        self.count(Operation::Topology, self.store.topology(deadline)).await
    }

    async fn shard(&self, node: &NodeId, deadline: Instant) -> Result<Shard> {
        self.count(Operation::Shard, self.store.shard(node, deadline)).await
    }

    async fn scan(&self, shard: &Shard, scan: Scan<'_>, deadline: Instant) -> Result<Scanned> {
        self.count(Operation::Scan, self.store.scan(shard, scan, deadline)).await
    }

    async fn mget(
        &self,
        shard: &Shard,
        keys: &[Bytes],
        bytes_max: usize,
        deadline: Instant,
    ) -> Result<Vec<Result<Option<Bytes>>>> {
        self.count(Operation::Mget, self.store.mget(shard, keys, bytes_max, deadline)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::metrics::{FAILURES, OPERATIONS};

    #[test]
    fn places_are_those_of_the_names() {
        assert_eq!(OPERATIONS.get(Operation::Mget as usize), Some(&"mget"));
        assert_eq!(OPERATIONS.get(Operation::Replace as usize), Some(&"replace"));
        assert_eq!(FAILURES.get(failure(&Error::TooLarge)), Some(&"too_large"));
        assert_eq!(FAILURES.get(failure(&Error::unknown(""))), Some(&"unknown"));
    }
}

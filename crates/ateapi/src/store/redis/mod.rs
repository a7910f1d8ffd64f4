//! Real servers: one Redis, Valkey or Bulkhead, or a cluster of one of them.
//!
//! The routing is our own, over the connections of the `redis` crate, and not that crate's cluster client:
//! a scan must be made by one known process and say so when that is gone, a write whose fate is unknown
//! must be told from one that never left, and a batch must go to one node in one round trip.

mod connection;
mod limits;
mod map;
mod nodes;
mod options;
mod pool;
mod reply;
mod shard;
mod tries;

pub use options::{Connector, InvalidAddress, Options};

use self::connection::Failure;
use self::map::Map;
use self::pool::Pool;
use self::tries::{Kind, Next, Target, Tries};
use super::{Error, NodeId, Result, Scan, Scanned, Shard, Store, Swap, Topology};
use crate::record::RECORD_BYTES_MAX;
use base::slot;
use bytes::Bytes;
use redis::{Cmd, Value, cmd};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::time::Instant;

/// Compares and sets in one step. EVAL by text: it is as short as its hash nearly, and no server forgets it.
const REPLACE: &str = "local now = redis.call('GET', KEYS[1]) \
    if not now then return -1 end \
    if now ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[2]) \
    return 1";
const DELETE: &str = "local now = redis.call('GET', KEYS[1]) \
    if not now then return -1 end \
    if now ~= ARGV[1] then return 0 end \
    redis.call('DEL', KEYS[1]) \
    return 1";

pub struct RedisStore {
    pool: Pool,
    map: Map,
    retries: AtomicU64,
}

impl RedisStore {
    /// Connects to nothing yet: a store that is not there is found by the first call.
    pub fn new(options: Options) -> Self {
        Self { pool: Pool::new(options), map: Map::default(), retries: AtomicU64::new(0) }
    }

    /// Sends a command to whoever has its key, until it is answered, or there is no sense in it.
    async fn call(&self, key: &[u8], command: Cmd, kind: Kind, deadline: Instant) -> Result<Value> {
        let mut tries = Tries::new(deadline);
        let mut target = None;
        loop {
            let outcome = match self.target(target.take(), slot::of(key), deadline).await {
                Ok(target) => self.send(&target, &command, deadline).await,
                Err(Error::Unavailable { cause }) => Err(Failure::Unsent(cause)),
                Err(error) => return Err(error),
            };
            match tries::next(kind, outcome) {
                Next::Done(value) => return Ok(value),
                Next::Failed(error) => {
                    self.doubt(&error);
                    return Err(error);
                }
                Next::Redirected(to) => {
                    if !to.asking {
                        self.map.doubt();
                    }
                    self.retries.fetch_add(1, Relaxed);
                    tries.redirected(&to).await?;
                    target = Some(to);
                }
                Next::Again(cause) => {
                    self.map.doubt();
                    self.retries.fetch_add(1, Relaxed);
                    tries.wait(cause).await?;
                }
            }
        }
    }

    /// Where a redirect points, or where the map says that a slot is.
    async fn target(&self, redirect: Option<Target>, slot: u16, deadline: Instant) -> Result<Target> {
        if let Some(target) = redirect {
            return Ok(target);
        }
        let topology = self.map.get(&self.pool, deadline).await?;
        let owner = topology.owner(slot);
        let owner = owner.ok_or_else(|| Error::unavailable(format!("no node serves slot {slot}")))?;
        Ok(Target { address: owner.address.clone(), asking: false })
    }

    async fn send(&self, to: &Target, command: &Cmd, deadline: Instant) -> Result<reply::Answer, Failure> {
        let connection = self.pool.get(&to.address, deadline).await?;
        let mut pipeline = redis::pipe();
        if to.asking {
            pipeline.cmd("ASKING");
        }
        pipeline.add_command(command.clone());
        let mut replies = connection.send(&pipeline, deadline).await?;
        let last = replies.pop().ok_or_else(|| Failure::Broken("a reply is missing".into()))?;
        Ok(reply::sort(last, &to.address))
    }

    /// After a break, or a silence, slots may lie elsewhere.
    fn doubt(&self, error: &Error) {
        if matches!(error, Error::Unknown { .. } | Error::Deadline) {
            self.map.doubt();
        }
    }

    async fn swap(&self, key: &str, command: Cmd, deadline: Instant) -> Result<Swap> {
        match self.call(key.as_bytes(), command, Kind::Write, deadline).await? {
            Value::Int(1) => Ok(Swap::Done),
            Value::Int(0) => Ok(Swap::Changed),
            Value::Int(-1) => Ok(Swap::Missing),
            other => Err(Error::refused(format!("the reply to EVAL is not understood: {other:?}"))),
        }
    }
}

/// A value, no larger than so many bytes and one: whatever somebody puts there, no reply floods us.
fn read(key: &[u8], bytes_max: usize) -> Cmd {
    let mut command = cmd("GETRANGE");
    command.arg(key).arg(0).arg(bytes_max);
    command
}

/// The value in a reply to [`read`]. An empty one is none: no record is empty.
fn value_of(reply: Value, bytes_max: usize) -> Result<Option<Bytes>> {
    match reply {
        Value::BulkString(bytes) if bytes.is_empty() => Ok(None),
        Value::BulkString(bytes) if bytes.len() > bytes_max => Err(Error::TooLarge),
        Value::BulkString(bytes) => Ok(Some(Bytes::from(bytes))),
        other => Err(Error::refused(format!("the reply to GETRANGE is not understood: {other:?}"))),
    }
}

/// Spreads what would otherwise happen to many at once.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

fn failure_text(failure: Failure) -> String {
    match failure {
        Failure::Unsent(cause) | Failure::Broken(cause) => cause,
        Failure::Deadline => "there was no time to answer".into(),
    }
}

impl Store for RedisStore {
    fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    async fn get(&self, key: &str, deadline: Instant) -> Result<Option<Bytes>> {
        let key = key.as_bytes();
        let reply = self.call(key, read(key, RECORD_BYTES_MAX), Kind::Read, deadline).await?;
        value_of(reply, RECORD_BYTES_MAX)
    }

    async fn create(&self, key: &str, value: &[u8], deadline: Instant) -> Result<bool> {
        let mut command = cmd("SET");
        command.arg(key).arg(value).arg("NX");
        let reply = self.call(key.as_bytes(), command, Kind::Write, deadline).await?;
        Ok(reply != Value::Nil)
    }

    async fn replace(&self, key: &str, old: &[u8], new: &[u8], deadline: Instant) -> Result<Swap> {
        let mut command = cmd("EVAL");
        command.arg(REPLACE).arg(1).arg(key).arg(old).arg(new);
        self.swap(key, command, deadline).await
    }

    async fn delete(&self, key: &str, old: &[u8], deadline: Instant) -> Result<Swap> {
        let mut command = cmd("EVAL");
        command.arg(DELETE).arg(1).arg(key).arg(old);
        self.swap(key, command, deadline).await
    }

    async fn topology(&self, deadline: Instant) -> Result<Arc<Topology>> {
        self.map.get(&self.pool, deadline).await
    }

    async fn shard(&self, node: &NodeId, deadline: Instant) -> Result<Shard> {
        self.describe(node, deadline).await
    }

    async fn scan(&self, shard: &Shard, scan: Scan<'_>, deadline: Instant) -> Result<Scanned> {
        self.scan_shard(shard, scan, deadline).await
    }

    async fn mget(
        &self,
        shard: &Shard,
        keys: &[Bytes],
        bytes_max: usize,
        deadline: Instant,
    ) -> Result<Vec<Result<Option<Bytes>>>> {
        self.read_batch(shard, keys, bytes_max, deadline).await
    }
}

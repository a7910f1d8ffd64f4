//! What is asked of one shard: who it is, steps of a scan, and batches of values.

use super::connection::{Connection, Failure};
use super::limits::STRAYS_AT_ONCE;
use super::reply::{Answer, misunderstood, sort};
use super::tries::{Kind, Next, Target, Tries, next};
use super::{RedisStore, failure_text, map, read, reply, value_of};
use crate::store::{Error, NodeId, Owner, Result, Scan, Scanned, Shard, SlotSet};
use base::slot;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use redis::{Pipeline, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use tokio::time::Instant;

/// Keys that are read together, and how much of each is wanted.
struct Batch<'a> {
    keys: &'a [Bytes],
    bytes_max: usize,
}

impl RedisStore {
    pub(super) async fn describe(&self, node: &NodeId, deadline: Instant) -> Result<Shard> {
        let mut tries = Tries::new(deadline);
        loop {
            let topology = self.map.get(&self.pool, deadline).await?;
            let Some(owner) = topology.node(node) else {
                return Err(Error::stale(format!("node {node} owns no slots")));
            };
            match self.look_at(owner, deadline).await {
                Ok(described) => {
                    let is_as_known =
                        |shard: &Shard| shard.epoch == owner.epoch && shard.slots == owner.slots;
                    if !described.as_ref().is_ok_and(is_as_known) {
                        self.map.doubt();
                    }
                    return described;
                }
                Err(cause) => {
                    self.map.doubt();
                    tries.wait(cause).await?;
                }
            }
        }
    }

    /// Asks an owner who it is. The outer error: it cannot say, at the moment.
    async fn look_at(&self, owner: &Owner, deadline: Instant) -> Result<Result<Shard>, String> {
        let connection = self.pool.get(&owner.address, deadline).await.map_err(failure_text)?;
        let seen = map::look(&connection, self.pool.options.encrypted, deadline).await?;
        if !seen.is_ok {
            return Err(format!("{}: the cluster is down, as this node sees it", owner.address));
        }
        Ok(described(&connection, &seen, &owner.node))
    }

    pub(super) async fn scan_shard(
        &self,
        shard: &Shard,
        scan: Scan<'_>,
        deadline: Instant,
    ) -> Result<Scanned> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SCAN").arg(scan.cursor).arg("MATCH").arg(scan.pattern).arg("COUNT").arg(scan.count);
        let probe = probe(shard);
        if let Some(probe) = &probe {
            if probe.asking {
                pipeline.cmd("ASKING");
            }
            pipeline.cmd("EXISTS").arg(probe.key);
        }
        let mut replies = self.ask_shard(shard, &pipeline, deadline).await?.into_iter();
        let scanned = replies.next().map(|reply| sort(reply, &shard.address));
        if probe.is_some() {
            match replies.next_back().map(|reply| sort(reply, &shard.address)) {
                // It is still a primary of a cluster that works: a key that is on the move belongs to it.
                Some(Answer::Value(_) | Answer::Ask(_)) => {}
                Some(Answer::Failed(error)) => return Err(error),
                Some(Answer::Later(cause)) => return Err(self.stale(cause)),
                _ => return Err(self.stale(format!("{} no longer owns what it did", shard.address))),
            }
        }
        match scanned {
            Some(Answer::Value(reply)) => {
                scanned_of(reply).ok_or_else(|| misunderstood(&shard.address, "SCAN"))
            }
            Some(Answer::Later(cause)) => Err(Error::Unavailable { cause }),
            Some(Answer::Failed(error)) => Err(error),
            _ => Err(misunderstood(&shard.address, "SCAN")),
        }
    }

    pub(super) async fn read_batch(
        &self,
        shard: &Shard,
        keys: &[Bytes],
        bytes_max: usize,
        deadline: Instant,
    ) -> Result<Vec<Result<Option<Bytes>>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.add_command(read(key, bytes_max));
        }
        let replies = self.ask_shard(shard, &pipeline, deadline).await?;
        let batch = Batch { keys, bytes_max };
        let mut values: Vec<Option<Result<Option<Bytes>>>> = Vec::with_capacity(keys.len());
        let mut redirected: HashMap<Target, Vec<usize>> = HashMap::new();
        for (at, reply) in replies.into_iter().enumerate() {
            let value = match next(Kind::Read, Ok(sort(reply, &shard.address))) {
                Next::Done(value) => Some(value_of(value, bytes_max)),
                Next::Failed(error) => Some(Err(error)),
                // The whole node, not one key.
                Next::Again(cause) => return Err(Error::Unavailable { cause }),
                Next::Redirected(to) => {
                    if !to.asking {
                        self.map.doubt();
                    }
                    redirected.entry(to).or_default().push(at);
                    None
                }
            };
            values.push(value);
        }
        for (to, places) in redirected {
            self.follow(&to, &batch, &places, &mut values, deadline).await;
        }
        self.fetch_strays(&batch, &mut values, deadline).await;
        // Every place is filled by now; a missing value would be a fault of ours.
        Ok(values.into_iter().map(|value| value.unwrap_or(Err(Error::unavailable("not fetched")))).collect())
    }

    /// Fetches what one redirect points to, in one round trip. What fails is left open.
    async fn follow(
        &self,
        to: &Target,
        batch: &Batch<'_>,
        places: &[usize],
        values: &mut [Option<Result<Option<Bytes>>>],
        deadline: Instant,
    ) {
        let mut pipeline = redis::pipe();
        for key in places.iter().filter_map(|&at| batch.keys.get(at)) {
            if to.asking {
                pipeline.cmd("ASKING");
            }
            pipeline.add_command(read(key, batch.bytes_max));
        }
        let Ok(connection) = self.pool.get(&to.address, deadline).await else { return };
        let Ok(replies) = connection.send(&pipeline, deadline).await else { return };
        let each = if to.asking { 2 } else { 1 };
        let found = replies.into_iter().skip(each - 1).step_by(each);
        for (&at, reply) in places.iter().zip(found) {
            if let (Answer::Value(value), Some(place)) = (sort(reply, &to.address), values.get_mut(at)) {
                *place = Some(value_of(value, batch.bytes_max));
            }
        }
    }

    /// Fetches one by one what has moved again meanwhile: there is little of it.
    async fn fetch_strays(
        &self,
        batch: &Batch<'_>,
        values: &mut [Option<Result<Option<Bytes>>>],
        deadline: Instant,
    ) {
        let bytes_max = batch.bytes_max;
        let open = values.iter_mut().zip(batch.keys).filter(|(value, _)| value.is_none());
        let open: Vec<_> = open.map(|(place, key)| (place, key.clone())).collect();
        let fetch = async |(place, key): (&mut Option<_>, Bytes)| {
            let reply = self.call(&key, read(&key, bytes_max), Kind::Read, deadline).await;
            *place = Some(reply.and_then(|reply| value_of(reply, bytes_max)));
        };
        stream::iter(open).for_each_concurrent(STRAYS_AT_ONCE, fetch).await;
    }

    /// Sends commands to the process that `shard` describes, and to no other.
    async fn ask_shard(&self, shard: &Shard, commands: &Pipeline, deadline: Instant) -> Result<Vec<Value>> {
        let mut tries = Tries::new(deadline);
        loop {
            let sent = match self.pool.get(&shard.address, deadline).await {
                Ok(connection) if connection.identity.run != shard.run => {
                    return Err(self.stale(format!("{} was restarted", shard.address)));
                }
                Ok(connection) => connection.send(commands, deadline).await,
                Err(failure) => Err(failure),
            };
            match sent {
                Ok(replies) => return Ok(replies),
                Err(Failure::Deadline) => {
                    self.map.doubt();
                    return Err(Error::Deadline);
                }
                Err(Failure::Broken(cause) | Failure::Unsent(cause)) => {
                    self.map.doubt();
                    // If the cluster has put another in its place, there is no sense in waiting for it.
                    let topology = self.map.get(&self.pool, deadline).await?;
                    if topology.node(&shard.node).is_none_or(|owner| owner.address != shard.address) {
                        return Err(Error::stale(format!("{cause}; it has been replaced")));
                    }
                    tries.wait(cause).await?;
                }
            }
        }
    }

    fn stale(&self, cause: String) -> Error {
        self.map.doubt();
        Error::Stale { cause }
    }
}

/// What the node at the other end of a connection says about itself.
fn described(connection: &Connection, seen: &map::Seen, node: &NodeId) -> Result<Shard> {
    let identity = &connection.identity;
    let address = connection.address.clone();
    let gone = || Error::stale(format!("{address} is not node {node} as an owner of slots"));
    let me = match &seen.view {
        Some(view) => view.myself.clone().ok_or_else(gone)?,
        None => NodeId::single(),
    };
    let owner = seen.topology().node(&me).filter(|owner| owner.node == *node).ok_or_else(gone)?;
    let moves = seen.view.as_ref();
    if owner.slots.is_empty() && moves.is_none_or(|view| view.importing.is_empty()) {
        return Err(gone());
    }
    Ok(Shard {
        node: me,
        run: Arc::clone(&identity.run),
        epoch: owner.epoch,
        slots: owner.slots.clone(),
        migrating: moves.map_or_else(BTreeMap::new, |view| view.migrating.clone()),
        importing: moves.map_or_else(BTreeMap::new, |view| view.importing.clone()),
        positions: identity.positions,
        address,
    })
}

/// A key that the shard answers for as long as it is a primary, and its cluster works. SCAN names no key,
/// and would be answered by a replica, or a node that is cut off, as if nothing had happened.
fn probe(shard: &Shard) -> Option<Probe> {
    if shard.node == NodeId::single() {
        return None;
    }
    let settled = || shard.slots.iter().find(|slot| !shard.migrating.contains_key(slot));
    if let Some(slot) = settled().or(shard.slots.first()) {
        return Some(Probe { key: key_in(slot), asking: false });
    }
    // A newcomer, whose first slots are on their way.
    let slot = *shard.importing.keys().next()?;
    Some(Probe { key: key_in(slot), asking: true })
}

struct Probe {
    key: u32,
    asking: bool,
}

/// A number that hashes to a slot.
fn key_in(slot: u16) -> u32 {
    static KEYS: OnceLock<Vec<u32>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let mut keys = vec![0; usize::from(slot::SLOTS)];
        let mut open = SlotSet::all();
        let mut left = open.len();
        // Some ten times as many as there are slots fill them all.
        for number in 0.. {
            if left == 0 {
                break;
            }
            let slot = slot::of(number.to_string().as_bytes());
            if let Some(key) = keys.get_mut(usize::from(slot)).filter(|_| open.contains(slot)) {
                *key = number;
                open.remove(slot);
                left -= 1;
            }
        }
        keys
    });
    keys.get(usize::from(slot)).copied().unwrap_or_default()
}

/// The cursor and keys in a reply to SCAN.
fn scanned_of(reply: Value) -> Option<Scanned> {
    let Value::Array(parts) = reply else { return None };
    let [cursor, Value::Array(keys)] = <[Value; 2]>::try_from(parts).ok()? else { return None };
    let keys = keys.into_iter().map(|key| match key {
        Value::BulkString(key) => Some(Bytes::from(key)),
        _ => None,
    });
    Some(Scanned { cursor: reply::text(&cursor)?.parse().ok()?, keys: keys.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_key() {
        for slot in 0..slot::SLOTS {
            assert_eq!(slot::of(key_in(slot).to_string().as_bytes()), slot);
        }
    }

    #[test]
    fn steps_of_a_scan_are_read() {
        let reply = |text: &str| redis::parse_redis_value(text.as_bytes()).unwrap();
        let scanned = scanned_of(reply("*2\r\n$20\r\n18446744073709551615\r\n*1\r\n$1\r\na\r\n"));
        assert_eq!(scanned, Some(Scanned { cursor: u64::MAX, keys: vec![Bytes::from("a")] }));
        for text in ["*0\r\n", ":1\r\n", "*2\r\n$1\r\nx\r\n*0\r\n", "*2\r\n$1\r\n1\r\n*1\r\n:1\r\n"] {
            assert_eq!(scanned_of(reply(text)), None, "{text:?}");
        }
    }
}

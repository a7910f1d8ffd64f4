//! Which node has which slots: kept, and fetched anew when a node said otherwise.

use super::connection::Connection;
use super::limits::{ASKED_AT_ONCE, REFRESH_INTERVAL_MIN};
use super::pool::Pool;
use super::{nodes, random, reply};
use crate::store::{Address, Error, NodeId, Owner, Result, SlotSet, Topology};
use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::RwLock;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::{Instant, timeout_at};

#[derive(Default)]
pub(super) struct Map {
    current: RwLock<Option<Known>>,
    /// How often somebody found that it is wrong, and how much of that the current one answers.
    wanted: AtomicU64,
    answered: AtomicU64,
    /// Held by the one who fetches it.
    fetching: tokio::sync::Mutex<Option<Fetched>>,
}

/// The last time that it was fetched.
struct Fetched {
    began: Instant,
    failed: Option<String>,
}

#[derive(Debug, Clone)]
struct Known {
    topology: Arc<Topology>,
    replicas: Vec<Address>,
    epoch: u64,
}

/// One node's view of the whole.
pub(super) struct Seen {
    known: Known,
    /// Whether it is a part of the cluster that works.
    pub(super) is_ok: bool,
    /// Of a cluster; what it says about itself.
    pub(super) view: Option<nodes::View>,
}

impl Seen {
    pub(super) fn topology(&self) -> &Topology {
        &self.known.topology
    }
}

impl Map {
    /// Has it fetched anew before it is used next.
    pub(super) fn doubt(&self) {
        self.wanted.fetch_add(1, Ordering::AcqRel);
    }

    fn is_good(&self) -> bool {
        self.answered.load(Ordering::Acquire) == self.wanted.load(Ordering::Acquire)
    }

    fn topology(&self) -> Option<Arc<Topology>> {
        self.current.read().as_ref().map(|known| Arc::clone(&known.topology))
    }

    /// The topology. An old one is better than none: what it says wrongly, nodes put right.
    pub(super) async fn get(&self, pool: &Pool, deadline: Instant) -> Result<Arc<Topology>> {
        if let Some(topology) = self.topology().filter(|_| self.is_good()) {
            return Ok(topology);
        }
        let called = Instant::now();
        let old = || self.topology().ok_or(Error::Deadline);
        let Ok(mut last) = timeout_at(deadline, self.fetching.lock()).await else { return old() };
        let is_fresh = |last: &Fetched| last.began.elapsed() < REFRESH_INTERVAL_MIN;
        if let Some(topology) = self.topology()
            && (self.is_good() || last.as_ref().is_some_and(is_fresh))
        {
            return Ok(topology);
        }
        // Those who have waited while somebody else failed have failed too: each in turn would take too long.
        if let Some(Fetched { began, failed: Some(cause) }) = &*last
            && *began >= called
        {
            return self.topology().ok_or_else(|| Error::unavailable(cause));
        }
        let began = Instant::now();
        *last = Some(Fetched { began, failed: None });
        let wanted = self.wanted.load(Ordering::Acquire);
        let Ok(seen) = timeout_at(deadline, self.fetch(pool)).await else { return old() };
        match seen {
            Ok(known) => {
                self.answered.store(wanted, Ordering::Release);
                pool.keep(&known.addresses().chain(pool.options.seeds.iter().cloned()).collect());
                let topology = Arc::clone(&known.topology);
                *self.current.write() = Some(known);
                Ok(topology)
            }
            Err(cause) => {
                *last = Some(Fetched { began, failed: Some(cause.clone()) });
                self.topology().ok_or(Error::Unavailable { cause })
            }
        }
    }

    /// Asks nodes until one knows: in any order, so that not all clients ask the same one.
    async fn fetch(&self, pool: &Pool) -> Result<Known, String> {
        let old = self.current.read().clone();
        let mut known: Vec<Address> = old.iter().flat_map(Known::addresses).collect();
        known.sort_by_cached_key(|_| random());
        let mut unique = HashSet::new();
        let all = known.into_iter().chain(pool.options.seeds.iter().cloned());
        let candidates: Vec<Address> = all.filter(|address| unique.insert(address.clone())).collect();
        // Each ends by itself: to connect and to reply are limited in time.
        let deadline = Instant::now() + super::limits::RESPONSE_TIME_MAX;
        let ask = |address: Address| async move {
            let connection = pool.get(&address, deadline).await.map_err(super::failure_text)?;
            look(&connection, pool.options.encrypted, deadline).await
        };
        let mut answers = stream::iter(candidates).map(ask).buffer_unordered(ASKED_AT_ONCE);
        let epoch_min = old.map_or(0, |old| old.epoch);
        let mut best: Option<Known> = None;
        let mut causes = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(seen) if seen.is_ok && seen.known.epoch >= epoch_min => return Ok(seen.known),
                // It is cut off, or has not heard the news yet; if no other answers, it must do.
                Ok(seen) if best.as_ref().is_none_or(|best| best.epoch < seen.known.epoch) => {
                    best = Some(seen.known);
                }
                Ok(_) => {}
                Err(cause) => causes.push(cause),
            }
        }
        best.ok_or_else(|| causes.join("; "))
    }
}

impl Known {
    fn addresses(&self) -> impl Iterator<Item = Address> {
        let primaries = self.topology.owners.iter().chain(&self.topology.idle).map(|owner| &owner.address);
        primaries.chain(&self.replicas).cloned()
    }
}

/// Asks one node how it sees the whole.
pub(super) async fn look(connection: &Connection, by_name: bool, deadline: Instant) -> Result<Seen, String> {
    let address = &connection.address;
    if connection.identity.node.is_none() {
        if connection.identity.is_replica {
            return Err(format!("{address} is a replica"));
        }
        let owner =
            Owner { node: NodeId::single(), address: address.clone(), epoch: 0, slots: SlotSet::all() };
        let topology = Arc::new(Topology::new(vec![owner]));
        let known = Known { topology, replicas: Vec::new(), epoch: 0 };
        return Ok(Seen { known, is_ok: true, view: None });
    }
    let mut pipeline = redis::pipe();
    pipeline.cmd("CLUSTER").arg("NODES").cmd("CLUSTER").arg("INFO");
    let replies = connection.send(&pipeline, deadline).await.map_err(super::failure_text)?;
    let [nodes, info] = replies.as_slice() else { return Err(format!("{address}: replies are missing")) };
    for reply in [nodes, info] {
        if let redis::Value::ServerError(error) = reply {
            return Err(format!("{address}: {error}"));
        }
    }
    let view = reply::text(nodes).and_then(|text| nodes::parse(text, address, by_name));
    let view = view.ok_or_else(|| format!("{address}: CLUSTER NODES is not understood"))?;
    let info = reply::text(info).unwrap_or_default();
    let epoch = reply::field(info, "cluster_current_epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    let known = Known { topology: Arc::new(view.topology.clone()), replicas: view.replicas.clone(), epoch };
    Ok(Seen { known, is_ok: reply::field(info, "cluster_state") == Some("ok"), view: Some(view) })
}

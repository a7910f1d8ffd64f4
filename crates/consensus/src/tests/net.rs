//! A network in memory: it delays, loses, repeats and reorders single requests, breaks streams,
//! and is cut between any two nodes. Chance comes from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};
use wal::testing::Rng;

use crate::transport::{Answers, BoxFuture, Frames, Peer, Transport, TransportError};
use crate::{Group, Node};

/// What goes wrong, once in so many times; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) lose: u64,
    pub(crate) repeat: u64,
    pub(crate) break_stream: u64,
    /// Every message takes up to this long.
    pub(crate) delay: Duration,
}

struct Inner {
    nodes: BTreeMap<u64, Weak<Node>>,
    /// Cut in this direction.
    cut: BTreeSet<(u64, u64)>,
    faults: Faults,
    rng: Rng,
}

pub(crate) struct Net {
    inner: Mutex<Inner>,
    /// Changes whenever a link is cut or healed.
    changed: watch::Sender<u64>,
    runtime: Handle,
    stop: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

fn lost() -> TransportError {
    TransportError("lost on the way".into())
}

impl Net {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let handle = runtime.handle().clone();
        let (tx, rx) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let _ = runtime.block_on(rx);
        });
        let inner = Inner {
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            faults: Faults::default(),
            rng: Rng::new(seed),
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            changed: watch::Sender::new(0),
            runtime: handle,
            stop: Mutex::new(Some((tx, thread))),
        })
    }

    pub(crate) fn transport(self: &Arc<Self>, from: u64) -> Arc<dyn Transport> {
        Arc::new(Link { net: self.clone(), from })
    }

    pub(crate) fn join(&self, id: u64, node: &Arc<Node>) {
        self.inner.lock().nodes.insert(id, Arc::downgrade(node));
    }

    pub(crate) fn leave(&self, id: u64) {
        self.inner.lock().nodes.remove(&id);
        self.changed.send_modify(|n| *n += 1);
    }

    pub(crate) fn faults(&self, faults: Faults) {
        self.inner.lock().faults = faults;
    }

    /// Cuts a node off from all others, in both directions.
    pub(crate) fn isolate(&self, id: u64) {
        let mut inner = self.inner.lock();
        for other in 0..16 {
            inner.cut.insert((id, other));
            inner.cut.insert((other, id));
        }
        drop(inner);
        self.changed.send_modify(|n| *n += 1);
    }

    pub(crate) fn heal(&self) {
        self.inner.lock().cut.clear();
        self.changed.send_modify(|n| *n += 1);
    }

    fn open(&self, from: u64, to: u64) -> bool {
        let inner = self.inner.lock();
        inner.nodes.contains_key(&to) && !inner.cut.contains(&(from, to))
    }

    fn chance(&self, one_in: impl Fn(&Faults) -> u64) -> bool {
        let mut inner = self.inner.lock();
        let n = one_in(&inner.faults);
        n > 0 && inner.rng.one_in(n)
    }

    async fn delay(&self) {
        let delay = {
            let mut inner = self.inner.lock();
            let most = inner.faults.delay.as_micros() as u64;
            Duration::from_micros(if most == 0 { 0 } else { inner.rng.below(most) })
        };
        if !delay.is_zero() {
            // tidy-ok: the delay of the simulated network
            tokio::time::sleep(delay).await;
        }
    }

    fn group(&self, peer: &Peer) -> Option<Group> {
        let node = self.inner.lock().nodes.get(&peer.node)?.upgrade()?;
        node.find(peer.group)
    }

    /// Brings one request over; its answer may be lost even if it arrived.
    async fn deliver(&self, from: u64, to: &Peer, request: Bytes) -> Result<Bytes, TransportError> {
        self.delay().await;
        if !self.open(from, to.node) || self.chance(|f| f.lose) {
            return Err(lost());
        }
        let group = self.group(to).ok_or_else(lost)?;
        let answer = group.answer(request).await;
        self.delay().await;
        if !self.open(to.node, from) || self.chance(|f| f.lose) {
            return Err(lost());
        }
        answer
    }

    /// Waits until the way there or back is cut.
    async fn broken(&self, from: u64, to: u64) {
        let mut changed = self.changed.subscribe();
        while self.open(from, to) && self.open(to, from) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.stop.lock().take() {
            drop(stop);
            // The last handle may be dropped by a task of this very thread.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

struct Link {
    net: Arc<Net>,
    from: u64,
}

impl Transport for Link {
    fn call(&self, to: Peer, request: Bytes) -> BoxFuture<Result<Bytes, TransportError>> {
        let (net, from) = (self.net.clone(), self.from);
        let (tx, rx) = oneshot::channel();
        self.net.runtime.spawn(async move {
            if net.chance(|f| f.repeat) {
                let (again, to, request) = (net.clone(), to.clone(), request.clone());
                net.runtime.spawn(async move { again.deliver(from, &to, request).await });
            }
            let _ = tx.send(net.deliver(from, &to, request).await);
        });
        Box::pin(async move { rx.await.map_err(|_| lost())? })
    }

    fn stream(&self, to: Peer, requests: Frames) -> BoxFuture<Result<Answers, TransportError>> {
        let (net, from) = (self.net.clone(), self.from);
        Box::pin(async move {
            let group = net.group(&to).filter(|_| net.open(from, to.node)).ok_or_else(lost)?;
            let (answers_tx, answers_rx) = mpsc::channel(16);
            let runtime = net.runtime.clone();
            runtime.spawn(carry(net, from, to.node, group, requests, answers_tx));
            let answers = stream::unfold(answers_rx, async |mut rx| rx.recv().await.map(|item| (item, rx)));
            Ok(Box::pin(answers) as Answers)
        })
    }
}

/// Carries one stream until it ends on either side, or breaks.
async fn carry(
    net: Arc<Net>,
    from: u64,
    to: u64,
    group: Group,
    requests: Frames,
    answers_tx: mpsc::Sender<Result<Bytes, TransportError>>,
) {
    let there = net.clone();
    let arriving =
        stream::unfold((requests, there), move |(mut requests, net): (Frames, Arc<Net>)| async move {
            let frame = requests.next().await?;
            net.delay().await;
            if !net.open(from, to) || net.chance(|f| f.break_stream) {
                return None;
            }
            Some((frame, (requests, net)))
        });
    let mut answers = group.answer_stream(Box::pin(arriving));
    // Only what is delivered keeps the other node alive.
    drop(group);
    loop {
        let item = tokio::select! {
            biased;
            () = net.broken(from, to) => Some(Err(lost())),
            () = answers_tx.closed() => None,
            item = answers.next() => item,
        };
        let Some(mut item) = item else { return };
        net.delay().await;
        if !net.open(to, from) || net.chance(|f| f.break_stream) {
            item = Err(lost());
        }
        let ended = item.is_err();
        if answers_tx.send(item).await.is_err() || ended {
            return;
        }
    }
}

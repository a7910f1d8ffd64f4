//! Which keys are used most, and which are the largest: what is found by looking at a few commands, by chance.
//!
//! IMPORTANT: this is on the way of every command, some of them in the section. Each pays for counting down; one of many pays for a
//! lock that hardly anybody else wants, and a walk through a few hundred counts. Nothing is read for it, and nothing depends on it.

mod big;
mod hot;

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use base::limits;
use command::{Args, flags};
use parking_lot::Mutex;
use store::{KeySize, Leave, Scratch, Stop, Txn};

use crate::engine::node::Node;
use crate::session::stats::{SHARDS, shard};
use crate::table::Entry;
pub use big::BigKey;
use big::BigKeys;
use hot::{Summary, Used};

thread_local! {
    /// How many commands of this thread are not looked at before the next one is.
    static LEFT: Cell<u32> = const { Cell::new(0) };
}

/// A key that is used more than the others.
#[derive(Clone, Debug)]
pub struct HotKey {
    pub database: u8,
    /// The beginning of it, and how long it is.
    pub key: Box<[u8]>,
    pub len: usize,
    pub reads_per_s: f64,
    pub writes_per_s: f64,
    /// Of all uses of keys.
    pub share: f64,
}

/// A key, and what a transaction knows of its size.
#[derive(Clone, Debug)]
pub struct SizedKey {
    database: u8,
    key: Box<[u8]>,
    size: KeySize,
}

impl SizedKey {
    fn of(txn: &mut Txn<'_>, key: &[u8]) -> Self {
        Self { database: txn.database(), key: key.into(), size: txn.known_size(key) }
    }
}

pub struct Sampling {
    is_on: AtomicBool,
    started: Instant,
    /// Threads are spread over them.
    hot: Vec<Mutex<Summary>>,
    /// Since when they count.
    since_ms: Mutex<u64>,
    big: Mutex<BigKeys>,
    hasher: RandomState,
}

impl Sampling {
    pub fn new(is_on: bool) -> Self {
        Self {
            is_on: AtomicBool::new(is_on),
            started: Instant::now(),
            hot: (0..SHARDS).map(|_| Mutex::new(Summary::new(limits::HOT_KEYS_COUNTED))).collect(),
            since_ms: Mutex::new(0),
            big: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Switched off, it forgets what it knows.
    pub fn set_on(&self, is_on: bool) {
        if self.is_on.swap(is_on, Relaxed) == is_on {
            return;
        }
        *self.since_ms.lock() = self.now_ms();
        self.hot.iter().for_each(|hot| *hot.lock() = Summary::new(limits::HOT_KEYS_COUNTED));
        self.big.lock().clear();
    }

    pub fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// A command has run in a transaction.
    #[inline]
    pub fn ran(&self, entry: &Entry, txn: &mut Txn<'_>, args: &Args<'_>) {
        match LEFT.get() {
            0 => self.look(entry, txn, args),
            left => LEFT.set(left - 1),
        }
    }

    /// Public for its benchmark only.
    #[cold]
    #[doc(hidden)]
    pub fn look(&self, entry: &Entry, txn: &mut Txn<'_>, args: &Args<'_>) {
        // Not every so many commands: clients have rhythms of their own.
        let random = txn.random();
        LEFT.set((random % u64::from(2 * limits::SAMPLED_EVERY - 1)) as u32);
        if !self.is_on() {
            return;
        }
        // One of its keys stands for all of them.
        let keys = || entry.row.keys.positions(args);
        let count = keys().count();
        let Some(at) = keys().nth((random >> 32) as usize % count.max(1)) else { return };
        let key = args.get(at);
        let database = txn.database();
        let hash = self.hasher.hash_one((database, key));
        let used = Used { hash, database, key, is_written: entry.row.flags.has(flags::WRITE) };
        let uses = f64::from(limits::SAMPLED_EVERY) * count as f64;
        let now_ms = self.now_ms();
        if let Some(hot) = self.hot.get(shard()) {
            hot.lock().note(used, uses, now_ms);
        }
        let size = txn.known_size(key);
        self.big.lock().note(database, key, size, now_ms);
    }

    /// How large the keys are of a command that has run in the heavy pool, where there is time to look at it whatever it is.
    pub fn sizes(&self, entry: &Entry, txn: &mut Txn<'_>, args: &Args<'_>) -> Vec<SizedKey> {
        let positions =
            entry.row.keys.positions(args).take(if self.is_on() { limits::KEYS_SIZED } else { 0 });
        positions.map(|at| SizedKey::of(txn, args.get(at))).collect()
    }

    /// IMPORTANT: of a long transaction when it has its place, or whoever looks again meanwhile finds nothing and forgets the key.
    pub fn note_sizes(&self, sizes: &[SizedKey]) {
        let now_ms = self.now_ms();
        let mut big = self.big.lock();
        sizes.iter().for_each(|SizedKey { database, key, size }| big.note(*database, key, *size, now_ms));
    }

    /// Looks once more at one of the large keys. Called now and then, so that all of them have their turns: nobody may use one any
    /// more that is gone.
    pub fn look_again(&self, node: &Node, scratch: &mut Scratch) {
        let Some(BigKey { database, key, .. }) = self.big.lock().next(self.now_ms()) else { return };
        let Some(group) = node.groups.get(usize::from(node.group_of(base::slot::of(&key)))) else { return };
        let ran = group.store.run_read(database, scratch, |txn| -> Result<_, Stop> { txn.size_of(&key) });
        match ran.map(|done| done.result) {
            Ok(Ok(size)) => self.big.lock().note(database, &key, size, self.now_ms()),
            Err(Leave::Disk(error)) => tracing::error!(%error, "a large key cannot be read"),
            // Not leading, or it cannot be read now: it has another turn.
            Ok(Err(_)) | Err(_) => {}
        }
    }

    /// The keys that are used most.
    pub fn hot(&self) -> Vec<HotKey> {
        let now_ms = self.now_ms();
        let since_ms = now_ms.saturating_sub(*self.since_ms.lock());
        let mut all = Summary::new(limits::HOT_KEYS_COUNTED);
        for hot in &self.hot {
            let mut hot = hot.lock().clone();
            hot.fade(now_ms);
            all.merge(hot);
        }
        let total = all.total();
        let least = total * limits::HOT_KEY_PERMILLE_MIN as f64 / 1_000.0;
        let is_hot = |count: &hot::Count| count.uses() > 0.0 && count.uses() >= least;
        let shown = all.top(limits::HOT_KEYS_SHOWN).into_iter().filter(is_hot).map(|count| HotKey {
            share: count.uses() / total,
            reads_per_s: hot::per_second(count.reads, since_ms),
            writes_per_s: hot::per_second(count.writes, since_ms),
            database: count.name.database,
            key: count.name.bytes,
            len: count.name.len,
        });
        shown.collect()
    }

    /// The largest keys, the largest first.
    pub fn big(&self) -> Vec<BigKey> {
        self.big.lock().all()
    }
}

//! The store with a stand-in for consensus: batches are committed by a thread, in order, or held
//! back when a test says so.

mod built;
mod counters;
mod epochs;
mod expiry;
mod formats;
mod isolation;
mod moving;
mod named;
mod persistence;
mod splices;
mod streams;
mod strings;
mod tidings;
mod waiting;
mod watches;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use base::{ManualClock, Stamp};
use parking_lot::Mutex;

use crate::apply::{Applier, Committed, Queue, Watch};
use crate::*;

pub(crate) struct Quiet;

impl Watch for Quiet {
    fn progress(&self) {}
    fn failed(&self, error: &DiskError) {
        panic!("the store failed: {error}");
    }
}

/// A group whose batches commit by themselves.
pub(crate) struct Fixture {
    pub(crate) group: Arc<Group>,
    pub(crate) clock: Arc<ManualClock>,
    queue: Arc<Queue>,
    apply: Option<JoinHandle<()>>,
    commit: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    /// While set, batches stay in flight.
    hold: Arc<Mutex<()>>,
    index: Arc<AtomicU64>,
    /// Bytes of all entries.
    logged: Arc<AtomicU64>,
    pub(crate) directory: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap(), 1 << 20)
    }

    pub(crate) fn open(directory: tempfile::TempDir, cache_bytes: usize) -> Self {
        let disk = Disk::open(&DiskOptions::new(directory.path())).unwrap();
        let clock = Arc::new(ManualClock::new(1_000_000));
        let options = GroupOptions::new(cache_bytes, 7);
        let group = Arc::new(Group::new(disk.group(0).unwrap(), &options, clock.clone()));
        let queue = Arc::new(Queue::default());
        let applier = Applier::new(group.clone(), queue.clone(), Arc::new(Quiet)).unwrap();
        let stored = applier.stored();
        let apply = Some(std::thread::spawn(move || applier.run()));
        assert!(group.open(group.sequencer.epoch(), stored.last).unwrap());
        let mut fixture = Self {
            group,
            clock,
            queue,
            apply,
            commit: None,
            stop: Arc::default(),
            hold: Arc::default(),
            index: Arc::new(stored.index.into()),
            logged: Arc::default(),
            directory,
        };
        fixture.commit = Some(fixture.start_commit());
        fixture
    }

    fn start_commit(&self) -> JoinHandle<()> {
        let (group, queue) = (self.group.clone(), self.queue.clone());
        let (stop, hold, index) = (self.stop.clone(), self.hold.clone(), self.index.clone());
        let logged = self.logged.clone();
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let Some(batch) = group.sequencer.take_batch() else {
                    std::thread::yield_now();
                    continue;
                };
                let held = hold.lock();
                if group.sequencer.epoch() != batch.epoch {
                    continue;
                }
                group.sequencer.on_committed(batch.epoch, batch.last);
                for payload in batch.entries {
                    logged.fetch_add(payload.len() as u64, Ordering::SeqCst);
                    queue.apply(Committed {
                        term: 1,
                        index: index.fetch_add(1, Ordering::SeqCst) + 1,
                        payload,
                        membership: None,
                        permit: None,
                    });
                }
                drop(held);
            }
        })
    }

    /// Waits until everything sequenced so far is in the store.
    pub(crate) fn drain(&self) {
        let upto = self.group.sequencer.published();
        while self.group.sequencer.committed() < upto {
            std::thread::yield_now();
        }
        // What is committed has been handed over once the batch lets go of this.
        drop(self.hold.lock());
        let (tx, rx) = std::sync::mpsc::channel();
        self.queue.barrier(move |applier| {
            let _ = tx.send(applier.stored());
        });
        rx.recv().unwrap();
    }

    /// Waits until there is nothing to be folded or reclaimed: a store that was just opened looks for it.
    pub(crate) fn settle(&self) {
        loop {
            let (tx, rx) = std::sync::mpsc::channel();
            self.queue.barrier(move |applier| {
                let _ = tx.send(applier.has_upkeep());
            });
            if !rx.recv().unwrap() {
                return;
            }
        }
    }

    /// Bytes of the entries so far, once everything is in the store.
    pub(crate) fn logged(&self) -> u64 {
        self.drain();
        self.logged.load(Ordering::SeqCst)
    }

    /// Ends the epoch and opens the next one, as a leader that lost its place and got it back.
    pub(crate) fn next_epoch(&self) {
        let _held = self.hold.lock();
        assert!(self.group.sequencer.end_epoch(self.group.sequencer.epoch(), None));
        let group = self.group.clone();
        let (tx, rx) = std::sync::mpsc::channel();
        self.queue.barrier(move |applier| {
            group.sequencer.reset();
            let opened = group.open(group.sequencer.epoch(), applier.stored().last).unwrap();
            let _ = tx.send(opened);
        });
        assert!(rx.recv().unwrap());
    }

    /// Waits until a gate is decided.
    pub(crate) fn wait(&self, gate: Gate) -> Fate {
        loop {
            match self.group.sequencer.fate(gate.epoch, gate.stamp) {
                Fate::Pending => std::thread::yield_now(),
                fate => return fate,
            }
        }
    }

    pub(crate) fn set(&self, key: &str, value: &str) -> Gate {
        let done = self.inline(|txn| put(txn, key, value));
        done.gate
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let mut scratch = Scratch::default();
        let done = self.group.run_read(0, &mut scratch, |txn| get(txn, key)).unwrap();
        done.result.unwrap()
    }

    pub(crate) fn inline<R>(&self, mut f: impl FnMut(&mut Txn<'_>) -> Result<R, Stop>) -> Done<R, Stop> {
        let mut scratch = Scratch::default();
        loop {
            match self.group.run_inline(0, &mut scratch, &mut f) {
                Ok(done) => return done,
                // What a server does: the heavy lane takes it.
                Err(Leave::Outgrown) => return self.heavy(&mut f),
                Err(Leave::Stalled | Leave::Closed) => std::thread::yield_now(),
                Err(left) => panic!("{left:?}"),
            }
        }
    }

    pub(crate) fn heavy<R>(&self, mut f: impl FnMut(&mut Txn<'_>) -> Result<R, Stop>) -> Done<R, Stop> {
        let mut scratch = Scratch::default();
        loop {
            match self.group.run_heavy(0, &mut scratch, &Cancel::default(), &mut f) {
                Ok(done) => return done,
                Err(Leave::Closed) => std::thread::yield_now(),
                Err(left) => panic!("{left:?}"),
            }
        }
    }

    /// Closes everything and gives back the directory.
    pub(crate) fn close(mut self) -> tempfile::TempDir {
        self.shut();
        std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap())
    }

    fn shut(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.commit.take() {
            thread.join().unwrap();
        }
        self.queue.stop();
        if let Some(thread) = self.apply.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.shut();
    }
}

pub(crate) fn put(txn: &mut Txn<'_>, key: &str, value: &str) -> Result<(), Stop> {
    txn.put(key.as_bytes(), Kind::String, Encoding::Plain, None, value.as_bytes())
}

pub(crate) fn get(txn: &mut Txn<'_>, key: &str) -> Result<Option<String>, Stop> {
    let record = txn.get(key.as_bytes())?;
    Ok(record.map(|record| String::from_utf8_lossy(record.payload()).into_owned()))
}

pub(crate) fn number(txn: &mut Txn<'_>, key: &str) -> Result<i64, Stop> {
    Ok(get(txn, key)?.map_or(0, |text| text.parse().unwrap()))
}

/// What the store holds of a group's stamps.
pub(crate) fn last_stamp(fixture: &Fixture) -> Stamp {
    fixture.group.sequencer.published()
}

/// No test opens a key of the wrong kind.
pub(crate) fn stop(refusal: Refusal) -> Stop {
    match refusal {
        Refusal::Stop(stop) => stop,
        Refusal::WrongType => panic!("{refusal}"),
    }
}

/// A command's own error, or a stop.
#[derive(Debug)]
pub(crate) enum Failed {
    Stop(Stop),
    Own,
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl Failure for Failed {
    fn stop(&self) -> Option<&Stop> {
        match self {
            Self::Stop(stop) => Some(stop),
            Self::Own => None,
        }
    }
}

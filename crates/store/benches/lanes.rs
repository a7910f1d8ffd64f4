//! What a transaction costs in each lane, what taking a batch costs, and what writing behind costs per
//! record.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::sync::Arc;

use base::SystemClock;
use divan::Bencher;
use store::apply::{Applier, Committed, Queue, Watch};
use store::{
    Batch, Cancel, Disk, DiskError, DiskOptions, Encoding, Group, GroupOptions, Kind, Leave, Refusal,
    Scratch, Stop, Txn,
};

fn main() {
    divan::main();
}

const KEYS: usize = 10_000;
const VALUE: [u8; 64] = [b'v'; 64];

struct Quiet;

impl Watch for Quiet {
    fn progress(&self) {}
    fn failed(&self, error: &DiskError) {
        panic!("{error}");
    }
}

struct Fixture {
    group: Arc<Group>,
    queue: Arc<Queue>,
    index: u64,
    keys: Vec<Vec<u8>>,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with_cache(256 << 20)
    }

    fn with_cache(cache_bytes: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(&DiskOptions::new(directory.path())).unwrap();
        let options = GroupOptions::new(cache_bytes, 1);
        let group = Arc::new(Group::new(disk.group(0).unwrap(), &options, Arc::new(SystemClock)));
        let queue = Arc::new(Queue::default());
        let applier = Applier::new(group.clone(), queue.clone(), Arc::new(Quiet)).unwrap();
        std::thread::spawn(move || applier.run());
        assert!(group.open(group.sequencer.epoch(), base::Stamp::ZERO).unwrap());
        let keys = (0..KEYS).map(|i| format!("key:{i:012}").into_bytes()).collect();
        let mut fixture = Self { group, queue, index: 0, keys, _directory: directory };
        let mut scratch = Scratch::default();
        for i in 0..KEYS {
            fixture.set(i, &mut scratch);
        }
        fixture.commit();
        fixture
    }

    fn set(&self, i: usize, scratch: &mut Scratch) {
        let key = &self.keys[i % KEYS];
        self.group
            .run_inline(0, scratch, |txn| -> Result<(), Stop> {
                txn.put(key, Kind::String, Encoding::Plain, None, &VALUE)
            })
            .unwrap();
    }

    /// Everything sequenced is committed and handed to the apply thread.
    fn commit(&mut self) {
        while let Some(batch) = self.group.sequencer.take_batch() {
            for entry in self.committed(batch) {
                self.queue.apply(entry);
            }
        }
    }

    /// A batch as the log hands it out.
    fn committed(&mut self, batch: Batch) -> Vec<Committed> {
        self.group.sequencer.on_committed(batch.epoch, batch.last);
        let first = self.index + 1;
        self.index += batch.entries.len() as u64;
        let entry = |(index, payload)| Committed { term: 1, index, payload, membership: None, permit: None };
        (first..).zip(batch.entries).map(entry).collect()
    }

    fn drain(&self) {
        let (tx, rx) = std::sync::mpsc::sync_channel(1);
        self.queue.barrier(move |_| tx.send(()).unwrap());
        rx.recv().unwrap();
    }
}

const SORTED: &[u8] = b"sorted";
/// Members of the sorted set.
const MEMBERS: u64 = 100_000;

/// A sorted set of many members, and a transaction for each of what is done with it.
struct Sorted {
    fixture: Fixture,
    scratch: Scratch,
    done: u64,
}

impl Sorted {
    fn new() -> Self {
        let mut sorted = Self { fixture: Fixture::new(), scratch: Scratch::default(), done: 0 };
        for member in 0..MEMBERS {
            sorted.put(member, member);
        }
        sorted.fixture.commit();
        sorted.fixture.drain();
        sorted
    }

    fn run<R>(&mut self, mut f: impl FnMut(&mut Txn<'_>) -> Result<R, Refusal>) -> R {
        let group = &self.fixture.group;
        let mut run = |txn: &mut Txn<'_>| f(txn).map_err(stop);
        let result = match group.run_inline(0, &mut self.scratch, &mut run) {
            Err(Leave::Outgrown) => group.run_heavy(0, &mut self.scratch, &Cancel::default(), run),
            ran => ran,
        };
        self.done += 1;
        if self.done.is_multiple_of(500) {
            self.fixture.commit();
        }
        result.unwrap().result.unwrap()
    }

    fn put(&mut self, member: u64, score: u64) {
        let member = format!("element:{:012}", shuffled(member));
        self.run(|txn| {
            let mut set = txn.sorted_set_or_new(SORTED, 1, member.len())?;
            let before = set.score(member.as_bytes())?;
            Ok(set.put(member.as_bytes(), shuffled(score) as f64, before)?)
        });
    }
}

fn stop(refusal: Refusal) -> Stop {
    match refusal {
        Refusal::Stop(stop) => stop,
        Refusal::WrongType => panic!("{refusal}"),
    }
}

/// The numbers below [`MEMBERS`], without order.
fn shuffled(number: u64) -> u64 {
    number.wrapping_mul(618_033_989) % MEMBERS
}

/// A member of a sorted set gets another score: it moves from one place of the order to another.
#[divan::bench(sample_size = 1_000)]
fn inline_move_in_a_sorted_set(bencher: Bencher<'_, '_>) {
    let mut sorted = Sorted::new();
    let mut at = 0;
    bencher.bench_local(|| {
        at += 1;
        sorted.put(at, at * 7);
    });
}

/// The first member of a sorted set goes.
#[divan::bench(sample_size = 500)]
fn inline_pop_of_a_sorted_set(bencher: Bencher<'_, '_>) {
    let mut sorted = Sorted::new();
    bencher.bench_local(|| {
        let gone = sorted.run(|txn| Ok(txn.sorted_set(SORTED)?.unwrap().remove_ranks(0..1)?));
        assert_eq!(gone.len(), 1);
    });
}

fn read(txn: &mut Txn<'_>, key: &[u8]) -> Result<usize, Stop> {
    Ok(txn.get(key)?.map_or(0, |record| record.payload().len()))
}

#[divan::bench]
fn read_lane_get(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    let mut scratch = Scratch::default();
    let mut i = 0;
    bencher.bench_local(|| {
        i += 1;
        fixture.group.run_read(0, &mut scratch, |txn| read(txn, &fixture.keys[i % KEYS])).unwrap()
    });
}

/// A hundred keys in one transaction: divide by a hundred.
#[divan::bench]
fn read_lane_get_of_100(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    let mut scratch = Scratch::default();
    let mut i = 0;
    bencher.bench_local(|| {
        i += 100;
        let keys = (i..i + 100).map(|i| &fixture.keys[i % KEYS]);
        fixture
            .group
            .run_read(0, &mut scratch, |txn| {
                keys.clone().try_fold(0, |sum, key| Ok::<_, Stop>(sum + read(txn, key)?))
            })
            .unwrap()
    });
}

/// Mostly from the store: by the time a key comes again, the row cache has room for many others only.
#[divan::bench]
fn read_lane_get_cold(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::with_cache(1 << 20);
    fixture.drain();
    let mut scratch = Scratch::default();
    let mut i = 0;
    bencher.bench_local(|| {
        // Far from one another, so that no block is in hand from the last one.
        i += 4_001;
        fixture.group.run_read(0, &mut scratch, |txn| read(txn, &fixture.keys[i % KEYS])).unwrap()
    });
}

#[divan::bench]
fn inline_set(bencher: Bencher<'_, '_>) {
    let mut fixture = Fixture::new();
    let mut scratch = Scratch::default();
    let mut i = 0;
    bencher.bench_local(|| {
        i += 1;
        fixture.set(i, &mut scratch);
        if i % 500 == 0 {
            fixture.commit();
        }
    });
}

#[divan::bench]
fn heavy_get(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    let mut scratch = Scratch::default();
    let cancel = Cancel::default();
    let mut i = 0;
    bencher.bench_local(|| {
        i += 1;
        fixture.group.run_heavy(0, &mut scratch, &cancel, |txn| read(txn, &fixture.keys[i % KEYS])).unwrap()
    });
}

/// Ten thousand sets sequenced, batched, and written to the store: divide by ten thousand.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn write_back_of_10000(bencher: Bencher<'_, '_>) {
    let mut fixture = Fixture::new();
    let mut scratch = Scratch::default();
    bencher.bench_local(|| {
        for i in 0..KEYS {
            fixture.set(i, &mut scratch);
            if i % 500 == 0 {
                fixture.commit();
            }
        }
        fixture.commit();
        fixture.drain();
    });
}

/// What a raft submission takes out of the section and encodes: a batch of 1,000 sets.
#[divan::bench(sample_size = 1)]
fn take_batch_of_1000(bencher: Bencher<'_, '_>) {
    let fixture = RefCell::new(Fixture::new());
    let mut scratch = Scratch::default();
    let sequence = || {
        let mut fixture = fixture.borrow_mut();
        fixture.commit();
        (0..1_000).for_each(|i| fixture.set(i, &mut scratch));
    };
    bencher.with_inputs(sequence).bench_local_values(|()| {
        let mut fixture = fixture.borrow_mut();
        let batch = fixture.group.sequencer.take_batch().unwrap();
        assert_eq!(batch.effects, 1_000);
        let entries = fixture.committed(batch);
        entries.into_iter().for_each(|entry| fixture.queue.apply(entry));
    });
}

/// Ten entries of a thousand effects, collected, sorted and written: divide by ten thousand.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn apply_10_entries_of_1000(bencher: Bencher<'_, '_>) {
    let fixture = RefCell::new(Fixture::new());
    let mut scratch = Scratch::default();
    let entries = || {
        let mut fixture = fixture.borrow_mut();
        fixture.drain();
        let mut entries = Vec::new();
        for first in (0..KEYS).step_by(1_000) {
            (first..first + 1_000).for_each(|i| fixture.set(i, &mut scratch));
            let batch = fixture.group.sequencer.take_batch().unwrap();
            entries.extend(fixture.committed(batch));
        }
        entries
    };
    bencher.with_inputs(entries).bench_local_values(|entries| {
        let fixture = fixture.borrow();
        entries.into_iter().for_each(|entry| fixture.queue.apply(entry));
        fixture.drain();
    });
}

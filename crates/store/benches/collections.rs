//! What the length of a wide collection costs that has deltas its base does not hold yet: in the row
//! cache (warm), and as the store alone has it (cold); and what reading a hundred items of such a list costs.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use base::SystemClock;
use divan::Bencher;
use store::apply::{Applier, Queue, Watch};
use store::counters::Counters;
use store::keys::{self, Home};
use store::{
    Batch, Cancel, Disk, DiskError, DiskOptions, End, Flow, Group, GroupOptions, Leave, Refusal, Scratch,
    Stop, Txn,
};

fn main() {
    divan::main();
}

/// As many as a collection has before it is folded, and as are read at most.
const DELTAS: [u64; 3] = [0, 64, 256];
const KEY: &[u8] = b"collection";
const MEMBERS: usize = 10_000;
const RANGE: u64 = 100;
/// Other records in the store, before and behind.
const OTHERS: usize = 200_000;

struct Quiet;

impl Watch for Quiet {
    fn progress(&self) {}
    fn failed(&self, error: &DiskError) {
        panic!("{error}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    List,
    Set,
    Hash,
    SortedSet,
}

struct Fixture {
    group: Arc<Group>,
    shape: Shape,
    last: base::Stamp,
    _directory: tempfile::TempDir,
}

impl Fixture {
    /// A collection with so many deltas, which its base does not hold. There is no apply thread any more
    /// that would fold them.
    fn new(shape: Shape, deltas: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(&DiskOptions::new(directory.path())).unwrap();
        let home = fill(&disk, shape);
        let records: Vec<(Vec<u8>, store::Value)> = (0..deltas)
            .map(|number| {
                let mut key = Vec::new();
                keys::delta_record(&mut key, home, u64::MAX / 2 + number);
                // A pair that leaves the length as it is.
                (key, Counters::len(if number % 2 == 0 { 1 } else { -1 }).encode())
            })
            .collect();
        let disk_of_group = disk.group(0).unwrap();
        for (key, value) in &records {
            disk_of_group.write([(&key[..], Some(&value[..]))]).unwrap();
        }
        let (group, last) = open(&disk);
        Self { group, shape, last, _directory: directory }
    }

    /// Ends the epoch and opens the next one, which begins with nothing in the row cache.
    fn forget(&self) {
        let sequencer = &self.group.sequencer;
        assert!(sequencer.end_epoch(sequencer.epoch(), None));
        sequencer.reset();
        assert!(self.group.open(sequencer.epoch(), self.last).unwrap());
    }

    fn count(&self, scratch: &mut Scratch) -> u64 {
        self.group.run_read(0, scratch, |txn| count(txn, self.shape)).unwrap().result.unwrap()
    }

    fn range(&self, scratch: &mut Scratch) -> u64 {
        let middle = MEMBERS as u64 / 2;
        let read = |txn: &mut Txn<'_>| {
            let mut visited = 0;
            let mut list = txn.list(KEY).map_err(stop)?.ok_or(Stop::Moved)?;
            list.walk(middle..middle + RANGE, &mut |_, item| -> Result<Flow, Stop> {
                black_box(item);
                visited += 1;
                Ok(Flow::More)
            })?;
            Ok::<u64, Stop>(visited)
        };
        self.group.run_read(0, scratch, read).unwrap().result.unwrap()
    }
}

fn open(disk: &Disk) -> (Arc<Group>, base::Stamp) {
    let options = GroupOptions::new(256 << 20, 1);
    let group = Arc::new(Group::new(disk.group(0).unwrap(), &options, Arc::new(SystemClock)));
    let last =
        Applier::new(group.clone(), Arc::new(Queue::default()), Arc::new(Quiet)).unwrap().stored().last;
    assert!(group.open(group.sequencer.epoch(), last).unwrap());
    (group, last)
}

/// Fills a store with a collection and others, in tables on disk; says where the collection is.
fn fill(disk: &Disk, shape: Shape) -> Home {
    let options = GroupOptions::new(256 << 20, 1);
    let group = Arc::new(Group::new(disk.group(0).unwrap(), &options, Arc::new(SystemClock)));
    let queue = Arc::new(Queue::default());
    let applier = Applier::new(group.clone(), queue.clone(), Arc::new(Quiet)).unwrap();
    let thread = std::thread::spawn(move || applier.run());
    assert!(group.open(group.sequencer.epoch(), base::Stamp::ZERO).unwrap());
    let mut scratch = Scratch::default();
    let mut index = 0;
    let mut commit = || {
        while let Some(batch) = group.sequencer.take_batch() {
            apply(&group, &queue, batch, &mut index);
        }
    };
    for member in 0..MEMBERS {
        write(&group, &mut scratch, &mut |txn| add(txn, shape, member));
        if member % 500 == 0 {
            commit();
        }
    }
    for other in 0..OTHERS {
        let key = format!("other:{other:012}");
        let mut put = |txn: &mut Txn<'_>| {
            txn.put(key.as_bytes(), store::Kind::String, store::Encoding::Plain, None, &[b'v'; 64])
        };
        write(&group, &mut scratch, &mut put);
        if other % 500 == 0 {
            commit();
        }
    }
    commit();
    let home = group.run_read(0, &mut scratch, |txn| -> Result<Option<Home>, Stop> {
        Ok(txn.get(KEY)?.and_then(|record| record.home().unwrap()))
    });
    let home = home.unwrap().result.unwrap().unwrap();
    queue.barrier(move |applier| applier.fold(home).unwrap());
    queue.stop();
    thread.join().unwrap();
    group.disk.flush_soon().unwrap();
    home
}

/// As a server does it: what is too much for the section goes to the heavy lane, and waits for the store.
fn write(group: &Group, scratch: &mut Scratch, f: &mut dyn FnMut(&mut Txn<'_>) -> Result<(), Stop>) {
    let ran = match group.run_inline(0, scratch, &mut *f) {
        Err(Leave::Outgrown) => group.run_heavy(0, scratch, &Cancel::default(), f),
        ran => ran,
    };
    ran.unwrap().result.unwrap();
}

fn apply(group: &Group, queue: &Queue, batch: Batch, index: &mut u64) {
    group.sequencer.on_committed(batch.epoch, batch.last);
    for payload in batch.entries {
        *index += 1;
        queue.apply(store::apply::Committed {
            term: 1,
            index: *index,
            payload,
            membership: None,
            permit: None,
        });
    }
}

fn stop(refusal: Refusal) -> Stop {
    match refusal {
        Refusal::Stop(stop) => stop,
        Refusal::WrongType => panic!("{refusal}"),
    }
}

fn add(txn: &mut Txn<'_>, shape: Shape, member: usize) -> Result<(), Stop> {
    let text = format!("m:{member:08}");
    let name = text.as_bytes();
    match shape {
        Shape::List => txn.list_or_new(KEY).map_err(stop)?.push(End::Tail, [name].into_iter()).map(|_| ()),
        Shape::Set => txn.set_or_new(KEY, name, 1).map_err(stop)?.add(name).map(|_| ()),
        Shape::Hash => txn.hash_or_new(KEY).map_err(stop)?.set(name, name).map(|_| ()),
        Shape::SortedSet => {
            let mut set = txn.sorted_set_or_new(KEY, 1, name.len()).map_err(stop)?;
            set.put(name, member as f64, None)
        }
    }
}

fn count(txn: &mut Txn<'_>, shape: Shape) -> Result<u64, Stop> {
    match shape {
        Shape::List => txn.list(KEY).map_err(stop)?.ok_or(Stop::Moved)?.count(),
        Shape::Set => txn.set_at(KEY).map_err(stop)?.ok_or(Stop::Moved)?.count(),
        Shape::Hash => txn.hash(KEY).map_err(stop)?.ok_or(Stop::Moved)?.count(),
        Shape::SortedSet => txn.sorted_set(KEY).map_err(stop)?.ok_or(Stop::Moved)?.count(),
    }
}

fn count_cold(bencher: Bencher<'_, '_>, shape: Shape, deltas: u64) {
    let fixture = Fixture::new(shape, deltas);
    let mut scratch = Scratch::default();
    let count = |()| assert_eq!(fixture.count(&mut scratch), MEMBERS as u64);
    bencher.with_inputs(|| fixture.forget()).bench_local_values(count);
}

fn count_warm(bencher: Bencher<'_, '_>, shape: Shape, deltas: u64) {
    let fixture = Fixture::new(shape, deltas);
    let mut scratch = Scratch::default();
    bencher.bench_local(|| assert_eq!(fixture.count(&mut scratch), MEMBERS as u64));
}

#[divan::bench(args = DELTAS, sample_size = 1, sample_count = 500)]
fn llen_cold(bencher: Bencher<'_, '_>, deltas: u64) {
    count_cold(bencher, Shape::List, deltas);
}

#[divan::bench(args = DELTAS)]
fn llen_warm(bencher: Bencher<'_, '_>, deltas: u64) {
    count_warm(bencher, Shape::List, deltas);
}

#[divan::bench(args = DELTAS, sample_size = 1, sample_count = 500)]
fn scard_cold(bencher: Bencher<'_, '_>, deltas: u64) {
    count_cold(bencher, Shape::Set, deltas);
}

#[divan::bench(args = DELTAS)]
fn scard_warm(bencher: Bencher<'_, '_>, deltas: u64) {
    count_warm(bencher, Shape::Set, deltas);
}

#[divan::bench(args = DELTAS, sample_size = 1, sample_count = 500)]
fn hlen_cold(bencher: Bencher<'_, '_>, deltas: u64) {
    count_cold(bencher, Shape::Hash, deltas);
}

#[divan::bench(args = DELTAS)]
fn hlen_warm(bencher: Bencher<'_, '_>, deltas: u64) {
    count_warm(bencher, Shape::Hash, deltas);
}

#[divan::bench(args = DELTAS, sample_size = 1, sample_count = 500)]
fn zcard_cold(bencher: Bencher<'_, '_>, deltas: u64) {
    count_cold(bencher, Shape::SortedSet, deltas);
}

#[divan::bench(args = DELTAS)]
fn zcard_warm(bencher: Bencher<'_, '_>, deltas: u64) {
    count_warm(bencher, Shape::SortedSet, deltas);
}

#[divan::bench(args = DELTAS, sample_size = 1, sample_count = 500)]
fn lrange_100_cold(bencher: Bencher<'_, '_>, deltas: u64) {
    let fixture = Fixture::new(Shape::List, deltas);
    let mut scratch = Scratch::default();
    let range = |()| assert_eq!(fixture.range(&mut scratch), RANGE);
    bencher.with_inputs(|| fixture.forget()).bench_local_values(range);
}

#[divan::bench(args = DELTAS)]
fn lrange_100_warm(bencher: Bencher<'_, '_>, deltas: u64) {
    let fixture = Fixture::new(Shape::List, deltas);
    let mut scratch = Scratch::default();
    bencher.bench_local(|| assert_eq!(fixture.range(&mut scratch), RANGE));
}

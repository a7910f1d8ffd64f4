//! What an operation on a warm tree costs, over records in a map: of trees of a thousand to a million
//! entries, inserted without order.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::hint::black_box;
use std::ops::ControlFlow;

use base::codec::DecodeError;
use divan::Bencher;
use hashbrown::HashMap;
use store::Value;
use store::tree::{Builder, Direction, NodeId, Nodes, Tree};

fn main() {
    divan::main();
}

const LENS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

#[derive(Default)]
struct Map(HashMap<NodeId, Value, foldhash::fast::FixedState>);

impl Nodes for Map {
    type Error = Infallible;

    fn read(&mut self, id: NodeId) -> Result<Option<Value>, Infallible> {
        Ok(self.0.get(&id).cloned())
    }

    fn write(&mut self, id: NodeId, value: Value) {
        self.0.insert(id, value);
    }

    fn remove(&mut self, id: NodeId) {
        self.0.remove(&id);
    }

    fn malformed(&self, id: NodeId, why: DecodeError) -> Infallible {
        panic!("{id:?}: {why}")
    }
}

/// A score and a member.
fn key(number: u64) -> [u8; 23] {
    let mut key = *b"ssssssssmember:00000000";
    key[..8].copy_from_slice(&(number as f64).to_bits().to_be_bytes());
    let mut left = number;
    for digit in key[15..].iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    key
}

/// Visits the numbers below a length that is a power of ten, without order.
fn shuffled(index: u64, len: u64) -> u64 {
    index.wrapping_mul(618_033_989) % len
}

/// A tree of the even numbers below twice `len`.
fn warm(len: u64) -> Map {
    let mut map = Map::default();
    for index in 0..len {
        assert!(Tree::new(&mut map).insert(&key(shuffled(index, len) * 2)).unwrap());
    }
    map
}

/// Two operations: the tree stays as large as it is.
#[divan::bench(args = LENS, sample_size = 1000)]
fn insert_and_remove(bencher: Bencher<'_, '_>, len: u64) {
    let mut map = warm(len);
    let mut index = 0;
    bencher.bench_local(|| {
        let key = key(shuffled(index, len) * 2 + 1);
        assert!(Tree::new(&mut map).insert(&key).unwrap());
        assert!(Tree::new(&mut map).remove(&key).unwrap());
        index += 1;
    });
}

#[divan::bench(args = LENS, sample_size = 100, sample_count = 500)]
fn insert(bencher: Bencher<'_, '_>, len: u64) {
    let mut map = warm(len);
    let mut index = 0;
    bencher.bench_local(|| {
        Tree::new(&mut map).insert(&key(shuffled(index, len) * 2 + 1)).unwrap();
        index += 1;
    });
}

#[divan::bench(args = LENS, sample_size = 10, sample_count = 90)]
fn remove(bencher: Bencher<'_, '_>, len: u64) {
    let mut map = warm(len);
    let mut index = 0;
    bencher.bench_local(|| {
        assert!(Tree::new(&mut map).remove(&key(shuffled(index, len) * 2)).unwrap());
        index += 1;
    });
}

/// Entries added one after the other at the end of the tree.
#[divan::bench(args = LENS, sample_size = 1000)]
fn append(bencher: Bencher<'_, '_>, len: u64) {
    let mut map = warm(len);
    let mut index = len * 2;
    bencher.bench_local(|| {
        assert!(Tree::new(&mut map).insert(&key(index)).unwrap());
        index += 1;
    });
}

#[divan::bench(args = LENS, sample_size = 1000)]
fn rank(bencher: Bencher<'_, '_>, len: u64) {
    let mut map = warm(len);
    let mut index = 0;
    bencher.bench_local(|| {
        index += 1;
        Tree::new(&mut map).rank(&key(shuffled(index, len) * 2 + 1)).unwrap()
    });
}

#[divan::bench(args = LENS, sample_size = 1000)]
fn at(bencher: Bencher<'_, '_>, len: u64) {
    let mut map = warm(len);
    let mut index = 0;
    bencher.bench_local(|| {
        index += 1;
        assert!(Tree::new(&mut map).at(shuffled(index, len)).unwrap().is_some());
    });
}

#[divan::bench(args = LENS)]
fn walk_of_1000(bencher: Bencher<'_, '_>, len: u64) {
    let mut map = warm(len);
    bencher.bench_local(|| {
        let mut left = 1000;
        let each = |entry: &[u8]| {
            black_box(entry);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        Tree::new(&mut map).walk(0, Direction::Up, each).unwrap();
    });
}

#[divan::bench(args = [1_000_000], sample_count = 5, sample_size = 1)]
fn remove_all(bencher: Bencher<'_, '_>, len: u64) {
    bencher.with_inputs(|| warm(len)).bench_local_values(|mut map| {
        let told = |entry: &[u8]| _ = black_box(entry);
        assert_eq!(Tree::new(&mut map).remove_range(0..len, told).unwrap(), len);
    });
}

#[divan::bench(args = [1_000_000], sample_count = 5, sample_size = 1)]
fn build(bencher: Bencher<'_, '_>, len: u64) {
    bencher.bench_local(|| {
        let mut builder = Builder::new();
        let mut emit = |id: NodeId, value: Value| {
            black_box((id, value));
            Ok::<(), Infallible>(())
        };
        for number in 0..len {
            builder.push(&key(number), &mut emit).unwrap();
        }
        builder.finish(&mut emit).unwrap();
    });
}

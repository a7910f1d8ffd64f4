//! A right history of which one thing is changed, so that no server could have done it, is always found.

use super::super::check;
use super::super::model::{Key, NEVER, Op, Outcome, Time, Transaction, Value};
use super::super::violation::Kind;
use super::random::{history, recorded};
use crate::Rng;
use std::collections::HashMap;

/// Where a transaction has an operation.
type Place = (usize, usize);

struct Book {
    transactions: Vec<Transaction>,
    /// By value.
    writers: HashMap<Value, usize>,
    /// By key, as it is at the end.
    lists: HashMap<Key, Vec<Value>>,
}

impl Book {
    fn new(rng: &mut Rng) -> Self {
        let mut transactions = Vec::new();
        history(rng, 150, &mut |transaction| transactions.push(transaction));
        let mut writers = HashMap::new();
        let mut lists: HashMap<Key, Vec<Value>> = HashMap::new();
        for (number, transaction) in transactions.iter().enumerate() {
            for op in &transaction.ops {
                match op {
                    Op::Append(_, value) => {
                        writers.insert(*value, number);
                    }
                    Op::Read(key, list) if transaction.form == "last" => {
                        lists.insert(*key, list.clone());
                    }
                    _ => {}
                }
            }
        }
        Self { transactions, writers, lists }
    }

    /// The first read of a key in transactions that were answered, if none of their appends to it is before,
    /// and no other read of it is behind.
    fn reads(&self) -> impl Iterator<Item = (Place, Key, &Vec<Value>)> {
        let answered = self.transactions.iter().enumerate().filter(|(_, one)| one.outcome == Outcome::Ok);
        answered.flat_map(|(number, transaction)| {
            transaction.ops.iter().enumerate().filter_map(move |(at, op)| {
                let Op::Read(key, list) = op else { return None };
                let before = &transaction.ops[..at];
                let behind = &transaction.ops[at + 1..];
                let clean = before.iter().all(|op| key_of(op) != *key)
                    && behind.iter().all(|op| key_of(op) != *key || matches!(op, Op::Append(..)));
                clean.then_some(((number, at), *key, list))
            })
        })
    }

    fn pick_read(&self, rng: &mut Rng, fits: impl Fn(Place, Key, &[Value]) -> bool) -> Option<(Place, Key)> {
        let places: Vec<(Place, Key)> = self
            .reads()
            .filter(|(place, key, list)| fits(*place, *key, list))
            .map(|(place, key, _)| (place, key))
            .collect();
        (!places.is_empty()).then(|| *rng.pick(&places))
    }

    fn list(&mut self, (number, at): Place) -> &mut Vec<Value> {
        match &mut self.transactions[number].ops[at] {
            Op::Read(_, list) => list,
            other => panic!("{other:?} is no read"),
        }
    }

    /// Changes every list that was read of a key. Lengths no longer fit, and go.
    fn change_all(&mut self, key: Key, mut change: impl FnMut(&mut Vec<Value>)) {
        for transaction in &mut self.transactions {
            transaction.ops.retain(|op| !matches!(op, Op::Length(other, _) if *other == key));
            for op in &mut transaction.ops {
                match op {
                    Op::Read(other, list) if *other == key => change(list),
                    _ => {}
                }
            }
        }
    }
}

fn key_of(op: &Op) -> Key {
    let (Op::Append(key, _) | Op::Read(key, _) | Op::Length(key, _)) = op;
    *key
}

/// Plants it, and says which kinds it may show itself as; `None` if this history has no place for it.
type Mutation = fn(&mut Book, &mut Rng) -> Option<&'static str>;

/// The names begin the texts of the kinds.
const MUTATIONS: &[(&str, Mutation)] = &[
    ("lost append", lost_append),
    ("half of an unanswered one", half_applied),
    ("stale read", stale_read),
    ("lost update", lost_update),
    ("duplicate", duplicate),
    ("unwritten", unwritten),
    ("reordered read", reordered),
    ("aborted read", aborted),
    ("intermediate read", intermediate),
    ("own append unseen", own_unseen),
    ("dirty write", dirty_write),
    ("wrong length", wrong_length),
    ("read skew", read_skew),
    ("write skew", write_skew),
    ("each read the other's", each_read_the_others),
];

fn lost_append(book: &mut Book, rng: &mut Rng) -> Option<&'static str> {
    let answered = |value: &Value| book.transactions[book.writers[value]].outcome == Outcome::Ok;
    let seen = book.lists.iter().flat_map(|(key, list)| list.iter().map(move |value| (*key, *value)));
    let mut places: Vec<(Key, Value)> = seen.filter(|(_, value)| answered(value)).collect();
    places.sort_unstable();
    let (key, lost) = *rng.pick(&places);
    book.change_all(key, |list| list.retain(|value| *value != lost));
    Some("LostAppend Internal")
}

/// The server was killed and has half of what had no answer.
fn half_applied(book: &mut Book, rng: &mut Rng) -> Option<&'static str> {
    let is_half = |one: &Transaction| {
        let appends: Vec<&Op> = one.ops.iter().filter(|op| matches!(op, Op::Append(..))).collect();
        let [Op::Append(first, one_value), .., Op::Append(last, value)] = appends.as_slice() else {
            return None;
        };
        let seen = |key: &Key, value: &Value| book.lists.get(key).is_some_and(|list| list.contains(value));
        (seen(first, one_value) && seen(last, value)).then_some((*last, *value))
    };
    let unknown = book.transactions.iter().filter(|one| one.outcome == Outcome::Unknown);
    let places: Vec<(Key, Value)> = unknown.filter_map(is_half).collect();
    let (key, lost) = *places.get(rng.below(places.len()))?;
    book.change_all(key, |list| list.retain(|value| *value != lost));
    Some("LostAppend Intermediate Cycle RealTime")
}

fn stale_read(book: &mut Book, rng: &mut Rng) -> Option<&'static str> {
    let (place, _) = book.pick_read(rng, |(number, _), _, list| {
        let Some(writer) = list.last().map(|value| &book.transactions[book.writers[value]]) else {
            return false;
        };
        writer.outcome == Outcome::Ok && writer.completed < book.transactions[number].invoked
    })?;
    book.list(place).pop();
    Some("RealTime Cycle Intermediate LostAppend")
}

fn lost_update(book: &mut Book, rng: &mut Rng) -> Option<&'static str> {
    let (place, _) = book.pick_read(rng, |(number, at), key, list| {
        let appends = book.transactions[number].ops[at..]
            .iter()
            .any(|op| matches!(op, Op::Append(other, _) if *other == key));
        appends && !list.is_empty()
    })?;
    book.list(place).pop();
    Some("Cycle Intermediate")
}

fn duplicate(book: &mut Book, rng: &mut Rng) -> Option<&'static str> {
    let (place, _) = book.pick_read(rng, |_, _, list| !list.is_empty())?;
    let list = book.list(place);
    let again = *rng.pick(list);
    list.push(again);
    Some("Duplicate")
}

fn unwritten(book: &mut Book, rng: &mut Rng) -> Option<&'static str> {
    let (place, _) = book.pick_read(rng, |_, _, _| true)?;
    book.list(place).push(u64::MAX);
    Some("Unwritten")
}

fn reordered(book: &mut Book, rng: &mut Rng) -> Option<&'static str> {
    let (place, _) = book.pick_read(rng, |_, _, list| list.len() > 1)?;
    let list = book.list(place);
    let at = rng.below(list.len() - 1);
    list.swap(at, at + 1);
    // With the only read that is as long as this, it is the order of its key.
    Some("Reordered Cycle RealTime Internal Intermediate")
}

fn aborted(book: &mut Book, rng: &mut Rng) -> Option<&'static str> {
    let (place, _) = book.pick_read(rng, |_, _, list| !list.is_empty())?;
    let value = *rng.pick(book.list(place));
    let writer = book.writers[&value];
    book.transactions[writer].outcome = Outcome::Failed;
    Some("Aborted")
}

fn intermediate(book: &mut Book, rng: &mut Rng) -> Option<&'static str> {
    // A place in the list between two values of one transaction.
    let middle = |reader: usize, list: &[Value]| {
        let writers: Vec<usize> = list.iter().map(|value| book.writers[value]).collect();
        writers.windows(2).position(|pair| pair[0] == pair[1] && pair[0] != reader)
    };
    let (place, key) = book.pick_read(rng, |(number, _), _, list| middle(number, list).is_some())?;
    let end = middle(place.0, &book.lists[&key])? + 1;
    book.list(place).truncate(end);
    // Unless it was the last read of all, to the end of which nobody else came.
    Some("Intermediate LostAppend")
}

fn own_unseen(book: &mut Book, rng: &mut Rng) -> Option<&'static str> {
    let mut places = Vec::new();
    for (number, transaction) in book.transactions.iter().enumerate() {
        for (at, op) in transaction.ops.iter().enumerate() {
            let Op::Read(key, _) = op else { continue };
            let own =
                transaction.ops[..at].iter().any(|op| matches!(op, Op::Append(other, _) if other == key));
            if own && transaction.outcome == Outcome::Ok {
                places.push((number, at));
            }
        }
    }
    let place = *places.get(rng.below(places.len()))?;
    book.list(place).pop();
    Some("Internal")
}

/// Two transactions have appended to the same two keys; in one of them their values change places.
fn dirty_write(book: &mut Book, _: &mut Rng) -> Option<&'static str> {
    let mut keys: Vec<&Key> = book.lists.keys().collect();
    keys.sort_unstable();
    for one in &keys {
        for other in keys.iter().filter(|other| *other > one) {
            let writers = |key: &Key| -> Vec<(usize, Value)> {
                book.lists[key].iter().map(|value| (book.writers[value], *value)).collect()
            };
            let (first, second) = (writers(one), writers(other));
            let mut both = second.iter().filter(|(writer, _)| first.iter().any(|(other, _)| other == writer));
            let Some(a) = both.next() else { continue };
            let Some(b) = both.find(|(writer, _)| *writer != a.0) else { continue };
            let (key, a, b) = (**other, a.1, b.1);
            book.change_all(key, |list| {
                for value in list {
                    *value = if *value == a {
                        b
                    } else if *value == b {
                        a
                    } else {
                        *value
                    };
                }
            });
            return Some("Cycle RealTime Reordered Internal Intermediate");
        }
    }
    None
}

fn wrong_length(book: &mut Book, rng: &mut Rng) -> Option<&'static str> {
    let mut places = Vec::new();
    for (number, transaction) in book.transactions.iter().enumerate() {
        for (at, op) in transaction.ops.iter().enumerate() {
            let Op::Length(key, _) = op else { continue };
            let before = transaction.ops[..at].iter().any(|op| key_of(op) == *key);
            if before && transaction.outcome == Outcome::Ok {
                places.push((number, at));
            }
        }
    }
    let (number, at) = *places.get(rng.below(places.len()))?;
    if let Op::Length(_, len) = &mut book.transactions[number].ops[at] {
        *len += 1;
    }
    Some("Internal Cycle RealTime Intermediate")
}

/// Two transactions at the same time, after all others and before everything is read, on two keys. Given what
/// is there, they append 1 of a million and 2 of a million, where they like.
fn plant_two(book: &mut Book, ops: impl Fn([(Key, &[Value]); 2]) -> [Vec<Op>; 2]) {
    let mut keys: Vec<Key> = book.lists.keys().copied().collect();
    keys.sort_unstable();
    let [x, y] = [keys[0], keys[1]];
    let both = ops([(x, &book.lists[&x]), (y, &book.lists[&y])]);
    for (client, ops) in both.into_iter().enumerate() {
        for op in &ops {
            let Op::Append(key, value) = op else { continue };
            let last =
                book.transactions.iter_mut().filter(|one| one.form == "last").flat_map(|one| &mut one.ops);
            for read in last {
                match read {
                    Op::Read(other, list) if other == key => list.push(*value),
                    _ => {}
                }
            }
        }
        let (invoked, completed) = (20_000 + client as Time, 20_010 + client as Time);
        let (form, behind, outcome) = ("planted", false, Outcome::Ok);
        book.transactions.push(Transaction { client: 99, form, behind, invoked, completed, outcome, ops });
    }
}

const A: Value = 1_000_001;
const B: Value = 1_000_002;

fn with(list: &[Value], value: Value) -> Vec<Value> {
    list.iter().copied().chain([value]).collect()
}

fn read_skew(book: &mut Book, _: &mut Rng) -> Option<&'static str> {
    plant_two(book, |[(x, xs), (y, ys)]| {
        let reads = vec![Op::Read(x, with(xs, A)), Op::Read(y, ys.to_vec())];
        [vec![Op::Append(x, A), Op::Append(y, B)], reads]
    });
    Some("Cycle(GSingle)")
}

fn write_skew(book: &mut Book, _: &mut Rng) -> Option<&'static str> {
    plant_two(book, |[(x, xs), (y, ys)]| {
        [vec![Op::Read(x, xs.to_vec()), Op::Append(y, A)], vec![Op::Read(y, ys.to_vec()), Op::Append(x, B)]]
    });
    Some("Cycle(G2)")
}

fn each_read_the_others(book: &mut Book, _: &mut Rng) -> Option<&'static str> {
    plant_two(book, |[(x, xs), (y, ys)]| {
        let (xs, ys) = (with(xs, A), with(ys, B));
        [vec![Op::Append(x, A), Op::Read(y, ys)], vec![Op::Append(y, B), Op::Read(x, xs)]]
    });
    Some("Cycle(G1c)")
}

fn name(kind: Kind) -> String {
    let text = format!("{kind:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

#[test]
fn every_change_of_a_right_history_is_found() {
    const SEEDS: u64 = 120;
    for (what, mutate) in MUTATIONS {
        let mut planted = 0;
        for seed in 0..SEEDS {
            let mut rng = Rng::new(seed);
            let mut book = Book::new(&mut rng);
            let Some(expected) = mutate(&mut book, &mut rng) else { continue };
            planted += 1;
            let mut history = recorded(book.transactions);
            history.settle_unknown(if *what == "half of an unanswered one" {
                150 * 100 + 5000
            } else {
                NEVER
            });
            let verdict = check(&history);
            let Some(first) = verdict.violations.first() else { panic!("{what}, seed {seed}: not found") };
            let kinds = [name(first.kind), format!("{:?}", first.kind)];
            let is_expected = expected.split(' ').any(|kind| kinds.iter().any(|found| found == kind));
            assert!(is_expected, "{what}, seed {seed}: {first}");
        }
        assert!(planted > SEEDS / 4, "{what} has been tried only {planted} times");
    }
}

//! Random histories as a right server would make them.

use super::super::model::{Key, Op, Outcome, Time, Transaction, Value};
use super::super::{History, check};
use crate::Rng;
use std::collections::HashMap;
use std::time::Duration;

/// Keys in use at a time, and how long a list gets before another takes its place.
const KEYS: usize = 3;
const LIST_MAX: usize = 100;
const CLIENTS: usize = 8;

#[derive(Debug, Default)]
struct Model {
    lists: HashMap<Key, Vec<Value>>,
    next_value: Value,
    keys: Vec<Key>,
    next_key: Key,
}

impl Model {
    fn key(&mut self, rng: &mut Rng) -> Key {
        while self.keys.len() < KEYS {
            self.keys.push(self.next_key);
            self.next_key += 1;
        }
        let at = rng.below(KEYS);
        let key = self.keys[at];
        if self.lists.get(&key).is_some_and(|list| list.len() >= LIST_MAX) {
            self.keys.remove(at);
            return self.key(rng);
        }
        key
    }

    fn ops(&mut self, rng: &mut Rng, takes_effect: bool) -> Vec<Op> {
        let keys: Vec<Key> = (0..1 + rng.below(3)).map(|_| self.key(rng)).collect();
        let mut lists = self.lists.clone_of(&keys);
        let mut ops = Vec::new();
        for _ in 0..1 + rng.below(5) {
            let key = *rng.pick(&keys);
            let list = lists.entry(key).or_default();
            match rng.below(5) {
                0 | 1 => ops.push(Op::Read(key, list.clone())),
                2 => ops.push(Op::Length(key, list.len() as u32)),
                _ => {
                    self.next_value += 1;
                    list.push(self.next_value);
                    ops.push(Op::Append(key, self.next_value));
                }
            }
        }
        if takes_effect {
            self.lists.extend(lists);
        }
        ops
    }
}

trait CloneOf {
    fn clone_of(&self, keys: &[Key]) -> Self;
}

impl CloneOf for HashMap<Key, Vec<Value>> {
    fn clone_of(&self, keys: &[Key]) -> Self {
        keys.iter().map(|key| (*key, self.get(key).cloned().unwrap_or_default())).collect()
    }
}

/// Each takes effect at a moment of its own; it was sent before that and answered after it, and a client waits
/// for its answer. At the end everything is read.
pub(super) fn history(rng: &mut Rng, len: usize, give: &mut dyn FnMut(Transaction)) {
    const STEP: Time = 100;
    let mut model = Model::default();
    // When each client may send again.
    let mut free = [0; CLIENTS];
    for number in 1..=len as Time {
        let moment = number * STEP;
        let client = rng.below(CLIENTS);
        // Of a client that is still waiting, another takes the place.
        let Some(client) = (0..CLIENTS).map(|step| (client + step) % CLIENTS).find(|at| free[*at] < moment)
        else {
            continue;
        };
        let (early, late) = (rng.below(300) as Time, rng.below(600) as Time);
        let invoked = moment.saturating_sub(early).max(free[client]);
        let completed = moment + late;
        free[client] = completed + 1;
        let (outcome, takes_effect) = match rng.below(20) {
            0 => (Outcome::Failed, false),
            1 => (Outcome::Unknown, rng.chance(50)),
            _ => (Outcome::Ok, true),
        };
        let ops = model.ops(rng, takes_effect);
        give(Transaction {
            client: client as u32,
            form: "random",
            behind: false,
            invoked,
            completed,
            outcome,
            ops,
        });
    }
    let end = (len as Time + 100) * STEP;
    for key in 0..model.next_key {
        let list = model.lists.get(&key).cloned().unwrap_or_default();
        let invoked = end + Time::from(key) * 2;
        let ops = vec![Op::Read(key, list)];
        let outcome = Outcome::Ok;
        give(Transaction {
            client: 0,
            form: "last",
            behind: false,
            invoked,
            completed: invoked + 1,
            outcome,
            ops,
        });
    }
}

pub(super) fn recorded(transactions: impl IntoIterator<Item = Transaction>) -> History {
    let mut history = History::default();
    transactions.into_iter().for_each(|transaction| _ = history.record(transaction));
    history
}

#[test]
fn what_a_right_server_does_passes() {
    for seed in 0..300 {
        let mut transactions = Vec::new();
        history(&mut Rng::new(seed), 200, &mut |transaction| transactions.push(transaction));
        let verdict = check(&recorded(transactions));
        assert!(verdict.violations.is_empty(), "seed {seed}: {}", verdict.violations[0]);
    }
}

/// Many transactions take time and memory by their number only: nothing is compared with all others.
#[test]
fn a_long_history_is_checked_in_little_time() {
    let mut recorded = History::default();
    history(&mut Rng::new(1), 200_000, &mut |transaction| _ = recorded.record(transaction));
    let verdict = check(&recorded);
    println!("{} transactions, {} edges: {:?}", recorded.len(), verdict.edges, verdict.time);
    assert!(verdict.violations.is_empty(), "{}", verdict.violations[0]);
    assert!(verdict.time < Duration::from_secs(30), "{:?}", verdict.time);
}

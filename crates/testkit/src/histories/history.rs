//! A recorded history, held so that millions of transactions fit into memory.
//!
//! Lists only grow, so all reads of a key should be first parts of one list. That list is kept once for each
//! key, and a read as its length. A read that is no first part of it is a violation, and kept as it is.

use super::model::{Key, NEVER, Op, Outcome, Time, Transaction, Value};

/// So many reads that contradict others are kept; there should be none.
const ODD_READS_MAX: usize = 1000;

/// The number of a transaction in its history.
pub type Id = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Append(Value),
    /// It had so many elements; the list of the key says which.
    Read(u32),
    Length(u32),
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub client: u32,
    pub form: &'static str,
    pub behind: bool,
    pub invoked: Time,
    pub completed: Time,
    pub outcome: Outcome,
    /// Its first step; the last one ends where the next transaction's first is.
    first: u32,
}

/// A read that is no first part of the longest one.
#[derive(Debug, Clone)]
pub(super) struct Odd {
    pub reader: Id,
    pub key: Key,
    pub list: Vec<Value>,
}

#[derive(Debug, Default)]
pub struct History {
    entries: Vec<Entry>,
    steps: Vec<(Key, Step)>,
    /// By key: the longest read, and who read it first.
    lists: Vec<(Vec<Value>, Id)>,
    pub(super) odd: Vec<Odd>,
    /// From here on, what has no answer may still take effect.
    unsettled: usize,
}

impl History {
    pub fn record(&mut self, transaction: Transaction) -> Id {
        let id = self.entries.len() as Id;
        let first = self.steps.len() as u32;
        let is_ok = transaction.outcome == Outcome::Ok;
        // Without an answer nothing was read.
        let ops = transaction.ops.into_iter().filter(|op| is_ok || matches!(op, Op::Append(..)));
        for op in ops {
            let (Op::Append(key, _) | Op::Read(key, _) | Op::Length(key, _)) = op;
            if self.lists.len() <= key as usize {
                self.lists.resize_with(key as usize + 1, Default::default);
            }
            match op {
                Op::Append(_, value) => self.steps.push((key, Step::Append(value))),
                Op::Length(_, len) => self.steps.push((key, Step::Length(len))),
                Op::Read(_, list) => self.read(id, key, list),
            }
        }
        let Transaction { client, form, behind, invoked, completed, outcome, .. } = transaction;
        let completed = if outcome == Outcome::Unknown { NEVER } else { completed };
        self.entries.push(Entry { client, form, behind, invoked, completed, outcome, first });
        id
    }

    fn read(&mut self, reader: Id, key: Key, list: Vec<Value>) {
        let Some((longest, first_reader)) = self.lists.get_mut(key as usize) else { return };
        let common = longest.len().min(list.len());
        if longest.get(..common) != list.get(..common) {
            if self.odd.len() < ODD_READS_MAX {
                self.odd.push(Odd { reader, key, list });
            }
            return;
        }
        self.steps.push((key, Step::Read(list.len() as u32)));
        if list.len() > longest.len() {
            (*longest, *first_reader) = (list, reader);
        }
    }

    /// The server that had the transactions without an answer is gone: they have taken effect by now, or
    /// never will.
    pub fn settle_unknown(&mut self, now: Time) {
        for entry in self.entries.iter_mut().skip(self.unsettled) {
            if entry.completed == NEVER {
                entry.completed = now;
            }
        }
        self.unsettled = self.entries.len();
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One more than the greatest number of a key.
    pub fn keys(&self) -> Key {
        self.lists.len() as Key
    }

    pub(super) fn entry(&self, id: Id) -> &Entry {
        &self.entries[id as usize]
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (Id, &Entry)> {
        (0..).zip(&self.entries)
    }

    pub(super) fn steps(&self, id: Id) -> &[(Key, Step)] {
        let end = self.entries.get(id as usize + 1).map_or(self.steps.len(), |next| next.first as usize);
        &self.steps[self.entry(id).first as usize..end]
    }

    /// What a key's list has become, as far as anybody saw.
    pub(super) fn list(&self, key: Key) -> &[Value] {
        self.lists.get(key as usize).map_or(&[], |(list, _)| list)
    }

    /// Who read the longest list of a key first.
    pub(super) fn longest_reader(&self, key: Key) -> Id {
        self.lists.get(key as usize).map_or(0, |(_, reader)| *reader)
    }
}

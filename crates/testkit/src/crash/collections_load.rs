//! The part of a connection's load that goes to its collections: small ones that stay packed and run
//! empty, and large ones that are wide.

use super::collection::{Bytes, Change, KINDS, Kind, Value};
use super::model::Op;
use super::stream::StreamChange;
use super::worker::{FUTURE_MS, Worker};

/// Of each kind; the last is large.
const KEYS_OF_A_KIND: usize = 3;
/// About how many elements the keys hold.
const SMALL: usize = 24;
const LARGE: usize = 900;
/// Fields and members that are used again, beside those that are new each time.
const NAMES: usize = 40;

impl Worker {
    /// Every collection that the worker ever writes, beside the strings.
    pub(super) fn collections(&self) -> Vec<(Kind, String)> {
        let all = KINDS.into_iter().flat_map(|kind| (0..KEYS_OF_A_KIND).map(move |key| (kind, key)));
        all.map(|(kind, key)| (kind, self.collection_key(kind, key))).collect()
    }

    fn collection_key(&self, kind: Kind, key: usize) -> String {
        format!("{{w{}}}:{}{key}", self.id, kind.letter())
    }

    pub(super) fn choose_for_collections(&mut self) -> Op {
        let kind = *self.rng.pick(&KINDS);
        let number = self.rng.below(KEYS_OF_A_KIND);
        let key = self.collection_key(kind, number);
        let is_large = number + 1 == KEYS_OF_A_KIND;
        let len = self.sure.get(&key).map_or(0, |entry| entry.value.len());
        match self.rng.below(100) {
            0..2 => return Op::Del(vec![key]),
            2..4 => {
                let to = self.rng.below(KEYS_OF_A_KIND);
                return Op::Rename(key, self.collection_key(kind, to));
            }
            4 => return Op::ExpireAt(key, FUTURE_MS + self.rng.range(0, 1_000_000)),
            5 => return Op::Persist(key),
            _ => {}
        }
        let grows = self.rng.chance(if len < if is_large { LARGE } else { SMALL } { 65 } else { 20 });
        let count = 1 + self.rng.below(if is_large { 40 } else { 4 });
        let change = match (kind, grows) {
            (Kind::List, true) => {
                let items = (0..count).map(|_| self.element()).collect();
                if self.rng.chance(50) { Change::LPush(items) } else { Change::RPush(items) }
            }
            (Kind::List, false) => self.shrink_list(count, len),
            (Kind::Set, true) => Change::SAdd(self.names(count)),
            (Kind::Set, false) => Change::SRem(self.old_names(&key, count)),
            (Kind::Hash, true) if self.rng.chance(30) => {
                Change::HIncrBy(format!("n{}", self.rng.below(4)).into_bytes(), self.rng.range(-9, 99))
            }
            (Kind::Hash, true) => {
                Change::HSet(self.names(count).into_iter().map(|name| (name, self.element())).collect())
            }
            (Kind::Hash, false) => Change::HDel(self.old_names(&key, count)),
            (Kind::SortedSet, true) if self.rng.chance(30) => {
                Change::ZIncrBy(self.name(), self.rng.range(-9, 99))
            }
            (Kind::SortedSet, true) => Change::ZAdd(
                self.names(count).into_iter().map(|name| (name, self.rng.range(-50, 50))).collect(),
            ),
            (Kind::SortedSet, false) => Change::ZRem(self.old_names(&key, count)),
            (Kind::Stream, grows) => Change::Stream(self.stream_change(&key, grows, count)),
        };
        Op::Change(key, change)
    }

    fn shrink_list(&mut self, count: usize, len: usize) -> Change {
        match self.rng.below(10) {
            0 => {
                let from = self.rng.below(len / 2 + 1);
                Change::LTrim(from, len.saturating_sub(1 + self.rng.below(len / 4 + 1)).max(from))
            }
            1..6 => Change::LPop(count),
            _ => Change::RPop(count),
        }
    }

    fn stream_change(&mut self, key: &str, grows: bool, count: usize) -> StreamChange {
        let consumer = format!("c{}", self.rng.below(3)).into_bytes();
        match self.rng.below(10) {
            // Ids of the load only grow, whatever streams they are given to.
            0..6 if grows => StreamChange::Add(self.next_number(), self.element()),
            0..3 => StreamChange::Delete(self.old_ids(key, count)),
            3..5 => {
                let len = self.sure.get(key).map_or(0, |entry| entry.value.len());
                StreamChange::Trim(len.saturating_sub(count))
            }
            5 => StreamChange::CreateGroup,
            6 | 7 => StreamChange::Read { consumer, count },
            8 => StreamChange::Claim { consumer, ids: self.pending_ids(key, count) },
            _ => StreamChange::Ack(self.pending_ids(key, count)),
        }
    }

    fn old_ids(&mut self, key: &str, count: usize) -> Vec<u64> {
        let there: Vec<u64> = match self.sure.get(key).map(|entry| &entry.value) {
            Some(Value::Stream(stream)) => stream.entries.keys().copied().collect(),
            _ => Vec::new(),
        };
        self.some_of(&there, count)
    }

    fn pending_ids(&mut self, key: &str, count: usize) -> Vec<u64> {
        let pending: Vec<u64> = match self.sure.get(key).map(|entry| &entry.value) {
            Some(Value::Stream(stream)) => {
                stream.group.iter().flat_map(|group| group.pending.keys().copied()).collect()
            }
            _ => Vec::new(),
        };
        self.some_of(&pending, count)
    }

    /// One that there never was, if there are none.
    fn some_of(&mut self, ids: &[u64], count: usize) -> Vec<u64> {
        if ids.is_empty() {
            return vec![1];
        }
        (0..count).map(|_| *self.rng.pick(ids)).collect()
    }

    /// Different from all others; some too long for a listpack.
    fn element(&mut self) -> Bytes {
        let mut element = self.next_number().to_string().into_bytes();
        let padding = if self.rng.chance(2) { 100 } else { self.rng.below(20) };
        element.resize(element.len() + padding, b'.');
        element
    }

    fn name(&mut self) -> Bytes {
        let number = if self.rng.chance(40) { self.rng.below(NAMES) as u64 } else { self.next_number() };
        format!("name{number}").into_bytes()
    }

    /// Some of which may be the same.
    fn names(&mut self, count: usize) -> Vec<Bytes> {
        (0..count).map(|_| self.name()).collect()
    }

    /// Mostly names that are there.
    fn old_names(&mut self, key: &str, count: usize) -> Vec<Bytes> {
        let there: Vec<Bytes> = match self.sure.get(key).map(|entry| &entry.value) {
            Some(Value::Set(members)) => members.iter().cloned().collect(),
            Some(Value::Hash(fields)) => fields.keys().cloned().collect(),
            Some(Value::SortedSet(members)) => members.keys().cloned().collect(),
            _ => Vec::new(),
        };
        if there.is_empty() {
            return self.names(count);
        }
        (0..count).map(|_| self.rng.pick(&there).clone()).collect()
    }
}

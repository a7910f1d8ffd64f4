//! Sorted sets: packed in their order, or wide: a record for each member with its score, and a tree
//! that holds scores and members in order.

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

use base::codec::DecodeError;

use crate::collection::members::{self, Found};
use crate::collection::packed::{Entry, Packed};
use crate::collection::{Body, Handle, Refusal};
use crate::counters::Counters;
use crate::disk::DiskError;
use crate::keys::{self, Home, Members};
use crate::range::Flow;
use crate::record::{Encoding, Kind, Value};
use crate::tree::{Direction, NodeId, Nodes, Tree};
use crate::txn::{Stop, Txn};

/// A key's sorted set.
pub struct SortedSet<'t, 'g>(pub(super) Handle<'t, 'g>);

/// Bytes of a score.
pub(super) const SCORE_BYTES: usize = 8;

impl<'g> Txn<'g> {
    /// A key's sorted set, if it has one.
    pub fn sorted_set(&mut self, key: &[u8]) -> Result<Option<SortedSet<'_, 'g>>, Refusal> {
        Ok(Handle::open(self, key, Kind::SortedSet, None)?.map(SortedSet))
    }

    /// A key's sorted set, which may be empty so far and is about to get so many members, of at most so
    /// many bytes.
    pub fn sorted_set_or_new(
        &mut self,
        key: &[u8],
        count: usize,
        bytes_max: usize,
    ) -> Result<SortedSet<'_, 'g>, Refusal> {
        let opened = Handle::open(self, key, Kind::SortedSet, Some(Encoding::Packed))?;
        let mut set = SortedSet(opened.ok_or(Refusal::WrongType)?);
        let bounds = set.0.txn.shapes().zset();
        if set.is_packed() && (count > bounds.entries || bytes_max > bounds.value_bytes) {
            set.widen()?;
        }
        Ok(set)
    }
}

impl SortedSet<'_, '_> {
    pub fn count(&mut self) -> Result<u64, Stop> {
        self.0.len(Packed::count)
    }

    pub fn is_packed(&self) -> bool {
        self.0.home().is_none()
    }

    pub fn random_number(&self) -> u64 {
        self.0.txn.random()
    }

    /// Says that these members are going to be looked for.
    pub fn expect<'m>(&mut self, members: impl Iterator<Item = &'m [u8]>) -> Result<(), Stop> {
        self.0.expect(members)
    }

    pub fn score(&mut self, member: &[u8]) -> Result<Option<f64>, Stop> {
        match self.0.body() {
            Body::Packed(_, packed) => Ok(find(packed, member).map(|(_, score)| score)),
            &Body::Wide(members) => {
                let found = self.0.txn.member(members, member)?.1;
                Ok(found.map(|score| score_of(score.as_slice())))
            }
        }
    }

    /// Sets a member's score; `before` is the one that it has, if it is there.
    pub fn put(&mut self, member: &[u8], score: f64, before: Option<f64>) -> Result<(), Stop> {
        self.0.txn.spend(0, member.len())?;
        let bounds = self.0.txn.shapes().zset();
        if let Body::Packed(_, packed) = self.0.body()
            && before.is_none()
            && !(bounds.allow_value(member)
                && bounds.allow(packed.count() + 1, packed.bytes().len() + member.len() + SCORE_BYTES))
        {
            self.widen()?;
        }
        let Some(packed) = self.0.packed_mut() else { return self.put_wide(member, score, before) };
        if let Some((entry, _)) = find(packed, member) {
            packed.remove(entry.whole, 1);
        }
        // As in a listpack, where it is kept as an integer.
        let score = if score == 0.0 { 0.0 } else { score };
        let place =
            packed.entries().find(|entry| order(packed.body(entry), score, member) == Ordering::Greater);
        let place = place.map_or(packed.bytes().len(), |entry| entry.whole.start);
        packed.insert(place, &[&score.to_bits().to_be_bytes()[..], member].concat());
        Ok(())
    }

    fn put_wide(&mut self, member: &[u8], score: f64, before: Option<f64>) -> Result<(), Stop> {
        let Some(places) = self.0.members() else { return Ok(()) };
        let home = places.home;
        let (row, _) = self.0.txn.member(places, member)?;
        let mut rows = Rows { txn: self.0.txn, home };
        let mut tree = Tree::new(&mut rows);
        if let Some(before) = before.filter(|before| *before != score) {
            tree.remove(&tree_key(before, member))?;
        }
        if before != Some(score) {
            tree.insert(&tree_key(score, member))?;
        }
        self.0.txn.set(row, Some(members::encode(member, &score.to_bits().to_be_bytes())));
        if score == 0.0 && score.is_sign_negative() {
            self.0.txn.write_blind(&signed_zero(home), Some(Value::from(&[][..])));
        }
        self.0.grow(home, Counters::len(i64::from(before.is_none())));
        Ok(())
    }

    /// Removes a member; says what its score was.
    pub fn remove(&mut self, member: &[u8]) -> Result<Option<f64>, Stop> {
        match self.0.body() {
            Body::Packed(_, packed) => {
                let Some((entry, score)) = find(packed, member) else { return Ok(None) };
                if let Some(packed) = self.0.packed_mut() {
                    packed.remove(entry.whole, 1);
                }
                Ok(Some(score))
            }
            &Body::Wide(members) => {
                let Some(score) = self.score(member)? else { return Ok(None) };
                let mut rows = Rows { txn: self.0.txn, home: members.home };
                Tree::new(&mut rows).remove(&tree_key(score, member))?;
                self.0.remove_member(members, member)?;
                Ok(Some(score))
            }
        }
    }

    /// How many members come before one, and its score.
    pub fn rank(&mut self, member: &[u8]) -> Result<Option<(u64, f64)>, Stop> {
        match self.0.body() {
            Body::Packed(_, packed) => {
                let at = packed.iter().position(|entry| split(entry).1 == member);
                let score = at.and_then(|at| packed.nth(at)).map(|entry| split(packed.body(&entry)).0);
                Ok(at.map(|at| at as u64).zip(score))
            }
            &Body::Wide(Members { home, .. }) => {
                let Some(score) = self.score(member)? else { return Ok(None) };
                let rank = Tree::new(&mut Rows { txn: self.0.txn, home }).rank(&tree_key(score, member))?;
                Ok(Some((rank, score)))
            }
        }
    }

    /// How many members have a score that is less, or with `or_equal` not more.
    pub fn count_below(&mut self, score: f64, or_equal: bool) -> Result<u64, Stop> {
        match self.0.body() {
            Body::Packed(_, packed) => {
                let below = |entry: &&[u8]| split(entry).0 < score || (or_equal && split(entry).0 == score);
                Ok(packed.iter().take_while(below).count() as u64)
            }
            &Body::Wide(Members { home, .. }) => {
                let bound = sortable(score).saturating_add(u64::from(or_equal));
                Ok(Tree::new(&mut Rows { txn: self.0.txn, home }).rank(&bound.to_be_bytes())?)
            }
        }
    }

    /// How many members come before a name, all scores being equal; with `or_equal` it counts as well.
    pub fn count_before(&mut self, name: &[u8], or_equal: bool) -> Result<u64, Stop> {
        match self.0.body() {
            Body::Packed(_, packed) => {
                let before = |entry: &&[u8]| split(entry).1 < name || (or_equal && split(entry).1 == name);
                Ok(packed.iter().take_while(before).count() as u64)
            }
            &Body::Wide(Members { home, .. }) => {
                let mut rows = Rows { txn: self.0.txn, home };
                let mut tree = Tree::new(&mut rows);
                let Some(first) = tree.first()? else { return Ok(0) };
                let mut bound = first.get(..SCORE_BYTES).unwrap_or_default().to_vec();
                bound.extend_from_slice(name);
                if or_equal {
                    bound.push(0);
                }
                tree.rank(&bound)
            }
        }
    }

    /// Visits members by their ranks, which must be within the set: from the first on or from the last
    /// down.
    pub fn walk_ranks(
        &mut self,
        ranks: Range<u64>,
        reverse: bool,
        each: &mut dyn FnMut(&[u8], f64) -> Flow,
    ) -> Result<(), Stop> {
        let count = ranks.end.saturating_sub(ranks.start);
        if count == 0 {
            return Ok(());
        }
        match self.0.body() {
            Body::Packed(_, packed) => {
                let entries: Vec<&[u8]> =
                    packed.iter().skip(ranks.start as usize).take(count as usize).collect();
                let mut visit = |entry: &[u8]| each(split(entry).1, split(entry).0) == Flow::Stop;
                if reverse {
                    entries.into_iter().rev().any(&mut visit);
                } else {
                    entries.into_iter().any(&mut visit);
                }
                Ok(())
            }
            &Body::Wide(Members { home, .. }) => self.walk_tree(home, &ranks, reverse, each),
        }
    }

    fn walk_tree(
        &mut self,
        home: Home,
        ranks: &Range<u64>,
        reverse: bool,
        each: &mut dyn FnMut(&[u8], f64) -> Flow,
    ) -> Result<(), Stop> {
        let mut has_signed_zeros = None;
        let (mut at, mut left) = (if reverse { ranks.end - 1 } else { ranks.start }, ranks.end - ranks.start);
        while left > 0 {
            // A stretch at a time: what it takes is counted, and signs are looked up in between.
            let wanted = left.min(STRETCH);
            let mut found: Vec<(Vec<u8>, f64)> = Vec::with_capacity(wanted as usize);
            let direction = if reverse { Direction::Down } else { Direction::Up };
            Tree::new(&mut Rows { txn: self.0.txn, home }).walk(at, direction, |entry| {
                let (score, member) = split_tree(entry);
                found.push((member.to_vec(), score));
                if found.len() as u64 == wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            let bytes = found.iter().map(|(member, _)| member.len()).sum();
            self.0.txn.hold(found.len() as u32, bytes)?;
            if found.is_empty() {
                return Ok(());
            }
            for (member, score) in found {
                let mut score = score;
                if score == 0.0 {
                    let signed = match has_signed_zeros {
                        Some(signed) => signed,
                        None => *has_signed_zeros.insert(self.has_signed_zeros(home)?),
                    };
                    score = if signed { self.score(&member)?.unwrap_or(score) } else { score };
                }
                if each(&member, score) == Flow::Stop {
                    return Ok(());
                }
            }
            left -= wanted;
            at = if reverse { at.saturating_sub(wanted) } else { at + wanted };
        }
        Ok(())
    }

    /// Removes the members of these ranks, which must be within the set; says which they were.
    pub fn remove_ranks(&mut self, ranks: Range<u64>) -> Result<Vec<(Vec<u8>, f64)>, Stop> {
        if let Some(places) = self.0.members() {
            return self.remove_wide(places, ranks);
        }
        let mut gone = Vec::new();
        self.walk_ranks(ranks.clone(), false, &mut |member, score| {
            gone.push((member.to_vec(), score));
            Flow::More
        })?;
        if gone.is_empty() {
            return Ok(gone);
        }
        if let Some(packed) = self.0.packed_mut() {
            let first = packed.nth(ranks.start as usize).map(|entry| entry.whole.start);
            let end = packed.nth(ranks.end as usize - 1).map(|entry| entry.whole.end);
            if let Some((first, end)) = first.zip(end) {
                packed.remove(first..end, gone.len());
            }
        }
        Ok(gone)
    }

    fn remove_wide(&mut self, places: Members, ranks: Range<u64>) -> Result<Vec<(Vec<u8>, f64)>, Stop> {
        let home = places.home;
        let before = self.0.txn.counters_not_empty(home)?;
        let mut gone = Vec::new();
        Tree::new(&mut Rows { txn: self.0.txn, home }).remove_range(ranks, |entry| {
            let (score, member) = split_tree(entry);
            gone.push((member.to_vec(), score));
        })?;
        if gone.is_empty() {
            return Ok(gone);
        }
        self.0.txn.spend(gone.len() as u32, gone.iter().map(|(member, _)| member.len()).sum())?;
        let zeros = gone.iter().filter(|(_, score)| *score == 0.0);
        self.0.txn.expect_members(places, zeros.map(|(member, _)| member.as_slice()))?;
        for (member, score) in &mut gone {
            if *score == 0.0 {
                // The tree does not tell the sign of a zero.
                let (_, payload) = self.0.txn.member(places, member)?;
                *score = payload.map_or(*score, |payload| score_of(payload.as_slice()));
            }
            // That it is there, the tree has told.
            self.0.txn.clear_member(places, member);
        }
        self.0.shrink(home, before, Counters::less(gone.len() as i64))?;
        Ok(gone)
    }

    /// Visits members from a position on, with their scores as payloads: all of them if they are packed.
    pub fn walk<E: From<Stop>>(
        &mut self,
        from: u64,
        each: &mut dyn FnMut(&Found<'_>) -> Result<Flow, E>,
    ) -> Result<(), E> {
        match self.0.body() {
            Body::Packed(_, packed) => {
                for entry in packed.iter() {
                    let (payload, member) = entry.split_at_checked(SCORE_BYTES).unwrap_or_default();
                    if each(&Found { at: 0, member, payload })? == Flow::Stop {
                        break;
                    }
                }
                Ok(())
            }
            &Body::Wide(members) => self.0.walk_members(members, from, each),
        }
    }

    /// A member by chance, with its score.
    pub fn random(&mut self) -> Result<Option<(Vec<u8>, f64)>, Stop> {
        let len = self.count()?;
        let rank = self.0.txn.random() % len.max(1);
        let mut found = None;
        self.walk_ranks(rank..rank + 1, false, &mut |member, score| {
            found = Some((member.to_vec(), score));
            Flow::Stop
        })?;
        Ok(found)
    }

    fn has_signed_zeros(&mut self, home: Home) -> Result<bool, Stop> {
        Ok(self.0.txn.raw(&signed_zero(home))?.is_some())
    }

    fn widen(&mut self) -> Result<(), Stop> {
        let (members, packed) = self.0.widen();
        let home = members.home;
        for entry in packed.iter() {
            let (score, member) = split(entry);
            self.0.txn.put_member(members, member, &score.to_bits().to_be_bytes())?;
            let mut rows = Rows { txn: self.0.txn, home };
            Tree::new(&mut rows).insert(&tree_key(score, member))?;
        }
        self.0.begin_with(home, packed.count());
        Ok(())
    }
}

/// Members looked at in one go.
const STRETCH: u64 = 64;

/// The score that a member's record holds.
pub fn score_of(payload: &[u8]) -> f64 {
    payload.try_into().map_or(0.0, |bytes| f64::from_bits(u64::from_be_bytes(bytes)))
}

/// Score and member of a packed entry.
fn split(entry: &[u8]) -> (f64, &[u8]) {
    let (score, member) = entry.split_at_checked(SCORE_BYTES).unwrap_or_default();
    (score_of(score), member)
}

fn find(packed: &Packed, member: &[u8]) -> Option<(Entry, f64)> {
    let found = packed.entries().find(|entry| split(packed.body(entry)).1 == member)?;
    let score = split(packed.body(&found)).0;
    Some((found, score))
}

/// Where an entry is, compared with a score and a member.
fn order(entry: &[u8], score: f64, member: &[u8]) -> Ordering {
    let found = split(entry);
    found.0.partial_cmp(&score).unwrap_or(Ordering::Equal).then_with(|| found.1.cmp(member))
}

/// A score as a number that is ordered as scores are. Both zeros are the same.
fn sortable(score: f64) -> u64 {
    let bits = if score == 0.0 { 0 } else { score.to_bits() };
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

pub(super) fn tree_key(score: f64, member: &[u8]) -> Vec<u8> {
    [&sortable(score).to_be_bytes()[..], member].concat()
}

fn split_tree(entry: &[u8]) -> (f64, &[u8]) {
    let (score, member) = entry.split_at_checked(SCORE_BYTES).unwrap_or_default();
    let sortable = score.try_into().map_or(1 << 63, u64::from_be_bytes);
    let bits = if sortable >> 63 == 1 { sortable & !(1 << 63) } else { !sortable };
    (f64::from_bits(bits), member)
}

/// The record that says that some scores are zeros with a sign, which the tree does not tell.
pub(super) fn signed_zero(home: Home) -> Vec<u8> {
    let mut key = Vec::new();
    keys::element_prefix(&mut key, home);
    key.push(b'z');
    key
}

/// The key of a node of the tree.
pub(super) fn node_record(home: Home, id: NodeId) -> Vec<u8> {
    let mut key = Vec::with_capacity(keys::HOME_HEADER + 8);
    keys::element_prefix(&mut key, home);
    key.push(b't');
    id.encode(&mut key);
    key
}

/// The tree's records, in a transaction.
struct Rows<'t, 'g> {
    txn: &'t mut Txn<'g>,
    home: Home,
}

impl Nodes for Rows<'_, '_> {
    type Error = Stop;

    fn read(&mut self, id: NodeId) -> Result<Option<Value>, Stop> {
        self.txn.raw(&node_record(self.home, id))
    }

    fn write(&mut self, id: NodeId, value: Value) {
        self.txn.revise(&node_record(self.home, id), value);
    }

    fn remove(&mut self, id: NodeId) {
        self.txn.write_blind(&node_record(self.home, id), None);
    }

    fn malformed(&self, id: NodeId, why: DecodeError) -> Stop {
        Stop::Disk(DiskError::corrupt(&node_record(self.home, id), why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tree_keys_are_in_the_order_of_scores_and_members(
            a: f64, b: f64, first: Vec<u8>, second: Vec<u8>,
        ) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            let expected = a.partial_cmp(&b).unwrap().then_with(|| first.cmp(&second));
            prop_assert_eq!(tree_key(a, &first).cmp(&tree_key(b, &second)), expected);
            let key = tree_key(a, &first);
            let (score, member) = split_tree(&key);
            prop_assert!(score == a && member == first);
        }
    }

    #[test]
    fn infinities_and_zeros_have_their_places() {
        let scores = [f64::NEG_INFINITY, -1.0, -5e-324, 0.0, 5e-324, 1.0, f64::INFINITY];
        assert!(scores.is_sorted_by(|a, b| sortable(*a) < sortable(*b)));
        assert_eq!(sortable(-0.0), sortable(0.0));
    }
}

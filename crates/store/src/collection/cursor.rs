//! Going through the members of several collections at once, in the order of their hashes, a page at a
//! time: what is common to them, or what any of them has, is found without holding any of them.

use std::collections::VecDeque;

use crate::collection::members::Found;
use crate::collection::{Set, SortedSet};
use crate::keys::{Members, POSITIONS};
use crate::range::{Flow, visit};
use crate::txn::{Stop, Txn};

/// Members looked up at a time: few at first.
const PAGE_MIN: usize = 32;
const PAGE_MAX: usize = 1024;

/// A member with its position. The order of these is the one that cursors go by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    pub at: u64,
    pub member: Vec<u8>,
    pub payload: Vec<u8>,
}

/// Where a walk through a collection is.
pub struct Cursor {
    page: VecDeque<Placed>,
    /// Of a wide one: the ranges that are left, and how many records it takes next.
    rest: VecDeque<(Vec<u8>, Vec<u8>)>,
    limit: usize,
}

impl Cursor {
    fn packed(txn: &Txn<'_>, members: Gathered) -> Self {
        let place = |(member, payload): (Vec<u8>, Vec<u8>)| Placed {
            at: txn.begin.seed.hash48(&member),
            member,
            payload,
        };
        let mut placed: Vec<Placed> = members.into_iter().map(place).collect();
        placed.sort_unstable();
        Self { page: placed.into(), rest: VecDeque::new(), limit: 0 }
    }

    pub(super) fn wide(members: Members) -> Self {
        Self { page: VecDeque::new(), rest: members.ranges(0..POSITIONS).collect(), limit: PAGE_MIN }
    }

    /// The member that it has come to.
    pub fn peek(&mut self, txn: &mut Txn<'_>) -> Result<Option<&Placed>, Stop> {
        if self.page.is_empty() {
            self.turn(txn)?;
        }
        Ok(self.page.front())
    }

    /// Takes the member that it has come to.
    pub fn next(&mut self, txn: &mut Txn<'_>) -> Result<Option<Placed>, Stop> {
        if self.page.is_empty() {
            self.turn(txn)?;
        }
        Ok(self.page.pop_front())
    }

    fn turn(&mut self, txn: &mut Txn<'_>) -> Result<(), Stop> {
        let (page, limit) = (&mut self.page, self.limit);
        while let Some((from, end)) = self.rest.pop_front() {
            let mut next = None;
            visit::<Stop>(txn, &from, Some(&end), &mut |key, value, _| {
                if page.len() == limit {
                    next = Some(key.to_vec());
                    return Ok(Flow::Stop);
                }
                let Found { at, member, payload } = super::members::decode_checked(key, value)?;
                page.push_back(Placed { at, member: member.to_vec(), payload: payload.to_vec() });
                Ok(Flow::More)
            })?;
            if let Some(next) = next {
                self.rest.push_front((next, end));
                self.limit = (limit * 4).min(PAGE_MAX);
                break;
            }
        }
        Ok(())
    }
}

/// Every member of a packed collection.
type Walk<'w> = dyn FnMut(&mut dyn FnMut(&Found<'_>) -> Result<Flow, Stop>) -> Result<(), Stop> + 'w;

/// Members with their payloads.
type Gathered = Vec<(Vec<u8>, Vec<u8>)>;

fn gather(walk: &mut Walk<'_>) -> Result<Gathered, Stop> {
    let mut found = Vec::new();
    walk(&mut |member| {
        found.push((member.member.to_vec(), member.payload.to_vec()));
        Ok(Flow::More)
    })?;
    Ok(found)
}

impl Set<'_, '_> {
    pub fn cursor(&mut self) -> Result<Cursor, Stop> {
        if let Some(cursor) = self.0.wide_cursor() {
            return Ok(cursor);
        }
        let found = gather(&mut |each| self.walk(0, each))?;
        Ok(Cursor::packed(self.0.txn, found))
    }
}

impl SortedSet<'_, '_> {
    /// Payloads are scores.
    pub fn cursor(&mut self) -> Result<Cursor, Stop> {
        if let Some(cursor) = self.0.wide_cursor() {
            return Ok(cursor);
        }
        let found = gather(&mut |each| self.walk(0, each))?;
        Ok(Cursor::packed(self.0.txn, found))
    }
}

//! What commands on the elements of hashes, sets and sorted sets have in common: going through them
//! page by page, and drawing some by chance.

use std::collections::HashSet;

use base::{glob, limits};
use resp::{Blob, Reply};
use store::{Flow, Member};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::paged::Progress;

/// Elements of a page, unless the client says how many.
const COUNT: u64 = 10;
/// Positions among elements are smaller than this.
const POSITIONS: u64 = 1 << 48;

/// A page of HSCAN, SSCAN or ZSCAN. A cursor is a position: what has it comes in one page.
pub(super) struct Scan<'a> {
    pattern: &'a [u8],
    left: u64,
    /// The elements come all at once: there are no positions.
    is_packed: bool,
    from: u64,
    last: Option<u64>,
    next: Option<u64>,
    found: Vec<Reply>,
}

impl<'a> Scan<'a> {
    pub(super) fn cursor(args: &Args<'_>) -> Result<u64> {
        let text = std::str::from_utf8(args.get(2)).ok();
        text.and_then(|text| text.parse().ok()).ok_or(Error::line("ERR invalid cursor"))
    }

    pub(super) fn nothing() -> Reply {
        Reply::Array(vec![Reply::bulk("0"), Reply::Array(Vec::new())])
    }

    pub(super) fn parse(args: &Args<'a>, cursor: u64, is_packed: bool) -> Result<Self> {
        let mut scan = Self {
            pattern: b"*",
            left: COUNT,
            is_packed,
            from: cursor,
            last: None,
            next: None,
            found: Vec::new(),
        };
        for at in (3..args.len()).step_by(2) {
            if at + 1 >= args.len() {
                return Err(Error::SYNTAX);
            }
            if args.is(at, "count") {
                let count = args.int(at + 1)?;
                scan.left = u64::try_from(count).ok().filter(|count| *count > 0).ok_or(Error::SYNTAX)?;
            } else if args.is(at, "match") {
                scan.pattern = args.get(at + 1);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(scan)
    }

    /// Where it begins; `None` behind the last position.
    pub(super) fn start(&self) -> Option<u64> {
        if self.is_packed { Some(0) } else { Some(self.from).filter(|from| *from < POSITIONS) }
    }

    /// Takes an element into the page, if it belongs there and is wanted.
    pub(super) fn take(&mut self, element: &Member<'_>, shown: impl FnOnce() -> Vec<Reply>) -> Flow {
        if !self.is_packed {
            if self.left == 0 && self.last.is_some_and(|last| element.at > last) {
                self.next = Some(element.at);
                return Flow::Stop;
            }
            self.left = self.left.saturating_sub(1);
            self.last = Some(element.at);
        }
        if glob::matches_all(self.pattern) || glob::matches(self.pattern, element.member) {
            self.found.extend(shown());
        }
        Flow::More
    }

    pub(super) fn reply(self) -> Reply {
        let cursor = self.next.unwrap_or(0);
        Reply::Array(vec![Reply::bulk(cursor.to_string()), Reply::Array(self.found)])
    }
}

/// Where a page of elements ends: between two positions, for what has the same comes in one page.
pub(super) struct Places<P> {
    last: Option<P>,
    next: Option<P>,
}

impl<P: Copy + Ord> Places<P> {
    pub(super) fn new() -> Self {
        Self { last: None, next: None }
    }

    /// Whether what is at `at` belongs to the next page, if this one is full.
    pub(super) fn ends_before(&mut self, at: P, is_full: bool) -> bool {
        if is_full && self.last.is_some_and(|last| at > last) {
            self.next = Some(at);
            return true;
        }
        self.last = Some(at);
        false
    }

    /// Puts where the next page begins into `from`.
    pub(super) fn progress(self, from: &mut P) -> Progress {
        match self.next {
            Some(next) => {
                *from = next;
                Progress::More
            }
            None => Progress::Done,
        }
    }
}

/// How many elements are drawn: so many different ones, or if it is negative so many of which some may
/// be the same.
pub(super) struct Draw {
    count: i64,
    /// What belongs to the elements is told as well.
    with: bool,
}

impl Draw {
    /// `None` if no number is given: one element is wanted. `word` says that more is told of each.
    pub(super) fn parse(args: &Args<'_>, word: &str) -> Result<Option<Self>> {
        if args.len() < 3 {
            return Ok(None);
        }
        let count = args.int_between(2, -i64::MAX, i64::MAX)?;
        let with = args.len() == 4 && args.is(3, word);
        if args.len() > 3 && !with {
            return Err(Error::SYNTAX);
        }
        let too_many = count < -limits::DRAWN_MAX;
        if too_many || (with && count > i64::MAX / 2) {
            return Err(Error::line("ERR value is out of range"));
        }
        Ok(Some(Self { count, with }))
    }

    /// Whether so many are wanted that all of them are looked at.
    pub(super) fn takes_whole(&self, len: u64) -> bool {
        /// From this part on most of what is drawn would have been drawn before.
        const PART: u64 = 3;
        self.count.unsigned_abs().saturating_mul(PART) > len
    }

    /// Draws elements by their name one after the other, with what belongs to each.
    pub(super) fn one_by_one<T>(
        &self,
        len: u64,
        mut one: impl FnMut() -> Result<Option<(Vec<u8>, T)>>,
    ) -> Result<Vec<(Blob, T)>> {
        let wanted = self.count.unsigned_abs().min(if self.count < 0 { u64::MAX } else { len });
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        while (found.len() as u64) < wanted {
            let Some((element, of)) = one()? else { break };
            if self.count < 0 || seen.insert(element.clone()) {
                found.push((Blob::from(element), of));
            }
        }
        Ok(found)
    }

    /// Elements with what belongs to them: RESP3 clients get pairs.
    pub(super) fn reply(&self, found: impl Iterator<Item = (Reply, Reply)>) -> Reply {
        if self.with {
            Reply::Pairs(found.collect())
        } else {
            Reply::Array(found.map(|(element, _)| element).collect())
        }
    }
}

/// Draws from all elements.
pub(super) fn some_of<T: Clone>(mut all: Vec<T>, draw: &Draw, random: u64) -> Vec<T> {
    let mut numbers = Numbers(random | 1);
    if all.is_empty() {
        return all;
    }
    if draw.count < 0 {
        let pick = |_| all.get(numbers.below(all.len())).cloned();
        return (0..draw.count.unsigned_abs()).filter_map(pick).collect();
    }
    let wanted = usize::try_from(draw.count).unwrap_or(usize::MAX);
    for at in 0..all.len().min(wanted) {
        let other = at + numbers.below(all.len() - at);
        all.swap(at, other);
    }
    all.truncate(wanted);
    all
}

/// Random numbers from one: xorshift.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_different_unless_the_count_is_negative() {
        let all: Vec<u32> = (0..20).collect();
        let drawn = |count| some_of(all.clone(), &Draw { count, with: false }, 7);
        let mut some = drawn(15);
        some.sort_unstable();
        some.dedup();
        assert_eq!(some.len(), 15);
        assert_eq!(drawn(50).len(), 20);
        assert_eq!(drawn(-50).len(), 50);
        assert_eq!(drawn(0).len(), 0);
    }
}

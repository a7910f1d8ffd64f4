//! The items between the ends.

use std::ops::Range;

use store::{Flow, List};

use super::*;
use crate::arg::{self, KEY};
use crate::families::{index_range, key, positive};
use crate::paged::{Feed, Page, Progress, Shape, answer};
use crate::row::access::{ACCESS, DELETE, INSERT, RO, RW, UPDATE};
use crate::row::flags::{DENYOOM, FAST, READONLY, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("llen", 2, key(&[RO]), &[READONLY, FAST], llen)
        .docs("1.0.0", "O(1)", "Returns how many items a list has.")
        .takes(&[KEY]),
    row("lindex", 3, key(&[RO, ACCESS]), &[READONLY], lindex)
        .docs(
            "1.0.0",
            "O(N) where N is the number of elements to traverse to get to the element at index",
            "Returns the item at an index.",
        )
        .takes(&[KEY, arg::integer("index")]),
    row("lrange", 4, key(&[RO, ACCESS]), &[READONLY], lrange)
        .docs(
            "1.0.0",
            "O(S+N) where S is the distance of start offset from HEAD for small lists",
            "Returns the items between two indexes.",
        )
        .takes(&[KEY, arg::integer("start"), arg::integer("stop")]),
    row("lpos", -3, key(&[RO, ACCESS]), &[READONLY], lpos)
        .docs(
            "6.0.6",
            "O(N) where N is the number of elements in the list",
            "Returns at which indexes an item is found.",
        )
        .takes(&[
            KEY,
            arg::string("element"),
            arg::integer("rank").after("RANK").optional(),
            arg::integer("num-matches").after("COUNT").optional(),
            arg::integer("len").after("MAXLEN").optional(),
        ]),
    row("lset", 4, key(&[RW, UPDATE]), &[WRITE, DENYOOM], lset)
        .docs(
            "1.0.0",
            "O(N) where N is the length of the list",
            "Puts another item in the place of the one at an index.",
        )
        .takes(&[KEY, arg::integer("index"), arg::string("element")]),
    row("linsert", 5, key(&[RW, INSERT]), &[WRITE, DENYOOM], linsert)
        .docs(
            "2.2.0",
            "O(N) where N is the number of elements to traverse before seeing the value pivot",
            "Adds an item beside the first one that is like the pivot.",
        )
        .takes(&[
            KEY,
            arg::one_of("where", &[arg::word("BEFORE"), arg::word("AFTER")]),
            arg::string("pivot"),
            arg::string("element"),
        ]),
    row("lrem", 4, key(&[RW, DELETE]), &[WRITE], lrem)
        .docs(
            "1.0.0",
            "O(N+M) where N is the length of the list and M is the number of elements removed",
            "Removes items that are like the one given.",
        )
        .takes(&[KEY, arg::integer("count"), arg::string("element")]),
    row("ltrim", 4, key(&[RW, DELETE]), &[WRITE], ltrim)
        .docs(
            "1.0.0",
            "O(N) where N is the number of elements to be removed by the operation",
            "Keeps the items between two indexes, and removes the others.",
        )
        .takes(&[KEY, arg::integer("start"), arg::integer("stop")]),
];

fn llen(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut list) = txn.list(args.get(1))? else { return Ok(Reply::ZERO) };
    Ok(Reply::Integer(list.count()? as i64))
}

fn lindex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut list) = txn.list(args.get(1))? else { return Ok(Reply::Null) };
    let Some(index) = index(&mut list, args, 2)? else { return Ok(Reply::Null) };
    Ok(Reply::bulk_or_null(list.get(index)?.map(blob)))
}

fn lrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let Some(mut list) = txn.list(args.get(1))? else { return Ok(Reply::Array(Vec::new())) };
    let range = index_range(list.count()?, start, stop);
    drop(list);
    answer(txn, Shape::Array, || Stretch { key: args.get(1).to_vec(), range: range.clone() })
}

/// Tells the items of a list that are at these indexes.
struct Stretch {
    key: Vec<u8>,
    range: Range<u64>,
}

impl Feed for Stretch {
    fn count(&mut self, _: &mut Txn<'_>) -> Result<Option<u64>> {
        Ok(Some(self.range.end - self.range.start))
    }

    fn fill(&mut self, txn: &mut Txn<'_>, page: &mut Page) -> Result<Progress> {
        let Some(mut list) = txn.list(&self.key)? else { return Ok(Progress::Done) };
        let mut told = self.range.start;
        list.walk(self.range.clone(), &mut |index, item| -> Result<Flow> {
            page.bulk(item);
            told = index + 1;
            Ok(if page.is_full() { Flow::Stop } else { Flow::More })
        })?;
        // One that has told nothing would never come to its end.
        let is_done = told == self.range.end || told == self.range.start;
        self.range.start = told;
        Ok(if is_done { Progress::Done } else { Progress::More })
    }
}

fn lpos(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let search = Search::parse(args)?;
    let Some(mut list) = txn.list(args.get(1))? else { return Ok(search.reply(Vec::new())) };
    let found = search.run(&mut list, args.get(2))?;
    Ok(search.reply(found))
}

fn lset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut list = txn.list(args.get(1))?.ok_or(Error::NO_SUCH_KEY)?;
    let index = index(&mut list, args, 2)?.ok_or(Error::OUT_OF_RANGE)?;
    list.set(index, args.get(3))?;
    Ok(Reply::Ok)
}

fn linsert(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let after = match () {
        () if args.is(2, "after") => true,
        () if args.is(2, "before") => false,
        () => return Err(Error::SYNTAX),
    };
    let Some(mut list) = txn.list(args.get(1))? else { return Ok(Reply::ZERO) };
    let (pivot, len) = (args.get(3), list.count()?);
    let mut found = None;
    list.walk(0..len, &mut |index, item| -> Result<Flow> {
        if item != pivot {
            return Ok(Flow::More);
        }
        found = Some(index);
        Ok(Flow::Stop)
    })?;
    let Some(index) = found else { return Ok(Reply::Integer(-1)) };
    Ok(Reply::Integer(list.insert(index + u64::from(after), args.get(4))? as i64))
}

fn lrem(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let count = args.int_between(2, -i64::MAX, i64::MAX)?;
    let Some(mut list) = txn.list(args.get(1))? else { return Ok(Reply::ZERO) };
    let limit = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    let search = Search { first: 1, limit, looked_at: u64::MAX, backwards: count < 0, many: true };
    let mut found = search.run(&mut list, args.get(3))?;
    found.sort_unstable();
    list.remove(&found)?;
    Ok(Reply::Integer(found.len() as i64))
}

fn ltrim(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let Some(mut list) = txn.list(args.get(1))? else { return Ok(Reply::Ok) };
    let kept = index_range(list.count()?, start, stop);
    list.trim(kept)?;
    Ok(Reply::Ok)
}

/// The index that an argument names, from the end if it is negative; `None` outside of the list.
fn index(list: &mut List<'_, '_>, args: &Args<'_>, at: usize) -> Result<Option<u64>> {
    let (index, len) = (args.int(at)?, list.count()? as i64);
    let index = if index < 0 { index.saturating_add(len) } else { index };
    Ok(u64::try_from(index).ok().filter(|_| index < len))
}

/// What LPOS and LREM look for.
struct Search {
    /// The first match that counts.
    first: u64,
    /// How many matches, from that one on.
    limit: u64,
    /// How many items are looked at.
    looked_at: u64,
    backwards: bool,
    /// Whether the reply is a list.
    many: bool,
}

impl Search {
    fn parse(args: &Args<'_>) -> Result<Self> {
        let mut search = Self { first: 1, limit: 1, looked_at: u64::MAX, backwards: false, many: false };
        for at in (3..args.len()).step_by(2) {
            if at + 1 >= args.len() {
                return Err(Error::SYNTAX);
            }
            if args.is(at, "rank") {
                let rank = args.int_between(at + 1, -i64::MAX, i64::MAX)?;
                if rank == 0 {
                    return Err(Error::line(ZERO_RANK));
                }
                (search.first, search.backwards) = (rank.unsigned_abs(), rank < 0);
            } else if args.is(at, "count") {
                let count = positive(args, at + 1, "ERR COUNT can't be negative")?;
                (search.limit, search.many) = (if count == 0 { u64::MAX } else { count }, true);
            } else if args.is(at, "maxlen") {
                let count = positive(args, at + 1, "ERR MAXLEN can't be negative")?;
                search.looked_at = if count == 0 { u64::MAX } else { count };
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(search)
    }

    /// The indexes of what is found, in the order in which it is.
    fn run(&self, list: &mut List<'_, '_>, wanted: &[u8]) -> Result<Vec<u64>> {
        let len = list.count()?;
        let looked_at = self.looked_at.min(len);
        let (mut matches, mut found) = (0, Vec::new());
        let mut look = |index: u64, item: &[u8]| -> Result<Flow> {
            if item == wanted {
                matches += 1;
                if matches >= self.first {
                    found.push(index);
                }
            }
            Ok(if found.len() as u64 >= self.limit { Flow::Stop } else { Flow::More })
        };
        let range: Range<u64> = if self.backwards { len - looked_at..len } else { 0..looked_at };
        if self.backwards {
            list.walk_back(range, &mut look)?;
        } else {
            list.walk(range, &mut look)?;
        }
        Ok(found)
    }

    fn reply(&self, found: Vec<u64>) -> Reply {
        let mut found = found.into_iter().map(|index| Reply::Integer(index as i64));
        if self.many { Reply::Array(found.collect()) } else { found.next().unwrap_or(Reply::Null) }
    }
}

const ZERO_RANK: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                         or use negative to start from the end of the list";

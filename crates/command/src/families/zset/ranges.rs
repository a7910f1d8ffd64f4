//! Stretches of sorted sets, by rank, by score and by name.

use std::ops::Range;

use store::{Flow, SortedSet};

use super::bounds::Bounds;
use super::*;
use crate::arg::{self, KEY};
use crate::families::key;
use crate::paged::{Feed, Page, Progress, Shape, answer};
use crate::row::access::{ACCESS, DELETE, OW, RO, RW, UPDATE};
use crate::row::flags::{DENYOOM, FAST, READONLY, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("zrange", -4, key(&[RO, ACCESS]), &[READONLY], zrange)
        .docs("1.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned", "Returns the members between two places, scores or names.")
        .takes(&[KEY, arg::string("start"), arg::string("stop"), arg::one_of("sortby", &[arg::word("BYSCORE"), arg::word("BYLEX")]).since("6.2.0").optional(), arg::word("REV").since("6.2.0").optional(), arg::block("limit", &[arg::integer("offset"), arg::integer("count")]).after("LIMIT").since("6.2.0").optional(), arg::word("WITHSCORES").optional()]),
    row("zrangestore", -5, Keys::range(1, 2, 1).with(&[OW, UPDATE]).and(&[RO, ACCESS]), &[WRITE, DENYOOM], zrangestore)
        .docs("6.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key", "Keeps the members between two places, scores or names in a key.")
        .takes(&[arg::key("dst", 0), arg::key("src", 1), arg::string("min"), arg::string("max"), arg::one_of("sortby", &[arg::word("BYSCORE"), arg::word("BYLEX")]).optional(), arg::word("REV").optional(), arg::block("limit", &[arg::integer("offset"), arg::integer("count")]).after("LIMIT").optional()]),
    row("zrevrange", -4, key(&[RO, ACCESS]), &[READONLY], zrevrange)
        .docs("1.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned", "Returns the members between two places, from the last to the first.")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` argument")
        .takes(&[KEY, arg::integer("start"), arg::integer("stop"), arg::word("WITHSCORES").optional()]),
    row("zrangebyscore", -4, key(&[RO, ACCESS]), &[READONLY], zrangebyscore)
        .docs("1.0.5", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned", "Returns the members between two scores.")
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument")
        .takes(&[KEY, arg::double("min"), arg::double("max"), arg::word("WITHSCORES").since("2.0.0").optional(), arg::block("limit", &[arg::integer("offset"), arg::integer("count")]).after("LIMIT").optional()]),
    row("zrevrangebyscore", -4, key(&[RO, ACCESS]), &[READONLY], zrevrangebyscore)
        .docs("2.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned", "Returns the members between two scores, from the last to the first.")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")
        .takes(&[KEY, arg::double("max"), arg::double("min"), arg::word("WITHSCORES").optional(), arg::block("limit", &[arg::integer("offset"), arg::integer("count")]).after("LIMIT").optional()]),
    row("zrangebylex", -4, key(&[RO, ACCESS]), &[READONLY], zrangebylex)
        .docs("2.8.9", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned", "Returns the members between two names, all scores being equal.")
        .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument")
        .takes(&[KEY, arg::string("min"), arg::string("max"), arg::block("limit", &[arg::integer("offset"), arg::integer("count")]).after("LIMIT").optional()]),
    row("zrevrangebylex", -4, key(&[RO, ACCESS]), &[READONLY], zrevrangebylex)
        .docs("2.8.9", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned", "Returns the members between two names, from the last to the first, all scores being equal.")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")
        .takes(&[KEY, arg::string("max"), arg::string("min"), arg::block("limit", &[arg::integer("offset"), arg::integer("count")]).after("LIMIT").optional()]),
    row("zcount", 4, key(&[RO, ACCESS]), &[READONLY, FAST], zcount)
        .docs("2.0.0", "O(log(N)) with N being the number of elements in the sorted set", "Returns how many members are between two scores.")
        .takes(&[KEY, arg::double("min"), arg::double("max")]),
    row("zlexcount", 4, key(&[RO, ACCESS]), &[READONLY, FAST], zlexcount)
        .docs("2.8.9", "O(log(N)) with N being the number of elements in the sorted set", "Returns how many members are between two names, all scores being equal.")
        .takes(&[KEY, arg::string("min"), arg::string("max")]),
    row("zremrangebyrank", 4, key(&[RW, DELETE]), &[WRITE], zremrangebyrank)
        .docs("2.0.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation", "Removes the members between two places.")
        .takes(&[KEY, arg::integer("start"), arg::integer("stop")]),
    row("zremrangebyscore", 4, key(&[RW, DELETE]), &[WRITE], zremrangebyscore)
        .docs("1.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation", "Removes the members between two scores.")
        .takes(&[KEY, arg::double("min"), arg::double("max")]),
    row("zremrangebylex", 4, key(&[RW, DELETE]), &[WRITE], zremrangebylex)
        .docs("2.8.9", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation", "Removes the members between two names, all scores being equal.")
        .takes(&[KEY, arg::string("min"), arg::string("max")]),
];

fn zrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Query::parse(args, 1, Form { by: By::Auto, reverse: None, stores: false })?.reply(txn, args.get(1))
}

fn zrangestore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let query = Query::parse(args, 2, Form { by: By::Auto, reverse: None, stores: true })?;
    let mut found = query.run(txn, args.get(2))?;
    if query.reverse {
        found.reverse();
    }
    Ok(Reply::Integer(txn.store_sorted(args.get(1), &found)? as i64))
}

fn zrevrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    by(txn, args, By::Rank, true)
}

fn zrangebyscore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    by(txn, args, By::Score, false)
}

fn zrevrangebyscore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    by(txn, args, By::Score, true)
}

fn zrangebylex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    by(txn, args, By::Name, false)
}

fn zrevrangebylex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    by(txn, args, By::Name, true)
}

fn zcount(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    count(txn, args, &Bounds::scores(args, 2, 3)?)
}

fn zlexcount(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    count(txn, args, &Bounds::names(args, 2, 3)?)
}

fn zremrangebyrank(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    remove(txn, args, &Bounds::ranks(args, 2)?)
}

fn zremrangebyscore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    remove(txn, args, &Bounds::scores(args, 2, 3)?)
}

fn zremrangebylex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    remove(txn, args, &Bounds::names(args, 2, 3)?)
}

fn by(txn: &mut Txn<'_>, args: &Args<'_>, by: By, reverse: bool) -> Result<Reply> {
    Query::parse(args, 1, Form { by, reverse: Some(reverse), stores: false })?.reply(txn, args.get(1))
}

fn count(txn: &mut Txn<'_>, args: &Args<'_>, bounds: &Bounds<'_>) -> Result<Reply> {
    let Some(mut set) = txn.sorted_set(args.get(1))? else { return Ok(Reply::ZERO) };
    let range = bounds.find(&mut set, false)?;
    Ok(Reply::Integer((range.end - range.start) as i64))
}

fn remove(txn: &mut Txn<'_>, args: &Args<'_>, bounds: &Bounds<'_>) -> Result<Reply> {
    let Some(mut set) = txn.sorted_set(args.get(1))? else { return Ok(Reply::ZERO) };
    let range = bounds.find(&mut set, false)?;
    Ok(Reply::Integer(set.remove_ranks(range)?.len() as i64))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Auto,
    Rank,
    Score,
    Name,
}

/// What a command's name says; what it does not say, options may.
#[derive(Clone, Copy)]
struct Form {
    by: By,
    reverse: Option<bool>,
    stores: bool,
}

/// What one of these commands asks for.
struct Query<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    with_scores: bool,
    /// How many are left out, and how many are wanted then.
    limit: Option<(i64, i64)>,
}

impl<'a> Query<'a> {
    /// `key` is the place of the key; the bounds stand behind it.
    fn parse(args: &Args<'a>, key: usize, form: Form) -> Result<Self> {
        let (mut by, mut reverse, mut with_scores, mut limit) = (form.by, form.reverse, false, None);
        let mut at = key + 3;
        while at < args.len() {
            if !form.stores && args.is(at, "withscores") {
                with_scores = true;
            } else if args.is(at, "limit") && at + 2 < args.len() {
                limit = Some((args.int(at + 1)?, args.int(at + 2)?));
                at += 2;
            } else if form.reverse.is_none() && reverse.is_none() && args.is(at, "rev") {
                reverse = Some(true);
            } else if by == By::Auto && args.is(at, "bylex") {
                by = By::Name;
            } else if by == By::Auto && args.is(at, "byscore") {
                by = By::Score;
            } else {
                return Err(Error::SYNTAX);
            }
            at += 1;
        }
        // A limit of all is none.
        if limit.is_some_and(|limit| limit.1 != -1) && matches!(by, By::Auto | By::Rank) {
            return Err(Error::line(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Name {
            return Err(Error::line("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let reverse = reverse.unwrap_or(false);
        let (min, max) = if reverse { (key + 2, key + 1) } else { (key + 1, key + 2) };
        let bounds = match by {
            By::Auto | By::Rank => Bounds::ranks(args, key + 1)?,
            By::Score => Bounds::scores(args, min, max)?,
            By::Name => Bounds::names(args, min, max)?,
        };
        let limit = limit.filter(|_| matches!(by, By::Score | By::Name));
        Ok(Self { bounds, reverse, with_scores, limit })
    }

    fn reply(&self, txn: &mut Txn<'_>, key: &[u8]) -> Result<Reply> {
        let shape = if self.with_scores { Shape::Pairs } else { Shape::Array };
        let ranks = match txn.sorted_set(key)? {
            Some(mut set) => self.ranks(&mut set)?,
            None => 0..0,
        };
        let (reverse, with_scores) = (self.reverse, self.with_scores);
        answer(txn, shape, || Stretch { key: key.to_vec(), ranks: ranks.clone(), reverse, with_scores })
    }

    /// The members, in the order in which they are wanted.
    fn run(&self, txn: &mut Txn<'_>, key: &[u8]) -> Result<Vec<Scored>> {
        let Some(mut set) = txn.sorted_set(key)? else { return Ok(Vec::new()) };
        let ranks = self.ranks(&mut set)?;
        members(&mut set, ranks, self.reverse)
    }

    /// Where the members are that are wanted.
    fn ranks(&self, set: &mut SortedSet<'_, '_>) -> Result<Range<u64>> {
        let range = self.bounds.find(set, self.reverse)?;
        Ok(self.limited(&range))
    }

    fn limited(&self, range: &Range<u64>) -> Range<u64> {
        let Some((offset, count)) = self.limit else { return range.clone() };
        let len = range.end - range.start;
        let Ok(offset) = u64::try_from(offset) else { return 0..0 };
        let offset = offset.min(len);
        let count = u64::try_from(count).unwrap_or(u64::MAX).min(len - offset);
        if self.reverse {
            range.end - offset - count..range.end - offset
        } else {
            range.start + offset..range.start + offset + count
        }
    }
}

/// Tells the members that have these ranks.
struct Stretch {
    key: Vec<u8>,
    ranks: Range<u64>,
    /// From the last one down.
    reverse: bool,
    with_scores: bool,
}

impl Feed for Stretch {
    fn count(&mut self, _: &mut Txn<'_>) -> Result<Option<u64>> {
        Ok(Some(self.ranks.end - self.ranks.start))
    }

    fn fill(&mut self, txn: &mut Txn<'_>, page: &mut Page) -> Result<Progress> {
        let Some(mut set) = txn.sorted_set(&self.key)? else { return Ok(Progress::Done) };
        let (with_scores, mut told) = (self.with_scores, 0);
        set.walk_ranks(self.ranks.clone(), self.reverse, &mut |member, score| {
            page.bulk(member);
            if with_scores {
                page.double(score);
            }
            told += 1;
            if page.is_full() { Flow::Stop } else { Flow::More }
        })?;
        if self.reverse {
            self.ranks.end -= told;
        } else {
            self.ranks.start += told;
        }
        // One that has told nothing would never come to its end.
        let is_done = self.ranks.is_empty() || told == 0;
        Ok(if is_done { Progress::Done } else { Progress::More })
    }
}

fn members(set: &mut SortedSet<'_, '_>, ranks: Range<u64>, reverse: bool) -> Result<Vec<Scored>> {
    let mut found = Vec::new();
    set.walk_ranks(ranks, reverse, &mut |member, score| {
        found.push((member.to_vec(), score));
        Flow::More
    })?;
    Ok(found)
}

//! Members that are named, and all of them.

use resp::Blob;
use store::{Flow, SortedSet, score_of};

use super::*;
use crate::arg::{self, KEY};
use crate::families::elements::{Draw, Scan, some_of};
use crate::families::key;
use crate::row::Class;
use crate::row::access::{ACCESS, DELETE, RO, RW, UPDATE};
use crate::row::flags::{DENYOOM, FAST, READONLY, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("zadd", -4, key(&[RW, UPDATE]), &[WRITE, DENYOOM, FAST], zadd)
        .docs("1.2.0", "O(log(N)) for each item added", "Adds members to a sorted set, which is made if it is not there, or changes their scores.")
        .takes(&[KEY, arg::one_of("condition", &[arg::word("NX"), arg::word("XX")]).since("3.0.2").optional(), arg::one_of("comparison", &[arg::word("GT"), arg::word("LT")]).since("6.2.0").optional(), arg::word("CH").named("change").since("3.0.2").optional(), arg::word("INCR").named("increment").since("3.0.2").optional(), arg::block("data", &[arg::double("score"), arg::string("member")]).multiple()]),
    row("zincrby", 4, key(&[RW, ACCESS, UPDATE]), &[WRITE, DENYOOM, FAST], zincrby)
        .docs("1.2.0", "O(log(N)) where N is the number of elements in the sorted set", "Adds to a member's score.")
        .takes(&[KEY, arg::integer("increment"), arg::string("member")]),
    row("zrem", -3, key(&[RW, DELETE]), &[WRITE, FAST], zrem)
        .docs("1.2.0", "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed", "Removes members from a sorted set.")
        .takes(&[KEY, arg::string("member").multiple()]),
    row("zscore", 3, key(&[RO, ACCESS]), &[READONLY, FAST], zscore)
        .docs("1.2.0", "O(1)", "Returns a member's score.")
        .takes(&[KEY, arg::string("member")]),
    row("zmscore", -3, key(&[RO, ACCESS]), &[READONLY, FAST], zmscore)
        .docs("6.2.0", "O(N) where N is the number of members being requested", "Returns several members' scores.")
        .takes(&[KEY, arg::string("member").multiple()]),
    row("zcard", 2, key(&[RO]), &[READONLY, FAST], zcard)
        .docs("1.2.0", "O(1)", "Returns how many members a sorted set has.")
        .takes(&[KEY]),
    row("zrank", -3, key(&[RO, ACCESS]), &[READONLY, FAST], zrank)
        .docs("2.0.0", "O(log(N))", "Returns how many members come before one.")
        .takes(&[KEY, arg::string("member"), arg::word("WITHSCORE").optional()]),
    row("zrevrank", -3, key(&[RO, ACCESS]), &[READONLY, FAST], zrevrank)
        .docs("2.0.0", "O(log(N))", "Returns how many members come behind one.")
        .takes(&[KEY, arg::string("member"), arg::word("WITHSCORE").optional()]),
    row("zrandmember", -2, key(&[RO, ACCESS]), &[READONLY], zrandmember)
        .docs("6.2.0", "O(N) where N is the number of members returned", "Returns members of a sorted set by chance.")
        .tips(&["nondeterministic_output"])
        .takes(&[KEY, arg::block("options", &[arg::integer("count"), arg::word("WITHSCORES").optional()]).optional()]),
    row("zscan", -3, key(&[RO, ACCESS]), &[READONLY], zscan)
        .class(Class::Scan)
        .docs("2.8.0", "O(1) for every call", "Goes through members and their scores, some at a time.")
        .tips(&["nondeterministic_output"])
        .takes(&[KEY, arg::integer("cursor"), arg::pattern("pattern").after("MATCH").optional(), arg::integer("count").after("COUNT").optional()]),
];

fn zadd(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (options, first) = Options::parse(args)?;
    let count = args.len() - first;
    if count == 0 || !count.is_multiple_of(2) {
        return Err(Error::SYNTAX);
    }
    options.check(count / 2)?;
    let mut members = Vec::with_capacity(count / 2);
    for at in (first..args.len()).step_by(2) {
        members.push((args.get(at + 1), args.float(at)?));
    }
    add(txn, args.get(1), &options, &members)
}

/// Adds members or changes their scores, as far as the options let it.
pub(in crate::families) fn add(
    txn: &mut Txn<'_>,
    key: &[u8],
    options: &Options,
    members: &[(&[u8], f64)],
) -> Result<Reply> {
    if options.only_old && txn.sorted_set(key)?.is_none() {
        return Ok(if options.increments { Reply::Null } else { Reply::ZERO });
    }
    let longest = members.iter().map(|(member, _)| member.len()).max().unwrap_or(0);
    let mut set = txn.sorted_set_or_new(key, members.len(), longest)?;
    set.expect(members.iter().map(|(member, _)| *member))?;
    let (mut changes, mut last) = (Changes::default(), None);
    for &(member, score) in members {
        last = options.apply(&mut set, member, score, &mut changes)?;
    }
    if options.increments {
        return Ok(last.map_or(Reply::Null, Reply::Double));
    }
    Ok(Reply::Integer(changes.added + if options.counts_changes { changes.updated } else { 0 }))
}

fn zincrby(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    // Redis reads it as a ZADD, whose options may stand here: then a score is missing.
    if Options::parse(args)?.1 != 2 {
        return Err(Error::SYNTAX);
    }
    let (increment, member) = (args.float(2)?, args.get(3));
    let options = Options { increments: true, ..Options::default() };
    let mut set = txn.sorted_set_or_new(args.get(1), 1, member.len())?;
    let score = options.apply(&mut set, member, increment, &mut Changes::default())?;
    Ok(score.map_or(Reply::Null, Reply::Double))
}

fn zrem(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut set) = txn.sorted_set(args.get(1))? else { return Ok(Reply::ZERO) };
    set.expect(args.from(2))?;
    let mut removed = 0;
    for member in args.from(2) {
        removed += i64::from(set.remove(member)?.is_some());
    }
    Ok(Reply::Integer(removed))
}

fn zscore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut set) = txn.sorted_set(args.get(1))? else { return Ok(Reply::Null) };
    Ok(set.score(args.get(2))?.map_or(Reply::Null, Reply::Double))
}

fn zmscore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut set) = txn.sorted_set(args.get(1))? else {
        return Ok(Reply::Array(args.from(2).map(|_| Reply::Null).collect()));
    };
    set.expect(args.from(2))?;
    let mut scores = Vec::with_capacity(args.len() - 2);
    for member in args.from(2) {
        scores.push(set.score(member)?.map_or(Reply::Null, Reply::Double));
    }
    Ok(Reply::Array(scores))
}

fn zcard(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut set) = txn.sorted_set(args.get(1))? else { return Ok(Reply::ZERO) };
    Ok(Reply::Integer(set.count()? as i64))
}

fn zrank(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    rank(txn, args, "zrank", |rank, _| rank)
}

fn zrevrank(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    rank(txn, args, "zrevrank", |rank, len| len - 1 - rank)
}

fn rank(txn: &mut Txn<'_>, args: &Args<'_>, name: &str, of: impl Fn(u64, u64) -> u64) -> Result<Reply> {
    if args.len() > 4 {
        return Err(Error::arity(name));
    }
    let with_score = args.len() == 4;
    if with_score && !args.is(3, "withscore") {
        return Err(Error::SYNTAX);
    }
    let none = if with_score { Reply::NullArray } else { Reply::Null };
    let Some(mut set) = txn.sorted_set(args.get(1))? else { return Ok(none) };
    let Some((rank, score)) = set.rank(args.get(2))? else { return Ok(none) };
    let rank = Reply::Integer(of(rank, set.count()?) as i64);
    Ok(if with_score { Reply::Array(vec![rank, Reply::Double(score)]) } else { rank })
}

fn zrandmember(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(draw) = Draw::parse(args, "withscores")? else {
        let Some(mut set) = txn.sorted_set(args.get(1))? else { return Ok(Reply::Null) };
        return Ok(Reply::bulk_or_null(set.random()?.map(|(member, _)| Blob::from(member))));
    };
    let Some(mut set) = txn.sorted_set(args.get(1))? else { return Ok(Reply::Array(Vec::new())) };
    let found = draw_members(&mut set, &draw)?;
    Ok(draw.reply(found.into_iter().map(|(member, score)| (Reply::Bulk(member), Reply::Double(score)))))
}

fn draw_members(set: &mut SortedSet<'_, '_>, draw: &Draw) -> Result<Vec<(Blob, f64)>> {
    let len = set.count()?;
    if !draw.takes_whole(len) {
        return draw.one_by_one(len, || Ok(set.random()?));
    }
    let mut all = Vec::new();
    set.walk(0, &mut |member| -> Result<Flow> {
        all.push((Blob::copy(member.member), score_of(member.payload)));
        Ok(Flow::More)
    })?;
    Ok(some_of(all, draw, set.random_number()))
}

fn zscan(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let cursor = Scan::cursor(args)?;
    let Some(mut set) = txn.sorted_set(args.get(1))? else { return Ok(Scan::nothing()) };
    let mut scan = Scan::parse(args, cursor, set.is_packed())?;
    let Some(start) = scan.start() else { return Ok(scan.reply()) };
    let is_packed = set.is_packed();
    set.walk(start, &mut |member| -> Result<Flow> {
        let score = || Reply::Bulk(scanned(score_of(member.payload), is_packed));
        Ok(scan.take(member, || vec![Reply::copied(member.member), score()]))
    })?;
    Ok(scan.reply())
}

/// A score as ZSCAN tells it: with all its digits where the set is large.
fn scanned(score: f64, is_packed: bool) -> Blob {
    if is_packed {
        return Blob::double(score);
    }
    let mut text = Vec::new();
    resp::encode::format_double_17(score, &mut text);
    Blob::from(text)
}

/// What ZADD may be told.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::families) struct Options {
    pub(in crate::families) only_new: bool,
    pub(in crate::families) only_old: bool,
    only_greater: bool,
    only_less: bool,
    pub(in crate::families) counts_changes: bool,
    increments: bool,
}

#[derive(Default)]
struct Changes {
    added: i64,
    updated: i64,
}

impl Options {
    /// With the place of the first score.
    fn parse(args: &Args<'_>) -> Result<(Self, usize)> {
        let mut options = Self::default();
        for at in 2..args.len() {
            let option = match () {
                () if args.is(at, "nx") => &mut options.only_new,
                () if args.is(at, "xx") => &mut options.only_old,
                () if args.is(at, "gt") => &mut options.only_greater,
                () if args.is(at, "lt") => &mut options.only_less,
                () if args.is(at, "ch") => &mut options.counts_changes,
                () if args.is(at, "incr") => &mut options.increments,
                () => return Ok((options, at)),
            };
            *option = true;
        }
        Ok((options, args.len()))
    }

    fn check(&self, pairs: usize) -> Result<()> {
        let both = |a: bool, b: bool| a && b;
        if both(self.only_new, self.only_old) {
            return Err(Error::line("ERR XX and NX options at the same time are not compatible"));
        }
        if both(self.only_greater, self.only_new)
            || both(self.only_less, self.only_new)
            || both(self.only_greater, self.only_less)
        {
            return Err(Error::line("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if self.increments && pairs > 1 {
            return Err(Error::line("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// Adds or changes one member; says what its score is, if it was not left alone.
    fn apply(
        &self,
        set: &mut SortedSet<'_, '_>,
        member: &[u8],
        score: f64,
        changes: &mut Changes,
    ) -> Result<Option<f64>> {
        let before = set.score(member)?;
        let Some(old) = before else {
            if self.only_old {
                return Ok(None);
            }
            set.put(member, score, None)?;
            changes.added += 1;
            return Ok(Some(score));
        };
        if self.only_new {
            return Ok(None);
        }
        let score = if self.increments { old + score } else { score };
        if score.is_nan() {
            return Err(Error::line("ERR resulting score is not a number (NaN)"));
        }
        if (self.only_less && score >= old) || (self.only_greater && score <= old) {
            return Ok(None);
        }
        if score != old {
            set.put(member, score, before)?;
            changes.updated += 1;
        }
        Ok(Some(score))
    }
}

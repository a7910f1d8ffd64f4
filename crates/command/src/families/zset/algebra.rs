//! What several sorted sets, and sets, have in common, together, or apart.

use std::cmp::Ordering;
use std::ops::Range;

use store::{Cursor, Kind, score_of};

use super::*;
use crate::arg::{self, KEY};
use crate::families::positive;
use crate::row::access::{ACCESS, OW, RO, UPDATE};
use crate::row::flags::{DENYOOM, READONLY, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("zunion", -3, Keys::counted(1, None).with(&[RO, ACCESS]), &[READONLY], zunion)
        .docs(
            "6.2.0",
            "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets",
            "Returns the members that any of several sorted sets has, with their scores added up.",
        )
        .takes(&[
            arg::integer("numkeys"),
            KEY.multiple(),
            arg::integer("weight").after("WEIGHTS").optional().multiple(),
            arg::one_of("aggregate", &[arg::word("SUM"), arg::word("MIN"), arg::word("MAX")])
                .after("AGGREGATE")
                .optional(),
            arg::word("WITHSCORES").optional(),
        ]),
    row(
        "zunionstore",
        -4,
        Keys::counted(2, Some(1)).with(&[OW, UPDATE]).and(&[RO, ACCESS]),
        &[WRITE, DENYOOM],
        zunionstore,
    )
    .docs(
        "2.0.0",
        "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets",
        "Keeps the members that any of several sorted sets has in a key.",
    )
    .takes(&[
        arg::key("destination", 0),
        arg::integer("numkeys"),
        arg::key("key", 1).multiple(),
        arg::integer("weight").after("WEIGHTS").optional().multiple(),
        arg::one_of("aggregate", &[arg::word("SUM"), arg::word("MIN"), arg::word("MAX")])
            .after("AGGREGATE")
            .optional(),
    ]),
    row("zinter", -3, Keys::counted(1, None).with(&[RO, ACCESS]), &[READONLY], zinter)
        .docs(
            "6.2.0",
            "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set",
            "Returns the members that all of several sorted sets have, with their scores added up.",
        )
        .takes(&[
            arg::integer("numkeys"),
            KEY.multiple(),
            arg::integer("weight").after("WEIGHTS").optional().multiple(),
            arg::one_of("aggregate", &[arg::word("SUM"), arg::word("MIN"), arg::word("MAX")])
                .after("AGGREGATE")
                .optional(),
            arg::word("WITHSCORES").optional(),
        ]),
    row("zintercard", -3, Keys::counted(1, None).with(&[RO, ACCESS]), &[READONLY], zintercard)
        .docs(
            "7.0.0",
            "O(N*K) worst case with N being the smallest input sorted set",
            "Returns how many members all of several sorted sets have.",
        )
        .takes(&[arg::integer("numkeys"), KEY.multiple(), arg::integer("limit").after("LIMIT").optional()]),
    row(
        "zinterstore",
        -4,
        Keys::counted(2, Some(1)).with(&[OW, UPDATE]).and(&[RO, ACCESS]),
        &[WRITE, DENYOOM],
        zinterstore,
    )
    .docs(
        "2.0.0",
        "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set",
        "Keeps the members that all of several sorted sets have in a key.",
    )
    .takes(&[
        arg::key("destination", 0),
        arg::integer("numkeys"),
        arg::key("key", 1).multiple(),
        arg::integer("weight").after("WEIGHTS").optional().multiple(),
        arg::one_of("aggregate", &[arg::word("SUM"), arg::word("MIN"), arg::word("MAX")])
            .after("AGGREGATE")
            .optional(),
    ]),
    row("zdiff", -3, Keys::counted(1, None).with(&[RO, ACCESS]), &[READONLY], zdiff)
        .docs(
            "6.2.0",
            "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets",
            "Returns the members of the first sorted set that none of the others has.",
        )
        .takes(&[arg::integer("numkeys"), KEY.multiple(), arg::word("WITHSCORES").optional()]),
    row(
        "zdiffstore",
        -4,
        Keys::counted(2, Some(1)).with(&[OW, UPDATE]).and(&[RO, ACCESS]),
        &[WRITE, DENYOOM],
        zdiffstore,
    )
    .docs(
        "6.2.0",
        "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets",
        "Keeps the members of the first sorted set that none of the others has in a key.",
    )
    .takes(&[arg::key("destination", 0), arg::integer("numkeys"), arg::key("key", 1).multiple()]),
];

fn zunion(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    answer(txn, args, Operation::Union, "zunion")
}

fn zunionstore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    store(txn, args, Operation::Union, "zunionstore")
}

fn zinter(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    answer(txn, args, Operation::Inter, "zinter")
}

fn zintercard(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut plan = Plan::sources(txn, args, 1, "zintercard")?;
    let form = Form { stores: false, counts: true, ..Form::of(Operation::Inter) };
    plan.options(args, form)?;
    Ok(Reply::Integer(plan.run(txn, args, Operation::Inter)?.len() as i64))
}

fn zinterstore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    store(txn, args, Operation::Inter, "zinterstore")
}

fn zdiff(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    answer(txn, args, Operation::Diff, "zdiff")
}

fn zdiffstore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    store(txn, args, Operation::Diff, "zdiffstore")
}

fn answer(txn: &mut Txn<'_>, args: &Args<'_>, operation: Operation, name: &str) -> Result<Reply> {
    let mut plan = Plan::sources(txn, args, 1, name)?;
    plan.options(args, Form { stores: false, ..Form::of(operation) })?;
    let mut found = plan.run(txn, args, operation)?;
    sort(&mut found);
    Ok(reply(found, plan.with_scores))
}

fn store(txn: &mut Txn<'_>, args: &Args<'_>, operation: Operation, name: &str) -> Result<Reply> {
    let mut plan = Plan::sources(txn, args, 2, name)?;
    plan.options(args, Form { stores: true, ..Form::of(operation) })?;
    let mut found = plan.run(txn, args, operation)?;
    sort(&mut found);
    Ok(Reply::Integer(txn.store_sorted(args.get(1), &found)? as i64))
}

/// Puts members in the order of a sorted set.
pub(in crate::families) fn sort(found: &mut [Scored]) {
    found.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal).then_with(|| a.0.cmp(&b.0)));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// Which options a command takes.
#[derive(Clone, Copy)]
struct Form {
    operation: Operation,
    stores: bool,
    counts: bool,
}

impl Form {
    fn of(operation: Operation) -> Self {
        Self { operation, stores: false, counts: false }
    }
}

/// How the scores of one member become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            // Infinities of both signs come to nothing.
            Self::Sum => number(a + b),
            Self::Min if b < a => b,
            Self::Max if b > a => b,
            Self::Min | Self::Max => a,
        }
    }
}

fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// A set or sorted set, by the argument that names it.
#[derive(Clone, Copy, Debug)]
struct Source {
    at: usize,
    len: u64,
    weight: f64,
    kind: Option<Kind>,
}

impl Source {
    /// A member's score, by its weight, which may be no number; 1 in a set.
    fn score(&self, txn: &mut Txn<'_>, args: &Args<'_>, member: &[u8]) -> Result<Option<f64>> {
        let key = args.get(self.at);
        let score = match self.kind {
            Some(Kind::Set) => match txn.set_at(key)? {
                Some(mut set) => set.contains(member)?.then_some(1.0),
                None => None,
            },
            Some(_) => match txn.sorted_set(key)? {
                Some(mut set) => set.score(member)?,
                None => None,
            },
            None => None,
        };
        Ok(score.map(|score| score * self.weight))
    }

    fn cursor(&self, txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Option<Cursor>> {
        let key = args.get(self.at);
        Ok(match self.kind {
            Some(Kind::Set) => txn.set_at(key)?.map(|mut set| set.cursor()).transpose()?,
            Some(_) => txn.sorted_set(key)?.map(|mut set| set.cursor()).transpose()?,
            None => None,
        })
    }

    /// What a cursor's payload means.
    fn weighted(&self, payload: &[u8]) -> f64 {
        let score = if self.kind == Some(Kind::Set) { 1.0 } else { score_of(payload) };
        number(score * self.weight)
    }
}

struct Plan {
    sources: Vec<Source>,
    /// Where the options begin.
    rest: usize,
    aggregate: Aggregate,
    with_scores: bool,
    limit: u64,
}

impl Plan {
    /// The keys, whose number stands at `at`.
    fn sources(txn: &mut Txn<'_>, args: &Args<'_>, at: usize, name: &str) -> Result<Self> {
        let count = args.int(at)?;
        let count = usize::try_from(count).ok().filter(|count| *count > 0);
        let count = count
            .ok_or_else(|| Error::text(format!("ERR at least 1 input key is needed for '{name}' command")))?;
        let keys: Range<usize> = at + 1..at.saturating_add(1).saturating_add(count);
        if keys.end > args.len() {
            return Err(Error::SYNTAX);
        }
        let rest = keys.end;
        let mut sources = Vec::with_capacity(count);
        for at in keys {
            let (len, kind) = match txn.get(args.get(at))? {
                Some(record) if matches!(record.kind, Kind::Set | Kind::SortedSet) => {
                    (txn.collection_len(&record)?, Some(record.kind))
                }
                Some(_) => return Err(Error::WRONG_TYPE),
                None => (0, None),
            };
            sources.push(Source { at, len, weight: 1.0, kind });
        }
        Ok(Self { sources, rest, aggregate: Aggregate::Sum, with_scores: false, limit: u64::MAX })
    }

    fn options(&mut self, args: &Args<'_>, form: Form) -> Result<()> {
        let combines = form.operation != Operation::Diff && !form.counts;
        let mut at = self.rest;
        while at < args.len() {
            let left = args.len() - at;
            if combines && left > self.sources.len() && args.is(at, "weights") {
                for source in &mut self.sources {
                    at += 1;
                    source.weight = resp::parse_f64(args.get(at))
                        .ok_or(Error::line("ERR weight value is not a float"))?;
                }
            } else if combines && left >= 2 && args.is(at, "aggregate") {
                at += 1;
                self.aggregate = match () {
                    () if args.is(at, "sum") => Aggregate::Sum,
                    () if args.is(at, "min") => Aggregate::Min,
                    () if args.is(at, "max") => Aggregate::Max,
                    () => return Err(Error::SYNTAX),
                };
            } else if !form.stores && !form.counts && args.is(at, "withscores") {
                self.with_scores = true;
            } else if form.counts && left >= 2 && args.is(at, "limit") {
                at += 1;
                let limit = positive(args, at, "ERR LIMIT can't be negative")?;
                self.limit = if limit == 0 { u64::MAX } else { limit };
            } else {
                return Err(Error::SYNTAX);
            }
            at += 1;
        }
        Ok(())
    }

    fn run(&mut self, txn: &mut Txn<'_>, args: &Args<'_>, operation: Operation) -> Result<Vec<Scored>> {
        if operation != Operation::Diff {
            // The smallest first: it is gone through where all must have a member. Scores are added up in
            // this order.
            self.sources.sort_by_key(|source| source.len);
        }
        match operation {
            Operation::Union => self.union(txn, args),
            Operation::Inter => self.walk_first(txn, args, |plan, txn, member, first| {
                let mut score = first;
                for source in plan.sources.iter().skip(1) {
                    let Some(other) = source.score(txn, args, member)? else { return Ok(None) };
                    score = plan.aggregate.of(score, other);
                }
                Ok(Some(score))
            }),
            Operation::Diff => self.walk_first(txn, args, |plan, txn, member, first| {
                for source in plan.sources.iter().skip(1) {
                    if source.score(txn, args, member)?.is_some() {
                        return Ok(None);
                    }
                }
                Ok(Some(first))
            }),
        }
    }

    /// Goes through the first source; `kept` says which members are kept, and with which score.
    fn walk_first(
        &self,
        txn: &mut Txn<'_>,
        args: &Args<'_>,
        kept: impl Fn(&Self, &mut Txn<'_>, &[u8], f64) -> Result<Option<f64>>,
    ) -> Result<Vec<Scored>> {
        let mut found = Vec::new();
        let Some(first) = self.sources.first() else { return Ok(found) };
        let Some(mut cursor) = first.cursor(txn, args)? else { return Ok(found) };
        while (found.len() as u64) < self.limit
            && let Some(placed) = cursor.next(txn)?
        {
            txn.spend(1, placed.member.len())?;
            if let Some(score) = kept(self, txn, &placed.member, first.weighted(&placed.payload))? {
                found.push((placed.member, score));
            }
        }
        Ok(found)
    }

    /// All sources at once, in the order that all have.
    fn union(&self, txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Vec<Scored>> {
        let mut cursors = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            if let Some(cursor) = source.cursor(txn, args)? {
                cursors.push((source, cursor));
            }
        }
        let mut found = Vec::new();
        loop {
            let mut least: Option<(u64, Vec<u8>)> = None;
            for (_, cursor) in &mut cursors {
                if let Some(placed) = cursor.peek(txn)?
                    && least.as_ref().is_none_or(|(at, member)| (placed.at, &placed.member) < (*at, member))
                {
                    least = Some((placed.at, placed.member.clone()));
                }
            }
            let Some((_, member)) = least else { return Ok(found) };
            txn.spend(1, member.len())?;
            let mut total = None;
            for (source, cursor) in &mut cursors {
                if cursor.peek(txn)?.is_none_or(|placed| placed.member != member) {
                    continue;
                }
                let score = cursor.next(txn)?.map_or(0.0, |placed| source.weighted(&placed.payload));
                total = Some(total.map_or(score, |total| self.aggregate.of(total, score)));
            }
            found.push((member, total.unwrap_or(0.0)));
        }
    }
}

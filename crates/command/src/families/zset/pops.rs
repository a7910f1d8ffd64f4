//! Taking the members at the ends, and waiting for some where there are none.

use store::Kind;

use super::*;
use crate::arg::{self, KEY};
use crate::families::{count_option, counted_keys, key, positive};
use crate::row::access::{ACCESS, DELETE, RW};
use crate::row::flags::{BLOCKING, FAST, WRITE};
use crate::wait::{Wait, timeout};

pub(crate) const COMMANDS: &[Command] = &[
    row("zpopmin", -2, key(&[RW, ACCESS, DELETE]), &[WRITE, FAST], zpopmin)
        .docs("5.0.0", "O(log(N)*M) with N being the number of elements in the sorted set", "Takes the members with the lowest scores.")
        .takes(&[KEY, arg::integer("count").optional()]),
    row("zpopmax", -2, key(&[RW, ACCESS, DELETE]), &[WRITE, FAST], zpopmax)
        .docs("5.0.0", "O(log(N)*M) with N being the number of elements in the sorted set", "Takes the members with the highest scores.")
        .takes(&[KEY, arg::integer("count").optional()]),
    row("zmpop", -4, Keys::counted(1, None).with(&[RW, ACCESS, DELETE]), &[WRITE], zmpop)
        .docs("7.0.0", "O(K) + O(M*log(N)) where K is the number of provided keys", "Takes the members with the lowest or highest scores of the first of several sorted sets that has some.")
        .takes(&[arg::integer("numkeys"), KEY.multiple(), arg::one_of("where", &[arg::word("MIN"), arg::word("MAX")]), arg::integer("count").after("COUNT").optional()]),
    row("bzpopmin", -3, Keys::range(1, -2, 1).with(&[RW, ACCESS, DELETE]), &[WRITE, BLOCKING, FAST], bzpopmin)
        .docs("5.0.0", "O(log(N)) with N being the number of elements in the sorted set", "Takes the member with the lowest score of the first sorted set that has one, and waits if none has.")
        .takes(&[KEY.multiple(), arg::double("timeout")]),
    row("bzpopmax", -3, Keys::range(1, -2, 1).with(&[RW, ACCESS, DELETE]), &[WRITE, BLOCKING, FAST], bzpopmax)
        .docs("5.0.0", "O(log(N)) with N being the number of elements in the sorted set", "Takes the member with the highest score of the first sorted set that has one, and waits if none has.")
        .takes(&[KEY.multiple(), arg::double("timeout")]),
    row("bzmpop", -5, Keys::counted(2, None).with(&[RW, ACCESS, DELETE]), &[WRITE, BLOCKING], bzmpop)
        .docs("7.0.0", "O(K) + O(M*log(N)) where K is the number of provided keys", "Takes the members with the lowest or highest scores of the first of several sorted sets that has some, and waits if none has.")
        .takes(&[arg::double("timeout"), arg::integer("numkeys"), KEY.multiple(), arg::one_of("where", &[arg::word("MIN"), arg::word("MAX")]), arg::integer("count").after("COUNT").optional()]),
];

fn zpopmin(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    pop(txn, args, End::Min)
}

fn zpopmax(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    pop(txn, args, End::Max)
}

fn zmpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Ok(Pops::parse(args, 1)?.take(txn, args)?.unwrap_or(Reply::NullArray))
}

fn bzpopmin(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    pop_or_wait(txn, args, End::Min)
}

fn bzpopmax(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    pop_or_wait(txn, args, End::Max)
}

fn bzmpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let pops = Pops::parse(args, 2)?;
    let timeout_ms = timeout(args, 1)?;
    match pops.take(txn, args)? {
        Some(reply) => Ok(reply),
        None => {
            let (kind, otherwise) = (Kind::SortedSet, Reply::NullArray);
            Err(Wait::new(pops.keys, kind, timeout_ms, otherwise).into())
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

/// Takes up to so many members, the outermost first.
fn take(txn: &mut Txn<'_>, key: &[u8], end: End, count: u64) -> Result<Vec<Scored>> {
    let Some(mut set) = txn.sorted_set(key)? else { return Ok(Vec::new()) };
    let len = set.count()?;
    let count = count.min(len);
    let mut taken = set.remove_ranks(if end == End::Min { 0..count } else { len - count..len })?;
    if end == End::Max {
        taken.reverse();
    }
    Ok(taken)
}

fn pop(txn: &mut Txn<'_>, args: &Args<'_>, end: End) -> Result<Reply> {
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    if args.len() == 3 {
        let count = positive(args, 2, "ERR value is out of range, must be positive")?;
        return Ok(reply(take(txn, args.get(1), end, count)?, true));
    }
    let taken = take(txn, args.get(1), end, 1)?.pop();
    Ok(Reply::Array(
        taken.map_or_else(Vec::new, |(member, score)| vec![Reply::bulk(member), Reply::Double(score)]),
    ))
}

fn pop_or_wait(txn: &mut Txn<'_>, args: &Args<'_>, end: End) -> Result<Reply> {
    let last = args.len() - 1;
    let timeout_ms = timeout(args, last)?;
    for key in args.from(1).take(last - 1) {
        if let Some((member, score)) = take(txn, key, end, 1)?.pop() {
            return Ok(Reply::Array(vec![Reply::copied(key), Reply::bulk(member), Reply::Double(score)]));
        }
    }
    let (kind, otherwise) = (Kind::SortedSet, Reply::NullArray);
    Err(Wait::new(1..last, kind, timeout_ms, otherwise).into())
}

/// What ZMPOP and BZMPOP are told.
struct Pops {
    keys: std::ops::Range<usize>,
    end: End,
    count: u64,
}

impl Pops {
    /// `at` is where the number of keys stands.
    fn parse(args: &Args<'_>, at: usize) -> Result<Self> {
        let keys = counted_keys(args, at)?;
        if keys.end >= args.len() {
            return Err(Error::SYNTAX);
        }
        let end = match () {
            () if args.is(keys.end, "min") => End::Min,
            () if args.is(keys.end, "max") => End::Max,
            () => return Err(Error::SYNTAX),
        };
        let count = count_option(args, keys.end + 1)?;
        Ok(Self { keys, end, count })
    }

    fn take(&self, txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Option<Reply>> {
        for at in self.keys.clone() {
            let taken = take(txn, args.get(at), self.end, self.count)?;
            if !taken.is_empty() {
                let pair = |(member, score)| Reply::Array(vec![Reply::bulk(member), Reply::Double(score)]);
                let taken = taken.into_iter().map(pair).collect();
                return Ok(Some(Reply::Array(vec![Reply::copied(args.get(at)), Reply::Array(taken)])));
            }
        }
        Ok(None)
    }
}

//! What several sets have in common, together, or apart. Members flow through: none of the sets is held.

use std::ops::Range;

use store::{Cursor, SetBuilder};

use super::*;
use crate::arg::{self, KEY};
use crate::args::OwnedArgs;
use crate::families::{counted_keys, positive};
use crate::paged::{Feed, Page, Progress, Shape, answer};
use crate::row::access::{ACCESS, OW, RO, UPDATE};
use crate::row::flags::{DENYOOM, READONLY, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("sinter", -2, Keys::rest(1).with(&[RO, ACCESS]), &[READONLY], sinter)
        .docs(
            "1.0.0",
            "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets",
            "Returns the members that all of several sets have.",
        )
        .tips(&["nondeterministic_output_order"])
        .takes(&[KEY.multiple()]),
    row("sintercard", -3, Keys::counted(1, None).with(&[RO, ACCESS]), &[READONLY], sintercard)
        .docs(
            "7.0.0",
            "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets",
            "Returns how many members all of several sets have.",
        )
        .takes(&[arg::integer("numkeys"), KEY.multiple(), arg::integer("limit").after("LIMIT").optional()]),
    row(
        "sinterstore",
        -3,
        Keys::destination().with(&[OW, UPDATE]).and(&[RO, ACCESS]),
        &[WRITE, DENYOOM],
        sinterstore,
    )
    .docs(
        "1.0.0",
        "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets",
        "Keeps the members that all of several sets have in a key.",
    )
    .takes(&[arg::key("destination", 0), arg::key("key", 1).multiple()]),
    row("sunion", -2, Keys::rest(1).with(&[RO, ACCESS]), &[READONLY], sunion)
        .docs(
            "1.0.0",
            "O(N) where N is the total number of elements in all given sets",
            "Returns the members that any of several sets has.",
        )
        .tips(&["nondeterministic_output_order"])
        .takes(&[KEY.multiple()]),
    row(
        "sunionstore",
        -3,
        Keys::destination().with(&[OW, UPDATE]).and(&[RO, ACCESS]),
        &[WRITE, DENYOOM],
        sunionstore,
    )
    .docs(
        "1.0.0",
        "O(N) where N is the total number of elements in all given sets",
        "Keeps the members that any of several sets has in a key.",
    )
    .takes(&[arg::key("destination", 0), arg::key("key", 1).multiple()]),
    row("sdiff", -2, Keys::rest(1).with(&[RO, ACCESS]), &[READONLY], sdiff)
        .docs(
            "1.0.0",
            "O(N) where N is the total number of elements in all given sets",
            "Returns the members of the first set that none of the others has.",
        )
        .tips(&["nondeterministic_output_order"])
        .takes(&[KEY.multiple()]),
    row(
        "sdiffstore",
        -3,
        Keys::destination().with(&[OW, UPDATE]).and(&[RO, ACCESS]),
        &[WRITE, DENYOOM],
        sdiffstore,
    )
    .docs(
        "1.0.0",
        "O(N) where N is the total number of elements in all given sets",
        "Keeps the members of the first set that none of the others has in a key.",
    )
    .takes(&[arg::key("destination", 0), arg::key("key", 1).multiple()]),
];

fn sinter(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    reply(txn, args, Operation::Inter)
}

fn sintercard(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let keys = counted_keys(args, 1)?;
    if keys.end > args.len() {
        return Err(Error::line("ERR Number of keys can't be greater than number of args"));
    }
    let mut limit = u64::MAX;
    for at in (keys.end..args.len()).step_by(2) {
        if !args.is(at, "limit") || at + 1 >= args.len() {
            return Err(Error::SYNTAX);
        }
        let count = positive(args, at + 1, "ERR LIMIT can't be negative")?;
        limit = if count == 0 { u64::MAX } else { count };
    }
    let mut members = Members::open(txn, args, keys, Operation::Inter)?;
    let mut count = 0;
    while count < limit && members.next(txn, args)?.is_some() {
        count += 1;
    }
    Ok(Reply::Integer(count as i64))
}

fn sinterstore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    store(txn, args, Operation::Inter)
}

fn sunion(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    reply(txn, args, Operation::Union)
}

fn sunionstore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    store(txn, args, Operation::Union)
}

fn sdiff(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    reply(txn, args, Operation::Diff)
}

fn sdiffstore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    store(txn, args, Operation::Diff)
}

fn reply(txn: &mut Txn<'_>, args: &Args<'_>, operation: Operation) -> Result<Reply> {
    answer(txn, Shape::Set, || Combined { args: args.to_owned(), operation, members: None })
}

fn store(txn: &mut Txn<'_>, args: &Args<'_>, operation: Operation) -> Result<Reply> {
    let mut members = Members::open(txn, args, 2..args.len(), operation)?;
    let mut builder = SetBuilder::new(args.get(1), members.of_integers);
    while let Some(member) = members.next(txn, args)? {
        builder.add(txn, member)?;
    }
    Ok(Reply::Integer(builder.store(txn, args.get(1))? as i64))
}

/// Tells the members of a result.
struct Combined {
    args: OwnedArgs,
    operation: Operation,
    /// Once it has begun.
    members: Option<Members>,
}

impl Feed for Combined {
    fn count(&mut self, _: &mut Txn<'_>) -> Result<Option<u64>> {
        Ok(None)
    }

    fn fill(&mut self, txn: &mut Txn<'_>, page: &mut Page) -> Result<Progress> {
        let args = self.args.as_args();
        let members = match &mut self.members {
            Some(members) => members,
            None => self.members.insert(Members::open(txn, &args, 1..args.len(), self.operation)?),
        };
        while !page.is_full() {
            let Some(member) = members.next(txn, &args)? else { return Ok(Progress::Done) };
            txn.spend(1, member.len())?;
            page.bulk(&member);
        }
        Ok(Progress::More)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Inter,
    Union,
    Diff,
}

/// The members of a result, one by one.
struct Members {
    operation: Operation,
    cursors: Vec<Cursor>,
    /// The other sets, which are asked for each member.
    others: Vec<usize>,
    /// The result begins as a set of integers: that of an intersection only where the set gone through is
    /// one.
    of_integers: bool,
    looked_at: u64,
}

/// So many members are looked at before it is forgotten where they were looked for.
const LOOKED_AT_MAX: u64 = 1024;

impl Members {
    fn open(txn: &mut Txn<'_>, args: &Args<'_>, keys: Range<usize>, operation: Operation) -> Result<Self> {
        let mut sets = Vec::with_capacity(keys.len());
        for at in keys {
            let len = match txn.set_at(args.get(at))? {
                Some(mut set) => set.count()?,
                None => 0,
            };
            sets.push((len, at));
        }
        let (walked, others): (Vec<usize>, Vec<usize>) = match operation {
            Operation::Union => (sets.iter().map(|set| set.1).collect(), Vec::new()),
            Operation::Diff => {
                let mut keys = sets.iter().map(|set| set.1);
                (keys.by_ref().take(1).collect(), keys.collect())
            }
            Operation::Inter => {
                // The smallest is gone through, and the next ones are the likeliest not to have its members.
                sets.sort_unstable();
                let mut keys = sets.iter().map(|set| set.1);
                (keys.by_ref().take(1).collect(), keys.collect())
            }
        };
        let mut cursors = Vec::with_capacity(walked.len());
        let mut of_integers = true;
        for at in walked {
            if let Some(mut set) = txn.set_at(args.get(at))? {
                of_integers &= operation != Operation::Inter || set.is_of_integers();
                cursors.push(set.cursor()?);
            }
        }
        Ok(Self { operation, cursors, others, of_integers, looked_at: 0 })
    }

    fn next(&mut self, txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Option<Vec<u8>>> {
        if self.operation == Operation::Union {
            return self.next_of_any(txn);
        }
        let Some(cursor) = self.cursors.first_mut() else { return Ok(None) };
        while let Some(placed) = cursor.next(txn)? {
            self.looked_at += 1;
            if self.looked_at.is_multiple_of(LOOKED_AT_MAX) {
                txn.forget();
            }
            let wanted = self.operation == Operation::Inter;
            if self.others.iter().try_fold(true, |kept, &at| -> Result<bool> {
                if !kept {
                    return Ok(false);
                }
                let found = match txn.set_at(args.get(at))? {
                    Some(mut set) => set.contains(&placed.member)?,
                    None => false,
                };
                Ok(found == wanted)
            })? {
                return Ok(Some(placed.member));
            }
        }
        Ok(None)
    }

    /// All go by the same order: the least of where they are is next.
    fn next_of_any(&mut self, txn: &mut Txn<'_>) -> Result<Option<Vec<u8>>> {
        let mut least = None;
        for cursor in &mut self.cursors {
            if let Some(placed) = cursor.peek(txn)?
                && least.as_ref().is_none_or(|least| placed < least)
            {
                least = Some(placed.clone());
            }
        }
        let Some(least) = least else { return Ok(None) };
        for cursor in &mut self.cursors {
            if cursor.peek(txn)?.is_some_and(|placed| *placed == least) {
                cursor.next(txn)?;
            }
        }
        Ok(Some(least.member))
    }
}

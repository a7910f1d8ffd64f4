//! Lists.

pub(super) mod blocking;
pub(super) mod ends;
pub(super) mod items;

use resp::{Blob, Reply};
use store::{End, Piece, Txn};

use super::{blob, row as row_of};
use crate::args::Args;
use crate::error::{Error, Result};
use crate::row::{Command, Flags, Keys, Run};

const fn row(name: &'static str, arity: i32, keys: Keys, flags: &[Flags], run: Run) -> Command {
    row_of("list", name, arity, keys, flags, run)
}

/// LEFT or RIGHT.
fn end(args: &Args<'_>, at: usize) -> Result<End> {
    if args.is(at, "left") {
        Ok(End::Head)
    } else if args.is(at, "right") {
        Ok(End::Tail)
    } else {
        Err(Error::SYNTAX)
    }
}

fn items(pieces: Vec<Piece>) -> Reply {
    Reply::Array(pieces.into_iter().map(|piece| Reply::Bulk(blob(piece))).collect())
}

/// Takes one item from an end of a list.
fn pop_one(txn: &mut Txn<'_>, key: &[u8], end: End) -> Result<Option<Blob>> {
    let Some(mut list) = txn.list(key)? else { return Ok(None) };
    Ok(list.pop(end, 1)?.pop().map(blob))
}

/// What LMPOP and BLMPOP are told: from which keys, which end, and how many items.
struct Pops {
    keys: std::ops::Range<usize>,
    end: End,
    count: u64,
}

impl Pops {
    /// `at` is where the number of keys stands.
    fn parse(args: &Args<'_>, at: usize) -> Result<Self> {
        let keys = crate::families::counted_keys(args, at)?;
        if keys.end >= args.len() {
            return Err(Error::SYNTAX);
        }
        let end = end(args, keys.end)?;
        let count = crate::families::count_option(args, keys.end + 1)?;
        Ok(Self { keys, end, count })
    }

    /// Takes items from the first list that has some, with its key.
    fn take(&self, txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Option<Reply>> {
        for at in self.keys.clone() {
            let key = args.get(at);
            let Some(mut list) = txn.list(key)? else { continue };
            let taken = list.pop(self.end, self.count)?;
            return Ok(Some(Reply::Array(vec![Reply::copied(key), items(taken)])));
        }
        Ok(None)
    }
}

/// Takes an item from one list and adds it to another, or the same.
fn move_item(txn: &mut Txn<'_>, from: &[u8], to: &[u8], (take, add): (End, End)) -> Result<Option<Reply>> {
    let Some(mut source) = txn.list(from)? else { return Ok(None) };
    if from == to {
        let Some(item) = source.pop(take, 1)?.pop() else { return Ok(None) };
        source.push(add, [item.as_slice()].into_iter())?;
        return Ok(Some(Reply::Bulk(blob(item))));
    }
    drop(source);
    // The type of the destination matters before anything is taken.
    drop(txn.list(to)?);
    let Some(item) = pop_one(txn, from, take)? else { return Ok(None) };
    txn.list_or_new(to)?.push(add, [item.as_slice()].into_iter())?;
    Ok(Some(Reply::Bulk(item)))
}

//! Whole databases.

use resp::Reply;
use store::Txn;

use super::row as row_of;
use crate::arg::{self, Arg};
use crate::args::{Args, database};
use crate::error::{Error, Result};
use crate::row::flags::{DANGEROUS, FANOUT, FAST, KEYSPACE, READONLY, SECTION, WRITE};
use crate::row::{Command, Flags, Keys, Run};

const fn row(name: &'static str, arity: i32, flags: &[Flags], run: Run) -> Command {
    row_of("server", name, arity, Keys::NONE, flags, run)
}

const EVERYWHERE: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const FLUSH_TYPE: Arg =
    arg::one_of("flush-type", &[arg::word("ASYNC").since("4.0.0"), arg::word("SYNC").since("6.2.0")])
        .optional();

pub(crate) const COMMANDS: &[Command] = &[
    row("dbsize", 1, &[READONLY, FAST, KEYSPACE, SECTION, FANOUT], dbsize)
        .docs("1.0.0", "O(1)", "Returns how many keys the selected database holds.")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    row("flushdb", -1, &[WRITE, KEYSPACE, DANGEROUS, FANOUT], flushdb)
        .docs("1.0.0", "O(1)", "Removes all keys of the selected database.")
        .tips(EVERYWHERE)
        .takes(&[FLUSH_TYPE]),
    row("flushall", -1, &[WRITE, KEYSPACE, DANGEROUS, FANOUT], flushall)
        .docs("1.0.0", "O(1)", "Removes all keys of all databases.")
        .tips(EVERYWHERE)
        .takes(&[FLUSH_TYPE]),
    row("swapdb", 3, &[WRITE, FAST, KEYSPACE, DANGEROUS, FANOUT], swapdb)
        .docs("4.0.0", "O(1)", "Exchanges two databases.")
        .takes(&[arg::integer("index1"), arg::integer("index2")]),
];

fn dbsize(txn: &mut Txn<'_>, _: &Args<'_>) -> Result<Reply> {
    Ok(Reply::Integer(txn.counts(txn.database())?.keys))
}

fn flushdb(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    check_flush(args)?;
    txn.flush(txn.database())?;
    Ok(Reply::Ok)
}

fn flushall(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    check_flush(args)?;
    for database in 0..base::limits::DATABASES {
        txn.flush(database as u8)?;
    }
    Ok(Reply::Ok)
}

fn swapdb(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let number = |at, why| {
        let number = args.int(at).ok().filter(|number| i32::try_from(*number).is_ok());
        number.ok_or(Error::line(why))
    };
    let first = number(1, "ERR invalid first DB index")?;
    let second = number(2, "ERR invalid second DB index")?;
    let (first, second) = (database(first)?, database(second)?);
    if first != second {
        txn.swap(first, second);
    }
    Ok(Reply::Ok)
}

/// Both ways to flush are the same here: what is unreachable is reclaimed in the background.
fn check_flush(args: &Args<'_>) -> Result<()> {
    let known = args.is(1, "sync") || args.is(1, "async");
    match args.len() {
        1 => Ok(()),
        2 if known => Ok(()),
        _ => Err(Error::SYNTAX),
    }
}

//! Strings that are numbers.

use resp::{LongDouble, Reply, parse_i64};
use store::Encoding;

use super::*;
use crate::arg::{self, KEY};
use crate::args::Args;
use crate::error::Error;
use crate::families::key;
use crate::row::access::{ACCESS, RW, UPDATE};
use crate::row::flags::{DENYOOM, FAST, WRITE};

const CHANGED: Keys = key(&[RW, ACCESS, UPDATE]);
const FLAGS: &[Flags] = &[WRITE, DENYOOM, FAST];

pub(crate) const COMMANDS: &[Command] = &[
    row("incr", 2, CHANGED, FLAGS, incr)
        .docs("1.0.0", "O(1)", "Adds one to the integer that a key holds.")
        .takes(&[KEY]),
    row("decr", 2, CHANGED, FLAGS, decr)
        .docs("1.0.0", "O(1)", "Subtracts one from the integer that a key holds.")
        .takes(&[KEY]),
    row("incrby", 3, CHANGED, FLAGS, incrby)
        .docs("1.0.0", "O(1)", "Adds a number to the integer that a key holds.")
        .takes(&[KEY, arg::integer("increment")]),
    row("decrby", 3, CHANGED, FLAGS, decrby)
        .docs("1.0.0", "O(1)", "Subtracts a number from the integer that a key holds.")
        .takes(&[KEY, arg::integer("decrement")]),
    row("incrbyfloat", 3, CHANGED, FLAGS, incrbyfloat)
        .docs("2.6.0", "O(1)", "Adds a number to the floating point number that a key holds.")
        .takes(&[KEY, arg::double("increment")]),
];

fn incr(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    add(txn, args, 1)
}

fn decr(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    add(txn, args, -1)
}

fn incrby(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    add(txn, args, args.int(2)?)
}

fn decrby(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let by = args.int(2)?.checked_neg().ok_or(Error::line("ERR decrement would overflow"))?;
    add(txn, args, by)
}

fn incrbyfloat(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let record = string(txn, args.get(1))?;
    let parse = |text: &[u8]| LongDouble::parse(text).ok_or(Error::NOT_FLOAT);
    let value = match &record {
        Some(record) => digits(record).and_then(LongDouble::parse).ok_or(Error::NOT_FLOAT)?,
        None => LongDouble::ZERO,
    };
    let sum = value.checked_add(parse(args.get(2))?);
    let sum = sum.ok_or(Error::line("ERR increment would produce NaN or Infinity"))?;
    let mut text = Vec::new();
    sum.write(&mut text);
    txn.put(args.get(1), Kind::String, Encoding::Text, record.and_then(|record| record.expiry_ms), &text)?;
    Ok(Reply::bulk(text))
}

/// What may be a number: no number is long.
fn digits(record: &Record) -> Option<&[u8]> {
    (record.encoding != Encoding::Chunked).then(|| record.payload())
}

fn add(txn: &mut Txn<'_>, args: &Args<'_>, by: i64) -> Result<Reply> {
    let record = string(txn, args.get(1))?;
    let value = match &record {
        Some(record) => digits(record).and_then(parse_i64).ok_or(Error::NOT_INTEGER)?,
        None => 0,
    };
    let value = value.checked_add(by).ok_or(Error::OVERFLOW)?;
    let expiry_ms = record.and_then(|record| record.expiry_ms);
    txn.put(args.get(1), Kind::String, Encoding::Plain, expiry_ms, &Blob::integer(value))?;
    Ok(Reply::Integer(value))
}

//! Fields that are named.

use resp::{Blob, LongDouble, parse_i64};

use super::*;
use crate::arg::{self, KEY};
use crate::families::key;
use crate::row::access::{ACCESS, DELETE, INSERT, RO, RW, UPDATE};
use crate::row::flags::{DENYOOM, FAST, READONLY, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("hset", -4, key(&[RW, UPDATE]), &[WRITE, DENYOOM, FAST], hset)
        .docs(
            "2.0.0",
            "O(1) for each field/value pair added",
            "Sets fields of a hash, which is made if it is not there.",
        )
        .takes(&[KEY, arg::block("data", &[arg::string("field"), arg::string("value")]).multiple()]),
    row("hmset", -4, key(&[RW, UPDATE]), &[WRITE, DENYOOM, FAST], hmset)
        .docs("2.0.0", "O(N) where N is the number of fields being set", "Sets fields of a hash.")
        .deprecated("4.0.0", "`HSET` with multiple field-value pairs")
        .takes(&[KEY, arg::block("data", &[arg::string("field"), arg::string("value")]).multiple()]),
    row("hsetnx", 4, key(&[RW, INSERT]), &[WRITE, DENYOOM, FAST], hsetnx)
        .docs("2.0.0", "O(1)", "Sets a field of a hash if it is not there.")
        .takes(&[KEY, arg::string("field"), arg::string("value")]),
    row("hget", 3, key(&[RO, ACCESS]), &[READONLY, FAST], hget)
        .docs("2.0.0", "O(1)", "Returns a field's value.")
        .takes(&[KEY, arg::string("field")]),
    row("hmget", -3, key(&[RO, ACCESS]), &[READONLY, FAST], hmget)
        .docs(
            "2.0.0",
            "O(N) where N is the number of fields being requested",
            "Returns several fields' values.",
        )
        .takes(&[KEY, arg::string("field").multiple()]),
    row("hdel", -3, key(&[RW, DELETE]), &[WRITE, FAST], hdel)
        .docs("2.0.0", "O(N) where N is the number of fields to be removed", "Removes fields of a hash.")
        .takes(&[KEY, arg::string("field").multiple()]),
    row("hexists", 3, key(&[RO]), &[READONLY, FAST], hexists)
        .docs("2.0.0", "O(1)", "Says whether a hash has a field.")
        .takes(&[KEY, arg::string("field")]),
    row("hlen", 2, key(&[RO]), &[READONLY, FAST], hlen)
        .docs("2.0.0", "O(1)", "Returns how many fields a hash has.")
        .takes(&[KEY]),
    row("hstrlen", 3, key(&[RO]), &[READONLY, FAST], hstrlen)
        .docs("3.2.0", "O(1)", "Returns how long a field's value is.")
        .takes(&[KEY, arg::string("field")]),
    row("hincrby", 4, key(&[RW, ACCESS, UPDATE]), &[WRITE, DENYOOM, FAST], hincrby)
        .docs("2.0.0", "O(1)", "Adds to the integer that is a field's value.")
        .takes(&[KEY, arg::string("field"), arg::integer("increment")]),
    row("hincrbyfloat", 4, key(&[RW, ACCESS, UPDATE]), &[WRITE, DENYOOM, FAST], hincrbyfloat)
        .docs("2.6.0", "O(1)", "Adds to the number that is a field's value.")
        .takes(&[KEY, arg::string("field"), arg::double("increment")]),
];

fn hset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Ok(Reply::Integer(set_fields(txn, args, "hset")?))
}

fn hmset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    set_fields(txn, args, "hmset")?;
    Ok(Reply::Ok)
}

/// Says how many are new.
fn set_fields(txn: &mut Txn<'_>, args: &Args<'_>, name: &str) -> Result<i64> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::arity(name));
    }
    let mut hash = txn.hash_or_new(args.get(1))?;
    hash.expect(args.from(2).step_by(2))?;
    let mut added = 0;
    for at in (2..args.len()).step_by(2) {
        added += i64::from(hash.set(args.get(at), args.get(at + 1))?);
    }
    Ok(added)
}

fn hsetnx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut hash = txn.hash_or_new(args.get(1))?;
    if hash.get(args.get(2))?.is_some() {
        return Ok(Reply::ZERO);
    }
    hash.set(args.get(2), args.get(3))?;
    Ok(Reply::ONE)
}

fn hget(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut hash) = txn.hash(args.get(1))? else { return Ok(Reply::Null) };
    Ok(Reply::bulk_or_null(hash.get(args.get(2))?.map(blob)))
}

fn hmget(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut hash) = txn.hash(args.get(1))? else {
        return Ok(Reply::Array(args.from(2).map(|_| Reply::Null).collect()));
    };
    hash.expect(args.from(2))?;
    let mut values = Vec::with_capacity(args.len() - 2);
    for field in args.from(2) {
        values.push(Reply::bulk_or_null(hash.get(field)?.map(blob)));
    }
    Ok(Reply::Array(values))
}

fn hdel(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut hash) = txn.hash(args.get(1))? else { return Ok(Reply::ZERO) };
    hash.expect(args.from(2))?;
    let mut removed = 0;
    for field in args.from(2) {
        removed += i64::from(hash.remove(field)?);
    }
    Ok(Reply::Integer(removed))
}

fn hexists(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut hash) = txn.hash(args.get(1))? else { return Ok(Reply::ZERO) };
    Ok(Reply::Integer(i64::from(hash.get(args.get(2))?.is_some())))
}

fn hlen(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut hash) = txn.hash(args.get(1))? else { return Ok(Reply::ZERO) };
    Ok(Reply::Integer(hash.count()? as i64))
}

fn hstrlen(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut hash) = txn.hash(args.get(1))? else { return Ok(Reply::ZERO) };
    Ok(Reply::Integer(hash.get(args.get(2))?.map_or(0, |value| value.range.len()) as i64))
}

fn hincrby(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let increment = args.int(3)?;
    let mut hash = txn.hash_or_new(args.get(1))?;
    let value = match hash.get(args.get(2))? {
        Some(value) => parse_i64(value.as_slice()).ok_or(Error::line("ERR hash value is not an integer"))?,
        None => 0,
    };
    let value = value.checked_add(increment).ok_or(Error::OVERFLOW)?;
    hash.set(args.get(2), &Blob::integer(value))?;
    Ok(Reply::Integer(value))
}

fn hincrbyfloat(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let increment = LongDouble::parse(args.get(3)).ok_or(Error::NOT_FLOAT)?;
    if !increment.is_finite() {
        return Err(Error::line("ERR value is NaN or Infinity"));
    }
    let mut hash = txn.hash_or_new(args.get(1))?;
    let value = match hash.get(args.get(2))? {
        Some(value) => {
            LongDouble::parse(value.as_slice()).ok_or(Error::line("ERR hash value is not a float"))?
        }
        None => LongDouble::ZERO,
    };
    let sum = value.checked_add(increment).filter(LongDouble::is_finite);
    let sum = sum.ok_or(Error::line("ERR increment would produce NaN or Infinity"))?;
    let mut text = Vec::new();
    sum.write(&mut text);
    hash.set(args.get(2), &text)?;
    Ok(Reply::bulk(text))
}

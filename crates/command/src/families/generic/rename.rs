//! Keys under another name, in another database, or twice.

use resp::Reply;

use super::*;
use crate::arg::{self, KEY};
use crate::args::Args;
use crate::error::Error;
use crate::families::key;
use crate::row::access::{ACCESS, DELETE, INSERT, OW, RO, RW, UPDATE};
use crate::row::flags::{DENYOOM, FAST, WRITE};

const RENAMED: Keys = Keys::range(1, 2, 1).with(&[RW, ACCESS, DELETE]);
const COPIED: Keys = Keys::range(1, 2, 1).with(&[RO, ACCESS]);

pub(crate) const COMMANDS: &[Command] = &[
    row("rename", 3, RENAMED.and(&[OW, UPDATE]), &[WRITE], rename)
        .docs("1.0.0", "O(1)", "Gives a key another name; a key that had that name is overwritten.")
        .takes(&[KEY, arg::key("newkey", 1)]),
    row("renamenx", 3, RENAMED.and(&[OW, INSERT]), &[WRITE, FAST], renamenx)
        .docs("1.0.0", "O(1)", "Gives a key another name if no key has that name.")
        .takes(&[KEY, arg::key("newkey", 1)]),
    row("copy", -3, COPIED.and(&[OW, UPDATE]), &[WRITE, DENYOOM], copy)
        .docs(
            "6.2.0",
            "O(N) where N is the size of the value",
            "Copies what a key holds to another key, in this or another database.",
        )
        .takes(&[
            arg::key("source", 0),
            arg::key("destination", 1),
            arg::integer("destination-db").after("DB").optional(),
            arg::word("REPLACE").optional(),
        ]),
    row("move", 3, key(&[RW, ACCESS, UPDATE]), &[WRITE, FAST], move_key)
        .docs("1.0.0", "O(1)", "Moves a key to another database.")
        .takes(&[KEY, arg::integer("db")]),
];

fn rename(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (from, to) = (args.get(1), args.get(2));
    let record = txn.get(from)?.ok_or(Error::NO_SUCH_KEY)?;
    if from != to {
        txn.put_record(to, &record)?;
        txn.remove(from)?;
    }
    Ok(Reply::Ok)
}

fn renamenx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (from, to) = (args.get(1), args.get(2));
    let record = txn.get(from)?.ok_or(Error::NO_SUCH_KEY)?;
    if from == to || txn.get(to)?.is_some() {
        return Ok(Reply::ZERO);
    }
    txn.put_record(to, &record)?;
    txn.remove(from)?;
    Ok(Reply::ONE)
}

fn copy(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let source = txn.database();
    let (mut target, mut replace) = (source, false);
    let mut at = 3;
    while at < args.len() {
        if args.is(at, "replace") {
            replace = true;
        } else if args.is(at, "db") && at + 1 < args.len() {
            at += 1;
            target = args.database(at)?;
        } else {
            return Err(Error::SYNTAX);
        }
        at += 1;
    }
    let (from, to) = (args.get(1), args.get(2));
    if source == target && from == to {
        return Err(Error::SAME_OBJECT);
    }
    let Some(record) = txn.get(from)? else { return Ok(Reply::ZERO) };
    let copied = within(txn, target, |txn| {
        if !replace && txn.get(to)?.is_some() {
            return Ok(false);
        }
        let copied = txn.copy_record(to, &record)?;
        txn.put_record(to, &copied)?;
        Ok(true)
    })?;
    Ok(Reply::Integer(i64::from(copied)))
}

fn move_key(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (key, target) = (args.get(1), args.database(2)?);
    if target == txn.database() {
        return Err(Error::SAME_OBJECT);
    }
    let Some(record) = txn.get(key)? else { return Ok(Reply::ZERO) };
    let moved = within(txn, target, |txn| {
        if txn.get(key)?.is_some() {
            return Ok(false);
        }
        txn.put_record(key, &record)?;
        Ok(true)
    })?;
    if moved {
        txn.remove(key)?;
    }
    Ok(Reply::Integer(i64::from(moved)))
}

/// Does something in another database.
fn within<T>(txn: &mut Txn<'_>, database: u8, work: impl FnOnce(&mut Txn<'_>) -> Result<T>) -> Result<T> {
    let selected = txn.database();
    txn.select(database);
    let result = work(txn);
    txn.select(selected);
    result
}

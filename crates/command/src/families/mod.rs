//! The families: a table of rows at the top of each file, and below it their functions in the same
//! order.

mod bitmap;
mod database;
mod generic;
mod hyperloglog;
mod string;
mod time;

use std::ops::Range;

use resp::{Blob, Reply};
use store::{Encoding, Kind, Record, Txn};

use crate::error::{Error, Result};
use crate::row::{Access, Arity, Command, Docs, Flags, Keys, Run};

/// Every command on data.
pub const FAMILIES: &[&[Command]] = &[
    string::basic::COMMANDS,
    string::many::COMMANDS,
    string::range::COMMANDS,
    string::number::COMMANDS,
    string::lcs::COMMANDS,
    bitmap::bit::COMMANDS,
    bitmap::range::COMMANDS,
    bitmap::operation::COMMANDS,
    bitmap::field::COMMANDS,
    hyperloglog::count::COMMANDS,
    hyperloglog::debug::COMMANDS,
    generic::keys::COMMANDS,
    generic::rename::COMMANDS,
    generic::expiry::COMMANDS,
    generic::scan::COMMANDS,
    generic::object::COMMANDS,
    generic::usage::COMMANDS,
    database::COMMANDS,
];

/// A row of a group, before its documentation.
const fn row(
    group: &'static str,
    name: &'static str,
    arity: i32,
    keys: Keys,
    flags: &[Flags],
    run: Run,
) -> Command {
    let docs = Docs { summary: "", since: "", group, complexity: "" };
    Command::new(name, Arity(arity), keys, flags, run, docs)
}

/// One key at the first place.
const fn key(access: &[Access]) -> Keys {
    Keys::one(1).with(access)
}

/// A string's record, if the key holds one.
fn string(txn: &mut Txn<'_>, key: &[u8]) -> Result<Option<Record>> {
    match txn.get(key)? {
        Some(record) if record.kind != Kind::String => Err(Error::WRONG_TYPE),
        found => Ok(found),
    }
}

/// What Redis unpacks to change it in place is `raw` from then on, even if nothing has changed.
fn make_raw(txn: &mut Txn<'_>, key: &[u8], record: &Record) -> Result<()> {
    if matches!(record.encoding, Encoding::Plain | Encoding::Text) {
        txn.put(key, record.kind, Encoding::Raw, record.expiry_ms, record.payload())?;
    }
    Ok(())
}

/// A string's value as a reply, shared with its record.
fn value(txn: &mut Txn<'_>, record: Option<&Record>) -> Result<Reply> {
    let Some(record) = record else { return Ok(Reply::Null) };
    let len = txn.string_len(record)?;
    part(txn, record, 0..len)
}

/// A part of a string's value as a reply.
fn part(txn: &mut Txn<'_>, record: &Record, range: Range<u64>) -> Result<Reply> {
    let (mut first, mut others) = (None, Vec::new());
    txn.string_pieces(record, range, |piece| {
        let blob = match piece.value.shared() {
            Some(bytes) => Blob::shared(bytes.clone(), piece.range),
            None => Blob::copy(piece.as_slice()),
        };
        if first.is_none() { first = Some(blob) } else { others.push(blob) }
    })?;
    Ok(match first {
        None => Reply::Bulk(Blob::EMPTY),
        Some(only) if others.is_empty() => Reply::Bulk(only),
        Some(first) => {
            others.insert(0, first);
            Reply::Pieces(others)
        }
    })
}

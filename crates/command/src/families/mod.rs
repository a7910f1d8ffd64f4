//! The families: a table of rows at the top of each file, and below it their functions in the same
//! order.

mod bitmap;
mod database;
mod elements;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod list;
mod set;
mod stream;
mod string;
mod time;
mod zset;

pub use generic::sort_keys::{
    OtherKeys, leaves_its_slot as sort_leaves_its_slot, reads_others as sort_reads_others,
};
pub use stream::reads::waits;

use std::ops::Range;

use resp::{Blob, Reply};
use store::{Encoding, Kind, Piece, Record, Txn};

use crate::args::Args;
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
    list::ends::COMMANDS,
    list::items::COMMANDS,
    list::blocking::COMMANDS,
    hash::fields::COMMANDS,
    hash::whole::COMMANDS,
    set::members::COMMANDS,
    set::algebra::COMMANDS,
    zset::members::COMMANDS,
    zset::ranges::COMMANDS,
    zset::pops::COMMANDS,
    zset::algebra::COMMANDS,
    stream::entries::COMMANDS,
    stream::reads::COMMANDS,
    stream::groups::COMMANDS,
    stream::claims::COMMANDS,
    stream::info::COMMANDS,
    geo::places::COMMANDS,
    geo::search::COMMANDS,
    generic::keys::COMMANDS,
    generic::rename::COMMANDS,
    generic::expiry::COMMANDS,
    generic::scan::COMMANDS,
    generic::sort::COMMANDS,
    generic::dump::COMMANDS,
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
        txn.reencode(key, record, Encoding::Raw)?;
    }
    Ok(())
}

/// A string's value as a reply, shared with its record.
fn value(txn: &mut Txn<'_>, record: Option<&Record>) -> Result<Reply> {
    let Some(record) = record else { return Ok(Reply::Null) };
    let len = txn.string_len(record)?;
    part(txn, record, 0..len)
}

/// A part of a value for a reply, shared where it is.
fn blob(piece: Piece) -> Blob {
    match piece.value.shared() {
        Some(bytes) => Blob::shared(bytes.clone(), piece.range),
        None => Blob::copy(piece.as_slice()),
    }
}

/// A number that is not negative; anything else is answered with `error`.
fn positive(args: &Args<'_>, at: usize, error: &'static str) -> Result<u64> {
    let count = args.int(at).ok().and_then(|count| u64::try_from(count).ok());
    count.ok_or(Error::line(error))
}

/// Where the keys are whose number stands at `at`. There may be fewer arguments.
fn counted_keys(args: &Args<'_>, at: usize) -> Result<Range<usize>> {
    let count = args.int(at).ok().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(Error::line("ERR numkeys should be greater than 0"))?;
    Ok(at + 1..count.saturating_add(at + 1))
}

/// `COUNT n` as the only option, from `at` on; 1 if it is not given.
fn count_option(args: &Args<'_>, at: usize) -> Result<u64> {
    if at >= args.len() {
        return Ok(1);
    }
    if !args.is(at, "count") || at + 1 >= args.len() {
        return Err(Error::SYNTAX);
    }
    let count = args.int(at + 1).ok().and_then(|count| u64::try_from(count).ok());
    let count = count.filter(|count| *count > 0).ok_or(Error::line("ERR count should be greater than 0"))?;
    if at + 2 == args.len() { Ok(count) } else { Err(Error::SYNTAX) }
}

/// The indexes from `start` to `stop`, of which negative ones count from the end, as far as there are
/// so many elements.
fn index_range(len: u64, start: i64, stop: i64) -> Range<u64> {
    let len = len as i64;
    let from_end = |index: i64| if index < 0 { index.saturating_add(len).max(0) } else { index };
    let stop = if stop < 0 { stop.saturating_add(len) } else { stop.min(len - 1) };
    let start = from_end(start);
    if start > stop { 0..0 } else { start as u64..stop as u64 + 1 }
}

/// A part of a string's value as a reply.
fn part(txn: &mut Txn<'_>, record: &Record, range: Range<u64>) -> Result<Reply> {
    let (mut first, mut others) = (None, Vec::new());
    txn.string_pieces(record, range, |piece| {
        let blob = blob(piece);
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

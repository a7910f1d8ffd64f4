//! Parts of a string: reading, overwriting, appending.

use std::ops::Range;

use base::limits;
use resp::Reply;
use store::Encoding;

use super::*;
use crate::arg::{self, KEY};
use crate::args::Args;
use crate::error::Error;
use crate::families::key;
use crate::row::access::{ACCESS, INSERT, RO, RW, UPDATE};
use crate::row::flags::{DENYOOM, FAST, READONLY, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("append", 3, key(&[RW, INSERT]), &[WRITE, DENYOOM, FAST], append)
        .docs(
            "2.0.0",
            "O(N) where N is the length of the new string",
            "Appends bytes to a string, which it creates if need be.",
        )
        .takes(&[KEY, arg::string("value")]),
    row("setrange", 4, key(&[RW, UPDATE]), &[WRITE, DENYOOM], setrange)
        .docs(
            "2.2.0",
            "O(N) where N is the length of the new string",
            "Overwrites a part of a string, with zeros in front of it where there was nothing.",
        )
        .takes(&[KEY, arg::integer("offset"), arg::string("value")]),
    row("getrange", 4, key(&[RO, ACCESS]), &[READONLY], getrange)
        .docs("2.4.0", "O(1)", "Returns a part of a string, from one offset to another.")
        .takes(&[KEY, arg::integer("start"), arg::integer("end")]),
    row("substr", 4, key(&[RO, ACCESS]), &[READONLY], getrange)
        .docs("1.0.0", "O(1)", "Returns a part of a string, from one offset to another.")
        .deprecated("2.0.0", "`GETRANGE`")
        .takes(&[KEY, arg::integer("start"), arg::integer("end")]),
];

fn append(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (key, tail) = (args.get(1), args.get(2));
    let Some(record) = string(txn, key)? else {
        txn.put_string(key, Encoding::Plain, None, tail)?;
        return Ok(length(tail.len() as u64));
    };
    let len = txn.string_len(&record)?;
    check_length(len, tail.len())?;
    Ok(length(txn.overlay_string(key, Some(&record), len, tail)?))
}

fn setrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (key, part) = (args.get(1), args.get(3));
    let offset = u64::try_from(args.int(2)?).map_err(|_| Error::line("ERR offset is out of range"))?;
    let record = string(txn, key)?;
    if part.is_empty() {
        return Ok(length(record.map_or(Ok(0), |record| txn.string_len(&record))?));
    }
    check_length(offset, part.len())?;
    Ok(length(txn.overlay_string(key, record.as_ref(), offset, part)?))
}

fn getrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (start, end) = (args.int(2)?, args.int(3)?);
    let Some(record) = string(txn, args.get(1))? else { return Ok(Reply::Bulk(Blob::EMPTY)) };
    let range = range(start, end, txn.string_len(&record)?);
    long::tell(txn, args.get(1), &record, range)
}

/// The bytes from one offset to another, both included; negative ones count from the end.
///
/// As in Redis, an end before the first byte means the first byte, unless both were negative and the
/// wrong way round.
fn range(start: i64, end: i64, len: u64) -> Range<u64> {
    if len == 0 || (start < 0 && end < 0 && start > end) {
        return 0..0;
    }
    let len = len as i64;
    let from_front = |offset: i64| if offset < 0 { len.saturating_add(offset).max(0) } else { offset };
    let (start, end) = (from_front(start), from_front(end).min(len - 1));
    if start > end { 0..0 } else { start as u64..end as u64 + 1 }
}

fn length(len: u64) -> Reply {
    Reply::Integer(len as i64)
}

/// Whether a string may be as long as two parts together.
fn check_length(a: u64, b: usize) -> Result<()> {
    let len = a.checked_add(b as u64).filter(|len| *len <= limits::BULK_BYTES_MAX as u64);
    len.map(|_| ()).ok_or(Error::TOO_LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_has_at_most_512_mebibytes() {
        assert!(check_length(512 << 20, 0).is_ok());
        assert!(check_length(512 << 20, 1).is_err());
        assert!(check_length(u64::MAX, 1).is_err());
    }

    #[test]
    fn parts_are_cut_to_the_string() {
        for (start, end, expected) in [
            (0, -1, 0..5),
            (1, 3, 1..4),
            (-3, -1, 2..5),
            (-100, 1, 0..2),
            (3, 100, 3..5),
            (5, 9, 0..0),
            (3, 1, 0..0),
            (-1, -3, 0..0),
            (0, -100, 0..1),
            (-100, -50, 0..1),
            (i64::MIN, i64::MAX, 0..5),
        ] {
            assert_eq!(range(start, end, 5), expected, "{start} {end}");
        }
        assert_eq!(range(0, -1, 0), 0..0);
    }
}

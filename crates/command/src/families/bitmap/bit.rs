//! One bit: setting and reading.

use resp::Reply;
use store::Record;

use super::*;
use crate::arg::{self, KEY};
use crate::args::Args;
use crate::families::{key, make_raw, string};
use crate::row::access::{ACCESS, RO, RW, UPDATE};
use crate::row::flags::{DENYOOM, FAST, READONLY, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("setbit", 4, key(&[RW, ACCESS, UPDATE]), &[WRITE, DENYOOM], setbit)
        .docs("2.2.0", "O(1)", "Sets or clears a bit of a string, which grows if need be.")
        .takes(&[KEY, arg::integer("offset"), arg::integer("value")]),
    row("getbit", 3, key(&[RO, ACCESS]), &[READONLY, FAST], getbit)
        .docs("2.2.0", "O(1)", "Returns a bit of a string.")
        .takes(&[KEY, arg::integer("offset")]),
];

fn setbit(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let key = args.get(1);
    let offset = bit_offset(args.get(2), 1)?;
    let bit = match args.int(3) {
        Ok(0) => false,
        Ok(1) => true,
        _ => return Err(Error::line("ERR bit is not an integer or out of range")),
    };
    let record = string(txn, key)?;
    let old = record.as_ref().map_or(Ok(None), |record| byte(txn, record, offset / 8))?;
    let mask = mask(offset);
    let before = old.unwrap_or(0);
    let after = if bit { before | mask } else { before & !mask };
    match record {
        Some(record) if old == Some(after) => make_raw(txn, key, &record)?,
        record => {
            txn.overlay_string(key, record.as_ref(), offset / 8, &[after])?;
        }
    }
    Ok(Reply::Integer(i64::from(before & mask != 0)))
}

fn getbit(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let offset = bit_offset(args.get(2), 1)?;
    let record = string(txn, args.get(1))?;
    let byte = record.map_or(Ok(None), |record| byte(txn, &record, offset / 8))?;
    Ok(Reply::Integer(i64::from(byte.unwrap_or(0) & mask(offset) != 0)))
}

fn mask(offset: u64) -> u8 {
    0x80 >> (offset % 8)
}

/// A byte of a string, if it is that long.
fn byte(txn: &mut Txn<'_>, record: &Record, at: u64) -> Result<Option<u8>> {
    if at >= txn.string_len(record)? {
        return Ok(None);
    }
    Ok(txn.search_string(record, at..at + 1, |piece| piece.as_slice().first().copied())?)
}

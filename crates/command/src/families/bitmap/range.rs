//! Many bits: counting them, and finding the first one. They are looked at piece by piece.

use std::ops::Range;

use resp::Reply;
use store::Record;

use super::*;
use crate::arg::{self, Arg, KEY};
use crate::args::Args;
use crate::families::{key, string};
use crate::row::access::{ACCESS, RO};
use crate::row::flags::READONLY;

const UNIT: Arg = arg::one_of("unit", &[arg::word("BYTE"), arg::word("BIT")]).since("7.0.0").optional();

pub(crate) const COMMANDS: &[Command] = &[
    row("bitcount", -2, key(&[RO, ACCESS]), &[READONLY], bitcount)
        .docs("2.6.0", "O(N)", "Counts the bits that are set in a string or a part of it.")
        .takes(&[KEY, arg::block("range", &[arg::integer("start"), arg::integer("end"), UNIT]).optional()]),
    row("bitpos", -3, key(&[RO, ACCESS]), &[READONLY], bitpos)
        .docs("2.8.7", "O(N)", "Finds the first bit that is set, or clear, in a string or a part of it.")
        .takes(&[
            KEY,
            arg::integer("bit"),
            arg::block(
                "range",
                &[
                    arg::integer("start"),
                    arg::block("end-unit-block", &[arg::integer("end"), UNIT]).optional(),
                ],
            )
            .optional(),
        ]),
];

fn bitcount(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let range = match args.len() {
        2 => None,
        4 | 5 => Some((args.int(2)?, args.int(3)?, unit(args, 4)?)),
        _ => return Err(Error::SYNTAX),
    };
    let Some(record) = string(txn, args.get(1))? else { return Ok(Reply::ZERO) };
    let len = txn.string_len(&record)?;
    let bits = match range {
        None => 0..len * 8,
        Some((start, end, _)) if start < 0 && end < 0 && start > end => 0..0,
        Some((start, end, unit)) => bits(start, end, unit, len),
    };
    let mut count = 0;
    look(txn, &record, bits, |bytes, bits, _| {
        count += scan::count(bytes, bits);
        None::<()>
    })?;
    Ok(Reply::Integer(count as i64))
}

fn bitpos(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let wanted = match args.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(Error::line("ERR The bit argument must be 1 or 0.")),
    };
    if args.len() > 6 {
        return Err(Error::SYNTAX);
    }
    let start = if args.len() > 3 { args.int(3)? } else { 0 };
    let unit = unit(args, 5)?;
    let end = if args.len() > 4 { Some(args.int(4)?) } else { None };
    // A key that does not exist holds as many zeros as you like.
    let Some(record) = string(txn, args.get(1))? else { return Ok(Reply::Integer(-i64::from(wanted))) };
    let bits = bits(start, end.unwrap_or(-1), unit, txn.string_len(&record)?);
    if bits.is_empty() {
        return Ok(Reply::Integer(-1));
    }
    let found = look(txn, &record, bits.clone(), |bytes, bits, first| {
        scan::find(bytes, bits, wanted).map(|at| first + at)
    })?;
    Ok(Reply::Integer(match found {
        Some(at) => at as i64,
        // Unless an end was given, zeros follow the string.
        None if !wanted && end.is_none() => bits.end as i64,
        None => -1,
    }))
}

/// What offsets count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

/// The unit that argument `at` names: bytes, if there is none.
fn unit(args: &Args<'_>, at: usize) -> Result<Unit> {
    match at {
        _ if at >= args.len() || args.is(at, "byte") => Ok(Unit::Byte),
        _ if args.is(at, "bit") => Ok(Unit::Bit),
        _ => Err(Error::SYNTAX),
    }
}

/// The bits from one offset to another, both included, of a string of `len` bytes; negative ones count
/// from the end.
fn bits(start: i64, end: i64, unit: Unit, len: u64) -> Range<u64> {
    let (width, count) = match unit {
        Unit::Byte => (8, len as i64),
        Unit::Bit => (1, len as i64 * 8),
    };
    let from_front = |offset: i64| if offset < 0 { offset.saturating_add(count).max(0) } else { offset };
    let (start, end) = (from_front(start), from_front(end).min(count - 1));
    if start > end { 0..0 } else { start as u64 * width..(end as u64 + 1) * width }
}

/// Looks at some bits of a string until something is found: at a piece's bytes, which of their bits are
/// meant, and which bit of the string is their first one.
fn look<T>(
    txn: &mut Txn<'_>,
    record: &Record,
    bits: Range<u64>,
    mut look: impl FnMut(&[u8], Range<u64>, u64) -> Option<T>,
) -> Result<Option<T>> {
    let bytes = bits.start / 8..bits.end.div_ceil(8);
    let mut next = bytes.start * 8;
    Ok(txn.search_string(record, bytes, |piece| {
        let first = next;
        next += piece.as_slice().len() as u64 * 8;
        look(piece.as_slice(), bits.start.max(first) - first..bits.end.min(next) - first, first)
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_cut_to_the_string() {
        for (start, end, expected) in [
            (0, -1, 0..5),
            (1, 3, 1..4),
            (-3, -1, 2..5),
            (-100, 1, 0..2),
            (3, 100, 3..5),
            (5, 9, 0..0),
            (3, 1, 0..0),
            (0, -100, 0..1),
            (i64::MIN, i64::MAX, 0..5),
            (i64::MAX, i64::MAX, 0..0),
        ] {
            let bytes = bits(start, end, Unit::Byte, 5);
            assert_eq!(bytes, expected.start * 8..expected.end * 8, "{start} {end}");
        }
        assert_eq!(bits(-9, -2, Unit::Bit, 2), 7..15);
        assert_eq!(bits(0, -1, Unit::Bit, 0), 0..0);
    }
}

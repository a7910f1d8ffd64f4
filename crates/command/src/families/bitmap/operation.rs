//! BITOP: strings combined bit by bit. The result is made chunk by chunk, so that neither it nor its
//! sources are ever held whole.

use std::ops::Range;

use resp::Reply;
use store::{Encoding, Record, Stop};

use super::*;
use crate::arg;
use crate::args::Args;
use crate::families::string;
use crate::row::access::{ACCESS, OW, RO, UPDATE};
use crate::row::flags::{DENYOOM, WRITE};

const KEYS: Keys = Keys::range(2, -1, 1).with(&[OW, UPDATE]).and(&[RO, ACCESS]);

pub(crate) const COMMANDS: &[Command] = &[row("bitop", -4, KEYS, &[WRITE, DENYOOM], bitop)
    .docs("2.6.0", "O(N)", "Combines strings bit by bit, and sets a key to the result.")
    .takes(&[
        arg::one_of("operation", &[arg::word("AND"), arg::word("OR"), arg::word("XOR"), arg::word("NOT")]),
        arg::key("destkey", 0),
        arg::key("key", 1).multiple(),
    ])];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

fn bitop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    const OPERATIONS: [(&str, Operation); 4] =
        [("and", Operation::And), ("or", Operation::Or), ("xor", Operation::Xor), ("not", Operation::Not)];
    let named = OPERATIONS.into_iter().find(|(name, _)| args.is(1, name));
    let (_, operation) = named.ok_or(Error::SYNTAX)?;
    if operation == Operation::Not && args.len() != 4 {
        return Err(Error::line("ERR BITOP NOT must be called with a single source key."));
    }
    let mut sources = Vec::new();
    for key in args.from(3) {
        let source = string(txn, key)?;
        let len = source.as_ref().map_or(Ok(0), |record| txn.string_len(record))?;
        sources.push((source, len));
    }
    let len = sources.iter().map(|(_, len)| *len).max().unwrap_or(0);
    if len == 0 {
        txn.remove(args.get(2))?;
        return Ok(Reply::ZERO);
    }
    txn.put_made_string(args.get(2), Encoding::Raw, len, |txn, range| {
        combine(txn, operation, &sources, range)
    })?;
    Ok(Reply::Integer(len as i64))
}

/// A part of the result. Sources that are shorter end in zeros.
fn combine(
    txn: &mut Txn<'_>,
    operation: Operation,
    sources: &[(Option<Record>, u64)],
    range: Range<u64>,
) -> std::result::Result<Vec<u8>, Stop> {
    let mut out = vec![0; (range.end - range.start) as usize];
    for (nth, (record, len)) in sources.iter().enumerate() {
        txn.spend(0, out.len())?;
        let part = range.start..range.end.min(*len);
        let mut at = 0;
        if let Some(record) = record
            && part.start < part.end
        {
            txn.string_pieces(record, part, |piece| {
                let piece = piece.as_slice();
                let place = out.get_mut(at..).unwrap_or_default();
                apply(if nth == 0 { Operation::Or } else { operation }, place, piece);
                at += piece.len();
            })?;
        }
        if operation == Operation::And {
            out.get_mut(at..).unwrap_or_default().fill(0);
        }
    }
    if operation == Operation::Not {
        out.iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(out)
}

fn apply(operation: Operation, out: &mut [u8], bytes: &[u8]) {
    let pairs = out.iter_mut().zip(bytes);
    match operation {
        Operation::And => pairs.for_each(|(out, byte)| *out &= byte),
        Operation::Or | Operation::Not => pairs.for_each(|(out, byte)| *out |= byte),
        Operation::Xor => pairs.for_each(|(out, byte)| *out ^= byte),
    }
}

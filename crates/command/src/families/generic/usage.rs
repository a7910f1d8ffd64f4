//! MEMORY USAGE: how much room a key takes.

use resp::Reply;
use store::Encoding;

use super::*;
use crate::arg::{self, KEY};
use crate::args::Args;
use crate::error::Error;
use crate::row::access::RO;
use crate::row::flags::READONLY;

/// What a key costs beside its name and value: its row in memory and in the indexes.
const OVERHEAD_BYTES: usize = 64;

/// What an element of a large collection costs, about.
const ELEMENT_BYTES: u64 = 64;

pub(crate) const COMMANDS: &[Command] =
    &[row_of("server", "memory|usage", -3, Keys::one(2).with(&[RO]), &[READONLY], usage)
        .docs("4.0.0", "O(1)", "Estimates how much room a key takes.")
        .takes(&[KEY, arg::integer("count").after("SAMPLES").optional()])];

fn usage(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    for at in (3..args.len()).step_by(2) {
        if !args.is(at, "samples") || at + 1 >= args.len() {
            return Err(Error::SYNTAX);
        }
        if args.int(at + 1)? < 0 {
            return Err(Error::SYNTAX);
        }
    }
    let key = args.get(2);
    let Some(record) = txn.get(key)? else { return Ok(Reply::Null) };
    let chunks = record.chunks().ok().flatten().map_or(0, |chunks| chunks.len);
    let elements = if matches!(record.encoding, Encoding::Wide | Encoding::Entries) {
        txn.collection_len(&record)?
    } else {
        0
    };
    let elsewhere = chunks.saturating_add(elements.saturating_mul(ELEMENT_BYTES));
    let bytes = OVERHEAD_BYTES + key.len() + record.value().len();
    Ok(Reply::Integer(bytes as i64 + i64::try_from(elsewhere).unwrap_or(i64::MAX - bytes as i64)))
}

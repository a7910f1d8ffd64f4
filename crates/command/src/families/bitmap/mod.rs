//! Bitmaps: strings whose bits are what counts. The first bit is the highest one of the first byte.
//! Bits that a string does not reach are zero.

pub(super) mod bit;
pub(super) mod field;
mod integer;
pub(super) mod operation;
mod pages;
pub(super) mod range;
mod scan;

use base::limits;
use store::Txn;

use super::row as row_of;
use crate::error::{Error, Result};
use crate::row::{Command, Flags, Keys, Run};

const fn row(name: &'static str, arity: i32, keys: Keys, flags: &[Flags], run: Run) -> Command {
    row_of("bitmap", name, arity, keys, flags, run)
}

const BIT_OFFSET: Error = Error::line("ERR bit offset is not an integer or out of range");

/// The place of a bit, times `width`. It must lie in a string that is not too long.
fn bit_offset(text: &[u8], width: i64) -> Result<u64> {
    let offset = resp::parse_i64(text).and_then(|offset| offset.checked_mul(width));
    let offset = offset.and_then(|offset| u64::try_from(offset).ok());
    offset.filter(|offset| offset / 8 < limits::BULK_BYTES_MAX as u64).ok_or(BIT_OFFSET)
}

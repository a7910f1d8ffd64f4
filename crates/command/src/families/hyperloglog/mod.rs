//! HyperLogLogs: strings that estimate how many different elements were added to them, byte for byte as
//! Redis keeps them, so that a value may be taken from one to the other.

pub(super) mod count;
pub(super) mod debug;
mod dense;
mod estimate;
mod hash;
mod sketch;
mod sparse;

use store::{Encoding, Kind, Record, Txn};

use self::sketch::{CORRUPT, HEADER_BYTES, Header, Sketch};
use super::{make_raw, row as row_of, string};
use crate::error::{Error, Result};
use crate::row::{Command, Flags, Keys, Run};

const fn row(name: &'static str, arity: i32, keys: Keys, flags: &[Flags], run: Run) -> Command {
    row_of("hyperloglog", name, arity, keys, flags, run)
}

const NOT_ONE: Error = Error::line("WRONGTYPE Key is not a valid HyperLogLog string value.");

/// What a key holds, if it holds anything.
fn load(txn: &mut Txn<'_>, key: &[u8]) -> Result<Option<(Record, Sketch)>> {
    let Some(record) = string(txn, key)? else { return Ok(None) };
    if record.encoding == Encoding::Chunked {
        return Err(too_long(txn, &record)?);
    }
    let sketch = Sketch::parse(record.payload().to_vec()).ok_or(NOT_ONE)?;
    txn.spend(0, sketch.as_bytes().len())?;
    Ok(Some((record, sketch)))
}

/// What is wrong with a string that is longer than any that says something of every register once.
fn too_long(txn: &mut Txn<'_>, record: &Record) -> Result<Error> {
    let len = txn.string_len(record)?;
    let mut header = Vec::new();
    txn.string_pieces(record, 0..HEADER_BYTES as u64, |piece| header.extend_from_slice(piece.as_slice()))?;
    Ok(if Header::parse(&header, len).is_some() { CORRUPT } else { NOT_ONE })
}

fn save(txn: &mut Txn<'_>, key: &[u8], old: Option<&Record>, sketch: &Sketch) -> Result<()> {
    let expiry_ms = old.and_then(|record| record.expiry_ms);
    Ok(txn.put(key, Kind::String, Encoding::Raw, expiry_ms, sketch.as_bytes())?)
}

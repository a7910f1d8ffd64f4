//! MEMORY USAGE: how much room a key takes.

use resp::Reply;
use store::{Encoding, Entry, Flow, Stream, StreamId};

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

/// Entries of a stream that are looked at, if nobody says how many.
const SAMPLES: u64 = 5;
/// What is pending is a record by its entry, and one by its consumer.
const PENDING_BYTES: u64 = 2 * ELEMENT_BYTES;

fn usage(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut samples = SAMPLES;
    for at in (3..args.len()).step_by(2) {
        if !args.is(at, "samples") || at + 1 >= args.len() {
            return Err(Error::SYNTAX);
        }
        samples = u64::try_from(args.int(at + 1)?).map_err(|_| Error::SYNTAX)?;
    }
    let key = args.get(2);
    let Some(record) = txn.get(key)? else { return Ok(Reply::Null) };
    let chunks = record.chunks().ok().flatten().map_or(0, |chunks| chunks.len);
    let elements = match record.encoding {
        Encoding::Wide => txn.collection_len(&record)?.saturating_mul(ELEMENT_BYTES),
        Encoding::Entries => match txn.stream(key)? {
            Some(mut stream) => stream_usage(&mut stream, if samples == 0 { u64::MAX } else { samples })?,
            None => 0,
        },
        _ => 0,
    };
    let bytes = (OVERHEAD_BYTES + key.len() + record.value().len()) as u64;
    let bytes = bytes.saturating_add(chunks).saturating_add(elements);
    Ok(Reply::Integer(i64::try_from(bytes).unwrap_or(i64::MAX)))
}

/// Entries that were looked at.
#[derive(Default)]
struct Samples {
    count: u64,
    bytes: u64,
}

impl Samples {
    fn take(&mut self, entry: &Entry<'_>, most: u64) -> Flow {
        self.count += 1;
        self.bytes = entry.texts().fold(self.bytes, |sum, text| sum.saturating_add(text.len() as u64));
        if self.count >= most { Flow::Stop } else { Flow::More }
    }
}

/// What a stream takes beside its key's record: its entries, by some of them at either end; its groups, and what is
/// pending in them.
fn stream_usage(stream: &mut Stream<'_, '_>, samples: u64) -> Result<u64> {
    let (len, mut seen) = (stream.head().len, Samples::default());
    stream.walk(StreamId::ZERO, StreamId::MAX, &mut |entry| -> Result<Flow> {
        Ok(seen.take(entry, samples.div_ceil(2)))
    })?;
    let most = samples.min(len);
    if most > seen.count {
        stream.walk_back(StreamId::ZERO, StreamId::MAX, &mut |entry| -> Result<Flow> {
            Ok(seen.take(entry, most))
        })?;
    }
    let entries = u128::from(seen.bytes) * u128::from(len) / u128::from(seen.count.max(1));
    let entries = u64::try_from(entries).unwrap_or(u64::MAX);
    let mut bytes = entries.saturating_add(len.saturating_mul(ELEMENT_BYTES));
    for (name, group) in stream.groups()? {
        bytes = bytes.saturating_add(ELEMENT_BYTES + name.len() as u64);
        for (name, consumer) in stream.consumers(&group)? {
            let pending = PENDING_BYTES + name.len() as u64;
            bytes = bytes
                .saturating_add(ELEMENT_BYTES + name.len() as u64)
                .saturating_add(consumer.pending.saturating_mul(pending));
        }
    }
    Ok(bytes)
}

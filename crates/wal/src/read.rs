//! Reads of entries that are no longer in memory.
//!
//! No lock is held meanwhile, so a segment may be recycled under a reader's hands: the records'
//! checksums show it, and the index tells it from damage.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;

use crate::{
    bounds::{READ_GAP_BYTES, READ_RUN_BYTES},
    error::WalError,
    files::{File, read_full},
    index::{Found, Index},
    record::{HEADER_BYTES, Header, Kind, Parsed, record_bytes},
    segment::Name,
    stats::Counters,
    wal::Shared,
};

/// A cold entry's record.
#[derive(Debug, Clone, Copy)]
struct Cold {
    index: u64,
    seq: u64,
    offset: u64,
    len: u32,
}

impl Cold {
    fn end(&self) -> u64 {
        self.offset + record_bytes(self.len as usize)
    }
}

pub(crate) fn read(
    shared: &Shared,
    dir: &Path,
    group: u16,
    (from, to): (u64, u64),
    max_bytes: usize,
) -> Result<Vec<(u64, Bytes)>, WalError> {
    let (found, files) = {
        let index = shared.index.lock();
        let found = index.find(group, from, to, max_bytes);
        let files = cold_files(&index, &found);
        (found, files)
    };
    let mut entries = Vec::with_capacity(found.len());
    let mut run = Vec::new();
    for (index, entry) in found {
        match entry {
            Found::Cold { seq, offset, len } => {
                let cold = Cold { index, seq, offset: u64::from(offset), len };
                if !extends(&run, &cold) && !read_run(shared, dir, group, &files, &mut run, &mut entries)? {
                    return Ok(entries);
                }
                run.push(cold);
            }
            Found::Recent(payload) => {
                if !read_run(shared, dir, group, &files, &mut run, &mut entries)? {
                    return Ok(entries);
                }
                entries.push((index, payload));
            }
        }
    }
    read_run(shared, dir, group, &files, &mut run, &mut entries)?;
    Ok(entries)
}

fn cold_files(index: &Index, found: &[(u64, Found)]) -> BTreeMap<u64, Arc<dyn File>> {
    let mut files = BTreeMap::new();
    for (_, entry) in found {
        if let Found::Cold { seq, .. } = entry
            && !files.contains_key(seq)
            && let Some(file) = index.files.get(seq)
        {
            files.insert(*seq, Arc::clone(file));
        }
    }
    files
}

/// Whether a record is read in one go with those of the run.
fn extends(run: &[Cold], next: &Cold) -> bool {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return true };
    last.seq == next.seq
        && next.offset >= last.end()
        && next.offset - last.end() <= READ_GAP_BYTES
        && next.end() - first.offset <= READ_RUN_BYTES
}

/// Reads a run with one call. False if its entries were purged or truncated in the meantime.
fn read_run(
    shared: &Shared,
    dir: &Path,
    group: u16,
    files: &BTreeMap<u64, Arc<dyn File>>,
    run: &mut Vec<Cold>,
    entries: &mut Vec<(u64, Bytes)>,
) -> Result<bool, WalError> {
    let (Some(first), Some(last)) = (run.first().copied(), run.last().copied()) else { return Ok(true) };
    let path = Name::Live(first.seq).path(dir);
    let mut bytes = vec![0; usize::try_from(last.end() - first.offset).unwrap_or(0)];
    // The file of an entry is there as long as the entry is.
    let read = match files.get(&first.seq) {
        Some(file) => read_full(&**file, first.offset, &mut bytes),
        None => Ok(0),
    };
    Counters::add(&shared.counters.reads_cold, 1);
    let bytes = match read {
        Ok(read) => Bytes::from(bytes).slice(..read),
        Err(error) => return Err(WalError::io("reading", &path, error)),
    };
    for cold in run.drain(..) {
        let at = usize::try_from(cold.offset - first.offset).unwrap_or(usize::MAX);
        match extract(&bytes, at, group, &cold) {
            Some(payload) => entries.push((cold.index, payload)),
            None if shared.index.lock().is_at(group, cold.index, cold.seq, cold.offset as u32) => {
                return Err(WalError::corrupt(&path, cold.offset, "an entry's checksum is wrong"));
            }
            None => return Ok(false),
        }
    }
    Ok(true)
}

fn extract(bytes: &Bytes, at: usize, group: u16, cold: &Cold) -> Option<Bytes> {
    let header = bytes.get(at..)?.first_chunk::<HEADER_BYTES>()?;
    let Parsed::Valid(header) = Header::parse(header, cold.seq, cold.offset) else { return None };
    let from = at + HEADER_BYTES;
    let payload = bytes.get(from..from + cold.len as usize)?;
    let expected = header.kind == Kind::Entry && header.group == group && header.index == cold.index;
    (expected && header.matches(payload)).then(|| bytes.slice_ref(payload))
}

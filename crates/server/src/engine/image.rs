//! A group's whole state as a stream of chunks: what a replica that lags too far behind is sent.
//!
//! A chunk is a sequence of records, each key and value behind their lengths. The records of the
//! replica itself (tag `M`) stay at home, except the counts, which belong to the data.

use base::Stamp;
use base::codec::{Reader, Write};
use bytes::Bytes;
use store::DiskError;
use store::apply::{Applied, Applier};
use store::disk::DiskSnapshot;
use store::keys;

/// A chunk ends at the first record that brings it to this size.
const CHUNK_BYTES: usize = 1 << 20;
/// The stamp up to which the image's writes went, as the first record of the first chunk.
const LAST_STAMP: &[u8] = b"Mlast";

/// The state as chunks, read as they are asked for.
pub fn chunks(snapshot: &DiskSnapshot) -> impl Iterator<Item = Result<Bytes, DiskError>> + Send + use<> {
    let mut records = snapshot.range(&[], None).peekable();
    std::iter::from_fn(move || {
        records.peek()?;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + 4096);
        while chunk.len() < CHUNK_BYTES {
            let (key, value) = match records.next() {
                None => break,
                Some(Ok(pair)) => pair,
                Some(Err(error)) => return Some(Err(error)),
            };
            if &*key == keys::META_APPLIED {
                if let Some(applied) = Applied::decode(&value) {
                    chunk.put_bytes(LAST_STAMP);
                    chunk.put_bytes(&applied.last.0.to_be_bytes());
                }
            } else if travels(&key) {
                chunk.put_bytes(&key);
                chunk.put_bytes(&value);
            }
        }
        Some(Ok(Bytes::from(chunk)))
    })
}

fn travels(key: &[u8]) -> bool {
    key.first() != Some(&keys::META) || key.starts_with(keys::META_COUNT_PREFIX)
}

/// Replaces a store's records by those of an image. If that is interrupted, the store says so at
/// its next start.
pub fn install(
    applier: &mut Applier,
    mut at: Applied,
    membership: &[u8],
    chunks: impl Iterator<Item = Result<Bytes, String>>,
) -> Result<(), String> {
    let disk = applier.group().disk.clone();
    let failed = |error: DiskError| error.to_string();
    disk.begin_install().map_err(failed)?;
    disk.clear().map_err(failed)?;
    for chunk in chunks {
        let chunk = chunk?;
        let mut records = Vec::new();
        let mut reader = Reader::new(&chunk);
        while !reader.is_empty() {
            let malformed = |error| format!("the image is malformed: {error}");
            let key = reader.bytes().map_err(malformed)?;
            let value = reader.bytes().map_err(malformed)?;
            if key == LAST_STAMP {
                let last = <[u8; 8]>::try_from(value).map_err(|_| "the image's stamp is malformed")?;
                at.last = Stamp(u64::from_be_bytes(last));
            } else if travels(key) {
                records.push((key, Some(value)));
            }
        }
        disk.write(records).map_err(failed)?;
    }
    disk.write([(keys::META_MEMBERSHIP, Some(membership)), (keys::META_APPLIED, Some(&at.encode()[..]))])
        .map_err(failed)?;
    disk.end_install().map_err(failed)?;
    applier.reload().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Disk, DiskOptions};

    /// What a replica of the same version is sent. Another layout needs another version in front of it.
    #[test]
    fn the_format_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(&DiskOptions::new(directory.path())).unwrap().group(0).unwrap();
        let applied = Applied { term: 1, index: 2, last: Stamp(3) };
        let records: [(&[u8], Option<&[u8]>); 4] = [
            (b"Kkey", Some(b"value")),
            (&keys::meta_count(keys::Space(7)), Some(b"count")),
            (keys::META_APPLIED, Some(&applied.encode())),
            (keys::META_MEMBERSHIP, Some(b"stays at home")),
        ];
        disk.write(records).unwrap();
        let chunks: Vec<Bytes> = chunks(&disk.snapshot()).collect::<Result<_, _>>().unwrap();
        let hex = |bytes: &Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let records = [
            "04 4b6b6579 05 76616c7565",
            "05 4d6c617374 08 0000000000000003",
            "0a 4d636f756e7400000007 05 636f756e74",
        ];
        assert_eq!(chunks.iter().map(hex).collect::<Vec<_>>(), [records.concat().replace(' ', "")]);
    }
}

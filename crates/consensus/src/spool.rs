//! A snapshot on its way in: kept in a file until the machine has installed it.
//!
//! It is installed only once it is complete and durable, so that a broken connection leaves the
//! machine as it was, and a crash in the middle of installing can be made good at the next start.
//!
//! The file: version, position, membership; then chunks, each with its length and checksum; then
//! an end mark with their number.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use base::codec::{Reader, Write as _};
use bytes::Bytes;

use crate::machine::{MachineError, Position, SnapshotImage};

const VERSION: u8 = 1;
/// In place of a chunk's length: the end.
const END: u32 = u32::MAX;
/// Larger than any chunk that is made, smaller than what would hurt.
pub(crate) const CHUNK_BYTES_MAX: usize = 16 << 20;
/// A membership of every node there can be is far smaller.
const HEAD_BYTES_MAX: u64 = 1 << 20;

/// Where one group keeps the snapshot that it receives.
pub(crate) struct Spool {
    dir: PathBuf,
    group: u16,
}

impl Spool {
    pub(crate) fn new(dir: &Path, group: u16) -> Self {
        Self { dir: dir.to_path_buf(), group }
    }

    fn part(&self) -> PathBuf {
        self.dir.join(format!("snapshot-{}.part", self.group))
    }

    fn complete(&self) -> PathBuf {
        self.dir.join(format!("snapshot-{}", self.group))
    }

    /// Begins a snapshot; an unfinished earlier one is forgotten.
    pub(crate) fn begin(&self, at: Position, membership: &[u8]) -> io::Result<SpoolWriter> {
        fs::create_dir_all(&self.dir)?;
        let mut file = File::create(self.part())?;
        let mut head = vec![VERSION];
        head.put_u64(at.term);
        head.put_u64(at.index);
        head.put_u32(u32::try_from(membership.len()).map_err(io::Error::other)?);
        head.extend_from_slice(membership);
        file.write_all(&head)?;
        Ok(SpoolWriter { file, chunks: 0 })
    }

    /// Makes the snapshot durable and complete, and opens it.
    pub(crate) fn finish(&self, mut writer: SpoolWriter, chunks: u64) -> io::Result<SnapshotImage> {
        if writer.chunks != chunks {
            return Err(io::Error::other(format!("{} of {chunks} chunks arrived", writer.chunks)));
        }
        let mut end = Vec::new();
        end.put_u32(END);
        end.put_u64(chunks);
        writer.file.write_all(&end)?;
        writer.file.sync_all()?;
        fs::rename(self.part(), self.complete())?;
        File::open(&self.dir)?.sync_all()?;
        self.open()?.ok_or_else(|| io::Error::other("the received snapshot is gone"))
    }

    /// The complete snapshot that is waiting to be installed, if there is one.
    pub(crate) fn open(&self) -> io::Result<Option<SnapshotImage>> {
        let file = match File::open(self.complete()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut file = BufReader::with_capacity(1 << 18, file);
        let mut head = [0; 21];
        file.read_exact(&mut head)?;
        let (at, len) = read_head(&head).map_err(|e| crate::codec::invalid("a received snapshot", e))?;
        let mut membership = Vec::new();
        (&mut file).take(len.min(HEAD_BYTES_MAX)).read_to_end(&mut membership)?;
        if membership.len() as u64 != len {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a received snapshot is cut short"));
        }
        let chunks = Chunks { file, count: 0, ended: false };
        Ok(Some(SnapshotImage { at, membership: membership.into(), chunks: Box::new(chunks) }))
    }

    /// The machine has installed it, or it is not wanted any more.
    pub(crate) fn installed(&self) {
        for path in [self.complete(), self.part()] {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // It is older than what is installed, so the next start ignores it.
                Err(error) => tracing::warn!("{}: {error}", path.display()),
            }
        }
    }
}

fn read_head(head: &[u8]) -> Result<(Position, u64), base::codec::DecodeError> {
    let mut reader = Reader::new(head);
    match reader.u8()? {
        VERSION => {}
        other => return Err(base::codec::DecodeError::Tag(other)),
    }
    let at = Position { term: reader.u64()?, index: reader.u64()? };
    Ok((at, u64::from(reader.u32()?)))
}

pub(crate) struct SpoolWriter {
    file: File,
    chunks: u64,
}

impl SpoolWriter {
    pub(crate) fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > CHUNK_BYTES_MAX {
            return Err(io::Error::other("a chunk of a snapshot is too large"));
        }
        let mut head = Vec::with_capacity(8);
        head.put_u32(bytes.len() as u32);
        head.put_u32(crc32fast::hash(bytes));
        self.file.write_all(&head)?;
        self.file.write_all(bytes)?;
        self.chunks += 1;
        Ok(())
    }
}

/// Reads the chunks back; stops at the first that is not whole.
struct Chunks {
    file: BufReader<File>,
    count: u64,
    ended: bool,
}

impl Chunks {
    fn u32(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.file.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn read(&mut self) -> io::Result<Option<Bytes>> {
        let len = self.u32()?;
        if len == END {
            let mut bytes = [0; 8];
            self.file.read_exact(&mut bytes)?;
            return match u64::from_be_bytes(bytes) == self.count {
                true => Ok(None),
                false => Err(io::Error::new(io::ErrorKind::InvalidData, "chunks are missing")),
            };
        }
        let crc = self.u32()?;
        if len as usize > CHUNK_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk is too large"));
        }
        let mut bytes = vec![0; len as usize];
        self.file.read_exact(&mut bytes)?;
        if crc32fast::hash(&bytes) != crc {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk is damaged"));
        }
        self.count += 1;
        Ok(Some(bytes.into()))
    }
}

impl Iterator for Chunks {
    type Item = Result<Bytes, MachineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read();
        self.ended = !matches!(read, Ok(Some(_)));
        read.map_err(|error| MachineError(format!("the received snapshot cannot be read: {error}")))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const AT: Position = Position { term: 3, index: 77 };

    fn spooled(chunks: &[&[u8]]) -> (TempDir, Spool) {
        let dir = TempDir::new().unwrap();
        let spool = Spool::new(dir.path(), 5);
        let mut writer = spool.begin(AT, b"members").unwrap();
        chunks.iter().for_each(|chunk| writer.chunk(chunk).unwrap());
        spool.finish(writer, chunks.len() as u64).unwrap();
        (dir, spool)
    }

    fn read(spool: &Spool) -> Result<Vec<Bytes>, MachineError> {
        spool.open().unwrap().unwrap().chunks.collect()
    }

    #[test]
    fn what_is_spooled_is_read_back() {
        let (_dir, spool) = spooled(&[b"one", b"", b"three"]);
        let image = spool.open().unwrap().unwrap();
        assert_eq!((image.at, &image.membership[..]), (AT, &b"members"[..]));
        assert_eq!(read(&spool).unwrap(), ["one", "", "three"]);
        spool.installed();
        assert!(spool.open().unwrap().is_none());
    }

    #[test]
    fn an_unfinished_snapshot_is_none() {
        let dir = TempDir::new().unwrap();
        let spool = Spool::new(dir.path(), 5);
        let mut writer = spool.begin(AT, b"members").unwrap();
        writer.chunk(b"one").unwrap();
        assert!(spool.finish(writer, 2).is_err());
        assert!(spool.open().unwrap().is_none());
    }

    #[test]
    fn damage_is_seen() {
        let (_dir, spool) = spooled(&[b"one", b"two"]);
        let whole = fs::read(spool.complete()).unwrap();
        for at in 28..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(spool.complete(), &damaged).unwrap();
            assert!(read(&spool).is_err(), "byte {at}");
            fs::write(spool.complete(), &whole[..at]).unwrap();
            assert!(read(&spool).is_err(), "cut at {at}");
        }
    }
}

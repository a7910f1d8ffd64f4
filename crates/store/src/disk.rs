//! The only owner of fjall: one database per node, one keyspace per group. Everything above sees
//! records, snapshots and write-backs.

use std::ops::Bound;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};

use fjall::{
    AbstractTree, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch as WriteBatch, PersistMode,
    Readable,
};
use thiserror::Error;
use threads::Class;

use crate::keys;

/// The on-disk format this build reads and writes. A node refuses what it does not know.
pub const FORMAT_VERSION: u32 = 5;
/// Those that have no streams, the first of them no named records either, and are otherwise the same.
const FORMATS_WITH_LESS: [u32; 2] = [3, 4];

#[derive(Debug, Error, Clone)]
pub enum DiskError {
    #[error("store: {0}")]
    Engine(String),
    #[error("store: the data in {path} has format {found}, this build knows {FORMAT_VERSION}")]
    Format { path: PathBuf, found: String },
    #[error(
        "store: a snapshot for group {group} was being installed in {path} when the node stopped: \
         remove the directory and let the node fetch its data again"
    )]
    Interrupted { path: PathBuf, group: u16 },
    #[error("store: there was no room on the disk")]
    NoRoom,
    #[error("store: record {key:02x?} cannot be read: {why}")]
    Corrupt { key: Vec<u8>, why: String },
}

impl DiskError {
    pub(crate) fn corrupt(key: &[u8], why: base::codec::DecodeError) -> Self {
        Self::Corrupt { key: key.to_vec(), why: why.to_string() }
    }
}

impl From<fjall::Error> for DiskError {
    fn from(error: fjall::Error) -> Self {
        Self::Engine(error.to_string())
    }
}

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct DiskOptions {
    pub path: PathBuf,
    /// Block cache, shared by all groups.
    pub cache_bytes: u64,
    /// Memtables of all groups together.
    pub write_buffer_bytes: u64,
    pub worker_threads: usize,
}

impl DiskOptions {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            cache_bytes: 64 << 20,
            write_buffer_bytes: 128 << 20,
            // One flushes while the other compacts: else memtables pile up behind a long compaction.
            worker_threads: 2,
        }
    }
}

/// The node's database.
#[derive(Clone)]
pub struct Disk {
    database: Database,
    path: PathBuf,
    memtable_bytes: u64,
}

impl Disk {
    pub fn open(options: &DiskOptions) -> Result<Self, DiskError> {
        let builder = Database::builder(&options.path)
            .cache_size(options.cache_bytes)
            .max_journaling_size(options.write_buffer_bytes.max(64 << 20) * 2)
            .manual_journal_persist(true)
            .worker_threads(options.worker_threads.max(1));
        // The engine's own threads inherit the priority of the one that opens it.
        let opening = Class::Store.spawn("open", || builder.open()).map_err(fjall::Error::from)?;
        let database = opening.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        let memtable_bytes = (options.write_buffer_bytes / 2).clamp(8 << 20, 64 << 20);
        Ok(Self { database, path: options.path.clone(), memtable_bytes })
    }

    /// Opens a group's keyspace and checks its format.
    pub fn group(&self, group: u16) -> Result<GroupDisk, DiskError> {
        let options = || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(true)
                .max_memtable_size(self.memtable_bytes)
        };
        let keyspace = self.database.keyspace(&format!("group-{group}"), options)?;
        let node = self.database.keyspace("node", options)?;
        let installing = format!("installing-{group}").into_bytes();
        let disk = GroupDisk { database: self.database.clone(), keyspace, node, installing };
        if disk.node.get(&disk.installing)?.is_some() {
            return Err(DiskError::Interrupted { path: self.path.clone(), group });
        }
        let format = disk.get(keys::META_FORMAT)?;
        match format.as_deref() {
            Some(found) if FORMATS_WITH_LESS.iter().any(|less| found == less.to_be_bytes()) => {
                disk.write([(keys::META_FORMAT, Some(&FORMAT_VERSION.to_be_bytes()[..]))])?;
            }
            None => disk.write([(keys::META_FORMAT, Some(&FORMAT_VERSION.to_be_bytes()[..]))])?,
            Some(found) if found == FORMAT_VERSION.to_be_bytes() => {}
            Some(found) => {
                let found = found
                    .try_into()
                    .map_or_else(|_| format!("{found:02x?}"), |b| u32::from_be_bytes(b).to_string());
                return Err(DiskError::Format { path: self.path.clone(), found });
            }
        }
        Ok(disk)
    }

    pub fn space_bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }

    pub fn write_buffer_bytes(&self) -> u64 {
        self.database.write_buffer_size()
    }

    /// What the block cache holds.
    pub fn block_cache_bytes(&self) -> u64 {
        self.database.cache_size()
    }
}

/// A record of the node that says nothing: writing it is what counts.
const RELEASED: &str = "released";

/// A group's records on disk. Cloning shares it.
#[derive(Clone)]
pub struct GroupDisk {
    database: Database,
    keyspace: Keyspace,
    /// The node's own records, and the one in it that says that an image is being installed.
    node: Keyspace,
    installing: Vec<u8>,
}

impl GroupDisk {
    /// The newest value. Only for single records: reads of more than one go through a snapshot.
    pub fn get(&self, key: &[u8]) -> Result<Option<fjall::Slice>, DiskError> {
        Ok(self.keyspace.get(key)?)
    }

    pub fn snapshot(&self) -> DiskSnapshot {
        DiskSnapshot { snapshot: self.database.snapshot(), keyspace: self.keyspace.clone() }
    }

    /// Writes records as one atomic batch. Not durable before [`Self::persist`]: the log is.
    pub fn write<'a>(
        &self,
        records: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<(), DiskError> {
        let records = records.into_iter();
        let mut batch = WriteBatch::with_capacity(self.database.clone(), records.size_hint().0);
        for (key, value) in records {
            match value {
                Some(value) => batch.insert(&self.keyspace, key, value),
                None => batch.remove(&self.keyspace, key),
            }
        }
        Ok(batch.commit()?)
    }

    /// Has what is in memory only written to tables, in the background: the journals that hold it can
    /// go then.
    pub fn flush_soon(&self) -> Result<(), DiskError> {
        self.keyspace.rotate_memtable()?;
        self.node.rotate_memtable()?;
        Ok(())
    }

    /// Writes that are in memory: not in tables yet, or in tables and still asked for, by snapshots that are older.
    pub fn memtables_bytes(&self) -> u64 {
        self.keyspace.tree.version_memtable_size_sum()
    }

    /// Size of the group's tables, which compactions rewrite.
    pub fn table_bytes(&self) -> u64 {
        self.keyspace.disk_space()
    }

    /// Has what was written to tables leave memory, where no snapshot asks for it any more: the store frees that when it
    /// begins another piece of memory to write to, of any keyspace.
    pub fn release(&self) -> Result<(), DiskError> {
        self.node.insert(RELEASED, [])?;
        self.node.rotate_memtable()?;
        Ok(())
    }

    /// Makes everything written so far survive a power cut.
    pub fn persist(&self) -> Result<(), DiskError> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    /// Drops every record of the group, also those that the caller has not seen.
    pub fn clear(&self) -> Result<(), DiskError> {
        self.keyspace.clear()?;
        self.write([(keys::META_FORMAT, Some(&FORMAT_VERSION.to_be_bytes()[..]))])
    }

    /// Says durably that the records are about to be replaced: until [`Self::end_install`] they are
    /// neither the old ones nor the new ones.
    pub fn begin_install(&self) -> Result<(), DiskError> {
        self.node.insert(&self.installing[..], [])?;
        self.persist()
    }

    /// Says durably that the records are whole again.
    pub fn end_install(&self) -> Result<(), DiskError> {
        self.persist()?;
        self.node.remove(&self.installing[..])?;
        self.persist()
    }
}

/// An unchanging view of a group's records.
pub struct DiskSnapshot {
    snapshot: fjall::Snapshot,
    keyspace: Keyspace,
}

pub type Pair = (fjall::Slice, fjall::Slice);

impl DiskSnapshot {
    pub fn get(&self, key: &[u8]) -> Result<Option<fjall::Slice>, DiskError> {
        Ok(self.snapshot.get(&self.keyspace, key)?)
    }

    /// Records from `from` (inclusive) to `to` (exclusive; `None`: to the end), in order.
    pub fn range(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<Pair, DiskError>> + use<> {
        let upper = to.map_or(Bound::Unbounded, |to| Bound::Excluded(to.to_vec()));
        self.snapshot
            .range(&self.keyspace, (Bound::Included(from.to_vec()), upper))
            .map(|guard| guard.into_inner().map_err(DiskError::from))
    }
}

//! Faults that can be switched on in a running node, in builds with debug assertions only: DEBUG FAULT.
//! They sit between the log and its files, and before threads of the heavy pool.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use command::Args;
use wal::{DiskFiles, File, Files};

/// What is broken at the moment.
#[derive(Debug)]
pub struct Faults {
    /// fdatasync fails.
    fsync: AtomicBool,
    /// Writes fail.
    write: AtomicBool,
    /// There is no room for new files or longer ones.
    full: AtomicBool,
    /// The heavy pool gets no more threads.
    threads: AtomicBool,
    /// How much longer fdatasync takes.
    fsync_delay_ms: AtomicU64,
    /// So much is free on the disk, whatever it says; `REAL` for what it says.
    free_bytes: AtomicU64,
}

const REAL: u64 = u64::MAX;

impl Default for Faults {
    fn default() -> Self {
        Self {
            fsync: AtomicBool::new(false),
            write: AtomicBool::new(false),
            full: AtomicBool::new(false),
            threads: AtomicBool::new(false),
            fsync_delay_ms: AtomicU64::new(0),
            free_bytes: AtomicU64::new(REAL),
        }
    }
}

impl Faults {
    /// The log's files, with these faults.
    pub fn files(self: &Arc<Self>, files: DiskFiles) -> Arc<dyn Files> {
        Arc::new(FaultyFiles { files, faults: self.clone() })
    }

    /// What a disk that is pretended to be full has left.
    pub fn free_bytes(&self) -> Option<u64> {
        Some(self.free_bytes.load(SeqCst)).filter(|&bytes| bytes != REAL)
    }

    /// `DEBUG FAULT fsync|write|full|threads on|off`, `DEBUG FAULT slow-fsync MS` and `DEBUG FAULT free
    /// BYTES|off`. Says whether it was one of these.
    pub fn command(&self, args: &Args<'_>) -> bool {
        let switch = match args.get(2).to_ascii_lowercase().as_slice() {
            b"fsync" => &self.fsync,
            b"write" => &self.write,
            b"full" => &self.full,
            b"threads" => &self.threads,
            b"slow-fsync" => {
                let ms = args.int(3).ok().and_then(|ms| u64::try_from(ms).ok());
                self.fsync_delay_ms.store(ms.unwrap_or(0), SeqCst);
                return ms.is_some();
            }
            b"free" => {
                let bytes = args.int(3).ok().and_then(|bytes| u64::try_from(bytes).ok());
                self.free_bytes.store(bytes.unwrap_or(REAL), SeqCst);
                return bytes.is_some() || args.is(3, "off");
            }
            _ => return false,
        };
        switch.store(args.is(3, "on"), SeqCst);
        args.is(3, "on") || args.is(3, "off")
    }

    /// Whether a thread may be started.
    pub fn check_threads(&self) -> io::Result<()> {
        if self.threads.load(SeqCst) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    fn check_room(&self) -> io::Result<()> {
        if self.full.load(SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

struct FaultyFiles {
    files: DiskFiles,
    faults: Arc<Faults>,
}

impl FaultyFiles {
    fn wrap(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(FaultyFile { file, faults: self.faults.clone() })
    }
}

impl Files for FaultyFiles {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.files.create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.faults.check_room()?;
        Ok(self.wrap(self.files.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(self.files.open(path)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.files.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.sync_dir(dir)
    }

    fn lock(&self, dir: &Path) -> io::Result<Option<std::fs::File>> {
        self.files.lock(dir)
    }
}

struct FaultyFile {
    file: Arc<dyn File>,
    faults: Arc<Faults>,
}

impl File for FaultyFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        if self.faults.write.load(SeqCst) {
            return Err(io::Error::other("a fault was asked for"));
        }
        if offset + bytes.len() as u64 > self.file.len()? {
            self.faults.check_room()?;
        }
        self.file.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.faults.fsync.load(SeqCst) {
            return Err(io::Error::other("a fault was asked for"));
        }
        let delay_ms = self.faults.fsync_delay_ms.load(SeqCst);
        if delay_ms > 0 {
            thread::sleep(Duration::from_millis(delay_ms));
        }
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

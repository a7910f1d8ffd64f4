//! The file layer below the log, object-safe so that tests can put a simulated disk in its place.

use std::{
    fs, io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use rustix::fs::OFlags;

use crate::blocks::BLOCK_BYTES;

/// The file that is locked; it holds nothing.
pub(crate) const LOCK_NAME: &str = "LOCK";

/// A directory's files. Creations, renames and removals are durable after `sync_dir` only.
pub trait Files: Send + Sync + 'static {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Creates a file that must not exist.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Names of the files in a directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Keeps other processes out of a directory for as long as what it gives lives.
    fn lock(&self, _dir: &Path) -> io::Result<Option<fs::File>> {
        Ok(None)
    }
}

/// One open file. Writes are durable after `sync_data` only, and may be short. The log writes whole,
/// aligned blocks, so a file may write them past the page cache.
pub trait File: Send + Sync + 'static {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;
    fn sync_data(&self) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Fills `into` from `offset` on; less than asked only at the end of the file.
pub(crate) fn read_full(file: &dyn File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(offset + filled as u64, rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(crate) fn write_all(file: &dyn File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                bytes = bytes.get(written..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The real disk.
#[derive(Debug, Default, Clone, Copy)]
pub struct DiskFiles {
    /// Write past the page cache where the file system can: good for who syncs after each write.
    pub direct: bool,
}

impl DiskFiles {
    fn open_with(self, path: &Path, options: &mut fs::OpenOptions) -> io::Result<Arc<dyn File>> {
        let file = options.read(true).write(true).open(path)?;
        let mut direct = None;
        if self.direct {
            let flags = OFlags::DIRECT.bits().cast_signed();
            match fs::OpenOptions::new().write(true).custom_flags(flags).open(path) {
                Ok(file) => direct = Some(file),
                Err(error) if is_unsupported(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let is_direct = AtomicBool::new(direct.is_some());
        Ok(Arc::new(DiskFile { file, direct, is_direct }))
    }
}

/// Not every file system writes past the page cache, and some ask for larger blocks.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

impl Files for DiskFiles {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(dir)?;
        // The name of a new directory is durable once its parent is synced. 'data' has the parent ''.
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        self.sync_dir(parent.unwrap_or(Path::new(".")))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open_with(path, fs::OpenOptions::new().create_new(true))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open_with(path, &mut fs::OpenOptions::new())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            if let Some(name) = entry?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, dir: &Path) -> io::Result<Option<fs::File>> {
        let path = dir.join(LOCK_NAME);
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Err(io::Error::other("another process has it open")),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

struct DiskFile {
    file: fs::File,
    direct: Option<fs::File>,
    /// Cleared when the file system turns out not to take such writes.
    is_direct: AtomicBool,
}

impl DiskFile {
    /// The file that takes a write past the page cache, if it can be written like that.
    fn direct(&self, offset: u64, bytes: &[u8]) -> Option<&fs::File> {
        let direct = self.direct.as_ref().filter(|_| self.is_direct.load(Relaxed))?;
        let aligned = offset.is_multiple_of(BLOCK_BYTES as u64)
            && bytes.len().is_multiple_of(BLOCK_BYTES)
            && bytes.as_ptr().align_offset(BLOCK_BYTES) == 0;
        aligned.then_some(direct)
    }
}

impl File for DiskFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        match self.direct(offset, bytes).map(|direct| direct.write_at(bytes, offset)) {
            Some(Err(error)) if is_unsupported(&error) => {
                self.is_direct.store(false, Relaxed);
                self.file.write_at(bytes, offset)
            }
            Some(written) => written,
            None => self.file.write_at(bytes, offset),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

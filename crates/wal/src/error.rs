//! What can go wrong with the log. Cheap to clone: one failure answers many callers.

use std::{io, path::Path, sync::Arc};

use thiserror::Error;

#[derive(Debug, Clone, Error)]
pub enum WalError {
    /// A write or an fdatasync failed. What is on disk is unknown from here on: the log never works
    /// again in this process.
    #[error("the log is poisoned: {0}")]
    Poisoned(Arc<str>),
    /// There is no space for another segment. Nothing of the request is on disk; try again later.
    #[error("no space left for the log")]
    Full,
    #[error("the log is closed")]
    Closed,
    #[error("{bytes} bytes are too many for one log record")]
    TooLarge { bytes: usize },
    /// The entries do not follow the last one of their group.
    #[error("group {group}: entry {got} does not follow, {expected} was expected")]
    OutOfOrder { group: u16, expected: u64, got: u64 },
    /// The log holds what cannot have been left by a crash. It is refused, never repaired silently.
    #[error("the log is corrupt: {file} at offset {offset}: {reason}")]
    Corrupt { file: Arc<str>, offset: u64, reason: Arc<str> },
    /// Written by a version that this one does not know.
    #[error("the log's format is not known to this version: {file} at offset {offset}: format {version}")]
    Unsupported { file: Arc<str>, offset: u64, version: u8 },
    #[error("the log's files: {what}: {error}")]
    Io { what: Arc<str>, error: Arc<io::Error> },
}

impl WalError {
    pub(crate) fn io(what: &str, path: &Path, error: io::Error) -> Self {
        Self::Io { what: format!("{what} {}", path.display()).into(), error: Arc::new(error) }
    }

    pub(crate) fn corrupt(file: &Path, offset: u64, reason: impl Into<Arc<str>>) -> Self {
        Self::Corrupt { file: file.display().to_string().into(), offset, reason: reason.into() }
    }
}

/// Whether an error means that the disk, or the quota, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

//! Names and handles of segment files.
//!
//! A live segment is `wal-SEQ.log`; SEQ only grows. A `spare-SEQ.log` waits to be renamed to a live
//! one; a `prep-SEQ.tmp` is being filled with zeros and is worthless after a restart.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{bounds::CONTROL_RESERVE_BYTES, files::File, record::Kind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Live(u64),
    Spare(u64),
    Temporary(u64),
}

impl Name {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (kind, rest) = name.split_once('-')?;
        let (digits, suffix) = rest.split_once('.')?;
        if digits.len() != 16 {
            return None;
        }
        let seq = u64::from_str_radix(digits, 16).ok()?;
        match (kind, suffix) {
            ("wal", "log") => Some(Self::Live(seq)),
            ("spare", "log") => Some(Self::Spare(seq)),
            ("prep", "tmp") => Some(Self::Temporary(seq)),
            _ => None,
        }
    }

    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        dir.join(match self {
            Self::Live(seq) => format!("wal-{seq:016x}.log"),
            Self::Spare(seq) => format!("spare-{seq:016x}.log"),
            Self::Temporary(seq) => format!("prep-{seq:016x}.tmp"),
        })
    }
}

/// An open segment file with all its space allocated.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) seq: u64,
    pub(crate) file: Arc<dyn File>,
    pub(crate) len: u64,
}

/// How far records of this kind may fill a segment.
pub(crate) fn capacity(len: u64, kind: Kind) -> u64 {
    match kind {
        Kind::Entry => len - CONTROL_RESERVE_BYTES.min(len / 8),
        _ => len,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_nobodys() {
        for name in [Name::Live(1), Name::Spare(u64::MAX), Name::Temporary(0xabc)] {
            let path = name.path(Path::new("d"));
            assert_eq!(Name::parse(path.file_name().unwrap().to_str().unwrap()), Some(name));
        }
        for other in ["", "wal-1.log", "wal-0000000000000001.log.bak", "LOCK", "lost+found"] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}

//! How far the store has followed the log.

use base::Stamp;
use base::codec::{Reader, Write as _};

/// Where the log stands that the store has followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Applied {
    pub term: u64,
    pub index: u64,
    /// The greatest stamp up to there.
    pub last: Stamp,
}

impl Applied {
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        out.put_u64(self.term);
        out.put_u64(self.index);
        out.put_u64(self.last.0);
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let applied =
            Self { term: reader.u64().ok()?, index: reader.u64().ok()?, last: Stamp(reader.u64().ok()?) };
        reader.finish().ok()?;
        Some(applied)
    }
}

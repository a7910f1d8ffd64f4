//! Ids of entries.

use std::fmt;

use base::codec::{DecodeError, Reader, Write};

/// A time in milliseconds, and a number within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

impl StreamId {
    /// No entry has it.
    pub const ZERO: Self = Self { ms: 0, seq: 0 };
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };
    /// Bytes in the key of a record.
    pub const BYTES: usize = 16;

    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The next one. `None` after the last.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The one before. `None` before the first.
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Ordered as the ids are.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.put_u64(self.ms);
        out.put_u64(self.seq);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { ms: reader.u64()?, seq: reader.u64()? })
    }

    /// Short, in no order.
    pub(super) fn pack(self, out: &mut Vec<u8>) {
        out.put_varint(self.ms);
        out.put_varint(self.seq);
    }

    pub(super) fn unpack(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { ms: reader.varint()?, seq: reader.varint()? })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

//! What can go wrong with a store, as far as its callers act on it.

use crate::record::RECORD_BYTES_MAX;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store cannot be reached, or does not serve this now. Nothing was written; try again later.
    #[error("the store is unavailable: {cause}")]
    Unavailable { cause: String },
    /// There was no time left. Nothing was written.
    #[error("the deadline passed before the store answered")]
    Deadline,
    /// A write was sent, and what became of it is not known: read before you repeat it.
    #[error("it is not known whether the store has made the change: {cause}")]
    Unknown { cause: String },
    /// The shard is not what its description says: ask for the topology and the shard again.
    #[error("the shard has changed: {cause}")]
    Stale { cause: String },
    /// The server understood, and will not do it before somebody has changed that: a wrong password, or a
    /// permission that is missing.
    #[error("the store refuses: {cause}")]
    Refused { cause: String },
    /// What the key holds is no text, and so no record.
    #[error("the key holds no text: {cause}")]
    WrongType { cause: String },
    /// The value is larger than any record, or than its reader wants it.
    #[error("the value has more than the {RECORD_BYTES_MAX} bytes that a record may have")]
    TooLarge,
}

impl Error {
    pub fn unavailable(cause: impl Into<String>) -> Self {
        Self::Unavailable { cause: cause.into() }
    }

    pub fn unknown(cause: impl Into<String>) -> Self {
        Self::Unknown { cause: cause.into() }
    }

    pub fn stale(cause: impl Into<String>) -> Self {
        Self::Stale { cause: cause.into() }
    }

    /// Whether it is about what one key holds, which is no record: where all are read, that one is left out.
    pub fn is_of_value(&self) -> bool {
        matches!(self, Self::WrongType { .. } | Self::TooLarge)
    }

    pub fn wrong_type(cause: impl Into<String>) -> Self {
        Self::WrongType { cause: cause.into() }
    }

    pub fn refused(cause: impl Into<String>) -> Self {
        Self::Refused { cause: cause.into() }
    }
}

//! Why a payload is refused.

use base::codec::DecodeError;
use thiserror::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
    /// To clients: `ERR DUMP payload version or checksum are wrong`.
    #[error("the version or the checksum is wrong")]
    Footer,
    /// To clients: `ERR Bad data format`.
    #[error("bad data format: {0}")]
    Malformed(&'static str),
    /// A value that only a module of Redis can read. Redis without that module calls it bad data.
    #[error("values of modules (type {0}) are not supported")]
    Unsupported(u8),
    /// More than [`Limits`](crate::Limits) allows to read, or than the encoding can hold to write.
    #[error("the value is too large")]
    Limit,
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(match error {
            DecodeError::Short => "the bytes end too early",
            DecodeError::Overflow => "a number does not fit",
            DecodeError::Tag(_) => "unknown tag",
            DecodeError::Trailing => "bytes are left over",
            DecodeError::Mismatch => "it does not fit what was there before",
        })
    }
}

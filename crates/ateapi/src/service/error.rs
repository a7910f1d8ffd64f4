//! What a call ends with when it does not succeed, and the code that says so on the wire.

use tonic::{Code, Status};

use crate::listing::ListError;
use crate::names::InvalidName;
use crate::{record, store};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{field} {problem}")]
    Invalid { field: &'static str, problem: String },
    #[error("{0} exists already")]
    Exists(String),
    #[error("{0} does not exist")]
    Missing(String),
    /// It is in a state in which this cannot be done.
    #[error("{0}")]
    State(String),
    /// There is too little of something; later there may be enough.
    #[error("{0}")]
    Exhausted(String),
    #[error("{0} was changed by others again and again: repeat the call")]
    Raced(String),
    #[error("{0}")]
    Denied(String),
    /// The call has done a part of its work.
    #[error("{0}")]
    Unfinished(String),
    /// A change was sent, and whether it was made cannot be found out.
    #[error("it is not known whether {0} was changed by this call, as others have changed it since: read it")]
    Unclear(String),
    #[error("{0}")]
    Store(#[from] store::Error),
    #[error("the record {key} cannot be used: {problem}")]
    Record { key: String, problem: record::Error },
    #[error(transparent)]
    Listing(#[from] ListError),
    #[error("the worker's machine: {0}")]
    Runtime(String),
}

impl Error {
    /// Whether it is about one record, which nobody can use.
    pub fn is_of_record(&self) -> bool {
        match self {
            Self::Record { .. } => true,
            Self::Store(error) => error.is_of_value(),
            _ => false,
        }
    }

    pub fn code(&self) -> Code {
        use store::Error as Of;
        match self {
            Self::Invalid { .. } => Code::InvalidArgument,
            Self::Exists(_) => Code::AlreadyExists,
            Self::Missing(_) => Code::NotFound,
            Self::State(_) => Code::FailedPrecondition,
            Self::Exhausted(_) => Code::ResourceExhausted,
            Self::Raced(_) | Self::Unclear(_) => Code::Aborted,
            Self::Denied(_) => Code::PermissionDenied,
            Self::Listing(ListError::PageSize | ListError::Atespace(_) | ListError::Token(_)) => {
                Code::InvalidArgument
            }
            Self::Listing(ListError::NotFound { .. }) => Code::NotFound,
            Self::Listing(ListError::Unavailable { .. }) => Code::Unavailable,
            Self::Listing(ListError::Deadline) => Code::DeadlineExceeded,
            Self::Unfinished(_) | Self::Runtime(_) => Code::Unavailable,
            Self::Record { .. } | Self::Store(Of::TooLarge | Of::WrongType { .. }) => Code::DataLoss,
            Self::Store(Of::Deadline) => Code::DeadlineExceeded,
            // Also a wrong password, or a missing permission: when whoever runs the store has mended it, the
            // call can be repeated.
            Self::Store(
                Of::Unavailable { .. } | Of::Unknown { .. } | Of::Stale { .. } | Of::Refused { .. },
            ) => Code::Unavailable,
        }
    }
}

impl From<InvalidName> for Error {
    fn from(InvalidName { field, problem }: InvalidName) -> Self {
        Self::Invalid { field, problem: problem.into() }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_with_the_store_has_a_code_and_a_cause() {
        for (error, code) in [
            (store::Error::unavailable("why"), Code::Unavailable),
            (store::Error::unknown("why"), Code::Unavailable),
            (store::Error::stale("why"), Code::Unavailable),
            (store::Error::refused("why"), Code::Unavailable),
            (store::Error::wrong_type("why"), Code::DataLoss),
        ] {
            let status = Status::from(Error::from(error));
            assert!(status.code() == code && status.message().ends_with("why"), "{status:?}");
        }
        assert_eq!(Error::from(store::Error::Deadline).code(), Code::DeadlineExceeded);
        assert_eq!(Error::from(store::Error::TooLarge).code(), Code::DataLoss);
    }

    #[test]
    fn a_wrong_name_names_its_field() {
        let error = Error::from(crate::names::label("actor_ref.name", "A").unwrap_err());
        let status = Status::from(error);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with("actor_ref.name must be a DNS-1123 label"), "{status:?}");
    }
}

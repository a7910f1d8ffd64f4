//! What can go wrong, how it is said (as kubectl says it) and with which code the process ends.

use std::error::Error;
use std::time::Duration;

use tonic::{Code, Status};

use crate::interrupt::Signal;
use crate::text::escape;

/// As kubectl, also for mistakes on the command line.
pub const EXIT_FAILURE: u8 = 1;
/// What a shell shows for a process that SIGPIPE ended, as it ends most programs in front of `head`.
const EXIT_CLOSED_PIPE: u8 = 128 + 13;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command line asks for what makes no sense.
    Usage(String),
    /// Something on this machine, such as a file.
    Local(String),
    /// The server answered, with an error.
    Server { code: Code, message: String },
    /// No connection, or one that broke.
    Connection {
        why: String,
        /// Whether the server may have seen the call.
        is_sent: bool,
    },
    /// The user, or the system, wants us to stop.
    Interrupted(Signal),
    /// Nobody reads what we write.
    ClosedPipe,
    /// It has been said already.
    Said,
}

impl Failure {
    pub fn timeout(limit: Duration) -> Self {
        Self::Server { code: Code::DeadlineExceeded, message: format!("no answer within {limit:?}") }
    }

    pub fn is(&self, wanted: Code) -> bool {
        matches!(self, Self::Server { code, .. } if *code == wanted)
    }

    /// Whether there is no point in trying the next one of several.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Server { .. } | Self::Usage(_)) || self.is(Code::Unauthenticated)
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted(signal) => signal.exit_code(),
            Self::ClosedPipe => EXIT_CLOSED_PIPE,
            _ => EXIT_FAILURE,
        }
    }

    /// One line, or nothing where nothing is to be said.
    pub fn text(&self) -> Option<String> {
        let text = match self {
            Self::Usage(why) | Self::Local(why) => format!("error: {}", escape(why)),
            Self::Server { code, message } => {
                let message = if message.is_empty() { code.description() } else { message };
                format!("Error from server ({}): {}", reason(*code), escape(message))
            }
            Self::Connection { why, .. } => format!("Unable to connect to the server: {}", escape(why)),
            Self::Interrupted(_) | Self::ClosedPipe | Self::Said => return None,
        };
        Some(text)
    }
}

/// The names that Kubernetes has for such errors, where it has any.
fn reason(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Cancelled",
        Code::Unknown | Code::Internal | Code::DataLoss => "InternalError",
        Code::InvalidArgument | Code::OutOfRange => "BadRequest",
        Code::DeadlineExceeded => "Timeout",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "Forbidden",
        Code::Unauthenticated => "Unauthorized",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Conflict",
        Code::Unimplemented => "MethodNotAllowed",
        Code::Unavailable => "ServiceUnavailable",
    }
}

impl From<Status> for Failure {
    /// A status that has a source was made on this side, from trouble with the connection.
    fn from(status: Status) -> Self {
        match status.source() {
            // Only the limit of the call itself, which travels with it, ends so on this side.
            Some(source) if chain(source).any(|error| error.is::<tonic::TimeoutExpired>()) => {
                Self::Server { code: Code::DeadlineExceeded, message: String::new() }
            }
            Some(source) => {
                let is_sent = !chain(source).any(|error| error.is::<tonic::ConnectError>());
                Self::Connection { why: deepest(source), is_sent }
            }
            None => Self::Server { code: status.code(), message: status.message().to_owned() },
        }
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What is at the bottom of an error, as far as it says anything: `connection refused`.
pub fn deepest(error: &(dyn Error + 'static)) -> String {
    let texts = chain(error).map(ToString::to_string).filter(|text| !text.is_empty());
    let text = texts.last().unwrap_or_else(|| error.to_string());
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        // Not an abbreviation, nor a name.
        Some(first) if !chars.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failure: &Failure, text: &str, code: u8) {
        assert_eq!(failure.text().unwrap_or_default(), text);
        assert_eq!(failure.exit_code(), code);
    }

    #[test]
    fn a_servers_errors_read_as_kubectls() {
        check(
            &Status::not_found("actors \"x\" not found").into(),
            "Error from server (NotFound): actors \"x\" not found",
            1,
        );
        check(&Status::aborted("").into(), "Error from server (Conflict): The operation was aborted", 1);
    }

    #[test]
    fn a_servers_message_cannot_steer_the_terminal() {
        let failure = Status::internal("\u{1b}[2Jall is well\n$").into();
        check(&failure, "Error from server (InternalError): \\u{1b}[2Jall is well\\n$", 1);
    }

    #[test]
    fn trouble_with_the_connection_is_told_from_answers() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let failure = Status::from_error(Box::new(refused)).into();
        check(&failure, "Unable to connect to the server: connection refused", 1);
        assert!(failure.is_final());
    }

    #[test]
    fn signals_and_closed_pipes_end_without_a_word() {
        check(&Failure::Interrupted(Signal::Int), "", 130);
        check(&Failure::Interrupted(Signal::Term), "", 143);
        check(&Failure::ClosedPipe, "", 141);
        check(&Failure::Said, "", 1);
        check(&Failure::Usage("what?".into()), "error: what?", 1);
    }
}

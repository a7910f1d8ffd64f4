//! What a command can fail with: a reply line as Redis words it, or a stop of the transaction.

use std::borrow::Cow;

use resp::{Line, Reply};
use store::{Failure, Refusal, Stop};

use crate::paged::Paged;
use crate::wait::Wait;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub enum Error {
    /// The whole line with its code.
    Line(Cow<'static, str>),
    /// As above, with bytes from the client in it.
    Bytes(Vec<u8>),
    Stop(Stop),
    /// There is nothing for it yet.
    Wait(Box<Wait>),
    /// It is told page by page, to callers who have said that they take that.
    Paged(Box<Paged>),
}

impl Error {
    pub const WRONG_TYPE: Self =
        Self::line("WRONGTYPE Operation against a key holding the wrong kind of value");
    pub const SYNTAX: Self = Self::line("ERR syntax error");
    pub const NOT_INTEGER: Self = Self::line("ERR value is not an integer or out of range");
    pub const NOT_FLOAT: Self = Self::line("ERR value is not a valid float");
    pub const OVERFLOW: Self = Self::line("ERR increment or decrement would overflow");
    pub const NO_SUCH_KEY: Self = Self::line("ERR no such key");
    pub const OUT_OF_RANGE: Self = Self::line("ERR index out of range");
    pub const DB_RANGE: Self = Self::line("ERR DB index is out of range");
    pub const SAME_OBJECT: Self = Self::line("ERR source and destination objects are the same");
    pub const TOO_LONG: Self = Self::line("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

    pub const fn line(line: &'static str) -> Self {
        Self::Line(Cow::Borrowed(line))
    }

    pub fn text(line: impl Into<String>) -> Self {
        Self::Line(Cow::Owned(line.into()))
    }

    /// `ERR wrong number of arguments for 'get' command`.
    pub fn arity(name: &str) -> Self {
        Self::text(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// `ERR invalid expire time in 'set' command`.
    pub fn expire_time(name: &str) -> Self {
        Self::text(format!("ERR invalid expire time in '{name}' command"))
    }

    /// `ERR unknown subcommand 'x'. Try OBJECT HELP.`
    pub fn subcommand(container: &str, subcommand: &[u8]) -> Self {
        const SHOWN_BYTES_MAX: usize = 128;
        let shown = subcommand.get(..SHOWN_BYTES_MAX).unwrap_or(subcommand);
        let tail = format!("'. Try {} HELP.", container.to_ascii_uppercase());
        Self::quoting("ERR unknown subcommand '", shown, &tail)
    }

    /// An error that quotes what the client sent: as C prints it, up to the first NUL.
    pub fn quoting(head: &str, quoted: &[u8], tail: &str) -> Self {
        let shown = quoted.split(|byte| *byte == 0).next().unwrap_or_default();
        Self::Bytes([head.as_bytes(), shown, tail.as_bytes()].concat())
    }

    /// The error as it is sent. A stop is not sent: whoever ran the transaction deals with it.
    pub fn reply(self) -> Reply {
        match self {
            Self::Line(Cow::Borrowed(line)) => Reply::error(line),
            Self::Line(Cow::Owned(line)) => Reply::error(line),
            Self::Bytes(line) => Reply::Error(Line::from(line)),
            Self::Stop(stop) => Reply::error(format!("ERR {stop}")),
            Self::Wait(_) => Wait::TIMED_OUT,
            Self::Paged(_) => Reply::error("ERR this reply can only be told page by page"),
        }
    }
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::WrongType => Self::WRONG_TYPE,
            Refusal::Stop(stop) => Self::Stop(stop),
        }
    }
}

impl From<Wait> for Error {
    fn from(wait: Wait) -> Self {
        Self::Wait(Box::new(wait))
    }
}

impl From<Paged> for Error {
    fn from(paged: Paged) -> Self {
        Self::Paged(Box::new(paged))
    }
}

impl Error {
    /// What a command waits for that has found nothing.
    pub fn wait(&self) -> Option<&Wait> {
        match self {
            Self::Wait(wait) => Some(wait),
            _ => None,
        }
    }
}

impl Failure for Error {
    fn waiting(&self) -> bool {
        self.wait().is_some()
    }

    fn is_paged(&self) -> bool {
        matches!(self, Self::Paged(_))
    }

    fn stop(&self) -> Option<&Stop> {
        match self {
            Self::Stop(stop) => Some(stop),
            _ => None,
        }
    }
}

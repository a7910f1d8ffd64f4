//! What clients send: multibulk commands (`*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n`) and inline ones (`ECHO hi\r\n`).
//!
//! The parser keeps where it stopped, so that a command that arrives byte by byte is scanned once.
//! It copies nothing of a multibulk command: arguments are spans of the connection's own buffer.

use thiserror::Error;

use crate::{inline, numbers};

/// Where one argument lies, counted from the front of the bytes that `Parser::source` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The argument itself; empty if the span is not of this source.
    #[inline]
    pub fn of(self, source: &[u8]) -> &[u8] {
        source.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    #[inline]
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What a client may send. The two `UNAUTHENTICATED_*` bounds hold as well until it has logged in.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub args_max: usize,
    pub bulk_bytes_max: usize,
    pub line_bytes_max: usize,
    /// A whole command with its framing. Never more than `u32::MAX`, so that spans stay small.
    pub command_bytes_max: usize,
    pub authenticated: bool,
}

/// Before a client has logged in it needs no more than HELLO with its options, as in Redis.
pub const UNAUTHENTICATED_ARGS_MAX: usize = 10;
pub const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16_384;

impl Default for Limits {
    fn default() -> Self {
        Self {
            args_max: base::limits::ARGS_MAX,
            bulk_bytes_max: base::limits::BULK_BYTES_MAX,
            line_bytes_max: base::limits::LINE_BYTES_MAX,
            command_bytes_max: base::limits::COMMAND_BYTES_MAX,
            authenticated: true,
        }
    }
}

const _: () = assert!(base::limits::COMMAND_BYTES_MAX <= u32::MAX as usize);
const _: () = assert!(base::limits::BULK_BYTES_MAX < base::limits::COMMAND_BYTES_MAX);

/// What `Parser::parse` found at the front of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A whole command: `args` holds its arguments, at least one; `used` bytes belong to it.
    Command { used: usize },
    /// More is needed; `want` is how many bytes are known to be missing, 0 if that is not known.
    ///
    /// A client may announce what it never sends: reserve this much only as it arrives.
    Incomplete { want: usize },
    /// An empty line or an empty multibulk: drop `used` bytes, answer nothing.
    Nothing { used: usize },
}

/// The client broke the protocol: it gets `line`, and the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    #[error("Protocol error: invalid multibulk length")]
    MultibulkLength,
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulk,
    #[error("Protocol error: too big mbulk count string")]
    MultibulkHeader,
    #[error("Protocol error: too big bulk count string")]
    BulkHeader,
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulk,
    #[error("Protocol error: too big inline request")]
    InlineLength,
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
    /// Redis closes such a connection without a word (`client-query-buffer-limit`).
    #[error("Protocol error: too big request")]
    CommandLength,
}

impl ProtocolError {
    /// The error reply, `ERR` included, with the offending byte as it came.
    pub fn line(&self) -> crate::Line {
        let mut line = b"ERR ".to_vec();
        match self {
            Self::ExpectedBulk(got) => {
                line.extend_from_slice(b"Protocol error: expected '$', got '");
                line.extend_from_slice(&[*got, b'\'']);
            }
            other => line.extend_from_slice(other.to_string().as_bytes()),
        }
        crate::Line::from(line)
    }
}

/// The state of one connection's input. After a `ProtocolError` only `reset` makes it usable again.
#[derive(Debug, Default)]
pub struct Parser {
    /// Everything before this offset has been understood.
    pos: usize,
    /// How many bytes from `pos` on are known to hold no end of line.
    scanned: usize,
    /// Arguments still to come; 0 between commands.
    remaining: usize,
    /// Length of the argument at `pos`, once its header has been read.
    bulk: Option<usize>,
    /// Whether the arguments of the last command lie in `scratch`.
    inline: bool,
    scratch: Vec<u8>,
}

/// A header line: its number, if it holds one, and how long it is with its CRLF.
struct Header {
    value: Option<i64>,
    used: usize,
}

impl Parser {
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets a command that was only half there.
    pub fn reset(&mut self) {
        *self = Self { scratch: std::mem::take(&mut self.scratch), ..Self::default() };
    }

    /// What the parser itself holds: the arguments of the last inline command.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch.capacity()
    }

    /// The bytes that the spans of the last command refer to: the input, or what an inline command
    /// became without its quotes.
    #[inline]
    pub fn source<'a>(&'a self, input: &'a [u8]) -> &'a [u8] {
        if self.inline { &self.scratch } else { input }
    }

    /// Whether the last command was an inline one.
    pub fn is_inline(&self) -> bool {
        self.inline
    }

    /// Reads one command off the front of `input`. Until it returns `Command` or `Nothing`, the next
    /// call must be given the same bytes with more behind them, and the same `args`.
    #[inline]
    pub fn parse(
        &mut self,
        input: &[u8],
        args: &mut Vec<Span>,
        limits: &Limits,
    ) -> Result<Parsed, ProtocolError> {
        if self.remaining == 0 {
            args.clear();
            match input.first() {
                None => return Ok(Parsed::Incomplete { want: 0 }),
                Some(b'*') => self.inline = false,
                Some(_) => return self.parse_inline(input, args, limits),
            }
            let Some(header) = self.header(input, limits, ProtocolError::MultibulkHeader)? else {
                return Ok(Parsed::Incomplete { want: 0 });
            };
            let count = multibulk_length(header.value, limits)?;
            if count == 0 {
                return Ok(Parsed::Nothing { used: header.used });
            }
            self.remaining = count;
            self.pos = header.used;
        }
        self.parse_bulks(input, args, limits)
    }

    #[inline]
    fn parse_bulks(
        &mut self,
        input: &[u8],
        args: &mut Vec<Span>,
        limits: &Limits,
    ) -> Result<Parsed, ProtocolError> {
        let command_bytes_max = limits.command_bytes_max.min(u32::MAX as usize);
        while self.remaining > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => {
                    let Some(header) = self.header(input, limits, ProtocolError::BulkHeader)? else {
                        return Ok(Parsed::Incomplete { want: 0 });
                    };
                    match input.get(self.pos) {
                        Some(b'$') => {}
                        other => return Err(ProtocolError::ExpectedBulk(other.copied().unwrap_or(0))),
                    }
                    let len = bulk_length(header.value, limits)?;
                    self.pos += header.used;
                    len
                }
            };
            // Neither sum overflows: `pos` is at most the limit plus a line, and so is `len`.
            let end = self.pos + len;
            if end > command_bytes_max {
                return Err(ProtocolError::CommandLength);
            }
            // What ends the argument is skipped without a look, as in Redis.
            let next = end + 2;
            if input.len() < next {
                self.bulk = Some(len);
                return Ok(Parsed::Incomplete { want: next - input.len() });
            }
            args.push(Span { start: self.pos as u32, end: end as u32 });
            self.pos = next;
            self.bulk = None;
            self.remaining -= 1;
        }
        let used = std::mem::take(&mut self.pos);
        Ok(Parsed::Command { used })
    }

    /// Reads the header line at `pos`, whatever its marker; `None` while its end is missing.
    #[inline]
    fn header(
        &mut self,
        input: &[u8],
        limits: &Limits,
        too_long: ProtocolError,
    ) -> Result<Option<Header>, ProtocolError> {
        let rest = input.get(self.pos..).unwrap_or_default();
        match short_header(rest) {
            Some(header) => {
                self.scanned = 0;
                Ok(Some(header))
            }
            None => self.long_header(rest, limits, too_long),
        }
    }

    /// Any header line: one that has only partly arrived, or is long, or wrong.
    #[cold]
    fn long_header(
        &mut self,
        rest: &[u8],
        limits: &Limits,
        too_long: ProtocolError,
    ) -> Result<Option<Header>, ProtocolError> {
        let unseen = rest.get(self.scanned..).unwrap_or_default();
        let end = unseen.iter().position(|&byte| byte == b'\r').map(|at| self.scanned + at);
        if end.unwrap_or(rest.len()) > limits.line_bytes_max {
            return Err(too_long);
        }
        let Some(end) = end else {
            self.scanned = rest.len();
            return Ok(None);
        };
        // The byte behind the `\r` must be there, but may be anything.
        if rest.len() < end + 2 {
            self.scanned = end;
            return Ok(None);
        }
        self.scanned = 0;
        let value = rest.get(1..end).and_then(numbers::parse_i64);
        Ok(Some(Header { value, used: end + 2 }))
    }

    #[cold]
    fn parse_inline(
        &mut self,
        input: &[u8],
        args: &mut Vec<Span>,
        limits: &Limits,
    ) -> Result<Parsed, ProtocolError> {
        let unseen = input.get(self.scanned..).unwrap_or_default();
        let end = unseen.iter().position(|&byte| byte == b'\n').map(|at| self.scanned + at);
        if end.unwrap_or(input.len()) > limits.line_bytes_max {
            return Err(ProtocolError::InlineLength);
        }
        let Some(end) = end else {
            self.scanned = input.len();
            return Ok(Parsed::Incomplete { want: 0 });
        };
        self.scanned = 0;
        let line = input.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.inline = true;
        self.scratch.clear();
        inline::split(line, &mut self.scratch, args).ok_or(ProtocolError::Quotes)?;
        let used = end + 1;
        Ok(if args.is_empty() { Parsed::Nothing { used } } else { Parsed::Command { used } })
    }
}

/// The header lines of nearly every command: a marker, one to four digits, CRLF.
#[inline(always)]
fn short_header(rest: &[u8]) -> Option<Header> {
    let mut value = i64::from(digit(*rest.get(1)?)?);
    let mut at = 2;
    while let Some(next) = digit(*rest.get(at)?) {
        // A leading zero or a fifth digit: let the general case decide.
        if value == 0 || at > 4 {
            return None;
        }
        value = value * 10 + i64::from(next);
        at += 1;
    }
    let ended = *rest.get(at)? == b'\r' && rest.len() > at + 1;
    if !ended {
        return None;
    }
    Some(Header { value: Some(value), used: at + 2 })
}

#[inline(always)]
fn digit(byte: u8) -> Option<u8> {
    let value = byte.wrapping_sub(b'0');
    (value < 10).then_some(value)
}

/// How many arguments follow; none for the empty and the null array.
#[inline]
fn multibulk_length(value: Option<i64>, limits: &Limits) -> Result<usize, ProtocolError> {
    let value = value.ok_or(ProtocolError::MultibulkLength)?;
    let count = usize::try_from(value).unwrap_or(0);
    if count > limits.args_max {
        return Err(ProtocolError::MultibulkLength);
    }
    if count > UNAUTHENTICATED_ARGS_MAX && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedMultibulk);
    }
    Ok(count)
}

#[inline]
fn bulk_length(value: Option<i64>, limits: &Limits) -> Result<usize, ProtocolError> {
    let len = value.and_then(|value| usize::try_from(value).ok()).filter(|&len| len <= limits.bulk_bytes_max);
    let len = len.ok_or(ProtocolError::BulkLength)?;
    if len > UNAUTHENTICATED_BULK_BYTES_MAX && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedBulk);
    }
    Ok(len)
}

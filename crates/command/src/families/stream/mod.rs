//! Streams.

pub(super) mod claims;
pub(super) mod entries;
pub(super) mod groups;
pub(super) mod info;
pub(super) mod options;
pub(super) mod reads;

use resp::{Blob, Reply};
use store::{Entry, StreamId};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::row::{Command, Flags, Keys, Run};

const fn row(name: &'static str, arity: i32, keys: Keys, flags: &[Flags], run: Run) -> Command {
    super::row("stream", name, arity, keys, flags, run)
}

const BAD_ID: Error = Error::line("ERR Invalid stream ID specified as stream command argument");

/// Digits of an id are read no further than these; a NUL ends them, as in C.
const ID_BYTES_MAX: usize = 127;

/// An id as it was given: what stands behind the dash is missing, or is a star.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    Whole(StreamId),
    Time(u64),
    /// Any number within this time.
    Any(u64),
}

/// A number as C's `strtoull` reads it.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let is_canonical = text.starts_with(b"-") && !digits.starts_with(b"0");
    // What is written as a number below zero is refused; what only looks like one to C is not.
    if is_negative && is_canonical && i64::try_from(value).is_ok() {
        return None;
    }
    Some(if is_negative { value.wrapping_neg() } else { value })
}

fn given(text: &[u8]) -> Option<Given> {
    if text.len() > ID_BYTES_MAX {
        return None;
    }
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match text.iter().position(|byte| *byte == b'-') {
        None => number(text).map(Given::Time),
        Some(dash) => {
            let ms = number(text.get(..dash)?)?;
            match text.get(dash + 1..)? {
                b"*" => Some(Given::Any(ms)),
                seq => Some(Given::Whole(StreamId::new(ms, number(seq)?))),
            }
        }
    }
}

/// An id that names one entry; without a number within the time it is `missing`.
fn strict_id(text: &[u8], missing: u64) -> Result<StreamId> {
    match given(text) {
        Some(Given::Whole(id)) => Ok(id),
        Some(Given::Time(ms)) => Ok(StreamId::new(ms, missing)),
        Some(Given::Any(_)) | None => Err(BAD_ID),
    }
}

/// An end of a range.
fn range_id(text: &[u8], missing: u64) -> Result<StreamId> {
    match text {
        b"-" => Ok(StreamId::ZERO),
        b"+" => Ok(StreamId::MAX),
        text => strict_id(text, missing),
    }
}

fn range_start(text: &[u8]) -> Result<StreamId> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => {
            let next = strict_id(rest, 0)?.next();
            next.ok_or(Error::line("ERR invalid start ID for the interval"))
        }
        text => range_id(text, 0),
    }
}

fn range_end(text: &[u8]) -> Result<StreamId> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => {
            let previous = strict_id(rest, u64::MAX)?.previous();
            previous.ok_or(Error::line("ERR invalid end ID for the interval"))
        }
        text => range_id(text, u64::MAX),
    }
}

fn id_reply(id: StreamId) -> Reply {
    Reply::bulk(id.to_string().into_bytes())
}

/// An entry with its fields.
fn entry_reply(entry: &Entry<'_>) -> Reply {
    let texts = entry.texts().map(|text| Reply::Bulk(Blob::copy(text))).collect();
    Reply::Array(vec![id_reply(entry.id), Reply::Array(texts)])
}

/// `NOGROUP …`, which quotes what the client has sent.
fn no_group(parts: [&[u8]; 5]) -> Error {
    let shown = |text: &[u8]| text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    let [head, first, middle, second, tail] = parts;
    Error::Bytes([head, &shown(first), middle, &shown(second), tail].concat())
}

/// Fields of a map by their names.
fn map<const N: usize>(fields: [(&'static str, Reply); N]) -> Reply {
    Reply::Map(fields.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
}

fn count_reply(count: u64) -> Reply {
    Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Ids from an argument on, all of which have to be right.
fn ids(args: &Args<'_>, from: usize) -> Result<Vec<StreamId>> {
    args.from(from).map(|text| strict_id(text, 0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_c_reads_them() {
        for (text, id) in [
            ("5", Some((5, 0))),
            ("5-7", Some((5, 7))),
            ("007-08", Some((7, 8))),
            (" 5-+7", Some((5, 7))),
            ("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX))),
            ("18446744073709551616-0", None),
            ("5--7", None),
            ("5--07", Some((5, 7u64.wrapping_neg()))),
            ("5-", None),
            ("-5", None),
            ("", None),
            ("5-*", None),
            ("*", None),
            ("5-7x", None),
        ] {
            let read = strict_id(text.as_bytes(), 0).ok();
            assert_eq!(read, id.map(|(ms, seq)| StreamId::new(ms, seq)), "{text:?}");
        }
        assert_eq!(given(b"5-*"), Some(Given::Any(5)));
    }
}

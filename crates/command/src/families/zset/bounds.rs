//! Where ranges of sorted sets begin and end: by score, or by name.

use std::ops::Range;

use resp::parse_f64;
use store::SortedSet;

use crate::args::Args;
use crate::error::{Error, Result};

/// A bound by score.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScoreBound {
    score: f64,
    is_open: bool,
}

/// A bound by name.
#[derive(Clone, Copy, Debug)]
pub(super) enum NameBound<'a> {
    Least,
    Greatest,
    Name { name: &'a [u8], is_open: bool },
}

impl ScoreBound {
    fn parse(text: &[u8]) -> Option<Self> {
        let (text, is_open) = match text.strip_prefix(b"(") {
            Some(text) => (text, true),
            None => (text, false),
        };
        // As C's strtod: what stands behind a zero byte is not seen; spaces in front, nothing at all, and
        // too large numbers are understood.
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii_start();
        let score = if text.is_empty() { Some(0.0) } else { parse_f64(text).or_else(|| decimal(text)) };
        Some(Self { score: score.filter(|score| !score.is_nan())?, is_open })
    }
}

/// A number that may be too large or too small.
fn decimal(text: &[u8]) -> Option<f64> {
    let is_decimal = text.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
    std::str::from_utf8(text).ok().filter(|_| is_decimal)?.parse().ok()
}

impl<'a> NameBound<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        match text.split_first()? {
            (b'-', []) => Some(Self::Least),
            (b'+', []) => Some(Self::Greatest),
            (b'(', name) => Some(Self::Name { name, is_open: true }),
            (b'[', name) => Some(Self::Name { name, is_open: false }),
            _ => None,
        }
    }
}

/// From where to where.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(ScoreBound, ScoreBound),
    Names(NameBound<'a>, NameBound<'a>),
}

impl<'a> Bounds<'a> {
    pub(super) fn ranks(args: &Args<'_>, at: usize) -> Result<Self> {
        Ok(Self::Ranks(args.int(at)?, args.int(at + 1)?))
    }

    /// The lower one at `min`, the upper one at `max`.
    pub(super) fn scores(args: &Args<'_>, min: usize, max: usize) -> Result<Self> {
        let parse = |at: usize| ScoreBound::parse(args.get(at));
        let bounds = parse(min).zip(parse(max)).ok_or(Error::line("ERR min or max is not a float"))?;
        Ok(Self::Scores(bounds.0, bounds.1))
    }

    /// The lower one at `min`, the upper one at `max`.
    pub(super) fn names(args: &Args<'a>, min: usize, max: usize) -> Result<Self> {
        let parse = |at: usize| NameBound::parse(args.get(at));
        let bounds = parse(min).zip(parse(max));
        let bounds = bounds.ok_or(Error::line("ERR min or max not valid string range item"))?;
        Ok(Self::Names(bounds.0, bounds.1))
    }

    /// The ranks of the members within the bounds. `reverse` matters for ranks only: they count from
    /// the other end then.
    pub(super) fn find(&self, set: &mut SortedSet<'_, '_>, reverse: bool) -> Result<Range<u64>> {
        let len = set.count()?;
        let range = match *self {
            Self::Ranks(start, stop) => {
                let range = crate::families::index_range(len, start, stop);
                if reverse { len - range.end..len - range.start } else { range }
            }
            Self::Scores(min, max) => {
                set.count_below(min.score, min.is_open)?..set.count_below(max.score, !max.is_open)?
            }
            Self::Names(min, max) => {
                let start = match min {
                    NameBound::Least => 0,
                    NameBound::Greatest => len,
                    NameBound::Name { name, is_open } => set.count_before(name, is_open)?,
                };
                let end = match max {
                    NameBound::Least => 0,
                    NameBound::Greatest => len,
                    NameBound::Name { name, is_open } => set.count_before(name, !is_open)?,
                };
                start..end
            }
        };
        Ok(if range.start >= range.end { 0..0 } else { range })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_as_c_reads_numbers() {
        for (text, expected) in [
            ("1.5", Some((1.5, false))),
            ("(1", Some((1.0, true))),
            ("-inf", Some((f64::NEG_INFINITY, false))),
            ("(+inf", Some((f64::INFINITY, true))),
            ("", Some((0.0, false))),
            ("(", Some((0.0, true))),
            (" 7", Some((7.0, false))),
            ("1e400", Some((f64::INFINITY, false))),
            ("nan", None),
            ("7 ", None),
            ("x", None),
            ("[1", None),
        ] {
            let found = ScoreBound::parse(text.as_bytes()).map(|bound| (bound.score, bound.is_open));
            assert_eq!(found, expected, "{text:?}");
        }
    }
}

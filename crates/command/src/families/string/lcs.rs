//! LCS: the longest common subsequence of two strings.
//!
//! The table of lengths is never held: two of its rows are enough to fill it, and one bit a cell
//! (which neighbour was longer) is enough to walk back through it.

use std::borrow::Cow;

use base::limits;
use resp::Reply;

use super::*;
use crate::arg;
use crate::args::Args;
use crate::error::Error;
use crate::row::access::{ACCESS, RO};
use crate::row::flags::READONLY;

pub(crate) const COMMANDS: &[Command] =
    &[row("lcs", -3, Keys::range(1, 2, 1).with(&[RO, ACCESS]), &[READONLY], lcs)
        .docs(
            "7.0.0",
            "O(N*M) where N and M are the lengths of the strings",
            "Finds the longest common subsequence of two strings.",
        )
        .takes(&[
            arg::key("key1", 0),
            arg::key("key2", 0),
            arg::word("LEN").optional(),
            arg::word("IDX").optional(),
            arg::integer("min-match-len").after("MINMATCHLEN").optional(),
            arg::word("WITHMATCHLEN").optional(),
        ])];

#[derive(Clone, Copy, Debug, Default)]
struct Options {
    idx: bool,
    len: bool,
    with_match_len: bool,
    match_len_min: usize,
}

fn lcs(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut read = |at| match string(txn, args.get(at)) {
        Err(Error::Stop(stop)) => Err(Error::Stop(stop)),
        found => found.map_err(|_| Error::line("ERR The specified keys must contain string values")),
    };
    let (a, b) = (read(1)?, read(2)?);
    let options = options(args)?;
    let lens = (length(txn, a.as_ref())?, length(txn, b.as_ref())?);
    // Redis' bound on its table of 32-bit lengths; what is needed here is less by far.
    let cells = (lens.0 + 1).saturating_mul(lens.1 + 1);
    if cells.saturating_mul(4) > limits::BULK_BYTES_MAX as u64 {
        return Err(Error::line(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let a = a.as_ref().map_or(Ok(Cow::default()), |record| txn.string_bytes(record))?;
    let b = b.as_ref().map_or(Ok(Cow::default()), |record| txn.string_bytes(record))?;
    let only_length = options.len && !options.idx;
    let table = Table::fill(txn, &a, &b, !only_length)?;
    if only_length {
        return Ok(Reply::Integer(i64::from(table.len)));
    }
    let walk = table.walk(&a, &b);
    if !options.idx {
        return Ok(Reply::bulk(walk.text));
    }
    let long_enough = walk.matches.iter().filter(|found| found.len >= options.match_len_min);
    let matches = long_enough.map(|found| found.reply(options.with_match_len)).collect();
    Ok(Reply::Map(vec![
        (Reply::bulk("matches"), Reply::Array(matches)),
        (Reply::bulk("len"), Reply::Integer(i64::from(table.len))),
    ]))
}

fn length(txn: &Txn<'_>, record: Option<&Record>) -> Result<u64> {
    Ok(record.map_or(Ok(0), |record| txn.string_len(record))?)
}

fn options(args: &Args<'_>) -> Result<Options> {
    let mut options = Options::default();
    let mut at = 3;
    while at < args.len() {
        if args.is(at, "idx") {
            options.idx = true;
        } else if args.is(at, "len") {
            options.len = true;
        } else if args.is(at, "withmatchlen") {
            options.with_match_len = true;
        } else if args.is(at, "minmatchlen") && at + 1 < args.len() {
            at += 1;
            options.match_len_min = usize::try_from(args.int(at)?).unwrap_or(0);
        } else {
            return Err(Error::SYNTAX);
        }
        at += 1;
    }
    if options.idx && options.len {
        return Err(Error::line("ERR If you want both the length and indexes, please just use IDX."));
    }
    Ok(options)
}

/// The table of the lengths of the common subsequences of all prefixes.
struct Table {
    /// The length for the whole strings.
    len: u32,
    /// For the cell of `a[i]` and `b[j]`: whether leaving out `a[i]` keeps more than leaving out
    /// `b[j]`. Empty if nobody is going to walk.
    skips_a: Vec<u64>,
}

impl Table {
    fn fill(txn: &mut Txn<'_>, a: &[u8], b: &[u8], walkable: bool) -> Result<Self> {
        let words = if walkable { (a.len() * b.len()).div_ceil(64) } else { 0 };
        txn.spend(0, b.len() * 4 + words * 8)?;
        let mut skips_a = vec![0u64; words];
        // Lengths for the prefix of `a` before this row, and with it; both one cell ahead.
        let mut above = vec![0u32; b.len() + 1];
        let mut row = vec![0u32; b.len() + 1];
        for (i, &byte) in a.iter().enumerate() {
            txn.spend(0, b.len())?;
            let mut left = 0u32;
            let cells = row.iter_mut().skip(1).zip(above.windows(2)).zip(b);
            for (j, ((cell, up), &other)) in cells.enumerate() {
                let &[diagonal, up] = up else { continue };
                if byte == other {
                    left = diagonal + 1;
                } else if up > left {
                    left = up;
                    let at = i * b.len() + j;
                    if let Some(word) = skips_a.get_mut(at / 64) {
                        *word |= 1 << (at % 64);
                    }
                }
                *cell = left;
            }
            std::mem::swap(&mut above, &mut row);
        }
        Ok(Self { len: above.last().copied().unwrap_or(0), skips_a })
    }

    fn skips_a(&self, at: usize) -> bool {
        self.skips_a.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    /// From the end of both strings to the front, as Redis walks: which of several longest common
    /// subsequences is found depends on it.
    fn walk(&self, a: &[u8], b: &[u8]) -> Walk {
        let mut walk = Walk { text: Vec::with_capacity(self.len as usize), matches: Vec::new() };
        let mut run: Option<Match> = None;
        let (mut i, mut j) = (a.len(), b.len());
        while let (Some(&byte), Some(&other)) = (last(a, i), last(b, j)) {
            if byte == other {
                (i, j) = (i - 1, j - 1);
                walk.text.push(byte);
                run = Some(match run {
                    Some(run) if run.a == i + 1 && run.b == j + 1 => Match { a: i, b: j, len: run.len + 1 },
                    interrupted => {
                        walk.matches.extend(interrupted);
                        Match { a: i, b: j, len: 1 }
                    }
                });
            } else {
                walk.matches.extend(run.take());
                match self.skips_a((i - 1) * b.len() + j - 1) {
                    true => i -= 1,
                    false => j -= 1,
                }
            }
        }
        walk.matches.extend(run);
        walk.text.reverse();
        walk
    }
}

/// The last byte of a prefix.
fn last(text: &[u8], len: usize) -> Option<&u8> {
    text.get(..len)?.last()
}

struct Walk {
    text: Vec<u8>,
    /// Stretches that are equal in both strings, the last one first.
    matches: Vec<Match>,
}

#[derive(Clone, Copy, Debug)]
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

impl Match {
    fn reply(&self, with_len: bool) -> Reply {
        let range = |start: usize| {
            Reply::Array(vec![Reply::Integer(start as i64), Reply::Integer((start + self.len - 1) as i64)])
        };
        let mut parts = vec![range(self.a), range(self.b)];
        if with_len {
            parts.push(Reply::Integer(self.len as i64));
        }
        Reply::Array(parts)
    }
}

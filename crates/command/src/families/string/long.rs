//! Long strings as replies that are told page by page.

use std::ops::Range;

use base::limits::{CHUNK_BYTES, STRING_PLAIN_BYTES_MAX};
use resp::Reply;

use super::*;
use crate::args::{Args, OwnedArgs};
use crate::families::{blob, part};
use crate::paged::{Feed, Page, Paged, Progress, Shape};

/// A part of a string as the whole reply.
pub(super) fn tell(txn: &mut Txn<'_>, key: &[u8], record: &Record, range: Range<u64>) -> Result<Reply> {
    if txn.page_bytes().is_none() || is_short(&range) {
        return part(txn, record, range);
    }
    Err(Paged::new(Shape::One, 1, Text::new(key, range)).into())
}

/// The strings of all keys as a stream; what is not a string is null.
pub(super) fn tell_all(args: &Args<'_>) -> Error {
    let entries = args.len() as u64 - 1;
    Paged::new(Shape::Array, entries, Values { args: args.to_owned(), at: 1, text: None }).into()
}

fn is_short(range: &Range<u64>) -> bool {
    range.end.saturating_sub(range.start) <= STRING_PLAIN_BYTES_MAX as u64
}

/// Tells one part of a string.
struct Text {
    key: Vec<u8>,
    /// What is left of it.
    range: Range<u64>,
    has_begun: bool,
}

impl Text {
    fn new(key: &[u8], range: Range<u64>) -> Self {
        Self { key: key.to_vec(), range, has_begun: false }
    }
}

impl Feed for Text {
    fn count(&mut self, _: &mut Txn<'_>) -> Result<Option<u64>> {
        Ok(Some(1))
    }

    fn fill(&mut self, txn: &mut Txn<'_>, page: &mut Page) -> Result<Progress> {
        let Some(record) = string(txn, &self.key)? else { return Ok(Progress::Done) };
        if !std::mem::replace(&mut self.has_begun, true) {
            page.open(self.range.end - self.range.start);
        }
        while !self.range.is_empty() {
            if page.is_full() {
                return Ok(Progress::More);
            }
            let chunk = CHUNK_BYTES as u64;
            let end = self.range.end.min((self.range.start / chunk + 1) * chunk);
            txn.string_pieces(&record, self.range.start..end, |piece| page.piece(blob(piece)))?;
            self.range.start = end;
        }
        page.close();
        Ok(Progress::Done)
    }
}

/// Tells the strings of several keys.
struct Values {
    args: OwnedArgs,
    at: usize,
    /// A long one that has been begun.
    text: Option<Text>,
}

impl Feed for Values {
    fn count(&mut self, _: &mut Txn<'_>) -> Result<Option<u64>> {
        Ok(Some(self.args.as_args().len() as u64 - 1))
    }

    fn fill(&mut self, txn: &mut Txn<'_>, page: &mut Page) -> Result<Progress> {
        let args = self.args.as_args();
        while self.at < args.len() {
            if page.is_full() {
                return Ok(Progress::More);
            }
            let key = args.get(self.at);
            if let Some(text) = &mut self.text {
                if text.fill(txn, page)? == Progress::More {
                    return Ok(Progress::More);
                }
                self.text = None;
                self.at += 1;
                continue;
            }
            match txn.get(key)?.filter(|record| record.kind == Kind::String) {
                None => page.value(&Reply::Null),
                Some(record) => {
                    let range = 0..txn.string_len(&record)?;
                    if !is_short(&range) {
                        self.text = Some(Text::new(key, range));
                        continue;
                    }
                    page.value(&part(txn, &record, range)?);
                }
            }
            self.at += 1;
        }
        Ok(Progress::Done)
    }
}

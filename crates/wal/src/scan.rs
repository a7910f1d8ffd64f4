//! Reading a segment's records one after the other, through a small window.

use std::path::PathBuf;

use crate::{
    bounds::SCAN_WINDOW_BYTES,
    error::WalError,
    files::read_full,
    record::{ALIGN, HEADER_BYTES, Header, Parsed, record_bytes},
    segment::Segment,
};

pub(crate) struct Scan<'a> {
    segment: &'a Segment,
    path: PathBuf,
    window: Vec<u8>,
    window_at: u64,
}

/// What was found behind the end of the valid records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// The end of the last header of this life of the file; 0 if there is none.
    pub(crate) end: u64,
    /// The furthest position that one of them calls durable.
    pub(crate) synced: u64,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(segment: &'a Segment, path: PathBuf) -> Self {
        Self { segment, path, window: Vec::new(), window_at: 0 }
    }

    /// Bytes of the file; `None` if they reach beyond its end.
    fn bytes(&mut self, at: u64, len: usize) -> Result<Option<&[u8]>, WalError> {
        let Some(end) = at.checked_add(len as u64).filter(|&end| end <= self.segment.len) else {
            return Ok(None);
        };
        let held = at >= self.window_at && end <= self.window_at + self.window.len() as u64;
        if !held {
            let left = usize::try_from(self.segment.len - at).unwrap_or(usize::MAX);
            self.window.resize(SCAN_WINDOW_BYTES.max(len).min(left), 0);
            self.window.shrink_to(SCAN_WINDOW_BYTES);
            self.window_at = at;
            let read = read_full(&*self.segment.file, at, &mut self.window)
                .map_err(|error| WalError::io("reading", &self.path, error))?;
            self.window.truncate(read);
        }
        let from = usize::try_from(at - self.window_at).unwrap_or(usize::MAX);
        Ok(self.window.get(from..).and_then(|rest| rest.get(..len)))
    }

    fn header(&mut self, at: u64) -> Result<Parsed, WalError> {
        let seq = self.segment.seq;
        let bytes = self.bytes(at, HEADER_BYTES)?.and_then(|bytes| bytes.first_chunk());
        Ok(bytes.map_or(Parsed::Invalid, |bytes| Header::parse(bytes, seq, at)))
    }

    /// The record at this place; `None` if there is no whole one.
    pub(crate) fn record(&mut self, at: u64) -> Result<Option<(Header, &[u8])>, WalError> {
        let header = match self.header(at)? {
            Parsed::Valid(header) => header,
            Parsed::Invalid => return Ok(None),
            Parsed::Unsupported(version) => {
                let file = self.path.display().to_string().into();
                return Err(WalError::Unsupported { file, offset: at, version });
            }
        };
        let payload = self.bytes(at + HEADER_BYTES as u64, header.len as usize)?;
        Ok(payload.filter(|payload| header.matches(payload)).map(|payload| (header, payload)))
    }

    /// Looks for headers from `from` on, in any order and wherever they may be.
    pub(crate) fn leftovers(&mut self, from: u64) -> Result<Leftovers, WalError> {
        let mut left = Leftovers::default();
        let mut at = from;
        while at + HEADER_BYTES as u64 <= self.segment.len {
            // Unknown formats were written by a version that this one would have refused before.
            if let Parsed::Valid(header) = self.header(at)? {
                let end = at + record_bytes(header.len as usize);
                left.end = left.end.max(end.min(self.segment.len));
                left.synced = left.synced.max(header.synced);
            }
            at += ALIGN;
        }
        Ok(left)
    }
}

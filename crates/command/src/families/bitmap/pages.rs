//! A string as several operations on small parts of it see it: what they touch is read once and
//! written once, however many they are.

use std::collections::BTreeMap;

use base::limits::CHUNK_BYTES;
use store::{Record, Txn};

use super::integer::{WINDOW_BYTES_USED, Window};
use crate::error::Result;
use crate::families::make_raw;

/// As large as the chunks of long strings: whoever writes a byte of one writes all of it.
const PAGE_BYTES: u64 = CHUNK_BYTES as u64;

pub(super) struct Pages {
    record: Option<Record>,
    len: u64,
    pages: BTreeMap<u64, Page>,
}

struct Page {
    /// What the string has of it: what is missing is zero.
    bytes: Vec<u8>,
    is_changed: bool,
}

impl Pages {
    pub(super) fn of(txn: &Txn<'_>, record: Option<Record>) -> Result<Self> {
        let len = record.as_ref().map_or(Ok(0), |record| txn.string_len(record))?;
        Ok(Self { record, len, pages: BTreeMap::new() })
    }

    pub(super) fn read(&mut self, txn: &mut Txn<'_>, at: u64) -> Result<Window> {
        let mut window = Window::default();
        for (at, byte) in (at..).zip(&mut window).take(WINDOW_BYTES_USED) {
            let page = self.page(txn, at / PAGE_BYTES)?;
            *byte = page.bytes.get((at % PAGE_BYTES) as usize).copied().unwrap_or(0);
        }
        Ok(window)
    }

    /// Writes the first bytes of a window.
    pub(super) fn write(&mut self, txn: &mut Txn<'_>, at: u64, window: &[u8]) -> Result<()> {
        for (at, byte) in (at..).zip(window) {
            let page = self.page(txn, at / PAGE_BYTES)?;
            let place = (at % PAGE_BYTES) as usize;
            if page.bytes.len() <= place {
                page.bytes.resize(place + 1, 0);
                page.is_changed = true;
            }
            if let Some(old) = page.bytes.get_mut(place)
                && old != byte
            {
                *old = *byte;
                page.is_changed = true;
            }
        }
        Ok(())
    }

    /// Lays what has changed over the string, which has at least `len` bytes then.
    pub(super) fn save(self, txn: &mut Txn<'_>, key: &[u8], len: u64) -> Result<()> {
        let changed = self.pages.into_iter().filter(|(_, page)| page.is_changed);
        let mut parts: Vec<(u64, Vec<u8>)> =
            changed.map(|(index, page)| (index * PAGE_BYTES, page.bytes)).collect();
        let end = parts.last().map_or(0, |(start, bytes)| start + bytes.len() as u64);
        if len > self.len.max(end) {
            parts.push((len - 1, vec![0]));
        }
        if let Some(record) = self.record.as_ref().filter(|_| parts.is_empty()) {
            return make_raw(txn, key, record);
        }
        // The last one first: the string grows once.
        let mut record = self.record;
        while let Some((start, bytes)) = parts.pop() {
            txn.overlay_string(key, record.as_ref(), start, &bytes)?;
            if !parts.is_empty() {
                record = txn.get(key)?;
            }
        }
        Ok(())
    }

    fn page(&mut self, txn: &mut Txn<'_>, index: u64) -> Result<&mut Page> {
        let page = self.pages.entry(index);
        if let std::collections::btree_map::Entry::Occupied(page) = page {
            return Ok(page.into_mut());
        }
        let start = index * PAGE_BYTES;
        let range = start..self.len.min(start + PAGE_BYTES);
        let mut bytes = Vec::new();
        if let Some(record) = self.record.as_ref().filter(|_| range.start < range.end) {
            txn.string_pieces(record, range, |piece| bytes.extend_from_slice(piece.as_slice()))?;
        }
        Ok(page.or_insert(Page { bytes, is_changed: false }))
    }
}

//! Where a shard keeps its rows: in chunks that never move, so that a table that grows copies nothing
//! and takes no more memory than its rows do. The last chunks can be given up, once their rows are elsewhere.

use super::Row;

/// Rows of a chunk: 4 KiB of them, for the allocator rounds up more by a quarter to have it aligned.
pub(super) const CHUNK: usize = 32;
const _: () = assert!(CHUNK * size_of::<Option<Row>>() == 4096);

#[derive(Default)]
pub(super) struct Rows {
    chunks: Vec<Box<[Option<Row>]>>,
    len: usize,
}

impl Rows {
    /// Places that there are, taken or not.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Row> {
        self.chunks.get(slot as usize / CHUNK)?.get(slot as usize % CHUNK)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Row> {
        self.place_mut(slot)?.as_mut()
    }

    /// Puts a row where none is.
    pub(super) fn put(&mut self, slot: u32, row: Row) {
        if let Some(place) = self.place_mut(slot) {
            *place = Some(row);
        }
    }

    pub(super) fn take(&mut self, slot: u32) -> Option<Row> {
        self.place_mut(slot)?.take()
    }

    /// Puts a row behind the last place; says where that is.
    pub(super) fn push(&mut self, row: Row) -> u32 {
        if self.len == self.chunks.len() * CHUNK {
            self.chunks.push((0..CHUNK).map(|_| None).collect());
        }
        let slot = self.len as u32;
        self.len += 1;
        self.put(slot, row);
        slot
    }

    /// Gives up the places from `len` on, which is the end of a chunk. There are no rows in them any more.
    pub(super) fn truncate(&mut self, len: usize) {
        self.chunks.truncate(len / CHUNK);
        self.chunks.shrink_to(2 * self.chunks.len());
        self.len = len;
    }

    fn place_mut(&mut self, slot: u32) -> Option<&mut Option<Row>> {
        self.chunks.get_mut(slot as usize / CHUNK)?.get_mut(slot as usize % CHUNK)
    }
}

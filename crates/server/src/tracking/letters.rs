//! Invalidations on their way to the clients of one network thread. What one client is to be told is bounded: if
//! it is more, it is told that everything has changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::limits;
use parking_lot::Mutex;

/// How a client has come to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// It has read the key.
    ByKey,
    /// It has named a prefix.
    ByPrefix,
}

/// A key that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub name: Arc<[u8]>,
    /// Which client has changed it: zero if it was nobody, or several.
    pub by: u64,
    pub way: Way,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Letter {
    Key(Key),
    Everything,
}

/// Whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct To {
    pub client: u64,
    /// Somebody else has it told.
    pub is_redirected: bool,
}

/// What one client is to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pile {
    /// Each once, in the order in which they changed first.
    pub keys: Vec<Key>,
    places: HashMap<(Arc<[u8]>, Way), usize>,
    bytes: usize,
    pub everything: bool,
}

impl Pile {
    pub fn put(&mut self, letter: Letter) {
        if self.everything {
            return;
        }
        match letter {
            Letter::Key(key) => self.put_key(key),
            Letter::Everything => self.everything = true,
        }
        if self.everything {
            *self = Self { everything: true, ..Self::default() };
        }
    }

    fn put_key(&mut self, key: Key) {
        let place = *self.places.entry((key.name.clone(), key.way)).or_insert(self.keys.len());
        if let Some(known) = self.keys.get_mut(place) {
            known.by = if known.by == key.by { key.by } else { 0 };
            return;
        }
        self.bytes += key.name.len();
        self.keys.push(key);
        self.everything =
            self.keys.len() > limits::INVALIDATIONS_MAX || self.bytes > limits::INVALIDATIONS_BYTES_MAX;
    }

    /// What came later, behind this.
    pub fn append(&mut self, later: Self) {
        if later.everything {
            return self.put(Letter::Everything);
        }
        later.keys.into_iter().for_each(|key| self.put(Letter::Key(key)));
    }
}

pub type Piles = HashMap<To, Pile>;

#[derive(Default)]
pub struct Letters {
    piles: Mutex<Piles>,
    /// Read without the lock.
    is_any: AtomicBool,
}

impl Letters {
    /// Says whether the thread has to be told that there is something.
    pub fn put(&self, to: To, letter: Letter) -> bool {
        let mut piles = self.piles.lock();
        piles.entry(to).or_default().put(letter);
        !self.is_any.swap(true, Ordering::SeqCst)
    }

    pub fn take(&self) -> Piles {
        let mut piles = self.piles.lock();
        self.is_any.store(false, Ordering::SeqCst);
        std::mem::take(&mut *piles)
    }

    pub fn is_empty(&self) -> bool {
        !self.is_any.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(name: &str) -> Letter {
        Letter::Key(Key { name: name.as_bytes().into(), by: 1, way: Way::ByKey })
    }

    #[test]
    fn what_one_client_is_to_be_told_is_bounded() {
        let (letters, to) = (Letters::default(), To { client: 7, is_redirected: false });
        assert!(letters.put(to, letter("a")) && !letters.put(to, letter("b")));
        assert!(!letters.put(To { client: 8, ..to }, letter("a")));
        letters.put(to, Letter::Key(Key { name: b"a"[..].into(), by: 2, way: Way::ByKey }));
        let mut piles = letters.take();
        let mut pile = piles.remove(&to).unwrap();
        assert_eq!((pile.keys.len(), pile.everything, piles.len()), (2, false, 1));
        assert_eq!((pile.keys[0].by, pile.keys[1].by), (0, 1));
        for n in 0..limits::INVALIDATIONS_MAX {
            letters.put(to, letter(&n.to_string()));
        }
        pile.append(letters.take().remove(&to).unwrap());
        assert!(pile.everything && pile.keys.is_empty());
        pile.put(letter("c"));
        assert!(pile.keys.is_empty());
        let mut pile = Pile::default();
        pile.put(letter(&"x".repeat(limits::INVALIDATIONS_BYTES_MAX + 1)));
        assert!(pile.everything && letters.is_empty());
    }
}

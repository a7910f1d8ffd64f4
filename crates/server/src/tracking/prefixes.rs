//! Who wants to know of all keys with a prefix. A key is looked up once for each length that a prefix has.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Reader;

#[derive(Default)]
pub(super) struct Prefixes {
    readers: HashMap<Arc<[u8]>, BTreeSet<Reader>>,
    /// How many prefixes have this length.
    lengths: BTreeMap<usize, usize>,
}

impl Prefixes {
    pub fn add(&mut self, prefix: &Arc<[u8]>, reader: Reader) {
        let readers = self.readers.entry(prefix.clone()).or_default();
        if readers.is_empty() {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        readers.insert(reader);
    }

    pub fn remove(&mut self, prefix: &[u8], reader: Reader) {
        let Some(readers) = self.readers.get_mut(prefix) else { return };
        readers.remove(&reader);
        if !readers.is_empty() {
            return;
        }
        self.readers.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    /// Calls for each who wants to know of a key.
    pub fn of(&self, key: &[u8], each: &mut impl FnMut(Reader)) {
        for (length, _) in self.lengths.range(..=key.len()) {
            let readers = key.get(..*length).and_then(|prefix| self.readers.get(prefix));
            readers.into_iter().flatten().copied().for_each(&mut *each);
        }
    }

    pub fn len(&self) -> usize {
        self.readers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_everybodys_who_names_a_beginning_of_it() {
        let mut prefixes = Prefixes::default();
        let reader = |client| Reader { client, thread: 0 };
        let names: [(&str, u64); 5] = [("", 1), ("user:", 2), ("user:", 3), ("user:7", 4), ("users", 5)];
        for (prefix, client) in names {
            prefixes.add(&prefix.as_bytes().into(), reader(client));
        }
        let of = |prefixes: &Prefixes, key: &str| {
            let mut found = Vec::new();
            prefixes.of(key.as_bytes(), &mut |reader: Reader| found.push(reader.client));
            found
        };
        assert_eq!(of(&prefixes, "user:77"), [1, 2, 3, 4]);
        assert_eq!(of(&prefixes, "use"), [1]);
        assert_eq!(prefixes.len(), 4);
        for (prefix, client) in names {
            prefixes.remove(prefix.as_bytes(), reader(client));
            prefixes.remove(b"nobody's", reader(client));
        }
        assert!(prefixes.lengths.is_empty() && of(&prefixes, "user:77").is_empty());
    }
}

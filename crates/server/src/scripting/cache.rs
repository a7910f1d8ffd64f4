//! The scripts that this node knows by their SHA-1. They are kept in memory, and no more than so many: a client
//! whose script is not there any more is told NOSCRIPT, and sends it again.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::limits;
use parking_lot::RwLock;
use script::{Digest, Flags, Header};

/// A script that has been compiled once.
pub struct Script {
    pub digest: Digest,
    /// The digest in hexadecimal.
    pub name: String,
    pub flags: Option<Flags>,
    code: Arc<[u8]>,
    /// Where its code begins, behind a first line about it.
    begin: usize,
    /// Until when it goes to the heavy pool at once.
    long_until_ms: AtomicU64,
}

impl Script {
    pub fn new(code: &[u8]) -> Result<Self, String> {
        let header = Header::of_script(code)?;
        let name = script::sha1_hex(code);
        let begin = code.len() - header.code.len();
        let digest = digest_of(name.as_bytes()).unwrap_or_default();
        Ok(Self {
            digest,
            name,
            flags: header.flags,
            code: code.into(),
            begin,
            long_until_ms: AtomicU64::new(0),
        })
    }

    pub fn code(&self) -> &[u8] {
        self.code.get(self.begin..).unwrap_or_default()
    }

    /// It has outgrown the budget of a network thread.
    pub fn outgrew(&self, now_ms: u64) {
        self.long_until_ms.store(now_ms + limits::SCRIPT_LONG_MS, Ordering::Relaxed);
    }

    pub fn is_long(&self, now_ms: u64) -> bool {
        self.long_until_ms.load(Ordering::Relaxed) > now_ms
    }
}

/// A SHA-1 as clients write it.
pub fn digest_of(hex: &[u8]) -> Option<Digest> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut digest = Digest::default();
    if hex.len() != 2 * digest.len() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(digest)
}

/// A script that is found by its whole code.
struct ByCode(Arc<Script>);

impl Borrow<[u8]> for ByCode {
    fn borrow(&self) -> &[u8] {
        &self.0.code
    }
}

impl Hash for ByCode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.code.hash(state);
    }
}

impl PartialEq for ByCode {
    fn eq(&self, other: &Self) -> bool {
        self.0.code == other.0.code
    }
}

impl Eq for ByCode {}

#[derive(Default)]
struct Known {
    by_digest: HashMap<Digest, Arc<Script>, foldhash::fast::RandomState>,
    by_code: HashMap<ByCode, (), foldhash::quality::RandomState>,
    /// In the order in which they came: those of EVAL go before those of SCRIPT LOAD.
    evaluated: VecDeque<Digest>,
    loaded: VecDeque<Digest>,
    bytes: usize,
}

impl Known {
    fn remove(&mut self, digest: &Digest) {
        if let Some(script) = self.by_digest.remove(digest) {
            self.bytes -= script.code.len();
            self.by_code.remove(&*script.code);
        }
    }

    fn make_room(&mut self, bytes: usize) {
        while self.by_digest.len() >= limits::SCRIPTS_MAX
            || self.bytes.saturating_add(bytes) > limits::SCRIPTS_BYTES_MAX
        {
            let oldest = self.evaluated.pop_front().or_else(|| self.loaded.pop_front());
            let Some(oldest) = oldest else { return };
            self.remove(&oldest);
        }
    }
}

/// The scripts of a node.
#[derive(Default)]
pub struct Scripts(RwLock<Known>);

impl Scripts {
    pub fn by_code(&self, code: &[u8]) -> Option<Arc<Script>> {
        self.0.read().by_code.get_key_value(code).map(|(found, ())| found.0.clone())
    }

    pub fn by_digest(&self, digest: &Digest) -> Option<Arc<Script>> {
        self.0.read().by_digest.get(digest).cloned()
    }

    /// Keeps a script. One that was loaded stays longer than one that was only run.
    pub fn add(&self, script: Script, is_loaded: bool) -> Arc<Script> {
        let script = Arc::new(script);
        let mut known = self.0.write();
        if let Some(found) = known.by_digest.get(&script.digest) {
            let found = found.clone();
            if is_loaded && let Some(at) = known.evaluated.iter().position(|digest| *digest == found.digest) {
                known.evaluated.remove(at);
                known.loaded.push_back(found.digest);
            }
            return found;
        }
        known.make_room(script.code.len());
        known.bytes += script.code.len();
        known.by_digest.insert(script.digest, script.clone());
        known.by_code.insert(ByCode(script.clone()), ());
        let queue = if is_loaded { &mut known.loaded } else { &mut known.evaluated };
        queue.push_back(script.digest);
        script
    }

    pub fn clear(&self) {
        *self.0.write() = Known::default();
    }

    /// How many scripts there are, and how many bytes they take up.
    pub fn size(&self) -> (usize, usize) {
        let known = self.0.read();
        (known.by_digest.len(), known.bytes)
    }
}

/// Functions that have outgrown the budget of a network thread, by name, and until when that counts.
#[derive(Default)]
pub struct LongNames(RwLock<HashMap<Vec<u8>, u64>>);

impl LongNames {
    pub fn outgrew(&self, name: &[u8], now_ms: u64) {
        let mut names = self.0.write();
        if names.len() >= limits::FUNCTIONS_LONG_MAX {
            names.clear();
        }
        names.insert(name.to_vec(), now_ms + limits::SCRIPT_LONG_MS);
    }

    pub fn is_long(&self, name: &[u8], now_ms: u64) -> bool {
        self.0.read().get(name).is_some_and(|until| *until > now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(scripts: &Scripts, code: &str, is_loaded: bool) -> Digest {
        scripts.add(Script::new(code.as_bytes()).unwrap(), is_loaded).digest
    }

    #[test]
    fn scripts_are_found_by_code_and_by_digest() {
        let scripts = Scripts::default();
        let digest = add(&scripts, "return 1", false);
        assert_eq!(digest_of(b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"), Some(digest));
        assert_eq!(digest_of(b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"), Some(digest));
        assert_eq!(digest_of(b"e0e1f9fabfc9d4800c877a703b823ac0578ff8dx"), None);
        assert_eq!(scripts.by_code(b"return 1").unwrap().digest, digest);
        assert!(scripts.by_digest(&digest).is_some() && scripts.by_code(b"return 2").is_none());
        assert_eq!(add(&scripts, "return 1", true), digest, "it is the same one");
        assert_eq!(scripts.size(), (1, 8));
        scripts.clear();
        assert!(scripts.by_digest(&digest).is_none() && scripts.by_code(b"return 1").is_none());
    }

    #[test]
    fn the_oldest_make_room_and_those_that_were_loaded_last() {
        let scripts = Scripts::default();
        let loaded = add(&scripts, "return 'loaded'", true);
        let first = add(&scripts, "return 'first'", false);
        let kept = add(&scripts, "return 'kept'", false);
        add(&scripts, "return 'kept'", true);
        for number in 0..limits::SCRIPTS_MAX - 2 {
            add(&scripts, &format!("return {number}"), false);
        }
        assert_eq!(scripts.size().0, limits::SCRIPTS_MAX);
        assert!(scripts.by_digest(&first).is_none());
        assert!(scripts.by_digest(&loaded).is_some() && scripts.by_digest(&kept).is_some());
        let large = format!("return '{}'", "x".repeat(limits::SCRIPTS_BYTES_MAX - 64));
        let large = add(&scripts, &large, false);
        assert!(scripts.by_digest(&large).is_some() && scripts.by_digest(&loaded).is_some());
        assert!(scripts.size().1 <= limits::SCRIPTS_BYTES_MAX);
    }
}

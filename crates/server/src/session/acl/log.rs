//! ACL LOG: who was refused what.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Refusals of the same thing within this time are one entry.
const MERGED_MS_MAX: u64 = 60_000;
/// How many of the newest entries a refusal is compared with.
const COMPARED: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Command,
    Key,
    Channel,
    Auth,
}

impl Reason {
    pub const ALL: [Self; 4] = [Self::Auth, Self::Command, Self::Key, Self::Channel];

    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Key => "key",
            Self::Channel => "channel",
            Self::Auth => "auth",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    TopLevel,
    Multi,
    Lua,
}

impl Place {
    pub fn name(self) -> &'static str {
        match self {
            Self::TopLevel => "toplevel",
            Self::Multi => "multi",
            Self::Lua => "lua",
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    pub place: Place,
    /// The command, key or channel; of a login, the command as it was called.
    pub object: Vec<u8>,
    pub user: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub id: u64,
    pub count: u64,
    pub refusal: Refusal,
    pub created_ms: u64,
    pub updated_ms: u64,
    /// The client's line in CLIENT LIST.
    pub client: String,
}

#[derive(Default)]
struct Entries {
    next_id: u64,
    newest_first: VecDeque<Entry>,
    counts: [u64; Reason::ALL.len()],
}

#[derive(Default)]
pub struct AclLog {
    entries: Mutex<Entries>,
}

impl AclLog {
    /// Adds a refusal; the oldest entries beyond `len_max` go.
    pub fn add(&self, refusal: Refusal, client: String, now_ms: u64, len_max: usize) {
        let mut entries = self.entries.lock();
        if let Some(at) = Reason::ALL.iter().position(|reason| *reason == refusal.reason) {
            entries.counts[at] += 1;
        }
        let log = &mut entries.newest_first;
        let is_same =
            |entry: &Entry| entry.refusal == refusal && now_ms.abs_diff(entry.updated_ms) <= MERGED_MS_MAX;
        let same = log.iter().take(COMPARED).position(is_same);
        let entry = match same.and_then(|at| log.remove(at)) {
            Some(same) => Entry { count: same.count + 1, updated_ms: now_ms, client, ..same },
            None => {
                let id = entries.next_id;
                entries.next_id += 1;
                Entry { id, count: 1, refusal, created_ms: now_ms, updated_ms: now_ms, client }
            }
        };
        entries.newest_first.push_front(entry);
        entries.newest_first.truncate(len_max);
    }

    pub fn newest(&self, count: usize) -> Vec<Entry> {
        self.entries.lock().newest_first.iter().take(count).cloned().collect()
    }

    pub fn clear(&self) {
        self.entries.lock().newest_first.clear();
    }

    /// How many refusals there were for each reason, since the node started.
    pub fn counts(&self) -> [(Reason, u64); Reason::ALL.len()] {
        let counts = self.entries.lock().counts;
        std::array::from_fn(|at| (Reason::ALL[at], counts[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(object: &str) -> Refusal {
        Refusal { reason: Reason::Key, place: Place::TopLevel, object: object.into(), user: b"me".to_vec() }
    }

    /// Ids and counts, the newest first, after refusals at these times.
    #[track_caller]
    fn check(refusals: &[(&str, u64)], expected: &[(u64, u64)]) {
        let log = AclLog::default();
        for (object, at_ms) in refusals {
            log.add(refusal(object), String::new(), *at_ms, 12);
        }
        let entries: Vec<_> = log.newest(100).iter().map(|entry| (entry.id, entry.count)).collect();
        assert_eq!(entries, expected);
    }

    #[test]
    fn the_same_refusals_within_a_minute_are_one_entry() {
        check(&[("a", 0), ("a", 60_000), ("a", 120_000)], &[(0, 3)]);
        check(&[("a", 0), ("a", 60_001)], &[(1, 1), (0, 1)]);
        check(&[("a", 0), ("b", 0), ("a", 5)], &[(0, 2), (1, 1)]);
    }

    #[test]
    fn only_the_newest_are_compared_and_kept() {
        let names: Vec<String> = (0..11).map(|at| format!("k{at}")).collect();
        let mut refusals: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 0)).collect();
        refusals.extend([("k0", 0), ("k2", 0), ("x", 0)]);
        // k0 is not among the ten newest any more, k2 is; the twelve newest stay.
        let kept = [
            (12, 1),
            (2, 2),
            (11, 1),
            (10, 1),
            (9, 1),
            (8, 1),
            (7, 1),
            (6, 1),
            (5, 1),
            (4, 1),
            (3, 1),
            (1, 1),
        ];
        check(&refusals, &kept);
    }
}

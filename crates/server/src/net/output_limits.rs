//! What clients may leave unread before they are cut off: `client-output-buffer-limit`, by classes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base::limits;

/// A class of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Normal,
    /// Redis' replicas: there are none here.
    Replica,
    PubSub,
}

/// As Redis calls them.
const NAMES: [(Class, &str); 3] =
    [(Class::Normal, "normal"), (Class::Replica, "slave"), (Class::PubSub, "pubsub")];

/// Of a class: bytes that nobody may leave unread, and bytes that nobody may leave unread for so long. Zero for
/// no limit but that of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub hard_bytes: u64,
    pub soft_bytes: u64,
    pub soft_s: u64,
}

#[derive(Default)]
struct Live {
    hard_bytes: AtomicU64,
    soft_bytes: AtomicU64,
    soft_s: AtomicU64,
}

/// The limits in force.
pub struct OutputLimits([Live; 3]);

/// As in Redis.
const DEFAULTS: [(Class, Limit); 3] = [
    (Class::Normal, Limit { hard_bytes: 0, soft_bytes: 0, soft_s: 0 }),
    (Class::Replica, Limit { hard_bytes: 256 << 20, soft_bytes: 64 << 20, soft_s: 60 }),
    (Class::PubSub, Limit { hard_bytes: 32 << 20, soft_bytes: 8 << 20, soft_s: 60 }),
];

impl Default for OutputLimits {
    fn default() -> Self {
        let limits = Self(Default::default());
        DEFAULTS.iter().for_each(|(class, limit)| limits.set(*class, *limit));
        limits
    }
}

impl OutputLimits {
    fn of(&self, class: Class) -> &Live {
        let [normal, replica, pubsub] = &self.0;
        match class {
            Class::Normal => normal,
            Class::Replica => replica,
            Class::PubSub => pubsub,
        }
    }

    pub fn get(&self, class: Class) -> Limit {
        let live = self.of(class);
        Limit {
            hard_bytes: live.hard_bytes.load(Relaxed),
            soft_bytes: live.soft_bytes.load(Relaxed),
            soft_s: live.soft_s.load(Relaxed),
        }
    }

    pub fn set(&self, class: Class, limit: Limit) {
        let live = self.of(class);
        live.hard_bytes.store(limit.hard_bytes, Relaxed);
        live.soft_bytes.store(limit.soft_bytes, Relaxed);
        live.soft_s.store(limit.soft_s, Relaxed);
    }

    /// As CONFIG GET shows them.
    pub fn show(&self) -> String {
        let one = |(class, name): &(Class, &str)| {
            let Limit { hard_bytes, soft_bytes, soft_s } = self.get(*class);
            format!("{name} {hard_bytes} {soft_bytes} {soft_s}")
        };
        NAMES.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

impl Limit {
    /// Whether a client that leaves so much unread is cut off at once.
    pub fn is_hard(&self, bytes: u64) -> bool {
        let hard = if self.hard_bytes == 0 { u64::MAX } else { self.hard_bytes };
        bytes > hard.min(limits::CLIENT_OUTPUT_BYTES_MAX as u64)
    }

    /// Whether a client may leave so much unread only for a while.
    pub fn is_soft(&self, bytes: u64) -> bool {
        self.soft_bytes > 0 && bytes > self.soft_bytes
    }
}

/// What CONFIG SET is given: classes, each with three numbers. `memory` reads one with a unit.
pub fn parse(text: &str, memory: fn(&str) -> Option<u64>) -> Result<Vec<(Class, Limit)>, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let one = |words: &[&str]| -> Result<(Class, Limit), String> {
        let &[name, hard, soft, seconds] = words else { return Err(String::new()) };
        let name = if name.eq_ignore_ascii_case("replica") { "slave" } else { name };
        let class = NAMES.iter().find(|(_, known)| name.eq_ignore_ascii_case(known)).map(|(class, _)| *class);
        let class = class.ok_or("Invalid client class specified in buffer limit configuration.")?;
        let number = |text| {
            memory(text).ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
        };
        let soft_s = seconds.parse().ok();
        let soft_s =
            soft_s.ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
        Ok((class, Limit { hard_bytes: number(hard)?, soft_bytes: number(soft)?, soft_s }))
    };
    words.chunks(4).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<u64> {
        text.parse().ok()
    }

    #[test]
    fn limits_are_shown_and_set_by_class() {
        let limits = OutputLimits::default();
        assert_eq!(limits.show(), "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
        for (class, limit) in parse("PubSub 100 10 5 replica 1 2 3", number).unwrap() {
            limits.set(class, limit);
        }
        assert_eq!(limits.show(), "normal 0 0 0 slave 1 2 3 pubsub 100 10 5");
        for wrong in ["pubsub 1 2", "master 0 0 0", "nosuch 0 0 0", "pubsub x 0 0", "pubsub 0 0 -1"] {
            assert!(parse(wrong, number).is_err(), "{wrong}");
        }
    }

    #[test]
    fn whoever_is_over_a_limit_is_known() {
        let limit = Limit { hard_bytes: 100, soft_bytes: 10, soft_s: 1 };
        assert!(limit.is_hard(101) && !limit.is_hard(100) && limit.is_soft(11) && !limit.is_soft(10));
        let none = Limit { hard_bytes: 0, soft_bytes: 0, soft_s: 0 };
        assert!(!none.is_soft(u64::MAX) && !none.is_hard(limits::CLIENT_OUTPUT_BYTES_MAX as u64));
        assert!(none.is_hard(limits::CLIENT_OUTPUT_BYTES_MAX as u64 + 1));
    }
}

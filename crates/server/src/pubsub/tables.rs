//! Which network threads have clients that hear a name.

use base::{PartedMap, glob};

use super::{ByKind, Kind, Name};

/// How many clients of each network thread hear a name: only those threads that have some.
#[derive(Default)]
struct Heard(Vec<(u16, u32)>);

impl Heard {
    fn add(&mut self, thread: u16) {
        match self.0.iter_mut().find(|(at, _)| *at == thread) {
            Some((_, clients)) => *clients += 1,
            None => self.0.push((thread, 1)),
        }
    }

    fn remove(&mut self, thread: u16) {
        if let Some((_, clients)) = self.0.iter_mut().find(|(at, _)| *at == thread) {
            *clients -= 1;
        }
        self.0.retain(|(_, clients)| *clients > 0);
    }

    fn clients(&self) -> i64 {
        self.0.iter().map(|(_, clients)| i64::from(*clients)).sum()
    }
}

/// Who hears a message.
#[derive(Default)]
pub(super) struct Found {
    /// Once for each name that a client hears it by.
    pub receivers: i64,
    /// The names: its channel first, then patterns.
    pub names: Vec<(Kind, Name)>,
    pub threads: Vec<u16>,
}

impl Found {
    fn add(&mut self, kind: Kind, name: &Name, heard: &Heard) {
        self.receivers += heard.clients();
        self.names.push((kind, name.clone()));
        for &(thread, _) in &heard.0 {
            if !self.threads.contains(&thread) {
                self.threads.push(thread);
            }
        }
    }
}

#[derive(Default)]
pub(super) struct Tables {
    names: ByKind<PartedMap<Name, Heard>>,
    /// Bytes of all patterns, and of those whose match may take as long as their length times that of the
    /// channel.
    pattern_bytes: usize,
    costly_bytes: usize,
}

/// Whether a pattern has more than one `*`: only then anything is tried twice.
fn is_costly(pattern: &[u8]) -> bool {
    pattern.iter().filter(|byte| **byte == b'*').count() > 1
}

/// Bytes that are matched in about the time of one step of a script.
const BYTES_IN_A_STEP: usize = 8;

impl Tables {
    /// A client of a thread hears a name. Gives the name as it is kept.
    pub fn add(&mut self, kind: Kind, name: &[u8], thread: u16) -> Name {
        let names = self.names.of_mut(kind);
        let known = names.get_key_value(name).map(|(name, _)| name.clone());
        let kept = known.clone().unwrap_or_else(|| name.into());
        names.get_or_default(kept.clone()).add(thread);
        if known.is_none() && kind == Kind::Pattern {
            self.pattern_bytes += name.len();
            self.costly_bytes += if is_costly(name) { name.len() } else { 0 };
        }
        kept
    }

    pub fn remove(&mut self, kind: Kind, name: &[u8], thread: u16) {
        let names = self.names.of_mut(kind);
        let Some(heard) = names.get_mut(name) else { return };
        heard.remove(thread);
        if !heard.0.is_empty() {
            return;
        }
        names.remove(name);
        if kind == Kind::Pattern {
            self.pattern_bytes -= name.len();
            self.costly_bytes -= if is_costly(name) { name.len() } else { 0 };
        }
    }

    /// Who hears what is said on a channel.
    pub fn find(&self, kind: Kind, channel: &[u8]) -> Found {
        let mut found = Found::default();
        if let Some((name, heard)) = self.names.of(kind).get_key_value(channel) {
            found.add(kind, name, heard);
        }
        if kind == Kind::Channel {
            for (pattern, heard) in self.names.of(Kind::Pattern).iter() {
                if glob::matches(pattern, channel) {
                    found.add(Kind::Pattern, pattern, heard);
                }
            }
        }
        found
    }

    /// What it takes at most to find out who hears a channel, in steps of a script.
    pub fn steps(&self, kind: Kind, channel: &[u8]) -> u32 {
        if kind == Kind::Shard {
            return 1;
        }
        let patterns = self.len(Kind::Pattern);
        let once = self.pattern_bytes.min(patterns.saturating_mul(channel.len()));
        let bytes = once.saturating_add(self.costly_bytes.saturating_mul(channel.len()));
        u32::try_from(1 + patterns + bytes / BYTES_IN_A_STEP).unwrap_or(u32::MAX)
    }

    pub fn len(&self, kind: Kind) -> usize {
        self.names.of(kind).len()
    }

    pub fn clients(&self, kind: Kind, name: &[u8]) -> i64 {
        self.names.of(kind).get(name).map_or(0, Heard::clients)
    }

    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &Name> {
        self.names.of(kind).keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(names: &[(Kind, &str, u16)]) -> Tables {
        let mut tables = Tables::default();
        for (kind, name, thread) in names {
            tables.add(*kind, name.as_bytes(), *thread);
        }
        tables
    }

    const NAMES: &[(Kind, &str, u16)] = &[
        (Kind::Channel, "news", 0),
        (Kind::Channel, "news", 2),
        (Kind::Channel, "news", 2),
        (Kind::Pattern, "n*", 1),
        (Kind::Pattern, "*e*s", 2),
        (Kind::Pattern, "x*", 3),
        (Kind::Shard, "news", 4),
    ];

    #[test]
    fn a_message_is_for_those_who_hear_its_channel_or_a_pattern_like_it() {
        let tables = tables(NAMES);
        let mut found = tables.find(Kind::Channel, b"news");
        assert_eq!(found.receivers, 5);
        assert_eq!(found.names[0].0, Kind::Channel);
        found.threads.sort_unstable();
        assert_eq!((found.names.len(), &*found.threads), (3, &[0, 1, 2][..]));
        let found = tables.find(Kind::Shard, b"news");
        assert_eq!((found.receivers, &*found.threads), (1, &[4][..]));
        assert_eq!(tables.find(Kind::Channel, b"old").receivers, 0);
        assert_eq!(tables.find(Kind::Channel, b"").receivers, 0);
    }

    #[test]
    fn nothing_is_kept_of_those_who_are_gone() {
        let mut tables = tables(NAMES);
        assert!(tables.steps(Kind::Channel, b"news") > tables.steps(Kind::Shard, b"news"));
        for (kind, name, thread) in NAMES {
            tables.remove(*kind, name.as_bytes(), *thread);
            tables.remove(*kind, b"nothing", *thread);
        }
        assert!(Kind::ALL.iter().all(|&kind| tables.len(kind) == 0));
        assert_eq!((tables.pattern_bytes, tables.costly_bytes), (0, 0));
        assert_eq!(tables.steps(Kind::Channel, b"news"), 1);
    }

    #[test]
    fn patterns_that_may_take_long_are_known_as_such() {
        let long = "a".repeat(10_000);
        let mut tables = tables(&[(Kind::Pattern, "*a", 0)]);
        assert!(tables.steps(Kind::Channel, long.as_bytes()) < 10);
        tables.add(Kind::Pattern, "*a".repeat(1_000).as_bytes(), 0);
        assert!(tables.steps(Kind::Channel, long.as_bytes()) > 1_000_000);
    }
}

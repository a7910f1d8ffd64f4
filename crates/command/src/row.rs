//! The row of a command: everything that is known about it without running it. Arity checks, key
//! extraction, ACL categories, COMMAND, metrics and documentation all derive from it.

use resp::Reply;
use store::Txn;

use crate::arg::Arg;
use crate::args::Args;
use crate::error::Result;
pub use crate::keys::{Access, KeySpec, Keys, Unknown, access};

/// A command's function.
pub type Run = fn(&mut Txn<'_>, &Args<'_>) -> Result<Reply>;

/// How many arguments a command takes, its name included: exactly, or at least if negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity(pub i32);

impl Arity {
    pub const fn exactly(count: i32) -> Self {
        Self(count)
    }

    pub const fn at_least(count: i32) -> Self {
        Self(-count)
    }

    pub fn accepts(self, count: usize) -> bool {
        let wanted = self.0.unsigned_abs() as usize;
        if self.0 >= 0 { count == wanted } else { count >= wanted }
    }
}

/// A set of [`flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(pub u64);

impl Flags {
    pub const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What is true of a command. The first ones are shown by COMMAND under Redis' names.
pub mod flags {
    use super::Flags;

    pub const WRITE: Flags = Flags(1);
    pub const READONLY: Flags = Flags(1 << 1);
    pub const DENYOOM: Flags = Flags(1 << 2);
    pub const ADMIN: Flags = Flags(1 << 3);
    pub const PUBSUB: Flags = Flags(1 << 4);
    pub const NOSCRIPT: Flags = Flags(1 << 5);
    pub const BLOCKING: Flags = Flags(1 << 6);
    pub const LOADING: Flags = Flags(1 << 7);
    pub const STALE: Flags = Flags(1 << 8);
    pub const SKIP_MONITOR: Flags = Flags(1 << 9);
    pub const SKIP_SLOWLOG: Flags = Flags(1 << 10);
    pub const ASKING: Flags = Flags(1 << 11);
    pub const FAST: Flags = Flags(1 << 12);
    pub const NO_AUTH: Flags = Flags(1 << 13);
    pub const MAY_REPLICATE: Flags = Flags(1 << 14);
    pub const NO_ASYNC_LOADING: Flags = Flags(1 << 15);
    pub const NO_MULTI: Flags = Flags(1 << 16);
    pub const MOVABLE_KEYS: Flags = Flags(1 << 17);
    pub const ALLOW_BUSY: Flags = Flags(1 << 18);
    /// Not shown: runs at once, also after MULTI.
    pub const AT_ONCE: Flags = Flags(1 << 19);
    pub const NO_MANDATORY_KEYS: Flags = Flags(1 << 20);
    /// Not shown: of the ACL categories of lists, sets and sorted sets, whatever its group.
    pub const COLLECTIONS: Flags = Flags(1 << 21);
    /// Not shown: reads, and writes down what it has found where it may.
    pub const MAY_WRITE: Flags = Flags(1 << 22);
    /// Not shown: not for users, as COMMAND DOCS says.
    pub const SYSTEM: Flags = Flags(1 << 23);
    /// Not shown: goes to the heavy lane at once.
    pub const HEAVY: Flags = Flags(1 << 24);
    /// Not shown: reads what only the section knows.
    pub const SECTION: Flags = Flags(1 << 25);
    /// Not shown: dangerous in the sense of the ACL category.
    pub const DANGEROUS: Flags = Flags(1 << 26);
    /// Not shown: of the ACL category `keyspace`, whatever its group.
    pub const KEYSPACE: Flags = Flags(1 << 27);
    /// Not shown: concerns every group of a node; their replies are merged.
    pub const FANOUT: Flags = Flags(1 << 28);
    /// Not shown: only holds subcommands, which have rows of their own.
    pub const CONTAINER: Flags = Flags(1 << 29);
    /// Not shown: of the ACL category `connection`, whatever its group.
    pub const CONNECTION: Flags = Flags(1 << 30);
    /// Not shown: of the ACL categories `admin` and `dangerous`, although not shown as such.
    pub const FOR_ADMINS: Flags = Flags(1 << 31);
    /// Not shown: goes through the names that it has in parts, between which others have their turns.
    pub const IN_PARTS: Flags = Flags(1 << 32);

    /// Redis' names of the flags that COMMAND shows.
    pub const SHOWN: &[(Flags, &str)] = &[
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_MONITOR, "skip_monitor"),
        (SKIP_SLOWLOG, "skip_slowlog"),
        (ASKING, "asking"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (MAY_REPLICATE, "may_replicate"),
        (NO_ASYNC_LOADING, "no_async_loading"),
        (NO_MULTI, "no_multi"),
        (NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (MOVABLE_KEYS, "movablekeys"),
        (ALLOW_BUSY, "allow_busy"),
    ];
}

/// What COMMAND DOCS says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Docs {
    pub summary: &'static str,
    pub since: &'static str,
    /// Redis' name of the family: `string`, `generic`, `server`, …
    pub group: &'static str,
    pub complexity: &'static str,
}

/// Since when a command is deprecated, and what to use instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deprecated {
    pub since: &'static str,
    pub replaced_by: &'static str,
}

/// Where a command starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Read,
    Inline,
    Heavy,
}

/// Whose share of the heavy pool a command takes when it runs there. Every row is of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Goes through keys or elements to find some of them: KEYS, the SCAN family, SORT, RANDOMKEY.
    Scan,
    /// Reads or writes much of what it names: big ranges, algebra of sets, and whatever else is too
    /// much for a network thread.
    Range,
    /// Runs what a client has written: scripts, functions, transactions.
    Script,
}

impl Class {
    pub const ALL: [Self; 3] = [Self::Scan, Self::Range, Self::Script];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Range => "range",
            Self::Script => "script",
        }
    }
}

/// A command's row. `R` is its function: over a transaction here, over a session in the server.
#[derive(Clone, Copy, Debug)]
pub struct Command<R = Run> {
    /// Lower case; a subcommand as `config|get`.
    pub name: &'static str,
    pub arity: Arity,
    pub keys: Keys,
    pub flags: Flags,
    pub run: R,
    pub docs: Docs,
    /// What COMMAND DOCS says of the arguments.
    pub arguments: &'static [Arg],
    /// Hints for clients and proxies, as COMMAND INFO shows them.
    pub tips: &'static [&'static str],
    pub deprecated: Option<Deprecated>,
    pub class: Class,
}

impl<R> Command<R> {
    pub const fn new(
        name: &'static str,
        arity: Arity,
        keys: Keys,
        flags: &[Flags],
        run: R,
        docs: Docs,
    ) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < flags.len() {
            bits |= flags[at].0;
            at += 1;
        }
        Self {
            name,
            arity,
            keys,
            flags: Flags(bits),
            run,
            docs,
            arguments: &[],
            tips: &[],
            deprecated: None,
            class: Class::Range,
        }
    }

    pub const fn takes(mut self, arguments: &'static [Arg]) -> Self {
        self.arguments = arguments;
        self
    }

    pub const fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    pub const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    pub const fn docs(
        mut self,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Self {
        self.docs = Docs { summary, since, group: self.docs.group, complexity };
        self
    }

    pub const fn deprecated(mut self, since: &'static str, replaced_by: &'static str) -> Self {
        self.deprecated = Some(Deprecated { since, replaced_by });
        self
    }

    pub fn lane(&self) -> Lane {
        if self.flags.has(flags::HEAVY) {
            Lane::Heavy
        } else if [flags::WRITE, flags::SECTION, flags::MAY_WRITE].iter().any(|flag| self.flags.has(*flag)) {
            Lane::Inline
        } else {
            Lane::Read
        }
    }

    /// The ACL categories, with their `@`, in Redis' order.
    pub fn categories(&self) -> Vec<&'static str> {
        let group = self.docs.group;
        let family = match group {
            "list" | "set" | "hash" | "string" | "bitmap" | "hyperloglog" | "geo" | "stream" => group,
            "sorted-set" => "sortedset",
            _ => "",
        };
        let has = |flag| self.flags.has(flag);
        let container = has(flags::CONTAINER);
        let fast = has(flags::FAST);
        let of_collections = has(flags::COLLECTIONS);
        let named = [
            (
                (group == "generic" && !container && !has(flags::CONNECTION) && !of_collections)
                    || has(flags::KEYSPACE),
                "@keyspace",
            ),
            (has(flags::READONLY) && group != "scripting", "@read"),
            (has(flags::WRITE), "@write"),
            (family == "set" || of_collections, "@set"),
            (family == "sortedset" || of_collections, "@sortedset"),
            (family == "list" || of_collections, "@list"),
            (family == "hash", "@hash"),
            (family == "string", "@string"),
            (family == "bitmap", "@bitmap"),
            (family == "hyperloglog", "@hyperloglog"),
            (family == "geo", "@geo"),
            (family == "stream" && !container, "@stream"),
            (has(flags::PUBSUB), "@pubsub"),
            (has(flags::ADMIN) || has(flags::FOR_ADMINS), "@admin"),
            (fast, "@fast"),
            (!fast, "@slow"),
            (has(flags::BLOCKING), "@blocking"),
            (has(flags::ADMIN) || has(flags::FOR_ADMINS) || has(flags::DANGEROUS), "@dangerous"),
            ((group == "connection" && !container) || has(flags::CONNECTION), "@connection"),
            (group == "transactions", "@transaction"),
            (group == "scripting" && !container, "@scripting"),
        ];
        named.into_iter().filter_map(|(is, name)| is.then_some(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arity_is_exact_or_a_minimum() {
        assert!(Arity::exactly(2).accepts(2) && !Arity::exactly(2).accepts(3));
        assert!(Arity::at_least(2).accepts(9) && !Arity::at_least(2).accepts(1));
    }
}

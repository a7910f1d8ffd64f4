//! Which commands a selector allows: one bit a command, and the rules that led there, as ACL LIST shows
//! them.

use std::collections::BTreeMap;

use command::{Args, flags};

use super::Wrong;
use crate::table::{Entry, table};

const WORD_BITS: usize = u64::BITS as usize;

/// The categories, in Redis' order, without their `@`.
pub const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// The category of this name (without `@`), in any case.
pub fn category(name: &[u8]) -> Option<&'static str> {
    CATEGORIES.iter().copied().find(|category| name.eq_ignore_ascii_case(category.as_bytes()))
}

/// The commands of a category, subcommands among them.
pub fn in_category(category: &str) -> impl Iterator<Item = &'static Entry> {
    let is_named = move |name: &&str| name.strip_prefix('@') == Some(category);
    table().entries().iter().filter(move |entry| entry.row.categories().iter().any(is_named))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// One bit for each place in the table.
    bits: Vec<u64>,
    /// All, without a look at the bits.
    all: bool,
    /// Whether the rules begin with all commands, or with none.
    from_all: bool,
    /// First arguments with which a command is allowed that is not otherwise, by its place in the table.
    first_args: BTreeMap<usize, Vec<Vec<u8>>>,
    /// With their signs, in lower case, each command or category once.
    rules: Vec<Vec<u8>>,
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            bits: vec![0; table().entries().len().div_ceil(WORD_BITS)],
            all: false,
            from_all: false,
            first_args: BTreeMap::new(),
            rules: Vec::new(),
        }
    }
}

impl Commands {
    /// All commands, those too that there will be.
    pub fn are_all(&self) -> bool {
        self.all
    }

    fn has(&self, id: usize) -> bool {
        self.bits.get(id / WORD_BITS).is_some_and(|word| word & (1 << (id % WORD_BITS)) != 0)
    }

    /// Whether a command is allowed, with these arguments.
    pub fn allow(&self, entry: &Entry, args: &Args<'_>) -> bool {
        let first_arg = || {
            let allowed = self.first_args.get(&entry.id)?;
            Some(args.len() > 1 && allowed.iter().any(|arg| arg.eq_ignore_ascii_case(args.get(1))))
        };
        self.all || entry.row.flags.has(flags::NO_AUTH) || self.has(entry.id) || first_arg().unwrap_or(false)
    }

    /// Whether a command is allowed whatever its arguments.
    pub fn allow_any(&self, entry: &Entry) -> bool {
        self.all || self.has(entry.id)
    }

    /// `allcommands`, `nocommands`.
    pub fn set_all(&mut self, allowed: bool) {
        self.bits.fill(if allowed { u64::MAX } else { 0 });
        self.all = allowed;
        self.from_all = allowed;
        self.first_args.clear();
        self.rules.clear();
    }

    /// `+name`, `-name`, `+@category`, `-@category`, `+name|first-arg`; `rule` is what is behind the sign.
    pub fn apply(&mut self, rule: &[u8], allowed: bool) -> Result<(), Wrong> {
        if let Some(name) = rule.strip_prefix(b"@") {
            if name.eq_ignore_ascii_case(b"all") {
                self.set_all(allowed);
                return Ok(());
            }
            let category = category(name).ok_or(Wrong::Unknown)?;
            in_category(category).for_each(|entry| self.set(entry, allowed));
        } else if allowed && let Some(bar) = rule.iter().rposition(|byte| *byte == b'|') {
            self.allow_part(rule, bar)?;
        } else {
            self.set(table().find(rule).ok_or(Wrong::Unknown)?, allowed);
        }
        self.note(rule, allowed);
        Ok(())
    }

    /// `name|part`, where the part is a subcommand or a first argument.
    fn allow_part(&mut self, rule: &[u8], bar: usize) -> Result<(), Wrong> {
        let (name, part) = rule.split_at(bar);
        let part = part.get(1..).unwrap_or_default();
        let entry = table().find(name).ok_or(Wrong::Unknown)?;
        if entry.row.name.contains('|') {
            return Err(Wrong::FirstArgOfSubcommand);
        }
        // It is told among other rules, from which it must differ.
        if part.is_empty() || super::has_spaces(part) {
            return Err(Wrong::Syntax);
        }
        if entry.subcommands.is_empty() {
            let allowed = self.first_args.entry(entry.id).or_default();
            if !allowed.iter().any(|arg| arg.eq_ignore_ascii_case(part)) {
                allowed.push(part.to_vec());
            }
        } else {
            self.set(table().find(rule).ok_or(Wrong::Unknown)?, true);
        }
        Ok(())
    }

    /// A command with its subcommands.
    fn set(&mut self, entry: &Entry, allowed: bool) {
        let subcommands = entry.subcommands.iter().filter_map(|&id| table().entries().get(id));
        for entry in std::iter::once(entry).chain(subcommands) {
            if let Some(word) = self.bits.get_mut(entry.id / WORD_BITS) {
                let bit = 1 << (entry.id % WORD_BITS);
                *word = if allowed { *word | bit } else { *word & !bit };
            }
            self.first_args.remove(&entry.id);
        }
        self.all &= allowed;
    }

    /// Writes a rule down in place of those that it makes void: the same one, and those about parts of the
    /// same command.
    fn note(&mut self, rule: &[u8], allowed: bool) {
        let rule = rule.to_ascii_lowercase();
        self.rules.retain(|before| {
            let rest = before.get(1..).and_then(|before| before.strip_prefix(&*rule));
            !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"|"))
        });
        let sign = if allowed { b'+' } else { b'-' };
        self.rules.push([&[sign], &*rule].concat());
    }

    /// The rules as Redis shows them.
    pub fn describe(&self) -> Vec<u8> {
        self.rules().collect::<Vec<_>>().join(&b' ')
    }

    pub fn rules(&self) -> impl Iterator<Item = &[u8]> {
        let first: &[u8] = if self.from_all { b"+@all" } else { b"-@all" };
        std::iter::once(first).chain(self.rules.iter().map(Vec::as_slice))
    }
}

//! Where a command's keys are, and what it does with them: what slots, ACLs, COMMAND and routing go by.

use crate::args::Args;

/// Where a command's keys are, and what it does with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    pub spec: KeySpec,
    /// What is done with the keys.
    pub access: Access,
    /// What is done with the keys behind the first one, where it differs.
    pub second: Option<Access>,
    /// What makes `access` true; without it, it is the other one.
    pub only_with: Option<(Words, Access)>,
    /// Keys behind words among the options.
    pub behind: Option<Behind>,
    /// Keys that COMMAND says it cannot find, as other keys' contents name them, or as Redis never
    /// described where they stand.
    pub unknown: &'static [Unknown],
    /// A remark that COMMAND shows beside the first of them.
    pub note: &'static str,
}

/// Keys that stand behind words among the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    pub words: Words,
    pub access: Access,
    /// Options whose arguments may look like one of the words, and how many they have.
    pub skipped: &'static [(&'static str, usize)],
}

/// What is done with a key that COMMAND cannot find, and what it says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    pub access: Access,
    pub note: &'static str,
}

/// Words among the options, the first of which may stand at `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    pub from: usize,
    pub any_of: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySpec {
    None,
    /// First, last (negative: from the end) and step, as COMMAND shows them.
    Range {
        first: u32,
        last: i32,
        step: u32,
    },
    /// A number of keys at `at`, the keys behind it; with `extra` a key at that place before it
    /// (the destination).
    Counted {
        at: u32,
        extra: Option<u32>,
    },
    /// The first half of what stands behind a word. COMMAND says that the word may stand at `from`; what is in
    /// front of it are options, whose arguments may look like it.
    Halves {
        word: &'static str,
        from: u32,
        skipped: &'static [(&'static str, usize)],
    },
}

/// What a command does with a key: a set of [`access`] flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Access(pub u16);

impl Access {
    pub const fn of(flags: &[Self]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < flags.len() {
            bits |= flags[at].0;
            at += 1;
        }
        Self(bits)
    }

    pub const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub const fn without(self, flag: Self) -> Self {
        Self(self.0 & !flag.0)
    }
}

/// How a key is used, as Redis' key specifications name it.
pub mod access {
    use super::Access;

    pub const RO: Access = Access(1);
    pub const RW: Access = Access(1 << 1);
    pub const OW: Access = Access(1 << 2);
    pub const RM: Access = Access(1 << 3);
    pub const ACCESS: Access = Access(1 << 4);
    pub const UPDATE: Access = Access(1 << 5);
    pub const INSERT: Access = Access(1 << 6);
    pub const DELETE: Access = Access(1 << 7);
    pub const NOT_KEY: Access = Access(1 << 8);
    pub const INCOMPLETE: Access = Access(1 << 9);
    pub const VARIABLE: Access = Access(1 << 10);

    pub const SHOWN: &[(Access, &str)] = &[
        (RO, "RO"),
        (RW, "RW"),
        (OW, "OW"),
        (RM, "RM"),
        (ACCESS, "access"),
        (UPDATE, "update"),
        (INSERT, "insert"),
        (DELETE, "delete"),
        (NOT_KEY, "not_key"),
        (INCOMPLETE, "incomplete"),
        (VARIABLE, "variable_flags"),
    ];
}

impl Keys {
    pub const NONE: Self = Self::at(KeySpec::None);

    const fn at(spec: KeySpec) -> Self {
        Self { spec, access: Access(0), second: None, only_with: None, behind: None, unknown: &[], note: "" }
    }

    /// One key at `at`.
    pub const fn one(at: u32) -> Self {
        Self::range(at, at as i32, 1)
    }

    /// Every argument from `at` on.
    pub const fn rest(at: u32) -> Self {
        Self::range(at, -1, 1)
    }

    /// A destination, and the keys behind it.
    pub const fn destination() -> Self {
        Self::range(1, -1, 1)
    }

    pub const fn range(first: u32, last: i32, step: u32) -> Self {
        Self::at(KeySpec::Range { first, last, step })
    }

    pub const fn counted(at: u32, extra: Option<u32>) -> Self {
        Self::at(KeySpec::Counted { at, extra })
    }

    /// The first half of what stands behind a word, and behind options that have so many arguments.
    pub const fn halves(word: &'static str, from: u32, skipped: &'static [(&'static str, usize)]) -> Self {
        Self::at(KeySpec::Halves { word, from, skipped })
    }

    /// What is done with the keys.
    pub const fn with(mut self, access: &[Access]) -> Self {
        self.access = Access::of(access);
        self
    }

    /// What is done with the keys behind the first one: a destination, or what is renamed.
    pub const fn and(mut self, access: &[Access]) -> Self {
        self.second = Some(Access::of(access));
        self
    }

    /// What is done with the keys depends on words among the options, which begin at `from`: without
    /// any of them, `otherwise`.
    pub const fn only_with(
        mut self,
        from: usize,
        any_of: &'static [&'static str],
        otherwise: &[Access],
    ) -> Self {
        self.only_with = Some((Words { from, any_of }, Access::of(otherwise)));
        self
    }

    /// What is done with the first key in a call.
    pub fn access_in(&self, args: &Args<'_>) -> Access {
        let has =
            |words: Words| (words.from..args.len()).any(|at| words.any_of.iter().any(|w| args.is(at, w)));
        match self.only_with {
            Some((words, otherwise)) if !has(words) => otherwise,
            Some(_) => self.access.without(access::VARIABLE),
            None => self.access,
        }
    }

    /// Keys stand behind any of these words as well, the first of which may stand at `from`.
    pub const fn behind(
        mut self,
        from: usize,
        any_of: &'static [&'static str],
        access: &[Access],
        skipped: &'static [(&'static str, usize)],
    ) -> Self {
        let words = Words { from, any_of };
        self.behind = Some(Behind { words, access: Access::of(access), skipped });
        self
    }

    pub const fn unknown(mut self, unknown: &'static [Unknown]) -> Self {
        self.unknown = unknown;
        self
    }

    /// Whether one has to look at the arguments to find the keys.
    pub fn are_movable(&self) -> bool {
        matches!(self.spec, KeySpec::Counted { .. } | KeySpec::Halves { .. })
            || self.behind.is_some()
            || !self.unknown.is_empty()
    }

    pub const fn noted(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// Where the keys are among these arguments.
    pub fn positions(&self, args: &Args<'_>) -> impl Iterator<Item = usize> + use<> {
        self.placed(args).chain(self.searched(args))
    }

    /// Where the keys are among these arguments, and what is done with each.
    pub fn accessed(&self, args: &Args<'_>) -> impl Iterator<Item = (usize, Access)> + use<> {
        let first = self.access_in(args);
        let others = match (self.spec, self.second) {
            (KeySpec::Counted { extra: Some(_), .. } | KeySpec::Range { .. }, Some(second)) => second,
            _ => first,
        };
        let placed = self.placed(args).enumerate();
        let placed = placed.map(move |(nth, at)| (at, if nth == 0 { first } else { others }));
        let behind = self.behind.map_or(Access::default(), |behind| behind.access);
        placed.chain(self.searched(args).into_iter().map(move |at| (at, behind)))
    }

    /// Where the key is that stands behind a word: the last one counts, as it does to the commands.
    pub fn searched(&self, args: &Args<'_>) -> Option<usize> {
        let behind = self.behind?;
        let (mut at, mut found) = (behind.words.from, None);
        while at + 1 < args.len() {
            if behind.words.any_of.iter().any(|word| args.is(at, word)) {
                found = Some(at + 1);
                at += 2;
                continue;
            }
            at = behind_option(args, at, behind.skipped);
        }
        found
    }

    /// Where the keys are that stand at places of their own.
    pub fn placed(&self, args: &Args<'_>) -> Positions {
        match self.spec {
            KeySpec::None => Positions { next: 0, last: 0, step: 1, extra: None },
            KeySpec::Range { first, last, step } => {
                let last = if last < 0 { args.len() as i64 + i64::from(last) } else { i64::from(last) };
                let end = (last + 1).clamp(0, args.len() as i64) as usize;
                Positions { next: first as usize, last: end, step: step.max(1) as usize, extra: None }
            }
            KeySpec::Halves { word, skipped, .. } => {
                let mut at = 1;
                while at < args.len() && !args.is(at, word) {
                    at = behind_option(args, at, skipped);
                }
                let first = (at + 1).min(args.len());
                Positions { next: first, last: first + (args.len() - first) / 2, step: 1, extra: None }
            }
            KeySpec::Counted { at, extra } => {
                let count = args.int(at as usize).unwrap_or(0).max(0) as usize;
                let first = at as usize + 1;
                let end = first.saturating_add(count);
                if end > args.len() {
                    // The command will refuse itself.
                    return Positions { next: 0, last: 0, step: 1, extra: None };
                }
                let extra = extra.map(|extra| extra as usize);
                Positions { next: first, last: end, step: 1, extra }
            }
        }
    }
}

/// What comes behind the option at `at`, and behind the arguments that it has if it is one of these.
pub(crate) fn behind_option(args: &Args<'_>, at: usize, options: &[(&str, usize)]) -> usize {
    let option = options.iter().find(|(option, _)| args.is(at, option));
    at + 1 + option.map_or(0, |(_, count)| *count)
}

/// Iterates over the positions of keys.
#[derive(Clone, Debug)]
pub struct Positions {
    next: usize,
    last: usize,
    step: usize,
    extra: Option<usize>,
}

impl Iterator for Positions {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if let Some(extra) = self.extra.take() {
            return Some(extra);
        }
        let at = self.next;
        if at == 0 || at >= self.last {
            return None;
        }
        self.next += self.step;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;

    fn check(keys: Keys, command: &str, found: &[usize]) {
        let args = OwnedArgs::of(command.split(' ').map(str::as_bytes));
        assert_eq!(keys.positions(&args.as_args()).collect::<Vec<_>>(), found, "{command}");
    }

    #[test]
    fn keys_are_found_where_the_row_says() {
        check(Keys::NONE, "ping a", &[]);
        check(Keys::one(1), "get a", &[1]);
        check(Keys::one(1), "get", &[]);
        check(Keys::rest(1), "del a b c", &[1, 2, 3]);
        check(Keys::range(1, -1, 2), "mset a 1 b 2", &[1, 3]);
        check(Keys::range(1, 2, 1), "rename a b", &[1, 2]);
        check(Keys::counted(1, None), "zunion 2 a b withscores", &[2, 3]);
        check(Keys::counted(2, Some(1)), "zunionstore d 2 a b", &[1, 3, 4]);
        check(Keys::counted(1, None), "zunion 9 a b", &[]);
        check(Keys::counted(2, Some(1)), "zunionstore d 3 a b", &[]);
        check(Keys::counted(1, None), "zunion x a b", &[]);
        let halves = Keys::halves("streams", 4, &[("count", 1), ("group", 2)]);
        check(halves, "xread count 1 Streams a b 0 0", &[4, 5]);
        check(halves, "xread streams", &[]);
        check(halves, "xread count 1", &[]);
        check(halves, "xreadgroup count 1 group streams c streams k >", &[7]);
        check(halves, "xreadgroup group g streams streams k >", &[5]);
        check(halves, "xreadgroup group streams", &[]);
        let stored = Keys::one(1).behind(2, &["store"], &[], &[("get", 1), ("limit", 2)]);
        check(stored, "sort a", &[1]);
        check(stored, "sort a store", &[1]);
        check(stored, "sort a alpha Store b desc", &[1, 4]);
        check(stored, "sort a get store b store c store store", &[1, 8]);
        check(stored, "sort a limit store store store d", &[1, 6]);
    }
}

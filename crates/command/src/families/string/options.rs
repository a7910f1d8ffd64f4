//! The options of SET and GETEX. They are words in any order; which ones exclude each other is said
//! here once.

use crate::args::Args;
use crate::error::{Error, Result};
use crate::families::time::{Base, Unit, deadline};

/// What happens to a key's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ttl {
    /// Nothing was said.
    Unsaid,
    Keep,
    Persist,
    /// A time, and the argument that says it.
    At {
        unit: Unit,
        base: Base,
        value: usize,
    },
}

impl Ttl {
    /// An option may be repeated, and the last time given counts, but it goes with no other.
    fn goes_with(self, earlier: Self) -> bool {
        match (earlier, self) {
            (Self::Unsaid, _) => true,
            (Self::At { unit: a, base: b, .. }, Self::At { unit, base, .. }) => (a, b) == (unit, base),
            (a, b) => a == b,
        }
    }

    /// The moment when the key expires, if one was given.
    pub(super) fn moment(self, args: &Args<'_>, now_ms: u64, command: &str) -> Result<Option<u64>> {
        let Self::At { unit, base, value } = self else { return Ok(None) };
        deadline(args.int(value)?, unit, base, now_ms, command).map(Some)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) nx: bool,
    pub(super) xx: bool,
    pub(super) get: bool,
    pub(super) ttl: Ttl,
}

impl Options {
    pub(super) const NONE: Self = Self { nx: false, xx: false, get: false, ttl: Ttl::Unsaid };

    /// SET's, behind key and value.
    pub(super) fn of_set(args: &Args<'_>) -> Result<Self> {
        let mut options = Self::NONE;
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "nx") && !options.xx {
                options.nx = true;
            } else if args.is(at, "xx") && !options.nx {
                options.xx = true;
            } else if args.is(at, "get") {
                options.get = true;
            } else if args.is(at, "keepttl") {
                options.say(Ttl::Keep)?;
            } else {
                at = options.time(args, at)?;
            }
            at += 1;
        }
        Ok(options)
    }

    /// GETEX's, behind the key.
    pub(super) fn of_getex(args: &Args<'_>) -> Result<Self> {
        let mut options = Self::NONE;
        let mut at = 2;
        while at < args.len() {
            if args.is(at, "persist") {
                options.say(Ttl::Persist)?;
            } else {
                at = options.time(args, at)?;
            }
            at += 1;
        }
        Ok(options)
    }

    /// Takes a time with its value; says where that stands.
    fn time(&mut self, args: &Args<'_>, at: usize) -> Result<usize> {
        const WORDS: [(&str, Unit, Base); 4] = [
            ("ex", Unit::Seconds, Base::Now),
            ("px", Unit::Milliseconds, Base::Now),
            ("exat", Unit::Seconds, Base::Epoch),
            ("pxat", Unit::Milliseconds, Base::Epoch),
        ];
        let value = at + 1;
        let word = WORDS.into_iter().find(|word| args.is(at, word.0) && value < args.len());
        let (_, unit, base) = word.ok_or(Error::SYNTAX)?;
        self.say(Ttl::At { unit, base, value })?;
        Ok(value)
    }

    fn say(&mut self, ttl: Ttl) -> Result<()> {
        if !ttl.goes_with(self.ttl) {
            return Err(Error::SYNTAX);
        }
        self.ttl = ttl;
        Ok(())
    }
}

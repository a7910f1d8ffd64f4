//! What one client does while all others hold still, and how turns are made up.

use super::rows::{COMMON_WAKES, SWAPS, THEMES, UNBLOCK};
use super::{ACTORS, WAITERS};
use crate::client::{Command, words};
use crate::diff::rows::Row;
use crate::diff::{draw, grammar, scripts};
use crate::{Flavour, Rng};

pub(super) const TURNS: usize = 120;
/// In so many sessions waits have to do with several keys.
const SEVERAL_PERCENT: usize = 60;
const WAIT_PERCENT: usize = 45;
/// So many waits end by themselves, and so many are in a transaction, where nobody waits.
const TIMED_PERCENT: usize = 4;
const COMMON_PERCENT: usize = 15;
const UNIT_PERCENT: usize = 15;
const SCRIPT_PERCENT: usize = 6;
const TOGETHER_MAX: i64 = 4;
const HANG_UP_PERCENT: usize = 2;
const EXPIRE_PERCENT: usize = 2;
const UNBLOCK_PERCENT: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// Waits, or is answered at once.
    Wait(Command),
    /// Is answered whatever happens.
    Do(Vec<Command>),
    /// Has a key expire, and waits until it has.
    Expire(String),
    /// Leaves, and comes back.
    HangUp,
}

impl Deed {
    pub(super) fn commands(&self) -> Vec<Command> {
        match self {
            Self::Wait(command) => vec![command.clone()],
            Self::Do(commands) => commands.clone(),
            Self::Expire(key) => vec![words(&format!("PEXPIRE {key} 1"))],
            Self::HangUp => Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) actor: usize,
    pub(super) deed: Deed,
}

/// What is made up: of one theme, or of all.
pub(super) struct Maker {
    waits: Vec<&'static Row>,
    wakes: Vec<&'static Row>,
    common: Vec<&'static Row>,
    reference: Flavour,
}

impl Maker {
    pub(super) fn new(tested: Flavour, reference: Flavour, rng: &mut Rng) -> Self {
        let applies = |row: &&Row| row.applies(tested, reference);
        let chosen = rng.below(THEMES.len() + 1);
        let themes = || THEMES.iter().enumerate().filter(|(at, _)| chosen == THEMES.len() || *at == chosen);
        let mut maker = Self {
            waits: themes().flat_map(|(_, theme)| theme.waits).filter(applies).collect(),
            wakes: themes().flat_map(|(_, theme)| theme.wakes).filter(applies).collect(),
            common: COMMON_WAKES.iter().filter(applies).collect(),
            reference,
        };
        if rng.chance(SEVERAL_PERCENT) {
            maker.waits.extend(themes().flat_map(|(_, theme)| theme.waits_with_several).filter(applies));
        } else {
            maker.common.extend(SWAPS);
        }
        maker
    }

    pub(super) fn turns(&self, rng: &mut Rng) -> Vec<Turn> {
        (0..TURNS).map(|_| self.turn(rng)).collect()
    }

    fn turn(&self, rng: &mut Rng) -> Turn {
        let waiter = rng.below(WAITERS);
        let other = WAITERS + rng.below(ACTORS - WAITERS);
        match rng.below(100) {
            percent if percent < WAIT_PERCENT => {
                let is_timed = rng.chance(TIMED_PERCENT);
                let command = self.wait(if is_timed { TIMED } else { FOR_EVER }, rng);
                let deed = if is_timed { Deed::Do(vec![command]) } else { Deed::Wait(command) };
                Turn { actor: waiter, deed }
            }
            percent if percent < WAIT_PERCENT + HANG_UP_PERCENT => Turn { actor: waiter, deed: Deed::HangUp },
            percent if percent < WAIT_PERCENT + HANG_UP_PERCENT + EXPIRE_PERCENT => {
                Turn { actor: other, deed: Deed::Expire((*rng.pick(super::rows::KEYS)).to_owned()) }
            }
            _ if rng.chance(UNBLOCK_PERCENT) => {
                Turn { actor: other, deed: Deed::Do(vec![grammar::expand(UNBLOCK, rng)]) }
            }
            _ => Turn { actor: other, deed: Deed::Do(self.doing(rng)) },
        }
    }

    fn wait(&self, timeouts: [&str; 2], rng: &mut Rng) -> Command {
        let mut command = expand(&self.waits, rng);
        for word in &mut command {
            match word.as_slice() {
                b"<timeout>" => *word = timeouts[0].as_bytes().to_vec(),
                b"<millis-timeout>" => *word = timeouts[1].as_bytes().to_vec(),
                _ => {}
            }
        }
        command
    }

    fn wake(&self, rng: &mut Rng) -> Vec<Command> {
        let command = expand(if rng.chance(COMMON_PERCENT) { &self.common } else { &self.wakes }, rng);
        match stored_at(&command) {
            // Whoever waits for what is stored there waits on in Redis and Valkey if something else is overwritten.
            Some(key) => vec![vec![b"DEL".to_vec(), key.clone()], command],
            None => vec![command],
        }
    }

    /// A command, or several at one moment.
    fn doing(&self, rng: &mut Rng) -> Vec<Command> {
        let count = rng.range(1, TOGETHER_MAX);
        match rng.below(100) {
            percent if percent < UNIT_PERCENT => {
                let inner = (0..count).flat_map(|_| match rng.chance(WAIT_PERCENT / 2) {
                    true => vec![self.wait(FOR_EVER, rng)],
                    false => self.wake(rng),
                });
                let inner: Vec<Command> = inner.collect();
                std::iter::once(words("MULTI")).chain(inner).chain([words("EXEC")]).collect()
            }
            percent if percent < UNIT_PERCENT + SCRIPT_PERCENT => {
                let mut script =
                    vec![b"EVAL".to_vec(), scripts::several("pcall").into_bytes(), b"0".to_vec()];
                for _ in 0..count {
                    // Redis 7.0 lets no script call what might wait.
                    let waits = self.reference == Flavour::Valkey && rng.chance(WAIT_PERCENT / 2);
                    let commands = if waits { vec![self.wait(FOR_EVER, rng)] } else { self.wake(rng) };
                    for command in commands {
                        script.push(command.len().to_string().into_bytes());
                        script.extend(command);
                    }
                }
                vec![script]
            }
            _ => self.wake(rng),
        }
    }
}

/// Where a command puts its result, whatever is there.
fn stored_at(command: &Command) -> Option<&Vec<u8>> {
    match command.as_slice() {
        [name, key, ..]
            if ["ZUNIONSTORE", "ZDIFFSTORE", "ZRANGESTORE"].iter().any(|store| is(name, store)) =>
        {
            Some(key)
        }
        [name, .., store, key] if is(name, "SORT") && is(store, "STORE") => Some(key),
        _ => None,
    }
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// In seconds and milliseconds.
const FOR_EVER: [&str; 2] = ["0", "0"];
const TIMED: [&str; 2] = ["0.01", "10"];

fn expand(rows: &[&Row], rng: &mut Rng) -> Command {
    draw(rows, rng).map(|row| grammar::expand(row.pattern, rng)).unwrap_or_default()
}

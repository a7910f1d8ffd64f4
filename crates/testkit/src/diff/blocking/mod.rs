//! Clients that wait: several connections to each of two servers do the same, one at a time, and after every
//! turn the same clients must have been answered, with the same, and the same must go on waiting.
//!
//! Turns are run on the reference first. It has done with one when all who are owed a reply are those of
//! whom it says that they wait; who that is must come about on the server under test as well, soon. A session
//! is a function of its seed, and one that fails is shrunk, as in the other half of this harness.

mod compare;
mod rows;
mod side;
mod turn;

use super::shrink::shrink;
use super::{Plan, shortened, word_text};
use crate::{Flavour, Protocol, Reply, Result, Rng, Server};
use side::{Side, Waiting};
use std::time::Duration;
use turn::{Deed, Maker, Turn};

/// Those who wait, and two who do not: one in each database.
const WAITERS: usize = 6;
const ACTORS: usize = WAITERS + 2;
const DATABASES_OF_ACTORS: [usize; ACTORS] = [0, 0, 0, 0, 0, 1, 0, 1];
/// What has not come about by then never will.
const LIMIT: Duration = Duration::from_secs(10);
/// While a session is shrunk: most of its parts show the difference by waiting for it in vain.
const LIMIT_SHRINKING: Duration = Duration::from_millis(500);

/// Two servers that are kept in step.
pub struct Diff {
    tested: Side,
    reference: Side,
    flavour: Flavour,
    seed: u64,
    session: u64,
}

/// What was different after a turn.
struct Difference {
    turn: usize,
    what: String,
}

impl Diff {
    pub fn start(plan: &Plan) -> Result<Self> {
        let (tested, reference) = (plan.tested.start()?, plan.reference.start()?);
        let flavour = reference.flavour();
        let (tested, reference) = (Side::start(tested)?, Side::start(reference)?);
        Ok(Self { tested, reference, flavour, seed: plan.seed, session: 0 })
    }

    /// Runs the next session and returns the number of turns; an error shows the difference.
    pub fn session(&mut self) -> Result<usize> {
        self.session += 1;
        let mut rng = Rng::new(self.seed).fork(self.session);
        let protocol = if rng.chance(50) { Protocol::Resp2 } else { Protocol::Resp3 };
        let mut turns = Maker::new(self.tested.server.flavour(), self.flavour, &mut rng).turns(&mut rng);
        let Some(difference) = self.first_difference(&turns, protocol, LIMIT)? else {
            return Ok(turns.len());
        };
        turns.truncate(difference.turn + 1);
        let turns = shrink(turns, |turns| {
            let difference = self.first_difference(turns, protocol, LIMIT_SHRINKING);
            difference.is_ok_and(|difference| difference.is_some())
        });
        // It may not show any more: then what was seen at first is shown.
        let difference = self.first_difference(&turns, protocol, LIMIT)?.unwrap_or(difference);
        let server = |server: &Server| format!("{:?}", server.flavour());
        Err(format!(
            "clients that wait are answered otherwise (seed {}, session {}, {protocol:?}; {} here, {} there) after the last of:\n{}{}",
            self.seed,
            self.session,
            server(&self.tested.server),
            server(&self.reference.server),
            listing(&turns),
            difference.what
        )
        .into())
    }

    fn first_difference(
        &mut self,
        turns: &[Turn],
        protocol: Protocol,
        limit: Duration,
    ) -> Result<Option<Difference>> {
        self.tested.clean(protocol, LIMIT)?;
        self.reference.clean(protocol, LIMIT)?;
        let mut asked: Vec<Option<&Turn>> = vec![None; ACTORS];
        for (at, turn) in turns.iter().enumerate() {
            // Who waits can do nothing but leave.
            if self.reference.waits(turn.actor) && turn.deed != Deed::HangUp {
                continue;
            }
            asked[turn.actor] = Some(turn);
            let what = self.turn(turn, &asked, limit).map_err(|error| self.broken(turns, at, &error))?;
            if let Some(what) = what {
                return Ok(Some(Difference { turn: at, what }));
            }
        }
        let what = self.final_look()?;
        Ok(what.map(|what| Difference { turn: turns.len().saturating_sub(1), what }))
    }

    /// Runs a turn; says what is different.
    fn turn(&mut self, turn: &Turn, asked: &[Option<&Turn>], limit: Duration) -> Result<Option<String>> {
        self.reference.begin(turn)?;
        let waiting = self.reference.settle(None, LIMIT)?.ok_or("the reference does not come to rest")?;
        self.tested.begin(turn)?;
        let settled = self.tested.settle(Some(&waiting), limit)?;
        let (left, right) = (self.tested.take_answers(), self.reference.take_answers());
        let answers = left.iter().zip(&right).zip(asked).enumerate();
        let mut lines: Vec<String> = Vec::new();
        for (actor, ((left, right), asked)) in answers {
            let was_woken = actor != turn.actor;
            let same = |(left, right)| compare::same(*asked, was_woken, self.flavour, left, right);
            if left.len() != right.len() || !left.iter().zip(right).all(same) {
                lines.push(format!("  {actor}: {} here, {} there", shown(left), shown(right)));
            }
        }
        if settled.is_none() && lines.is_empty() {
            lines.push("  replies are the same, but not who is said to wait".to_owned());
        }
        if lines.is_empty() {
            return Ok(None);
        }
        lines.push(format!("  there wait: {}", numbers(&waiting)));
        Ok(Some(lines.join("\n")))
    }

    /// Everything that is there at the end.
    fn final_look(&mut self) -> Result<Option<String>> {
        for database in [0, 1] {
            for key in rows::KEYS {
                let of_groups = rows::GROUPS
                    .iter()
                    .flat_map(|group| rows::GROUP_LOOKS.iter().map(|line| line.replace("<group>", group)));
                for line in rows::LOOKS.iter().map(|line| (*line).to_owned()).chain(of_groups) {
                    let line = line.replace("{}", key);
                    let left = self.tested.ask(database, &line)?;
                    let right = self.reference.ask(database, &line)?;
                    if compare::tidy_look(&left) != compare::tidy_look(&right) {
                        return Ok(Some(format!(
                            "  {line} (in database {database}): {} here, {} there",
                            shortened(&left),
                            shortened(&right)
                        )));
                    }
                }
            }
        }
        Ok(None)
    }

    fn broken(&self, turns: &[Turn], at: usize, error: &crate::Error) -> String {
        format!(
            "a server broke off (seed {}, session {}): {error}\n  after the last of:\n{}the log of the one under test ends with:\n{}",
            self.seed,
            self.session,
            listing(turns.get(..=at).unwrap_or_default()),
            self.tested.server.log_tail()
        )
    }
}

/// Runs sessions until at least so many turns were compared.
pub fn run(plan: &Plan, turns: usize) -> Result<usize> {
    let mut diff = Diff::start(plan)?;
    let mut done = 0;
    while done < turns {
        done += diff.session()?;
    }
    Ok(done)
}

fn shown(replies: &[Reply]) -> String {
    if replies.is_empty() {
        "nothing".to_owned()
    } else {
        replies.iter().map(shortened).collect::<Vec<_>>().join(", ")
    }
}

fn numbers(waiting: &Waiting) -> String {
    let numbers: Vec<String> = waiting.iter().map(ToString::to_string).collect();
    if numbers.is_empty() { "nobody".to_owned() } else { numbers.join(", ") }
}

fn listing(turns: &[Turn]) -> String {
    let line = |turn: &Turn| {
        let commands: Vec<String> = turn
            .deed
            .commands()
            .iter()
            .map(|command| command.iter().map(|word| word_text(word)).collect::<Vec<_>>().join(" "))
            .collect();
        let text = if turn.deed == Deed::HangUp { "hangs up".to_owned() } else { commands.join("; ") };
        format!("    {}: {text}\n", turn.actor)
    };
    turns.iter().map(line).collect()
}

#[cfg(test)]
mod tests;

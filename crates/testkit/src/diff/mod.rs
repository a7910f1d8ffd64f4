//! Differential testing: random sequences of commands to the server under test and to a reference;
//! every reply must be the same.
//!
//! The work is cut into sessions: both servers are emptied, some hundred commands go to both, and at
//! the end everything that is there is compared. A session is a function of its seed, so one that
//! fails can be run again, and is shrunk to the few commands that matter.

pub mod blocking;
mod carried;
mod collections;
mod compare;
mod grammar;
mod hearing;
mod rows;
mod scripts;
mod shrink;
mod units;
mod words;

use crate::client::{Client, Command, Protocol, words};
use crate::reply::printable;
use crate::{Flavour, Reply, Result, Rng, Server, Spec};
use collections::{LOOKS, SHAPES, THEMES};
use compare::{Compare, Rule};
use rows::{LONG_ROWS, ROWS, Row};
use scripts::Maker;
pub use scripts::tidied;
use std::collections::BTreeSet;

const SESSION_COMMANDS: usize = 250;
/// So many commands go out before their replies are read.
const PIPELINE: usize = 50;
/// Where replies are long, a client that sends on and reads nothing may wait for ever.
const PIPELINE_LONG: usize = 1;
/// So many sessions have long strings, and so many commands of those are about them.
const LONG_SESSIONS_PERCENT: usize = 8;
const LONG_PERCENT: usize = 35;
/// So many sessions have a theme, and so many commands of those are about it.
const THEME_SESSIONS_PERCENT: usize = 70;
const THEME_PERCENT: usize = 70;
const MUTATED_PERCENT: usize = 4;
/// So many sessions have commands in transactions, and so many of those have several clients, who watch.
const UNIT_SESSIONS_PERCENT: usize = 40;
const CROWD_SESSIONS_PERCENT: usize = 40;
/// So many sessions have commands in scripts.
const SCRIPT_SESSIONS_PERCENT: usize = 35;
/// An almost right SCAN is a page of a scan, in an order of the server's own; CLIENT, CONFIG and SLOWLOG
/// can show or do what is the server's own as well; what is drawn is drawn by chance; and who waits may
/// wait for ever. Ranks have an argument more since Redis 7.2, and
/// BITCOUNT and BITPOS notice mistakes in another order.
const OWN: &[&str] = &[
    "SCAN", "CLIENT", "CONFIG", "SLOWLOG", "HSCAN", "SSCAN", "ZSCAN", "SPOP", "BL", "BRPOP", "BZ", "HRAND",
    "SRAND", "ZRAND", "ZRANK", "ZREVRANK", "BITCOUNT", "BITPOS", "LSET",
];
/// Databases that the final comparison looks into: those that the patterns name.
const DATABASES: &[usize] = &[0, 1, 2, 3, 15];

#[derive(Debug, Clone)]
pub struct Plan {
    pub tested: Spec,
    pub reference: Spec,
    pub seed: u64,
}

/// A command and how its replies are compared.
#[derive(Debug, Clone)]
struct Step {
    command: Command,
    compare: Compare,
    /// Of a script: how each of its commands is compared, if they are several.
    parts: Option<Vec<Compare>>,
    /// Words before those of the command, in a script.
    before: usize,
    /// Who sends it.
    client: usize,
}

impl Step {
    fn new(command: Command, compare: Compare) -> Self {
        Self { command, compare, parts: None, before: 0, client: 0 }
    }

    /// Whether it is this command.
    fn is(&self, name: &str) -> bool {
        self.command.first().is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    }

    fn rule(&self) -> Rule {
        Rule { compare: self.compare, parts: self.parts.clone() }
    }
}

/// Two servers that are kept in step.
pub struct Diff {
    tested: Server,
    reference: Server,
    /// Of the scripts that both know.
    digests: Vec<String>,
    seed: u64,
    session: u64,
}

impl Diff {
    pub fn start(plan: &Plan) -> Result<Self> {
        let (tested, reference) = (plan.tested.start()?, plan.reference.start()?);
        let digests = scripts::load(&mut tested.client()?)?;
        if digests != scripts::load(&mut reference.client()?)? {
            return Err("scripts are called otherwise".into());
        }
        Ok(Self { tested, reference, digests, seed: plan.seed, session: 0 })
    }

    /// Runs the next session and returns the number of commands; an error shows the difference.
    pub fn session(&mut self) -> Result<usize> {
        self.session += 1;
        let mut rng = Rng::new(self.seed).fork(self.session);
        let protocol = if rng.chance(50) { Protocol::Resp2 } else { Protocol::Resp3 };
        let is_long = rng.chance(LONG_SESSIONS_PERCENT);
        let pipeline = if is_long { PIPELINE_LONG } else { PIPELINE };
        let theme = match () {
            () if is_long => Theme { rows: LONG_ROWS, percent: LONG_PERCENT },
            () if rng.chance(THEME_SESSIONS_PERCENT) => {
                let rows = rng.pick(THEMES);
                Theme { rows, percent: THEME_PERCENT }
            }
            () => Theme { rows: &[], percent: 0 },
        };
        let mut steps = shapes(&mut rng);
        let hearing = hearing::setting(&mut rng, self.reference.flavour());
        let is_heard = hearing::tells(&hearing);
        steps.push(hearing);
        let random = random_steps(&mut rng, &theme, self.tested.flavour(), self.reference.flavour());
        let reference = self.reference.flavour();
        let mut random = match rng.chance(SCRIPT_SESSIONS_PERCENT) {
            true => Maker { digests: &self.digests, protocol, reference }.scripts(random, &mut rng),
            false => random,
        };
        if is_heard {
            random.iter_mut().for_each(|step| units::changes_for_sure(step, reference));
        }
        let (pipeline, random) = match () {
            () if is_long || !rng.chance(UNIT_SESSIONS_PERCENT) => (pipeline, random),
            () if rng.chance(CROWD_SESSIONS_PERCENT) => (1, units::of_several(random, reference, &mut rng)),
            () => (pipeline, units::of_one(random, &mut rng)),
        };
        steps.extend(random);
        steps.extend(final_look());
        let Some(difference) = self.first_difference(&steps, protocol, pipeline)? else {
            return Ok(steps.len());
        };
        steps.truncate(difference.step + 1);
        let steps = shrink::shrink(steps, |steps| {
            !units::nest(steps)
                && self.first_difference(steps, protocol, 1).is_ok_and(|difference| difference.is_some())
        });
        // It may not fail any more when its commands go out one by one: show what was seen at first.
        let difference = self.first_difference(&steps, protocol, 1)?.unwrap_or(difference);
        Err(self.describe(&steps, protocol, &difference).into())
    }

    fn first_difference(
        &self,
        steps: &[Step],
        protocol: Protocol,
        pipeline: usize,
    ) -> Result<Option<Difference>> {
        let clients = steps.iter().map(|step| step.client + 1).max().unwrap_or(1);
        let mut tested = clean(&self.tested, protocol, clients)?;
        let mut reference = clean(&self.reference, protocol, clients)?;
        let hearer = |server| hearing::Hearer::of(server, steps, self.reference.flavour());
        let mut hearers = (hearer(&self.tested)?, hearer(&self.reference)?);
        let mut units = units::Units::new(clients);
        let mut done = 0;
        let alone = |step: &Step| step.compare.is_alone();
        for chunk in steps.chunk_by(|a, b| alone(a) == alone(b)) {
            for chunk in chunk.chunks(if alone(&chunk[0]) { 1 } else { pipeline }) {
                let (left, right) = match chunk {
                    [step] if step.compare == Compare::Carried => {
                        self.carried(&mut tested, &mut reference, step)?
                    }
                    _ => (
                        replies(&mut tested, chunk).map_err(|error| self.broken("tested", chunk, &error))?,
                        replies(&mut reference, chunk)
                            .map_err(|error| self.broken("reference", chunk, &error))?,
                    ),
                };
                let pairs = left.into_iter().zip(right).zip(chunk).enumerate();
                for (index, ((left, right), step)) in pairs {
                    if !units.same(step, &left, &right) {
                        return Ok(Some(Difference { step: done + index, left, right }));
                    }
                }
                if let (Some(left), Some(right)) = &mut hearers {
                    let (left, right) = (left.heard()?, right.heard()?);
                    if left != right {
                        return Ok(Some(Difference { step: done + chunk.len() - 1, left, right }));
                    }
                }
                done += chunk.len();
            }
        }
        Ok(None)
    }

    fn carried(
        &self,
        tested: &mut [Client],
        reference: &mut [Client],
        step: &Step,
    ) -> Result<(Vec<Reply>, Vec<Reply>)> {
        let (left, right) = (&mut tested[step.client], &mut reference[step.client]);
        let (left, right) = carried::carry(left, right, &step.command)
            .map_err(|error| self.broken("tested or reference", std::slice::from_ref(step), &error))?;
        Ok((vec![left], vec![right]))
    }

    fn broken(&self, which: &str, chunk: &[Step], error: &crate::Error) -> String {
        let server = if which == "tested" { &self.tested } else { &self.reference };
        format!(
            "the {which} server broke off (seed {}, session {}): {error}\n  while it ran:\n{}its log ends with:\n{}",
            self.seed,
            self.session,
            listing(chunk),
            server.log_tail()
        )
    }

    fn describe(&self, steps: &[Step], protocol: Protocol, difference: &Difference) -> String {
        format!(
            "replies differ (seed {}, session {}, {protocol:?}) at the last of:\n{}  {:?}: {}\n  {:?}: {}",
            self.seed,
            self.session,
            listing(steps),
            self.tested.flavour(),
            shortened(&difference.left),
            self.reference.flavour(),
            shortened(&difference.right)
        )
    }
}

struct Difference {
    step: usize,
    left: Reply,
    right: Reply,
}

/// The names of the commands that are compared.
pub fn names() -> BTreeSet<String> {
    let rows = ROWS.iter().chain(LONG_ROWS).chain(THEMES.iter().copied().flatten());
    rows.flat_map(|row| grammar::names(row.pattern)).collect()
}

/// The names of the commands that are compared in scripts.
pub fn names_in_scripts() -> BTreeSet<String> {
    const TIMES: usize = 200;
    let mut rng = Rng::new(1);
    let digests = ["".to_owned(), "".to_owned()];
    let maker = Maker { digests: &digests, protocol: Protocol::Resp3, reference: Flavour::Valkey };
    let rows = ROWS.iter().chain(LONG_ROWS).chain(THEMES.iter().copied().flatten());
    let mut names = BTreeSet::new();
    for row in rows {
        let step = |_| Step::new(grammar::expand(row.pattern, &mut rng), row.compare);
        let steps: Vec<Step> = (0..TIMES).map(step).collect();
        let scripts = maker.scripts(steps, &mut rng);
        let called =
            scripts.iter().filter(|step| step.before > 0).filter_map(|step| step.command.get(step.before));
        names.extend(called.map(|name| String::from_utf8_lossy(name).to_ascii_uppercase()));
    }
    names
}

/// Runs sessions until at least so many commands were compared.
pub fn run(plan: &Plan, commands: usize) -> Result<usize> {
    let mut diff = Diff::start(plan)?;
    let mut done = 0;
    while done < commands {
        done += diff.session()?;
    }
    Ok(done)
}

/// What many commands of a session are about.
struct Theme {
    rows: &'static [Row],
    percent: usize,
}

/// How large collections may be before they are kept in another way.
fn shapes(rng: &mut Rng) -> Vec<Step> {
    let set = |(name, values): &(&str, &[&str])| {
        // Redis 7.0 does not know all of them.
        Step::new(words(&format!("CONFIG SET {name} {}", rng.pick(values))), Compare::Ignored)
    };
    SHAPES.iter().map(set).collect()
}

fn random_steps(rng: &mut Rng, theme: &Theme, tested: Flavour, reference: Flavour) -> Vec<Step> {
    let applies = |row: &&Row| row.applies(tested, reference);
    let rows: Vec<&Row> = ROWS.iter().filter(applies).collect();
    let theme_rows: Vec<&Row> = theme.rows.iter().filter(applies).collect();
    let mut steps = Vec::with_capacity(SESSION_COMMANDS);
    while steps.len() < SESSION_COMMANDS {
        let is_about_theme = rng.chance(theme.percent);
        let Some(row) = draw(if is_about_theme { &theme_rows } else { &rows }, rng) else { continue };
        let mut command = grammar::expand(row.pattern, rng);
        // Names are in order as long as nobody gives them another score, and on a map are few.
        let is_own = ["<names>", "<zeros>", "<map>"].iter().any(|keys| row.pattern.contains(keys))
            || OWN.iter().any(|name| row.pattern.trim_start_matches('{').starts_with(name));
        // Redis 7.0 writes large scores with more digits than need be.
        // And it takes the lowest number for a count of LREM, and has other words for a count of XAUTOCLAIM that is none.
        let is_olds = ["Z", "LREM", "XAUTOCLAIM"]
            .iter()
            .any(|name| row.pattern.trim_start_matches('{').starts_with(name));
        let is_own = is_own || (reference == Flavour::Redis && is_olds);
        if !matches!(row.compare, Compare::Kind | Compare::Distances | Compare::Carried)
            && !is_own
            && rng.chance(MUTATED_PERCENT)
        {
            grammar::mutate(&mut command, rng);
        }
        steps.push(Step::new(command, row.compare));
    }
    steps
}

/// A row, by weight.
fn draw<'a>(rows: &[&'a Row], rng: &mut Rng) -> Option<&'a Row> {
    let mut ticket = rng.below(rows.iter().map(|row| row.weight).sum());
    rows.iter().copied().find(|row| {
        let wins = ticket < row.weight;
        ticket = ticket.wrapping_sub(row.weight);
        wins
    })
}

/// Everything that is there at the end: found by KEYS, and read key by key with a script of commands
/// that is the same for both servers.
fn final_look() -> Vec<Step> {
    let step = |line: &str, compare| Step::new(words(line), compare);
    let mut steps = Vec::new();
    for database in DATABASES {
        steps.push(step(&format!("SELECT {database}"), Compare::Exact));
        steps.push(step("DBSIZE", Compare::Exact));
        steps.push(step("KEYS *", Compare::Unordered));
        for key in grammar::keys() {
            let about = |command: &str, compare| {
                let mut command = words(command);
                command.push(key.to_vec());
                Step::new(command, compare)
            };
            steps.push(about("GET", Compare::Exact));
            steps.push(about("PEXPIRETIME", Compare::Millis));
            for (name, options, compare) in LOOKS {
                let mut step = about(name, *compare);
                step.command.extend(words(options));
                steps.push(step);
            }
        }
    }
    steps
}

/// Fresh connections to an empty server.
fn clean(server: &Server, protocol: Protocol, count: usize) -> Result<Vec<Client>> {
    let mut clients = (0..count).map(|_| server.client_with(protocol)).collect::<Result<Vec<_>>>()?;
    clients[0].want("FLUSHALL")?;
    Ok(clients)
}

/// What a client is answered. Steps of several clients come one at a time.
fn replies(clients: &mut [Client], steps: &[Step]) -> Result<Vec<Reply>> {
    let client = &mut clients[steps[0].client];
    if let [step] = steps
        && step.compare == Compare::Scan
    {
        return Ok(vec![scan(client, &step.command, step.before)?]);
    }
    for step in steps {
        client.queue(&step.command);
    }
    client.flush()?;
    steps.iter().map(|_| client.receive()).collect()
}

/// Scans to the end. The cursors are each server's own, and a key may come twice: what counts is which
/// keys came.
fn scan(client: &mut Client, command: &Command, before: usize) -> Result<Reply> {
    const PAGES_MAX: usize = 10_000;
    let mut command = command.clone();
    let mut found = BTreeSet::new();
    for _ in 0..PAGES_MAX {
        let reply = client.call(&command)?;
        let Some([cursor, keys]) = reply.items() else { return Ok(reply) };
        found.extend(keys.items().unwrap_or_default().iter().cloned());
        let cursor = cursor.bytes().unwrap_or_default();
        if cursor == b"0" {
            return Ok(Reply::Array(found.into_iter().collect()));
        }
        let name = &command[before];
        let place = if name.eq_ignore_ascii_case(b"scan") { 1 } else { 2 };
        command[before + place] = cursor.to_vec();
    }
    Err("a scan does not end".into())
}

fn listing(steps: &[Step]) -> String {
    let are_several = steps.iter().any(|step| step.client > 0);
    let line = |step: &Step| {
        let words: Vec<String> = step.command.iter().map(|word| word_text(word)).collect();
        let client = if are_several { format!("client {}: ", step.client) } else { String::new() };
        format!("    {client}{}\n", words.join(" "))
    };
    steps.iter().map(line).collect()
}

fn shortened(reply: &Reply) -> String {
    const SHOWN: usize = 1000;
    let text = format!("{reply:?}");
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// As redis-cli takes it, unless it is long.
fn word_text(word: &[u8]) -> String {
    const SHOWN: usize = 200;
    if word.len() > SHOWN {
        return format!("{}…({} bytes)", printable(word.get(..20).unwrap_or_default()), word.len());
    }
    let is_plain =
        !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte));
    if is_plain { String::from_utf8_lossy(word).into_owned() } else { printable(word) }
}

#[cfg(test)]
mod tests;

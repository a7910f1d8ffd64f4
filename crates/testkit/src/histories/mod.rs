//! Histories of transactions under load, checked for strict serializability.
//!
//! Many connections append to few lists and read them: by single commands, in MULTI, by WATCH and in scripts,
//! also while the server is killed. Every value is appended once, so a list tells in which order it came
//! to be, and the checker finds out whether any order of all transactions explains what each of them
//! saw: the method of Elle (Kingsbury and Alvaro, 2020).

mod ask;
mod check;
mod cycles;
mod evidence;
mod graph;
mod history;
mod keys;
mod model;
mod violation;
mod words;
mod worker;

pub use check::{Verdict, check};
pub use history::{History, Id};
pub use model::{Key, NEVER, Op, Outcome, Time, Transaction, Value};
pub use violation::{CLASSES, Class, Kind, Violation};

use crate::server::Server;
use crate::{Client, Result, Rng, Spec};
use ask::{Ask, BALLAST, BALLAST_LEN};
use keys::Keys;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use worker::{Stage, Worker, now};

/// A longer history is checked and another one begun, so that memory is bounded: about 300 bytes for each
/// while it is checked.
const TRANSACTIONS_MAX: usize = 2_000_000;
/// Transactions on their way from the connections to the history.
const TOLD_MAX: usize = 1024;
/// Up to so many elements a list is held in one piece (or to 8 KiB, as usual): each round has another border,
/// so that there are lists of both kinds, and some that change.
const BORDERS: [i32; 5] = [4, 30, 200, -2, -2];
/// Of the violations of one kind, so many are shown.
const SHOWN_OF_A_KIND: usize = 2;

/// How a round comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The load rests for a moment.
    Rest,
    Kill,
    /// Killed, and killed again while it recovers.
    KillTwice,
    /// SIGTERM under load: must lose nothing either.
    Stop,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub spec: Spec,
    pub seed: u64,
    /// How long the load lasts in all.
    pub time: Duration,
    pub connections: usize,
    /// How often the server is killed under load and started again.
    pub kills: usize,
    /// Every other MULTI and script does something that belongs into the heavy lane.
    pub heavy: bool,
    /// Scripts, if the server has EVAL.
    pub scripts: bool,
}

impl Plan {
    pub fn new(spec: Spec, seed: u64) -> Self {
        Self {
            spec,
            seed,
            time: Duration::from_secs(60),
            connections: 12,
            kills: 0,
            heavy: true,
            scripts: true,
        }
    }
}

#[derive(Debug, Default, Clone)]
pub struct Summary {
    /// Of each form.
    pub transactions: BTreeMap<&'static str, u64>,
    pub ok: u64,
    pub failed: u64,
    pub unknown: u64,
    /// Of the unknown ones, those whose values somebody saw.
    pub unknown_seen: u64,
    pub kills: usize,
    /// How many histories there were, each checked by itself.
    pub histories: usize,
    pub keys: u64,
    pub edges: u64,
    pub check_time: Duration,
}

impl Summary {
    pub fn total(&self) -> u64 {
        self.ok + self.failed + self.unknown
    }

    fn count(&mut self, transaction: &Transaction) {
        *self.transactions.entry(transaction.form).or_default() += 1;
        *match transaction.outcome {
            Outcome::Ok => &mut self.ok,
            Outcome::Failed => &mut self.failed,
            Outcome::Unknown => &mut self.unknown,
        } += 1;
    }
}

/// Whether the server runs scripts.
pub fn has_scripts(client: &mut Client) -> Result<bool> {
    let reply = client.want("COMMAND INFO EVAL")?;
    Ok(reply.items().is_some_and(|rows| rows.first().is_some_and(|row| !row.is_null())))
}

/// Runs the load and checks what it saw; an error says what is wrong and how to see it again.
pub fn run(plan: &Plan, log: &mut dyn FnMut(&str)) -> Result<Summary> {
    let server = plan.spec.start()?;
    let mut client = server.client()?;
    let scripts = plan.scripts && has_scripts(&mut client)?;
    // In many pieces, or looking through it would be nothing.
    client.want("CONFIG SET list-max-listpack-size 4")?;
    let ballast = (0..BALLAST_LEN).map(|number| format!(" {number}"));
    client.want(&format!("RPUSH {BALLAST}{}", ballast.collect::<String>()))?;
    let rng = Rng::new(plan.seed);
    let mut run = Run {
        plan,
        server,
        scripts,
        workers: (0..plan.connections).map(|number| Worker::new(number, &rng)).collect(),
        keys: Some(Keys::new(0)),
        history: History::default(),
        clock: Instant::now(),
        rng: rng.fork(0xffff),
        summary: Summary::default(),
    };
    let outcome = run.all(log);
    outcome.map_err(|error| {
        format!("seed {}: {error}\nThe server said:\n{}", plan.seed, run.server.log_tail()).into()
    })
}

struct Run<'p> {
    plan: &'p Plan,
    server: Server,
    scripts: bool,
    workers: Vec<Worker>,
    /// Of the history; on stage during a round.
    keys: Option<Keys>,
    history: History,
    clock: Instant,
    rng: Rng,
    summary: Summary,
}

impl Run<'_> {
    fn all(&mut self, log: &mut dyn FnMut(&str)) -> Result<Summary> {
        /// After about so long the load rests.
        const ROUND_TIME: Duration = Duration::from_secs(5);
        let Plan { time, kills, .. } = *self.plan;
        let rounds = time.div_duration_f64(ROUND_TIME).ceil() as usize;
        let rounds = rounds.max(kills).max(1);
        for number in 0..rounds {
            let kill = (number + 1) * kills / rounds > number * kills / rounds;
            let end = match self.rng.below(8) {
                _ if !kill => End::Rest,
                0 => End::Stop,
                1 | 2 => End::KillTwice,
                _ => End::Kill,
            };
            let before = self.summary.total();
            let outcome = self.round(time / rounds as u32, end);
            outcome.map_err(|error| {
                // What was wrong before may tell why.
                let before = shown(&check(&self.history).violations);
                format!("round {} ({end:?}): {error}\n{before}", number + 1)
            })?;
            let done = self.summary.total() - before;
            log(&format!("round {}: {done} transactions, then {end:?}", number + 1));
            if self.history.len() > TRANSACTIONS_MAX || number + 1 == rounds {
                self.settle(log)?;
            }
        }
        Ok(self.summary.clone())
    }

    fn round(&mut self, time: Duration, end: End) -> Result {
        let border = self.rng.pick(&BORDERS);
        self.server.client()?.want(&format!("CONFIG SET list-max-listpack-size {border}"))?;
        let stage = Arc::new(Stage {
            addr: self.server.addr(),
            keys: self.keys.take().ok_or("no keys")?,
            scripts: self.scripts,
            heavy: self.plan.heavy,
            clock: self.clock,
            is_over: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
        });
        let (telling, told) = sync_channel(TOLD_MAX);
        let threads: Vec<_> = std::mem::take(&mut self.workers)
            .into_iter()
            .map(|mut worker| {
                let (stage, telling) = (Arc::clone(&stage), telling.clone());
                std::thread::spawn(move || {
                    let result = worker.run(&stage, &telling);
                    (worker, result)
                })
            })
            .collect();
        drop(telling);
        let (mut history, mut summary) =
            (std::mem::take(&mut self.history), std::mem::take(&mut self.summary));
        let listener = std::thread::spawn(move || {
            listen(&told, &mut history, &mut summary);
            (history, summary)
        });
        let is_killed = end != End::Rest;
        let time = if is_killed { time.mul_f64(self.rng.range(20, 100) as f64 / 100.0) } else { time };
        std::thread::sleep(time);
        // IMPORTANT: said before it happens, or a client would see a connection break for no reason.
        stage.is_killed.store(is_killed, Ordering::SeqCst);
        let ended = match end {
            End::Rest => Ok(()),
            End::Kill | End::KillTwice => self.server.kill(),
            End::Stop => self.server.stop().map(drop),
        };
        stage.is_over.store(true, Ordering::SeqCst);
        let mut failure = ended.err();
        for thread in threads {
            let (worker, result) = thread.join().map_err(|_| "a load thread panicked")?;
            self.workers.push(worker);
            failure = failure.or(result.err());
        }
        (self.history, self.summary) = listener.join().map_err(|_| "the history's thread panicked")?;
        self.keys = Arc::into_inner(stage).map(|stage| stage.keys);
        match failure {
            Some(failure) => Err(failure),
            None if is_killed => self.restart(end),
            None => Ok(()),
        }
    }

    fn restart(&mut self, end: End) -> Result {
        if end == End::KillTwice {
            let moment = Duration::from_micros(self.rng.below(60_000) as u64);
            self.plan.spec.start_and_kill(self.server.dir(), moment)?;
        }
        self.server.restart()?;
        self.history.settle_unknown(now(self.clock));
        self.summary.kills += 1;
        Ok(())
    }

    /// Reads every list to its end, checks the history, and begins another.
    fn settle(&mut self, log: &mut dyn FnMut(&str)) -> Result {
        let keys = self.keys.take().ok_or("no keys")?;
        let mut client = self.server.client()?;
        for key in keys.all() {
            let ask = Ask::Read(key);
            let invoked = now(self.clock);
            let reply = client.call(&ask.command(keys.generation))?;
            let mut ops = Vec::new();
            ask.answered(&reply, &mut ops)?;
            let (completed, outcome) = (now(self.clock), Outcome::Ok);
            let client = self.plan.connections as u32;
            let (form, behind) = ("last look", false);
            let last = Transaction { client, form, behind, invoked, completed, outcome, ops };
            self.history.record(last);
        }
        let verdict = check(&self.history);
        log(&format!(
            "{} transactions over {} keys, {} edges, checked in {:.1} s",
            self.history.len(),
            self.history.keys(),
            verdict.edges,
            verdict.time.as_secs_f64()
        ));
        self.summary.histories += 1;
        self.summary.keys += u64::from(self.history.keys());
        self.summary.edges += verdict.edges as u64;
        self.summary.check_time += verdict.time;
        self.summary.unknown_seen += verdict.unknown_happened as u64;
        self.history = History::default();
        self.keys = Some(Keys::new(keys.generation + 1));
        if verdict.violations.is_empty() {
            return Ok(());
        }
        Err(format!("no order of the transactions explains this:\n{}", shown(&verdict.violations)).into())
    }
}

/// They come sorted by kind.
fn shown(violations: &[Violation]) -> String {
    let of_kinds = violations.chunk_by(|one, other| one.kind == other.kind);
    let texts: Vec<String> =
        of_kinds.flat_map(|same| same.iter().take(SHOWN_OF_A_KIND)).map(Violation::to_string).collect();
    texts.join("\n\n")
}

fn listen(told: &Receiver<Transaction>, history: &mut History, summary: &mut Summary) {
    for transaction in told {
        summary.count(&transaction);
        history.record(transaction);
    }
}

#[cfg(test)]
mod tests;

//! Streams under load: producers add entries, groups of consumers are told of them, acknowledge them, take them
//! from each other, and leave without a word; also when the server is killed. Each group must be told every
//! entry, in order and once as new, and what was acknowledged must never come again.
//!
//! Entries are all different. A ledger holds what each client was told; after each round, when nobody uses the server,
//! it is compared with what is there, and the next round goes on from that. At the end all groups are told the
//! rest, and acknowledge everything.

mod entry;
mod group;
mod ledger;
mod rest;
mod step;
mod worker;

pub use entry::EntryId;
pub use group::{GroupRest, Pending, Summary};
pub use ledger::{Event, GROUPS, How, Ledger, Reader, Rest, STREAMS, Shown, Span, Verdict};

use crate::server::Server;
use crate::{Client, Flavour, Reply, Result, Rng, Spec, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use step::Step;
use worker::{Consumer, Log, Producer, Round};

/// How many entries a group may be behind: few, so that consumers wait; many, so that there is something to catch up on.
const BOUNDS: &[i64] = &[3, 30, 300, 3000];
const LIMIT: Duration = Duration::from_secs(30);
const DRAINED_AT_ONCE: usize = 500;

/// All lie in one slot, because some commands are about several of them.
fn key(stream: usize) -> String {
    format!("{{streams}}:{stream}")
}

fn group_name(group: usize) -> String {
    format!("g{group}")
}

fn consumer_name(consumer: usize) -> String {
    format!("c{consumer}")
}

fn consumer_of(reply: &Reply) -> Result<usize> {
    let text = String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned();
    let number = text.strip_prefix('c').and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("{text} is no consumer of ours").into())
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub spec: Spec,
    pub seed: u64,
    /// How long the load lasts in all.
    pub time: Duration,
    /// After about so long the load rests, and everything is compared.
    pub round_time: Duration,
    pub producers: usize,
    /// Of each group.
    pub consumers: usize,
    /// How many rounds end with kill -9.
    pub restarts: usize,
}

impl Plan {
    pub fn new(spec: Spec, seed: u64) -> Self {
        let (time, round_time) = (Duration::from_secs(60), Duration::from_secs(5));
        Self { spec, seed, time, round_time, producers: 4, consumers: 4, restarts: 0 }
    }
}

/// What all rounds came to, and the last of them: there everything was told and acknowledged.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    pub rounds: usize,
    pub restarts: usize,
    pub commands: u64,
    /// Consumers that left without a word.
    pub crashes: u64,
    /// All rounds together, but for what is pending and untold: that is of the last one.
    pub verdict: Verdict,
}

/// Runs all rounds on one data folder; an error says what is wrong and how to see it again.
pub fn run(plan: &Plan, log: &mut dyn FnMut(&str)) -> Result<Outcome> {
    let rng = Rng::new(plan.seed);
    let server = plan.spec.start()?;
    let readers =
        (0..GROUPS).flat_map(|group| (0..plan.consumers).map(move |consumer| Reader { group, consumer }));
    let mut run = Run {
        // Redis does not log all that it counts.
        ledger: Ledger::new(server.flavour() == Flavour::Bulkhead || plan.restarts == 0),
        server,
        producers: (0..plan.producers).map(|number| Producer::new(number, &rng)).collect(),
        consumers: readers.map(|me| Consumer::new(me, plan.consumers, &rng)).collect(),
        epoch: Instant::now(),
        rng: rng.fork(0xffff),
        outcome: Outcome::default(),
    };
    let context = |run: &Run, what: String, error: crate::Error| -> crate::Error {
        let said = run.server.log_tail();
        format!("{what} (seed {}): {error}\nThe server said:\n{said}", plan.seed).into()
    };
    run.make_groups()?;
    let rounds = plan.time.div_duration_f64(plan.round_time).ceil() as usize;
    let rounds = rounds.max(plan.restarts).max(1);
    for number in 0..rounds {
        let kill = (number + 1) * plan.restarts / rounds > number * plan.restarts / rounds;
        let line = run.round(plan.time / rounds as u32, kill);
        let line = line.map_err(|error| context(&run, format!("round {}", number + 1), error))?;
        log(&format!("round {}: {line}", number + 1));
    }
    run.finish().map_err(|error| context(&run, "the end".to_owned(), error))?;
    Ok(run.outcome)
}

struct Run {
    server: Server,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    ledger: Ledger,
    epoch: Instant,
    rng: Rng,
    outcome: Outcome,
}

impl Run {
    fn make_groups(&mut self) -> Result {
        let mut client = self.server.client()?;
        for stream in 0..STREAMS {
            for group in 0..GROUPS {
                let (key, name) = (key(stream), group_name(group));
                client.want(&format!("XGROUP CREATE {key} {name} 0 MKSTREAM ENTRIESREAD 0"))?;
            }
        }
        Ok(())
    }

    fn round(&mut self, time: Duration, kill: bool) -> Result<String> {
        let round = Arc::new(Round {
            addr: self.server.addr(),
            epoch: self.epoch,
            bound: *self.rng.pick(BOUNDS),
            is_over: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            untold: self.ledger.untold().map(|groups| groups.map(AtomicI64::new)),
        });
        let load = Load::start(&round, self);
        let time = if kill { time.mul_f64(self.rng.range(10, 100) as f64 / 100.0) } else { time };
        std::thread::sleep(time);
        if kill {
            // IMPORTANT: said before it happens, or a client would see a connection break for no reason.
            round.is_killed.store(true, Ordering::SeqCst);
            self.server.kill()?;
        }
        round.is_over.store(true, Ordering::SeqCst);
        let logs = load.join(self)?;
        if kill {
            self.server.restart()?;
            self.outcome.restarts += 1;
        }
        let (commands, crashes) =
            logs.iter().fold((0, 0), |sum, log| (sum.0 + log.commands, sum.1 + log.crashes));
        logs.into_iter().flat_map(|log| log.events).for_each(|event| self.ledger.record(event));
        let mut client = self.server.client()?;
        let verdict = self.settle(&mut client)?;
        self.trim(&mut client)?;
        let outcome = &mut self.outcome;
        outcome.rounds += 1;
        outcome.commands += commands;
        outcome.crashes += crashes;
        Ok(format!(
            "bound {}{}: {commands} commands, {} entries added, {} told and {} shown again, {} acknowledged; {} \
             pending, {} untold; {} told unseen",
            round.bound,
            if kill { ", killed" } else { "" },
            verdict.added,
            verdict.told,
            verdict.shown_again,
            verdict.acked,
            verdict.pending,
            verdict.untold,
            verdict.told_unseen
        ))
    }

    /// Compares with what is there once everybody has gone, also who had left without a word.
    fn settle(&mut self, client: &mut Client) -> Result<Verdict> {
        wait::until("all others to be gone", LIMIT, || {
            let mut count = |name| client.info_of_clients(name).ok();
            (count("connected_clients")? == 1 && count("blocked_clients")? == 0).then_some(())
        })?;
        let rests = rest::read(client)?;
        let verdict = self.ledger.settle(&rests)?;
        let sum = &mut self.outcome.verdict;
        *sum = Verdict {
            added: sum.added + verdict.added,
            unanswered_added: sum.unanswered_added + verdict.unanswered_added,
            told: sum.told + verdict.told,
            told_unseen: sum.told_unseen + verdict.told_unseen,
            shown_again: sum.shown_again + verdict.shown_again,
            acked: sum.acked + verdict.acked,
            ..verdict
        };
        Ok(verdict)
    }

    /// Removes what nobody will be told any more.
    fn trim(&mut self, client: &mut Client) -> Result {
        for stream in 0..STREAMS {
            if self.rng.chance(50) {
                let below = self.ledger.done_below(stream);
                client.want(&format!("XTRIM {} MINID {below}", key(stream)))?;
                self.ledger.trimmed(stream, below);
            }
        }
        Ok(())
    }

    /// Has every group told what it was not told yet, and acknowledges everything.
    fn finish(&mut self) -> Result {
        let mut client = self.server.client()?;
        for (group, stream) in (0..GROUPS).flat_map(|group| (0..STREAMS).map(move |stream| (group, stream))) {
            let me = Reader { group, consumer: 0 };
            while self.call(&mut client, Step::read_new(me, vec![stream], DRAINED_AT_ONCE, None))? > 0 {}
        }
        let told = self.settle(&mut client)?;
        if told.untold > 0 {
            return Err(format!("{} entries are told to nobody", told.untold).into());
        }
        for (group, stream) in (0..GROUPS).flat_map(|group| (0..STREAMS).map(move |stream| (group, stream))) {
            let me = Reader { group, consumer: 0 };
            let pending: Vec<EntryId> = self.ledger.pending(stream, group).into_iter().collect();
            for ids in pending.chunks(DRAINED_AT_ONCE) {
                let shown = self.call(&mut client, Step::claim(me, stream, ids, false))?;
                if shown != ids.len() {
                    return Err(format!("of {} pending entries {shown} could be taken", ids.len()).into());
                }
                self.call(&mut client, Step::ack(me, stream, ids.to_vec()))?;
            }
        }
        let done = self.settle(&mut client)?;
        if done.pending > 0 {
            return Err(format!("{} entries are pending, though all was acknowledged", done.pending).into());
        }
        Ok(())
    }

    /// One command, told to the ledger; says how many entries were shown.
    fn call(&mut self, client: &mut Client, step: Step) -> Result<usize> {
        let sent = self.epoch.elapsed().as_nanos() as u64;
        let replies =
            step.commands().iter().map(|command| client.call(command)).collect::<Result<Vec<_>>>()?;
        let received = self.epoch.elapsed().as_nanos() as u64;
        let (events, _) = step.answered(&replies, Span { sent, received })?;
        let mut shown = 0;
        for event in events {
            if let Event::Shown(event) = &event {
                shown += event.entries.len();
            }
            self.ledger.record(event);
        }
        Ok(shown)
    }
}

/// The threads of a round.
struct Load {
    producers: Vec<JoinHandle<(Producer, Log, Result)>>,
    consumers: Vec<JoinHandle<(Consumer, Log, Result)>>,
}

impl Load {
    fn start(round: &Arc<Round>, run: &mut Run) -> Self {
        let producers = std::mem::take(&mut run.producers).into_iter().map(|mut producer| {
            let round = Arc::clone(round);
            std::thread::spawn(move || {
                let mut log = Log::default();
                let result = producer.run(&round, &mut log);
                (producer, log, result)
            })
        });
        let consumers = std::mem::take(&mut run.consumers).into_iter().map(|mut consumer| {
            let round = Arc::clone(round);
            std::thread::spawn(move || {
                let mut log = Log::default();
                let result = consumer.run(&round, &mut log);
                (consumer, log, result)
            })
        });
        Self { producers: producers.collect(), consumers: consumers.collect() }
    }

    fn join(self, run: &mut Run) -> Result<Vec<Log>> {
        let mut logs = Vec::new();
        let mut failure = None;
        for thread in self.producers {
            let (producer, log, result) = thread.join().map_err(|_| "a producer panicked")?;
            run.producers.push(producer);
            logs.push(log);
            failure = failure.or(result.err());
        }
        for thread in self.consumers {
            let (consumer, log, result) = thread.join().map_err(|_| "a consumer panicked")?;
            run.consumers.push(consumer);
            logs.push(log);
            failure = failure.or(result.err());
        }
        failure.map_or(Ok(logs), Err)
    }
}

#[cfg(test)]
mod tests;

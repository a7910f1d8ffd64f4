//! Queues under load: producers and consumers share one list, one set, one hash and one sorted set,
//! and every element that goes in must come out exactly once, also when the server is killed.
//!
//! Elements are all different. A ledger holds what each client was told; after each round, when nobody
//! uses the server, it is compared with what is there, and the next round goes on from that.

pub(crate) mod element;
mod ledger;
mod maintenance;
mod step;
mod worker;

pub use ledger::{Event, Ledger, QUEUES, Queue, Rest, Verdict};

use crate::server::Server;
use crate::{Client, Flavour, Reply, Result, Rng, Spec};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use worker::{Consumer, Log, Producer, Round};

/// How many elements a collection may hold: few, so that it runs empty; many, so that it is wide.
const BOUNDS: &[i64] = &[2, 10, 60, 400, 5000];

#[derive(Debug, Clone)]
pub struct Plan {
    pub spec: Spec,
    pub seed: u64,
    /// How long the load lasts in all.
    pub time: Duration,
    /// After about so long the load rests, and everything is compared.
    pub round_time: Duration,
    pub producers: usize,
    pub consumers: usize,
    /// How many rounds end with kill -9.
    pub restarts: usize,
}

impl Plan {
    pub fn new(spec: Spec, seed: u64) -> Self {
        let (time, round_time) = (Duration::from_secs(60), Duration::from_secs(5));
        Self { spec, seed, time, round_time, producers: 6, consumers: 6, restarts: 0 }
    }
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Summary {
    pub rounds: usize,
    pub restarts: usize,
    pub commands: u64,
    pub added: u64,
    pub taken: u64,
    /// Pops that found nothing.
    pub empty: u64,
    pub gone_unseen: u64,
    pub unanswered_added: u64,
    pub maintained: u64,
}

/// Runs all rounds on one data folder; an error says what is wrong and how to see it again.
pub fn run(plan: &Plan, log: &mut dyn FnMut(&str)) -> Result<Summary> {
    let rng = Rng::new(plan.seed);
    let mut run = Run {
        server: plan.spec.start()?,
        producers: (0..plan.producers).map(|number| Producer::new(number, &rng)).collect(),
        consumers: (0..plan.consumers).map(|number| Consumer::new(number, &rng)).collect(),
        ledger: Ledger::default(),
        left: [0; QUEUES.len()],
        rng: rng.fork(0xffff),
        summary: Summary::default(),
    };
    let rounds = plan.time.div_duration_f64(plan.round_time).ceil() as usize;
    let rounds = rounds.max(plan.restarts).max(1);
    for number in 0..rounds {
        let kill = (number + 1) * plan.restarts / rounds > number * plan.restarts / rounds;
        let time = plan.time / rounds as u32;
        let line = run.round(time, kill).map_err(|error| -> crate::Error {
            let said = run.server.log_tail();
            format!("round {} (seed {}): {error}\nThe server said:\n{said}", number + 1, plan.seed).into()
        })?;
        log(&format!("round {}: {line}", number + 1));
    }
    Ok(run.summary)
}

struct Run {
    server: Server,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    ledger: Ledger,
    left: [i64; QUEUES.len()],
    rng: Rng,
    summary: Summary,
}

impl Run {
    fn round(&mut self, time: Duration, kill: bool) -> Result<String> {
        let round = Arc::new(Round {
            addr: self.server.addr(),
            bound: *self.rng.pick(BOUNDS),
            is_peer: self.server.flavour() != Flavour::Bulkhead,
            integers: self.rng.chance(30),
            is_over: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            depth: self.left.map(AtomicI64::new),
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
            self.summary.restarts += 1;
        }
        let (commands, empty) =
            logs.iter().fold((0, 0), |sum, log| (sum.0 + log.commands, sum.1 + log.empty));
        logs.into_iter().flat_map(|log| log.events).for_each(|event| self.ledger.record(event));
        let verdict = self.settle()?;
        let before = self.summary;
        self.summary = Summary {
            rounds: before.rounds + 1,
            commands: before.commands + commands,
            added: before.added + verdict.added - self.left.iter().sum::<i64>() as u64,
            taken: before.taken + verdict.taken,
            empty: before.empty + empty,
            gone_unseen: before.gone_unseen + verdict.gone_unseen,
            unanswered_added: before.unanswered_added + verdict.unanswered_added,
            ..before
        };
        self.left = self.ledger.left();
        Ok(format!(
            "bound {}{}: {commands} commands, {} in, {} out, {} left, {empty} found nothing; {} gone unseen",
            round.bound,
            if kill { ", killed" } else { "" },
            verdict.added,
            verdict.taken,
            verdict.left,
            verdict.gone_unseen
        ))
    }

    /// Compares with what is there; nothing but the shared collections may be.
    fn settle(&mut self) -> Result<Verdict> {
        let mut client = self.server.client()?;
        maintenance::clean(&mut client)?;
        let rests = read(&mut client)?;
        let expected = rests.iter().filter(|rest| !rest.ids.is_empty()).count();
        let keys = client.want("DBSIZE")?;
        if keys != Reply::Integer(expected as i64) {
            return Err(format!("DBSIZE is {keys:?}, but {expected} keys are there").into());
        }
        self.ledger.settle(&rests)
    }
}

fn read(client: &mut Client) -> Result<[Rest; QUEUES.len()]> {
    let mut rests: [Rest; QUEUES.len()] = Default::default();
    for (queue, rest) in QUEUES.into_iter().zip(&mut rests) {
        *rest = maintenance::rest(client, queue)?;
    }
    Ok(rests)
}

/// The threads of a round.
struct Load {
    producers: Vec<JoinHandle<(Producer, Log, Result)>>,
    consumers: Vec<JoinHandle<(Consumer, Log, Result)>>,
    maintenance: JoinHandle<Result<u64>>,
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
        let mut rng = run.rng.fork(run.summary.rounds as u64);
        let round = Arc::clone(round);
        Self {
            producers: producers.collect(),
            consumers: consumers.collect(),
            maintenance: std::thread::spawn(move || maintenance::run(&round, &mut rng)),
        }
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
        let maintained = self.maintenance.join().map_err(|_| "the maintenance panicked")?;
        match maintained {
            Ok(done) => run.summary.maintained += done,
            Err(error) => failure = failure.or(Some(error)),
        }
        failure.map_or(Ok(logs), Err)
    }
}

#[cfg(test)]
mod tests;

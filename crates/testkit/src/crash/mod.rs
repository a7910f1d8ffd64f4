//! Crashes under load: many connections write, the server is killed, and what comes back after a
//! restart must hold every acknowledged write exactly once and nothing half-applied.
//!
//! Each connection has keys of its own and a model of them. A server executes one connection's
//! commands in order, so after a crash its keys must be as after the acknowledged commands and some
//! first part of those that were in flight: one comparison finds losses, repetitions and halves. A few
//! counters are shared by all connections, to see that those count exactly.

mod collection;
mod collections_load;
mod ledger;
mod model;
mod stream;
mod tear;
mod trouble;
mod verdict;
mod worker;

pub use collection::{Change, Kind, Value};
pub use ledger::Ledger;
pub use model::{Op, State};
pub use stream::StreamChange;
pub use tear::tear;
pub use trouble::Trouble;
pub use verdict::explain;

use crate::server::Server;
use crate::{Client, Result, Rng, Spec, wait};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use worker::{Shared, Worker};

/// What happens to the data between the kill and the restart, for instance to its log's tail.
pub type AfterKill<'a> = &'a mut dyn FnMut(&Path, &mut Rng) -> Result;

/// How one round's server comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
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
    pub rounds: usize,
    /// A round's load lasts a random time up to this.
    pub round_time: Duration,
    pub connections: usize,
    /// What befalls the disk in each round.
    pub trouble: Option<Trouble>,
    /// Where the data is; a temporary folder if it does not matter.
    pub dir: Option<PathBuf>,
}

impl Plan {
    pub fn new(spec: Spec, seed: u64) -> Self {
        let round_time = Duration::from_secs(2);
        Self { spec, seed, rounds: 5, round_time, connections: 24, trouble: None, dir: None }
    }
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Summary {
    pub acknowledged: u64,
    pub in_flight: u64,
    /// Commands in flight that were found applied.
    pub applied: u64,
    /// Commands that were answered with the refusal of a failing disk.
    pub refused: u64,
    pub restart_time_max: Duration,
}

/// Runs all rounds on one data folder; an error says what was lost and how to see it again.
pub fn run(plan: &Plan, after_kill: AfterKill<'_>, log: &mut dyn FnMut(&str)) -> Result<Summary> {
    let mut server = match &plan.dir {
        Some(dir) => plan.spec.start_in(dir)?,
        None => plan.spec.start()?,
    };
    if let Some(trouble) = &plan.trouble {
        trouble.check_possible(&server)?;
    }
    let mut rng = Rng::new(plan.seed);
    let mut workers: Vec<Worker> = (0..plan.connections).map(|id| Worker::new(id, &rng)).collect();
    let mut shared = Shared::default();
    let mut total = Summary::default();
    for round in 1..=plan.rounds {
        let end = match rng.below(10) {
            0 => End::Stop,
            1 | 2 => End::KillTwice,
            _ => End::Kill,
        };
        let millis = rng.range(30, plan.round_time.as_millis() as i64) as u64;
        let load = Load { time: Duration::from_millis(millis), end, trouble: plan.trouble.as_ref() };
        let loaded = load.run(&mut server, workers, &mut shared);
        let context = |error: crate::Error| -> crate::Error {
            format!("round {round} (seed {}, {end:?} after {millis} ms): {error}", plan.seed).into()
        };
        if let Some(trouble) = &plan.trouble {
            trouble.clean_up();
        }
        workers = loaded.map_err(context)?;
        after_kill(server.dir(), &mut rng)?;
        let start = Instant::now();
        if end == End::KillTwice {
            let moment = Duration::from_micros(rng.below(60_000) as u64);
            plan.spec.start_and_kill(server.dir(), moment)?;
        }
        server.restart().map_err(context)?;
        let restart = start.elapsed();
        if plan.trouble.is_some() {
            trouble::remove_probe(&server).map_err(context)?;
        }
        let round_summary =
            verdict::check(&mut server.client()?, &mut workers, &mut shared).map_err(context)?;
        total.acknowledged += round_summary.acknowledged;
        total.in_flight += round_summary.in_flight;
        total.applied += round_summary.applied;
        total.refused += round_summary.refused;
        total.restart_time_max = total.restart_time_max.max(restart);
        log(&format!(
            "round {round}: {end:?} after {millis} ms; {} acknowledged, {} refused, {} in flight, of which {} \
             applied; back in {} ms",
            round_summary.acknowledged,
            round_summary.refused,
            round_summary.in_flight,
            round_summary.applied,
            restart.as_millis()
        ));
    }
    Ok(total)
}

struct Load<'a> {
    time: Duration,
    end: End,
    trouble: Option<&'a Trouble>,
}

impl Load<'_> {
    /// Loads the server until it is gone.
    fn run(&self, server: &mut Server, workers: Vec<Worker>, shared: &mut Shared) -> Result<Vec<Worker>> {
        let addr = server.addr();
        let is_over = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = workers
            .into_iter()
            .map(|mut worker| {
                let (is_over, acknowledged) = (Arc::clone(&is_over), Arc::clone(&acknowledged));
                let trouble = self.trouble.cloned();
                std::thread::spawn(move || {
                    let result = Client::connect(addr).map_or(Ok(()), |mut client| {
                        let explains =
                            |why: &str| trouble.as_ref().is_some_and(|trouble| trouble.explains(why));
                        worker.load(&mut client, &is_over, &acknowledged, &explains)
                    });
                    (worker, result)
                })
            })
            .collect();
        let observer = {
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || worker::observe(addr, &is_over))
        };
        // A round in which nothing was acknowledged tests nothing.
        let started = wait::until("the first acknowledgement", Duration::from_secs(30), || {
            (acknowledged.load(Ordering::Relaxed) > 0).then_some(())
        });
        std::thread::sleep(self.time);
        let troubled = self.trouble.map_or(Ok(()), |trouble| {
            let outcome = trouble.run(server, &acknowledged);
            outcome.map_err(|error| format!("{error}\nThe server said:\n{}", server.log_tail()).into())
        });
        let ended = match self.end {
            End::Stop => server.stop().map(drop),
            End::Kill | End::KillTwice => server.kill(),
        };
        is_over.store(true, Ordering::SeqCst);
        let mut workers = Vec::new();
        let mut failure = started.and(troubled).and(ended).err();
        for thread in threads {
            let (worker, result) = thread.join().map_err(|_| "a load thread panicked")?;
            workers.push(worker);
            failure = failure.or(result.err());
        }
        let seen = observer.join().map_err(|_| "the observer panicked")?;
        shared.observed(&seen);
        failure.map_or(Ok(workers), Err)
    }
}

#[cfg(test)]
mod tests;

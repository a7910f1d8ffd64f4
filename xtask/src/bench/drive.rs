//! Loads that redis-benchmark cannot send: what is asked next depends on what was answered.

use super::measure::{Measure, Scenario};
use crate::Result;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};
use testkit::{Client, Rng};

/// Has a connection, of this number, make so many requests and read what they are answered.
pub(super) type Round = fn(client: &mut Client, rng: &mut Rng, some: u64) -> Result;

/// Like redis-benchmark: each connection sends as many requests as the scenario says, and the next ones when all
/// of them are answered.
pub(super) fn benchmark(
    addr: SocketAddr,
    scenario: Scenario,
    requests: u64,
    round: Round,
) -> Result<Measure> {
    let clients = u64::from(scenario.clients.max(1));
    let connections: Vec<Client> = (0..clients).map(|_| Client::connect(addr)).collect::<Result<_>>()?;
    let seeds = Rng::new(0x7a57);
    let start = Instant::now();
    let threads: Vec<_> = (0..)
        .zip(connections)
        .map(|(number, client)| {
            let share = requests / clients + u64::from(number < requests % clients);
            let rng = seeds.fork(number);
            thread::spawn(move || drive(client, rng, share, u64::from(scenario.pipeline), round))
        })
        .collect();
    let mut times = Vec::new();
    for thread in threads {
        times.extend(thread.join().map_err(|_| "a thread of the load has panicked")??);
    }
    let took = start.elapsed();
    times.sort_unstable();
    let percentile = |percent: usize| {
        let time = times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
        time.map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    Ok(Measure {
        per_second: requests as f64 / took.as_secs_f64(),
        p50_ms: percentile(50),
        p99_ms: percentile(99),
        cpu_us: 0.0,
    })
}

/// One connection's requests; says how long each took.
fn drive(
    mut client: Client,
    mut rng: Rng,
    requests: u64,
    pipeline: u64,
    round: Round,
) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(requests as usize);
    let mut left = requests;
    while left > 0 {
        let some = left.min(pipeline.max(1));
        let sent = Instant::now();
        round(&mut client, &mut rng, some)?;
        times.resize(times.len() + some as usize, sent.elapsed());
        left -= some;
    }
    Ok(times)
}

//! Five commands at once: as a script, which redis-benchmark sends, and as a transaction, which it cannot send.

use super::measure::{KEYS, Measure, Scenario, VALUE_BYTES};
use crate::Result;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};
use testkit::{Client, Reply, Rng};

/// What is done at once, with a key's number for `#`. One key, so that a cluster does it as well.
pub(super) const COMMANDS: [&str; 5] = [
    "HGET job:# state",
    "HSET job:# state __data__",
    "EXPIRE job:# 3600",
    "HLEN job:#",
    "HINCRBY job:# tries 1",
];

/// The same as a script.
pub(super) const SCRIPT: &str = "redis.call('HGET', KEYS[1], 'state')
redis.call('HSET', KEYS[1], 'state', ARGV[1])
redis.call('EXPIRE', KEYS[1], 3600)
redis.call('HLEN', KEYS[1])
return redis.call('HINCRBY', KEYS[1], 'tries', 1)";

/// A transaction's replies: to MULTI, to each command, to EXEC.
const REPLIES: usize = COMMANDS.len() + 2;

/// Like redis-benchmark: each connection sends as many requests as the scenario says, and the next ones when all
/// of them are answered.
pub(super) fn benchmark(addr: SocketAddr, scenario: Scenario, requests: u64) -> Result<Measure> {
    let clients = u64::from(scenario.clients.max(1));
    let connections: Vec<Client> = (0..clients).map(|_| Client::connect(addr)).collect::<Result<_>>()?;
    let seeds = Rng::new(0x7a57);
    let start = Instant::now();
    let threads: Vec<_> = (0..)
        .zip(connections)
        .map(|(number, client)| {
            let share = requests / clients + u64::from(number < requests % clients);
            let rng = seeds.fork(number);
            thread::spawn(move || drive(client, rng, share, u64::from(scenario.pipeline)))
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
fn drive(mut client: Client, mut rng: Rng, requests: u64, pipeline: u64) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(requests as usize);
    let mut left = requests;
    while left > 0 {
        let some = left.min(pipeline.max(1));
        for _ in 0..some {
            queue(&mut client, &mut rng);
        }
        let sent = Instant::now();
        client.flush()?;
        for _ in 0..some {
            done(&mut client)?;
            times.push(sent.elapsed());
        }
        left -= some;
    }
    Ok(times)
}

fn queue(client: &mut Client, rng: &mut Rng) {
    let key = format!("{:012}", rng.below(KEYS as usize));
    let data = "x".repeat(VALUE_BYTES);
    client.queue(&["MULTI"]);
    for command in COMMANDS {
        let words: Vec<String> =
            command.split(' ').map(|word| word.replace('#', &key).replace("__data__", &data)).collect();
        client.queue(&words);
    }
    client.queue(&["EXEC"]);
}

fn done(client: &mut Client) -> Result {
    let mut last = Reply::Null;
    for _ in 0..REPLIES {
        last = client.receive()?;
    }
    let is_done =
        last.items().is_some_and(|items| items.len() == COMMANDS.len() && !items.iter().any(Reply::is_error));
    if is_done { Ok(()) } else { Err(format!("a transaction was answered {last:?}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_and_the_transaction_do_the_same() {
        let names = COMMANDS.iter().map(|command| command.split(' ').next().unwrap());
        let called = SCRIPT.lines().map(|line| line.split('\'').nth(1).unwrap());
        assert!(names.eq(called));
    }
}

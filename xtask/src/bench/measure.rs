//! One measurement: a scenario against a server.

use super::drive::{self, Round};
use super::hearers::Hearers;
use super::{consumers, transactions};
use crate::Result;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::{Client, Reply, Server, tools};

/// What redis-benchmark is told. More rows here are more rows in the report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    pub(super) test: Test,
    pub(super) clients: u32,
    pub(super) pipeline: u32,
}

/// A command, over and over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test {
    name: &'static str,
    /// Its words, unless redis-benchmark has a test of this name.
    command: &'static str,
    /// What it takes from has to be there first.
    stock: Stock,
    /// What `__rand_int__` is below.
    keys: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stock {
    None,
    List,
    SortedSet,
    /// The script that does [`transactions::COMMANDS`].
    Script,
    /// Nothing, and redis-benchmark cannot send it.
    Transaction,
    /// A stream and a group; redis-benchmark cannot send what consumers do.
    Entries,
    /// So many who hear what is published.
    Hearers(usize),
}

pub(super) const fn test(name: &'static str, command: &'static str) -> Test {
    Test { name, command, stock: Stock::None, keys: KEYS }
}

pub(super) const SET: Test = test("set", "");
pub(super) const GET: Test = test("get", "");
const INCR: Test = test("incr", "");
/// One list, and fifty.
pub(super) const HOT: Test = test("lpush hot", "LPUSH hot:list __data__");
pub(super) const LISTS: Test = Test { keys: 50, ..test("lpush lists", "LPUSH hot:__rand_int__ __data__") };
const LPUSH: Test = test("lpush", "LPUSH bench:list __data__");
const LPOP: Test = Test { stock: Stock::List, ..test("lpop", "LPOP bench:stock") };
const SADD: Test = test("sadd", "SADD bench:set element:__rand_int__");
const HSET: Test = test("hset", "HSET bench:hash element:__rand_int__ __data__");
const ZADD: Test = test("zadd", "ZADD bench:zset __rand_int__ element:__rand_int__");
const ZPOPMIN: Test = Test { stock: Stock::SortedSet, ..test("zpopmin", "ZPOPMIN bench:zstock") };
const SCRIPT: Test = Test {
    stock: Stock::Script,
    ..test("evalsha of five", "EVALSHA 40206b54d4f59ef80548e1126fdc256381c0ddfa 1 job:__rand_int__ __data__")
};
const TRANSACTION: Test = Test { stock: Stock::Transaction, ..test("multi of five", "") };
const XADD: Test = test("xadd", "XADD bench:stream * data __data__");
const CONSUME: Test = Test { stock: Stock::Entries, ..test("xreadgroup+xack", "") };
const PUBLISH: Test =
    Test { stock: Stock::Hearers(100), ..test("publish to 100", "PUBLISH bench:channel __data__") };

pub(super) const fn scenario(test: Test, pipeline: u32) -> Scenario {
    Scenario { test, clients: 50, pipeline }
}

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(SET, 1),
    scenario(GET, 1),
    scenario(INCR, 1),
    scenario(LPUSH, 1),
    scenario(LPOP, 1),
    scenario(SADD, 1),
    scenario(HSET, 1),
    scenario(ZADD, 1),
    scenario(ZPOPMIN, 1),
    scenario(SET, 16),
    scenario(GET, 16),
    scenario(INCR, 16),
    scenario(LPUSH, 16),
    scenario(LPOP, 16),
    scenario(SADD, 16),
    scenario(HSET, 16),
    scenario(ZADD, 16),
    scenario(ZPOPMIN, 16),
    scenario(SCRIPT, 1),
    scenario(SCRIPT, 16),
    scenario(TRANSACTION, 1),
    scenario(TRANSACTION, 16),
    scenario(XADD, 1),
    scenario(XADD, 16),
    scenario(CONSUME, 1),
    scenario(CONSUME, 16),
    scenario(PUBLISH, 1),
    scenario(PUBLISH, 16),
    Scenario { test: SET, clients: 1, pipeline: 1 },
];

pub(super) const KEYS: u32 = 100_000;
pub(super) const VALUE_BYTES: usize = 64;

impl Scenario {
    pub(super) fn name(&self) -> String {
        let command = self.test.name.to_uppercase();
        let clients = if self.clients == 1 { ", one connection".to_owned() } else { String::new() };
        format!("{command} P={}{clients}", self.pipeline)
    }

    pub(super) fn args(&self, port: &str, requests: &str) -> Vec<String> {
        let text = format!(
            "-h 127.0.0.1 -p {port} -c {} -P {} -n {requests} -r {} -d {VALUE_BYTES} --precision 3 --csv",
            self.clients, self.pipeline, self.test.keys
        );
        let test = match self.test.command {
            "" => format!("-t {}", self.test.name),
            command => command.replace("__data__", &"x".repeat(VALUE_BYTES)),
        };
        format!("{text} {test}").split(' ').map(str::to_owned).collect()
    }

    /// Puts there what so many requests take.
    fn prepare(&self, client: &mut Client, requests: u64) -> Result {
        const IN_ONE: u64 = 500;
        let (head, of): (&str, fn(u64) -> String) = match self.test.stock {
            Stock::None | Stock::Transaction | Stock::Hearers(_) => return Ok(()),
            Stock::Entries => return consumers::fill(client, requests),
            Stock::Script => return self.load(client),
            Stock::List => ("RPUSH bench:stock", |_| "x".repeat(VALUE_BYTES)),
            Stock::SortedSet => ("ZADD bench:zstock", |at| format!("{at} element:{at:012}")),
        };
        client.want(&format!("DEL {}", head.split(' ').nth(1).unwrap_or_default()))?;
        for first in (0..requests).step_by(IN_ONE as usize) {
            let some: Vec<String> = (first..requests.min(first + IN_ONE)).map(of).collect();
            client.want(&format!("{head} {}", some.join(" ")))?;
        }
        Ok(())
    }

    fn hearers(&self, server: &Server) -> Result<Option<Hearers>> {
        match self.test.stock {
            Stock::Hearers(count) => Ok(Some(Hearers::start(server.addr(), count)?)),
            _ => Ok(None),
        }
    }

    fn load(&self, client: &mut Client) -> Result {
        let sha = client.call(&["SCRIPT", "LOAD", transactions::SCRIPT])?;
        match self.test.command.split(' ').nth(1) {
            Some(expected) if sha == Reply::bulk(expected) => Ok(()),
            _ => Err(format!("the script that is measured is loaded as {sha:?}").into()),
        }
    }

    /// Enough requests to see about how fast a server is, without taking long.
    pub(super) fn warm_up_requests(&self) -> u64 {
        let for_each = match self.test.stock {
            Stock::Hearers(hearers) => 100_000 / hearers.max(1) as u64,
            _ if self.clients == 1 => 500,
            _ => 10_000,
        };
        u64::from(self.pipeline) * for_each
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measure {
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) cpu_us: f64,
}

pub(super) fn measure(server: &Server, scenario: Scenario, requests: u64) -> Result<Measure> {
    scenario.prepare(&mut server.client()?, requests)?;
    settle(server)?;
    let before = server.cpu_time()?;
    let hearers = scenario.hearers(server)?;
    let measure = benchmark(server, scenario, requests)?;
    // Work that was put off belongs to the requests that caused it.
    settle(server)?;
    let cpu = server.cpu_time()?.saturating_sub(before);
    if let Some(hearers) = hearers {
        hearers.stop(requests * VALUE_BYTES as u64)?;
    }
    Ok(Measure { cpu_us: cpu.as_secs_f64() * 1e6 / requests as f64, ..measure })
}

/// The same without the CPU time, whatever else the server does.
pub(super) fn benchmark(server: &Server, scenario: Scenario, requests: u64) -> Result<Measure> {
    let own: Option<Round> = match scenario.test.stock {
        Stock::Transaction => Some(transactions::round),
        Stock::Entries => Some(consumers::round),
        _ => None,
    };
    if let Some(round) = own {
        return drive::benchmark(server.addr(), scenario, requests, round);
    }
    let args = scenario.args(&server.addr().port().to_string(), &requests.to_string());
    let output = Command::new(tools::need("redis-benchmark")?).args(&args).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    parse(&text).filter(|_| output.status.success()).ok_or_else(|| {
        format!("redis-benchmark {}: {}\n{text}{errors}", args.join(" "), output.status).into()
    })
}

/// The last line of redis-benchmark's CSV: test, rps, then latencies avg, min, p50, p95, p99, max.
fn parse(csv: &str) -> Option<Measure> {
    let line = csv.lines().rfind(|line| line.starts_with('"'))?;
    let fields: Vec<f64> =
        line.split(',').skip(1).map_while(|field| field.trim().trim_matches('"').parse().ok()).collect();
    let field = |index: usize| fields.get(index).copied();
    Some(Measure { per_second: field(0)?, p50_ms: field(3)?, p99_ms: field(5)?, cpu_us: 0.0 })
}

/// Waits until a server does next to nothing.
pub(super) fn settle(server: &Server) -> Result {
    const WINDOW: Duration = Duration::from_millis(200);
    const IDLE: Duration = Duration::from_millis(10);
    const LIMIT: Duration = Duration::from_secs(5);
    let start = Instant::now();
    let mut last = server.cpu_time()?;
    loop {
        std::thread::sleep(WINDOW);
        let now = server.cpu_time()?;
        if now.saturating_sub(last) <= IDLE || start.elapsed() > LIMIT {
            return Ok(());
        }
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_benchmark_s_csv_is_understood() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
                   \"p99_latency_ms\",\"max_latency_ms\"\n\
                   \"SET\",\"50000.5\",\"0.5\",\"0.1\",\"0.4\",\"0.8\",\"1.2\",\"3.0\"\n";
        let measure = parse(csv).unwrap();
        assert_eq!((measure.per_second, measure.p50_ms, measure.p99_ms), (50000.5, 0.4, 1.2));
        assert!(parse("WARNING: no connection").is_none());
        assert!(parse("\"test\",\"rps\"\n").is_none());
    }
}

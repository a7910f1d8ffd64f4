//! SCAN while others write, delete, and restart the server: each key that is there throughout comes
//! exactly once.

use crate::client::{Client, Command, words};
use crate::{Flavour, Reply, Result, Rng, Server, Spec};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const COUNTS: &[usize] = &[1, 7, 10, 100, 500, 1000, 3000, 5000];
const WRITERS: u64 = 2;
/// Keys that come and go, for each key that stays.
const CHURN: usize = 2;
const FILL_CHUNK: usize = 10_000;

#[derive(Debug, Clone)]
pub struct Plan {
    pub spec: Spec,
    pub seed: u64,
    /// Keys that are there throughout.
    pub keys: usize,
    /// How often the server is restarted during the scan.
    pub restarts: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct Summary {
    pub pages: usize,
    pub keys: usize,
    pub page_time_max: Duration,
    pub time: Duration,
}

fn stable_key(number: usize) -> String {
    format!("stays:{number}")
}

pub fn run(plan: &Plan) -> Result<Summary> {
    let mut server = plan.spec.start()?;
    let mut rng = Rng::new(plan.seed);
    fill(&mut server.client()?, plan.keys)?;
    let mut seen: HashMap<Vec<u8>, u32> = HashMap::with_capacity(plan.keys);
    let mut cursor = b"0".to_vec();
    let mut summary = Summary { pages: 0, keys: 0, page_time_max: Duration::ZERO, time: Duration::ZERO };
    let start = Instant::now();
    for phase in 0..=plan.restarts {
        let writers = Writers::start(server.addr(), plan, &rng.fork(phase as u64));
        // The last phase scans to the end.
        let aim = plan.keys * (phase + 1) / (plan.restarts + 1);
        let is_last = phase == plan.restarts;
        let mut client = server.client()?;
        while is_last || seen.len() < aim {
            page(&mut client, &mut cursor, &mut rng, &mut seen, &mut summary)?;
            if cursor == b"0" {
                break;
            }
        }
        writers.stop()?;
        if cursor == b"0" {
            break;
        }
        restart(&mut server, phase)?;
    }
    summary.time = start.elapsed();
    summary.keys = seen.len();
    check(&seen, plan).map_err(|error| format!("{error} (seed {})", plan.seed))?;
    Ok(summary)
}

fn restart(server: &mut Server, phase: usize) -> Result {
    if phase.is_multiple_of(2) {
        server.kill()?;
    } else {
        server.stop()?;
    }
    server.restart()
}

fn fill(client: &mut Client, keys: usize) -> Result {
    for first in (0..keys).step_by(FILL_CHUNK) {
        let commands: Vec<Command> = (first..keys.min(first + FILL_CHUNK))
            .map(|number| words(&format!("SET {} {number}", stable_key(number))))
            .collect();
        if let Some(error) = client.pipeline(&commands)?.iter().find(|reply| reply.is_error()) {
            return Err(format!("filling: {error:?}").into());
        }
    }
    Ok(())
}

/// Reads the page at the cursor, and moves it.
fn page(
    client: &mut Client,
    cursor: &mut Vec<u8>,
    rng: &mut Rng,
    seen: &mut HashMap<Vec<u8>, u32>,
    summary: &mut Summary,
) -> Result {
    let count = rng.pick(COUNTS).to_string();
    let start = Instant::now();
    let reply = client.call(&[b"SCAN", &cursor[..], b"COUNT", count.as_bytes()])?;
    summary.page_time_max = summary.page_time_max.max(start.elapsed());
    summary.pages += 1;
    let Some([next, keys]) = reply.items() else { return Err(format!("SCAN: {reply:?}").into()) };
    *cursor = next.bytes().ok_or("SCAN gave no cursor")?.to_vec();
    for key in keys.items().ok_or("SCAN gave no keys")? {
        let key = key.bytes().ok_or("SCAN gave a key that is none")?;
        *seen.entry(key.to_vec()).or_default() += 1;
    }
    Ok(())
}

/// Redis promises to return a key at least once, Bulkhead exactly once.
fn check(seen: &HashMap<Vec<u8>, u32>, plan: &Plan) -> Result {
    let most = if plan.spec.flavour == Flavour::Bulkhead { 1 } else { u32::MAX };
    let missed: Vec<String> =
        (0..plan.keys).map(stable_key).filter(|key| !seen.contains_key(key.as_bytes())).collect();
    if let Some(first) = missed.first() {
        return Err(
            format!("{} keys that were there throughout never came, {first} for one", missed.len()).into()
        );
    }
    let again: Vec<_> = seen.iter().filter(|&(_, &times)| times > most).collect();
    if let Some((key, times)) = again.first() {
        let key = key.escape_ascii();
        return Err(format!("{} keys came more than once, {key} for one: {times} times", again.len()).into());
    }
    Ok(())
}

/// Threads that write, delete and expire, but never remove a key that stays.
struct Writers {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result>>,
}

impl Writers {
    fn start(addr: SocketAddr, plan: &Plan, rng: &Rng) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let keys = plan.keys;
        let threads = (0..WRITERS)
            .map(|id| {
                let (is_over, rng) = (Arc::clone(&is_over), rng.fork(id));
                std::thread::spawn(move || write(addr, keys, rng, &is_over))
            })
            .collect();
        Self { is_over, threads }
    }

    fn stop(self) -> Result {
        self.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().map_err(|_| "a writer panicked")??;
        }
        Ok(())
    }
}

fn write(addr: SocketAddr, keys: usize, mut rng: Rng, is_over: &AtomicBool) -> Result {
    const PIPELINE: usize = 32;
    let mut client = Client::connect(addr)?;
    while !is_over.load(Ordering::Relaxed) {
        let commands: Vec<Command> = (0..PIPELINE)
            .map(|_| {
                let comes_and_goes = format!("goes:{}", rng.below(keys * CHURN));
                let stays = stable_key(rng.below(keys));
                match rng.below(6) {
                    0 | 1 => words(&format!("SET {comes_and_goes} x")),
                    2 => words(&format!("DEL {comes_and_goes}")),
                    3 => words(&format!("SET {stays} {}", rng.next())),
                    4 => words(&format!("APPEND {stays} y")),
                    _ => words(&format!("SET {comes_and_goes} x PX {}", rng.range(1, 2000))),
                }
            })
            .collect();
        if let Some(error) = client.pipeline(&commands)?.iter().find(|reply| Reply::is_error(reply)) {
            return Err(format!("writing: {error:?}").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: usize) -> Plan {
        Plan { spec: Spec::redis().unwrap(), seed: 5, keys, restarts: 0 }
    }

    #[test]
    fn a_correct_server_passes() {
        let summary = run(&plan(5_000)).unwrap();
        assert!(summary.keys >= 5_000 && summary.pages > 1);
    }

    #[test]
    fn a_key_that_is_missed_or_comes_twice_is_found() {
        let all: HashMap<Vec<u8>, u32> = (0..10).map(|number| (stable_key(number).into_bytes(), 1)).collect();
        let ours = Plan { spec: Spec::new(Flavour::Bulkhead, "bulkhead".into()), ..plan(10) };
        assert!(check(&all, &ours).is_ok());
        assert!(check(&all, &plan(11)).is_err());
        let mut twice = all;
        twice.insert(b"stays:3".to_vec(), 2);
        assert!(check(&twice, &ours).is_err());
        assert!(check(&twice, &plan(10)).is_ok());
    }
}

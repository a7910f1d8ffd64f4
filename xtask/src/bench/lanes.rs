//! What small commands feel of `KEYS *` over many keys, in a loop, from many connections.

use super::measure::{GET, Measure, SET, Scenario, benchmark, measure, scenario};
use crate::{Result, install};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use testkit::figures::median;
use testkit::{Client, Server, Spec, proc};

pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    pub(super) keys: u64,
    pub(super) attackers: usize,
}

/// The names are of one length, so an answer's length follows from the number of keys.
const KEY_BYTES: u64 = 16;
/// Keys written at a time.
const FILL_STEP: u64 = 10_000;
/// After -BUSY an attacker asks again so soon.
const BUSY_PAUSE: Duration = Duration::from_millis(1);
/// A burner takes a core for so long at a time.
const BURN: Duration = Duration::from_millis(2);
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

const VICTIMS: [Scenario; 2] = [scenario(GET, 1), scenario(SET, 1)];

/// A scenario with and without attack, round by round.
#[derive(Default)]
struct Rounds {
    idle: Vec<Measure>,
    attacked: Vec<Measure>,
    /// The part of the machine that the attack took: the attackers themselves, and what the server did
    /// beyond what its other clients cost it.
    share: Vec<f64>,
    /// Nobody attacks, and threads of this process burn that part of the machine.
    burnt: Vec<Measure>,
}

pub(super) fn run(plan: &Plan) -> Result {
    install::servers()?;
    let subjects = [("Bulkhead", Spec::of_program(&plan.program)), ("Valkey", Spec::valkey()?)];
    println!(
        "{} connections in a loop of KEYS * over {} keys; medians of {} rounds\n\n\
         | server | command | p99 idle | attacked | ratio | attack's share of the CPUs | p99 with that share burnt | \
         requests/s idle | attacked |\n|---|---|---:|---:|---:|---:|---:|---:|---:|",
        plan.attackers, plan.keys, plan.rounds
    );
    for (name, spec) in subjects {
        let server = spec.start()?;
        fill(&mut server.client()?, plan.keys)?;
        let attack = Arc::new(Attack::default());
        for scenario in VICTIMS {
            let rounds = rounds(plan, &server, scenario, &attack)?;
            row(name, scenario, &rounds);
        }
        let Attack { answered, busy, .. } = &*attack;
        println!(
            "| {name} | KEYS * | | {} answered, {} refused | | | | | |",
            answered.load(Ordering::Relaxed),
            busy.load(Ordering::Relaxed)
        );
    }
    Ok(())
}

fn row(name: &str, scenario: Scenario, rounds: &Rounds) {
    let of =
        |measures: &[Measure], column: fn(&Measure) -> f64| median(measures.iter().map(column).collect());
    let pairs = rounds.idle.iter().zip(&rounds.attacked);
    let ratio = median(pairs.map(|(idle, attacked)| attacked.p99_ms / idle.p99_ms).collect());
    println!(
        "| {name} | {} | {:.2} ms | {:.2} ms | **{ratio:.1}** | {:.0} % | {:.2} ms | {:.0} | {:.0} |",
        scenario.name(),
        of(&rounds.idle, |m| m.p99_ms),
        of(&rounds.attacked, |m| m.p99_ms),
        100.0 * median(rounds.share.clone()),
        of(&rounds.burnt, |m| m.p99_ms),
        of(&rounds.idle, |m| m.per_second),
        of(&rounds.attacked, |m| m.per_second),
    );
}

fn rounds(plan: &Plan, server: &Server, scenario: Scenario, attack: &Arc<Attack>) -> Result<Rounds> {
    let first = measure(server, scenario, scenario.warm_up_requests())?;
    let requests = ((first.per_second * plan.seconds) as u64).max(scenario.warm_up_requests());
    let mut rounds = Rounds::default();
    for _ in 0..plan.rounds {
        let idle = measure(server, scenario, requests)?;
        let under = attack.start(server.addr(), plan.attackers);
        let before = attack.replies();
        testkit::wait::until("the attack to begin", REPLY_TIMEOUT, || {
            (attack.replies() > before).then_some(())
        })?;
        let before = (Instant::now(), proc::cpu_time(std::process::id())?, server.cpu_time()?);
        let attacked = benchmark(server, scenario, requests);
        let cores = thread::available_parallelism()?.get();
        let wall = before.0.elapsed().as_secs_f64() * cores as f64;
        let attackers = proc::cpu_time(std::process::id())?.saturating_sub(before.1).as_secs_f64();
        let served = server.cpu_time()?.saturating_sub(before.2).as_secs_f64();
        attack.stop(under);
        let own = idle.cpu_us * requests as f64 / 1e6;
        let share = (attackers + (served - own).max(0.0)) / wall;
        rounds.share.push(share);
        rounds.idle.push(idle);
        rounds.attacked.push(attacked?);
        let burning = attack.burn(share, cores);
        let burnt = benchmark(server, scenario, requests);
        attack.stop(burning);
        rounds.burnt.push(burnt?);
    }
    Ok(rounds)
}

fn fill(client: &mut Client, keys: u64) -> Result {
    for from in (0..keys).step_by(FILL_STEP as usize) {
        let to = keys.min(from + FILL_STEP);
        let commands: Vec<_> =
            (from..to).map(|key| testkit::client::words(&format!("SET key:{key:012} value"))).collect();
        if let Some(error) = client.pipeline(&commands)?.into_iter().find(testkit::Reply::is_error) {
            return Err(format!("filling: {error:?}").into());
        }
    }
    Ok(())
}

/// Connections that ask for all keys, again and again.
#[derive(Default)]
struct Attack {
    stop: AtomicBool,
    answered: AtomicU64,
    busy: AtomicU64,
}

impl Attack {
    fn replies(&self) -> u64 {
        self.answered.load(Ordering::Relaxed) + self.busy.load(Ordering::Relaxed)
    }

    fn start(self: &Arc<Self>, addr: SocketAddr, connections: usize) -> Vec<JoinHandle<Result>> {
        self.stop.store(false, Ordering::SeqCst);
        let attackers = (0..connections).map(|_| {
            let attack = self.clone();
            thread::spawn(move || attack.run(addr))
        });
        attackers.collect()
    }

    /// Takes a part of the machine and does nothing with it.
    fn burn(self: &Arc<Self>, share: f64, cores: usize) -> Vec<JoinHandle<Result>> {
        self.stop.store(false, Ordering::SeqCst);
        let burners = (0..cores).map(|_| {
            let attack = self.clone();
            thread::spawn(move || {
                while !attack.stop.load(Ordering::SeqCst) {
                    let start = Instant::now();
                    while start.elapsed() < BURN {
                        std::hint::spin_loop();
                    }
                    thread::sleep(BURN.mul_f64(1.0 / share.clamp(0.05, 1.0) - 1.0));
                }
                Ok(())
            })
        });
        burners.collect()
    }

    fn stop(&self, attackers: Vec<JoinHandle<Result>>) {
        self.stop.store(true, Ordering::SeqCst);
        for attacker in attackers {
            match attacker.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => eprintln!("an attacker: {error}"),
                Err(_) => eprintln!("an attacker has panicked"),
            }
        }
    }

    fn run(&self, addr: SocketAddr) -> Result {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        let mut buffer = vec![0; 256 << 10];
        while !self.stop.load(Ordering::SeqCst) {
            stream.write_all(b"KEYS *\r\n")?;
            let mut held = 0;
            let line = loop {
                let rest = buffer.get_mut(held..).unwrap_or_default();
                held += match stream.read(rest)? {
                    0 => return Err("the server hung up".into()),
                    read => read,
                };
                if let Some(end) = buffer.get(..held).unwrap_or_default().iter().position(|&b| b == b'\n') {
                    break String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).trim().to_owned();
                }
            };
            let Some(keys) = line.strip_prefix('*') else {
                self.busy.fetch_add(1, Ordering::Relaxed);
                thread::sleep(BUSY_PAUSE);
                continue;
            };
            // `$16\r\n` before each and `\r\n` behind it.
            let total = line.len() as u64 + 2 + keys.parse::<u64>()? * (5 + KEY_BYTES + 2);
            let mut left = total.saturating_sub(held as u64);
            while left > 0 {
                let most = buffer.len().min(usize::try_from(left)?);
                match stream.read(buffer.get_mut(..most).unwrap_or_default())? {
                    0 => return Err("the server hung up".into()),
                    read => left -= read as u64,
                }
            }
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

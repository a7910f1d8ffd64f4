//! What small commands feel of scripts that never end, and how those are ended; and one list that scripts push
//! to from fifty connections, in the section and in the heavy pool.

use super::measure::{GET, Measure, SET, Scenario, benchmark, measure, scenario};
use crate::{Result, install};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use testkit::figures::median;
use testkit::{Client, Reply, Server, Spec, wait};

pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    /// Scripts that never end.
    pub(super) scripts: usize,
}

const ENDLESS: [&str; 3] = ["EVAL", "while true do end", "0"];
const LIMIT: Duration = Duration::from_secs(60);
const PUSHERS: usize = 50;
/// A script that leaves the section for the heavy pool, by its number of steps.
const LONG: &str = "for i = 1, 20000 do end ";
const PUSH: &str = "return redis.call('RPUSH', KEYS[1], ARGV[1])";

pub(super) fn run(plan: &Plan) -> Result {
    install::servers()?;
    let server = Spec::of_program(&plan.program).start()?;
    beside_endless(plan, &server)?;
    pool_full(&server)?;
    pushes(plan)
}

fn number(client: &mut Client, name: &str) -> Result<usize> {
    let info = client.want("INFO everything")?;
    let text = String::from_utf8_lossy(info.bytes().unwrap_or_default());
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("0");
    Ok(line.trim().parse()?)
}

/// Scripts that never end, each on a connection of its own, and what each was told in the end.
struct Endless(Vec<JoinHandle<Result<Reply>>>);

impl Endless {
    fn start(server: &Server, count: usize) -> Result<Self> {
        let mut control = server.client()?;
        let threads = number(&mut control, "heavy_threads_of_one_class_max")?;
        let mut all = Vec::new();
        for _ in 0..count {
            let mut client = server.client()?;
            all.push(thread::spawn(move || client.call(&ENDLESS)));
        }
        let wanted = count.min(threads);
        wait::until("the scripts to run", LIMIT, || {
            (number(&mut control, "scripts_running").ok()? >= wanted).then_some(())
        })?;
        wait::until("the scripts to wait", LIMIT, || {
            (number(&mut control, "heavy_waiting").ok()? + wanted >= count).then_some(())
        })?;
        Ok(Self(all))
    }

    /// Kills until none is left; each must have been told so.
    fn kill(self, server: &Server) -> Result<Duration> {
        let began = Instant::now();
        let mut control = server.client()?;
        while !self.0.iter().all(JoinHandle::is_finished) {
            if began.elapsed() > LIMIT {
                return Err("scripts could not be killed".into());
            }
            // Between one script and the next there may be none.
            control.line("SCRIPT KILL")?;
            thread::yield_now();
        }
        for script in self.0 {
            let told = script.join().map_err(|_| "a thread has panicked")??;
            if !matches!(&told, Reply::Error(text) if text.contains("Script killed by user")) {
                return Err(format!("a script was told {told:?}").into());
            }
        }
        Ok(began.elapsed())
    }
}

fn beside_endless(plan: &Plan, server: &Server) -> Result {
    println!(
        "{} scripts that never end; medians of {} rounds\n\n\
         | command | p99 idle | attacked | ratio | requests/s idle | attacked | until all were killed |\n\
         |---|---:|---:|---:|---:|---:|---:|",
        plan.scripts, plan.rounds
    );
    for victim in [scenario(GET, 1), scenario(SET, 1)] {
        let first = measure(server, victim, victim.warm_up_requests())?;
        let requests = ((first.per_second * plan.seconds) as u64).max(victim.warm_up_requests());
        let (mut idle, mut attacked, mut killed) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            idle.push(measure(server, victim, requests)?);
            let scripts = Endless::start(server, plan.scripts)?;
            let under = benchmark(server, victim, requests);
            killed.push(scripts.kill(server)?.as_secs_f64() * 1e3);
            attacked.push(under?);
        }
        row(victim, &idle, &attacked, killed);
    }
    Ok(())
}

fn row(victim: Scenario, idle: &[Measure], attacked: &[Measure], killed: Vec<f64>) {
    let of =
        |measures: &[Measure], column: fn(&Measure) -> f64| median(measures.iter().map(column).collect());
    let ratio = median(idle.iter().zip(attacked).map(|(idle, under)| under.p99_ms / idle.p99_ms).collect());
    println!(
        "| {} | {:.2} ms | {:.2} ms | **{ratio:.1}** | {:.0} | {:.0} | {:.0} ms |",
        victim.name(),
        of(idle, |m| m.p99_ms),
        of(attacked, |m| m.p99_ms),
        of(idle, |m| m.per_second),
        of(attacked, |m| m.per_second),
        median(killed),
    );
}

/// With all threads and places that scripts may have full of them, the next is told so at once, and everybody else is
/// served.
fn pool_full(server: &Server) -> Result {
    let mut control = server.client()?;
    let threads = number(&mut control, "heavy_threads_of_one_class_max")?;
    let queue = number(&mut control, "heavy_queue")?;
    let scripts = Endless::start(server, threads + queue)?;
    let began = Instant::now();
    let told = control.call(&ENDLESS)?;
    let took = began.elapsed();
    if !matches!(&told, Reply::Error(text) if text.starts_with("BUSY")) {
        return Err(format!("with {} scripts in the pool the next was told {told:?}", threads + queue).into());
    }
    control.want("SET still works")?;
    let small = control.want("EVAL return(redis.call('GET','still')) 0")?;
    if small != Reply::bulk("works") {
        return Err(format!("a small script was told {small:?}").into());
    }
    control.want("KEYS nothing*")?;
    let killed = scripts.kill(server)?;
    println!(
        "\n{} endless scripts fill their share of the pool ({threads} threads, {queue} places): the next was told BUSY after {:.2} ms, \
         a small script and KEYS ran meanwhile; all were killed within {:.0} ms",
        threads + queue,
        took.as_secs_f64() * 1e3,
        killed.as_secs_f64() * 1e3
    );
    Ok(())
}

/// Fifty connections push to one list by a script: what comes of it, and that nothing is lost.
fn pushes(plan: &Plan) -> Result {
    println!(
        "\n| a script that pushes to one list, {PUSHERS} connections | scripts/s | length |\n|---|---:|---:|"
    );
    let ours = Spec::of_program(&plan.program);
    let valkey = Spec::valkey()?;
    let rows = [
        ("Bulkhead, in the section", &ours, ""),
        ("Bulkhead, in the heavy pool", &ours, LONG),
        ("Valkey", &valkey, ""),
        ("Valkey, the long script", &valkey, LONG),
    ];
    for (name, spec, head) in rows {
        let server = spec.start()?;
        let (mut rates, mut length) = (Vec::new(), 0);
        for _ in 0..plan.rounds {
            let (rate, pushed) = push(&server, &format!("{head}{PUSH}"), plan.seconds)?;
            rates.push(rate);
            length += pushed;
            let found = server.client()?.want("LLEN hot")?;
            if found != Reply::Integer(i64::try_from(length)?) {
                return Err(format!("{length} pushes were acknowledged, and the length is {found:?}").into());
            }
        }
        println!("| {name} | {:.0} | {length}, exact |", median(rates));
    }
    Ok(())
}

fn push(server: &Server, script: &str, seconds: f64) -> Result<(f64, usize)> {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let began = Instant::now();
    let mut pushers = Vec::new();
    for _ in 0..PUSHERS {
        let mut client = server.client()?;
        let command: Vec<Vec<u8>> =
            ["EVAL", script, "1", "hot", "value"].iter().map(|word| word.as_bytes().to_vec()).collect();
        pushers.push(thread::spawn(move || -> Result<usize> {
            let mut pushed = 0;
            while Instant::now() < until {
                match client.call(&command)? {
                    Reply::Integer(_) => pushed += 1,
                    other => return Err(format!("a push was told {other:?}").into()),
                }
            }
            Ok(pushed)
        }));
    }
    let mut pushed = 0;
    for pusher in pushers {
        pushed += pusher.join().map_err(|_| "a thread has panicked")??;
    }
    Ok((pushed as f64 / began.elapsed().as_secs_f64(), pushed))
}

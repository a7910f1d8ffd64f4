//! How large the budgets of a network thread should be: what others feel, and how much of medium commands gets done,
//! by each budget. Commands of all sizes around it are sent, for where it is decides which of them go to the heavy pool.

use super::incident::victims::{Class, Felt, Victims};
use super::measure::settle;
use crate::{Result, install};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;
use testkit::attack::{Attack, Load};
use testkit::client::{encode, words};
use testkit::figures::median;
use testkit::{Client, Reply, Server, Spec};

pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    /// The part of a CPU that the clients with medium commands may take.
    pub(super) others_cpu: f64,
}

/// One of the three budgets, and commands that spend so much of it.
struct Budget {
    setting: &'static str,
    unit: &'static str,
    /// What the commands spend; the budgets tried are these and half of the smallest.
    sizes: &'static [u64],
    command: fn(u64) -> Vec<u8>,
}

const ENTRIES: u64 = 10_000;
const VALUES: u64 = 256;
const VALUE_BYTES: u64 = 4 << 10;
/// For each size.
const CONNECTIONS: usize = 2;
const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const WARM_UP: Duration = Duration::from_millis(500);

const BUDGETS: &[Budget] = &[
    Budget {
        setting: "budget-records",
        unit: "records",
        sizes: &[32, 64, 128, 256, 512, 1024, 2048],
        command: |records| line(&format!("XRANGE s - + COUNT {records}")),
    },
    Budget {
        setting: "budget-bytes",
        unit: "bytes",
        sizes: &[8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10],
        command: |bytes| {
            let keys = (0..bytes / VALUE_BYTES).map(|at| format!(" value:{at}"));
            line(&("MGET".to_owned() + &keys.collect::<String>()))
        },
    },
    Budget {
        setting: "budget-steps",
        unit: "steps",
        sizes: &[1_000, 2_500, 5_000, 10_000, 20_000, 50_000, 100_000],
        command: |steps| {
            // Each turn of the loop is one step of the interpreter; each size is a script of its own, for one that outgrew its
            // budget lately begins in the heavy pool.
            let code = format!("for i = 1, {steps} do end return 1");
            let mut out = Vec::new();
            encode(&["EVAL", &code, "0"], &mut out);
            out
        },
    },
];

fn line(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&words(line), &mut out);
    out
}

/// What came of one budget in one round.
struct Found {
    felt: [Felt; 3],
    per_second: f64,
    heavy: u64,
}

pub(super) fn run(plan: &Plan) -> Result {
    install::servers()?;
    let server = Spec::of_program(&plan.program).start()?;
    let mut control = server.client()?;
    fill(&mut control)?;
    let mut victims = Victims::connect(server.addr())?;
    victims.run(WARM_UP, || Ok(()))?;
    println!(
        "Medians of {} rounds of {} s. Others: 50 connections with GET and SET and one with short scripts, each at its pace.\n",
        plan.rounds, plan.seconds
    );
    let idle = victims.run(Duration::from_secs_f64(plan.seconds), || Ok(()))?;
    println!(
        "p99 of others without medium commands: {}\n",
        shown(|at| idle.get(at).map_or(0.0, |felt| felt.p99_ms))
    );
    for budget in BUDGETS {
        measure_all(plan, budget, (&server, &mut control), &mut victims)?;
    }
    Ok(())
}

fn fill(client: &mut Client) -> Result {
    let value = "x".repeat(VALUE_BYTES as usize);
    let entries = (0..ENTRIES).map(|at| format!("XADD s {}-0 data {}", at + 1, "x".repeat(64)));
    let values = (0..VALUES).map(|at| format!("SET value:{at} {value}"));
    let commands: Vec<_> = entries.chain(values).map(|line| words(&line)).collect();
    match client.pipeline(&commands)?.into_iter().find(Reply::is_error) {
        Some(error) => Err(format!("filling: {error:?}").into()),
        None => Ok(()),
    }
}

fn measure_all(
    plan: &Plan,
    budget: &Budget,
    (server, control): (&Server, &mut Client),
    victims: &mut Victims,
) -> Result {
    let default = setting(control, budget.setting)?;
    let loads: Vec<Load> = budget
        .sizes
        .iter()
        .map(|size| Load {
            connections: CONNECTIONS,
            head: Vec::new(),
            chunk: (budget.command)(*size),
            flood_bytes: 0,
            reads: true,
        })
        .collect();
    println!(
        "| {} | p99 of others' GET, SET, script, ms | medium commands/s | of them heavy |\n|---:|---|---:|---:|",
        budget.setting
    );
    let tried: Vec<u64> =
        budget.sizes.first().map(|least| least / 2).into_iter().chain(budget.sizes.iter().copied()).collect();
    let mut found: Vec<Vec<Found>> = tried.iter().map(|_| Vec::new()).collect();
    for round in 0..plan.rounds {
        let mut order: Vec<(&u64, &mut Vec<Found>)> = tried.iter().zip(&mut found).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (most, found) in order {
            // A command spends a little more than its size.
            control.want(&format!("CONFIG SET {} {}", budget.setting, most + most / 8))?;
            eprintln!("round {} of {}: {} {most}", round + 1, plan.rounds, budget.unit);
            found.push(measure(plan, &loads, server, (control, victims))?);
        }
    }
    for (most, found) in tried.iter().zip(&found) {
        let p99 =
            |at: usize| median(found.iter().filter_map(|found| Some(found.felt.get(at)?.p99_ms)).collect());
        let per_second = median(found.iter().map(|found| found.per_second).collect());
        let heavy: u64 = found.iter().map(|found| found.heavy).sum();
        let all: f64 = found.iter().map(|found| found.per_second * plan.seconds).sum();
        let share = 100.0 * heavy as f64 / all.max(1.0);
        println!("| {most} | {} | {per_second:.0} | {share:.0} % |", shown(p99));
    }
    println!();
    control.want(&format!("CONFIG SET {} {default}", budget.setting))?;
    Ok(())
}

fn shown(p99_ms: impl Fn(usize) -> f64) -> String {
    let all: Vec<String> = (0..Class::ALL.len()).map(|at| format!("{:.2}", p99_ms(at))).collect();
    all.join(", ")
}

fn setting(control: &mut Client, name: &str) -> Result<String> {
    let reply = control.want(&format!("CONFIG GET {name}"))?;
    let Reply::Array(pair) = &reply else { return Err(format!("{name}: {reply:?}").into()) };
    let value = pair.last().and_then(Reply::bytes).ok_or_else(|| format!("{name}: {reply:?}"))?;
    Ok(String::from_utf8_lossy(value).into_owned())
}

fn measure(
    plan: &Plan,
    loads: &[Load],
    server: &Server,
    (control, victims): (&mut Client, &mut Victims),
) -> Result<Found> {
    settle(server)?;
    let before = submitted(control)?;
    let attack = Attack::start(FROM, server.addr(), loads, plan.others_cpu);
    let mut done = 0;
    let felt = victims.run(Duration::from_secs_f64(plan.seconds), || {
        done = attack.stop()?.ok;
        Ok(())
    })?;
    let heavy = submitted(control)?.saturating_sub(before);
    Ok(Found { felt, per_second: done as f64 / plan.seconds, heavy })
}

/// What was given to the heavy pool so far.
fn submitted(control: &mut Client) -> Result<u64> {
    let info = control.want("INFO everything")?;
    let text = String::from_utf8_lossy(info.bytes().unwrap_or_default()).into_owned();
    let fields = text.lines().filter_map(|line| line.strip_prefix("lane_heavy:"));
    Ok(fields.filter_map(|count| count.trim().parse::<u64>().ok()).sum())
}

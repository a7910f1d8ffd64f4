//! One hot list: many producers on it, beside as many lists and beside Valkey; and what others feel when
//! a huge one is deleted.

use super::measure::{GET, HOT, LISTS, Measure, benchmark, measure, scenario};
use crate::{Result, install};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use testkit::figures::median;
use testkit::{Client, Server, Spec};

pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    /// Items of the list that is deleted.
    pub(super) items: u64,
}

/// Items pushed by one command when the list is filled.
const PUSHED: u64 = 1_000;
/// The list is deleted so long after others began to be measured.
const DELETED_AFTER: Duration = Duration::from_millis(500);

pub(super) fn run(plan: &Plan) -> Result {
    install::servers()?;
    let ours = Spec::of_program(&plan.program).start()?;
    let valkey = Spec::valkey()?.start()?;
    println!(
        "50 producers on one list; medians of {} rounds. An error that a client sees ends this.\n\n\
         | | one list | 50 lists | one : 50 | Valkey, one list | Bulkhead : Valkey |\n|---|---:|---:|---:|---:|---:|",
        plan.rounds
    );
    for pipeline in [1, 16] {
        producers(plan, &ours, &valkey, pipeline)?;
    }
    println!("\n| GET of 50 connections | p50 | p99 | requests/s |\n|---|---:|---:|---:|");
    deletion(plan, &ours)
}

fn producers(plan: &Plan, ours: &Server, valkey: &Server, pipeline: u32) -> Result {
    let (hot, lists) = (scenario(HOT, pipeline), scenario(LISTS, pipeline));
    let subjects = [(ours, hot), (ours, lists), (valkey, hot)];
    let mut found: [Vec<f64>; 3] = Default::default();
    for round in 0..=plan.rounds {
        for (at, (server, scenario)) in subjects.iter().enumerate() {
            let requests = match found.get(at).and_then(|rates| rates.first()) {
                Some(rate) => (rate * plan.seconds) as u64,
                None => scenario.warm_up_requests(),
            };
            let rate = measure(server, *scenario, requests.max(scenario.warm_up_requests()))?.per_second;
            if let Some(rates) = found.get_mut(at) {
                // The first round only says how long the others take.
                if round == 1 {
                    rates.clear();
                }
                rates.push(rate);
            }
        }
    }
    let [hot, lists, valkey] = found;
    let ratio = |over: &[f64], under: &[f64]| {
        median(over.iter().zip(under).map(|(over, under)| over / under).collect())
    };
    println!(
        "| LPUSH P={pipeline} | {:.0} | {:.0} | **{:.2}** | {:.0} | **{:.2}** |",
        median(hot.clone()),
        median(lists.clone()),
        ratio(&hot, &lists),
        median(valkey.clone()),
        ratio(&hot, &valkey)
    );
    Ok(())
}

fn deletion(plan: &Plan, server: &Server) -> Result {
    let get = scenario(GET, 1);
    let first = measure(server, get, get.warm_up_requests())?;
    let requests = ((first.per_second * plan.seconds.max(2.0)) as u64).max(get.warm_up_requests());
    let (mut idle, mut during, mut took) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        fill(&mut server.client()?, plan.items)?;
        idle.push(measure(server, get, requests)?);
        let mut client = server.client()?;
        let deleting = thread::spawn(move || -> std::result::Result<Duration, String> {
            thread::sleep(DELETED_AFTER);
            let start = Instant::now();
            client.want("DEL hot:huge").map_err(|error| error.to_string())?;
            Ok(start.elapsed())
        });
        during.push(benchmark(server, get, requests)?);
        took.push(deleting.join().map_err(|_| "deleting has panicked")??.as_secs_f64() * 1e3);
    }
    let row = |name: &str, measures: &[Measure]| {
        let of = |column: fn(&Measure) -> f64| median(measures.iter().map(column).collect());
        println!(
            "| {name} | {:.3} ms | {:.3} ms | {:.0} |",
            of(|m| m.p50_ms),
            of(|m| m.p99_ms),
            of(|m| m.per_second)
        );
    };
    row("nobody else", &idle);
    row(&format!("while a list of {} items is deleted and reclaimed", plan.items), &during);
    println!("\nDEL took {:.2} ms (median).", median(took));
    Ok(())
}

fn fill(client: &mut Client, items: u64) -> Result {
    for first in (0..items).step_by(PUSHED as usize) {
        let some: Vec<String> =
            (first..items.min(first + PUSHED)).map(|item| format!("item:{item:010}")).collect();
        client.want(&format!("RPUSH hot:huge {}", some.join(" ")))?;
    }
    Ok(())
}

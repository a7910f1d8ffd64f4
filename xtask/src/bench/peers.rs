//! Bulkhead, Valkey and Redis side by side.

use super::measure::{KEYS, Measure, SCENARIOS, Scenario, VALUE_BYTES, measure};
use super::{page, report};
use crate::{Result, cargo, install};
use std::path::PathBuf;
use testkit::{Client, Durability, Flavour, Server, Spec};

pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) rounds: usize,
    /// How long a measurement should take.
    pub(super) seconds: f64,
    pub(super) only: Option<String>,
    pub(super) out: Option<PathBuf>,
}

/// A server that is measured.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) server: Server,
    pub(super) spec: Spec,
    /// Its version, as it says itself.
    pub(super) version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// What is compared.
    Ours,
    /// What it is compared with.
    Bar,
    /// For reference.
    Other,
    /// Ours with eight groups.
    Grouped,
}

/// What was measured: by scenario, by subject, by round.
pub(super) type Results = Vec<(Scenario, Vec<Vec<Measure>>)>;

pub(super) fn run(plan: &Plan) -> Result {
    install::servers()?;
    let data = tempfile::Builder::new().prefix("bench-data-").tempdir_in(cargo::target_dir())?;
    let mut subjects = Vec::new();
    for (name, role, spec) in specs(plan)? {
        let server = spec.start_in(&data.path().join(subjects.len().to_string()))?;
        let version = version(&mut server.client()?)?;
        subjects.push(Subject { name, role, server, spec, version });
    }
    let chosen = |scenario: &&Scenario| plan.only.as_ref().is_none_or(|only| scenario.name().contains(only));
    let scenarios: Vec<Scenario> = SCENARIOS.iter().filter(chosen).copied().collect();
    let results = measure_all(plan, &subjects, &scenarios)?;
    let text = report::render(&subjects, &results, data.path())?;
    println!("\n{text}");
    if let Some(out) = &plan.out {
        page::write(out, "peers", &text)?;
    }
    Ok(())
}

fn specs(plan: &Plan) -> Result<Vec<(String, Role, Spec)>> {
    let ours = Spec::of_program(&plan.program);
    let is_ours = ours.flavour == Flavour::Bulkhead;
    let name = if is_ours { "Bulkhead" } else { "(stand-in)" };
    let mut specs = vec![
        (name.to_owned(), Role::Ours, ours.clone()),
        ("Valkey".to_owned(), Role::Bar, Spec::valkey()?),
        ("Redis".to_owned(), Role::Other, Spec::redis()?),
        ("Redis, no persistence".to_owned(), Role::Other, Spec::redis()?.durability(Durability::None)),
    ];
    if is_ours {
        specs.push(("Bulkhead, 8 groups".to_owned(), Role::Grouped, ours.arg("--groups").arg("8")));
    }
    Ok(specs)
}

fn version(client: &mut Client) -> Result<String> {
    let info = client.want("INFO server")?;
    let text = String::from_utf8_lossy(info.bytes().unwrap_or_default()).into_owned();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let known = ["bulkhead_version:", "valkey_version:", "redis_version:"];
    Ok(known.iter().find_map(|name| field(name)).unwrap_or_else(|| "?".into()))
}

fn measure_all(plan: &Plan, subjects: &[Subject], scenarios: &[Scenario]) -> Result<Results> {
    for subject in subjects {
        fill(&mut subject.server.client()?)?;
    }
    let mut results = Results::new();
    for &scenario in scenarios {
        let mut of_subjects = vec![Vec::new(); subjects.len()];
        let mut requests = Vec::new();
        for subject in subjects {
            let warm_up = measure(&subject.server, scenario, scenario.warm_up_requests())?;
            let aim = (warm_up.per_second * plan.seconds) as u64;
            requests.push(aim.max(scenario.warm_up_requests()).next_multiple_of(1000));
        }
        for round in 0..plan.rounds {
            for turn in 0..subjects.len() {
                // Each server is the first one as often as the others; every second round goes backwards.
                let index = (round / 2 + turn) % subjects.len();
                let index = if round % 2 == 1 { subjects.len() - 1 - index } else { index };
                let (Some(subject), Some(&requests)) = (subjects.get(index), requests.get(index)) else {
                    continue;
                };
                let result = measure(&subject.server, scenario, requests)?;
                eprintln!(
                    "{:<22} round {}: {:<22} {:>8.0}/s  p50 {:.3} ms  p99 {:.3} ms  {:.2} µs CPU",
                    scenario.name(),
                    round + 1,
                    subject.name,
                    result.per_second,
                    result.p50_ms,
                    result.p99_ms,
                    result.cpu_us
                );
                if let Some(of_subject) = of_subjects.get_mut(index) {
                    of_subject.push(result);
                }
            }
        }
        results.push((scenario, of_subjects));
    }
    Ok(results)
}

/// Writes every key that redis-benchmark may use, so that all rounds find the same.
fn fill(client: &mut Client) -> Result {
    let value = "x".repeat(VALUE_BYTES);
    let set = |key: String, value: &str| vec![b"SET".to_vec(), key.into_bytes(), value.as_bytes().to_vec()];
    let commands: Vec<Vec<Vec<u8>>> = (0..KEYS)
        .flat_map(|key| [set(format!("key:{key:012}"), &value), set(format!("counter:{key:012}"), "0")])
        .collect();
    match client.pipeline(&commands)?.into_iter().find(testkit::Reply::is_error) {
        Some(error) => Err(format!("filling: {error:?}").into()),
        None => Ok(()),
    }
}

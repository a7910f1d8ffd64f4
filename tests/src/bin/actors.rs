//! `cargo xtask bench actors`: how fast many actors are listed through the API, and with how much memory.

#![allow(clippy::print_stdout)] // a command line talks on its standard output

use integration::listing::Kind;
use integration::rates::{self, Plan};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;
use testkit::Result;

const ABOUT: &str = "\
# Listing actors

Written by `cargo xtask bench actors`. All run on one machine. The API is the real process, asked over gRPC for one page after the
other. *As before* is the way that [decision 15](decisions/0015-listing-actors.md) has done away with: all shards are scanned in
parallel, every record is fetched by a GET of its own, one at a time on each shard, and all are kept in memory. `redis-cli`
is what an operator would type instead: `redis-cli --scan --pattern 'actor:*' | xargs -n 1000 redis-cli MGET`. *Far* is through a
proxy that makes every byte 0.25 ms late in both directions, however many are on their way.

";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((first, rest)) if first == rates::WORD => {
            rates::run_before(rest, &mut |line| println!("{line}"))
        }
        _ => options(words).and_then(|plan| measure(&plan)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("actors: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(words: Vec<String>) -> Result<Plan> {
    let limit = Duration::from_secs(60);
    let mut plan = Plan { kind: Kind::Redis, actors: 10_000_000, rounds: 3, limit, out: None };
    let mut words = words.into_iter();
    while let Some(name) = words.next() {
        let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--store" => plan.kind = parsed(&value)?,
            "--actors" => plan.actors = parsed(&value)?,
            "--rounds" => plan.rounds = parsed(&value)?,
            "--seconds" => plan.limit = Duration::try_from_secs_f64(parsed(&value)?)?,
            "--out" => plan.out = Some(value.into()),
            _ => return Err(format!("'{name}' is not understood").into()),
        }
    }
    if plan.actors == 0 || plan.rounds == 0 {
        return Err("without actors or rounds there is nothing to measure".into());
    }
    Ok(plan)
}

fn parsed<T: FromStr>(text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| format!("'{text}': {error}").into())
}

fn measure(plan: &Plan) -> Result {
    let text = rates::run(plan, &mut |line| eprintln!("{line}"))?;
    println!("\n{text}");
    if let Some(out) = &plan.out {
        std::fs::write(out, format!("{ABOUT}{text}"))?;
        eprintln!("written to {}", out.display());
    }
    Ok(())
}

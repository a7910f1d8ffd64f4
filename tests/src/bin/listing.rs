//! `cargo xtask stress listing`: listings of more actors than a test has time for, and what a page costs in a
//! model of a billion.

#![allow(clippy::print_stdout)] // a command line talks on its standard output

use ateapi::listing::model::Model;
use integration::listing::{Kind, Plan, Summary, run};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};
use testkit::{Result, Rng};

struct Options {
    kind: Kind,
    seed: u64,
    actors: usize,
    page_size: i32,
    minutes: f64,
    is_calm: bool,
    is_model: bool,
}

fn main() -> ExitCode {
    match options().and_then(|options| if options.is_model { model(&options) } else { stress(&options) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("listing: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options> {
    let mut options = Options {
        kind: Kind::RedisCluster,
        seed: Rng::fresh_seed(),
        actors: 1_000_000,
        page_size: 100,
        minutes: 0.0,
        is_calm: false,
        is_model: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--store" => options.kind = parsed(&value()?)?,
            "--seed" => options.seed = parsed(&value()?)?,
            "--actors" => options.actors = parsed(&value()?)?,
            "--page-size" => options.page_size = parsed(&value()?)?,
            "--minutes" => options.minutes = parsed(&value()?)?,
            "--calm" => options.is_calm = true,
            "--model" => options.is_model = true,
            _ => return Err(format!("'{name}' is not understood").into()),
        }
    }
    Ok(options)
}

fn parsed<T: FromStr>(text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| format!("'{text}': {error}").into())
}

/// Listings, each of a new store, until the time is over: at least one.
fn stress(options: &Options) -> Result {
    let end = Instant::now() + Duration::try_from_secs_f64(options.minutes * 60.0)?;
    for round in 0.. {
        let plan = Plan {
            kind: options.kind,
            seed: options.seed + round,
            actors: options.actors,
            page_size: options.page_size,
            is_disturbed: !options.is_calm,
        };
        println!("seed {}, {:?}", plan.seed, plan.kind);
        report(&plan, &run(&plan, &mut |line| println!("{line}"))?);
        if Instant::now() >= end {
            break;
        }
    }
    Ok(())
}

fn report(plan: &Plan, summary: &Summary) {
    let per_page = |count: u64| count as f64 / summary.pages.max(1) as f64;
    println!(
        "all {} actors came, {} of them again; {} pages, {} of them empty, in {:.1} s: {:.0} actors a second, the \
         slowest page took {:.0} ms. A page took {:.1} steps of scans, {:.1} batches, {:.1} looks; the longest token has \
         {} characters",
        plan.actors,
        summary.duplicates,
        summary.pages,
        summary.empty_pages,
        summary.time.as_secs_f64(),
        summary.records as f64 / summary.time.as_secs_f64(),
        summary.page_time_max.as_secs_f64() * 1e3,
        per_page(summary.costs.scans),
        per_page(summary.costs.batches),
        per_page(summary.costs.looks),
        summary.token_chars_max
    );
    println!(
        "meanwhile {} slots moved, {} servers and {} processes of the API died; {} walks began anew, {} times a stay was \
         in vain, {} calls were repeated",
        summary.slots_moved,
        summary.deaths,
        summary.replicas_died,
        summary.costs.restarts,
        summary.costs.disturbances,
        summary.repeated
    );
}

fn model(options: &Options) -> Result {
    let model = Model { shards: 125, actors_per_shard: 8_000_000, page_size: options.page_size, pages: 100 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("125 shards with 8,000,000 actors each, {} pages of {}", model.pages, model.page_size);
    println!("| actors before | actors | calls | scans | batches | bytes | largest page | longest token |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for cost in runtime.block_on(model.costs())? {
        let per_page = |count: u64| count as f64 / model.pages as f64;
        println!(
            "| {} | {} | {:.1} | {:.1} | {:.1} | {:.0} | {} | {} |",
            cost.actors_before,
            cost.actors,
            per_page(cost.counts.calls),
            per_page(cost.counts.scans),
            per_page(cost.counts.batches),
            per_page(cost.counts.bytes),
            cost.page_bytes_max,
            cost.token_chars_max
        );
    }
    println!("calls, scans, batches and bytes: of one page. {}", resident_max());
    Ok(())
}

/// The most memory that this process ever had.
fn resident_max() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(String::new, |line| format!("At most {} were resident", line.trim()))
}

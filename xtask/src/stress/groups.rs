//! `stress groups`: streams and their consumer groups under load.

use super::spec;
use crate::Result;
use crate::args::Args;
use std::path::Path;
use std::time::Duration;
use testkit::groups;

pub(super) fn run(mut args: Args, seed: u64, program: &Path) -> Result {
    let minutes: f64 = args.option("--minutes")?.unwrap_or(1.0);
    let producers = args.option("--producers")?;
    let consumers = args.option("--consumers")?;
    let restarts = args.option("--restarts")?.unwrap_or(0);
    let plan = groups::Plan::new(spec(program, args)?, seed);
    let plan = groups::Plan {
        time: Duration::try_from_secs_f64(minutes * 60.0)?,
        producers: producers.unwrap_or(plan.producers),
        consumers: consumers.unwrap_or(plan.consumers),
        restarts,
        ..plan
    };
    let outcome = groups::run(&plan, &mut |line| println!("{line}"))?;
    let verdict = outcome.verdict;
    println!(
        "{} rounds, {} restarts: {} commands; {} entries added, told {} times, to each group once and in order, \
         {} of them to readers who left or got no reply; {} shown again, {} acknowledged and not shown any more; \
         consumers left {} times without a word",
        outcome.rounds,
        outcome.restarts,
        outcome.commands,
        verdict.added,
        verdict.told,
        verdict.told_unseen,
        verdict.shown_again,
        verdict.acked,
        outcome.crashes
    );
    Ok(())
}

//! `stress fuzz`: what comes from outside, with mistakes in it.

use super::spec;
use crate::Result;
use crate::args::Args;
use std::path::Path;
use std::time::Duration;
use testkit::fuzz;

pub(super) fn run(mut args: Args, seed: u64, program: &Path) -> Result {
    let minutes: f64 = args.option("--minutes")?.unwrap_or(1.0);
    let rogues = args.option("--rogues")?;
    let plan = fuzz::Plan::new(spec(program, args)?, seed);
    let plan = fuzz::Plan {
        time: Duration::try_from_secs_f64(minutes * 60.0)?,
        rogues: rogues.unwrap_or(plan.rogues),
        ..plan
    };
    let summary = fuzz::run(&plan, &mut |line| println!("{line}"))?;
    println!(
        "{} rounds: {} inputs parsed alike however they were split; clients misbehaved {} times: {} connections were let in, {} \
         turned away; one that behaved was answered rightly {} times all the while. After the first round the server held {:?}, after \
         the last one {:?}",
        summary.rounds,
        summary.inputs,
        summary.acts,
        summary.let_in,
        summary.turned_away,
        summary.checks,
        summary.first,
        summary.last
    );
    Ok(())
}

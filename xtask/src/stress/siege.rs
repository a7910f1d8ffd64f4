//! `stress siege`: a server with little memory, attacked in all ways at random.

use super::spec;
use crate::Result;
use crate::args::Args;
use std::path::Path;
use std::time::Duration;
use testkit::siege;

pub(super) fn run(mut args: Args, seed: u64, program: &Path) -> Result {
    let minutes: f64 = args.option("--minutes")?.unwrap_or(60.0);
    let memory_mib = args.option("--memory-mib")?;
    let clients = args.option("--clients")?;
    let plan = siege::Plan::new(spec(program, args)?, seed);
    let plan = siege::Plan {
        time: Duration::try_from_secs_f64(minutes * 60.0)?,
        memory_mib: memory_mib.unwrap_or(plan.memory_mib),
        clients: clients.unwrap_or(plan.clients),
        ..plan
    };
    let found = siege::run(&plan, &mut |line| println!("{line}"))?;
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "{} rounds, {} raids: {} writes acknowledged, all there, also after a kill; {} refused, {} of {} ordinary \
         connections closed. Resident: {} MiB filled, {} at most ({} by the kernel), {} at rest; the soft threshold is \
         {}. At rest again after {} ms at most",
        found.rounds,
        found.raids,
        found.acknowledged,
        found.refused,
        found.closed,
        found.rounds * plan.clients,
        mib(found.idle_bytes),
        mib(found.peak_bytes),
        mib(found.peak_ever_bytes),
        mib(found.rest_bytes),
        mib(found.soft_bytes),
        found.rest_time_max.as_millis()
    );
    let tally = found.tally;
    println!(
        "Memory was short {} times: OOM {}, BUSY {}, {} clients disconnected. Attackers were told {} replies, {} errors, \
         were closed {} times, did not get in {} times, sent {} MB and read {} MB",
        found.shortages,
        found.oom,
        found.busy,
        found.evicted,
        tally.ok,
        tally.refused,
        tally.closed,
        tally.unopened,
        tally.sent_bytes / 1_000_000,
        tally.read_bytes / 1_000_000
    );
    Ok(())
}

//! `stress histories`: transactions under load, checked for strict serializability.

use super::spec;
use crate::Result;
use crate::args::Args;
use std::path::Path;
use std::time::Duration;
use testkit::{Durability, Flavour, histories};

pub(super) fn run(mut args: Args, seed: u64, program: &Path) -> Result {
    let minutes: f64 = args.option("--minutes")?.unwrap_or(1.0);
    let connections = args.option("--connections")?;
    let kills = args.option("--kills")?.unwrap_or(0);
    let (scripts, heavy) = (!args.flag("--no-lua"), !args.flag("--no-heavy"));
    let mut spec = spec(program, args)?;
    if kills == 0 && spec.flavour != Flavour::Bulkhead {
        spec = spec.durability(Durability::None);
    }
    let plan = histories::Plan::new(spec, seed);
    let plan = histories::Plan {
        time: Duration::try_from_secs_f64(minutes * 60.0)?,
        connections: connections.unwrap_or(plan.connections),
        kills,
        heavy,
        scripts,
        ..plan
    };
    let summary = histories::run(&plan, &mut |line| println!("{line}"))?;
    let forms: Vec<String> =
        summary.transactions.iter().map(|(form, count)| format!("{count} {form}")).collect();
    println!(
        "{} transactions ({}) over {} keys: {} ok, {} void, {} without an answer, of which {} took effect and \
         were seen; {} kills. {} histories with {} edges, checked in {:.1} s: each has an order",
        summary.total(),
        forms.join(", "),
        summary.keys,
        summary.ok,
        summary.failed,
        summary.unknown,
        summary.unknown_seen,
        summary.kills,
        summary.histories,
        summary.edges,
        summary.check_time.as_secs_f64()
    );
    Ok(())
}

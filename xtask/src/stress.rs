//! `stress`: what takes longer than a test may. The checks themselves are in the testkit.

use crate::args::Args;
use crate::{Result, cargo, install};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::{Durability, Rng, Spec, crash, diff, scan};

pub(crate) const HELP: &str = "\
Usage: cargo xtask stress crash [--rounds N] [--secs-per-round S] [--connections N]
       cargo xtask stress diff [--minutes M] [--reference redis|valkey]
       cargo xtask stress scan [--keys N] [--restarts N]

crash   loads a server from many connections, kills it at a random moment (or stops it, or kills it
        again while it recovers), restarts it, and checks that every acknowledged write is there exactly
        once and nothing is half-applied. The data stays over the rounds (default 20).
diff    sends random sequences of commands to the server and to a real Redis or Valkey, in turn, and
        compares every reply. Goes on until it is stopped, or for M minutes. A difference is shown with
        the fewest commands that make it.
scan    scans a million keys with changing COUNT while others write, delete, and restart the server.

Options of all:
  --seed S            replays a run; chosen and printed if not given
  --server-cmd PATH   another server, for instance redis-server, to see that the check is right
  -- ARGS             more arguments for the server
";

pub(crate) fn command(mut args: Args) -> Result {
    let what = args.word();
    let seed = args.option("--seed")?.unwrap_or_else(Rng::fresh_seed);
    let program: Option<PathBuf> = args.option("--server-cmd")?;
    let run = match what.as_deref() {
        Some("crash") => run_crash,
        Some("diff") => run_diff,
        Some("scan") => run_scan,
        _ => return Err(format!("what shall be put under stress?\n\n{HELP}").into()),
    };
    install::servers()?;
    let program = match program {
        Some(program) if program.is_file() => std::fs::canonicalize(program)?,
        Some(program) => testkit::tools::need(&program.to_string_lossy())?,
        None => cargo::release_server()?,
    };
    println!("seed {seed}, server {}", program.display());
    run(args, seed, &program)
}

fn spec(program: &Path, args: Args) -> Result<Spec> {
    let mut spec = Spec::of_program(program);
    spec.args = args.finish()?;
    Ok(spec)
}

fn run_crash(mut args: Args, seed: u64, program: &Path) -> Result {
    let rounds = args.option("--rounds")?.unwrap_or(20);
    let seconds: f64 = args.option("--secs-per-round")?.unwrap_or(3.0);
    let connections = args.option("--connections")?.unwrap_or(32);
    let round_time = Duration::try_from_secs_f64(seconds.max(0.1))?;
    let plan = crash::Plan { spec: spec(program, args)?, seed, rounds, round_time, connections };
    let summary = crash::run(&plan, &mut |_, _| Ok(()), &mut |line| println!("{line}"))?;
    println!(
        "{rounds} rounds: {} writes acknowledged, all there; {} of {} in flight were applied; \
         the slowest restart took {} ms",
        summary.acknowledged,
        summary.applied,
        summary.in_flight,
        summary.restart_time_max.as_millis()
    );
    Ok(())
}

fn run_diff(mut args: Args, seed: u64, program: &Path) -> Result {
    /// How long one reference is used before it is the other's turn.
    const TURN: Duration = Duration::from_secs(30);
    let minutes: Option<f64> = args.option("--minutes")?;
    let only: Option<String> = args.option("--reference")?;
    let tested = spec(program, args)?.durability(Durability::None);
    let mut references = vec![Spec::redis()?, Spec::valkey()?];
    if let Some(only) = only {
        references.retain(|spec| format!("{:?}", spec.flavour).eq_ignore_ascii_case(&only));
    }
    let end = minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let mut commands = 0;
    for turn in 0.. {
        let Some(reference) = references.get(turn % references.len().max(1)) else {
            return Err("--reference is redis or valkey".into());
        };
        let reference = reference.clone().durability(Durability::None);
        let plan = diff::Plan { tested: tested.clone(), reference, seed: seed + turn as u64 };
        let mut diff = diff::Diff::start(&plan)?;
        let start = Instant::now();
        while start.elapsed() < TURN && end.is_none_or(|end| Instant::now() < end) {
            commands += diff.session()?;
        }
        println!("{commands} commands, no difference");
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
    }
    Ok(())
}

fn run_scan(mut args: Args, seed: u64, program: &Path) -> Result {
    let keys = args.option("--keys")?.unwrap_or(1_000_000);
    let restarts = args.option("--restarts")?.unwrap_or(3);
    let summary = scan::run(&scan::Plan { spec: spec(program, args)?, seed, keys, restarts })?;
    println!(
        "{} keys in {} pages and {:.1} s, {restarts} restarts included; the slowest page took {:.1} ms",
        summary.keys,
        summary.pages,
        summary.time.as_secs_f64(),
        summary.page_time_max.as_secs_f64() * 1e3
    );
    Ok(())
}

//! `bench`: how fast it is, beside its peers and by itself.

mod actors;
mod budgets;
mod consumers;
mod drive;
mod hearers;
mod hot;
mod incident;
mod lanes;
mod measure;
mod newest;
mod page;
mod peers;
mod report;
mod restore;
mod scripts;
mod space;
mod svg;
mod transactions;

use crate::args::Args;
use crate::cargo::{cargo, succeed};
use crate::{Result, cargo as build};
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Usage: cargo xtask bench peers [OPTIONS]
       cargo xtask bench lanes [OPTIONS]
       cargo xtask bench hot [OPTIONS]
       cargo xtask bench scripts [OPTIONS]
       cargo xtask bench restore [OPTIONS]
       cargo xtask bench space [OPTIONS]
       cargo xtask bench newest [OPTIONS]
       cargo xtask bench incident [OPTIONS]
       cargo xtask bench budgets [OPTIONS]
       cargo xtask bench actors [OPTIONS]
       cargo xtask bench micro [FILTER] [-- DIVAN OPTIONS]

peers   runs Bulkhead, Valkey and Redis side by side with redis-benchmark: 50 connections, 64-byte
        values, 100,000 keys, everything fsynced before it is acknowledged. The servers are measured
        one at a time, in an order that changes from round to round; ratios are medians of the rounds'
        ratios. CPU time counts what a server does after the load as well, until it is idle. The
        result is printed and written to docs/benchmarks.md. Leave the machine alone meanwhile.
        A script of five commands (EVALSHA) and a MULTI of the same five count as one request each;
        transactions are sent by a thread for each connection, for redis-benchmark cannot send them.

  --rounds N         how often everything is measured (default 5)
  --quick            one short round, to see that it works; writes no file
  --only WORD        only scenarios whose name has WORD in it, as in `--only 'SET P=1'`; writes no file
  --bulkhead PATH    this server instead of the one built from here (another name: writes no file)
  --out FILE         write there instead

lanes   measures GET and SET of 50 connections with and without others that send KEYS * in a loop,
        beside Valkey, and prints a table.

  --attackers N      connections that send KEYS * (default 16)
  --keys N           keys that there are (default 1,000,000)
  --rounds N         how often everything is measured (default 3)
  --bulkhead PATH    this server instead of the one built from here

hot     measures 50 producers on one list beside 50 lists and beside Valkey, and what a GET feels while
        a huge list is deleted, and prints tables.

  --items N          items of the list that is deleted (default 10,000,000)
  --rounds N         how often everything is measured (default 3)
  --bulkhead PATH    this server instead of the one built from here

scripts measures GET and SET of 50 connections with and without scripts that never end, fills the heavy
        pool with such, kills them all, and has 50 connections push to one list by a script, in the
        section and in the heavy pool, beside Valkey. Prints tables.

  --scripts N        scripts that never end (default 37)
  --rounds N         how often everything is measured (default 3)
  --bulkhead PATH    this server instead of the one built from here

restore measures what SET and GET feel while one RESTORE makes a stream, and how long it takes, beside
        Valkey, and prints a table. The payload is one of Redis 7.0, with a group to which a fifth of the
        entries is pending.

  --entries N        entries of the stream (default 500,000)
  --clients N        clients that set and get in turn (default 10)
  --rounds N         how often everything is measured (default 3)
  --bulkhead PATH    this server instead of the one built from here

space   measures what an element of a list, set, hash and sorted set takes on disk, beside Valkey's and
        Redis' memory. The result is printed and written to docs/benchmarks.md.

  --elements N       elements of each collection (default 1,000,000; another number: writes no file)
  --bulkhead PATH    this server instead of the one built from here
  --out FILE         write there instead

newest  measures XREAD of the ten newest entries of streams of 1,000 to 1,000,000 entries, beside Valkey. The
        result is printed and written to docs/benchmarks.md, with a picture beside it.

  --rounds N         how often everything is measured (default 3)
  --bulkhead PATH    this server instead of the one built from here (writes no file)
  --out FILE         write there instead

incident has 37 connections read a long stream in a tight loop, and others do worse, while 50 connections GET
        and SET at a pace and one runs short scripts from another address, beside Valkey: what these feel idle
        and under each attack, and what the attackers are told. The result is printed and written to
        docs/incident.md, with a picture beside it. Leave the machine alone meanwhile.

  --scene NAME       only this scene; writes no file. One of xread-start, xread-newest, keys, hgetall, lua,
                     sunion, connections, slow-reader, pipeline
  --seconds N        how long a measurement takes (default 8)
  --rounds N         how often everything is measured (default 3)
  --attackers-cpu N  what part of a CPU the attackers may take, all together (default 0.5; 2: as much as they get)
  --redis            Redis as well
  --quick            one short round, to see that it works; writes no file
  --bulkhead PATH    this server instead of the one built from here (writes no file)
  --out FILE         write there instead

budgets measures how much of medium commands gets done, and what 50 connections with GET and SET and one with
        short scripts feel, by each of the budgets of a network thread.

  --seconds N        how long a measurement takes (default 4)
  --rounds N         how often everything is measured (default 3)
  --others-cpu N     what part of a CPU the clients with medium commands may take, all together (default 0.5)
  --bulkhead PATH    this server instead of the one built from here

actors  has the actor API list 10,000,000 actors, beside the way it was done before (a GET for each, all kept in
        memory) and redis-cli, near and with 0.5 ms more for each round trip: actors a second, the time of a page
        from the first to the last, and resident memory. The result is printed and written to
        docs/benchmarks-actors.md. Leave the machine alone meanwhile.

  --actors N         that there are (default 10,000,000: 3 GB in Redis; another number: writes no file)
  --store STORE      redis (default), redis-cluster, valkey-cluster, bulkhead or bulkhead-groups (writes no file)
  --rounds N         how often everything is measured (default 3; another number: writes no file)
  --seconds N        how long those beside the API go on at most (default 60; another number: writes no file)
  --out FILE         write there instead

micro   runs the crates' own benchmarks (`cargo bench`).
";

pub(crate) fn command(mut args: Args) -> Result {
    match args.word().as_deref() {
        Some("peers") => peers_command(args),
        Some("lanes") => lanes_command(args),
        Some("hot") => hot_command(args),
        Some("scripts") => scripts_command(args),
        Some("restore") => restore_command(args),
        Some("space") => space_command(args),
        Some("newest") => newest_command(args),
        Some("incident") => incident_command(args),
        Some("budgets") => budgets_command(args),
        Some("actors") => actors::run(args),
        Some("micro") => micro(args),
        _ => Err(format!("what shall be measured?\n\n{HELP}").into()),
    }
}

fn micro(args: Args) -> Result {
    // By name, for `--benches` would mean the unit tests as well, which know none of divan's options.
    succeed(cargo().args(["bench", "--locked", "--workspace", "--bench", "*", "--"]).args(args.into_all()))
}

fn peers_command(mut args: Args) -> Result {
    let quick = args.flag("--quick");
    let rounds = args.option("--rounds")?.unwrap_or(if quick { 1 } else { 5 });
    let only: Option<String> = args.option("--only")?;
    let program: Option<PathBuf> = args.option("--bulkhead")?;
    let out: Option<PathBuf> = args.option("--out")?;
    args.finish()?;
    let is_ours = program.is_none();
    let program = server(program)?;
    let is_whole = !quick && only.is_none() && is_ours;
    let out = out.or_else(|| is_whole.then(|| build::root().join("docs/benchmarks.md")));
    peers::run(&peers::Plan { program, rounds, seconds: if quick { 0.4 } else { 2.5 }, only, out })
}

fn lanes_command(mut args: Args) -> Result {
    let rounds = args.option("--rounds")?.unwrap_or(3);
    let keys = args.option("--keys")?.unwrap_or(1_000_000);
    let attackers = args.option("--attackers")?.unwrap_or(16);
    let program: Option<PathBuf> = args.option("--bulkhead")?;
    args.finish()?;
    lanes::run(&lanes::Plan { program: server(program)?, rounds, seconds: 3.0, keys, attackers })
}

fn hot_command(mut args: Args) -> Result {
    let rounds = args.option("--rounds")?.unwrap_or(3);
    let items = args.option("--items")?.unwrap_or(10_000_000);
    let program: Option<PathBuf> = args.option("--bulkhead")?;
    args.finish()?;
    hot::run(&hot::Plan { program: server(program)?, rounds, seconds: 2.5, items })
}

fn scripts_command(mut args: Args) -> Result {
    let rounds = args.option("--rounds")?.unwrap_or(3);
    let scripts = args.option("--scripts")?.unwrap_or(37);
    let program: Option<PathBuf> = args.option("--bulkhead")?;
    args.finish()?;
    scripts::run(&scripts::Plan { program: server(program)?, rounds, seconds: 2.5, scripts })
}

fn restore_command(mut args: Args) -> Result {
    let rounds = args.option("--rounds")?.unwrap_or(3);
    let entries = args.option("--entries")?.unwrap_or(500_000);
    let clients = args.option("--clients")?.unwrap_or(10);
    let program: Option<PathBuf> = args.option("--bulkhead")?;
    args.finish()?;
    restore::run(&restore::Plan { program: server(program)?, rounds, entries, clients })
}

fn space_command(mut args: Args) -> Result {
    const ELEMENTS: u64 = 1_000_000;
    let elements = args.option("--elements")?.unwrap_or(ELEMENTS);
    let program: Option<PathBuf> = args.option("--bulkhead")?;
    let out: Option<PathBuf> = args.option("--out")?;
    args.finish()?;
    let out = out.or_else(|| (elements == ELEMENTS).then(|| build::root().join("docs/benchmarks.md")));
    space::run(&space::Plan { program: server(program)?, elements, out })
}

fn newest_command(mut args: Args) -> Result {
    let rounds = args.option("--rounds")?.unwrap_or(3);
    let program: Option<PathBuf> = args.option("--bulkhead")?;
    let out: Option<PathBuf> = args.option("--out")?;
    args.finish()?;
    let out = out.or_else(|| program.is_none().then(|| build::root().join("docs/benchmarks.md")));
    newest::run(&newest::Plan { program: server(program)?, rounds, seconds: 2.0, out })
}

fn incident_command(mut args: Args) -> Result {
    let is_quick = args.flag("--quick");
    let with_redis = args.flag("--redis");
    let rounds = args.option("--rounds")?.unwrap_or(if is_quick { 1 } else { 3 });
    let seconds = args.option("--seconds")?.unwrap_or(if is_quick { 1.5 } else { 8.0 });
    let scene: Option<String> = args.option("--scene")?;
    let attackers_cpu: f64 = args.option("--attackers-cpu")?.unwrap_or(0.5);
    if !(0.01..=2.0).contains(&attackers_cpu) {
        return Err("--attackers-cpu is between 0.01 and 2".into());
    }
    let program: Option<PathBuf> = args.option("--bulkhead")?;
    let out: Option<PathBuf> = args.option("--out")?;
    args.finish()?;
    let is_whole = !is_quick && scene.is_none() && program.is_none();
    let out = out.or_else(|| is_whole.then(|| build::root().join("docs/incident.md")));
    let program = server(program)?;
    incident::run(&incident::Plan { program, rounds, seconds, scene, with_redis, attackers_cpu, out })
}

fn budgets_command(mut args: Args) -> Result {
    let rounds = args.option("--rounds")?.unwrap_or(3);
    let seconds = args.option("--seconds")?.unwrap_or(4.0);
    let others_cpu: f64 = args.option("--others-cpu")?.unwrap_or(0.5);
    let program: Option<PathBuf> = args.option("--bulkhead")?;
    args.finish()?;
    budgets::run(&budgets::Plan { program: server(program)?, rounds, seconds, others_cpu })
}

/// The server to measure: the given one, or the one that is built from here.
fn server(given: Option<PathBuf>) -> Result<PathBuf> {
    match given {
        Some(path) => {
            Ok(std::fs::canonicalize(&path).map_err(|error| format!("{}: {error}", path.display()))?)
        }
        None => build::release_server(),
    }
}

//! `stress`: what takes longer than a test may. The checks themselves are in the testkit.

mod diff;
mod fuzz;
mod groups;
mod histories;
mod listing;
mod siege;

use crate::args::Args;
use crate::{Result, cargo, install};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use testkit::crash::{self, Trouble};
use testkit::{Flavour, Rng, Spec, crowd, queues, scan};

pub(crate) const HELP: &str = "\
Usage: cargo xtask stress crash [--rounds N] [--secs-per-round S] [--connections N]
                                [--tear] [--faults | --no-room | --full-disk [--disk-mib N]]
       cargo xtask stress queues [--minutes M] [--producers N] [--consumers N] [--restarts N]
       cargo xtask stress groups [--minutes M] [--producers N] [--consumers N] [--restarts N]
       cargo xtask stress histories [--minutes M] [--connections N] [--kills N] [--no-lua] [--no-heavy]
       cargo xtask stress diff [--minutes M] [--reference redis|valkey] [--blocking]
       cargo xtask stress scan [--keys N] [--restarts N]
       cargo xtask stress crowd [--clients N] [--idle-secs S] [--timeouts N]
       cargo xtask stress fuzz [--minutes M] [--rogues N]
       cargo xtask stress siege [--minutes M] [--memory-mib N] [--clients N]
       cargo xtask stress listing [--store STORE] [--actors N] [--page-size N] [--minutes M] [--calm] [--model]

crash   loads a server from many connections, kills it at a random moment (or stops it, or kills it
        again while it recovers), restarts it, and checks that every acknowledged write is there exactly
        once and nothing is half-applied. The data stays over the rounds (default 20).
        --tear       before the restart, damages the log behind its last record as a power cut does
        --faults     fdatasync fails under load: no write may be acknowledged any more, reads go on.
                     Needs a server with DEBUG FAULT, so builds the one with debug assertions
        --no-room    the log finds no room for a while, likewise by DEBUG FAULT
        --full-disk  a tmpfs of N MiB (default 1024) is filled under load, and freed again: writes are
                     refused cleanly, and taken again without a restart. Mounting it needs root
queues  producers and consumers share one list, set, hash and sorted set, while collections are deleted,
        trimmed and expire beside them: every element comes out exactly once, and lengths are exact at
        rest (default 1 minute). With --restarts the server is killed so often under them
groups  producers add to a few streams, of which three groups of consumers are told, who acknowledge what they
        were told, take it from each other, and leave without a word: each group is told every entry once and in
        order, what was acknowledged is never shown again, and what is pending, lengths and lags are exact at
        rest (default 1 minute). With --restarts the server is killed so often under them
histories
        many connections append to few lists and read them, by single commands, MULTI, WATCH and scripts,
        half of which work in the heavy lane. From what each was told a checker finds out whether an order
        of all transactions explains it, which also agrees with the clock: strict serializability (default 1
        minute). A violation is shown as the shortest circle of transactions.
        --kills N    the server is killed so often under them (or stopped, or killed again while it
                     recovers): what was acknowledged must be there
        --no-lua     no scripts; there are none either where the server has no EVAL
        --no-heavy   nothing is sent into the heavy lane on purpose
diff    sends random sequences of commands to the server and to a real Redis or Valkey, in turn, and
        compares every reply; and has several clients wait for keys on both, one step at a time, and compares
        who is answered after each, and with what. Goes on until it is stopped, or for M minutes. A difference
        is shown with the fewest commands that make it.
        --blocking   only clients that wait
scan    scans a million keys with changing COUNT while others write, delete, and restart the server.
crowd   10,000 clients wait for one list: their memory, the server's CPU time while nothing happens, the
        order in which they are served after half of them have left, and how well timeouts are kept.
fuzz    gives the parsers commands with mistakes in them, in this process, however these are split; and has many
        clients misbehave at a server, plain and through TLS: random bytes, mistakes, a byte at a time, half-closed,
        resets, never reading, never going on, broken handshakes, more than may connect. One that behaves is answered
        rightly all the while, and at the end of each round nothing is left of the others: clients, sockets,
        threads, memory (default 1 minute, 4 rogues at a time)
siege   a server that is given N MiB of memory (default 1024, by --memory-hard), the attacks of `bench incident` at
        random, three at a time and from several addresses, and ordinary clients that write and read beside them
        (default 60 minutes). Every 20 seconds the attackers leave: every acknowledged write is there, the server has
        not ended, no more than the soft threshold and a tenth was ever resident, descriptors and threads are as
        before, and writes are taken. In the end it is killed, and everything is there after another start.
listing a store is filled with N actors (default 1,000,000), and these are listed in pages of --page-size (default
        100), with others in between, from two processes of the API that take turns, and one of which is killed during
        every 51st call, while slots move between primaries and a primary is killed once its replica has everything, or a
        single server is killed and restarted twice: every actor comes. Again and again, each time with a new store, for
        M minutes (default once).
        --store STORE  redis, redis-cluster (default), valkey-cluster, bulkhead, or bulkhead-groups for four groups
        --calm         nothing happens meanwhile
        --model        only a table of what a page costs on a simulated cluster of a billion actors

Options of all:
  --seed S            replays a run; chosen and printed if not given
  --server-cmd PATH   another server, for instance redis-server, to see that the check is right
  -- ARGS             more arguments for the server
";

pub(crate) fn command(mut args: Args) -> Result {
    let what = args.word();
    let seed = args.option("--seed")?.unwrap_or_else(Rng::fresh_seed);
    if what.as_deref() == Some("listing") {
        return listing::run(args, seed);
    }
    let program: Option<PathBuf> = args.option("--server-cmd")?;
    let run = match what.as_deref() {
        Some("crash") => run_crash,
        Some("queues") => run_queues,
        Some("groups") => groups::run,
        Some("histories") => histories::run,
        Some("diff") => diff::run,
        Some("scan") => run_scan,
        Some("crowd") => run_crowd,
        Some("fuzz") => fuzz::run,
        Some("siege") => siege::run,
        _ => return Err(format!("what shall be put under stress?\n\n{HELP}").into()),
    };
    install::servers()?;
    let program = match program {
        Some(program) if program.is_file() => std::fs::canonicalize(program)?,
        Some(program) => testkit::tools::need(&program.to_string_lossy())?,
        None if args.has("--faults") || args.has("--no-room") => cargo::debug_server()?,
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
    let tear = args.flag("--tear");
    let disk_mib = args.option("--disk-mib")?.unwrap_or(1024);
    let (fsync, no_room, full_disk) =
        (args.flag("--faults"), args.flag("--no-room"), args.flag("--full-disk"));
    let spec = spec(program, args)?;
    if (tear || full_disk) && spec.flavour != Flavour::Bulkhead {
        return Err("--tear and --full-disk know the files of this server only".into());
    }
    let disk = if full_disk { Some(SmallDisk::mount(disk_mib)?) } else { None };
    let trouble = match (&disk, fsync, no_room) {
        (None, false, false) => None,
        (None, true, false) => Some(Trouble::Fsync),
        (None, false, true) => Some(Trouble::NoRoom),
        (Some(disk), false, false) => Some(Trouble::FullDisk(disk.path().to_owned())),
        _ => return Err("--faults, --no-room and --full-disk: one of them".into()),
    };
    let dir = disk.as_ref().map(|disk| disk.path().join("data"));
    let plan = crash::Plan { spec, seed, rounds, round_time, connections, trouble, dir };
    let mut after_kill = |dir: &Path, rng: &mut Rng| {
        if tear {
            println!("  torn: {}", crash::tear(dir, rng)?);
        }
        Ok(())
    };
    let summary = crash::run(&plan, &mut after_kill, &mut |line| println!("{line}"))?;
    println!(
        "{rounds} rounds: {} writes acknowledged, all there; {} refused; {} of {} in flight were applied; \
         the slowest restart took {} ms",
        summary.acknowledged,
        summary.refused,
        summary.applied,
        summary.in_flight,
        summary.restart_time_max.as_millis()
    );
    Ok(())
}

fn run_queues(mut args: Args, seed: u64, program: &Path) -> Result {
    let minutes: f64 = args.option("--minutes")?.unwrap_or(1.0);
    let producers = args.option("--producers")?;
    let consumers = args.option("--consumers")?;
    let restarts = args.option("--restarts")?.unwrap_or(0);
    let plan = queues::Plan::new(spec(program, args)?, seed);
    let plan = queues::Plan {
        time: Duration::try_from_secs_f64(minutes * 60.0)?,
        producers: producers.unwrap_or(plan.producers),
        consumers: consumers.unwrap_or(plan.consumers),
        restarts,
        ..plan
    };
    let summary = queues::run(&plan, &mut |line| println!("{line}"))?;
    println!(
        "{} rounds, {} restarts: {} commands, {} elements in, {} out, each once; {} pops found nothing; {} \
         went to pops without a reply; {} times collections were trimmed, deleted, expired or looked at",
        summary.rounds,
        summary.restarts,
        summary.commands,
        summary.added,
        summary.taken,
        summary.empty,
        summary.gone_unseen,
        summary.maintained
    );
    Ok(())
}

/// A small file system of its own, unmounted when it goes out of scope.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(mib: u64) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("bulkhead-disk-").tempdir()?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(dir.path())
            .output();
        let mount = mount.map_err(|error| format!("--full-disk needs the program mount: {error}"))?;
        if !mount.status.success() {
            let said = String::from_utf8_lossy(&mount.stderr);
            return Err(format!(
                "--full-disk needs a small file system, and mounting one is not possible here (it needs \
                 root, and CAP_SYS_ADMIN in a container): {}",
                said.trim()
            )
            .into());
        }
        Ok(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} could not be unmounted", self.path().display());
        }
    }
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

fn run_crowd(mut args: Args, _: u64, program: &Path) -> Result {
    let clients = args.option("--clients")?.unwrap_or(10_000);
    let idle: f64 = args.option("--idle-secs")?.unwrap_or(5.0);
    let timeouts = args.option("--timeouts")?.unwrap_or(300);
    let idle = Duration::try_from_secs_f64(idle)?;
    let summary = crowd::run(&crowd::Plan { spec: spec(program, args)?, clients, idle, timeouts })?;
    println!(
        "{} clients: {} bytes of memory each when connected, {} when they wait; {:.0} ms of CPU time in {:.0} s \
         in which nothing happened; half of them left, {} pushes served the others in order within {:.0} ms, and \
         nothing was lost. {timeouts} waits of 10 ms to 1 s ended {:.1} ms too late (median), {:.1} ms at most, \
         none too early",
        summary.clients,
        summary.connected_bytes,
        summary.blocked_bytes,
        summary.idle_cpu.as_secs_f64() * 1e3,
        idle.as_secs_f64(),
        summary.clients,
        summary.served.as_secs_f64() * 1e3,
        summary.late_median.as_secs_f64() * 1e3,
        summary.late_max.as_secs_f64() * 1e3
    );
    Ok(())
}

//! kill -9 under load, torn logs and failing disks. `cargo xtask stress crash` runs many more rounds.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;
use testkit::crash::{self, Trouble};
use testkit::{Flavour, Reply, Rng, Spec};

fn plan(seed: u64) -> crash::Plan {
    crash::Plan {
        round_time: Duration::from_millis(1500),
        ..crash::Plan::new(Spec::bulkhead().unwrap(), seed)
    }
}

/// Runs rounds, in `torn_percent` of which the log's end is damaged before the restart.
fn run(plan: &crash::Plan, torn_percent: usize) -> crash::Summary {
    let torn_percent = if plan.spec.flavour == Flavour::Bulkhead { torn_percent } else { 0 };
    let mut after_kill = |dir: &Path, rng: &mut Rng| {
        if rng.chance(torn_percent) {
            println!("torn: {}", crash::tear(dir, rng)?);
        }
        Ok(())
    };
    let summary = crash::run(plan, &mut after_kill, &mut |line| println!("{line}"));
    summary.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_applied() {
    let summary = run(&plan(Rng::fresh_seed()), 60);
    assert!(summary.acknowledged > 1_000, "too little load to prove anything: {summary:?}");
}

#[test]
fn a_failing_fsync_under_load_loses_nothing_acknowledged() {
    let plan = crash::Plan { rounds: 2, trouble: Some(Trouble::Fsync), ..plan(Rng::fresh_seed()) };
    let summary = run(&plan, 50);
    assert!(summary.acknowledged > 100 && summary.refused > 0, "{summary:?}");
}

#[test]
fn a_full_disk_under_load_loses_nothing_and_recovers_by_itself() {
    let plan = crash::Plan { rounds: 2, trouble: Some(Trouble::NoRoom), ..plan(Rng::fresh_seed()) };
    let summary = run(&plan, 50);
    assert!(summary.acknowledged > 100 && summary.refused > 0, "{summary:?}");
}

/// Changes a byte of a file, or changes it back.
fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

#[test]
fn damage_to_what_was_acknowledged_is_refused_and_nothing_is_changed() {
    let spec = Spec::bulkhead().unwrap();
    let mut server = spec.start().unwrap();
    let mut client = server.client().unwrap();
    for key in 0..100 {
        client.want(&format!("SET key:{key} value:{key}")).unwrap();
    }
    server.kill().unwrap();
    let tail = wal::inspect::tail(&server.dir().join("log")).unwrap().unwrap();
    let before = fs::read(&tail.path).unwrap();
    // Well before the end, and proven by what was written after it.
    let entries: Vec<_> = tail.records.iter().filter(|record| !record.is_checkpoint).collect();
    let record = entries[entries.len() / 2];
    assert!(record.offset + record.bytes <= tail.proven, "{record:?} {tail:?}");
    // In the header, in the payload.
    for at in [record.offset + 5, record.offset + record.bytes - 9] {
        flip(&tail.path, at);
        let error = spec.start_in(server.dir()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("the server ended at once"), "{error}");
        let place = format!("{} at offset {}", tail.path.display(), record.offset);
        assert!(error.contains("the log is corrupt") && error.contains(&place), "{error}");
        flip(&tail.path, at);
        assert!(fs::read(&tail.path).unwrap() == before, "a log that is refused is left as it is");
    }
    server.restart().unwrap();
    let mut client = server.client().unwrap();
    assert_eq!(client.line("DBSIZE").unwrap(), Reply::Integer(100));
    assert_eq!(client.line("GET key:50").unwrap(), Reply::bulk("value:50"));
}

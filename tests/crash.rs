//! kill -9 under load. `cargo xtask stress crash` runs many more rounds.

use std::time::Duration;
use testkit::{Spec, crash};

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_applied() {
    let seed = testkit::Rng::fresh_seed();
    let plan = crash::Plan {
        rounds: 5,
        round_time: Duration::from_millis(1500),
        ..crash::Plan::new(Spec::bulkhead().unwrap(), seed)
    };
    let summary = crash::run(&plan, &mut |_, _| Ok(()), &mut |line| println!("{line}"));
    let summary = summary.unwrap_or_else(|error| panic!("{error}"));
    assert!(summary.acknowledged > 1_000, "too little load to prove anything: {summary:?}");
}

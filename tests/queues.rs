//! Producers and consumers on shared collections: every element comes out exactly once, also when the
//! server is killed under them. `cargo xtask stress queues` does it for longer.

use std::time::Duration;
use testkit::queues::{self, Summary};
use testkit::{Rng, Spec};

fn run(restarts: usize) -> Summary {
    let plan = queues::Plan {
        time: Duration::from_secs(3),
        round_time: Duration::from_secs(1),
        producers: 4,
        consumers: 4,
        restarts,
        ..queues::Plan::new(Spec::bulkhead().unwrap(), Rng::fresh_seed())
    };
    let summary = queues::run(&plan, &mut |line| println!("{line}"));
    summary.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_element_comes_out_exactly_once() {
    let summary = run(0);
    assert!(summary.taken > 100 && summary.empty > 0, "too little load to prove anything: {summary:?}");
    assert_eq!(
        (summary.gone_unseen, summary.unanswered_added),
        (0, 0),
        "nothing is uncertain without a crash"
    );
}

#[test]
fn every_element_comes_out_at_most_once_and_is_not_lost_when_the_server_is_killed() {
    let summary = run(2);
    assert!(summary.taken > 100 && summary.restarts == 2, "too little load to prove anything: {summary:?}");
}

//! Producers add to streams of which groups of consumers are told: every entry once as new, in order, and never
//! again once it is acknowledged, also when the server is killed under them. `cargo xtask stress groups` does it
//! for longer.

use std::time::Duration;
use testkit::groups::{self, Outcome};
use testkit::{Rng, Spec};

fn run(restarts: usize) -> Outcome {
    let plan = groups::Plan {
        time: Duration::from_secs(3),
        round_time: Duration::from_secs(1),
        producers: 3,
        consumers: 3,
        restarts,
        ..groups::Plan::new(Spec::bulkhead().unwrap(), Rng::fresh_seed())
    };
    let outcome = groups::run(&plan, &mut |line| println!("{line}"));
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn proves_something(outcome: &Outcome) {
    let verdict = outcome.verdict;
    assert!(
        verdict.told > 300 && verdict.shown_again > 30 && verdict.acked > 100,
        "too little load: {outcome:?}"
    );
}

#[test]
fn every_group_is_told_every_entry_once_and_in_order() {
    let outcome = run(0);
    proves_something(&outcome);
    assert!(outcome.crashes > 0 && outcome.verdict.unanswered_added == 0, "{outcome:?}");
}

#[test]
fn what_groups_were_told_and_have_acknowledged_stays_so_when_the_server_is_killed() {
    let outcome = run(2);
    proves_something(&outcome);
    assert_eq!(outcome.restarts, 2, "{outcome:?}");
}

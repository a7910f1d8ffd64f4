//! Clients that misbehave in every way, beside one that does not. `cargo xtask stress fuzz` does it for longer.

use std::time::Duration;
use testkit::{Spec, fuzz};

#[test]
fn nothing_that_comes_from_outside_breaks_the_server_or_stays_in_it() {
    let plan = fuzz::Plan {
        time: Duration::from_secs(3),
        acts: 100,
        inputs: 500,
        ..fuzz::Plan::new(Spec::bulkhead().unwrap(), 20_261_127)
    };
    let summary = fuzz::run(&plan, &mut |line| println!("{line}")).unwrap_or_else(|error| panic!("{error}"));
    assert!(summary.let_in > 500 && summary.checks > 1, "{summary:?}");
}

//! SCAN with changing COUNT while others write and delete, and the server is killed and restarted in
//! between. `cargo xtask stress scan` does it with a million keys.

use testkit::{Flavour, Rng, Spec, scan};

#[test]
fn every_key_that_is_there_throughout_comes_exactly_once() {
    let spec = Spec::bulkhead().unwrap();
    // A cursor of Redis does not survive a restart.
    let restarts = if spec.flavour == Flavour::Bulkhead { 3 } else { 0 };
    let plan = scan::Plan { spec, seed: Rng::fresh_seed(), keys: 50_000, restarts };
    let summary = scan::run(&plan).unwrap_or_else(|error| panic!("{error}"));
    assert!(summary.keys >= plan.keys);
}

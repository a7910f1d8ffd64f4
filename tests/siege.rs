//! A server with little memory under attack, for a moment: `cargo xtask stress siege` goes on for an hour, and with the
//! attacks on what takes long to fill.

use std::time::Duration;
use testkit::siege::{self, Plan};
use testkit::{Spec, attack};

const SCENES: [&str; 8] =
    ["lua", "connections", "slow-reader", "pipeline", "hoard", "mget", "unit", "overwrite"];

#[test]
fn a_server_with_little_memory_stands_a_siege_and_loses_nothing() {
    let all = attack::SCENES.iter().chain(attack::HOARDERS);
    let plan = Plan {
        time: Duration::from_secs(16),
        round_time: Duration::from_secs(8),
        scenes: all.filter(|scene| SCENES.contains(&scene.name)).collect(),
        ..Plan::new(Spec::bulkhead().unwrap(), 7)
    };
    assert_eq!(plan.scenes.len(), SCENES.len());
    let found = siege::run(&plan, &mut |line| println!("{line}")).unwrap_or_else(|error| panic!("{error}"));
    let has_been_attacked = found.raids > 6 && found.tally.sent_bytes > 1 << 20;
    assert!(has_been_attacked && found.acknowledged > 100, "too little to prove anything: {found:?}");
}

//! Transactions under load are strictly serializable, also when the server is killed under them. `cargo xtask
//! stress histories` does it for longer.

use std::time::Duration;
use testkit::histories::{self, Summary};
use testkit::{Rng, Spec};

fn run(kills: usize) -> Summary {
    let plan = histories::Plan {
        time: Duration::from_secs(3),
        connections: 8,
        kills,
        ..histories::Plan::new(Spec::bulkhead().unwrap(), Rng::fresh_seed())
    };
    let summary = histories::run(&plan, &mut |line| println!("{line}"));
    summary.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn an_order_explains_what_all_transactions_saw() {
    let summary = run(0);
    for form in ["RPUSH", "LRANGE", "MULTI", "heavy MULTI", "WATCH", "heavy WATCH"] {
        let count = summary.transactions.get(form);
        assert!(count.is_some_and(|count| *count > 10), "too little load to prove anything: {summary:?}");
    }
    assert_eq!(summary.unknown, 0, "nothing is uncertain without a crash");
}

#[test]
fn an_order_explains_it_although_the_server_is_killed() {
    let summary = run(1);
    assert!(summary.ok > 100 && summary.kills == 1, "too little load to prove anything: {summary:?}");
}

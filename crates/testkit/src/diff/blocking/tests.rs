//! The harness itself: equal servers are equal, and a difference is found and made short.

use super::*;
use crate::Spec;

fn redis() -> Spec {
    Spec::redis().unwrap().durability(crate::Durability::None)
}

#[test]
fn a_server_does_not_differ_from_itself() {
    let plan = Plan { tested: redis(), reference: redis(), seed: 11 };
    assert!(run(&plan, 1_000).unwrap() >= 1_000);
}

#[test]
fn a_difference_is_found_and_made_short() {
    // A server that does not know one of the commands.
    let renamed = redis().arg("--rename-command").arg("LPUSH").arg("");
    let plan = Plan { tested: renamed, reference: redis(), seed: 12 };
    let error = run(&plan, 5_000).unwrap_err().to_string();
    assert!(error.contains("seed 12"), "{error}");
    assert!(error.lines().count() <= 6, "{error}");
}

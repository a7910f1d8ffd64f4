//! Real servers: what one thread executes passes, and what forgets is found out.

use super::super::{Plan, Summary, run};
use crate::{Durability, Result, Spec};
use std::time::Duration;

fn short(spec: Spec, seed: u64, kills: usize) -> Result<Summary> {
    let plan = Plan { time: Duration::from_secs(2), connections: 6, kills, ..Plan::new(spec, seed) };
    run(&plan, &mut |_| {})
}

#[track_caller]
fn all_forms(spec: Spec, seed: u64) {
    let summary = short(spec.durability(Durability::None), seed, 0).unwrap_or_else(|error| panic!("{error}"));
    for form in ["RPUSH", "LRANGE", "MULTI", "heavy MULTI", "WATCH", "heavy WATCH", "EVAL", "heavy EVAL"] {
        assert!(summary.transactions.get(form).is_some_and(|count| *count > 10), "{form}: {summary:?}");
    }
    assert!(summary.failed > 0 && summary.unknown == 0 && summary.keys > 5, "{summary:?}");
}

#[test]
fn redis_passes() {
    all_forms(Spec::redis().unwrap(), 1);
}

#[test]
fn valkey_passes() {
    all_forms(Spec::valkey().unwrap(), 2);
}

#[test]
fn a_server_that_keeps_its_promise_passes_although_it_is_killed() {
    let spec = Spec::redis().unwrap().durability(Durability::Always);
    let summary = short(spec, 3, 2).unwrap_or_else(|error| panic!("{error}"));
    assert!(summary.kills == 2 && summary.unknown > 0, "{summary:?}");
}

#[test]
fn a_server_that_forgets_when_it_is_killed_fails() {
    let spec = Spec::redis().unwrap().durability(Durability::None);
    let error = short(spec, 4, 1).unwrap_err().to_string();
    assert!(error.contains("lost") && error.contains("seed 4"), "{error}");
}

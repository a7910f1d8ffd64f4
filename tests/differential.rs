//! Random commands, every reply compared with a real Redis' and a real Valkey's.
//! `cargo xtask stress diff` goes on for ever.

use testkit::{Durability, Spec, diff};

const COMMANDS: usize = 60_000;
const STEPS: usize = 2_400;
/// The same commands at every run; `cargo xtask stress diff` takes fresh seeds.
const SEED: u64 = 20_261_121;

#[track_caller]
fn check(reference: Spec) {
    let tested = Spec::bulkhead().unwrap();
    let reference = reference.durability(Durability::None);
    let plan = diff::Plan { tested, reference, seed: SEED };
    let done = diff::run(&plan, COMMANDS).unwrap_or_else(|error| panic!("{error}"));
    assert!(done >= COMMANDS);
}

/// Clients that wait for keys: who is answered, when, and with what.
#[track_caller]
fn check_blocking(reference: Spec) {
    let tested = Spec::bulkhead().unwrap();
    let reference = reference.durability(Durability::None);
    let plan = diff::Plan { tested, reference, seed: SEED };
    let done = diff::blocking::run(&plan, STEPS).unwrap_or_else(|error| panic!("{error}"));
    assert!(done >= STEPS);
}

#[test]
fn replies_are_those_of_redis() {
    check(Spec::redis().unwrap());
}

#[test]
fn replies_are_those_of_valkey() {
    check(Spec::valkey().unwrap());
}

#[test]
fn who_waits_is_served_as_by_redis() {
    check_blocking(Spec::redis().unwrap());
}

#[test]
fn who_waits_is_served_as_by_valkey() {
    check_blocking(Spec::valkey().unwrap());
}

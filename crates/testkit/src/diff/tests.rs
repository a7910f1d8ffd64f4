//! The harness itself: equal servers are equal, and a difference is found and made short.

use super::rows::With;
use super::*;

fn redis() -> Spec {
    Spec::redis().unwrap().durability(crate::Durability::None)
}

#[test]
fn a_server_does_not_differ_from_itself() {
    let plan = Plan { tested: redis(), reference: redis(), seed: 11 };
    assert!(run(&plan, 3_000).unwrap() >= 3_000);
}

#[test]
fn a_difference_is_found_and_made_short() {
    // A server with fewer databases answers SELECT 15 otherwise.
    let plan = Plan { tested: redis().arg("--databases").arg("8"), reference: redis(), seed: 12 };
    let error = run(&plan, 3_000).unwrap_err().to_string();
    assert!(error.contains("seed 12"), "{error}");
    assert!(error.lines().count() <= 6, "{error}");
}

#[test]
fn every_row_is_taken() {
    let (mut rng, none) = (Rng::new(1), Theme { rows: &[], percent: 0 });
    let taken: BTreeSet<Vec<u8>> = (0..100)
        .flat_map(|_| random_steps(&mut rng, &none, Flavour::Bulkhead, Flavour::Redis))
        .map(|step| step.command[0].to_ascii_uppercase())
        .collect();
    for row in ROWS.iter().filter(|row| !row.pattern.starts_with('{') && row.with == With::Any) {
        let name = row.pattern.split(' ').next().unwrap();
        assert!(taken.contains(name.as_bytes()), "{name}");
    }
}

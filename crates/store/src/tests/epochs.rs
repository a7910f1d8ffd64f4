//! What a lost leadership takes with it, and what it must not.

use super::*;

#[test]
fn what_was_not_committed_vanishes_in_one_step() {
    let fixture = Fixture::new();
    let first = fixture.set("a", "old");
    assert_eq!(fixture.wait(first), Fate::Committed);
    let hold = fixture.hold.clone();
    let guard = hold.lock();
    let second = fixture.set("a", "new");
    let third = fixture.set("b", "new");
    drop(guard);
    // The commit thread may have come in between: what it committed stays.
    let fate = fixture.group.sequencer.fate(second.epoch, second.stamp);
    fixture.next_epoch();
    for (gate, key) in [(second, "a"), (third, "b")] {
        match fixture.wait(gate) {
            Fate::Committed => assert_eq!(fixture.get(key).as_deref(), Some("new")),
            Fate::Uncertain => assert_ne!(fixture.get(key).as_deref(), Some("new")),
            other => panic!("{other:?} after {fate:?}"),
        }
    }
    assert_eq!(fixture.wait(first), Fate::Committed);
}

#[test]
fn stamps_increase_over_epochs_and_clocks_that_go_back() {
    let fixture = Fixture::new();
    let mut last = Stamp::ZERO;
    for round in 0..5 {
        let gate = fixture.set("k", &round.to_string());
        assert!(gate.stamp > last);
        last = gate.stamp;
        assert_eq!(fixture.wait(gate), Fate::Committed);
        fixture.clock.set(1_000_000 - round * 100_000);
        fixture.next_epoch();
        assert!(last_stamp(&fixture) > last);
    }
    assert_eq!(fixture.get("k").as_deref(), Some("4"));
}

#[test]
fn counts_are_exact_after_a_lost_epoch() {
    let fixture = Fixture::new();
    let mut committed = 0;
    for round in 0..20 {
        let hold = fixture.hold.clone();
        let guard = (round % 3 == 0).then(|| hold.lock());
        let gate = fixture.set(&format!("k{round}"), "v");
        drop(guard);
        fixture.next_epoch();
        committed += i64::from(fixture.wait(gate) == Fate::Committed);
    }
    assert_eq!(fixture.group.database_counts()[0].keys, committed);
}

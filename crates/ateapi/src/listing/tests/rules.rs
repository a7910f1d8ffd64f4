//! The rules of safety, one by one: what counts as done after what shards have said.

use crate::listing::limits::TARGETS_MAX;
use crate::listing::progress::{Half, Place, Progress, Stayed};
use crate::store::{Address, NodeId, Shard, SlotSet};
use std::collections::BTreeMap;

fn node(name: &str) -> NodeId {
    NodeId::new(name)
}

fn slots(slots: &[u16]) -> SlotSet {
    slots.iter().copied().collect()
}

fn moving(slots: &[(u16, &str)]) -> BTreeMap<u16, NodeId> {
    slots.iter().map(|(slot, to)| (*slot, node(to))).collect()
}

fn shard(name: &str, owned: &[u16]) -> Shard {
    Shard {
        node: node(name),
        address: Address::new(name, 1),
        run: "run-1".into(),
        epoch: 1,
        slots: slots(owned),
        migrating: BTreeMap::new(),
        importing: BTreeMap::new(),
        positions: false,
    }
}

fn migrating(mut shard: Shard, slots: &[(u16, &str)]) -> Shard {
    shard.migrating = moving(slots);
    shard
}

fn importing(mut shard: Shard, slots: &[(u16, &str)]) -> Shard {
    shard.importing = moving(slots);
    shard
}

fn at(cursor: u64) -> Place {
    Place { cursor, part: None }
}

/// A walk of `a`, which says these things about itself, one after the other, and nothing else in between.
fn walked(said: &[Shard]) -> Progress {
    let mut progress = Progress::default();
    assert!(progress.begin(&said[0]));
    for two in said.windows(2) {
        assert_eq!(progress.leave(&two[0], &two[1], at(0)), Stayed::Counts);
    }
    progress.finish();
    progress
}

#[test]
fn what_was_there_throughout_is_done() {
    let progress = walked(&[shard("a", &[1, 2, 3]), shard("a", &[1, 2, 3]), shard("a", &[1, 2, 3])]);
    assert_eq!(progress, Progress { done: slots(&[1, 2, 3]), ..Progress::default() });
}

#[test]
fn what_has_left_or_come_meanwhile_is_not() {
    let progress = walked(&[shard("a", &[1, 2, 3]), shard("a", &[2, 3, 4])]);
    assert_eq!(progress.done, slots(&[2, 3]));
}

#[test]
fn a_stay_with_another_epoch_or_process_at_its_end_was_in_vain() {
    let before = shard("a", &[1, 2]);
    for after in [
        Shard { epoch: 2, ..before.clone() },
        Shard { run: "run-2".into(), ..before.clone() },
        Shard { node: node("b"), ..before.clone() },
        Shard { epoch: 2, positions: true, ..before.clone() },
    ] {
        let mut progress = Progress::default();
        assert!(progress.begin(&before));
        progress.go_back(at(9));
        assert_eq!(progress.leave(&before, &after, at(5)), Stayed::InVain);
        assert_eq!(progress.walk.unwrap().place, at(5));
    }
}

#[test]
fn another_process_ends_a_walk_unless_cursors_are_positions() {
    for (positions, goes_on) in [(false, false), (true, true)] {
        let before = Shard { positions, ..shard("a", &[1, 2]) };
        for after in [
            Shard { run: "run-2".into(), ..before.clone() },
            Shard { node: node("b"), run: "run-2".into(), epoch: 7, ..before.clone() },
        ] {
            let mut progress = Progress::default();
            assert!(progress.begin(&before));
            progress.go_back(at(9));
            assert_eq!(progress.resume(&after), goes_on);
            let place = progress.walk.map(|walk| (walk.place, walk.node, walk.slots));
            assert_eq!(place, goes_on.then(|| (at(9), after.node.clone(), slots(&[1, 2]))));
            assert!(progress.done.is_empty());
        }
    }
}

#[test]
fn what_is_on_its_way_is_half_done_and_then_done_at_its_target() {
    let source = migrating(shard("a", &[1, 2, 3]), &[(2, "b")]);
    let mut progress = walked(&[source.clone(), source.clone()]);
    let half = Half { source: node("a"), source_epoch: 1, target: node("b"), slots: slots(&[2]) };
    assert_eq!((&progress.done, &progress.halves), (&slots(&[1, 3]), &vec![half]));

    let target = importing(shard("b", &[7]), &[(2, "a")]);
    assert!(progress.begin(&target));
    assert_eq!(progress.walk.as_ref().unwrap().slots, slots(&[2, 7]));
    progress.leave(&target, &target, at(0));
    progress.finish();
    assert_eq!((&progress.done, progress.unconfirmed(&node("b"))), (&slots(&[1, 3, 7]), Some(node("a"))));
    progress.confirm(&node("b"), &node("a"), Some(&source));
    assert_eq!(progress, Progress { done: slots(&[1, 2, 3, 7]), ..Progress::default() });
}

#[test]
fn what_its_source_does_not_confirm_is_not_done() {
    let source = migrating(shard("a", &[1]), &[(1, "b")]);
    let target = importing(shard("b", &[7]), &[(1, "a")]);
    for word in [
        None,
        Some(shard("a", &[1])),
        Some(migrating(shard("a", &[1]), &[(1, "c")])),
        Some(Shard { epoch: 2, ..source.clone() }),
    ] {
        let mut progress = walked(&[source.clone(), source.clone()]);
        progress.begin(&target);
        progress.finish();
        progress.confirm(&node("b"), &node("a"), word.as_ref());
        assert_eq!(progress, Progress { done: slots(&[7]), ..Progress::default() }, "{word:?}");
    }
}

#[test]
fn what_arrives_during_the_walk_of_its_target_is_done_there() {
    let source = migrating(shard("a", &[1]), &[(1, "b")]);
    let mut progress = walked(&[source.clone(), source]);
    let before = importing(shard("b", &[7]), &[(1, "a")]);
    let after = shard("b", &[1, 7]);
    progress.begin(&before);
    progress.leave(&before, &after, at(0));
    progress.finish();
    assert_eq!(progress, Progress { done: slots(&[1, 7]), ..Progress::default() });
}

#[test]
fn what_its_target_does_not_expect_from_there_is_to_be_walked_anew() {
    let source = migrating(shard("a", &[1]), &[(1, "b")]);
    for target in [shard("b", &[7]), importing(shard("b", &[7]), &[(1, "c")])] {
        let mut progress = walked(&[source.clone(), source.clone()]);
        progress.begin(&target);
        progress.finish();
        assert_eq!(progress, Progress { done: slots(&[7]), ..Progress::default() });
    }
}

#[test]
fn a_move_that_was_given_up_puts_its_slot_back() {
    let leaving = migrating(shard("a", &[1, 2]), &[(1, "b")]);
    let progress = walked(&[shard("a", &[1, 2]), leaving, shard("a", &[1, 2])]);
    assert_eq!(progress, Progress { done: slots(&[2]), ..Progress::default() });
}

#[test]
fn a_slot_that_leaves_again_after_it_was_away_is_put_back() {
    let leaving = migrating(shard("a", &[1, 2]), &[(1, "b")]);
    let mut progress = Progress::default();
    progress.begin(&leaving);
    // Between two calls; the epoch says that something has come.
    assert!(progress.resume(&Shard { epoch: 5, ..leaving.clone() }));
    progress.finish();
    assert_eq!(progress, Progress { done: slots(&[2]), ..Progress::default() });
}

#[test]
fn what_leaves_for_too_many_nodes_is_left_for_later() {
    let leaving = [(1, "b"), (2, "c"), (3, "d"), (4, "e")];
    let source = migrating(shard("a", &[1, 2, 3, 4, 5]), &leaving);
    let progress = walked(&[source.clone(), source]);
    assert_eq!((progress.halves.len(), progress.done), (TARGETS_MAX, slots(&[5])));
}

#[test]
fn a_target_that_is_gone_is_forgotten() {
    let source = migrating(shard("a", &[1]), &[(1, "b")]);
    let mut progress = walked(&[source.clone(), source]);
    progress.begin(&importing(shard("b", &[]), &[(1, "a")]));
    progress.forget_target(&node("b"));
    assert_eq!(progress, Progress::default());
}

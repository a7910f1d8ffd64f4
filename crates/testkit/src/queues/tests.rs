//! The ledger finds what it must, on books cooked by hand, and takes a real server's word.

use super::*;
use crate::server::Durability;
use Event::{
    Added, MaybeAdded, MaybeMoved, MaybeRemoved, MaybeTaken, MaybeTakenFromAList, Moved, Seen, Taken,
};
use Queue::{Hash, Hot, Second, Set, SortedSet};

fn settle(events: &[Event], rests: &[(Queue, &[u64])]) -> Result<Verdict> {
    let mut found: [Rest; QUEUES.len()] = Default::default();
    for (queue, ids) in rests {
        found[*queue as usize] = Rest { len: ids.len() as i64, ids: ids.to_vec() };
    }
    let mut ledger = Ledger::default();
    events.iter().cloned().for_each(|event| ledger.record(event));
    ledger.settle(&found)
}

#[track_caller]
fn right(events: &[Event], rests: &[(Queue, &[u64])], gone_unseen: u64) {
    assert_eq!(
        settle(events, rests).map(|verdict| verdict.gone_unseen).map_err(|e| e.to_string()),
        Ok(gone_unseen)
    );
}

#[track_caller]
fn wrong(events: &[Event], rests: &[(Queue, &[u64])], why: &str) {
    let error = settle(events, rests).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn what_came_out_once_or_is_still_there_is_right() {
    for queue in [Hot, Set, Hash, SortedSet] {
        right(&[Taken(queue, vec![1]), Added(queue, vec![1, 2])], &[(queue, &[2])], 0);
    }
    right(&[Added(Hot, vec![1, 2]), Moved(1), Moved(2), Taken(Second, vec![2])], &[(Second, &[1])], 0);
}

#[test]
fn a_lost_element_is_found() {
    for queue in [Hot, Set, Hash, SortedSet] {
        wrong(&[Added(queue, vec![1, 2]), Taken(queue, vec![1])], &[], "lost");
    }
    wrong(&[Added(Hot, vec![1]), Moved(1)], &[], "Second: 1 elements are lost");
}

#[test]
fn an_element_that_comes_twice_is_found() {
    wrong(&[Added(Set, vec![1]), Taken(Set, vec![1]), Taken(Set, vec![1])], &[], "twice");
    wrong(&[Added(Set, vec![1])], &[(Set, &[1, 1])], "twice");
    wrong(&[Added(Hash, vec![1]), Taken(Hash, vec![1])], &[(Hash, &[1])], "came out and is there");
    wrong(&[Added(Hot, vec![1]), Moved(1), Moved(1)], &[(Second, &[1])], "moved twice");
    wrong(&[Added(Hot, vec![1]), Moved(1)], &[(Hot, &[1]), (Second, &[1])], "was moved");
    wrong(&[Added(Hot, vec![1]), MaybeMoved], &[(Hot, &[1]), (Second, &[1])], "could not be moved");
}

#[test]
fn an_element_that_was_never_added_is_found() {
    wrong(&[Taken(SortedSet, vec![1])], &[], "never added");
    wrong(&[Seen(Hash, 1)], &[], "never added");
    wrong(&[Added(Set, vec![1])], &[(Set, &[1, 2])], "never added");
    wrong(&[Added(Hot, vec![1])], &[(Second, &[1])], "moved by nobody");
    wrong(&[Moved(1)], &[(Second, &[1])], "never added");
}

#[test]
fn a_wrong_length_is_found() {
    let mut ledger = Ledger::default();
    ledger.record(Added(Hot, vec![1, 2]));
    let mut rests: [Rest; QUEUES.len()] = Default::default();
    rests[Hot as usize] = Rest { len: 3, ids: vec![1, 2] };
    assert!(ledger.settle(&rests).unwrap_err().to_string().contains("its length is 3"));
}

#[test]
fn a_pop_without_a_reply_explains_as_many_as_it_asked_for() {
    let added = Added(Set, vec![1, 2, 3]);
    right(&[added.clone(), MaybeTaken(Set, 2)], &[(Set, &[1])], 2);
    right(&[added.clone(), MaybeTaken(Set, 2)], &[(Set, &[1, 2, 3])], 0);
    wrong(&[added.clone(), MaybeTaken(Set, 2)], &[], "3 elements are lost");
    wrong(&[added.clone(), MaybeTaken(Hash, 3)], &[], "lost");
    right(&[added.clone(), MaybeRemoved(Set, 2)], &[(Set, &[1, 3])], 1);
    wrong(&[added, MaybeRemoved(Set, 2)], &[(Set, &[1, 2])], "lost");
}

#[test]
fn a_push_without_a_reply_is_there_wholly_or_not_at_all() {
    for queue in [Hot, Set] {
        let push = MaybeAdded(queue, vec![1, 2]);
        right(std::slice::from_ref(&push), &[], 0);
        right(std::slice::from_ref(&push), &[(queue, &[1, 2])], 0);
        right(&[push.clone(), Taken(queue, vec![2])], &[(queue, &[1])], 0);
        right(&[push.clone(), MaybeTaken(queue, 1)], &[(queue, &[1])], 1);
        wrong(std::slice::from_ref(&push), &[(queue, &[1])], "lost");
        wrong(&[push.clone(), Taken(queue, vec![2])], &[], "lost");
    }
    wrong(&[MaybeAdded(Hash, vec![1]), Seen(Hash, 1)], &[], "lost");
}

#[test]
fn what_was_moved_or_popped_without_a_reply_is_bounded() {
    let added = Added(Hot, vec![1, 2]);
    right(&[added.clone(), MaybeMoved], &[(Hot, &[1]), (Second, &[2])], 0);
    wrong(&[added.clone(), MaybeMoved], &[(Second, &[1, 2])], "moved by nobody");
    wrong(&[added.clone(), MaybeMoved], &[(Hot, &[1])], "lost");
    right(&[added.clone(), MaybeMoved, MaybeTaken(Second, 1)], &[(Hot, &[1])], 1);
    right(&[added.clone(), MaybeTakenFromAList(1)], &[(Hot, &[1])], 1);
    right(&[added.clone(), Moved(2), MaybeTakenFromAList(1)], &[(Hot, &[1])], 1);
    wrong(&[added.clone(), Moved(2), MaybeTakenFromAList(1)], &[], "lost");
    right(&[added.clone(), Moved(2), MaybeTakenFromAList(1), MaybeTaken(Second, 1)], &[], 2);
    wrong(&[added, Moved(2), MaybeMoved, MaybeTaken(Second, 1)], &[], "lost");
    right(&[MaybeAdded(Hot, vec![1, 2]), MaybeMoved], &[(Hot, &[1]), (Second, &[2])], 0);
}

#[test]
fn a_round_goes_on_from_what_the_last_one_left() {
    let rest = |ids: &[u64]| Rest { len: ids.len() as i64, ids: ids.to_vec() };
    let mut ledger = Ledger::default();
    let mut rests: [Rest; QUEUES.len()] = Default::default();
    ledger.record(Added(Hot, vec![1, 2, 3]));
    ledger.record(Moved(3));
    (rests[Hot as usize], rests[Second as usize]) = (rest(&[1, 2]), rest(&[3]));
    assert_eq!(ledger.settle(&rests).unwrap().added, 3);
    assert_eq!(ledger.left(), [2, 1, 0, 0, 0]);
    ledger.record(Taken(Hot, vec![1]));
    ledger.record(Taken(Second, vec![3]));
    (rests[Hot as usize], rests[Second as usize]) = (rest(&[2]), rest(&[]));
    let verdict = ledger.settle(&rests).unwrap();
    assert_eq!((verdict.added, verdict.taken, verdict.left), (3, 2, 1));
    ledger.record(Taken(Second, vec![3]));
    assert!(ledger.settle(&rests).unwrap_err().to_string().contains("could not be moved"));
}

#[test]
fn a_server_that_keeps_its_promise_passes() {
    let spec = Spec::redis().unwrap().durability(Durability::Always);
    let plan = Plan {
        time: Duration::from_secs(2),
        round_time: Duration::from_secs(1),
        producers: 3,
        consumers: 3,
        restarts: 1,
        ..Plan::new(spec, 1)
    };
    let summary = run(&plan, &mut |_| {}).unwrap();
    assert!(summary.added > 0 && summary.taken > 0 && summary.restarts == 1, "{summary:?}");
}

#[test]
fn a_server_that_forgets_when_it_is_killed_fails() {
    let spec = Spec::redis().unwrap().durability(Durability::None);
    let plan =
        Plan { time: Duration::from_secs(1), producers: 3, consumers: 0, restarts: 1, ..Plan::new(spec, 2) };
    let error = run(&plan, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("lost") && error.contains("seed 2"), "{error}");
}

//! The ledger finds what it must, on books cooked by hand, and takes a real server's word.

use super::*;
use crate::server::Durability;

/// Of the first stream and the first group, in which all that happens here happens.
const ME: Reader = Reader { group: 0, consumer: 0 };
const OTHER: Reader = Reader { group: 0, consumer: 1 };

fn id(number: u64) -> EntryId {
    EntryId(number, 0)
}

fn ids(numbers: &[u64]) -> Vec<EntryId> {
    numbers.iter().copied().map(id).collect()
}

/// From one moment to another.
fn span(sent: u64, received: u64) -> Span {
    Span { sent, received }
}

/// Entries whose elements have the numbers of their ids.
fn added(at: u64, numbers: &[u64]) -> Event {
    Event::Added(span(at, at + 1), numbers.iter().map(|number| (0, id(*number), *number)).collect())
}

fn shown(at: u64, to: Reader, how: How, numbers: &[u64]) -> Event {
    let entries = numbers.iter().map(|number| (id(*number), Some(*number))).collect();
    Event::Shown(Shown { span: span(at, at + 1), stream: 0, to, how, entries })
}

fn maybe_shown(to: Reader, how: How, count: usize) -> Event {
    Event::MaybeShown { stream: 0, to, how, count }
}

fn acked(at: u64, numbers: &[u64], count: i64) -> Event {
    Event::Acked { span: span(at, at + 1), stream: 0, group: 0, ids: ids(numbers), count }
}

fn maybe_acked(numbers: &[u64]) -> Event {
    Event::MaybeAcked { stream: 0, group: 0, ids: ids(numbers) }
}

/// A stream of these entries, of which the group was told up to one, and that is pending: entry, consumer, times.
fn rest(entries: &[u64], last: u64, pending: &[(u64, usize, i64)]) -> Rest {
    let of_group = |last: u64, pending: &[(u64, usize, i64)]| {
        let read = entries.iter().filter(|entry| **entry <= last).count() as i64;
        let mut by_consumer = std::collections::BTreeMap::new();
        pending.iter().for_each(|(_, consumer, _)| *by_consumer.entry(*consumer).or_insert(0) += 1);
        let pending: Vec<Pending> = pending
            .iter()
            .map(|&(entry, consumer, times)| Pending { id: id(entry), consumer, times })
            .collect();
        let ends = pending.first().zip(pending.last()).map(|(first, last)| (first.id, last.id));
        let count = pending.len() as i64;
        GroupRest {
            last: id(last),
            read: Some(read),
            lag: Some(entries.len() as i64 - read),
            count,
            summary: Summary { count, ends, by_consumer: by_consumer.clone() },
            consumers: by_consumer,
            pending,
        }
    };
    Rest {
        len: entries.len() as i64,
        added: entries.len() as i64,
        last: id(entries.last().copied().unwrap_or_default()),
        entries: entries.iter().map(|entry| (id(*entry), *entry)).collect(),
        groups: [of_group(last, pending), of_group(0, &[]), of_group(0, &[])],
    }
}

fn nothing() -> Rest {
    rest(&[], 0, &[])
}

fn settle(events: &[Event], found: Rest) -> Result<Verdict> {
    let mut ledger = Ledger::new(true);
    events.iter().cloned().for_each(|event| ledger.record(event));
    ledger.settle(&[found, nothing(), nothing()])
}

#[track_caller]
fn right(events: &[Event], found: Rest) {
    assert_eq!(settle(events, found).map(drop).map_err(|error| error.to_string()), Ok(()));
}

#[track_caller]
fn wrong(events: &[Event], found: Rest, why: &str) {
    let error = settle(events, found).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn what_was_added_told_and_acknowledged_once_is_right() {
    let events = [
        added(0, &[1, 2]),
        added(2, &[3]),
        shown(3, ME, How::New, &[1, 2]),
        shown(5, OTHER, How::New, &[3]),
        acked(7, &[1], 1),
    ];
    right(&events, rest(&[1, 2, 3], 3, &[(2, 0, 1), (3, 1, 1)]));
    right(&[], nothing());
}

#[test]
fn an_entry_that_is_lost_doubled_or_made_up_is_found() {
    wrong(&[added(0, &[1]), added(2, &[2])], rest(&[2], 0, &[]), "1-0 was added with 1, and is None");
    wrong(&[added(0, &[1])], rest(&[1, 2], 0, &[]), "nobody has added");
    let mut twice = rest(&[1, 2], 0, &[]);
    twice.entries[1].1 = 1;
    wrong(&[added(0, &[1]), Event::MaybeAdded(vec![(0, 1)])], twice, "is there twice");
    let mut long = rest(&[1], 0, &[]);
    long.len = 2;
    wrong(&[added(0, &[1])], long, "its length is 2");
    let mut count = rest(&[1], 0, &[]);
    count.added = 2;
    wrong(&[added(0, &[1])], count, "it counts 2");
    wrong(&[added(0, &[2]), added(3, &[1])], rest(&[1, 2], 0, &[]), "had been answered before");
}

#[test]
fn an_addition_without_a_reply_is_there_wholly_or_not_at_all() {
    let both = Event::MaybeAdded(vec![(0, 1), (1, 1)]);
    let check = |first: Rest, second: Rest| {
        let mut ledger = Ledger::new(true);
        ledger.record(both.clone());
        ledger.settle(&[first, second, nothing()]).map(|verdict| verdict.unanswered_added)
    };
    assert_eq!(check(nothing(), nothing()).unwrap(), 0);
    assert_eq!(check(rest(&[1], 0, &[]), rest(&[1], 0, &[])).unwrap(), 2);
    assert!(check(rest(&[1], 0, &[]), nothing()).unwrap_err().to_string().contains("half of a transaction"));
}

#[test]
fn an_entry_that_is_skipped_or_told_twice_or_too_late_is_found() {
    let all = added(0, &[1, 2, 3]);
    let pending = [(1, 0, 1), (2, 0, 1), (3, 0, 1)];
    let skipped = [all.clone(), shown(2, ME, How::New, &[1, 3])];
    wrong(&skipped, rest(&[1, 2, 3], 3, &pending), "of which there is");
    let lost = [all.clone(), shown(2, ME, How::New, &[1]), shown(4, ME, How::New, &[3])];
    wrong(&lost, rest(&[1, 2, 3], 3, &pending), "1 entries were told to nobody");
    let twice = [all.clone(), shown(2, ME, How::New, &[1, 2]), shown(4, OTHER, How::New, &[2, 3])];
    wrong(&twice, rest(&[1, 2, 3], 3, &pending), "2-0 was told twice as new");
    let late = [all.clone(), shown(2, ME, How::New, &[2, 3]), shown(4, OTHER, How::New, &[1])];
    wrong(&late, rest(&[1, 2, 3], 3, &pending), "had been answered before 1-0 was asked for");
    let back = [all, shown(2, ME, How::New, &[1, 2, 3])];
    wrong(&back, rest(&[1, 2, 3], 2, &pending[..2]), "3-0 was told, but it is at 2-0");
}

#[test]
fn what_was_told_without_a_reply_is_bounded() {
    let all = added(0, &[1, 2]);
    let pending = [(1, 0, 1), (2, 0, 1)];
    right(&[all.clone(), maybe_shown(ME, How::New, 2)], rest(&[1, 2], 2, &pending));
    right(&[all.clone(), maybe_shown(ME, How::New, 2)], rest(&[1, 2], 0, &[]));
    wrong(&[all.clone(), maybe_shown(ME, How::New, 1)], rest(&[1, 2], 2, &pending), "told to nobody");
    wrong(&[all.clone(), maybe_shown(ME, How::Again, 2)], rest(&[1, 2], 2, &pending), "told to nobody");
    wrong(&[all, maybe_shown(OTHER, How::New, 2)], rest(&[1, 2], 2, &pending), "is pending for 0");
}

#[test]
fn an_entry_that_comes_again_after_it_was_acknowledged_is_found() {
    let told = [added(0, &[1, 2]), shown(2, ME, How::New, &[1, 2]), acked(4, &[1], 1)];
    let found = || rest(&[1, 2], 2, &[(2, 0, 1)]);
    for how in [How::Again, How::Claimed, How::ClaimedIds] {
        let again = shown(6, OTHER, how, &[1]);
        wrong(&[&told[..], &[again]].concat(), found(), "1-0 was acknowledged, and then shown");
        // At the same time: it may have been shown before.
        right(&[&told[..], &[shown(4, OTHER, how, &[1])]].concat(), found());
    }
    wrong(&told, rest(&[1, 2], 2, &[(1, 0, 1), (2, 0, 1)]), "1-0 is pending, but was acknowledged");
}

#[test]
fn what_is_pending_is_exactly_what_was_told_and_not_acknowledged() {
    let told = [added(0, &[1, 2, 3]), shown(2, ME, How::New, &[1, 2])];
    wrong(&told, rest(&[1, 2, 3], 2, &[(1, 0, 1)]), "2-0 was told and not acknowledged, but is not pending");
    wrong(&told, rest(&[1, 2, 3], 2, &[(1, 0, 1), (2, 0, 1), (3, 0, 1)]), "3-0 is pending, but");
    wrong(&told, rest(&[1, 2, 3], 2, &[(1, 0, 1), (2, 1, 1)]), "2-0 is pending for 1");
    wrong(&told, rest(&[1, 2, 3], 2, &[(1, 0, 1), (2, 0, 2)]), "2-0 was shown 1 to 1 times, but says 2");
    let perhaps = [&told[..], &[maybe_acked(&[2])]].concat();
    right(&perhaps, rest(&[1, 2, 3], 2, &[(1, 0, 1)]));
    right(&perhaps, rest(&[1, 2, 3], 2, &[(1, 0, 1), (2, 0, 1)]));
    wrong(&perhaps, rest(&[1, 2, 3], 2, &[(2, 0, 1)]), "1-0 was told and not acknowledged");
}

#[test]
fn whoever_has_taken_an_entry_last_has_it() {
    let told = [added(0, &[1]), shown(2, ME, How::New, &[1])];
    let claim = |at, to| shown(at, to, How::Claimed, &[1]);
    right(&[&told[..], &[claim(4, OTHER)]].concat(), rest(&[1], 1, &[(1, 1, 2)]));
    wrong(&[&told[..], &[claim(4, OTHER)]].concat(), rest(&[1], 1, &[(1, 0, 2)]), "is pending for 0");
    // Both at the same time.
    right(&[&told[..], &[claim(2, OTHER)]].concat(), rest(&[1], 1, &[(1, 0, 2)]));
    let perhaps = [&told[..], &[maybe_shown(OTHER, How::Claimed, 1)]].concat();
    right(&perhaps, rest(&[1], 1, &[(1, 1, 2)]));
    right(&perhaps, rest(&[1], 1, &[(1, 0, 1)]));
    let only_ids = [&told[..], &[shown(4, OTHER, How::ClaimedIds, &[1])]].concat();
    right(&only_ids, rest(&[1], 1, &[(1, 1, 1)]));
}

#[test]
fn each_entry_counts_once_as_acknowledged() {
    let told = [added(0, &[1, 2]), shown(2, ME, How::New, &[1, 2])];
    let check = |acks: &[Event], expected: Option<&str>| {
        let events = [&told[..], acks].concat();
        match expected {
            None => right(&events, rest(&[1, 2], 2, &[])),
            Some(why) => wrong(&events, rest(&[1, 2], 2, &[]), why),
        }
    };
    check(&[acked(4, &[1, 2], 2)], None);
    check(&[acked(4, &[1, 2], 2), acked(4, &[2], 0)], None);
    check(&[acked(4, &[1, 2], 2), acked(4, &[2], 1)], Some("but 3 were counted"));
    check(&[acked(4, &[1, 2], 1)], Some("but 1 were counted"));
    check(&[acked(4, &[1, 2], 1), maybe_acked(&[2])], None);
}

#[test]
fn what_says_how_much_there_is_must_agree() {
    let events = [added(0, &[1, 2]), shown(2, ME, How::New, &[1, 2])];
    let found = || rest(&[1, 2], 2, &[(1, 0, 1), (2, 0, 1)]);
    let spoil = |spoil: &dyn Fn(&mut GroupRest), why: &str| {
        let mut found = found();
        spoil(&mut found.groups[0]);
        wrong(&events, found, why);
    };
    right(&events, found());
    spoil(&|group| group.count = 1, "XINFO GROUPS 1");
    spoil(&|group| group.summary.count = 1, "XPENDING says");
    spoil(&|group| group.summary.ends = Some((id(1), id(1))), "XPENDING says");
    spoil(&|group| group.summary.by_consumer = [(0, 1), (1, 1)].into(), "XPENDING says");
    spoil(&|group| group.consumers = [(0, 1)].into(), "XINFO CONSUMERS says");
    spoil(&|group| group.read = Some(1), "it was told 2 and lacks 0");
    spoil(&|group| group.lag = None, "it was told 2 and lacks 0");
}

#[test]
fn a_round_goes_on_from_what_the_last_one_left() {
    let mut ledger = Ledger::new(true);
    let mut check = |events: &[Event], found: Rest| {
        events.iter().cloned().for_each(|event| ledger.record(event));
        ledger.settle(&[found, nothing(), nothing()]).map(|verdict| (verdict.told, verdict.untold))
    };
    let events = [added(0, &[1, 2, 3]), shown(2, ME, How::New, &[1, 2]), acked(4, &[1], 1)];
    let all = |last, pending: &[(u64, usize, i64)]| rest(&[1, 2, 3], last, pending);
    assert_eq!(check(&events, all(2, &[(2, 0, 1)])).unwrap(), (2, 7));
    let again = [shown(10, ME, How::Again, &[2]), shown(12, ME, How::New, &[3])];
    assert_eq!(check(&again, all(3, &[(2, 0, 2), (3, 0, 1)])).unwrap(), (1, 6));
    let error = check(&[shown(20, ME, How::Claimed, &[1])], all(3, &[(2, 0, 2), (3, 0, 1)]));
    assert!(error.unwrap_err().to_string().contains("1-0 was acknowledged"));
    let error = check(&[], all(3, &[(3, 0, 1)]));
    assert!(error.unwrap_err().to_string().contains("was acknowledged"), "a fault stays one");
}

#[test]
fn a_server_that_keeps_its_promise_passes() {
    let spec = Spec::redis().unwrap().durability(Durability::Always);
    let plan = Plan {
        time: Duration::from_secs(2),
        round_time: Duration::from_secs(1),
        producers: 3,
        consumers: 2,
        restarts: 1,
        ..Plan::new(spec, 1)
    };
    let outcome = run(&plan, &mut |_| {}).unwrap();
    assert!(outcome.verdict.told > 0 && outcome.restarts == 1, "{outcome:?}");
}

#[test]
fn a_server_that_forgets_when_it_is_killed_fails() {
    let spec = Spec::redis().unwrap().durability(Durability::None);
    let plan = Plan { time: Duration::from_secs(1), restarts: 1, ..Plan::new(spec, 2) };
    let error = run(&plan, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("seed 2"), "{error}");
}

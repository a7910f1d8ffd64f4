//! The checker finds what it must, on states made by hand and on a real server that loses data.

use super::*;
use crate::server::Durability;
use std::fs;

fn set(key: &str, value: &str) -> Op {
    Op::Set(key.into(), value.into())
}

fn state(ops: &[Op]) -> State {
    let mut state = State::new();
    for op in ops {
        op.apply(&mut state);
    }
    state
}

/// What is acknowledged, in flight and there; how many of those in flight explain it.
#[track_caller]
fn check(sure: &[Op], in_flight: &[Op], actual: &State, applied: Option<usize>) {
    assert_eq!(explain(&state(sure), in_flight, actual).ok(), applied);
}

#[test]
fn a_first_part_of_what_was_in_flight_may_be_there() {
    let sure = [set("a", "1"), set("b", "1")];
    let in_flight = [set("a", "2"), Op::Rename("a".into(), "c".into()), set("d", "3")];
    for applied in 0..=in_flight.len() {
        let all: Vec<Op> = sure.iter().chain(&in_flight[..applied]).cloned().collect();
        check(&sure, &in_flight, &state(&all), Some(applied));
    }
}

#[test]
fn a_lost_write_is_found() {
    check(&[set("a", "1"), set("b", "1")], &[], &state(&[set("a", "1")]), None);
    check(&[set("a", "1"), set("a", "2")], &[set("c", "3")], &state(&[set("a", "1")]), None);
}

#[test]
fn what_is_in_flight_is_not_applied_out_of_order() {
    check(&[], &[set("a", "1"), set("b", "1")], &state(&[set("b", "1")]), None);
}

#[test]
fn half_an_mset_is_found() {
    let mset = [Op::MSet(vec![("a".into(), b"1".to_vec()), ("b".into(), b"1".to_vec())])];
    check(&[], &mset, &state(&mset), Some(1));
    check(&[], &mset, &state(&[set("a", "1")]), None);
}

#[test]
fn half_a_rename_is_found() {
    let rename = [Op::Rename("a".into(), "b".into())];
    let sure = [set("a", "1"), Op::ExpireAt("a".into(), 4_200_000_000_000)];
    let mut renamed = state(&sure);
    rename[0].apply(&mut renamed);
    check(&sure, &rename, &renamed, Some(1));
    let mut both = state(&sure);
    both.append(&mut renamed);
    check(&sure, &rename, &both, None);
    check(&sure, &rename, &state(&[set("b", "1")]), None);
    check(&sure, &rename, &State::new(), None);
}

#[test]
fn a_repeated_increment_is_found() {
    let once = [Op::Incr("n".into())];
    let twice = [Op::Incr("n".into()), Op::Incr("n".into())];
    check(&once, &[], &state(&once), Some(0));
    check(&once, &[], &state(&twice), None);
}

fn redis_plan(seed: u64) -> Plan {
    let spec = Spec::redis().unwrap().durability(Durability::Always);
    Plan { rounds: 3, round_time: Duration::from_millis(300), connections: 8, ..Plan::new(spec, seed) }
}

#[test]
fn a_server_that_keeps_its_promise_passes() {
    let summary = run(&redis_plan(1), &mut |_, _| Ok(()), &mut |_| {}).unwrap();
    assert!(summary.acknowledged > 0);
}

#[test]
fn a_server_that_loses_the_end_of_its_log_fails() {
    const LOST_BYTES: u64 = 20_000;
    let mut cut_tail = |dir: &Path, _: &mut Rng| -> Result {
        for file in fs::read_dir(dir.join("appendonlydir"))? {
            let path = file?.path();
            if path.to_string_lossy().ends_with(".incr.aof") {
                let file = fs::File::options().write(true).open(&path)?;
                file.set_len(file.metadata()?.len().saturating_sub(LOST_BYTES))?;
            }
        }
        Ok(())
    };
    let error = run(&redis_plan(2), &mut cut_tail, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("acknowledged"), "{error}");
    assert!(error.contains("seed 2"), "{error}");
}

fn change(key: &str, change: Change) -> Op {
    Op::Change(key.into(), change)
}

#[test]
fn a_lost_or_doubled_element_of_a_collection_is_found() {
    let item = |item: &str| item.as_bytes().to_vec();
    let push = |items: &[&str]| change("l", Change::RPush(items.iter().map(|text| item(text)).collect()));
    check(&[push(&["a", "b"])], &[], &state(&[push(&["a", "b"])]), Some(0));
    check(&[push(&["a", "b"])], &[], &state(&[push(&["a"])]), None);
    check(&[push(&["a", "b"])], &[], &state(&[push(&["a", "b", "b"])]), None);
    check(&[push(&["a", "b"])], &[], &state(&[push(&["b", "a"])]), None);
    check(&[], &[push(&["a", "b"])], &state(&[push(&["a"])]), None);
    let add = |names: &[&str]| change("s", Change::SAdd(names.iter().map(|text| item(text)).collect()));
    check(&[add(&["a", "b"])], &[], &state(&[add(&["a"])]), None);
    let score = |by| change("z", Change::ZIncrBy(item("a"), by));
    check(&[score(1)], &[score(1)], &state(&[score(2)]), Some(1));
    check(&[score(1)], &[], &state(&[score(2)]), None);
    let field = |by| change("h", Change::HIncrBy(item("a"), by));
    check(&[field(1), field(1)], &[], &state(&[field(1)]), None);
}

#[test]
fn a_collection_that_was_emptied_is_gone() {
    let push = change("l", Change::LPush(vec![b"a".to_vec(), b"b".to_vec()]));
    check(&[push.clone(), change("l", Change::LPop(5))], &[], &State::new(), Some(0));
    check(&[push, change("l", Change::LTrim(1, 1))], &[], &State::new(), None);
}

#[test]
fn what_a_crash_may_not_do_to_a_stream_is_found() {
    let stream = |what| change("x", Change::Stream(what));
    let add = |id| stream(StreamChange::Add(id, b"v".to_vec()));
    let read = |count| stream(StreamChange::Read { consumer: b"c".to_vec(), count });
    let group = stream(StreamChange::CreateGroup);
    let told = [group.clone(), add(1), add(2), read(1)];
    check(&told, &[], &state(&told), Some(0));
    check(&told, &[read(1)], &state(&[&told[..], &[read(1)]].concat()), Some(1));
    // An entry, what was told, what was acknowledged, and what was counted is lost.
    check(&told, &[], &state(&[group, add(1), read(1)]), None);
    check(&told, &[], &state(&told[..3]), None);
    let acked = [&told[..], &[stream(StreamChange::Ack(vec![1]))]].concat();
    check(&acked, &[], &state(&told), None);
    let deleted = [add(1), add(2), stream(StreamChange::Delete(vec![2]))];
    check(&deleted, &[], &state(&[add(1)]), None);
    check(&[add(1), stream(StreamChange::Trim(0))], &[], &State::new(), None);
    check(&[stream(StreamChange::Trim(0))], &[], &State::new(), Some(0));
}

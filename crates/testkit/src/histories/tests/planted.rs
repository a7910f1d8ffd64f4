//! Histories written by hand. A line is a transaction: when it was sent and answered, its outcome, and its
//! operations: `x+1` appends, `x=1,2` reads, `x#2` is told a length.
//! `first` and `behind` begin and go on with a pipeline.

use super::super::model::{Key, Op, Outcome, Transaction};
use super::super::violation::Class::{G0, G1c, G2, GSingle};
use super::super::violation::Kind::{self, *};
use super::super::{History, Verdict, check};

fn key(word: &str) -> Key {
    Key::from(word.as_bytes()[0] - b'a')
}

fn op(word: &str) -> Op {
    let key = key(word);
    let rest = &word[2..];
    match &word[1..2] {
        "+" => Op::Append(key, rest.parse().unwrap()),
        "#" => Op::Length(key, rest.parse().unwrap()),
        _ => Op::Read(key, rest.split_terminator(',').map(|value| value.parse().unwrap()).collect()),
    }
}

fn transaction(number: usize, line: &str) -> Transaction {
    let mut words = line.split_whitespace();
    let mut next = || words.next().unwrap();
    let (invoked, completed) = (next().parse().unwrap(), next().parse().unwrap());
    let outcome = match next() {
        "ok" => Outcome::Ok,
        "void" => Outcome::Failed,
        _ => Outcome::Unknown,
    };
    let mut words = words.peekable();
    // One client sends all that are sent behind others.
    let behind = words.next_if_eq(&"behind").is_some();
    let client = if behind || words.next_if_eq(&"first").is_some() { 999 } else { number as u32 };
    let ops = words.map(op).collect();
    Transaction { client, form: "by hand", behind, invoked, completed, outcome, ops }
}

/// A line `gone N` says that the server was killed, and back at N.
fn verdict(text: &str) -> Verdict {
    let mut history = History::default();
    for (number, line) in text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        match line.strip_prefix("gone ") {
            Some(now) => history.settle_unknown(now.parse().unwrap()),
            None => _ = history.record(transaction(number, line)),
        }
    }
    check(&history)
}

#[track_caller]
fn good(text: &str) {
    let verdict = verdict(text);
    assert!(verdict.violations.is_empty(), "{}", verdict.violations[0]);
}

/// The first violation is of this kind, and its text says so much.
#[track_caller]
fn bad(text: &str, kind: Kind, says: &[&str]) {
    let verdict = verdict(text);
    let Some(first) = verdict.violations.first() else { panic!("nothing found: {verdict:?}") };
    assert_eq!(first.kind, kind, "{first}");
    let text = first.to_string();
    assert!(says.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn what_one_after_the_other_gives_is_right() {
    good("");
    good("0 1 ok x=\n2 3 ok x+1\n4 5 ok x=1 x+2 x=1,2 y+3\n6 7 ok y=3 x=1,2");
    good("0 1 ok x+1 x+2 x#2\n2 3 ok x#2\n4 5 ok x=1,2");
}

#[test]
fn concurrent_ones_may_come_in_any_order() {
    good("0 10 ok x+1\n1 9 ok x+2\n2 8 ok x=\n3 11 ok x=2\n12 13 ok x=2,1");
    good("0 10 ok x=1 y+2\n5 6 ok x+1 y=\n12 13 ok y=2");
    // Answered and sent at the same moment: nobody knows.
    good("0 10 ok x+1\n10 20 ok x=\n21 22 ok x=1");
}

#[test]
fn what_has_no_answer_may_have_happened_at_any_time_or_never() {
    good("0 1 unknown x+1 y+2\n2 3 ok x= y=\n4 5 ok x= y=");
    good("0 1 unknown x+1 y+2\n2 3 ok x= y=\n4 5 ok x=1 y=2");
    good("0 1 unknown x+1 y+2\n2 3 ok x=\ngone 4\n5 6 ok x=1 y=2");
    good("0 1 void x+1\n2 3 ok x=");
    // Nobody looked, or only at the length.
    good("0 1 ok x+1\n2 3 ok y=");
    good("0 1 ok x+1\n2 3 ok x#1");
    good("0 1 ok x+1\n2 3 ok x=1\n4 5 ok x+2\n6 7 ok x#2 x+3 x#3");
}

#[test]
fn what_has_no_answer_cannot_happen_after_its_server_is_gone() {
    bad("0 1 unknown x+1\ngone 4\n5 6 ok x=\n7 8 ok x=1", RealTime(GSingle), &["A stale read", "no answer"]);
}

#[test]
fn values_that_cannot_be_are_found() {
    bad("0 1 ok x+1\n2 3 ok x=1,2", Unwritten, &["2 is in k23"]);
    bad("0 1 ok x+1 y+2\n2 3 ok x=1,2", Unwritten, &["2 is in k23"]);
    bad("0 1 ok x+1\n2 3 ok x=1,1", Duplicate, &["k23 has 1 twice"]);
    bad("0 1 ok x+1\n2 3 ok x+2\n4 5 ok x=1,2\n6 7 ok x=1,2,1", Duplicate, &["k23 has 1 twice"]);
    bad("0 1 void x+1\n2 3 ok x=1", Aborted, &["1 is in k23", "void at"]);
}

#[test]
fn reads_that_contradict_each_other_are_found() {
    bad("0 9 ok x+1\n0 9 ok x+2\n2 3 ok x=1,2\n4 5 ok x=2,1", Reordered, &["element 0", "[1, 2]", "[2, 1]"]);
    bad("0 9 ok x+1\n0 9 ok x+2\n2 3 ok x=2\n4 5 ok x=1,2", Reordered, &["contradicts others"]);
}

#[test]
fn the_middle_of_a_transaction_is_found() {
    bad("0 9 ok x+1 x+2\n1 8 ok x=1\n10 11 ok x=1,2", Intermediate, &["read up to 1"]);
    bad("0 9 ok x+1 x+2\n1 8 ok x#1\n10 11 ok x=1,2", Intermediate, &["read up to 1"]);
    bad("0 9 unknown x+1 x+2\n10 11 ok x=1", Intermediate, &["no answer"]);
}

#[test]
fn a_transaction_that_contradicts_itself_is_found() {
    bad("0 9 ok x+1 x=\n10 11 ok x=1", Internal, &["its own appends are missing"]);
    bad("0 8 ok x+1 x=1,2\n0 9 ok x+2\n10 11 ok x=1,2", Internal, &["not the last"]);
    bad("0 8 ok x= x=2\n0 9 ok x+2\n10 11 ok x=2", Internal, &["others changed it"]);
    bad("0 8 ok x+1 x#2\n0 9 ok x+2\n10 11 ok x=1,2", Internal, &["not the last"]);
}

#[test]
fn a_lost_append_is_found() {
    bad("0 1 ok x+1\n2 3 ok x+2\n4 5 ok x=2", LostAppend, &["1 is not in k23", "was acknowledged"]);
    bad("0 1 ok x+1\n2 3 ok x=", LostAppend, &["1 is not in k23"]);
    bad("0 1 ok x+1\n2 3 ok x#0", LostAppend, &["1 is not in k23"]);
    let half = "0 1 unknown x+1 y+2\ngone 4\n5 6 ok x=1 y=";
    bad(half, LostAppend, &["2 is not in k24", "took effect in part"]);
}

#[test]
fn a_lost_update_is_found() {
    let lost = "0 9 ok x= x+1\n1 8 ok x= x+2\n10 11 ok x=1,2";
    bad(
        lost,
        Cycle(GSingle),
        &["A lost update", "T1 read k23 without what T0 appended", "its append comes first"],
    );
    let far = "0 9 ok x+3 y+1\n1 8 ok y=1 z+2\n2 7 ok z=2 x=\n10 11 ok x=3 y=1 z=2";
    bad(far, Cycle(GSingle), &["A circle", "T2 read k23 without what T0 appended"]);
}

#[test]
fn read_skew_is_found() {
    bad("0 9 ok x+1 y+2\n1 8 ok x= y=2\n10 11 ok x=1 y=2", Cycle(GSingle), &["read skew"]);
}

#[test]
fn write_skew_is_found() {
    bad("0 9 ok x= y+1\n1 8 ok y= x+2\n10 11 ok x=2 y=1", Cycle(G2), &["write skew"]);
}

#[test]
fn circles_of_appends_are_found() {
    bad("0 9 ok x+1 y+2\n1 8 ok x+3 y+4\n10 11 ok x=1,3\n10 11 ok y=4,2", Cycle(G0), &["dirty write"]);
    bad("0 9 ok x+1 x+2\n1 8 ok x+3\n10 11 ok x=1,3,2", Cycle(G0), &["dirty write"]);
    bad("0 9 ok x+1 y=2\n1 8 ok x=1 y+2", Cycle(G1c), &["Each saw the other's append"]);
}

#[test]
fn what_only_the_clock_shows_is_found() {
    bad("0 1 ok x+1\n2 3 ok x=\n4 5 ok x=1", RealTime(GSingle), &["A stale read", "0.000 ms before"]);
    bad("0 1 ok x+1\n2 3 ok x+2\n4 5 ok x=2,1", RealTime(G0), &["went before one"]);
    bad("0 1 ok x=1\n2 3 ok x+1", RealTime(G1c), &["before its append was sent"]);
    // Two readers disagree on which of two appends came first, by what was over when the second read.
    let far = "0 9 ok x+1\n0 9 ok y+2\n1 2 ok x=1 y=\n3 4 ok x= y=2\n10 11 ok x=1 y=2";
    bad(far, Cycle(G2), &[]);
    let later = "0 20 ok x+1\n1 2 ok x=1\n3 4 ok z+3\n5 6 ok z=3 x=\n21 22 ok x=1 z=3";
    bad(later, RealTime(GSingle), &["T1 before T3"]);
}

#[test]
fn what_the_order_on_a_connection_shows_is_found() {
    good("0 8 ok first x+1\n0 9 ok behind x=1\n0 9 ok behind x+2\n10 11 ok x=1,2");
    let unseen = "0 8 ok first x+1\n0 9 ok behind x=\n10 11 ok x=1";
    bad(unseen, RealTime(GSingle), &["did not see its own append", "T0 before T1: it was sent first"]);
    let over = "0 8 ok first x+1\n0 9 void behind y+3\n0 9 ok behind x+2\n10 11 ok x=2,1";
    bad(over, RealTime(G0), &["T0 before T2: it was sent first"]);
    // Another stretch, which was not sent at once: only the clock counts.
    good("0 8 ok first x+1\n0 9 ok first x=\n10 11 ok x=1");
}

#[test]
fn two_appends_that_nobody_saw_are_in_no_order() {
    good("0 9 ok x= x+1\n10 11 ok y=");
    good("0 9 ok x+1\n0 9 ok x+2\n0 9 ok x=");
    // Both read an empty list and appended to it: whichever is first, the other is wrong.
    bad("0 9 ok x= x+1\n0 9 ok x= x+2", Cycle(G2), &["write skew"]);
}

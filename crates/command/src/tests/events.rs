//! What those are told who hear of changes.

use store::{Changes, KeyChange, KeyState, Kind};

use crate::events::{Classes, events, events_of};
use crate::families::FAMILIES;
use crate::row::flags;
use crate::testing::split;

/// Commands that write, and say nothing of it to those who hear of changes, as in Redis.
const SILENT: &[&str] = &["flushall", "flushdb", "swapdb", "pfdebug", "xack", "xgroup"];

#[test]
fn every_command_that_writes_says_what_it_does() {
    for row in FAMILIES.iter().copied().flatten() {
        let writes = row.flags.has(flags::WRITE);
        let is_silent = SILENT.contains(&row.name);
        assert_eq!(events_of(row.name).is_some(), writes && !is_silent, "{}", row.name);
    }
}

#[test]
fn classes_are_read_and_shown_by_their_letters() {
    let shown = |letters: &str| Classes::parse(letters.as_bytes()).map(Classes::letters);
    for (letters, as_shown) in
        [("", ""), ("gn", "gn"), ("KEA", "AKE"), ("g$lshzxetdKE", "AKE"), ("mnKA", "AnKm"), ("EKx", "xKE")]
    {
        assert_eq!(shown(letters).as_deref(), Some(as_shown));
    }
    assert_eq!(shown("KEq"), None);
}

fn state(expiry_ms: Option<u64>) -> Option<KeyState> {
    Some(KeyState { kind: Kind::String, expiry_ms })
}

fn change(key: &str, before: Option<KeyState>, after: Option<KeyState>) -> KeyChange {
    KeyChange { database: 0, key: key.into(), before, after, had_expired: false }
}

fn said(line: &str, keys: Vec<KeyChange>) -> Vec<(String, &'static str)> {
    let args = split(line);
    let args = args.as_args();
    let name = String::from_utf8_lossy(args.get(0)).to_ascii_lowercase();
    let changes = Changes { keys, ..Changes::default() };
    let events = events(events_of(&name).unwrap(), &args, changes);
    events.into_iter().map(|event| (String::from_utf8(event.key.1).unwrap(), event.name)).collect()
}

fn pairs(of: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    of.iter().map(|(key, name)| ((*key).to_owned(), *name)).collect()
}

#[test]
fn a_key_that_is_gone_with_its_last_element_is_said_to_be() {
    let there = state(None);
    assert_eq!(said("LPOP l", vec![change("l", there, there)]), pairs(&[("l", "lpop")]));
    assert_eq!(said("LPOP l", vec![change("l", there, None)]), pairs(&[("l", "lpop"), ("l", "del")]));
    assert_eq!(said("SINTERSTORE d a", vec![change("d", there, None)]), pairs(&[("d", "del")]));
    assert_eq!(said("SADD s 1", vec![change("s", None, there)]), pairs(&[("s", "new"), ("s", "sadd")]));
}

#[test]
fn what_has_expired_is_said_before_what_comes_in_its_place() {
    let mut late = change("k", None, state(Some(9)));
    late.had_expired = true;
    let expected = [("k", "expired"), ("k", "new"), ("k", "set"), ("k", "expire")];
    assert_eq!(said("SET k v PX 9", vec![late]), pairs(&expected));
}

#[test]
fn two_keys_are_told_in_the_order_of_redis() {
    let there = state(None);
    let moved = || vec![change("a", there, None), change("b", None, there)];
    let expected = [("b", "new"), ("b", "lpush"), ("a", "rpop"), ("a", "del")];
    assert_eq!(said("LMOVE a b RIGHT LEFT", moved()), pairs(&expected));
    assert_eq!(said("RPOPLPUSH a b", moved()), pairs(&expected));
    let expected = [("b", "new"), ("a", "rename_from"), ("b", "rename_to")];
    assert_eq!(said("RENAME a b", moved()), pairs(&expected));
    let expected = [("a", "srem"), ("a", "del"), ("b", "new"), ("b", "sadd")];
    assert_eq!(said("SMOVE a b x", moved()), pairs(&expected));
    let twice = vec![change("a", None, there), change("b", there, there)];
    let expected = [("a", "new"), ("a", "set"), ("b", "set"), ("a", "set")];
    assert_eq!(said("MSET a 1 b 2 a 3", twice), pairs(&expected));
}

#[test]
fn the_name_may_depend_on_the_arguments() {
    let changed = || vec![change("k", state(None), state(None))];
    for (line, name) in [
        ("ZADD k NX INCR 1 m", "zincr"),
        ("ZADD k 1 incr", "zadd"),
        ("LMPOP 1 k RIGHT", "rpop"),
        ("BLMPOP 0 1 k LEFT", "lpop"),
        ("ZMPOP 1 k MIN", "zpopmin"),
        ("BZMPOP 0 2 k j MAX", "zpopmax"),
    ] {
        assert_eq!(said(line, changed()), pairs(&[("k", name)]), "{line}");
    }
}

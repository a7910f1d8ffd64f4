//! Large records of which a part changes: the log says the part, the store holds the whole.

use proptest::prelude::*;

use super::*;

/// So much that what has been written is still in memory.
const CACHE_BYTES: usize = 64 << 20;

fn value(len: usize) -> String {
    (0..len).map(|at| char::from(b'a' + (at * 7 % 26) as u8)).collect()
}

#[test]
fn a_small_change_of_a_large_record_is_a_small_entry() {
    let fixture = Fixture::open(tempfile::tempdir().unwrap(), CACHE_BYTES);
    let text = value(20_000);
    fixture.set("k", &text);
    let before = fixture.logged();
    let mut changed = text.clone();
    for at in [0, 777, 19_999] {
        changed.replace_range(at..=at, "-");
        fixture.set("k", &changed);
        fixture.drain();
    }
    let entries = fixture.logged() - before;
    assert!(entries < 1000, "{entries} bytes for three changed bytes");
    // What is all new is written whole.
    fixture.set("k", &text.to_uppercase());
    assert!(fixture.logged() - before > 20_000);
    let fixture = Fixture::open(fixture.close(), 1 << 20);
    assert_eq!(fixture.get("k"), Some(text.to_uppercase()));
}

#[test]
fn what_is_kept_to_be_compared_counts_as_waiting() {
    let fixture = Fixture::open(tempfile::tempdir().unwrap(), CACHE_BYTES);
    let text = value(20_000);
    fixture.set("k", &text);
    fixture.set("l", &text);
    fixture.drain();
    let waiting = || fixture.group.sequencer.waiting_bytes();
    let held = fixture.hold.lock();
    fixture.set("other", "in flight");
    while waiting() > 0 {
        std::thread::yield_now();
    }
    fixture.set("k", &text.replacen('a', "-", 1));
    assert!(waiting() > 40_000, "{}", waiting());
    let before = waiting();
    // Nothing is compared with what is small.
    fixture.set("l", "short");
    assert!(waiting() < before + 1000, "{}", waiting());
    drop(held);
    fixture.drain();
    assert_eq!(waiting(), 0);
}

#[test]
fn a_sorted_set_logs_what_changes_in_its_leaves() {
    let fixture = Fixture::open(tempfile::tempdir().unwrap(), CACHE_BYTES);
    fixture.group.shapes.zset_max_listpack_entries.set(1);
    let add = |member: String, score: f64| {
        fixture.inline(|txn| {
            txn.sorted_set_or_new(b"z", 1, member.len()).map_err(stop)?.put(member.as_bytes(), score, None)
        })
    };
    // Not in order: leaves have room.
    for at in (0..5000).map(|at| at * 1237 % 5000) {
        add(format!("member:{at:06}"), f64::from(at)).result.unwrap();
    }
    let before = fixture.logged();
    for at in 0..100 {
        add(format!("new:{at:06}"), f64::from(at * 50) + 0.5).result.unwrap();
        fixture.drain();
    }
    let bytes = (fixture.logged() - before) / 100;
    assert!(bytes < 600, "{bytes} bytes for each new member");
    let fixture = Fixture::open(fixture.close(), 1 << 20);
    let mut found = Vec::new();
    fixture
        .heavy(|txn| {
            found.clear();
            let mut set = txn.sorted_set(b"z").map_err(stop)?.unwrap();
            set.walk_ranks(0..5100, false, &mut |_, score| {
                found.push(score);
                Flow::More
            })
        })
        .result
        .unwrap();
    assert!(found.len() == 5100 && found.is_sorted());
}

#[derive(Clone, Debug)]
enum Step {
    /// Replaces a part of a value.
    Change {
        key: u8,
        at: usize,
        len: usize,
        with: String,
    },
    Delete(u8),
    /// Everything goes to the store.
    Drain,
    Reopen,
    NextEpoch,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3_u8, 0..4000_usize, 0..400_usize, "[x-z]{0,400}")
            .prop_map(|(key, at, len, with)| Step::Change { key, at, len, with }),
        1 => (0..3_u8).prop_map(Step::Delete),
        2 => Just(Step::Drain),
        1 => Just(Step::Reopen),
        1 => Just(Step::NextEpoch),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn whatever_changes_the_store_holds_it(steps in prop::collection::vec(step(), 1..40), tiny: bool) {
        let cache = if tiny { 1 } else { 1 << 20 };
        let mut fixture = Fixture::open(tempfile::tempdir().unwrap(), cache);
        let mut model: [Option<String>; 3] = Default::default();
        for step in steps {
            match step {
                Step::Change { key, at, len, with } => {
                    let held = &mut model[usize::from(key)];
                    let text = held.get_or_insert_with(|| value(3000 + usize::from(key)));
                    let at = at.min(text.len());
                    text.replace_range(at..(at + len).min(text.len()), &with);
                    fixture.set(&key.to_string(), text);
                }
                Step::Delete(key) => {
                    model[usize::from(key)] = None;
                    fixture.inline(|txn| txn.remove(key.to_string().as_bytes())).result.unwrap();
                }
                Step::Drain => fixture.drain(),
                Step::NextEpoch => {
                    fixture.drain();
                    fixture.next_epoch();
                }
                Step::Reopen => {
                    fixture.drain();
                    fixture = Fixture::open(fixture.close(), cache);
                }
            }
        }
        fixture.drain();
        let fixture = Fixture::open(fixture.close(), cache);
        for (key, expected) in (0..).zip(model) {
            let key: u8 = key;
            prop_assert_eq!(fixture.get(&key.to_string()), expected);
        }
    }
}

//! What others do between the look at a stretch of members and its move.

use super::*;
use crate::keys;
use crate::moving::{Step, Stretch};
use crate::record::RowKey;
use crate::txn::Meter;
use crate::view::View;

/// Moves a stretch, and has others write after it was looked at and after that was caught up with.
fn step_between(fixture: &Fixture, writes: [&dyn Fn(); 2]) -> Step {
    let (group, cancel) = (&*fixture.group, Cancel::default());
    let (begin, pinned) = group.pin(&cancel).unwrap();
    let mut key = Vec::new();
    keys::key_record(&mut key, begin.seed, keys::Space(0), b"h");
    let (since, mut scratch) = (pinned.batch, Scratch::default());
    let mut txn = Txn::new(group, View::Pinned(pinned), begin, Meter::unlimited(), 0, &mut scratch);
    let mut stretch = Stretch::look(&mut txn, &RowKey::from(key), since).unwrap().unwrap();
    writes[0]();
    assert!(stretch.catch_up(group).unwrap());
    writes[1]();
    let done = group.run_bounded(&mut Scratch::default(), |txn| stretch.take(txn));
    done.unwrap().result.unwrap()
}

#[test]
fn what_is_written_between_the_look_and_the_move_moves_as_well() {
    // All in one step; and in steps that turn out to be too long.
    for members in [1_000, 5] {
        for stored in [false, true] {
            let fixture = opened(tempfile::tempdir().unwrap(), Some(Bounds { members, ..SMALL }));
            fixture.inline(|txn| set(txn, &names(0..220), "v")).result.unwrap();
            fixture.inline(|txn| remove(txn, &names(20..220))).result.unwrap();
            let write = |first: usize, value: &str| {
                fixture.inline(|txn| set(txn, &names(first..first + 100), value)).result.unwrap();
                fixture.inline(|txn| remove(txn, &names(first + 50..first + 100))).result.unwrap();
                fixture.inline(|txn| set(txn, &names(first / 100..first / 100 + 3), value)).result.unwrap();
                fixture.inline(|txn| remove(txn, &names(first / 100 + 5..first / 100 + 6))).result.unwrap();
                if stored {
                    fixture.drain();
                }
            };
            let step = step_between(&fixture, [&|| write(1_000, "a"), &|| write(1_300, "b")]);
            let Step::Moved { members: moved, finished } = step else { panic!("{step:?}") };
            assert_eq!((finished, moved), if members == 5 { (false, 10) } else { (true, 119) });
            let found = fixture.heavy(|txn| walked(txn, "h")).result.unwrap();
            // One of those that the first write removes comes back with the second.
            assert_eq!(found.len(), 20 - 1 + 2 * 50);
            let of = |value: &str| found.values().filter(|found| *found == value).count();
            assert_eq!((of("a"), of("b"), of("v")), (53, 53, 13));
            finish(&fixture, "h");
            assert_eq!(fixture.heavy(|txn| walked(txn, "h")).result.unwrap(), found);
        }
    }
}

#[test]
fn what_was_looked_at_in_another_epoch_is_not_moved() {
    let fixture = crowded();
    fixture.drain();
    let step = step_between(&fixture, [&|| (), &|| fixture.next_epoch()]);
    assert_eq!(step, Step::Later);
    finish(&fixture, "h");
}

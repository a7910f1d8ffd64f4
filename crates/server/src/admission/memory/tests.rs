//! What is decided, without a process to look at.

use super::*;

const MIB: u64 = 1 << 20;
const THRESHOLDS: Thresholds = Thresholds { soft_bytes: 800 * MIB, hard_bytes: 1000 * MIB };

#[test]
fn pressure_rises_at_once_and_falls_a_little_later() {
    use Pressure::{Critical, None, Short, Tight};
    for (mib, was, expected) in [
        (100, None, None),
        (719, None, None),
        (720, None, Tight),
        (799, None, Tight),
        (800, None, Short),
        (999, None, Short),
        (1000, None, Critical),
        (u64::MAX / MIB, None, Critical),
        (999, Critical, Critical),
        (951, Critical, Critical),
        (949, Critical, Short),
        (799, Short, Short),
        (761, Critical, Short),
        (759, Short, Tight),
        (700, Tight, Tight),
        (680, Short, None),
        (0, Critical, None),
    ] {
        assert_eq!(decide(&THRESHOLDS, mib * MIB, was), expected, "{mib} {was:?}");
    }
    let off = Thresholds::default();
    assert_eq!(decide(&off, u64::MAX, Critical), None);
    // Without a hard one the soft one counts all the same.
    assert_eq!(decide(&Thresholds { hard_bytes: 0, ..THRESHOLDS }, u64::MAX, None), Short);
}

#[test]
fn thresholds_follow_from_what_there_is() {
    for (soft, hard, available, expected) in [
        (None, None, Some(1000), Ok((720, 900))),
        (None, Some(500), Some(1000), Ok((400, 500))),
        (Some(300), None, Some(1000), Ok((300, 900))),
        (Some(300), Some(300), None, Ok((300, 300))),
        (None, None, None, Ok((0, 0))),
        (None, Some(0), Some(1000), Ok((0, 0))),
        (Some(0), Some(100), Some(1000), Ok((0, 100))),
        (Some(901), None, Some(1000), Err(())),
    ] {
        let found = Thresholds::new(soft, hard, available);
        let found = found.map(|t| (t.soft_bytes, t.hard_bytes)).map_err(|_| ());
        assert_eq!(found, expected, "{soft:?} {hard:?} {available:?}");
    }
}

#[test]
fn the_fattest_go_first_and_no_more_than_needed() {
    let holder = |client, kib: u64| Holder { client, bytes: kib << 10, is_spared: false };
    let holders = [holder(1, 300), holder(2, 9_000), holder(3, 5_000), holder(4, 5_000), holder(5, 10)];
    let spared = Holder { is_spared: true, ..holder(6, 100_000) };
    for (excess_kib, expected) in [
        (0, &[][..]),
        (1, &[2]),
        (9_000, &[2]),
        (9_001, &[2, 3]),
        (14_001, &[2, 3, 4]),
        (1 << 40, &[2, 3, 4, 1]),
    ] {
        let all = holders.iter().copied().chain([spared]).collect();
        let chosen: Vec<_> = choose(all, excess_kib << 10).iter().map(|holder| holder.client).collect();
        assert_eq!(chosen, expected, "{excess_kib}");
    }
}

#[test]
fn buffers_that_grow_make_memory_short_before_the_next_look() {
    let memory = Memory::default();
    memory.set_thresholds(THRESHOLDS);
    memory.buffers_changed(0, 50 * MIB);
    assert_eq!(memory.look(700 * MIB), Pressure::None);
    memory.buffers_changed(50 * MIB, 150 * MIB);
    assert_eq!((memory.is_short(), memory.buffers_bytes()), (false, 150 * MIB));
    memory.buffers_changed(0, 1);
    assert!(memory.is_short());
    memory.buffers_changed(150 * MIB, 0);
    memory.buffers_changed(1, 0);
    assert_eq!((memory.is_short(), memory.buffers_bytes()), (true, 0), "until it is looked at");
    assert_eq!(memory.look(600 * MIB), Pressure::None);
    assert_eq!(memory.stats.shortages.load(Relaxed), 1);
}

#[test]
fn running_work_holds_a_part_of_what_is_left() {
    let memory = Memory::default();
    memory.set_thresholds(THRESHOLDS);
    memory.look(700 * MIB);
    let takes = |mib: u64| memory.take(mib * MIB);
    assert_eq!([takes(30), takes(30), takes(20), takes(1)], [true, false, true, false]);
    assert_eq!((memory.is_short(), memory.stats.busy.load(Relaxed)), (false, 2), "others go on");
    memory.look(730 * MIB);
    assert_eq!(
        [takes(10), takes(1)],
        [true, false],
        "what it holds is resident, and its replies are to come"
    );
    memory.give_back(60 * MIB);
    memory.buffers_changed(0, 60 * MIB);
    assert_eq!((takes(31), takes(30), takes(1)), (false, true, false), "clients have the replies");
    assert!(!memory.is_short());
    memory.buffers_changed(0, 41 * MIB);
    assert!(memory.is_short(), "what is left is there once");
    memory.give_back(30 * MIB);
    memory.look(800 * MIB);
    assert_eq!((takes(1), memory.work_bytes()), (false, 0));
    memory.set_thresholds(Thresholds::default());
    assert!(takes(1 << 30));
}

#[test]
fn what_does_not_become_more_serves_what_comes_next() {
    let memory = Memory::default();
    memory.set_thresholds(THRESHOLDS);
    let looks = |mib: &[u64]| mib.iter().map(|mib| (memory.look(mib * MIB), memory.is_short()).1).collect();
    let still = |mib: u64, from: u32, count: u32| {
        (from..from + count)
            .map(|look| (memory.look(mib * MIB), (look, memory.is_short())).1)
            .collect::<Vec<_>>()
    };
    assert!(still(820, 0, limits::MEMORY_STILL_LOOKS).iter().all(|(_, is_short)| *is_short));
    let found: Vec<bool> = looks(&[820, 810, 815, 827, 830]);
    assert_eq!(found, [false, false, false, true, true], "it has become more");
    assert!(still(830, 0, limits::MEMORY_STILL_LOOKS).last().is_some_and(|(_, is_short)| !is_short));
    memory.buffers_changed(0, 11 * MIB);
    assert!(memory.is_short(), "that is more than what may be used again");
    memory.buffers_changed(11 * MIB, 0);
    // Far above the threshold nothing is taken for granted.
    assert!(still(850, 0, 100).iter().all(|(_, is_short)| *is_short));
    let found: Vec<bool> = looks(&[1_000, 100]);
    assert_eq!(found, [true, false]);
}

#[test]
fn clients_are_disconnected_with_pauses_unless_it_is_critical() {
    let memory = Memory::default();
    memory.set_thresholds(THRESHOLDS);
    let start = Instant::now();
    let later = |ms| start + Duration::from_millis(ms);
    memory.look(780 * MIB);
    assert_eq!(memory.excess(start), None);
    memory.look(860 * MIB);
    assert_eq!(memory.excess(start), Some(100 * MIB));
    assert_eq!(memory.excess(later(limits::EVICTION_PAUSE_MS - 1)), None);
    assert_eq!(memory.excess(later(limits::EVICTION_PAUSE_MS)), Some(100 * MIB));
    memory.look(1000 * MIB);
    assert_eq!(memory.excess(later(limits::EVICTION_PAUSE_MS)), Some(240 * MIB));
    memory.set_thresholds(Thresholds::default());
    assert_eq!(memory.excess(later(9_999)), None);
    let flushes = [0, 1_999, 2_000].map(|ms| memory.should_flush(later(ms)));
    assert_eq!(flushes, [true, false, true]);
}

#[test]
fn without_a_soft_threshold_no_more_is_freed_than_the_hard_one_needs() {
    let memory = Memory::default();
    memory.set_thresholds(Thresholds { soft_bytes: 0, ..THRESHOLDS });
    memory.look(999 * MIB);
    assert_eq!(memory.excess(Instant::now()), None);
    memory.look(1010 * MIB);
    assert_eq!(memory.excess(Instant::now()), Some(60 * MIB));
}

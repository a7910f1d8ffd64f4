//! The table by itself: what views see, what stays and what goes.

use super::*;

const FREE: Keep = Keep { views: None, everywhere: Stamp::MAX, stored: Stamp::MAX };

fn loaded(value: Option<Value>) -> Seen {
    Seen { version: Stamp::ZERO, value, place: Place::UNKNOWN }
}

fn value(text: &str) -> Option<Value> {
    Some(Value::from(text.as_bytes()))
}

fn text(seen: Option<Seen>) -> Option<String> {
    seen?.value.map(|v| String::from_utf8_lossy(&v).into_owned())
}

#[test]
fn the_newest_write_is_seen() {
    let table = Table::new(1 << 20, 1);
    let at = table.hash(b"k");
    assert!(table.newest(at).is_none());
    table.write(at, Stamp(1), value("a"), Listed::default(), FREE);
    table.write(at, Stamp(2), value("b"), Listed::default(), FREE);
    assert_eq!(text(table.newest(at)), Some("b".into()));
    assert!(table.as_of(at, Stamp(1)).is_none(), "nobody had pinned the older version");
}

#[test]
fn a_pinned_view_keeps_its_versions() {
    let table = Table::new(1 << 20, 1);
    let at = table.hash(b"k");
    let keep = Keep { views: Some((Stamp(1), Stamp(1))), everywhere: Stamp::ZERO, stored: Stamp::ZERO };
    table.write(at, Stamp(1), value("a"), Listed::default(), keep);
    table.write(at, Stamp(2), value("b"), Listed::default(), keep);
    table.write(at, Stamp(3), None, Listed::default(), keep);
    assert_eq!(text(table.as_of(at, Stamp(1))), Some("a".into()));
    assert!(table.newest(at).unwrap().value.is_none());
    table.write(at, Stamp(4), value("d"), Listed::default(), FREE);
    assert!(table.as_of(at, Stamp(1)).is_none());
}

#[test]
fn dirty_rows_stay_and_clean_ones_go() {
    let table = Table::new(64 * 4096, 1);
    let keep = Keep { views: None, everywhere: Stamp(1_000), stored: Stamp(1_000) };
    for i in 0..20_000u64 {
        let key = i.to_be_bytes();
        table.write(table.hash(&key), Stamp(i), value("0123456789"), Listed::default(), keep);
    }
    for i in 1_001..20_000u64 {
        assert!(table.newest(table.hash(&i.to_be_bytes())).is_some(), "{i} is dirty");
    }
    let keep = FREE;
    for i in 20_000..80_000u64 {
        let key = i.to_be_bytes();
        table.write(table.hash(&key), Stamp(i), value("0123456789"), Listed::default(), keep);
    }
    // Their places are given up now and then, not at each write.
    (0..20).for_each(|_| table.trim(FREE));
    let (_, bytes) = table.size();
    // Some places of each shard may be free: fewer than two chunks.
    assert!(bytes <= 64 * (4096 + 200 + 2 * 4096), "{bytes} bytes");
}

#[test]
fn a_view_that_lasts_does_not_keep_what_was_written_after_it() {
    let table = Table::new(64 * 4096, 1);
    let view = (Stamp(10), Stamp(10));
    let keep = Keep { views: Some(view), everywhere: Stamp(10), stored: Stamp::MAX };
    for i in 11..20_000u64 {
        let key = i.to_be_bytes();
        table.write(table.hash(&key), Stamp(i), value("0123456789"), Listed::default(), keep);
    }
    table.trim(keep);
    let (_, bytes) = table.size();
    assert!(bytes <= 64 * (4096 + 2 * 4096), "{bytes} bytes");
    // What it sees and is not in its snapshot stays, however old.
    let table = Table::new(64 * 4096, 1);
    let keep = Keep { everywhere: Stamp(5), ..keep };
    table.write(table.hash(b"k"), Stamp(7), value("seen"), Listed::default(), keep);
    table.write(table.hash(b"k"), Stamp(11), value("later"), Listed::default(), keep);
    for i in 12..20_000u64 {
        let key = i.to_be_bytes();
        table.write(table.hash(&key), Stamp(i), value("0123456789"), Listed::default(), keep);
    }
    table.trim(keep);
    assert_eq!(text(table.as_of(table.hash(b"k"), Stamp(10))), Some("seen".into()));
}

#[test]
fn what_was_loaded_later_is_not_taken_for_what_a_view_sees() {
    let table = Table::new(1 << 20, 1);
    let seen = Seen { version: Stamp(20), ..loaded(value("later")) };
    table.fill(table.hash(b"k"), &seen, FREE, || true);
    assert!(table.as_of(table.hash(b"k"), Stamp(10)).is_none(), "its snapshot knows");
    assert_eq!(text(table.as_of(table.hash(b"k"), Stamp(20))), Some("later".into()));
}

#[test]
fn a_view_pinned_while_somebody_evicts_loses_nothing() {
    let table = Table::new(0, 1);
    let before = Keep { views: None, everywhere: Stamp(5), stored: Stamp(5) };
    let pinned = Keep { views: Some((Stamp(10), Stamp(10))), ..before };
    table.write(table.hash(b"k"), Stamp(7), value("seen"), Listed::default(), pinned);
    table.write(table.hash(b"k"), Stamp(11), value("later"), Listed::default(), pinned);
    table.trim(before);
    assert_eq!(text(table.as_of(table.hash(b"k"), Stamp(10))), Some("seen".into()));
}

#[test]
fn what_was_just_loaded_is_there_however_small_the_table() {
    let table = Table::new(0, 1);
    for i in 0..1_000u64 {
        let key = i.to_be_bytes();
        table.fill(table.hash(&key), &loaded(value("0123456789")), FREE, || true);
        assert!(table.newest(table.hash(&key)).is_some(), "{i}");
    }
}

#[test]
fn a_stale_fill_is_not_taken() {
    let table = Table::new(1 << 20, 1);
    let at = table.hash(b"k");
    table.fill(at, &loaded(value("old")), FREE, || false);
    assert!(table.newest(at).is_none());
    table.write(at, Stamp(5), value("new"), Listed::default(), FREE);
    table.fill(at, &loaded(value("old")), FREE, || true);
    assert_eq!(text(table.newest(at)), Some("new".into()));
}

#[test]
fn a_view_does_not_take_an_old_version_for_one_that_its_snapshot_holds() {
    let table = Table::new(1 << 20, 1);
    let at = table.hash(b"k");
    let first = Keep { views: Some((Stamp(3), Stamp(3))), everywhere: Stamp(1), stored: Stamp(1) };
    table.write(at, Stamp(2), value("first"), Listed::default(), first);
    table.write(at, Stamp(4), value("second"), Listed::default(), first);
    assert_eq!(text(table.as_of(at, Stamp(3))), Some("first".into()));
    // Another view, whose snapshot holds the second.
    let other = Keep { views: Some((Stamp(10), Stamp(10))), everywhere: Stamp(6), stored: Stamp(6) };
    table.write(at, Stamp(12), value("third"), Listed::default(), other);
    assert!(table.as_of(at, Stamp(10)).is_none(), "its snapshot knows");
}

#[test]
fn a_table_that_shrinks_gives_up_its_places_and_finds_what_stays() {
    let bound = 8 << 20;
    let table = Table::new(bound, 1);
    let key = |at: u64| at.to_be_bytes();
    for at in 0..100_000 {
        table.write(table.hash(&key(at)), Stamp(at), value("0123456789"), Listed::default(), FREE);
    }
    let places = || table.shards.iter().map(|shard| shard.lock().rows.len()).sum::<usize>();
    let full = places();
    // Some of them must stay, wherever they are.
    let keep = Keep { views: None, everywhere: Stamp(99_000), stored: Stamp(99_000) };
    for _ in 0..100 {
        table.shrink(keep);
    }
    let (rows, bytes) = table.size();
    assert!(bytes <= bound / 2 + bound / 2 / FREE_PART + 64 * 2 * 4096, "{bytes}");
    assert!(places() <= full * 2 / 3 && rows > full / 3, "{rows} rows, {} places of {full}", places());
    let found = (0..100_000).filter(|at| {
        let seen = table.newest(table.hash(&key(*at)));
        assert!(seen.is_some() || *at <= 99_000, "{at} had to stay");
        seen.is_some_and(|seen| seen.version == Stamp(*at))
    });
    assert_eq!(found.count(), rows);
    // And it grows again.
    for at in 0..100_000 {
        table.write(table.hash(&key(at)), Stamp(200_000 + at), value("x"), Listed::default(), FREE);
    }
    assert_eq!(text(table.newest(table.hash(&key(99_999)))), Some("x".into()));
    assert!(places() <= full + 64 * CHUNK, "{} places of {full}", places());
}

#[test]
fn what_is_rounded_up_counts() {
    for (bytes, expected) in [
        (16, 16),
        (17, 32),
        (64, 64),
        (65, 80),
        (100, 112),
        (16_384, 16_384),
        (16_400, 20_480),
        (40_000, 40_960),
    ] {
        assert_eq!(allocated(bytes), expected, "{bytes}");
    }
}

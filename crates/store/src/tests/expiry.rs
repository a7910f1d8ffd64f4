//! Active expiry, with a clock turned by hand.

use super::*;

fn put_expiring(fixture: &Fixture, key: &str, at: u64) {
    let done = fixture.inline(|txn| txn.put(key.as_bytes(), Kind::String, Encoding::Plain, Some(at), b"v"));
    done.result.unwrap();
}

/// Expiry believes a jump of the clock only gradually: time passes in small steps here.
fn pass(fixture: &Fixture, ms: u64) {
    for _ in 0..ms.div_ceil(400) {
        fixture.clock.advance(400);
        fixture.group.turn_clock();
    }
}

fn expire(fixture: &Fixture) -> u64 {
    let mut scratch = Scratch::default();
    let mut keys = 0;
    loop {
        let mut slices = 0..2;
        let mut goes_on = || slices.next().is_some();
        let expired = fixture.group.expire(&mut scratch, &mut goes_on, &mut |_, _| Ok(())).unwrap();
        keys += expired.keys;
        if !expired.more {
            return keys;
        }
    }
}

#[test]
fn keys_go_when_their_time_has_come_and_not_before() {
    let fixture = Fixture::new();
    let now = fixture.group.now_ms();
    for i in 0..500 {
        put_expiring(&fixture, &format!("k{i}"), now + 1_000 + i);
    }
    put_expiring(&fixture, "later", now + 100_000);
    assert_eq!(expire(&fixture), 0);
    fixture.drain();
    pass(&fixture, 2_000);
    assert_eq!(fixture.get("k0"), None, "an expired key is missing before it is removed");
    assert_eq!(fixture.group.database_counts()[0].keys, 501);
    assert_eq!(expire(&fixture), 500);
    let counts = fixture.group.database_counts()[0];
    assert_eq!((counts.keys, counts.expires), (1, 1));
    assert_eq!(expire(&fixture), 0);
}

#[test]
fn a_key_whose_expiry_moved_stays() {
    let fixture = Fixture::new();
    let now = fixture.group.now_ms();
    put_expiring(&fixture, "k", now + 1_000);
    put_expiring(&fixture, "k", now + 50_000);
    fixture.set("p", "no expiry");
    pass(&fixture, 2_000);
    assert_eq!(expire(&fixture), 0);
    assert_eq!(fixture.get("k").as_deref(), Some("v"));
}

#[test]
fn a_flushed_database_does_not_hold_up_the_others() {
    let fixture = Fixture::new();
    let now = fixture.group.now_ms();
    for i in 0..300 {
        put_expiring(&fixture, &format!("k{i}"), now + 100);
    }
    fixture.inline(|txn| txn.flush(0)).result.unwrap();
    put_expiring(&fixture, "new", now + 200);
    pass(&fixture, 1_000);
    assert_eq!(expire(&fixture), 1);
    assert_eq!(fixture.group.database_counts()[0].keys, 0);
}

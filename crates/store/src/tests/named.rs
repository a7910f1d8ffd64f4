//! Named records: as durable and as ordered as what keys hold.

use super::*;
use crate::txn::named::{Area, Index};

fn set(fixture: &Fixture, area: Area, name: &str, value: Option<&str>) -> bool {
    let value = value.map(|value| value.as_bytes().to_vec());
    fixture.inline(|txn| txn.set_named(area, name.as_bytes(), value.clone())).result.unwrap()
}

fn all(fixture: &Fixture, area: Area) -> (u64, Vec<(String, String)>) {
    let read = |txn: &mut Txn<'_>| Ok::<_, Stop>((txn.area_version(area)?, txn.area_records(area)?));
    let (version, records) = fixture.inline(read).result.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (version, records.iter().map(|(name, value)| (text(name), text(value))).collect())
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn areas_list_what_they_hold_and_say_when_it_changes() {
    let fixture = Fixture::new();
    assert_eq!(all(&fixture, Area::Users), (0, Vec::new()));
    assert!(!set(&fixture, Area::Users, "b", Some("1")));
    assert!(!set(&fixture, Area::Users, "a", Some("2")));
    assert!(set(&fixture, Area::Users, "b", Some("3")));
    assert!(!set(&fixture, Area::Users, "c", None), "what is not there is not removed");
    assert_eq!(all(&fixture, Area::Users), (3, pairs(&[("a", "2"), ("b", "3")])));
    assert_eq!(all(&fixture, Area::Functions), (0, Vec::new()));
    assert!(set(&fixture, Area::Users, "a", None));
    assert_eq!(all(&fixture, Area::Users), (4, pairs(&[("b", "3")])));
    fixture.inline(|txn| txn.clear_area(Area::Users)).result.unwrap();
    assert_eq!(all(&fixture, Area::Users), (5, Vec::new()));
}

#[test]
fn they_are_found_again_and_are_no_keys() {
    let fixture = Fixture::new();
    set(&fixture, Area::Functions, "f", Some("code"));
    fixture.inline(|txn| txn.flush(0)).result.unwrap();
    assert!(fixture.group.database_counts().iter().all(|counts| counts.keys == 0));
    fixture.drain();
    let fixture = Fixture::open(fixture.close(), 1 << 20);
    assert_eq!(all(&fixture, Area::Functions), (1, pairs(&[("f", "code")])));
}

#[test]
fn an_index_that_is_damaged_is_refused() {
    let index = Index { version: 7, names: vec![b"a".to_vec(), b"bc".to_vec()] };
    let bytes = index.encode();
    assert_eq!(Index::decode(&bytes), Ok(index));
    assert!(Index::decode(&bytes[..bytes.len() - 1]).is_err());
    assert!(Index::decode(&bytes[..3]).is_err());
}

#[test]
fn attempts_within_attempts_are_undone_by_themselves_or_together() {
    let fixture = Fixture::new();
    let set = |txn: &mut Txn<'_>, value: &str| put(txn, "k", value).map_err(Failed::from);
    let get = |txn: &mut Txn<'_>| Ok::<_, Failed>(txn.get(b"k")?.map(|found| found.payload().to_vec()));
    let f = |txn: &mut Txn<'_>| {
        set(txn, "1")?;
        let outer: Result<(), Failed> = txn.attempt(|txn| {
            set(txn, "2")?;
            let inner: Result<(), Failed> = txn.attempt(|txn| {
                set(txn, "3")?;
                Err(Failed::Own)
            });
            assert!(inner.is_err());
            assert_eq!(get(txn)?.as_deref(), Some(&b"2"[..]), "only the inner one is undone");
            txn.attempt(|txn| set(txn, "4"))?;
            Err(Failed::Own)
        });
        assert!(outer.is_err());
        assert_eq!(get(txn)?.as_deref(), Some(&b"1"[..]), "what went well within is undone, too");
        Ok::<_, Failed>(())
    };
    fixture.group.run_inline(0, &mut Scratch::default(), f).unwrap().result.unwrap();
    assert_eq!(fixture.get("k"), Some("1".into()));
}

#[test]
fn a_program_has_so_many_steps_on_a_network_thread() {
    let fixture = Fixture::new();
    let run = |steps: u32| {
        let f = |txn: &mut Txn<'_>| (0..steps / 1_000).try_for_each(|_| txn.step(1_000));
        fixture.group.run_inline(0, &mut Scratch::default(), f).map(|done| done.result.unwrap())
    };
    assert!(run(base::limits::BUDGET_STEPS).is_ok());
    assert!(matches!(run(base::limits::BUDGET_STEPS + 1_000), Err(Leave::Outgrown)));
}

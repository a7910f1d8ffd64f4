//! What is in the store after it was closed and opened again, and what the reclaimer leaves.

use std::sync::mpsc;

use super::*;

fn keys(fixture: &Fixture) -> Vec<String> {
    let mut keys = Vec::new();
    let done = fixture.heavy(|txn| {
        keys.clear();
        walk_keys(txn, KeyPosition::START, &mut |step| -> Result<Flow, Stop> {
            if let Step::Key(found) = step {
                keys.push(String::from_utf8_lossy(found.key).into_owned());
            }
            Ok(Flow::More)
        })
    });
    done.result.unwrap();
    keys.sort();
    keys
}

#[test]
fn everything_is_there_after_it_was_reopened() {
    let fixture = Fixture::new();
    let names: Vec<String> = (0..2_000).map(|i| format!("key-{i:04}")).collect();
    for name in &names {
        fixture.set(name, name);
    }
    fixture.inline(|txn| txn.remove(b"key-0007")).result.unwrap();
    fixture.drain();
    let stamp = last_stamp(&fixture);
    let fixture = Fixture::open(fixture.close(), 64 << 10);
    assert!(last_stamp(&fixture) > stamp, "stamps go on above those in the store");
    let expected: Vec<String> = names.iter().filter(|name| *name != "key-0007").cloned().collect();
    assert_eq!(keys(&fixture), expected);
    assert_eq!(fixture.get("key-1234").as_deref(), Some("key-1234"));
    assert_eq!(fixture.group.database_counts()[0].keys, 1_999);
}

#[test]
fn pending_and_stored_keys_come_in_one_order() {
    let fixture = Fixture::new();
    for i in 0..3_000 {
        fixture.set(&format!("{i:05}"), "v");
        if i % 700 == 0 {
            fixture.drain();
        }
        if i % 3 == 0 {
            fixture.inline(|txn| txn.remove(format!("{:05}", i / 2).as_bytes())).result.unwrap();
        }
    }
    let expected: Vec<String> =
        (0..3_000).map(|i| format!("{i:05}")).filter(|key| fixture.get(key).is_some()).collect();
    assert_eq!(keys(&fixture), expected);
    assert_eq!(fixture.group.database_counts()[0].keys, expected.len() as i64);
}

#[test]
fn a_flush_is_one_small_write_and_its_keys_are_reclaimed() {
    let fixture = Fixture::new();
    let now = fixture.group.now_ms();
    for i in 0..1_500 {
        let key = format!("k{i}");
        let done = fixture.inline(|txn| {
            let expiry = (i % 2 == 0).then_some(now + 1_000_000);
            txn.put(key.as_bytes(), Kind::String, Encoding::Plain, expiry, b"v")
        });
        done.result.unwrap();
    }
    fixture.drain();
    let gate = fixture.inline(|txn| txn.flush(0)).gate;
    assert_eq!(fixture.get("k1"), None);
    fixture.set("k1", "new");
    assert_eq!(fixture.wait(gate), Fate::Committed);
    fixture.drain();
    let left = || {
        let snapshot = fixture.group.disk.snapshot();
        let count = |tag: u8| snapshot.range(&[tag], Some(&[tag + 1])).count();
        (count(keys::KEY), count(keys::EXPIRY), count(keys::UNREACHABLE))
    };
    while left() != (1, 0, 0) {
        std::thread::yield_now();
    }
    assert_eq!(fixture.get("k1").as_deref(), Some("new"));
}

#[test]
fn a_swap_exchanges_what_the_numbers_mean() {
    let fixture = Fixture::new();
    fixture.set("k", "zero");
    fixture.inline(|txn| {
        txn.swap(0, 3);
        Ok(())
    });
    assert_eq!(fixture.get("k"), None);
    let mut scratch = Scratch::default();
    let seen = fixture.group.run_read(3, &mut scratch, |txn| get(txn, "k")).unwrap();
    assert_eq!(seen.result.unwrap().as_deref(), Some("zero"));
    fixture.drain();
    let fixture = Fixture::open(fixture.close(), 1 << 20);
    let seen = fixture.group.run_read(3, &mut scratch, |txn| get(txn, "k")).unwrap();
    assert_eq!(seen.result.unwrap().as_deref(), Some("zero"));
}

/// A disk that has room when the test says so.
#[derive(Default)]
struct Room {
    there: AtomicBool,
    asked: AtomicU64,
}

impl Watch for Room {
    fn progress(&self) {}
    fn failed(&self, error: &DiskError) {
        panic!("the store failed: {error}");
    }
    fn has_room(&self, _bytes: u64) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.there.load(Ordering::SeqCst)
    }
}

/// An apply thread that has been given one entry, and who tells what the store held after it.
fn without_room() -> (Arc<Room>, Arc<Queue>, JoinHandle<()>, mpsc::Receiver<u64>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(&DiskOptions::new(directory.path())).unwrap();
    let options = GroupOptions::new(1 << 20, 7);
    let clock = Arc::new(ManualClock::new(1_000_000));
    let group = Arc::new(Group::new(disk.group(0).unwrap(), &options, clock));
    let (room, queue) = (Arc::new(Room::default()), Arc::new(Queue::default()));
    let applier = Applier::new(group, queue.clone(), room.clone()).unwrap();
    let thread = std::thread::spawn(move || applier.run());
    let payload = bytes::Bytes::new();
    queue.apply(Committed { term: 1, index: 1, payload, membership: None, permit: None });
    let (tell, told) = mpsc::channel();
    queue.barrier(move |applier| tell.send(applier.stored().index).unwrap());
    while room.asked.load(Ordering::SeqCst) < 3 {
        std::thread::yield_now();
    }
    assert!(told.try_recv().is_err(), "what comes after it waits");
    (room, queue, thread, told, directory)
}

#[test]
fn without_room_the_store_waits_and_goes_on_when_there_is() {
    let (room, queue, thread, told, _directory) = without_room();
    room.there.store(true, Ordering::SeqCst);
    assert_eq!(told.recv().unwrap(), 1);
    queue.stop();
    thread.join().unwrap();
}

#[test]
fn a_store_that_waits_for_room_can_be_stopped() {
    let (_room, queue, thread, told, _directory) = without_room();
    queue.stop();
    thread.join().unwrap();
    assert_eq!(told.recv().unwrap(), 0, "the log has it");
}

#[test]
fn an_unknown_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    {
        let disk = Disk::open(&DiskOptions::new(directory.path())).unwrap();
        let group = disk.group(0).unwrap();
        group.write([(keys::META_FORMAT, Some(&999u32.to_be_bytes()[..]))]).unwrap();
        group.persist().unwrap();
    }
    let disk = Disk::open(&DiskOptions::new(directory.path())).unwrap();
    let error = disk.group(0).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("format 999"), "{error}");
}

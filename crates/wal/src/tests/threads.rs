//! The log with its threads, on the simulated and on the real disk.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread,
};

use bytes::Bytes;

use super::harness::{options, payload};
use crate::{DiskFiles, Files, Options, Wal, WalError, testing::SimDisk};

fn append(wal: &Wal, group: u16, index: u64, len: usize) -> mpsc::Receiver<Result<(), WalError>> {
    let (sender, receiver) = mpsc::channel();
    let entry = Bytes::from(payload(group, index, len));
    wal.append(group, vec![(index, entry)], Box::new(move |outcome| drop(sender.send(outcome))));
    receiver
}

/// As `append`, but this thread writes it, unless another does already.
fn append_here(wal: &Wal, group: u16, index: u64, len: usize) -> mpsc::Receiver<Result<(), WalError>> {
    let (sender, receiver) = mpsc::channel();
    let entry = Bytes::from(payload(group, index, len));
    wal.append_quietly(group, vec![(index, entry)], Box::new(move |outcome| drop(sender.send(outcome))));
    wal.write_here();
    receiver
}

fn wait(wal: &Wal, request: impl FnOnce(&Wal, crate::Done)) -> Result<(), WalError> {
    let (sender, receiver) = mpsc::channel();
    request(wal, Box::new(move |outcome| sender.send(outcome).unwrap()));
    receiver.recv().unwrap()
}

/// Reads whatever is there, and checks it, until told to stop.
fn reader(wal: Wal, groups: u16, stop: Arc<AtomicBool>, read: Arc<AtomicU64>) {
    let mut group = 0;
    while !stop.load(SeqCst) {
        group = (group + 1) % groups;
        let Some((first, last)) = wal.bounds(group) else { continue };
        for from in [first, first + (last - first) / 2, last] {
            let entries = wal.read(group, from, last + 1, 10_000).unwrap();
            for (expected, (index, bytes)) in (from..).zip(&entries) {
                assert_eq!(*index, expected);
                assert_eq!(*bytes, payload(group, *index, bytes.len()));
            }
            read.fetch_add(entries.len() as u64, SeqCst);
        }
    }
}

#[test]
fn threads_append_purge_and_read_at_the_same_time() {
    const GROUPS: u16 = 4;
    let disk = SimDisk::new(8);
    let options = options(16 << 10);
    let (wal, _) = Wal::open(Arc::new(disk.clone()), options.clone()).unwrap();
    let (stop, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (wal, stop, read) = (wal.clone(), Arc::clone(&stop), Arc::clone(&read));
            thread::spawn(move || reader(wal, GROUPS, stop, read))
        })
        .collect();
    let writers = (0..GROUPS).map(|group| {
        let (wal, read) = (wal.clone(), Arc::clone(&read));
        thread::spawn(move || {
            for index in 1..=400 {
                // Half of it is written only when somebody reads: else all of it could be over before.
                while index == 200 && read.load(SeqCst) == 0 {
                    thread::yield_now();
                }
                let append =
                    if (index / 50 + u64::from(group)).is_multiple_of(2) { append } else { append_here };
                let done = append(&wal, group, index, 200);
                if index % 16 == 0 {
                    done.recv().unwrap().unwrap();
                    wal.purge(group, index - 12, Bytes::new(), Box::new(|outcome| outcome.unwrap()));
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    stop.store(true, SeqCst);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    wal.close();
    drop(wal);
    let (wal, recovered) = Wal::open(Arc::new(disk.power_cut(1)), options).unwrap();
    assert_eq!(recovered.groups.len(), usize::from(GROUPS));
    for group in 0..GROUPS {
        assert_eq!(wal.bounds(group), Some((389, 400)));
    }
}

#[test]
fn who_has_nothing_else_to_do_writes_and_is_called_back_there() {
    let (wal, _) = Wal::open(Arc::new(SimDisk::new(5)), options(16 << 10)).unwrap();
    let (sender, receiver) = mpsc::channel();
    // The log thread does it where it is at work already, as it is for a moment after it was started.
    let is_here = |index: u64| {
        let sender = sender.clone();
        let done = move |outcome: Result<(), WalError>| {
            outcome.unwrap();
            sender.send(thread::current().id()).unwrap();
        };
        let entry = (index, Bytes::from(payload(0, index, 100)));
        wal.append_quietly(0, vec![entry], Box::new(done));
        wal.write_here();
        receiver.recv().unwrap() == thread::current().id()
    };
    let last = (1..1000).find(|index| is_here(*index)).expect("a write on this thread");
    // Nothing is left to do.
    let fsyncs = wal.stats().fsyncs;
    wal.write_here();
    wal.wake_up();
    assert_eq!(wal.stats().fsyncs, fsyncs);
    append(&wal, 0, last + 1, 100).recv().unwrap().unwrap();
}

#[test]
fn a_callback_may_append_while_its_thread_writes() {
    let (wal, _) = Wal::open(Arc::new(SimDisk::new(5)), options(16 << 10)).unwrap();
    let (sender, receiver) = mpsc::channel();
    let again = wal.clone();
    let done = move |outcome: Result<(), WalError>| {
        outcome.unwrap();
        sender.send(append_here(&again, 0, 2, 100)).unwrap();
    };
    wal.append_quietly(0, vec![(1, Bytes::from(payload(0, 1, 100)))], Box::new(done));
    wal.write_here();
    receiver.recv().unwrap().recv().unwrap().unwrap();
    assert_eq!(wal.bounds(0), Some((1, 2)));
}

#[test]
fn the_real_disk_keeps_everything_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 64 << 10, ..Options::new(dir.path().join("deep/log")) };
    for life in 0..5u64 {
        let files = DiskFiles { direct: life % 3 != 1 };
        let (wal, recovered) = Wal::open(Arc::new(files), options.clone()).unwrap();
        assert_eq!(recovered.truncated_bytes, 0);
        let last = recovered.groups.get(&0).and_then(|group| group.last_index).unwrap_or(0);
        assert_eq!(last, life * 200);
        let answers: Vec<_> = (last + 1..=last + 200).map(|index| append(&wal, 0, index, 1_000)).collect();
        answers.into_iter().for_each(|answer| answer.recv().unwrap().unwrap());
        let vote = Bytes::from(format!("vote {life}"));
        wait(&wal, |wal, done| wal.save_state(0, vote, true, done)).unwrap();
        let first = (last + 200).saturating_sub(300);
        wait(&wal, |wal, done| wal.purge(0, first, Bytes::from("meta"), done)).unwrap();
        for (index, bytes) in wal.read(0, first + 1, last + 201, usize::MAX).unwrap() {
            assert_eq!(bytes, payload(0, index, 1_000));
        }
        assert!(wal.stats().fsyncs > 0);
        // Once by closing, once by dropping the last handle.
        if life % 2 == 0 {
            wal.close();
        }
    }
}

#[test]
fn a_closed_log_answers_that_it_is_closed() {
    let (wal, _) = Wal::open(Arc::new(SimDisk::new(1)), options(16 << 10)).unwrap();
    let before = append(&wal, 0, 1, 10);
    wal.close();
    assert!(before.recv().unwrap().is_ok(), "what was queued is written");
    let answers = [
        append(&wal, 0, 2, 10).recv().unwrap(),
        wait(&wal, |wal, done| wal.purge(0, 1, Bytes::new(), done)),
        wait(&wal, |wal, done| wal.save_state(0, Bytes::new(), true, done)),
        wait(&wal, |wal, done| wal.save_state(0, Bytes::new(), false, done)),
        wait(&wal, |wal, done| wal.truncate_after(0, None, done)),
    ];
    for answer in answers {
        assert!(matches!(answer, Err(WalError::Closed)), "{answer:?}");
    }
}

#[test]
fn callbacks_may_use_the_log() {
    let (wal, _) = Wal::open(Arc::new(SimDisk::new(1)), options(16 << 10)).unwrap();
    let (sender, receiver) = mpsc::channel();
    let inner = wal.clone();
    let first = vec![(1, Bytes::from("first"))];
    let second = vec![(2, Bytes::from("second"))];
    wal.append(
        0,
        first,
        Box::new(move |outcome| {
            outcome.unwrap();
            assert_eq!(inner.bounds(0), Some((1, 1)));
            inner.append(0, second, Box::new(move |outcome| sender.send(outcome).unwrap()));
        }),
    );
    receiver.recv().unwrap().unwrap();
    assert_eq!(wal.bounds(0), Some((1, 2)));
}

#[test]
fn the_helper_has_the_next_segment_ready_and_room_comes_back() {
    let disk = SimDisk::new(1);
    let (wal, _) = Wal::open(Arc::new(disk.clone()), options(16 << 10)).unwrap();
    while disk.list("/log".as_ref()).unwrap().len() < 2 {
        thread::yield_now();
    }
    disk.set_faults(crate::testing::Faults { space_bytes: Some(0), ..Default::default() });
    for index in 1.. {
        if append(&wal, 0, index, 1_000).recv().unwrap().is_err() {
            break;
        }
    }
    assert!(!wal.has_room(10_000));
    disk.set_faults(Default::default());
    // Asking is what makes it try again.
    while !wal.has_room(10_000) {
        thread::yield_now();
    }
    let next = wal.bounds(0).unwrap().1 + 1;
    append(&wal, 0, next, 10_000).recv().unwrap().unwrap();
}

#[test]
fn a_panic_in_a_callback_poisons_and_nobody_waits() {
    let (wal, _) = Wal::open(Arc::new(SimDisk::new(1)), options(16 << 10)).unwrap();
    wal.append(0, vec![(1, Bytes::new())], Box::new(|_| panic!("a fault of the caller's, on purpose")));
    let mut index = 2;
    while let Ok(Ok(())) = append(&wal, 0, index, 10).recv() {
        index += 1;
    }
    assert!(wal.stats().poisoned.is_some());
    assert!(append(&wal, 0, index + 1, 10).recv().unwrap().is_err());
}

#[test]
fn a_directory_belongs_to_one_log_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        Wal::open(
            Arc::new(DiskFiles::default()),
            Options { segment_bytes: 64 << 10, ..Options::new(dir.path()) },
        )
    };
    let (first, _) = open().unwrap();
    let error = open().unwrap_err().to_string();
    assert!(error.contains("another process has it open"), "{error}");
    first.close();
    open().unwrap();
}

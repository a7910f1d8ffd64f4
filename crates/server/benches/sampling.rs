//! What it costs a command that hot and large keys are looked for: the same read without and with it.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use base::SystemClock;
use command::OwnedArgs;
use divan::Bencher;
use server::sampling::Sampling;
use server::table::{Entry, table};
use store::{Disk, DiskOptions, Encoding, Group, GroupOptions, Kind, Scratch, Stop};

fn main() {
    divan::main();
}

/// All of them are in memory. Of a thousand, as many are in each summary as it has room for.
const KEYS: usize = 1_000;

struct Fixture {
    group: Group,
    commands: Vec<OwnedArgs>,
    entry: &'static Entry,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(&DiskOptions::new(directory.path())).unwrap();
        let options = GroupOptions::new(64 << 20, 1);
        let group = Group::new(disk.group(0).unwrap(), &options, Arc::new(SystemClock));
        assert!(group.open(group.sequencer.epoch(), base::Stamp::ZERO).unwrap());
        let names = (0..KEYS).map(|n| format!("key:{n:012}"));
        let commands: Vec<_> = names.map(|name| OwnedArgs::of([b"get", name.as_bytes()])).collect();
        for command in &commands {
            let put = |txn: &mut store::Txn<'_>| -> Result<(), Stop> {
                txn.put(command.as_args().get(1), Kind::String, Encoding::Plain, None, &[b'v'; 64])
            };
            group.run_inline(0, &mut Scratch::default(), put).unwrap();
        }
        let entry = table().find(b"get").unwrap();
        Self { group, commands, entry, _directory: directory }
    }

    /// Reads keys in turn, every time another one than the last, or always the same.
    fn read(
        &self,
        bencher: Bencher<'_, '_>,
        keys: usize,
        after: impl Fn(&mut store::Txn<'_>, &command::Args<'_>),
    ) {
        let (mut scratch, mut at) = (Scratch::default(), 0);
        bencher.bench_local(|| {
            at = (at + 1) % keys;
            let args = self.commands[at].as_args();
            let read = |txn: &mut store::Txn<'_>| -> Result<bool, Stop> {
                let found = txn.get(args.get(1))?.is_some();
                after(txn, &args);
                Ok(found)
            };
            self.group.run_read(0, &mut scratch, read).unwrap().result.unwrap()
        });
    }
}

#[divan::bench(args = [1, KEYS], sample_count = 500, sample_size = 2_000)]
fn a_read(bencher: Bencher<'_, '_>, keys: usize) {
    Fixture::new().read(bencher, keys, |_, _| ());
}

#[divan::bench(args = [1, KEYS], sample_count = 500, sample_size = 2_000)]
fn a_read_that_may_be_looked_at(bencher: Bencher<'_, '_>, keys: usize) {
    let (fixture, sampling) = (Fixture::new(), Sampling::new(true));
    fixture.read(bencher, keys, |txn, args| sampling.ran(fixture.entry, txn, args));
}

#[divan::bench(args = [1, KEYS], sample_count = 500, sample_size = 2_000)]
fn a_read_that_is_looked_at(bencher: Bencher<'_, '_>, keys: usize) {
    let (fixture, sampling) = (Fixture::new(), Sampling::new(true));
    fixture.read(bencher, keys, |txn, args| sampling.look(fixture.entry, txn, args));
}

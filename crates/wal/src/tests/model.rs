//! Random requests against a model, over many lives, with the power cut at any point.
//!
//! For each group, what a restart finds must be the model after some first part of the group's
//! requests that includes every acknowledged one. The last request of that part may be half done if
//! it is an append.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::harness::{Answer, Still, every_sec, options, payload, seeds};
use crate::{
    GroupState, Options, WalError,
    testing::{Faults, Rng, SimDisk},
};

const GROUPS: u16 = 3;

#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Model {
    entries: BTreeMap<u64, Bytes>,
    purged: Option<(u64, Bytes)>,
}

#[derive(Clone)]
enum Request {
    Append(Vec<(u64, Bytes)>),
    Truncate(Option<u64>),
    Purge(u64, Bytes),
}

impl Model {
    fn apply(&mut self, request: &Request) {
        match request {
            Request::Append(entries) => self.entries.extend(entries.iter().cloned()),
            Request::Truncate(index) => self.entries.retain(|at, _| index.is_some_and(|index| *at <= index)),
            Request::Purge(index, meta) => {
                if self.purged.as_ref().is_none_or(|(purged, _)| purged <= index) {
                    self.purged = Some((*index, meta.clone()));
                }
                self.entries.retain(|at, _| at > index);
            }
        }
    }

    fn bounds(&self) -> Option<(u64, u64)> {
        Some((*self.entries.first_key_value()?.0, *self.entries.last_key_value()?.0))
    }

    fn next_index(&self, rng: &mut Rng) -> u64 {
        match (self.bounds(), &self.purged) {
            (Some((_, last)), _) => last + 1,
            (None, Some((purged, _))) => purged + 1 + if rng.one_in(4) { rng.below(5) } else { 0 },
            (None, None) => rng.below(4),
        }
    }
}

struct Issued {
    request: Request,
    answer: Answer,
}

impl Issued {
    /// An append without space leaves nothing behind; the others are only put off.
    fn is_void(&self) -> bool {
        matches!(self.request, Request::Append(_)) && self.answer.is_full()
    }
}

/// One group in one life.
#[derive(Default)]
struct Group {
    base: Model,
    issued: Vec<Issued>,
    /// States that a restart may find, and whether each was to be durable.
    states: Vec<(Option<Bytes>, bool, Answer)>,
}

impl Group {
    fn now(&self) -> Model {
        let mut model = self.base.clone();
        self.issued.iter().filter(|issued| !issued.is_void()).for_each(|issued| model.apply(&issued.request));
        model
    }

    /// Whether this is the model after some requests, the acknowledged ones at least. What a full disk
    /// put off at last is made up for in any order: a purge may be missing before a truncation.
    fn is_possible(&self, found: &Model, acknowledged: usize, without_put_off_purges: bool) -> bool {
        let mut model = self.base.clone();
        let mut possible = acknowledged == 0 && model == *found;
        for (number, issued) in self.issued.iter().enumerate().filter(|(_, issued)| !issued.is_void()) {
            if let Request::Append(entries) = &issued.request {
                for entry in entries {
                    model.apply(&Request::Append(vec![entry.clone()]));
                    possible |= number >= acknowledged && model == *found;
                }
            }
            let put_off = issued.answer.is_full() && number >= acknowledged;
            if !(put_off && without_put_off_purges && matches!(issued.request, Request::Purge(..))) {
                model.apply(&issued.request);
            }
            possible |= number + 1 >= acknowledged && model == *found;
        }
        possible
    }

    fn describe(&self) -> String {
        let mut lines = format!("from {:?} {:?}\n", self.base.bounds(), self.base.purged);
        for issued in &self.issued {
            let request = match &issued.request {
                Request::Append(entries) => format!("append {} from {}", entries.len(), entries[0].0),
                Request::Truncate(index) => format!("truncate {index:?}"),
                Request::Purge(index, _) => format!("purge {index}"),
            };
            lines.push_str(&format!("{request}: {:?}\n", issued.answer.get()));
        }
        lines
    }

    /// What recovery found must be possible; it is the base of the next life.
    fn restart(self, state: &GroupState, found: Model, context: &str) -> Self {
        let acknowledged =
            self.issued.iter().rposition(|issued| issued.answer.is_ok()).map_or(0, |at| at + 1);
        let possible =
            self.is_possible(&found, acknowledged, false) || self.is_possible(&found, acknowledged, true);
        assert!(
            possible,
            "{context}: {acknowledged} requests were acknowledged of\n{}found bounds {:?} purged {:?}, all \
             would be {:?} {:?}",
            self.describe(),
            found.bounds(),
            found.purged,
            self.now().bounds(),
            self.now().purged
        );
        let safe =
            self.states.iter().rposition(|(_, durable, answer)| *durable && answer.is_ok()).unwrap_or(0);
        let states = &self.states[safe.min(self.states.len())..];
        let expected = self.states.is_empty() && state.state.is_none();
        assert!(
            expected || states.iter().any(|(blob, ..)| *blob == state.state),
            "{context}: state {:?}",
            state.state
        );
        assert_eq!(found.bounds().map(|(first, _)| first), state.first_index, "{context}");
        assert_eq!(found.bounds().map(|(_, last)| last), state.last_index, "{context}");
        assert_eq!(found.purged, state.purged, "{context}");
        let states = vec![(state.state.clone(), false, Answer::default())];
        Self { base: found, issued: Vec::new(), states }
    }
}

struct World {
    groups: Vec<Group>,
    rng: Rng,
    serial: u64,
    context: String,
}

impl World {
    fn new(seed: u64) -> Self {
        let groups = (0..GROUPS).map(|_| Group { states: vec![Default::default()], ..Group::default() });
        Self { groups: groups.collect(), rng: Rng::new(seed), serial: 0, context: format!("seed {seed}") }
    }

    /// Opens the log and compares. `None` if the power was cut meanwhile.
    fn open(&mut self, disk: &SimDisk, options: &Options) -> Option<Still> {
        let still = match Still::open(disk, options) {
            Ok(still) => still,
            Err(_) if disk.is_dead() => return None,
            Err(error) => panic!("{}: {error}", self.context),
        };
        for (number, group) in self.groups.iter_mut().enumerate() {
            let number = number as u16;
            let state = still.recovered.groups.get(&number).cloned().unwrap_or_default();
            let entries = still.read_all(number).into_iter().collect();
            let found = Model { entries, purged: state.purged.clone() };
            let context = format!("{} group {number}", self.context);
            *group = std::mem::take(group).restart(&state, found, &context);
        }
        Some(still)
    }

    fn compare(&self, still: &Still) {
        for (number, group) in self.groups.iter().enumerate() {
            let number = number as u16;
            let model = group.now();
            assert_eq!(still.wal.bounds(number), model.bounds(), "{} group {number}", self.context);
            let entries: BTreeMap<u64, Bytes> = still.read_all(number).into_iter().collect();
            assert!(entries == model.entries, "{} group {number}: other entries", self.context);
        }
    }

    fn request(&mut self, still: &Still) {
        self.serial += 1;
        let number = self.rng.below(u64::from(GROUPS)) as u16;
        let group = &mut self.groups[number as usize];
        let model = group.now();
        let answer = Answer::default();
        let blob = Bytes::from(format!("{number}:{}", self.serial));
        let request = match self.rng.below(20) {
            0..=9 => {
                let first = model.next_index(&mut self.rng);
                let count = 1 + if self.rng.one_in(4) { self.rng.below(12) } else { 0 };
                let serial = self.serial;
                let mut entry = |index| {
                    let len = if self.rng.one_in(8) { self.rng.below(3_000) } else { self.rng.below(200) };
                    (index, Bytes::from(payload(number, index * 1_000 + serial, len as usize)))
                };
                let entries: Vec<_> = (first..first + count).map(&mut entry).collect();
                still.wal.append(number, entries.clone(), answer.done());
                Request::Append(entries)
            }
            10..=11 => {
                let bounds = model.bounds().unwrap_or((0, 0));
                let index = bounds.0.saturating_sub(1) + self.rng.below(bounds.1 - bounds.0 + 3);
                let index = if self.rng.one_in(10) { None } else { Some(index) };
                still.wal.truncate_after(number, index, answer.done());
                Request::Truncate(index)
            }
            12..=15 => {
                let (first, last) = model.bounds().unwrap_or((0, 0));
                let index = first + self.rng.below(last - first + 2);
                still.wal.purge(number, index, blob.clone(), answer.done());
                Request::Purge(index, blob)
            }
            kind => {
                let durable = kind % 2 == 0;
                still.wal.save_state(number, blob.clone(), durable, answer.done());
                group.states.push((Some(blob), durable, answer));
                return;
            }
        };
        group.issued.push(Issued { request, answer });
    }

    /// Requests and rounds of both threads until the power is cut or enough is done.
    fn live(&mut self, still: &mut Still, disk: &SimDisk, requests: u64) {
        for _ in 0..requests {
            self.request(still);
            match self.rng.below(8) {
                0..=2 => still.step(),
                3 => still.step_due(),
                4 => still.prepare(),
                _ => {}
            }
            if disk.is_dead() {
                return;
            }
            if self.rng.one_in(16) {
                // Everything queued is processed, so that it is known what has failed.
                still.step();
                if disk.is_dead() || still.wal.stats().poisoned.is_some() {
                    return;
                }
                self.compare(still);
            }
        }
        still.step();
    }
}

/// One life until the power is cut at the given change, and the disk after it.
fn first_life(seed: u64, cut: Option<u64>, options: &Options) -> (World, SimDisk, u64) {
    let mut world = World::new(seed);
    world.context = format!("seed {seed} cut {cut:?}");
    let disk = SimDisk::new(seed);
    disk.set_faults(Faults { cut_after: cut, short_writes: seed % 2 == 1, ..Faults::default() });
    if let Some(mut still) = world.open(&disk, options) {
        world.live(&mut still, &disk, 60);
    }
    let changes = disk.changes();
    (world, disk, changes)
}

fn cut_everywhere(seeds: std::ops::Range<u64>, options: &Options) {
    for seed in seeds {
        let (_, _, changes) = first_life(seed, None, options);
        for cut in 0..changes {
            let (mut world, disk, _) = first_life(seed, Some(cut), options);
            assert!(disk.is_dead());
            if options.fsync == crate::Fsync::EverySec {
                // What is acknowledged within the last second is not promised.
                for group in &mut world.groups {
                    group.issued.iter_mut().for_each(|issued| {
                        if issued.answer.is_ok() {
                            issued.answer = Answer::default();
                        }
                    });
                    group.states.iter_mut().for_each(|state| state.1 = false);
                }
            }
            let disk = disk.power_cut(seed * 7_919 + cut);
            let mut still = world.open(&disk, options).unwrap();
            world.live(&mut still, &disk, 10);
            still.close();
            world.open(&disk.restart(), options).unwrap();
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_is_cut() {
    cut_everywhere(seeds(0, 12), &options(8 << 10));
}

#[test]
fn every_second_keeps_a_prefix_wherever_the_power_is_cut() {
    cut_everywhere(seeds(100_000, 4), &every_sec(8 << 10));
}

#[test]
fn many_lives_with_cuts_restarts_and_clean_stops() {
    for seed in seeds(200_000, 60) {
        let options = options(if seed % 3 == 0 { 32 << 10 } else { 8 << 10 });
        let mut world = World::new(seed);
        let mut disk = SimDisk::new(seed);
        for life in 0..25 {
            world.context = format!("seed {seed} life {life}");
            let cut_after = world.rng.one_in(2).then(|| world.rng.below(80));
            disk.set_faults(Faults { cut_after, short_writes: life % 2 == 0, ..Faults::default() });
            let survivor = world.rng.next_u64();
            let Some(mut still) = world.open(&disk, &options) else {
                disk = disk.power_cut(survivor);
                continue;
            };
            world.live(&mut still, &disk, 40);
            match world.rng.below(3) {
                _ if disk.is_dead() => disk = disk.power_cut(survivor),
                0 => disk = disk.power_cut(survivor),
                // A kill: what was written is there, synced or not.
                1 => disk = disk.restart(),
                _ => {
                    still.close();
                    disk = if disk.is_dead() { disk.power_cut(survivor) } else { disk.restart() };
                }
            }
        }
    }
}

#[test]
fn a_disk_that_fills_up_and_fails_now_and_then() {
    for seed in seeds(300_000, 60) {
        let options = options(8 << 10);
        let mut world = World::new(seed);
        let mut disk = SimDisk::new(seed);
        for life in 0..15 {
            world.context = format!("seed {seed} life {life}");
            disk.set_faults(Faults::default());
            let mut still = world.open(&disk, &options).unwrap();
            let limit = still.wal.disk_bytes() + world.rng.below(24 << 10);
            let faults = match world.rng.below(4) {
                0 => Faults { fail_sync_after: Some(world.rng.below(30)), ..Faults::default() },
                1 => Faults { fail_write_after: Some(world.rng.below(30)), ..Faults::default() },
                _ => Faults { space_bytes: Some(limit), ..Faults::default() },
            };
            disk.set_faults(faults);
            world.live(&mut still, &disk, 60);
            let poisoned = still.wal.stats().poisoned.is_some();
            assert_eq!(poisoned, matches!(still.wal.read(0, 0, 1, 1), Err(WalError::Poisoned(_))));
            drop(still);
            let survivor = world.rng.next_u64();
            disk = if world.rng.one_in(2) { disk.power_cut(survivor) } else { disk.restart() };
        }
    }
}

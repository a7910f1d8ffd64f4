//! Moving: members of a wide collection that are left, when many have been removed, go on to the next
//! generation of records (`keys/members.rs`), so that nobody who walks has to pass by what is gone. It is
//! done on the leader, a stretch of positions at a time, each by an ordinary transaction in the section;
//! how far it has come stands in the key's record, so that whoever leads can go on.
//!
//! Nothing that a client can see changes by it: the key's record is set quietly, so that nobody is told.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::counters::Counters;
use crate::disk::DiskError;
use crate::group::Group;
use crate::keys::{KeyRecord, Members, POSITIONS, decode_member};
use crate::lanes::{Leave, leave};
use crate::pace::Pace;
use crate::range::{Flow, visit};
use crate::record::{Record, RowKey, Value};
use crate::scratch::Scratch;
use crate::txn::{Meter, Stop, Txn};
use crate::view::{Cancel, View};

/// When members are moved, and how much is done in one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Fewer removed members are in nobody's way: passing by one takes about a microsecond.
    pub(crate) removed_min: i64,
    /// Members moved in one step, about: what a step takes in the section.
    pub(crate) members: usize,
    /// Removed members passed by in one step, about: nobody waits for that, but it takes its time.
    pub(crate) passed: u64,
}

impl Bounds {
    const DEFAULT: Self = Self { removed_min: 4096, members: 128, passed: 8192 };

    /// Whether so many have been removed that the others move. Then at most half a record is written for
    /// each that was removed: two for each member that is left, of which there are not more than a quarter.
    fn is_crowded(self, counters: Counters) -> bool {
        counters.removed > self.removed_min.max(counters.len.saturating_mul(REMOVED_PER_MEMBER))
    }
}

const REMOVED_PER_MEMBER: i64 = 4;
/// Bytes moved in one step, unless a single member has more.
const STEP_BYTES: usize = 64 << 10;
/// What may wait to be submitted before the next step has to wait as well: whoever writes a byte waits for
/// all of it.
const WAITING_BYTES_MAX: u64 = 256 << 10;
/// Collections that wait for being moved. What finds no room is asked for again when it is used.
const ASKED_MAX: usize = 256;

/// What to do about a collection. Pure: this decides, [`Group::move_members`] does it.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Nothing,
    /// Move the members up to here.
    Move {
        to: u64,
    },
}

/// Members and what was removed lie about evenly over the positions.
fn choose(members: Members, counters: Counters, bounds: Bounds) -> Choice {
    if !members.is_moving() && !bounds.is_crowded(counters) {
        return Choice::Nothing;
    }
    let positive = |count: i64| u64::try_from(count).unwrap_or(0);
    let removed = if members.is_moving() { members.removed() } else { positive(counters.removed) };
    let share = |wanted: u64, all: u64| {
        let share = u128::from(POSITIONS) * u128::from(wanted) / u128::from(all.max(wanted).max(1));
        u64::try_from(share).unwrap_or(POSITIONS)
    };
    let width =
        share(bounds.members as u64, positive(counters.len)).min(share(bounds.passed, removed)).max(1);
    Choice::Move { to: members.moved().saturating_add(width).min(POSITIONS) }
}

/// The collections whose members are to be moved.
#[derive(Default)]
pub struct Moves {
    asked: Mutex<Asked>,
    moved: AtomicU64,
    /// For tests: others than the default.
    pub(crate) bounds: OnceLock<Bounds>,
}

/// Keys of records, each once, in the order in which they came.
#[derive(Default)]
struct Asked {
    order: VecDeque<RowKey>,
    keys: HashSet<RowKey>,
}

impl Moves {
    /// Members moved so far.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn bounds(&self) -> Bounds {
        self.bounds.get().copied().unwrap_or(Bounds::DEFAULT)
    }

    /// Whether a collection with these counters should be asked for.
    pub(crate) fn is_due(&self, counters: Counters) -> bool {
        self.bounds().is_crowded(counters)
    }

    /// Asks for the collection of a key's record.
    pub(crate) fn ask(&self, record_key: &[u8]) {
        let mut asked = self.asked.lock();
        if asked.order.len() < ASKED_MAX && !asked.keys.contains(record_key) {
            let key = RowKey::from(record_key);
            asked.keys.insert(key.clone());
            asked.order.push_back(key);
        }
    }

    fn take(&self) -> Option<RowKey> {
        let mut asked = self.asked.lock();
        let key = asked.order.pop_front()?;
        asked.keys.remove(&key);
        Some(key)
    }
}

/// What came of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is no such collection, or nothing to be done about it.
    Nothing,
    /// Somebody else is in the way.
    Later,
    Moved {
        members: u64,
        finished: bool,
    },
}

impl Group {
    /// Moves members of the collections that were asked for, a step at a time while `goes_on` says so.
    pub fn move_members(
        &self,
        scratch: &mut Scratch,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), Leave> {
        let mut later = Vec::new();
        let mut result = Ok(());
        let mut pace = Pace::new();
        while goes_on() {
            let Some(key) = self.moves.take() else { break };
            match self.move_some(&key, scratch, &mut pace) {
                Ok(Step::Nothing) => {}
                Ok(Step::Moved { members, finished }) => {
                    self.moves.moved.fetch_add(members, Ordering::Relaxed);
                    if !finished {
                        self.moves.ask(&key);
                    }
                    self.pump();
                }
                // A heavy transaction that has reserved it, for instance.
                Ok(Step::Later) | Err(Leave::Outgrown) => later.push(key),
                Err(why) => {
                    // Whoever leads is asked again.
                    if !matches!(why, Leave::Closed) {
                        later.push(key);
                    }
                    result = Err(why);
                    break;
                }
            }
            if self.sequencer.waiting_bytes() > WAITING_BYTES_MAX {
                break;
            }
        }
        for key in later {
            self.moves.ask(&key);
        }
        result
    }

    /// One step: looks at a stretch from outside, however long that takes, and moves it in the section,
    /// where all there is to be looked at is what was written meanwhile.
    fn move_some(&self, key: &RowKey, scratch: &mut Scratch, pace: &mut Pace) -> Result<Step, Leave> {
        let cancel = Cancel::default();
        let (begin, pinned) = self.pin(&cancel)?;
        let since = pinned.batch;
        let mut txn = Txn::new(self, View::Pinned(pinned), begin, Meter::unlimited(), 0, scratch);
        let looked = Stretch::look(&mut txn, key, since);
        // IMPORTANT: while it is pinned, what is written after it stays listed.
        let Txn { view: _pinned, .. } = txn;
        let mut stretch = match looked {
            Ok(Some(stretch)) => stretch,
            Ok(None) => return Ok(Step::Nothing),
            Err(Stop::Unfolded(home)) => {
                self.fold_now(home, &cancel)?;
                return Ok(Step::Later);
            }
            Err(stop) => return Err(leave(&stop)),
        };
        if !stretch.catch_up(self).map_err(|stop| leave(&stop))? {
            return Ok(Step::Later);
        }
        let before = self.sequencer.published();
        let done = self.run_bounded(scratch, |txn| stretch.take(txn))?;
        pace.turn(before, self.sequencer.published());
        done.result.map_err(|stop: Stop| leave(&stop))
    }
}

/// Members that are about to be moved.
pub(crate) struct Stretch {
    /// The key's record, and what it says.
    key: RowKey,
    members: Members,
    /// Up to which position.
    to: u64,
    /// Their records as they were when the batch was open from which on others have to be looked at.
    found: BTreeMap<Vec<u8>, Value>,
    since: u64,
    epoch: u64,
    limit: usize,
}

impl Stretch {
    /// What there is to be moved of a collection, as the transaction sees it.
    pub(crate) fn look(txn: &mut Txn<'_>, key: &RowKey, since: u64) -> Result<Option<Self>, Stop> {
        let Some((_, members)) = wide(txn, key)? else { return Ok(None) };
        let counters = txn.counters(members.home)?;
        let bounds = txn.group.moves.bounds();
        let Choice::Move { mut to } = choose(members, counters, bounds) else { return Ok(None) };
        let mut found = BTreeMap::new();
        let (mut bytes, mut last) = (0, members.moved());
        for (from, end) in members.ranges(last..to) {
            visit::<Stop>(txn, &from, Some(&end), &mut |key, value, _| {
                let at = position(key)?;
                // Those at one position move together.
                if at > last && (found.len() >= 2 * bounds.members || bytes >= STEP_BYTES) {
                    to = at;
                    return Ok(Flow::Stop);
                }
                (bytes, last) = (bytes + key.len() + value.len(), at);
                found.insert(key.to_vec(), Value::from(value));
                Ok(Flow::More)
            })?;
        }
        let epoch = txn.begin.epoch;
        Ok(Some(Self { key: key.clone(), members, to, found, since, epoch, limit: 4 * bounds.members }))
    }

    /// The range of their records.
    fn range(&self) -> (Vec<u8>, Vec<u8>) {
        self.members.ranges(self.members.moved()..self.to).next().unwrap_or_default()
    }

    fn note(&mut self, key: &[u8], value: Option<Value>) {
        match value {
            Some(value) => self.found.insert(key.to_vec(), value),
            None => self.found.remove(key),
        };
    }

    /// Takes in what was written since: what is left for the section is a moment's. False if nobody can
    /// tell.
    pub(crate) fn catch_up(&mut self, group: &Group) -> Result<bool, Stop> {
        let upto = group.sequencer.lock().batch_id();
        let (from, end) = self.range();
        let Some(written) = group.dirty.listed_since(self.since, &from, &end) else { return Ok(false) };
        for key in written {
            let at = group.table.hash(&key);
            let seen = group.table.newest(at).map_or_else(|| group.load(at), Ok)?;
            self.note(&key, seen.value);
        }
        self.since = upto;
        Ok(true)
    }

    /// Moves them, in the section.
    pub(crate) fn take(&mut self, txn: &mut Txn<'_>) -> Result<Step, Stop> {
        let Some((record, members)) = wide(txn, &self.key)? else { return Ok(Step::Nothing) };
        if members != self.members || txn.begin.epoch != self.epoch {
            return Ok(Step::Later);
        }
        let (from, end) = self.range();
        let Some(written) = txn.group.dirty.listed_since(self.since, &from, &end) else {
            return Ok(Step::Later);
        };
        written.iter().for_each(|key| txn.expect(key));
        txn.stop_if_cold()?;
        for key in written {
            let row = txn.load(&key)?;
            self.note(&key, txn.row(row).value().cloned());
        }
        self.shorten()?;
        let begun = if members.is_moving() {
            members
        } else {
            members.begin(u64::try_from(txn.counters(members.home)?.removed).unwrap_or(0))
        };
        let next = begun.moved_to(self.to);
        for (key, value) in &self.found {
            let moved = next.rekeyed(key).map_err(|why| DiskError::corrupt(key, why))?;
            txn.write_blind(&moved, Some(value.clone()));
            txn.write_blind(key, None);
        }
        let row = txn.load(&self.key)?;
        txn.set_quietly(row, record.with_members(next));
        let finished = !next.is_moving();
        if finished {
            // What was removed while they moved may be in the new generation.
            let removed = i64::try_from(begun.removed()).unwrap_or(i64::MAX);
            txn.add_counters(members.home, Counters { removed: -removed, ..Counters::ZERO });
        }
        Ok(Step::Moved { members: self.found.len() as u64, finished })
    }

    /// Leaves some for the next step if so many came meanwhile that this one would take too long.
    fn shorten(&mut self) -> Result<(), Stop> {
        if self.found.len() <= self.limit {
            return Ok(());
        }
        let Some(key) = self.found.keys().nth(self.limit / 2) else { return Ok(()) };
        let at = position(key)?;
        if at > self.members.moved() {
            self.to = at;
            let (_, end) = self.range();
            self.found.split_off(&end);
        }
        Ok(())
    }
}

/// What the record of a key says, if a database has it and it holds a wide collection.
fn wide(txn: &mut Txn<'_>, key: &RowKey) -> Result<Option<(Record, Members)>, Stop> {
    let corrupt = |why| Stop::Disk(DiskError::corrupt(key, why));
    let space = KeyRecord::decode(key).map_err(corrupt)?.space;
    // IMPORTANT: what is written to a database that has been flushed is not reclaimed any more.
    if !txn.begin.spaces.contains(&space) {
        return Ok(None);
    }
    let Some(value) = txn.raw(key)? else { return Ok(None) };
    let record = Record::decode(value).map_err(corrupt)?;
    let members = record.members().map_err(corrupt)?;
    Ok(members.map(|members| (record, members)))
}

fn position(key: &[u8]) -> Result<u64, Stop> {
    Ok(decode_member(key).map_err(|why| DiskError::corrupt(key, why))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Cid, Home};

    const BOUNDS: Bounds = Bounds { removed_min: 1_000, members: 100, passed: 500 };

    fn members() -> Members {
        Members::new(Home { slot: 1, cid: Cid { stamp: 1, seq: 1 } })
    }

    #[track_caller]
    fn check(members: Members, len: i64, removed: i64, expected: Option<u64>) {
        let choice = choose(members, Counters { len, head: 0, removed }, BOUNDS);
        assert_eq!(choice, expected.map_or(Choice::Nothing, |to| Choice::Move { to }));
    }

    #[test]
    fn a_collection_moves_when_more_were_removed_than_are_worth_keeping() {
        check(members(), 10, 1_000, None);
        check(members(), 10, 1_024, Some(POSITIONS / 1_024 * 500));
        check(members(), 1_000, 4_000, None);
        check(members(), 0, -5, None);
    }

    #[test]
    fn a_step_is_bounded_by_what_it_moves_and_by_what_it_passes() {
        check(members(), 1_024, 1 << 13, Some((POSITIONS >> 13) * 500));
        check(members(), 1 << 11, 1 << 14, Some((POSITIONS >> 14) * 500));
        let moving = members().begin(1_000).moved_to(POSITIONS / 2);
        check(moving, 1 << 20, 0, Some(POSITIONS / 2 + (POSITIONS >> 20) * 100));
        check(moving, 0, 0, Some(POSITIONS));
    }

    #[test]
    fn what_is_asked_for_is_asked_for_once_and_bounded() {
        let moves = Moves::default();
        moves.ask(b"Ka");
        moves.ask(b"Kb");
        moves.ask(b"Ka");
        assert_eq!(moves.take().as_deref(), Some(&b"Ka"[..]));
        moves.ask(b"Ka");
        assert_eq!((moves.take().as_deref(), moves.take().as_deref()), (Some(&b"Kb"[..]), Some(&b"Ka"[..])));
        assert_eq!(moves.take(), None);
        for number in 0..2 * ASKED_MAX {
            moves.ask(&number.to_be_bytes());
        }
        assert_eq!(moves.asked.lock().order.len(), ASKED_MAX);
    }
}

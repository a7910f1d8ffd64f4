//! Ordered reads over pending writes and store together, in chunks, so that nothing is ever held
//! whole.

use std::cmp::Ordering;
use std::iter::Peekable;

use crate::disk::{DiskSnapshot, Pair};
use crate::group::Group;
use crate::keys::{self, KeyPosition, KeyRecord, Space};
use crate::record::{Peek, RowKey, Value};
use crate::table::Seen;
use crate::txn::{Stop, Txn};
use crate::view::View;

/// Dirty keys looked at in one go: few at first, since most readers want few.
const CHUNK_MIN: usize = 16;
const CHUNK_MAX: usize = 1024;
/// A transaction on a network thread does not sort more than this many new dirty keys.
const UNSORTED_MAX: usize = 2048;

/// Whether a visitor wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    More,
    Stop,
    /// Go on at this key instead of the next one.
    Seek,
}

/// What a visitor of a range says: how to go on, and from where when it seeks.
pub type Visit<'v, E> = dyn FnMut(&[u8], &[u8], &mut Vec<u8>) -> Result<Flow, E> + 'v;

/// Visits the records of `[from, to)` in order.
pub fn visit<E: From<Stop>>(
    txn: &mut Txn<'_>,
    from: &[u8],
    to: Option<&[u8]>,
    each: &mut Visit<'_, E>,
) -> Result<(), E> {
    begin(txn, from, to)?;
    let mut at = from.to_vec();
    let mut seek = Vec::new();
    let mut chunk = CHUNK_MIN;
    loop {
        // IMPORTANT: the dirty keys are listed before the store is looked at. The other way round,
        // what is applied and pruned in between would be in neither.
        let dirty = txn.group.dirty.range(&at, to, chunk);
        let chunk_end = (dirty.len() == chunk).then(|| dirty.last().map(|key| after(key))).flatten();
        let end = chunk_end.as_deref().or(to);
        let mut merged = Merged::new(txn, &at, end, dirty);
        let mut sought = false;
        while let Some((key, value)) = merged.next(txn)? {
            match each(&key, &value, &mut seek)? {
                Flow::More => {}
                Flow::Stop => return Ok(()),
                Flow::Seek => {
                    sought = true;
                    break;
                }
            }
        }
        chunk = if sought { CHUNK_MIN } else { (chunk * 4).min(CHUNK_MAX) };
        match (sought, chunk_end) {
            (true, _) => at.clone_from(&seek),
            (false, Some(end)) => at = end,
            (false, None) => return Ok(()),
        }
    }
}

/// What a visitor of a range says that goes backwards.
pub type VisitBack<'v, E> = dyn FnMut(&[u8], &[u8]) -> Result<Flow, E> + 'v;

/// Visits the records of `[from, to)` from the last one to the first.
pub fn visit_back<E: From<Stop>>(
    txn: &mut Txn<'_>,
    from: &[u8],
    to: &[u8],
    each: &mut VisitBack<'_, E>,
) -> Result<(), E> {
    begin(txn, from, Some(to))?;
    let mut end = to.to_vec();
    let mut chunk = CHUNK_MIN;
    loop {
        // IMPORTANT: as in `visit`.
        let dirty = txn.group.dirty.range_back(from, &end, chunk);
        let chunk_start = (dirty.len() == chunk).then(|| dirty.last().map(|key| key.to_vec())).flatten();
        let start = chunk_start.as_deref().unwrap_or(from);
        let mut merged = Merged::back(txn, start, &end, dirty);
        while let Some((key, value)) = merged.next(txn)? {
            if each(&key, &value)? == Flow::Stop {
                return Ok(());
            }
        }
        let Some(start) = chunk_start else { return Ok(()) };
        end = start;
        chunk = (chunk * 4).min(CHUNK_MAX);
    }
}

fn after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

fn begin(txn: &mut Txn<'_>, from: &[u8], to: Option<&[u8]>) -> Result<(), Stop> {
    let group = txn.group;
    match &mut txn.view {
        View::Latest { .. } if group.dirty.unsorted(from) > UNSORTED_MAX => Err(Stop::Outgrown),
        View::Latest { .. } => {
            txn.loaded_from_disk = true;
            Ok(())
        }
        // Inside the section nobody waits for the disk.
        View::Section(_) => Err(Stop::Outgrown),
        View::Pinned(pinned) => {
            pinned.ranges.push((from.to_vec(), to.map(<[u8]>::to_vec)));
            Ok(())
        }
        View::Reserving(reserving) => {
            let held = group.sequencer.lock().reserved.add_range(reserving.token, from, to);
            if held { Ok(()) } else { Err(Stop::Cancelled) }
        }
    }
}

type DiskRange = Box<dyn Iterator<Item = Result<Pair, crate::disk::DiskError>>>;

/// Own writes over dirty rows over the store.
struct Merged {
    own: Peekable<std::vec::IntoIter<(Vec<u8>, Option<Value>)>>,
    dirty: Peekable<std::vec::IntoIter<RowKey>>,
    disk: Peekable<DiskRange>,
    /// From the last one to the first.
    is_back: bool,
}

impl Merged {
    fn new(txn: &Txn<'_>, from: &[u8], to: Option<&[u8]>, dirty: Vec<RowKey>) -> Self {
        let disk: DiskRange = match &txn.view {
            View::Pinned(pinned) if !txn.is_built(from) => Box::new(pinned.disk.range(from, to)),
            _ => {
                let snapshot: DiskSnapshot = txn.group.disk.snapshot();
                Box::new(snapshot.range(from, to))
            }
        };
        Self {
            own: txn.own_writes(from, to).into_iter().peekable(),
            dirty: dirty.into_iter().peekable(),
            disk: disk.peekable(),
            is_back: false,
        }
    }

    /// From the last one to the first; so are the dirty keys.
    fn back(txn: &Txn<'_>, from: &[u8], to: &[u8], dirty: Vec<RowKey>) -> Self {
        let disk: DiskRange = match &txn.view {
            View::Pinned(pinned) if !txn.is_built(from) => Box::new(pinned.disk.range(from, Some(to)).rev()),
            _ => Box::new(txn.group.disk.snapshot().range(from, Some(to)).rev()),
        };
        let mut own = txn.own_writes(from, Some(to));
        own.reverse();
        Self {
            own: own.into_iter().peekable(),
            dirty: dirty.into_iter().peekable(),
            disk: disk.peekable(),
            is_back: true,
        }
    }

    /// The next record that exists.
    fn next(&mut self, txn: &mut Txn<'_>) -> Result<Option<(Vec<u8>, Bytes)>, Stop> {
        loop {
            let disk_key = match self.disk.peek() {
                Some(Ok(pair)) => Some(pair.0.clone()),
                Some(Err(error)) => return Err(error.clone().into()),
                None => None,
            };
            let own = self.own.peek().map(|(key, _)| key.as_slice());
            let dirty = self.dirty.peek().map(|key| &**key);
            let all = [own, dirty, disk_key.as_deref()].into_iter().flatten();
            let Some(next) = (if self.is_back { all.max() } else { all.min() }) else { return Ok(None) };
            let next = next.to_vec();
            let on_disk = take_if(&mut self.disk, |pair| matches!(pair, Ok(pair) if *pair.0 == *next));
            let is_dirty = take_if(&mut self.dirty, |key| **key == *next).is_some();
            let own = take_if(&mut self.own, |(key, _)| *key == next);
            let value = match own {
                Some((_, value)) => value.map(Bytes::Row),
                None => {
                    let on_disk = on_disk.and_then(Result::ok).map(|pair| Bytes::Disk(pair.1));
                    if is_dirty { dirty_value(txn, &next, on_disk)? } else { on_disk }
                }
            };
            let Some(value) = value else {
                txn.spend(1, 0)?;
                continue;
            };
            txn.hold(1, next.len() + value.len())?;
            return Ok(Some((next, value)));
        }
    }
}

fn take_if<I: Iterator>(from: &mut Peekable<I>, wanted: impl FnOnce(&I::Item) -> bool) -> Option<I::Item> {
    from.next_if(wanted)
}

/// A record's bytes, wherever they come from.
pub enum Bytes {
    Row(Value),
    Disk(fjall::Slice),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Row(value) => value,
            Self::Disk(slice) => slice,
        }
    }
}

/// What the view shows of a key that was dirty when it was listed.
fn dirty_value(txn: &mut Txn<'_>, key: &[u8], on_disk: Option<Bytes>) -> Result<Option<Bytes>, Stop> {
    let at = txn.group.table.hash(key);
    let seen: Option<Seen> = match &txn.view {
        View::Pinned(pinned) if !txn.is_built(key) => txn.group.table.as_of(at, pinned.pin.view),
        View::Latest { start } => match txn.group.table.newest(at) {
            Some(seen) if seen.version > *start => return Err(Stop::Moved),
            seen => seen,
        },
        _ => txn.group.table.newest(at),
    };
    let Some(seen) = seen else { return Ok(on_disk) };
    txn.newest_seen = txn.newest_seen.max(seen.version);
    Ok(seen.value.map(Bytes::Row))
}

/// A key of a database, as a walk finds it.
pub struct Found<'a> {
    pub at: KeyPosition,
    pub key: &'a [u8],
    pub peek: Peek,
}

/// What a walk comes to.
pub enum Step<'a> {
    Key(Found<'a>),
    /// A key that has expired, or keys of other databases: the walk goes on from here.
    Passed(KeyPosition),
}

impl Step<'_> {
    pub fn at(&self) -> KeyPosition {
        match self {
            Self::Key(found) => found.at,
            Self::Passed(at) => *at,
        }
    }
}

/// Visits the keys of the selected database in order from a position on, until `each` says stop.
pub fn walk_keys<E: From<Stop>>(
    txn: &mut Txn<'_>,
    from: KeyPosition,
    each: &mut dyn FnMut(&Step<'_>) -> Result<Flow, E>,
) -> Result<(), E> {
    let space = txn.space(txn.database());
    // Seeking through the keys of other databases is long; here it costs nothing to know better.
    if matches!(txn.view, View::Pinned(_)) && txn.counts(txn.database())?.keys == 0 {
        return Ok(());
    }
    let now_ms = txn.now_ms();
    let start = keys::key_seek(space, from);
    visit(txn, &start, Some(&[keys::KEY + 1]), &mut |key, value, seek| {
        let Ok(found) = KeyRecord::decode(key) else { return Ok(Flow::More) };
        if let Some(next) = other_space(space, &found) {
            let Some(next) = next else { return Ok(Flow::Stop) };
            *seek = keys::key_seek(space, next);
            return Ok(match each(&Step::Passed(next))? {
                Flow::Stop => Flow::Stop,
                _ => Flow::Seek,
            });
        }
        let Some(peek) = Peek::at(value) else { return Ok(Flow::More) };
        let expired = peek.expiry_ms.is_some_and(|at| at <= now_ms);
        let step = if expired {
            Step::Passed(found.at)
        } else {
            Step::Key(Found { at: found.at, key: found.key, peek })
        };
        each(&step)
    })
}

/// Where to go on if the record found belongs to another space: `Some(None)` means nowhere.
fn other_space(wanted: Space, found: &KeyRecord<'_>) -> Option<Option<KeyPosition>> {
    let slot = found.at.slot;
    match found.space.cmp(&wanted) {
        Ordering::Equal => None,
        Ordering::Less => Some(Some(KeyPosition { slot, hash: 0 })),
        Ordering::Greater if slot + 1 < base::slot::SLOTS => {
            Some(Some(KeyPosition { slot: slot + 1, hash: 0 }))
        }
        Ordering::Greater => Some(None),
    }
}

/// A window on a range: the records found in it, and where the next one begins.
pub(crate) struct Window {
    pub(crate) keys: Vec<Vec<u8>>,
    /// `None` at the end of the range.
    pub(crate) next: Option<Vec<u8>>,
}

impl Group {
    /// The keys of existing records in the first part of `[from, to)`, as they are in store and
    /// table now. For maintenance: no transaction, no promise that they belong to one moment. Looks
    /// at no more than about `limit` records, so a window may be empty and still not the last.
    pub(crate) fn peek_window(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Window, Stop> {
        let exists = |key: &[u8]| self.table.newest(self.table.hash(key)).map(|seen| seen.value.is_some());
        let dirty = self.dirty.range(from, Some(to), limit);
        let mut next = (dirty.len() == limit).then(|| dirty.last().map(|key| after(key))).flatten();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for (count, pair) in self.disk.snapshot().range(from, Some(to)).enumerate() {
            let key = pair?.0;
            if next.as_ref().is_some_and(|next| *key >= **next) {
                break;
            }
            if count == limit {
                next = Some(key.to_vec());
                break;
            }
            if exists(&key) != Some(false) {
                keys.push(key.to_vec());
            }
        }
        let within = |key: &[u8]| next.as_ref().is_none_or(|next| key < next.as_slice());
        keys.extend(
            dirty.iter().filter(|key| within(key) && exists(key) == Some(true)).map(|key| key.to_vec()),
        );
        keys.sort_unstable();
        keys.dedup();
        Ok(Window { keys, next })
    }

    /// Like [`Self::peek_window`], of the last part: what there is from `next` on.
    pub(crate) fn peek_window_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Window, Stop> {
        let exists = |key: &[u8]| self.table.newest(self.table.hash(key)).map(|seen| seen.value.is_some());
        // IMPORTANT: as in `visit`, the dirty keys first.
        let dirty = self.dirty.range_back(from, to, limit);
        let mut next = (dirty.len() == limit).then(|| dirty.last().map(|key| key.to_vec())).flatten();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for (count, pair) in self.disk.snapshot().range(from, Some(to)).rev().enumerate() {
            let key = pair?.0;
            if next.as_ref().is_some_and(|next| *key < **next) {
                break;
            }
            if count == limit {
                next = Some(after(&key));
                break;
            }
            if exists(&key) != Some(false) {
                keys.push(key.to_vec());
            }
        }
        let within = |key: &[u8]| next.as_ref().is_none_or(|next| key >= next.as_slice());
        keys.extend(
            dirty.iter().filter(|key| within(key) && exists(key) == Some(true)).map(|key| key.to_vec()),
        );
        keys.sort_unstable();
        keys.dedup();
        Ok(Window { keys, next })
    }
}

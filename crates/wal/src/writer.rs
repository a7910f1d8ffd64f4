//! The log thread's work: a batch of requests becomes records, one write and one fdatasync.
//!
//! IMPORTANT: a segment is wholly durable before anything is written to the next one, and a segment
//! is given up only when what freed it is durable. Recovery relies on both.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;

use crate::{
    blocks::{BLOCK_BYTES, Blocks},
    bounds::{CHECKPOINT_BYTES_MAX, WRITE_BUFFER_RETAINED_BYTES, WRITE_CHUNK_BYTES},
    error::WalError,
    files::write_all,
    ledger::Ledger,
    options::Fsync,
    prep::{Prep, PrepError},
    queue::{Batch, Op, What},
    record::{ALIGN, Header, Kind, checkpoint_bytes, encode_checkpoint, record_bytes},
    segment::{Segment, capacity},
    stats::Counters,
    wal::{Done, PoisonByPanic, Shared},
};

enum Fail {
    Full,
    /// What is on disk is unknown now.
    Poison(Arc<str>),
}

type Outcome<T = ()> = Result<T, Fail>;

/// Where an append's entries went.
struct Placed {
    group: u16,
    first: u64,
    ticket: u64,
    places: Vec<(u64, u32)>,
}

/// Records that are to be written as soon as it is convenient: lazily saved states, and truncations
/// and purges that a full disk held up. At most one of a kind for each group.
#[derive(Default)]
struct Owed {
    truncate: Option<Option<u64>>,
    purge: Option<(u64, Bytes)>,
    state: Option<Bytes>,
}

/// Where the log goes on after a recovery.
pub(crate) struct Position {
    pub(crate) active: Segment,
    /// The active segment's place in the log.
    pub(crate) base: u64,
    pub(crate) written: u64,
    /// What is written of the block in which the log goes on.
    pub(crate) block: Vec<u8>,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    prep: Arc<Prep>,
    fsync: Fsync,
    ledgers: BTreeMap<u16, Ledger>,
    owed: BTreeMap<u16, Owed>,
    /// Live segments, the active one included.
    segments: BTreeMap<u64, Segment>,
    active: Segment,
    base: u64,
    /// Bytes of the active segment that are written: without those in `tail` that are not.
    written: u64,
    tail: Blocks,
    /// The log is durable up to this position.
    synced: u64,
    /// ... and a record says so.
    marked: bool,
    /// Segments taken for records to come, in order.
    reserved: VecDeque<Segment>,
    /// Something was purged or truncated.
    may_free: bool,
    answers: Vec<(Done, Result<(), WalError>)>,
    placed: Vec<Placed>,
}

impl Writer {
    /// Everything up to `position` is durable.
    pub(crate) fn new(
        shared: Arc<Shared>,
        prep: Arc<Prep>,
        fsync: Fsync,
        ledgers: BTreeMap<u16, Ledger>,
        segments: BTreeMap<u64, Segment>,
        position: Position,
    ) -> Self {
        let writer = Self {
            shared,
            prep,
            fsync,
            ledgers,
            owed: BTreeMap::new(),
            segments,
            synced: position.base + position.written,
            active: position.active,
            base: position.base,
            written: position.written,
            tail: Blocks::after(&position.block),
            marked: false,
            reserved: VecDeque::new(),
            may_free: true,
            answers: Vec::new(),
            placed: Vec::new(),
        };
        writer.publish_room();
        writer.prep.want_after(writer.active.len);
        writer
    }

    /// Opens a log's very first segment.
    pub(crate) fn start(&mut self) -> Result<(), WalError> {
        let opened = self.open_active().and_then(|()| self.flush()).and_then(|()| self.sync());
        opened.map_err(|fail| match fail {
            Fail::Full => WalError::Full,
            Fail::Poison(reason) => self.poison(&reason),
        })
    }

    /// Whether something waits for the alarm.
    pub(crate) fn wants_alarm(&self) -> bool {
        let unsynced = self.fsync == Fsync::EverySec && self.synced < self.end();
        self.shared.poison.get().is_none() && (!self.owed.is_empty() || unsynced || !self.marked)
    }

    /// Writes what the queue held, syncs, and answers.
    pub(crate) fn process(&mut self, batch: &mut Batch) {
        let count = batch.ops.len() as u64;
        let mut poisoned = self.shared.poisoned();
        for Op { group, what, done } in batch.ops.drain(..) {
            let answer = match what {
                What::Refused(error) => Err(error),
                _ if poisoned.is_some() => Ok(()),
                what => match self.write(group, what) {
                    Ok(()) => Ok(()),
                    Err(Fail::Full) => {
                        Counters::add(&self.shared.counters.full_errors, 1);
                        Err(WalError::Full)
                    }
                    Err(Fail::Poison(reason)) => {
                        poisoned = Some(self.poison(&reason));
                        Ok(())
                    }
                },
            };
            self.answers.push((done, answer));
        }
        for (group, blob) in std::mem::take(&mut batch.lazy) {
            self.owed.entry(group).or_default().state = Some(blob);
        }
        if poisoned.is_none() {
            let finished = self.finish_batch(count > 0, batch.due || batch.closed, batch.closed);
            if let Err(Fail::Poison(reason)) = finished {
                poisoned = Some(self.poison(&reason));
            }
        }
        self.publish_room();
        self.shared.queue.finished(batch.bytes, count);
        for (done, answer) in self.answers.drain(..) {
            // Whose callback is dropped by a panic must find the log poisoned.
            let _poisoned = PoisonByPanic(&self.shared);
            done(poisoned.clone().map_or(answer, Err));
        }
    }

    fn finish_batch(&mut self, asked: bool, due: bool, closing: bool) -> Outcome {
        let wrote = self.end() > self.base + self.written || !self.placed.is_empty();
        if wrote || due {
            self.settle_all()?;
        }
        self.flush()?;
        let sync = match self.fsync {
            Fsync::Always => asked || due,
            Fsync::EverySec => due,
        };
        if sync {
            self.sync()?;
        }
        // What is durable is worth a record once the log comes to rest: it tells later damage from a
        // torn tail. It need not be durable itself.
        if due && !self.marked && self.synced == self.end() {
            if self.fits(Kind::Mark, 0) {
                self.put(Kind::Mark, 0, 0, &[])?;
                self.flush()?;
            }
            self.marked = true;
        }
        if closing {
            self.sync()?;
        }
        self.publish_places();
        if self.synced == self.end() || self.marked {
            self.free_segments();
        }
        Ok(())
    }

    fn write(&mut self, group: u16, what: What) -> Outcome {
        match what {
            What::Append { ticket, follows, entries } => {
                let outcome = self.append(group, ticket, follows, &entries);
                if matches!(outcome, Err(Fail::Full)) {
                    self.shared.index.lock().roll_back(group, ticket);
                }
                outcome
            }
            What::Truncate(index) => {
                let owed = self.owed.entry(group).or_default();
                // None, that is everything, is the least.
                owed.truncate = Some(owed.truncate.map_or(index, |before| before.min(index)));
                self.settle(group)
            }
            What::Purge { index, meta } => {
                let owed = self.owed.entry(group).or_default();
                if owed.purge.as_ref().is_none_or(|(before, _)| *before <= index) {
                    owed.purge = Some((index, meta));
                }
                self.settle(group)
            }
            What::State(blob) => {
                if let Some(owed) = self.owed.get_mut(&group) {
                    owed.state = None;
                }
                self.save_state(group, blob)
            }
            What::Refused(_) => Ok(()),
        }
    }

    fn append(&mut self, group: u16, ticket: u64, follows: Option<u64>, entries: &[(u64, Bytes)]) -> Outcome {
        let Some((first, _)) = entries.first() else { return Ok(()) };
        self.settle_log(group)?;
        // An earlier append of this group, on which this one stands, found no space.
        let ledger = self.ledgers.entry(group).or_default();
        if ledger.bounds().map(|(_, last)| last) != follows || ledger.check_next(*first).is_err() {
            return Err(Fail::Full);
        }
        self.reserve(Kind::Entry, entries.iter().map(|(_, entry)| record_bytes(entry.len())))?;
        let mut places = Vec::with_capacity(entries.len());
        for (index, entry) in entries {
            let (seq, offset) = self.put(Kind::Entry, group, *index, entry)?;
            self.ledgers.entry(group).or_default().append(*index, seq);
            places.push((seq, offset));
        }
        self.placed.push(Placed { group, first: *first, ticket, places });
        Counters::add(&self.shared.counters.appends, 1);
        Counters::add(&self.shared.counters.entries, entries.len() as u64);
        Ok(())
    }

    fn save_state(&mut self, group: u16, blob: Bytes) -> Outcome {
        self.reserve(Kind::State, [record_bytes(blob.len())])?;
        self.put(Kind::State, group, 0, &blob)?;
        self.ledgers.entry(group).or_default().state = Some(blob);
        Ok(())
    }

    /// Writes a group's owed truncation and purge: what comes after them builds on them.
    fn settle_log(&mut self, group: u16) -> Outcome {
        let Some(owed) = self.owed.get(&group) else { return Ok(()) };
        let (truncate, purge) = (owed.truncate, owed.purge.clone());
        if let Some(index) = truncate {
            self.reserve(Kind::Truncate, [record_bytes(0)])?;
            let kind = if index.is_some() { Kind::Truncate } else { Kind::Clear };
            self.put(kind, group, index.unwrap_or(0), &[])?;
            self.ledgers.entry(group).or_default().truncate(index);
            self.may_free = true;
            self.owed.entry(group).or_default().truncate = None;
        }
        if let Some((index, meta)) = purge {
            self.reserve(Kind::Purge, [record_bytes(meta.len())])?;
            self.put(Kind::Purge, group, index, &meta)?;
            self.ledgers.entry(group).or_default().purge(index, meta);
            self.may_free = true;
            self.owed.entry(group).or_default().purge = None;
        }
        self.forget_settled(group);
        Ok(())
    }

    fn settle(&mut self, group: u16) -> Outcome {
        self.settle_log(group)?;
        if let Some(blob) = self.owed.get(&group).and_then(|owed| owed.state.clone()) {
            self.save_state(group, blob)?;
            self.owed.entry(group).or_default().state = None;
            self.forget_settled(group);
        }
        Ok(())
    }

    fn forget_settled(&mut self, group: u16) {
        let settled = |owed: &Owed| owed.truncate.is_none() && owed.purge.is_none() && owed.state.is_none();
        if self.owed.get(&group).is_some_and(settled) {
            self.owed.remove(&group);
        }
    }

    /// Writes what is owed as far as there is space.
    fn settle_all(&mut self) -> Outcome {
        let groups: Vec<u16> = self.owed.keys().copied().collect();
        for group in groups {
            match self.settle(group) {
                Err(Fail::Full) => return Ok(()),
                outcome => outcome?,
            }
        }
        Ok(())
    }

    fn used(&self) -> u64 {
        self.written + self.tail.unwritten() as u64
    }

    /// The position behind the last record.
    fn end(&self) -> u64 {
        self.base + self.used()
    }

    fn fits(&self, kind: Kind, payload: usize) -> bool {
        self.used() + record_bytes(payload) <= capacity(self.active.len, kind)
    }

    /// Makes sure that records of these sizes find space, so that writing them cannot fail halfway.
    fn reserve(&mut self, kind: Kind, sizes: impl IntoIterator<Item = u64>) -> Outcome {
        let (mut used, mut limit) = (self.used(), capacity(self.active.len, kind));
        let mut segments = 0;
        for bytes in sizes {
            if used + bytes > limit {
                used = checkpoint_bytes(self.ledgers.values());
                if used > CHECKPOINT_BYTES_MAX as u64 {
                    return Err(Fail::Poison("the groups' states do not fit into a segment".into()));
                }
                limit = capacity(self.reserve_segment(segments, used + bytes)?, kind);
                segments += 1;
            }
            used += bytes;
        }
        Ok(())
    }

    /// The length of the reserved segment number `at`, which holds records of `bytes` bytes.
    fn reserve_segment(&mut self, at: usize, bytes: u64) -> Outcome<u64> {
        // At most an eighth of it is kept back.
        let min = (bytes + bytes / 7 + 1).next_multiple_of(BLOCK_BYTES as u64);
        while let Some(segment) = self.reserved.get(at) {
            if segment.len >= min {
                return Ok(segment.len);
            }
            self.prep.retire(self.reserved.remove(at));
        }
        let segment = self.prep.take(min).map_err(|error| match error {
            PrepError::Full => Fail::Full,
            PrepError::Broken(reason) => Fail::Poison(reason),
        })?;
        let len = segment.len;
        self.reserved.push_back(segment);
        Ok(len)
    }

    /// Encodes a record, for which there is space: `reserve` was asked.
    fn put(&mut self, kind: Kind, group: u16, index: u64, payload: &[u8]) -> Outcome<(u64, u32)> {
        if !self.fits(kind, payload.len()) {
            self.roll(record_bytes(payload.len()))?;
        }
        let offset = self.used();
        let header = Header::new(kind, group, index, self.synced, payload);
        self.tail.extend(&header.encode(self.active.seq, offset));
        self.tail.extend(payload);
        self.tail.pad(ALIGN as usize);
        self.marked = false;
        if self.tail.unwritten() >= WRITE_CHUNK_BYTES {
            self.flush()?;
        }
        // Segments are smaller than 4 GiB.
        Ok((self.active.seq, u32::try_from(offset).unwrap_or(u32::MAX)))
    }

    /// Goes on in the next segment, with a record of so many bytes.
    fn roll(&mut self, bytes: u64) -> Outcome {
        // On a full disk segments are as small as the records that were planned for them, and a record
        // may have found space earlier than planned: the next one's segment is further behind.
        let needed = checkpoint_bytes(self.ledgers.values()) + bytes;
        let next = loop {
            match self.reserved.pop_front() {
                Some(segment) if needed <= capacity(segment.len, Kind::Entry) => break segment,
                Some(small) => self.prep.retire([small]),
                None => {
                    return Err(Fail::Poison("a record was written that no segment was reserved for".into()));
                }
            }
        };
        self.flush()?;
        self.sync()?;
        self.base = self.end();
        self.written = 0;
        self.tail = Blocks::after(&[]);
        self.active = next;
        self.open_active()
    }

    fn open_active(&mut self) -> Outcome {
        let segment = self.active.clone();
        self.shared.index.lock().files.insert(segment.seq, Arc::clone(&segment.file));
        self.prep.want_after(segment.len);
        self.segments.insert(segment.seq, segment);
        let checkpoint = encode_checkpoint(self.ledgers.iter());
        self.put(Kind::Checkpoint, 0, self.base, &checkpoint)?;
        Ok(())
    }

    fn flush(&mut self) -> Outcome {
        let bytes = self.tail.unwritten() as u64;
        if bytes > 0 {
            let blocks = self.tail.whole();
            let end = self.written + bytes;
            // From the beginning of the block that is written in part.
            let from = end.next_multiple_of(BLOCK_BYTES as u64) - blocks.len() as u64;
            debug_assert!(from + blocks.len() as u64 <= self.active.len, "a segment never grows");
            let written = write_all(&*self.active.file, from, blocks);
            written.map_err(|error| self.fatal("writing", &error))?;
            self.written = end;
            Counters::add(&self.shared.counters.bytes_written, bytes);
            self.tail.wrote(WRITE_BUFFER_RETAINED_BYTES);
        }
        Ok(())
    }

    fn sync(&mut self) -> Outcome {
        let written = self.base + self.written;
        if self.synced < written {
            let started = Instant::now();
            self.active.file.sync_data().map_err(|error| self.fatal("fdatasync of", &error))?;
            self.shared.counters.fsync(started.elapsed());
            self.synced = written;
        }
        Ok(())
    }

    fn fatal(&self, what: &str, error: &std::io::Error) -> Fail {
        Fail::Poison(format!("{what} segment {:016x}: {error}", self.active.seq).into())
    }

    fn poison(&mut self, reason: &Arc<str>) -> WalError {
        tracing::error!(%reason, "the log is poisoned");
        self.placed.clear();
        let reason = self.shared.poison.get_or_init(|| Arc::clone(reason));
        WalError::Poisoned(Arc::clone(reason))
    }

    fn publish_places(&mut self) {
        if self.placed.is_empty() {
            return;
        }
        let mut index = self.shared.index.lock();
        for placed in self.placed.drain(..) {
            index.written(placed.group, placed.first, placed.ticket, &placed.places);
        }
    }

    /// Gives up the segments that no group needs.
    fn free_segments(&mut self) {
        if !std::mem::take(&mut self.may_free) {
            return;
        }
        let needed = self.ledgers.values().filter_map(Ledger::oldest_segment).min();
        let oldest = needed.map_or(self.active.seq, |seq| seq.min(self.active.seq));
        let kept = self.segments.split_off(&oldest);
        let freed = std::mem::replace(&mut self.segments, kept);
        if !freed.is_empty() {
            let mut index = self.shared.index.lock();
            index.files = index.files.split_off(&oldest);
            drop(index);
            self.prep.retire(freed.into_values());
        }
    }

    fn publish_room(&self) {
        let active = capacity(self.active.len, Kind::Entry).saturating_sub(self.used());
        self.shared.set_room(active, self.reserved.iter().map(|segment| segment.len).sum());
    }

    #[cfg(test)]
    pub(crate) fn segment_count(&self) -> usize {
        self.segments.len()
    }
}

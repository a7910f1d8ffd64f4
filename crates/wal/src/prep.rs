//! The next segment, ready before it is needed: filled with zeros and synced, or an old one renamed.
//! The work is done on a helper thread; the log thread does it itself only if it finds nothing ready.
//!
//! A file is given its live name, and the directory is synced, before anything is written to it, and
//! names are never used again while a record of their life may be left. So recovery never takes
//! records of one life for those of another.

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::{
    blocks::{Aligned, BLOCK_BYTES},
    bounds::{
        FULL_RETRY_MS, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_SHARE_MIN, SEGMENT_START_BYTES,
        ZERO_CHUNK_BYTES, ZERO_SYNC_BYTES,
    },
    error::is_full,
    files::{Files, write_all},
    segment::{Name, Segment},
    stats::Counters,
};

#[derive(Debug, Clone)]
pub(crate) enum PrepError {
    Full,
    /// A rename or a sync of the directory failed: what the disk has is unknown.
    Broken(Arc<str>),
}

/// What to do about a segment that nobody needs any more.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    Remove,
}

struct State {
    next_seq: u64,
    /// Size of the next segment, unless space is short.
    target: u64,
    ready: Option<Segment>,
    wanted: bool,
    /// Somebody is working, without the lock.
    busy: bool,
    retired: VecDeque<Segment>,
    spares: Vec<Segment>,
    broken: Option<Arc<str>>,
    tried_at: Option<Instant>,
    closed: bool,
}

pub(crate) struct Prep {
    files: Arc<dyn Files>,
    dir: PathBuf,
    segment_bytes: u64,
    recycle_max: usize,
    counters: Arc<Counters>,
    state: Mutex<State>,
    /// Wakes the helper.
    work: Condvar,
    /// Somebody has stopped working.
    idle: Condvar,
    full: AtomicBool,
    ready_bytes: AtomicU64,
    /// All files, live ones included.
    disk_bytes: AtomicU64,
}

/// What recovery found.
pub(crate) struct Start {
    pub(crate) next_seq: u64,
    pub(crate) spares: Vec<Segment>,
    pub(crate) disk_bytes: u64,
    pub(crate) active_len: u64,
}

impl Prep {
    pub(crate) fn new(
        files: Arc<dyn Files>,
        options: &crate::Options,
        counters: Arc<Counters>,
        start: Start,
    ) -> Self {
        let segment_bytes = options.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let segment_bytes = segment_bytes.next_multiple_of(BLOCK_BYTES as u64);
        let state = State {
            next_seq: start.next_seq,
            target: (2 * start.active_len).max(SEGMENT_START_BYTES).min(segment_bytes),
            ready: None,
            wanted: false,
            busy: false,
            retired: VecDeque::new(),
            spares: start.spares,
            broken: None,
            tried_at: None,
            closed: false,
        };
        Self {
            files,
            dir: options.dir.clone(),
            segment_bytes,
            recycle_max: options.recycle_max,
            counters,
            state: Mutex::new(state),
            work: Condvar::new(),
            idle: Condvar::new(),
            full: AtomicBool::new(false),
            ready_bytes: AtomicU64::new(0),
            disk_bytes: AtomicU64::new(start.disk_bytes),
        }
    }

    /// The last try found no space.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    pub(crate) fn ready_bytes(&self) -> u64 {
        self.ready_bytes.load(Relaxed)
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Relaxed)
    }

    /// A segment of at least `min` bytes is in use from now on: the next one is wanted.
    pub(crate) fn want_after(&self, len: u64) {
        let mut state = self.state.lock();
        state.target = state.target.max(2 * len).min(self.segment_bytes);
        state.wanted = true;
        self.work.notify_one();
    }

    /// Tries once more if the disk was full and the last try is a while ago.
    pub(crate) fn retry_if_due(&self) {
        let mut state = self.state.lock();
        let due = state.tried_at.is_none_or(|at| at.elapsed() >= Duration::from_millis(FULL_RETRY_MS));
        if due && !state.busy {
            state.wanted = true;
            self.work.notify_one();
        }
    }

    /// Takes back segments that nobody needs, oldest first. What freed them is durable.
    pub(crate) fn retire(&self, segments: impl IntoIterator<Item = Segment>) {
        let mut state = self.state.lock();
        state.retired.extend(segments);
        // Their space may be what was missing.
        state.wanted |= self.is_full();
        self.work.notify_one();
    }

    /// A segment of at least `min` bytes: the ready one, or one made here and now.
    pub(crate) fn take(&self, min: u64) -> Result<Segment, PrepError> {
        let min = min.max(self.segment_bytes / SEGMENT_SHARE_MIN).next_multiple_of(BLOCK_BYTES as u64);
        let mut state = self.state.lock();
        while state.busy {
            self.idle.wait(&mut state);
        }
        if let Some(reason) = &state.broken {
            return Err(PrepError::Broken(Arc::clone(reason)));
        }
        if let Some(ready) = state.ready.take() {
            self.ready_bytes.store(0, Relaxed);
            if ready.len >= min {
                return Ok(ready);
            }
            state.retired.push_back(ready);
        }
        state.busy = true;
        drop(state);
        let made = self.work(Some(min));
        self.stop_working(&made);
        made.and_then(|made| made.ok_or(PrepError::Full))
    }

    /// The helper thread.
    pub(crate) fn run(&self) {
        loop {
            let mut state = self.state.lock();
            while !state.closed && !Self::has_work(&state) {
                self.work.wait(&mut state);
            }
            if state.closed {
                return;
            }
            drop(state);
            self.step();
        }
    }

    fn has_work(state: &State) -> bool {
        let prepare = state.wanted && state.ready.is_none();
        !state.busy && state.broken.is_none() && (prepare || !state.retired.is_empty())
    }

    /// One round of the helper's work, if there is any.
    pub(crate) fn step(&self) {
        let mut state = self.state.lock();
        if !Self::has_work(&state) {
            return;
        }
        let min = (state.wanted && state.ready.is_none()).then(|| state.target.min(SEGMENT_START_BYTES));
        if min.is_some() {
            state.wanted = false;
        }
        state.busy = true;
        drop(state);
        let made = self.work(min);
        if let Ok(Some(segment)) = &made {
            self.ready_bytes.store(segment.len, Relaxed);
            self.state.lock().ready = Some(segment.clone());
        }
        self.stop_working(&made);
    }

    fn stop_working(&self, outcome: &Result<Option<Segment>, PrepError>) {
        let mut state = self.state.lock();
        if let Err(PrepError::Broken(reason)) = outcome {
            tracing::error!(%reason, "the log cannot prepare segments");
            state.broken = Some(Arc::clone(reason));
        }
        state.busy = false;
        self.idle.notify_all();
        // The helper may have been asked while the log thread was at work.
        self.work.notify_one();
    }

    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.work.notify_all();
    }

    /// Deals with what is retired and makes a segment of at least `min` bytes. Only by whoever is
    /// `busy`.
    fn work(&self, min: Option<u64>) -> Result<Option<Segment>, PrepError> {
        self.recycle()?;
        let Some(min) = min else { return Ok(None) };
        let (seq, target, spare) = {
            let mut state = self.state.lock();
            let seq = state.next_seq;
            state.next_seq += 1;
            state.tried_at = Some(Instant::now());
            let spare = state.spares.iter().position(|spare| spare.len >= min);
            (seq, state.target.max(min), spare.map(|at| state.spares.swap_remove(at)))
        };
        if let Some(spare) = spare {
            self.rename(Name::Spare(spare.seq), Name::Live(seq))?;
            self.set_full(false);
            Counters::add(&self.counters.segments_recycled, 1);
            return Ok(Some(Segment { seq, ..spare }));
        }
        // On a disk that was full a moment ago, do not fill it to the brim just to see.
        let mut sizes = vec![min];
        if !self.is_full() && target > min {
            sizes.insert(0, target);
        }
        for len in sizes {
            if let Some(segment) = self.create(seq, len)? {
                self.set_full(false);
                return Ok(Some(segment));
            }
        }
        self.set_full(true);
        Err(PrepError::Full)
    }

    fn set_full(&self, full: bool) {
        if self.full.swap(full, Relaxed) != full {
            if full {
                tracing::warn!("no space left for another log segment");
            } else {
                tracing::info!("the log has space again");
            }
        }
    }

    /// Old segments become spares, or go.
    fn recycle(&self) -> Result<(), PrepError> {
        loop {
            let (segment, fate) = {
                let mut state = self.state.lock();
                let Some(segment) = state.retired.pop_front() else { return Ok(()) };
                let room = state.spares.len() < self.recycle_max;
                let useful = segment.len >= state.target || self.is_full();
                (segment, if room && useful { Fate::Keep } else { Fate::Remove })
            };
            match fate {
                Fate::Keep => {
                    self.rename(Name::Live(segment.seq), Name::Spare(segment.seq))?;
                    self.state.lock().spares.push(segment);
                }
                Fate::Remove => {
                    self.remove(Name::Live(segment.seq))?;
                    self.disk_bytes.fetch_sub(segment.len, Relaxed);
                }
            }
        }
    }

    fn rename(&self, from: Name, to: Name) -> Result<(), PrepError> {
        let (from, to) = (from.path(&self.dir), to.path(&self.dir));
        let outcome = self.files.rename(&from, &to).and_then(|()| self.files.sync_dir(&self.dir));
        outcome.map_err(|error| {
            PrepError::Broken(format!("renaming {} to {}: {error}", from.display(), to.display()).into())
        })
    }

    fn remove(&self, name: Name) -> Result<(), PrepError> {
        let path = name.path(&self.dir);
        let outcome = self.files.remove(&path).and_then(|()| self.files.sync_dir(&self.dir));
        outcome.map_err(|error| PrepError::Broken(format!("removing {}: {error}", path.display()).into()))
    }

    /// A new file full of zeros; `None` if there is no space for it.
    fn create(&self, seq: u64, len: u64) -> Result<Option<Segment>, PrepError> {
        let temporary = Name::Temporary(seq);
        let path = temporary.path(&self.dir);
        let broken =
            |error: &io::Error| PrepError::Broken(format!("preparing {}: {error}", path.display()).into());
        let file = match self.files.create(&path) {
            Ok(file) => file,
            Err(error) if is_full(&error) => return Ok(None),
            Err(error) => return Err(broken(&error)),
        };
        let mut outcome = Ok(());
        let zeros = Aligned::zeros(ZERO_CHUNK_BYTES.min(usize::try_from(len).unwrap_or(ZERO_CHUNK_BYTES)));
        let zeros = zeros.bytes();
        let mut offset = 0;
        while outcome.is_ok() && offset < len {
            let step = usize::try_from(len - offset).map_or(zeros.len(), |left| left.min(zeros.len()));
            outcome = write_all(&*file, offset, zeros.get(..step).unwrap_or_default());
            offset += step as u64;
            if outcome.is_ok() && (offset.is_multiple_of(ZERO_SYNC_BYTES) || offset >= len) {
                outcome = file.sync_data();
            }
        }
        // A rename that is refused for lack of space has not happened.
        let live = Name::Live(seq).path(&self.dir);
        if let Err(error) = outcome.and_then(|()| self.files.rename(&path, &live)) {
            drop(file);
            self.remove(temporary)?;
            return if is_full(&error) { Ok(None) } else { Err(broken(&error)) };
        }
        self.files.sync_dir(&self.dir).map_err(|error| broken(&error))?;
        self.disk_bytes.fetch_add(len, Relaxed);
        Counters::add(&self.counters.segments_created, 1);
        Ok(Some(Segment { seq, file, len }))
    }
}

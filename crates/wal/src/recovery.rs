//! Reading the log back.
//!
//! Segments follow each other by their position in the log. What a crash leaves behind is a valid
//! prefix and then a torn tail: some sectors of what was written since the last fdatasync, in any
//! combination. A record says up to where the log was durable when it was written. So the rule is:
//! the log ends at its first bad record; if any record that can be found behind it, in any order,
//! says that the log was durable beyond that point, then this is not a torn tail but corruption.
//!
//! Old segments may be missing, or may have come back: the renames that recycle them are not ordered
//! by a power cut. Each segment begins with a checkpoint of all groups, and counts only as far as
//! something in it is still needed. Entries that are needed and not there mean a lost segment.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    Files, GroupState, Options,
    blocks::BLOCK_BYTES,
    bounds::{SEGMENT_START_BYTES, ZERO_CHUNK_BYTES},
    error::WalError,
    files::{File, LOCK_NAME, read_full, write_all},
    index::Index,
    inspect::{Place, Tail},
    ledger::Ledger,
    prep::{Prep, PrepError, Start},
    record::{Header, Kind, decode_checkpoint, record_bytes},
    scan::Scan,
    segment::{Name, Segment},
    writer::Position,
};

pub(crate) struct Recovery {
    pub(crate) lock: Option<fs::File>,
    pub(crate) ledgers: BTreeMap<u16, Ledger>,
    pub(crate) index: Index,
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// Where the log goes on; `None` if there is none yet.
    pub(crate) position: Option<Position>,
    pub(crate) start: Start,
    pub(crate) truncated_bytes: u64,
}

impl Recovery {
    pub(crate) fn groups(&self) -> BTreeMap<u16, GroupState> {
        let state = |ledger: &Ledger| GroupState {
            state: ledger.state.clone(),
            purged: ledger.purged.clone(),
            first_index: ledger.bounds().map(|(first, _)| first),
            last_index: ledger.bounds().map(|(_, last)| last),
        };
        self.ledgers.iter().map(|(&group, ledger)| (group, state(ledger))).collect()
    }
}

/// A new log's first segment.
pub(crate) fn first_position(prep: &Prep, options: &Options) -> Result<Position, WalError> {
    let active = prep.take(SEGMENT_START_BYTES.min(options.segment_bytes)).map_err(|error| match error {
        PrepError::Full => WalError::Full,
        PrepError::Broken(reason) => WalError::Poisoned(reason),
    })?;
    Ok(Position { active, base: 0, written: 0, block: Vec::new() })
}

pub(crate) fn recover(files: &dyn Files, options: &Options) -> Result<Recovery, WalError> {
    let dir = &options.dir;
    files.create_dir_all(dir).map_err(|error| WalError::io("creating", dir, error))?;
    let lock = files.lock(dir).map_err(|error| WalError::io("locking", dir, error))?;
    let mut listing = list(files, dir)?;
    let mut replay = Replay::new(dir, options.cache_bytes);
    for segment in listing.live.values() {
        replay.segment(segment)?;
    }
    replay.check_complete()?;
    let truncated_bytes = replay.cut_tail(&listing.live)?;
    let Replay { ledgers, mut index, kept, end, .. } = replay;

    let mut segments = BTreeMap::new();
    for (seq, segment) in std::mem::take(&mut listing.live) {
        if kept.contains(&seq) {
            index.files.insert(seq, Arc::clone(&segment.file));
            segments.insert(seq, segment);
        } else {
            listing.make_spare(files, dir, segment)?;
        }
    }
    let active = end.and_then(|end| Some((end, segments.get(&end.seq).cloned()?)));
    let position = active.map(|(end, active)| {
        let block = begun_block(dir, &active, end.used)?;
        Ok(Position { active, base: end.base, written: end.used, block })
    });
    let position = position.transpose()?;
    let spares = listing.tidy(files, dir, options.recycle_max)?;
    let all = segments.values().chain(&spares);
    let start = Start {
        next_seq: listing.seq_max + 1,
        disk_bytes: all.map(|segment| segment.len).sum(),
        active_len: position.as_ref().map_or(SEGMENT_START_BYTES / 2, |position| position.active.len),
        spares,
    };
    Ok(Recovery { lock, ledgers, index, segments, position, start, truncated_bytes })
}

/// What is written of the block in which the log goes on.
fn begun_block(dir: &Path, active: &Segment, used: u64) -> Result<Vec<u8>, WalError> {
    let mut block = vec![0; (used % BLOCK_BYTES as u64) as usize];
    let from = used - block.len() as u64;
    let read = read_full(&*active.file, from, &mut block);
    match read {
        Ok(read) if read == block.len() => Ok(block),
        Ok(_) => {
            Err(WalError::corrupt(&Name::Live(active.seq).path(dir), used, "the segment has become shorter"))
        }
        Err(error) => Err(WalError::io("reading", &Name::Live(active.seq).path(dir), error)),
    }
}

/// The last segment that has records, read and left as it is.
pub(crate) fn tail(files: &dyn Files, dir: &Path) -> Result<Option<Tail>, WalError> {
    let live = list(files, dir)?.live;
    let mut replay = Replay::new(dir, 0);
    for segment in live.values() {
        replay.segment(segment)?;
    }
    replay.check_complete()?;
    let Some((end, segment)) = replay.end.and_then(|end| Some((end, live.get(&end.seq)?))) else {
        return Ok(None);
    };
    let path = Name::Live(end.seq).path(dir);
    let mut scan = Scan::new(segment, path.clone());
    let (mut records, mut offset) = (Vec::new(), 0);
    while let Some((header, _)) = scan.record(offset)? {
        let bytes = record_bytes(header.len as usize);
        records.push(Place { offset, bytes, is_checkpoint: header.kind == Kind::Checkpoint });
        offset += bytes;
    }
    let last = replay.ledgers.iter().find_map(|(&group, ledger)| Some((group, ledger.bounds()?.1 + 1)));
    Ok(Some(Tail {
        path,
        end: end.used,
        segment_bytes: segment.len,
        proven: replay.durable.saturating_sub(end.base).min(end.used),
        records,
        next: live.range(end.seq + 1..).next().map(|(&seq, _)| Name::Live(seq).path(dir)),
        seq: end.seq,
        base: end.base,
        next_entry: last.unwrap_or((0, 1)),
    }))
}

/// The files of a log's directory.
struct Listing {
    live: BTreeMap<u64, Segment>,
    spares: Vec<Segment>,
    temporary: Vec<u64>,
    seq_max: u64,
}

fn list(files: &dyn Files, dir: &Path) -> Result<Listing, WalError> {
    let mut listing =
        Listing { live: BTreeMap::new(), spares: Vec::new(), temporary: Vec::new(), seq_max: 0 };
    for name in files.list(dir).map_err(|error| WalError::io("listing", dir, error))? {
        let Some(name) = Name::parse(&name) else {
            if name != LOCK_NAME {
                tracing::warn!(%name, dir = %dir.display(), "not a file of the log");
            }
            continue;
        };
        let open = |seq| {
            let path = name.path(dir);
            let opened = files.open(&path).and_then(|file| Ok(Segment { seq, len: file.len()?, file }));
            opened.map_err(|error| WalError::io("opening", &path, error))
        };
        let seq = match name {
            Name::Live(seq) => {
                listing.live.insert(seq, open(seq)?);
                seq
            }
            Name::Spare(seq) => {
                listing.spares.push(open(seq)?);
                seq
            }
            Name::Temporary(seq) => {
                listing.temporary.push(seq);
                seq
            }
        };
        listing.seq_max = listing.seq_max.max(seq);
    }
    Ok(listing)
}

impl Listing {
    fn make_spare(&mut self, files: &dyn Files, dir: &Path, segment: Segment) -> Result<(), WalError> {
        let (from, to) = (Name::Live(segment.seq).path(dir), Name::Spare(segment.seq).path(dir));
        files.rename(&from, &to).map_err(|error| WalError::io("renaming", &from, error))?;
        self.spares.push(segment);
        Ok(())
    }

    /// Removes what is unfinished or too much, and gives back the spare segments.
    fn tidy(&mut self, files: &dyn Files, dir: &Path, keep: usize) -> Result<Vec<Segment>, WalError> {
        let mut spares = std::mem::take(&mut self.spares);
        spares.sort_by_key(|spare| std::cmp::Reverse(spare.len));
        let surplus = spares.split_off(keep.min(spares.len()));
        let unfinished = self.temporary.drain(..).map(Name::Temporary);
        for name in unfinished.chain(surplus.iter().map(|spare| Name::Spare(spare.seq))) {
            let path = name.path(dir);
            files.remove(&path).map_err(|error| WalError::io("removing", &path, error))?;
        }
        files.sync_dir(dir).map_err(|error| WalError::io("syncing", dir, error))?;
        Ok(spares)
    }
}

/// Where the valid log ends: in which segment, at which position that begins, and how much is used.
#[derive(Debug, Clone, Copy)]
struct End {
    seq: u64,
    base: u64,
    used: u64,
}

/// The log read so far.
struct Replay<'a> {
    dir: &'a Path,
    cache_bytes: usize,
    ledgers: BTreeMap<u16, Ledger>,
    index: Index,
    /// The segments that follow each other up to the end.
    kept: Vec<u64>,
    end: Option<End>,
    /// The last place where they did not.
    gap: Option<WalError>,
    /// The log is known to have been durable up to here, and which file says so.
    durable: u64,
    witness: PathBuf,
}

impl<'a> Replay<'a> {
    fn new(dir: &'a Path, cache_bytes: usize) -> Self {
        Self {
            dir,
            cache_bytes,
            ledgers: BTreeMap::new(),
            index: Index::new(cache_bytes),
            kept: Vec::new(),
            end: None,
            gap: None,
            durable: 0,
            witness: PathBuf::new(),
        }
    }

    fn segment(&mut self, segment: &Segment) -> Result<(), WalError> {
        let path = Name::Live(segment.seq).path(self.dir);
        let mut scan = Scan::new(segment, path.clone());
        // One without a checkpoint was prepared and not used yet, or its beginning was torn.
        let Some((header, payload)) = scan.record(0)? else { return Ok(()) };
        if header.kind != Kind::Checkpoint {
            return Err(WalError::corrupt(&path, 0, "a segment that does not begin with a checkpoint"));
        }
        let base = header.index;
        if self.end.is_none_or(|end| end.base + end.used != base) {
            self.restart(&path, base, payload)?;
        }
        self.kept.push(segment.seq);
        let mut used = record_bytes(header.len as usize);
        self.observe(&header, &path);
        while let Some((header, payload)) = scan.record(used)? {
            self.observe(&header, &path);
            self.apply(&header, payload, segment.seq, used)
                .map_err(|reason| WalError::corrupt(&path, used, reason))?;
            used += record_bytes(header.len as usize);
        }
        self.end = Some(End { seq: segment.seq, base, used });
        Ok(())
    }

    fn observe(&mut self, header: &Header, path: &Path) {
        if header.synced > self.durable {
            self.durable = header.synced;
            self.witness = path.to_path_buf();
        }
    }

    /// This segment does not follow what was read before it, which is forgotten: the checkpoint says
    /// what must not be missing.
    fn restart(&mut self, path: &Path, base: u64, checkpoint: &[u8]) -> Result<(), WalError> {
        if let Some(end) = self.end {
            let reason = format!(
                "the log breaks off here, at position {}, and goes on in {} at position {base}",
                end.base + end.used,
                path.display()
            );
            self.gap = Some(WalError::corrupt(&Name::Live(end.seq).path(self.dir), end.used, reason));
        }
        let groups = decode_checkpoint(checkpoint)
            .map_err(|error| WalError::corrupt(path, 0, format!("the checkpoint: {error}")))?;
        self.kept.clear();
        self.index = Index::new(self.cache_bytes);
        for (group, ledger) in &groups {
            if let Some((index, _)) = &ledger.purged {
                self.index.set_purged(*group, *index);
            }
        }
        self.ledgers = groups.into_iter().collect();
        Ok(())
    }

    fn apply(&mut self, header: &Header, payload: &[u8], seq: u64, offset: u64) -> Result<(), &'static str> {
        let Header { group, index, .. } = *header;
        let ledger = self.ledgers.entry(group).or_default();
        match header.kind {
            Kind::Checkpoint => return Err("a checkpoint amid a segment"),
            Kind::Mark => {}
            Kind::Entry => {
                ledger.check_next(index).map_err(|_| "an entry that does not follow its group's last one")?;
                ledger.append(index, seq);
                let offset = u32::try_from(offset).map_err(|_| "a record beyond 4 GiB")?;
                self.index.insert_cold(group, index, seq, offset, header.len);
            }
            Kind::Truncate | Kind::Clear => {
                let index = (header.kind == Kind::Truncate).then_some(index);
                ledger.truncate(index);
                self.index.truncate(group, index);
            }
            Kind::Purge => {
                ledger.purge(index, Bytes::copy_from_slice(payload));
                self.index.purge(group, index);
            }
            Kind::State => ledger.state = Some(Bytes::copy_from_slice(payload)),
        }
        Ok(())
    }

    fn check_complete(&self) -> Result<(), WalError> {
        let missing = self.ledgers.iter().find_map(|(&group, ledger)| Some((group, ledger.missing()?)));
        let Some((group, (first, last))) = missing else { return Ok(()) };
        let lost = format!("entries {first} to {last} of group {group} are missing");
        Err(match &self.gap {
            Some(WalError::Corrupt { file, offset, reason }) => WalError::Corrupt {
                file: Arc::clone(file),
                offset: *offset,
                reason: format!("{reason}; {lost}").into(),
            },
            _ => {
                let first = self.kept.first().copied().unwrap_or_default();
                let reason = format!("{lost}: segments before this one are lost");
                WalError::corrupt(&Name::Live(first).path(self.dir), 0, reason)
            }
        })
    }

    /// Refuses corruption; else removes what a torn write has left behind the end, so that it can never
    /// come back, and makes sure that what is kept is durable. Gives the bytes cut off.
    fn cut_tail(&mut self, live: &BTreeMap<u64, Segment>) -> Result<u64, WalError> {
        let mut tails = Vec::new();
        let last = self.end.map_or(0, |end| end.seq);
        for segment in live.range(last..).map(|(_, segment)| segment) {
            let from = self.end.filter(|end| end.seq == segment.seq).map_or(0, |end| end.used);
            let path = Name::Live(segment.seq).path(self.dir);
            let left = Scan::new(segment, path.clone()).leftovers(from)?;
            if left.synced > self.durable {
                self.durable = left.synced;
                self.witness = path.clone();
            }
            tails.push((segment, path, from, left.end));
        }
        self.check_torn(live)?;
        let mut cut = 0;
        for (segment, path, from, to) in tails {
            cut += to.saturating_sub(from);
            let mut outcome = zero(&*segment.file, from, to);
            if let Some(end) = self.end.filter(|end| end.seq == segment.seq) {
                let proven = self.durable.saturating_sub(end.base).min(end.used);
                outcome = outcome.and_then(|()| rewrite(&*segment.file, proven, end.used));
            }
            let outcome = outcome.and_then(|()| segment.file.sync_data());
            outcome.map_err(|error| WalError::io("repairing", &path, error))?;
        }
        Ok(cut)
    }

    fn check_torn(&self, live: &BTreeMap<u64, Segment>) -> Result<(), WalError> {
        let position = self.end.map_or(0, |end| end.base + end.used);
        if self.durable <= position {
            return Ok(());
        }
        let reason = format!(
            "bad record: the log ends here, at position {position}, but {} says that it was durable up to \
             position {}",
            self.witness.display(),
            self.durable
        );
        let first = live.keys().next().copied().unwrap_or_default();
        let (seq, offset) = self.end.map_or((first, 0), |end| (end.seq, end.used));
        Err(WalError::corrupt(&Name::Live(seq).path(self.dir), offset, reason))
    }
}

fn zero(file: &dyn File, from: u64, to: u64) -> std::io::Result<()> {
    let zeros = vec![0; ZERO_CHUNK_BYTES.min(usize::try_from(to.saturating_sub(from)).unwrap_or(0))];
    let mut at = from;
    while at < to {
        let step = usize::try_from(to - at).map_or(zeros.len(), |left| left.min(zeros.len()));
        write_all(file, at, zeros.get(..step).unwrap_or_default())?;
        at += step as u64;
    }
    Ok(())
}

/// Writes the same bytes again: after a failed fdatasync the system may have them in memory only, and
/// take them for written.
fn rewrite(file: &dyn File, from: u64, to: u64) -> std::io::Result<()> {
    let mut chunk = vec![0; ZERO_CHUNK_BYTES.min(usize::try_from(to.saturating_sub(from)).unwrap_or(0))];
    let mut at = from;
    while at < to {
        let step = usize::try_from(to - at).map_or(chunk.len(), |left| left.min(chunk.len()));
        let part = chunk.get_mut(..step).unwrap_or_default();
        let read = read_full(file, at, part)?;
        if read < step {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        write_all(file, at, part)?;
        at += step as u64;
    }
    Ok(())
}

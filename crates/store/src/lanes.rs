//! The three ways to run a transaction: read, inline, heavy. Every command goes through one of
//! these; which one is decided above, and by what the transaction turns out to touch.

mod commit;
mod depends;
mod warm;

use base::Stamp;
use parking_lot::MutexGuard;

use self::depends::Reads;
use crate::counters::Settled;
use crate::disk::DiskError;
use crate::group::Group;
use crate::keys::Home;
use crate::parked::Parked;
use crate::scratch::Scratch;
use crate::sequencer::Section;
use crate::tidings::Does;
use crate::txn::{Begin, Meter, Stop, Txn};
use crate::view::{Cancel, Pinned, Reserving, View};
use crate::waiters::{Ticket, Waiting};

/// What a command's own error type must tell: whether it is a real outcome or a stop.
pub trait Failure: From<Stop> {
    fn stop(&self) -> Option<&Stop>;

    /// Who waits because of it.
    fn waiting(&self) -> bool {
        false
    }

    /// Whether it is told page by page, and goes on later.
    fn is_paged(&self) -> bool {
        false
    }
}

/// Makes a waiter of a transaction that has found nothing.
pub type Wait<'w, E> = dyn FnMut(&E) -> Option<Waiting> + 'w;

impl Failure for Stop {
    fn stop(&self) -> Option<&Stop> {
        Some(self)
    }
}

/// What the outcome of a transaction depends on: it may be told once this is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    pub epoch: u64,
    pub stamp: Stamp,
}

/// A transaction that came to its end: with a reply or with an error of its own.
#[derive(Debug)]
pub struct Done<R, E> {
    pub result: Result<R, E>,
    pub gate: Gate,
    pub wrote: bool,
    /// Others are told of it: it must not run once more.
    pub told: bool,
    /// Its place among those who wait, if it does.
    pub ticket: Option<Ticket>,
    /// Its snapshot, if it is told page by page.
    pub parked: Option<Box<Parked>>,
}

impl<R, E: Failure> Done<R, E> {
    fn new(result: Result<R, E>, gate: Gate, does: Does) -> Self {
        Self { result, gate, wrote: does.write, told: does.tell, ticket: None, parked: None }
    }

    /// A read on a snapshot, which it keeps if it is told page by page.
    fn of_read(txn: Txn<'_>, result: Result<R, E>, seen: Gate) -> Self {
        let paged = result.as_ref().err().is_some_and(Failure::is_paged);
        let parked = if paged { Parked::of(txn).map(Box::new) } else { None };
        // What is told later may depend on all of the view.
        let stamp = parked.as_ref().map_or(seen.stamp, |parked| parked.view().max(seen.stamp));
        Self { parked, ..Self::new(result, Gate { stamp, ..seen }, Does::NOTHING) }
    }
}

/// Why a lane could not bring a transaction to its end. It has had no effect.
#[derive(Debug)]
pub enum Leave {
    /// Too big for this lane, or waiting for somebody: the heavy lane takes it.
    Outgrown,
    /// This node does not lead the group, or not yet.
    Closed,
    /// Too much is waiting to be written to the store.
    Stalled,
    Cancelled,
    /// What the transaction was to depend on has changed before.
    Changed,
    KeyTooLong,
    Disk(DiskError),
}

/// How often the first lanes try again before they give a transaction to the heavy lane.
const TRIES: usize = 8;
/// How often a transaction whose records are not in memory loads some and tries again.
pub(crate) const TRIES_COLD: usize = 32;

impl Group {
    /// On a network thread, without any lock.
    pub fn run_read<R, E: Failure>(
        &self,
        database: u8,
        scratch: &mut Scratch,
        mut f: impl FnMut(&mut Txn<'_>) -> Result<R, E>,
    ) -> Result<Done<R, E>, Leave> {
        for _ in 0..TRIES {
            let start = self.sequencer.published();
            let begin = self.begin().ok_or(Leave::Closed)?;
            if begin.catalog_version > start {
                self.sequencer.wait_published(begin.catalog_version);
                continue;
            }
            let view = View::Latest { start };
            let mut txn = Txn::new(self, view, begin, Meter::small(&self.budget), database, scratch);
            let result = f(&mut txn);
            debug_assert!(!txn.has_writes(), "a command of the read lane writes");
            match stop_of(&result) {
                Some(Stop::Moved) => continue,
                Some(stop) => return Err(leave(stop)),
                None => {}
            }
            let many = txn.meter.records() > 1 && txn.loaded_from_disk;
            let moved = many && self.pins.applying() > start;
            if moved || self.catalog_version() != begin.catalog_version {
                continue;
            }
            if self.sequencer.epoch() != begin.epoch {
                return Err(Leave::Closed);
            }
            let gate = Gate { epoch: begin.epoch, stamp: txn.newest_seen };
            self.tell_behind(gate, scratch);
            return Ok(Done::new(result, gate, Does::NOTHING));
        }
        Err(Leave::Outgrown)
    }

    /// On a network thread, inside the section.
    pub fn run_inline<R, E: Failure>(
        &self,
        database: u8,
        scratch: &mut Scratch,
        f: impl FnMut(&mut Txn<'_>) -> Result<R, E>,
    ) -> Result<Done<R, E>, Leave> {
        self.run_inline_or_wait(database, scratch, &mut |_| None, f)
    }

    /// Like [`Self::run_inline`], for a transaction that may have to wait.
    pub fn run_inline_or_wait<R, E: Failure>(
        &self,
        database: u8,
        scratch: &mut Scratch,
        wait: &mut Wait<'_, E>,
        f: impl FnMut(&mut Txn<'_>) -> Result<R, E>,
    ) -> Result<Done<R, E>, Leave> {
        self.run_section((database, Meter::small(&self.budget)), scratch, wait, f)
    }

    /// In the section, for one who sees to it himself that he is not long there.
    pub(crate) fn run_bounded<R, E: Failure>(
        &self,
        scratch: &mut Scratch,
        f: impl FnMut(&mut Txn<'_>) -> Result<R, E>,
    ) -> Result<Done<R, E>, Leave> {
        self.run_section((0, Meter::unlimited()), scratch, &mut |_| None, f)
    }

    pub(crate) fn run_section<R, E: Failure>(
        &self,
        (database, meter): (u8, Meter),
        scratch: &mut Scratch,
        wait: &mut Wait<'_, E>,
        mut f: impl FnMut(&mut Txn<'_>) -> Result<R, E>,
    ) -> Result<Done<R, E>, Leave> {
        for _ in 0..TRIES_COLD {
            if self.sequencer.is_stalled() {
                return Err(Leave::Stalled);
            }
            let mut section = self.sequencer.lock();
            let begin = self.begin_section(&section).ok_or(Leave::Closed)?;
            self.check_watch(&section, scratch)?;
            let view = View::Section(&mut section);
            let mut txn = Txn::new(self, view, begin, meter, database, scratch);
            let result = f(&mut txn);
            match stop_of(&result) {
                None => {}
                Some(Stop::Cold) => {
                    drop(txn);
                    drop(section);
                    self.warm(scratch)?;
                    continue;
                }
                Some(stop) => return Err(leave(stop)),
            }
            let does = txn.does();
            // Who is going to wait may have left something behind all the same.
            let waits = result.as_ref().err().is_some_and(Failure::waiting);
            if (result.is_err() && !waits) || does == Does::NOTHING {
                let gate = Gate { epoch: begin.epoch, stamp: txn.newest_seen };
                drop(txn);
                let ticket = register(&mut section, waiter_of(&result, wait));
                return Ok(Done { ticket, ..Done::new(result, gate, Does::NOTHING) });
            }
            txn.derive().map_err(|stop| leave(&stop))?;
            drop(txn);
            match self.settle_counters(scratch, false).map_err(|stop| leave(&stop))? {
                Settled::Yes => {}
                Settled::Cold(key) => {
                    drop(section);
                    scratch.cold.push(key.as_slice().into());
                    self.warm(scratch)?;
                    continue;
                }
                // In the section nothing has changed since the transaction looked.
                Settled::Empty => return Err(Leave::Outgrown),
            }
            if scratch.is_blocked_by(&section) {
                return Err(Leave::Outgrown);
            }
            let gate = self.commit(&mut section, begin.epoch, scratch);
            let ticket = register(&mut section, waiter_of(&result, wait));
            self.leave_section(section);
            return Ok(Done { ticket, ..Done::new(result, gate, does) });
        }
        Err(Leave::Outgrown)
    }

    /// Before anybody else enters, those are served who have waited for what was just written.
    fn leave_section<'g>(&'g self, section: MutexGuard<'g, Section>) {
        if section.waiters.has_ready() {
            self.serve(section);
        }
    }

    /// On a thread of the heavy pool: on a snapshot, validated; if it lost a race, once more with
    /// everything it reads reserved.
    pub fn run_heavy<R, E: Failure>(
        &self,
        database: u8,
        scratch: &mut Scratch,
        cancel: &Cancel,
        f: impl FnMut(&mut Txn<'_>) -> Result<R, E>,
    ) -> Result<Done<R, E>, Leave> {
        self.run_heavy_or_wait(database, scratch, cancel, &mut |_| None, f)
    }

    /// Like [`Self::run_heavy`], for a transaction that may have to wait.
    pub fn run_heavy_or_wait<R, E: Failure>(
        &self,
        database: u8,
        scratch: &mut Scratch,
        cancel: &Cancel,
        wait: &mut Wait<'_, E>,
        mut f: impl FnMut(&mut Txn<'_>) -> Result<R, E>,
    ) -> Result<Done<R, E>, Leave> {
        loop {
            let first = self.run_pinned(database, scratch, cancel, wait, &mut f);
            self.give_up_built(scratch);
            match first? {
                Ran::Done(done) => return Ok(done),
                Ran::Lost => break,
                Ran::Unfolded(home) => self.fold_now(home, cancel)?,
            }
        }
        loop {
            let second = self.run_reserving(database, scratch, cancel, wait, &mut f);
            self.give_up_built(scratch);
            match second? {
                Ran::Done(done) => return Ok(done),
                Ran::Lost => return Err(Leave::Closed),
                Ran::Unfolded(home) => self.fold_now(home, cancel)?,
            }
        }
    }

    fn run_pinned<R, E: Failure>(
        &self,
        database: u8,
        scratch: &mut Scratch,
        cancel: &Cancel,
        wait: &mut Wait<'_, E>,
        f: &mut impl FnMut(&mut Txn<'_>) -> Result<R, E>,
    ) -> Result<Ran<R, E>, Leave> {
        let (begin, pinned) = self.pin(cancel)?;
        if scratch.only_if.is_some() {
            // What is so now was so when the view was pinned.
            self.check_watch(&self.sequencer.lock(), scratch)?;
        }
        let mut txn = Txn::new(self, View::Pinned(pinned), begin, Meter::unlimited(), database, scratch);
        let result = f(&mut txn);
        match stop_of(&result) {
            Some(&Stop::Unfolded(home)) => return Ok(Ran::Unfolded(home)),
            Some(stop) => return Err(leave(stop)),
            None => {}
        }
        // Who is going to wait depends on there being nothing still: it is validated like a writer.
        let waits = result.as_ref().err().is_some_and(Failure::waiting);
        let seen = Gate { epoch: begin.epoch, stamp: txn.newest_seen };
        let does = txn.does();
        if !waits && (result.is_err() || does == Does::NOTHING) {
            if self.sequencer.epoch() != begin.epoch {
                return Err(Leave::Closed);
            }
            return Ok(Ran::Done(Done::of_read(txn, result, seen)));
        }
        txn.derive().map_err(|stop| leave(&stop))?;
        let Txn { view, scratch, .. } = txn;
        let View::Pinned(pinned) = view else { return Err(Leave::Outgrown) };
        self.wait_for_room(cancel)?;
        self.warm_counters(scratch)?;
        // Most of the validation happens before the section is entered: inside, only what was
        // written since then has to be looked at.
        let mut reads: Reads<'_> = Reads::of(scratch, &pinned);
        let (mut since, upto) = {
            let section = self.sequencer.lock();
            (pinned.batch, section.batch_id())
        };
        if !self.unchanged(&mut reads, since) {
            return Ok(Ran::Lost);
        }
        since = upto;
        let waiting = waiter_of(&result, wait);
        let mut section = self.enter(begin.epoch, scratch, cancel)?;
        let moved = section.catalog_version > pinned.pin.view;
        if moved || !self.unchanged(&mut reads, since) {
            return Ok(Ran::Lost);
        }
        drop(reads);
        if waits && does == Does::NOTHING {
            let ticket = register(&mut section, waiting);
            return Ok(Ran::Done(Done { ticket, ..Done::new(result, seen, Does::NOTHING) }));
        }
        if let Some(ran) = self.settle_waiting(scratch)? {
            return Ok(ran);
        }
        let gate = self.commit(&mut section, begin.epoch, scratch);
        let ticket = register(&mut section, waiting);
        self.leave_section(section);
        Ok(Ran::Done(Done { ticket, ..Done::new(result, gate, does) }))
    }

    /// Finds out what the changed counters are; in the section, once [`Self::warm_counters`] has seen to
    /// it that this does not have to wait for the store, unless something came in between. Says what the
    /// transaction has come to if it cannot be committed.
    fn settle_waiting<R, E>(&self, scratch: &mut Scratch) -> Result<Option<Ran<R, E>>, Leave> {
        match self.settle_counters(scratch, true) {
            Ok(Settled::Yes) => Ok(None),
            Ok(Settled::Cold(_) | Settled::Empty) => Ok(Some(Ran::Lost)),
            Err(Stop::Unfolded(home)) => Ok(Some(Ran::Unfolded(home))),
            Err(stop) => Err(leave(&stop)),
        }
    }

    /// Loads the counters that a transaction changes, before the section is entered.
    fn warm_counters(&self, scratch: &mut Scratch) -> Result<(), Leave> {
        match self.settle_counters(scratch, true) {
            Ok(_) | Err(Stop::Unfolded(_)) => Ok(()),
            Err(stop) => Err(leave(&stop)),
        }
    }

    fn run_reserving<R, E: Failure>(
        &self,
        database: u8,
        scratch: &mut Scratch,
        cancel: &Cancel,
        wait: &mut Wait<'_, E>,
        f: &mut impl FnMut(&mut Txn<'_>) -> Result<R, E>,
    ) -> Result<Ran<R, E>, Leave> {
        // What the first run held is gone.
        cancel.give_back();
        let (begin, reservation) = self.reserve(cancel)?;
        let view = View::Reserving(Reserving { token: reservation.token, cancel });
        let mut txn = Txn::new(self, view, begin, Meter::unlimited(), database, scratch);
        let result = f(&mut txn);
        match stop_of(&result) {
            Some(&Stop::Unfolded(home)) => return Ok(Ran::Unfolded(home)),
            Some(stop) => return Err(leave(stop)),
            None => {}
        }
        let seen = Gate { epoch: begin.epoch, stamp: txn.newest_seen };
        let does = txn.does();
        let waits = result.as_ref().err().is_some_and(Failure::waiting);
        let waiting = waiter_of(&result, wait);
        if (result.is_err() && !waits) || does == Does::NOTHING {
            drop(txn);
            // What it found not to be there is reserved: nobody has written it since.
            let mut section = self.sequencer.lock();
            if section.epoch() != Some(begin.epoch) || !section.reserved.is_held_by(reservation.token) {
                return Err(Leave::Closed);
            }
            self.check_watch(&section, scratch)?;
            let ticket = register(&mut section, waiting);
            return Ok(Ran::Done(Done { ticket, ..Done::new(result, seen, Does::NOTHING) }));
        }
        txn.derive().map_err(|stop| leave(&stop))?;
        let Txn { scratch, .. } = txn;
        self.wait_for_room(cancel)?;
        self.warm_counters(scratch)?;
        let mut section = self.sequencer.lock();
        if section.epoch() != Some(begin.epoch) || !section.reserved.is_held_by(reservation.token) {
            return Err(Leave::Closed);
        }
        self.check_watch(&section, scratch)?;
        if let Some(ran) = self.settle_waiting(scratch)? {
            return Ok(ran);
        }
        let gate = self.commit(&mut section, begin.epoch, scratch);
        // IMPORTANT: before those are served who waited for what was written, or it would be kept from them.
        section.reserved.release(reservation.token);
        self.sequencer.notify_released();
        let ticket = register(&mut section, waiting);
        self.leave_section(section);
        Ok(Ran::Done(Done { ticket, ..Done::new(result, gate, does) }))
    }

    pub(crate) fn wait_for_room(&self, cancel: &Cancel) -> Result<(), Leave> {
        while self.sequencer.is_stalled() {
            if cancel.is_cancelled() {
                return Err(Leave::Cancelled);
            }
            self.sequencer.wait_for_room();
        }
        Ok(())
    }

    /// A stable view of everything sequenced so far.
    pub(crate) fn pin<'g>(&self, cancel: &'g Cancel) -> Result<(Begin, Pinned<'g>), Leave> {
        loop {
            let section = self.sequencer.lock();
            let begin = self.begin_section(&section).ok_or(Leave::Closed)?;
            let pin = self.pins.pin(section.last());
            let batch = section.batch_id();
            let counts = begin.spaces.iter().map(|&space| (space, section.count(space))).collect();
            drop(section);
            let disk = self.disk.snapshot();
            // The snapshot must not hold more than the view.
            if self.pins.applying() <= pin.view {
                let ranges = Vec::new();
                let deltas_max = base::limits::DELTAS_READ_MAX;
                let pinned = Pinned {
                    pin,
                    disk,
                    batch,
                    cancel,
                    ranges,
                    counts,
                    page_bytes: None,
                    is_resumed: false,
                    deltas_max,
                };
                return Ok((begin, pinned));
            }
        }
    }
}

/// Who is going to wait because of a transaction's outcome. It copies what is waited for: a transaction of the heavy
/// lane, which may name many keys, does that before it enters the section.
fn waiter_of<R, E>(result: &Result<R, E>, wait: &mut Wait<'_, E>) -> Option<Waiting> {
    wait(result.as_ref().err()?)
}

fn register(section: &mut Section, waiting: Option<Waiting>) -> Option<Ticket> {
    Some(section.waiters.add(waiting?))
}

/// What became of one run of a heavy transaction.
enum Ran<R, E> {
    Done(Done<R, E>),
    /// What it depends on has changed meanwhile.
    Lost,
    /// The deltas of a collection have to be folded before it can run.
    Unfolded(Home),
}

fn stop_of<R, E: Failure>(result: &Result<R, E>) -> Option<&Stop> {
    result.as_ref().err().and_then(Failure::stop)
}

pub(crate) fn leave(stop: &Stop) -> Leave {
    match stop {
        Stop::Outgrown | Stop::Cold | Stop::Moved | Stop::Unfolded(_) => Leave::Outgrown,
        Stop::Cancelled => Leave::Cancelled,
        Stop::Closed => Leave::Closed,
        Stop::KeyTooLong => Leave::KeyTooLong,
        Stop::Disk(error) => Leave::Disk(error.clone()),
    }
}

//! Who waits for what: blocked clients by the keys that they wait for, in order of their arrival. A
//! commit finds out which of them may have something now; they are served in the section, each by a
//! transaction of its own, before anybody else comes in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use base::PartedMap;
use hashbrown::Equivalent;
use parking_lot::MutexGuard;

use crate::counters::Settled;
use crate::group::Group;
use crate::keys;
use crate::lanes::{Gate, Leave, TRIES_COLD};
use crate::record::{Kind, Value};
use crate::scratch::Scratch;
use crate::sequencer::Section;
use crate::txn::{Meter, Stop, Txn};
use crate::view::View;
use crate::written::WrittenKey;

/// A waiter's place in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What a waiter's attempt came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Tried {
    /// It has what it waited for.
    Served,
    /// It has got an error, and has had no effect.
    Failed,
    /// There is nothing for it: it goes on waiting.
    Nothing,
}

/// What a waiter does when there may be something for it. Called with the section's lock held.
pub trait Attempt: Send {
    /// It waits from now on.
    fn registered(&mut self, ticket: Ticket);
    fn run(&mut self, txn: &mut Txn<'_>) -> Result<Tried, Stop>;
    /// It waits no longer: its outcome may be told once `gate` is committed.
    fn done(self: Box<Self>, gate: Gate);
    /// It waits no longer, but could not be served here.
    fn left(self: Box<Self>, why: Leave);
}

/// Somebody who is going to wait.
pub struct Waiting {
    pub wants: Wants,
    pub attempt: Box<dyn Attempt>,
}

/// What somebody waits for.
pub struct Wants {
    pub database: u8,
    /// Each is kept once: who waits for it and what is looked up by it share its name.
    pub keys: Vec<Arc<[u8]>>,
    /// What the keys have to hold.
    pub kind: Kind,
    /// Whether it is something to it as well if a key does not hold that any more.
    pub if_gone: bool,
}

impl Wants {
    fn each(&self) -> impl Iterator<Item = Wanted> {
        let kinds = || [Some(Some(self.kind)), self.if_gone.then_some(None)].into_iter().flatten();
        let wanted = move |key: &Arc<[u8]>, kind| Wanted { database: self.database, key: key.clone(), kind };
        self.keys.iter().flat_map(move |key| kinds().map(move |kind| wanted(key, kind)))
    }
}

/// A key that is waited for, and what it has to hold; nothing of what it held if there is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wanted<K = Arc<[u8]>> {
    database: u8,
    key: K,
    kind: Option<Kind>,
}

/// What is written is looked up without a copy of its name.
impl Equivalent<Wanted> for Wanted<&[u8]> {
    fn equivalent(&self, other: &Wanted) -> bool {
        *self == Wanted { database: other.database, key: &other.key, kind: other.kind }
    }
}

pub(crate) struct Waiter {
    wants: Wants,
    /// Taken out while it runs.
    attempt: Option<Box<dyn Attempt>>,
}

/// Everybody who waits in a group.
#[derive(Default)]
pub struct Waiters {
    last: u64,
    waiting: BTreeMap<Ticket, Waiter>,
    by_key: PartedMap<Wanted, BTreeSet<Ticket>>,
    /// Keys that have changed since their waiters were looked at, each once.
    ready: VecDeque<Wanted>,
    is_ready: PartedMap<Wanted, ()>,
    /// Who was last looked at for the first of them, if those who came later may have something nevertheless.
    passed: Option<Ticket>,
}

impl Waiters {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn add(&mut self, waiting: Waiting) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        let Waiting { wants, mut attempt } = waiting;
        for wanted in wants.each() {
            self.by_key.get_or_default(wanted).insert(ticket);
        }
        attempt.registered(ticket);
        self.waiting.insert(ticket, Waiter { wants, attempt: Some(attempt) });
        ticket
    }

    /// Somebody waits no longer. `None` if that is so already.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.waiting.remove(&ticket)?;
        for wanted in waiter.wants.each() {
            if let Some(tickets) = self.by_key.get_mut(&wanted) {
                tickets.remove(&ticket);
                if tickets.is_empty() {
                    self.by_key.remove(&wanted);
                }
            }
        }
        Some(waiter)
    }

    /// A key holds something of a kind now.
    fn changed(&mut self, database: u8, key: &[u8], kind: Option<Kind>) {
        let wanted = Wanted { database, key, kind };
        if self.ready.front().is_some_and(|front| wanted.equivalent(front)) {
            self.passed = None;
        }
        if let Some((wanted, _)) = self.by_key.get_key_value(&wanted)
            && self.is_ready.get(wanted).is_none()
        {
            self.is_ready.get_or_default(wanted.clone());
            self.ready.push_back(wanted.clone());
        }
    }

    /// A database number means another space now. The key that was waited for first comes first.
    fn swapped(&mut self, database: u8) {
        let all = self.by_key.iter().filter(|(wanted, _)| wanted.database == database);
        let mut all: Vec<_> =
            all.map(|(wanted, tickets)| (tickets.first().copied(), wanted.clone())).collect();
        all.sort_by_key(|(first, _)| *first);
        all.into_iter().for_each(|(_, wanted)| self.changed(database, &wanted.key, wanted.kind));
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Who is to be served next, and what it waits for that may be there now.
    fn next(&mut self) -> Option<(Ticket, Wanted)> {
        while let Some(wanted) = self.ready.front() {
            let from = self.passed.map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.by_key.get(wanted).and_then(|all| all.range((from, Bound::Unbounded)).next());
            match next {
                Some(&ticket) => return Some((ticket, wanted.clone())),
                None => self.exhausted(),
            }
        }
        None
    }

    fn take(&mut self, ticket: Ticket) -> Option<Box<dyn Attempt>> {
        self.waiting.get_mut(&ticket)?.attempt.take()
    }

    /// There is nothing for the one who was looked at. Of what others take away there is nothing for those who
    /// came later either; what is only read there may be.
    fn passed(&mut self, ticket: Ticket) {
        match self.ready.front() {
            Some(Wanted { kind: Some(Kind::Stream) | None, .. }) => self.passed = Some(ticket),
            _ => self.exhausted(),
        }
    }

    fn give_back(&mut self, ticket: Ticket, attempt: Box<dyn Attempt>) {
        if let Some(waiter) = self.waiting.get_mut(&ticket) {
            waiter.attempt = Some(attempt);
        }
    }

    fn exhausted(&mut self) {
        self.passed = None;
        if let Some(wanted) = self.ready.pop_front() {
            self.is_ready.remove(&wanted);
        }
    }

    /// Everybody has to go.
    pub(crate) fn clear(&mut self) {
        self.by_key.clear();
        self.ready.clear();
        self.is_ready.clear();
        self.passed = None;
        for waiter in std::mem::take(&mut self.waiting).into_values() {
            if let Some(attempt) = waiter.attempt {
                attempt.left(Leave::Closed);
            }
        }
    }
}

/// How many are served before others may enter the section.
const SERVED_IN_ONE_GO: usize = 32;

/// What serving one waiter came to.
enum Step {
    Nobody,
    Next,
    /// Records have to be loaded first.
    Cold,
}

impl Group {
    /// Somebody stops waiting; false if that is so already, and its outcome is under way.
    pub fn stop_waiting(&self, ticket: Ticket) -> bool {
        // What was kept of it is freed once the section is left.
        let gone = self.sequencer.lock().waiters.remove(ticket);
        gone.is_some()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.sequencer.lock().waiters.len()
    }

    /// Finds out who may be served once these keys, and these records of the catalog, are written.
    pub(crate) fn find_ready(section: &mut Section, written: Vec<WrittenKey>, catalog: &[(Vec<u8>, Value)]) {
        for (key, _) in catalog {
            if let Some(database) = keys::database_of(key) {
                section.waiters.swapped(database);
            }
        }
        if section.waiters.is_empty() {
            return;
        }
        for WrittenKey { name: (space, key), kind, .. } in written.into_iter().filter(|key| key.has_news) {
            let databases = section.catalog.spaces;
            let Some(database) = databases.iter().position(|mapped| *mapped == space) else { continue };
            if kind != Some(Kind::Stream) {
                section.waiters.changed(database as u8, &key, None);
            }
            if kind.is_some() {
                section.waiters.changed(database as u8, &key, kind);
            }
        }
    }

    /// Serves everybody for whom there is something, and those for whom there is something then.
    pub(crate) fn serve<'g>(&'g self, mut section: MutexGuard<'g, Section>) {
        // IMPORTANT: taken, not held: who waits for records to be loaded has left the section.
        let mut scratch = std::mem::take(&mut *self.serving.lock());
        let (mut served, mut cold) = (0, 0);
        loop {
            match self.serve_one(&mut section, &mut scratch) {
                Step::Nobody => break,
                Step::Next => {
                    (served, cold) = (served + 1, 0);
                    if served % SERVED_IN_ONE_GO == 0 {
                        MutexGuard::bump(&mut section);
                    }
                }
                Step::Cold => {
                    cold += 1;
                    drop(section);
                    let warmed =
                        if cold > TRIES_COLD { Err(Leave::Outgrown) } else { self.warm(&mut scratch) };
                    section = self.sequencer.lock();
                    if let (Err(why), Some((ticket, _))) = (warmed, section.waiters.next())
                        && let Some(Waiter { attempt: Some(attempt), .. }) = section.waiters.remove(ticket)
                    {
                        attempt.left(why);
                    }
                }
            }
        }
        drop(section);
        *self.serving.lock() = scratch;
    }

    fn serve_one(&self, section: &mut Section, scratch: &mut Scratch) -> Step {
        let Some((ticket, Wanted { database, key, kind })) = section.waiters.next() else {
            return Step::Nobody;
        };
        let Some(begin) = self.begin_section(section) else { return Step::Nobody };
        let Some(mut attempt) = section.waiters.take(ticket) else {
            section.waiters.exhausted();
            return Step::Next;
        };
        let mut txn =
            Txn::new(self, View::Section(section), begin, Meter::small(&self.budget), database, scratch);
        // A database that was exchanged may have anything there, and so may a key that others have come to since.
        let holds = kind.map_or(Ok(true), |kind| txn.holds(&key, kind));
        let tried = holds.and_then(|holds| {
            let tried = if holds { attempt.run(&mut txn)? } else { Tried::Nothing };
            txn.derive()?;
            Ok(tried)
        });
        let seen = Gate { epoch: begin.epoch, stamp: txn.newest_seen };
        drop(txn);
        let tried = match tried {
            Ok(Tried::Served) => match self.settle_counters(scratch, false) {
                Ok(Settled::Yes) if !scratch.is_blocked_by(section) => Ok(Tried::Served),
                Ok(Settled::Cold(key)) => {
                    scratch.cold.push(key.as_slice().into());
                    Err(Stop::Cold)
                }
                Ok(_) => Err(Stop::Outgrown),
                Err(stop) => Err(stop),
            },
            other => other,
        };
        match tried {
            Ok(Tried::Nothing) => {
                section.waiters.give_back(ticket, attempt);
                section.waiters.passed(ticket);
            }
            Err(Stop::Cold) => {
                section.waiters.give_back(ticket, attempt);
                return Step::Cold;
            }
            Ok(Tried::Served) if !scratch.has_writes() => {
                section.waiters.remove(ticket);
                attempt.done(seen);
            }
            Ok(Tried::Failed) => {
                section.waiters.remove(ticket);
                attempt.done(seen);
            }
            Ok(Tried::Served) => {
                section.waiters.remove(ticket);
                let gate = self.commit(section, begin.epoch, scratch);
                attempt.done(gate);
            }
            Err(stop) => {
                section.waiters.remove(ticket);
                attempt.left(crate::lanes::leave(&stop));
            }
        }
        Step::Next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Attempt for Nobody {
        fn registered(&mut self, _: Ticket) {}
        fn run(&mut self, _: &mut Txn<'_>) -> Result<Tried, Stop> {
            Ok(Tried::Nothing)
        }
        fn done(self: Box<Self>, _: Gate) {}
        fn left(self: Box<Self>, _: Leave) {}
    }

    fn waiting(keys: &[&str], kind: Kind) -> Waiting {
        let keys = keys.iter().map(|key| key.as_bytes().into()).collect();
        Waiting { wants: Wants { database: 0, keys, kind, if_gone: false }, attempt: Box::new(Nobody) }
    }

    fn wanted(key: &str, kind: Kind) -> Wanted {
        Wanted { database: 0, key: key.as_bytes().into(), kind: Some(kind) }
    }

    fn changed(waiters: &mut Waiters, key: &str, kind: Kind) {
        waiters.changed(0, key.as_bytes(), Some(kind));
    }

    #[test]
    fn those_who_came_first_are_served_first() {
        let mut waiters = Waiters::default();
        let first = waiters.add(waiting(&["a", "b"], Kind::List));
        let other_kind = waiters.add(waiting(&["b"], Kind::SortedSet));
        let second = waiters.add(waiting(&["b"], Kind::List));
        changed(&mut waiters, "nobody", Kind::List);
        assert_eq!(waiters.next(), None);
        changed(&mut waiters, "b", Kind::List);
        changed(&mut waiters, "b", Kind::List);
        assert_eq!(waiters.next(), Some((first, wanted("b", Kind::List))));
        assert!(waiters.remove(first).is_some() && waiters.remove(first).is_none());
        assert_eq!(waiters.next(), Some((second, wanted("b", Kind::List))));
        waiters.exhausted();
        assert_eq!(waiters.next(), None, "a key that changed twice is looked at once");
        waiters.swapped(0);
        let mut found = Vec::new();
        while let Some((ticket, _)) = waiters.next() {
            found.push(ticket);
            waiters.exhausted();
        }
        assert_eq!(found, [other_kind, second]);
    }

    #[test]
    fn all_who_read_a_stream_are_looked_at_and_again_when_it_has_changed() {
        let mut waiters = Waiters::default();
        let tickets: Vec<_> = (0..3).map(|_| waiters.add(waiting(&["s"], Kind::Stream))).collect();
        changed(&mut waiters, "s", Kind::Stream);
        for ticket in &tickets[..2] {
            assert_eq!(waiters.next(), Some((*ticket, wanted("s", Kind::Stream))));
            waiters.passed(*ticket);
        }
        // Somebody has written to it while the lock was given up.
        changed(&mut waiters, "s", Kind::Stream);
        for ticket in tickets {
            assert_eq!(waiters.next(), Some((ticket, wanted("s", Kind::Stream))));
            waiters.passed(ticket);
        }
        assert_eq!(waiters.next(), None);
        assert!(!waiters.has_ready());
    }

    #[test]
    fn who_cares_is_told_that_a_stream_is_gone() {
        let mut waiters = Waiters::default();
        waiters.add(waiting(&["s"], Kind::Stream));
        waiters.changed(0, b"s", None);
        assert_eq!(waiters.next(), None);
        let mut cares = waiting(&["s"], Kind::Stream);
        cares.wants.if_gone = true;
        let ticket = waiters.add(cares);
        waiters.changed(0, b"s", None);
        assert_eq!(waiters.next(), Some((ticket, Wanted { kind: None, ..wanted("s", Kind::Stream) })));
        assert!(waiters.remove(ticket).is_some());
        assert_eq!(waiters.next(), None);
    }

    #[test]
    fn nothing_is_kept_of_those_who_are_gone() {
        let mut waiters = Waiters::default();
        let ticket = waiters.add(waiting(&["a", "b"], Kind::List));
        changed(&mut waiters, "a", Kind::List);
        waiters.remove(ticket);
        assert!(waiters.is_empty() && waiters.by_key.is_empty());
        assert_eq!(waiters.next(), None);
        assert!(!waiters.has_ready());
    }
}

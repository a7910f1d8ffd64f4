//! Who watches what: transactions that are to be committed only if none of the keys that they were built on
//! has changed since. A commit finds out whom it concerns from its write set, in the section; so a watch
//! is broken in the same moment in which others see the change.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use base::{PartedMap, limits};

use crate::group::Group;
use crate::keys::{self, Space};
use crate::lanes::{Leave, leave};
use crate::record::Value;
use crate::scratch::Scratch;
use crate::sequencer::Section;
use crate::txn::{Meter, Stop, Txn};
use crate::view::View;
use crate::written::WrittenKey;

/// A set of watched keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(u64);

/// A key, wherever its space is mapped.
pub(crate) type Name = (Space, Vec<u8>);

/// A key as it was when it was watched.
#[derive(Clone, Debug)]
struct Watched {
    database: u8,
    name: Name,
    /// It was there, and not expired.
    lives: bool,
    expiry_ms: Option<u64>,
    /// It was not there; whether it is in the space that its database means now has to be looked up.
    is_unsure: bool,
}

#[derive(Default)]
struct Watch {
    keys: Vec<Watched>,
    is_broken: bool,
}

/// Everybody who watches keys of a group.
#[derive(Default)]
pub struct Watches {
    last: u64,
    by_id: HashMap<WatchId, Watch>,
    /// Who watches a key, and whether it was there then. A watch that is broken may be noted under others of its keys.
    by_key: PartedMap<Name, BTreeMap<WatchId, bool>>,
}

impl Watches {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Adds keys to a watch, or to a new one.
    fn add(&mut self, id: Option<WatchId>, keys: Vec<Watched>) -> WatchId {
        let id = id.unwrap_or_else(|| {
            self.last += 1;
            WatchId(self.last)
        });
        let watch = self.by_id.entry(id).or_default();
        for watched in keys {
            if watch.is_broken {
                break;
            }
            let watching = self.by_key.get_or_default(watched.name.clone());
            if let Entry::Vacant(place) = watching.entry(id) {
                place.insert(watched.lives);
                watch.keys.push(watched);
            }
        }
        id
    }

    /// Forgets a part of a watch that is over. Says whether that was all.
    fn remove(&mut self, id: WatchId) -> bool {
        let Some(watch) = self.by_id.get_mut(&id) else { return true };
        let left = watch.keys.len().saturating_sub(limits::WATCHED_IN_A_PART);
        let part = watch.keys.split_off(left);
        self.unlist(id, &part);
        if left == 0 {
            self.by_id.remove(&id);
        }
        left == 0
    }

    fn unlist(&mut self, id: WatchId, keys: &[Watched]) {
        for Watched { name, .. } in keys {
            if let Some(watching) = self.by_key.get_mut(name) {
                watching.remove(&id);
                if watching.is_empty() {
                    self.by_key.remove(name);
                }
            }
        }
    }

    /// Whether nothing has happened to what is watched. A key that had an expiry has changed when that is
    /// past, whether it is removed by now or not.
    pub(crate) fn hold(&self, id: WatchId, now_ms: u64) -> bool {
        let has_expired =
            |watched: &Watched| watched.lives && watched.expiry_ms.is_some_and(|at| at <= now_ms);
        let is_as_it_was = |watched: &Watched| !has_expired(watched) && !watched.is_unsure;
        self.by_id.get(&id).is_some_and(|watch| !watch.is_broken && watch.keys.iter().all(is_as_it_was))
    }

    /// The watched keys that have to be looked up.
    fn unsure(&self, id: WatchId) -> Vec<(u8, Vec<u8>)> {
        let keys = self.by_id.get(&id).into_iter().flat_map(|watch| &watch.keys);
        keys.filter(|watched| watched.is_unsure)
            .map(|watched| (watched.database, watched.name.1.clone()))
            .collect()
    }

    /// It was found out whether one of the keys that had to be looked up is there.
    fn settle(&mut self, id: WatchId, is_there: bool) {
        let Some(watch) = self.by_id.get_mut(&id) else { return };
        watch.is_broken |= is_there;
        watch.keys.iter_mut().for_each(|watched| watched.is_unsure = false);
    }

    /// A key is written, and holds something then or not. What was not there, or had expired, is as it
    /// was when it is removed.
    ///
    /// Whoever writes does this: so it is a step for each watch, however many other keys that one has.
    fn changed(&mut self, name: &Name, is_there: bool) {
        let Some(watching) = self.by_key.get_mut(name) else { return };
        watching.retain(|id, lived| {
            let breaks = is_there || *lived;
            if breaks && let Some(watch) = self.by_id.get_mut(id) {
                watch.is_broken = true;
            }
            !breaks
        });
        if watching.is_empty() {
            self.by_key.remove(name);
        }
    }

    /// A database number means another space. What was there is not any more; what was not there may be
    /// in the other space, unless that is empty.
    fn remapped(&mut self, database: u8, space: Space, is_empty: bool) {
        let concerns =
            |watch: &Watch| !watch.is_broken && watch.keys.iter().any(|watched| watched.database == database);
        let concerned = self.by_id.iter().filter(|(_, watch)| concerns(watch));
        let ids: Vec<WatchId> = concerned.map(|(id, _)| *id).collect();
        for id in ids {
            let Some(mut watch) = self.by_id.remove(&id) else { continue };
            self.unlist(id, &watch.keys);
            for watched in watch.keys.iter_mut().filter(|watched| watched.database == database) {
                watch.is_broken |= watched.lives;
                (watched.name.0, watched.is_unsure) = (space, !is_empty);
            }
            let keys = std::mem::take(&mut watch.keys);
            self.by_id.insert(id, watch);
            self.add(Some(id), keys);
        }
    }

    /// Nobody knows what has changed.
    pub(crate) fn break_all(&mut self) {
        self.by_key.clear();
        for watch in self.by_id.values_mut() {
            *watch = Watch { keys: Vec::new(), is_broken: true };
        }
    }
}

impl Group {
    /// Watches keys of a database from now on, together with those of a watch that there is.
    pub fn watch(
        &self,
        database: u8,
        names: &[&[u8]],
        id: Option<WatchId>,
        scratch: &mut Scratch,
    ) -> Result<WatchId, Leave> {
        let bounds = (database, Meter::unlimited());
        let done = self.run_section(bounds, scratch, &mut |_| None, |txn| txn.watch(names, id))?;
        done.result.map_err(|stop| leave(&stop))
    }

    /// Whether a transaction that is to be committed only if what it watches is unchanged still may.
    pub(crate) fn check_watch(&self, section: &Section, scratch: &Scratch) -> Result<(), Leave> {
        let holds = scratch.only_if.is_none_or(|id| section.watches.hold(id, self.now_ms()));
        if holds { Ok(()) } else { Err(Leave::Changed) }
    }

    /// Ends a watch.
    pub fn unwatch(&self, id: WatchId) {
        while !self.sequencer.lock().watches.remove(id) {}
    }

    /// How many watches there are, broken ones as well.
    pub fn watching(&self) -> usize {
        self.sequencer.lock().watches.len()
    }

    /// Breaks the watches of what is written, in a section whose catalog has taken up `catalog`.
    pub(crate) fn break_watches(section: &mut Section, written: &[WrittenKey], catalog: &[(Vec<u8>, Value)]) {
        if section.watches.is_empty() {
            return;
        }
        let break_written = |section: &mut Section| {
            for written in written.iter().filter(|written| !written.is_quiet) {
                section.watches.changed(&written.name, written.kind.is_some() || written.came_and_went);
            }
        };
        // What was written before databases changed in the same transaction, and what was after it.
        break_written(section);
        if catalog.is_empty() {
            return;
        }
        for (key, _) in catalog {
            let Some(database) = keys::database_of(key) else { continue };
            let Some(&space) = section.catalog.spaces.get(usize::from(database)) else { continue };
            let is_empty = section.count(space).keys == 0;
            section.watches.remapped(database, space, is_empty);
        }
        break_written(section);
    }

    /// Looks up what of a watch has to be looked up, before it is asked whether it holds.
    pub fn settle_watch(&self, id: WatchId, scratch: &mut Scratch) -> Result<(), Leave> {
        if self.sequencer.lock().watches.unsure(id).is_empty() {
            return Ok(());
        }
        let bounds = (0, Meter::unlimited());
        let done = self.run_section(bounds, scratch, &mut |_| None, |txn| txn.settle_watch(id))?;
        done.result.map_err(|stop| leave(&stop))
    }
}

impl Txn<'_> {
    fn watch(&mut self, names: &[&[u8]], id: Option<WatchId>) -> Result<WatchId, Stop> {
        self.foresee_keys(names.iter().copied())?;
        let (database, space) = (self.database(), self.space(self.database()));
        let mut keys = Vec::with_capacity(names.len());
        for name in names {
            let record = self.get(name)?;
            let lives = record.is_some();
            let expiry_ms = record.and_then(|record| record.expiry_ms);
            let name = (space, name.to_vec());
            keys.push(Watched { database, name, lives, expiry_ms, is_unsure: false });
        }
        Ok(self.section()?.watches.add(id, keys))
    }

    fn settle_watch(&mut self, id: WatchId) -> Result<(), Stop> {
        let unsure = self.section()?.watches.unsure(id);
        let mut records = Vec::with_capacity(unsure.len());
        for (database, name) in &unsure {
            self.select(*database);
            records.push(self.key_record(name));
        }
        self.foresee(records.into_iter())?;
        for (database, name) in unsure {
            self.select(database);
            if self.get(&name)?.is_some() {
                self.section()?.watches.settle(id, true);
                return Ok(());
            }
        }
        self.section()?.watches.settle(id, false);
        Ok(())
    }

    fn section(&mut self) -> Result<&mut Section, Stop> {
        match &mut self.view {
            View::Section(section) => Ok(section),
            _ => Err(Stop::Outgrown),
        }
    }
}

//! Folding: the deltas of a collection's counters are added to its base, locally on each replica, in
//! bounded slices on the apply thread. Nothing that a reader can see changes by it.

use std::collections::{HashMap, VecDeque};

use base::limits::DELTAS_KEPT;

use crate::counters::{Base, Counters};
use crate::disk::DiskError;
use crate::group::Group;
use crate::keys::{self, Home};

/// Collections folded in one slice, and deltas deleted.
const SLICE_COLLECTIONS: usize = 512;
const SLICE_DELTAS: usize = 256;
/// Collections whose deltas are counted. What is not remembered is found by the cursor.
const REMEMBERED_MAX: usize = 1 << 16;

/// What to fold next. Pure: this decides, [`Folder::slice`] does it.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Nothing,
    /// A collection that has many.
    Fold(Home),
    /// Whatever has some, from the cursor on.
    Sweep,
}

#[derive(Default)]
pub struct Folder {
    /// Deltas written since the collection was folded.
    counted: HashMap<Home, usize>,
    /// Those that have many.
    due: VecDeque<Home>,
    /// Where the sweep is; nothing while none is under way.
    cursor: Option<Vec<u8>>,
}

impl Folder {
    /// A restart has forgotten what there is: it is found by a sweep.
    pub fn new() -> Self {
        Self { cursor: Some(vec![keys::DELTA]), ..Self::default() }
    }

    /// Takes note of a delta that is in the store now.
    pub fn note(&mut self, home: Home) {
        if self.counted.len() >= REMEMBERED_MAX && !self.counted.contains_key(&home) {
            self.counted.clear();
            self.due.clear();
            self.cursor = Some(vec![keys::DELTA]);
        }
        let count = self.counted.entry(home).or_default();
        *count += 1;
        if *count == DELTAS_KEPT {
            self.due.push_back(home);
        }
    }

    pub fn has_work(&self) -> bool {
        self.choose() != Choice::Nothing
    }

    /// Has everything folded by and by that has deltas at all.
    pub fn sweep(&mut self) {
        if self.cursor.is_none() && !self.counted.is_empty() {
            self.cursor = Some(vec![keys::DELTA]);
        }
    }

    fn choose(&self) -> Choice {
        match (self.due.front(), &self.cursor) {
            (Some(&home), _) => Choice::Fold(home),
            (None, Some(_)) => Choice::Sweep,
            (None, None) => Choice::Nothing,
        }
    }

    /// Folds a slice; says how many deltas.
    pub fn slice(&mut self, group: &Group) -> Result<u64, DiskError> {
        let mut work = Work::default();
        match self.choose() {
            Choice::Nothing => return Ok(0),
            Choice::Sweep => {
                let from = self.cursor.take().unwrap_or_default();
                self.cursor = work.take(group, &from, &[keys::DELTA + 1])?;
                for home in work.sums.keys() {
                    self.counted.remove(home);
                }
            }
            Choice::Fold(_) => {
                while work.deltas.len() < SLICE_DELTAS && work.sums.len() < SLICE_COLLECTIONS {
                    let Some(&home) = self.due.front() else { break };
                    if !work.take_all(group, home)? {
                        break;
                    }
                    self.due.pop_front();
                    self.counted.remove(&home);
                }
            }
        }
        work.write(group)
    }

    /// Folds all deltas of one collection.
    pub fn fold(&mut self, group: &Group, home: Home) -> Result<u64, DiskError> {
        let mut folded = 0;
        loop {
            let mut work = Work::default();
            let all = work.take_all(group, home)?;
            folded += work.write(group)?;
            if all {
                self.counted.remove(&home);
                self.due.retain(|due| *due != home);
                return Ok(folded);
            }
        }
    }
}

/// Deltas that are about to go, and what they sum up to.
#[derive(Default)]
struct Work {
    deltas: Vec<Vec<u8>>,
    sums: HashMap<Home, Base>,
}

impl Work {
    /// Takes a collection's deltas; says whether that is all of them.
    fn take_all(&mut self, group: &Group, home: Home) -> Result<bool, DiskError> {
        let mut key = Vec::new();
        keys::counters_record(&mut key, home);
        let from = Base::read(&group.disk.snapshot(), &key)?.unwrap_or_default().deltas_from(home);
        keys::delta_prefix(&mut key, home);
        let end = base::codec::prefix_end(&key).unwrap_or_default();
        Ok(self.take(group, &from, &end)?.is_none())
    }

    /// Takes deltas of a range; says from where there are more.
    fn take(&mut self, group: &Group, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        for pair in group.disk.snapshot().range(from, Some(to)) {
            let (key, delta) = pair?;
            if self.deltas.len() >= SLICE_DELTAS {
                return Ok(Some(key.to_vec()));
            }
            let corrupt = |why| DiskError::corrupt(&key, why);
            let (home, stamp) = keys::decode_delta(&key).map_err(corrupt)?;
            let delta = Counters::decode(&delta).map_err(corrupt)?;
            let sum = self.sums.entry(home).or_default();
            *sum = Base { counters: sum.counters.plus(delta), folded: stamp };
            self.deltas.push(key.to_vec());
        }
        Ok(None)
    }

    fn write(self, group: &Group) -> Result<u64, DiskError> {
        let mut bases = Vec::with_capacity(self.sums.len());
        let snapshot = group.disk.snapshot();
        for (home, sum) in self.sums {
            let mut key = Vec::new();
            keys::counters_record(&mut key, home);
            let base = Base::read(&snapshot, &key)?.unwrap_or_default();
            let folded = Base { counters: base.counters.plus(sum.counters), folded: sum.folded };
            bases.push((key, folded.encode()));
        }
        let bases = bases.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice())));
        let gone = self.deltas.iter().map(|key| (key.as_slice(), None));
        group.disk.write(bases.chain(gone))?;
        Ok(self.deltas.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Cid;

    fn home(seq: u32) -> Home {
        Home { slot: 1, cid: Cid { stamp: 1, seq } }
    }

    #[test]
    fn what_has_many_deltas_comes_first_and_the_rest_by_a_sweep() {
        let mut folder = Folder::default();
        assert_eq!(folder.choose(), Choice::Nothing);
        folder.note(home(2));
        folder.sweep();
        assert_eq!(folder.choose(), Choice::Sweep);
        for _ in 0..DELTAS_KEPT {
            folder.note(home(1));
        }
        assert_eq!(folder.choose(), Choice::Fold(home(1)));
        assert_eq!(Folder::new().choose(), Choice::Sweep, "a restart has forgotten what there is");
    }

    #[test]
    fn what_is_not_remembered_is_swept() {
        let mut folder = Folder::default();
        for seq in 0..=REMEMBERED_MAX as u32 {
            folder.note(home(seq));
        }
        assert_eq!(folder.counted.len(), 1);
        assert_eq!(folder.choose(), Choice::Sweep);
    }
}

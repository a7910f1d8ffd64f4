//! Somebody who is told which keys commits change: of every commit, whoever made it and in whatever lane.

use crate::group::Group;
use crate::keys;
use crate::record::Value;
use crate::tidings::Tiding;
use crate::written::WrittenKey;

/// The keys that a commit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// For whom it was made, as [`crate::Txn::act_for`] says.
    pub by: u64,
    pub keys: Vec<Vec<u8>>,
    /// A database was flushed, or is another one now: any key may have changed.
    pub everything: bool,
}

pub trait Onlooker: Send + Sync {
    /// Whether it wants to know anything at all. Asked in the section.
    fn looks(&self) -> bool;

    /// What is told of a commit, once it is one.
    fn saw(&self, changed: Changed) -> Box<dyn Tiding>;
}

impl Changed {
    pub(crate) fn of(by: u64, written: &[WrittenKey], catalog: &[(Vec<u8>, Value)]) -> Option<Self> {
        let loud = written.iter().filter(|written| !written.is_quiet);
        let keys: Vec<Vec<u8>> = loud.map(|written| written.name.1.clone()).collect();
        let everything = catalog.iter().any(|(key, _)| keys::database_of(key).is_some());
        (everything || !keys.is_empty()).then_some(Self { by, keys, everything })
    }
}

impl Group {
    /// From now on this onlooker is asked.
    pub fn show(&self, onlooker: std::sync::Arc<dyn Onlooker>) {
        let first = self.onlooker.set(onlooker).is_ok();
        debug_assert!(first, "a store has one onlooker");
    }

    /// This node sees no commits of the group any more: whatever its onlooker has told may change unseen.
    pub fn sees_no_more(&self) {
        if let Some(onlooker) = self.onlooker.get().filter(|onlooker| onlooker.looks()) {
            onlooker.saw(Changed { by: 0, keys: Vec::new(), everything: true }).tell();
        }
    }

    /// Whoever enters the section after this sees what its caller did before.
    pub fn pass_section(&self) {
        drop(self.sequencer.lock());
    }
}

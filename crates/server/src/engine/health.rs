//! Whether a node may take writes. Decided from what its log and its stores say, looked at often;
//! reads go on as long as there is something to read.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// What the decision is made from.
#[derive(Debug, Default)]
pub struct Signs {
    /// Why the log failed for good.
    pub poisoned: Option<String>,
    /// The log's disk has room for another entry of the largest size.
    pub has_room: bool,
    /// Why a store failed for good.
    pub store_failed: Option<String>,
}

/// Why writes are refused, as the client is told; `None` if they are taken.
pub fn refusal(signs: &Signs) -> Option<String> {
    if let Some(why) = &signs.poisoned {
        return Some(format!("MISCONF the log failed and this node has to be restarted: {why}"));
    }
    if let Some(why) = &signs.store_failed {
        return Some(format!("MISCONF the store failed and this node has to be restarted: {why}"));
    }
    (!signs.has_room).then(|| "MISCONF the disk is full; writes are refused until there is room".to_owned())
}

/// The decision in force.
#[derive(Default)]
pub struct Health {
    refusing: AtomicBool,
    why: Mutex<Option<String>>,
}

impl Health {
    pub fn set(&self, why: Option<String>) {
        let mut current = self.why.lock();
        if *current == why {
            return;
        }
        match &why {
            Some(why) => tracing::error!("{why}"),
            None => tracing::info!("writes are taken again"),
        }
        self.refusing.store(why.is_some(), Ordering::SeqCst);
        *current = why;
    }

    /// Asked before every write: one atomic load while all is well.
    pub fn refusal(&self) -> Option<String> {
        if self.refusing.load(Ordering::Relaxed) { self.why.lock().clone() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(signs: Signs, expected: Option<&str>) {
        let health = Health::default();
        health.set(refusal(&signs));
        let found = health.refusal();
        assert_eq!(found.is_some(), expected.is_some(), "{signs:?}");
        assert!(found.is_none_or(|why| why.contains(expected.unwrap_or_default())), "{signs:?}");
    }

    #[test]
    fn writes_are_refused_when_they_could_not_be_kept() {
        let well = || Signs { has_room: true, ..Signs::default() };
        check(well(), None);
        check(Signs { has_room: false, ..well() }, Some("disk is full"));
        check(Signs { poisoned: Some("fsync".into()), ..well() }, Some("log failed"));
        check(Signs { store_failed: Some("i/o".into()), ..well() }, Some("store failed"));
    }

    #[test]
    fn a_refusal_ends_when_its_cause_does() {
        let health = Health::default();
        health.set(Some("full".into()));
        assert_eq!(health.refusal().as_deref(), Some("full"));
        health.set(None);
        assert_eq!(health.refusal(), None);
    }
}

//! Consensus' view of a group's store: entries go to its apply thread, barriers answer when it has
//! caught up.

use std::sync::mpsc;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use consensus::{Body, Committed, Leadership, Machine, MachineError, Position, Recovered, SnapshotImage};
use store::apply::{self, Applier};

use crate::engine::group::Group;
use crate::engine::image;

pub struct GroupMachine {
    /// The group holds on to consensus, which holds on to this: one of them must not.
    pub group: Weak<Group>,
}

fn error(error: impl std::fmt::Display) -> MachineError {
    MachineError(error.to_string())
}

fn position(applied: apply::Applied) -> Position {
    Position { term: applied.term, index: applied.index }
}

impl GroupMachine {
    pub fn new(group: &Arc<Group>) -> Self {
        Self { group: Arc::downgrade(group) }
    }

    fn group(&self) -> Result<Arc<Group>, MachineError> {
        self.group.upgrade().ok_or_else(|| error("the node has stopped"))
    }

    /// Runs on the apply thread once everything queued is in the store, and waits for the answer.
    fn on_apply_thread<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Applier) -> Result<T, MachineError> + Send + 'static,
    ) -> Result<T, MachineError> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.group()?.queue.barrier(move |applier| {
            let _ = answer.send(healthy(applier).and_then(|()| task(applier)));
        });
        answered.recv().map_err(|_| error("the apply thread has ended"))?
    }
}

fn healthy(applier: &Applier) -> Result<(), MachineError> {
    applier.failure().map_or(Ok(()), |why| Err(error(why)))
}

impl Machine for GroupMachine {
    fn recovered(&self) -> Result<Recovered, MachineError> {
        let found = apply::recovered(&self.group()?.store).map_err(error)?;
        Ok(Recovered { applied: found.applied.map(position), membership: found.membership })
    }

    fn apply(&self, entry: Committed) {
        let payload = match &entry.body {
            Body::Effects(payload) => payload.clone(),
            Body::Blank | Body::Membership => Bytes::new(),
        };
        let Ok(group) = self.group() else { return };
        group.queue.apply(apply::Committed {
            term: entry.at.term,
            index: entry.at.index,
            payload,
            membership: entry.membership.clone(),
            permit: Some(Box::new(entry)),
        });
    }

    fn persist(&self, done: Box<dyn FnOnce(Result<Position, MachineError>) + Send>) {
        let group = match self.group() {
            Ok(group) => group,
            Err(gone) => return done(Err(gone)),
        };
        group.queue.barrier(move |applier| {
            let persisted = healthy(applier)
                .and_then(|()| applier.group().disk.persist().map_err(error))
                .map(|()| position(applier.stored()));
            done(persisted);
        });
    }

    fn snapshot(&self) -> Result<SnapshotImage, MachineError> {
        let (at, membership, snapshot) = self.on_apply_thread(|applier| {
            let at = position(applier.stored());
            Ok((at, applier.membership().unwrap_or_default(), applier.group().disk.snapshot()))
        })?;
        let chunks = image::chunks(&snapshot).map(|chunk| chunk.map_err(error));
        Ok(SnapshotImage { at, membership, chunks: Box::new(chunks) })
    }

    fn install(&self, image: SnapshotImage) -> Result<(), MachineError> {
        self.on_apply_thread(move |applier| {
            let chunks = image.chunks.map(|chunk| chunk.map_err(|why| why.0));
            let at = apply::Applied { term: image.at.term, index: image.at.index, last: base::Stamp::ZERO };
            image::install(applier, at, &image.membership, chunks).map_err(error)
        })
    }

    fn leadership(&self, change: Leadership) {
        if let Ok(group) = self.group() {
            group.on_leadership(change);
        }
    }
}

//! What happens on workers' machines when actors come and go. The service keeps the records, and asks
//! this to do the rest.

use std::future::Future;

use crate::proto::{Actor, SnapshotType, Worker};

/// Why a machine did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// The machines of the workers.
///
/// Each of these may be asked again for what it has done already: by a call that repeats one which has
/// failed half-way, or by two at once. A failure leaves the actor where it is, and the call fails with
/// UNAVAILABLE: repeating it asks again.
pub trait WorkerRuntime: Send + Sync + 'static {
    /// Where the next snapshot of an actor goes.
    fn snapshot_prefix(&self, actor: &Actor, kind: SnapshotType) -> String;

    /// Runs an actor on a worker that is claimed for it: from its latest snapshot, or from its template if
    /// it has none or `boot` says so.
    fn start(
        &self,
        actor: &Actor,
        worker: &Worker,
        boot: bool,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Takes the snapshot that `in_progress_snapshot` names, and stops the actor. Without a worker the actor
    /// is paused: its local snapshot is brought there.
    fn save(
        &self,
        actor: &Actor,
        worker: Option<&Worker>,
        kind: SnapshotType,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Makes sure that nothing of the actor is left on a worker, which is then given to others.
    fn clear(&self, actor: &Actor, worker: &Worker) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Runs nothing, and says at once that it was done: for those who only want the records, and for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Acknowledge;

impl WorkerRuntime for Acknowledge {
    fn snapshot_prefix(&self, actor: &Actor, _kind: SnapshotType) -> String {
        // The version makes it another one each time.
        format!("snapshots/{}/{}/{}", actor.atespace, actor.actor_id, actor.version)
    }

    async fn start(&self, _actor: &Actor, _worker: &Worker, _boot: bool) -> Result<(), Failure> {
        Ok(())
    }

    async fn save(
        &self,
        _actor: &Actor,
        _worker: Option<&Worker>,
        _kind: SnapshotType,
    ) -> Result<(), Failure> {
        Ok(())
    }

    async fn clear(&self, _actor: &Actor, _worker: &Worker) -> Result<(), Failure> {
        Ok(())
    }
}

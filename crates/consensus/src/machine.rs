//! What a group's state machine offers, and what it is given. Implemented by the server over its
//! store; knows no openraft types.

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;

/// Where an entry stands in its group's log. Ordered as the log is: there is one leader a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    pub term: u64,
    pub index: u64,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The entry with which a leader begins its term.
    Blank,
    /// The payload that was submitted, untouched.
    Effects(Bytes),
    /// The set of replicas changed.
    Membership,
}

/// A committed entry on its way to the machine.
#[derive(Debug)]
pub struct Committed {
    pub at: Position,
    pub body: Body,
    /// The encoded membership, when this entry changed it. The machine stores it with the position
    /// and returns it from [`Machine::recovered`] and in its snapshots.
    pub membership: Option<Bytes>,
    /// A share of the apply queue's bytes, given back when this entry is dropped: once it is
    /// applied.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Committed {
    pub(crate) fn new(
        at: Position,
        body: Body,
        membership: Option<Bytes>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { at, body, membership, _permit: permit }
    }
}

/// What a machine's store has durably when the node starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub applied: Option<Position>,
    /// As last given in [`Committed::membership`] or [`SnapshotImage::membership`].
    pub membership: Option<Bytes>,
}

/// The whole state at an exact position, in chunks of at most about a mebibyte.
pub struct SnapshotImage {
    pub at: Position,
    pub membership: Bytes,
    pub chunks: Box<dyn Iterator<Item = Result<Bytes, MachineError>> + Send>,
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct MachineError(pub String);

/// A group's state machine. Called from raft threads: every method but `snapshot` and `install`
/// must return at once, and may propose, but must not wait for its group.
pub trait Machine: Send + Sync + 'static {
    /// What the store has durably; nothing, if a crash cut [`Machine::install`] short. The snapshot is
    /// then installed again.
    fn recovered(&self) -> Result<Recovered, MachineError>;

    /// Queues a committed entry. Called in log order; after a restart, entries above the recovered
    /// position come again.
    fn apply(&self, entry: Committed);

    /// Makes everything queued before this call durable in the store, then calls back with the
    /// position that the store then holds durably.
    fn persist(&self, done: Box<dyn FnOnce(Result<Position, MachineError>) + Send>);

    /// A consistent image at an exact position, after everything queued before this call is
    /// applied. Called on a blocking helper thread.
    fn snapshot(&self) -> Result<SnapshotImage, MachineError>;

    /// Replaces the whole state by the image, durably when this returns. Called on a blocking
    /// helper thread; ordered after everything queued before it. A crash in the middle must be
    /// detected by the machine at its next start.
    fn install(&self, image: SnapshotImage) -> Result<(), MachineError>;

    /// Leadership changed.
    fn leadership(&self, change: Leadership);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// This node leads `term`; every entry of earlier terms is committed and was handed to
    /// [`Machine::apply`] before this call.
    Leading { term: u64 },
    /// No longer leading: called once for each term of which `Leading` was told, before any entry
    /// of a newer term is handed to [`Machine::apply`]. Proposals that were not told committed by
    /// now have an unknown outcome. `leader` may still be unknown; the group's metrics follow it.
    Following { leader: Option<u64> },
}

/// What becomes of a proposal: exactly one of both methods is called, exactly once, on a raft
/// thread or on the thread that submitted; it must be quick.
pub trait Completion: Send {
    fn committed(self: Box<Self>, at: Position);
    fn failed(self: Box<Self>, why: NotCommitted);
}

/// Why a proposal was not committed, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCommitted {
    /// It was never proposed and will never take effect: not the leader of that term, disk full, …
    Refused(String),
    /// It may or may not survive.
    Uncertain,
}

//! Consensus: the only owner of openraft. A node runs a number of groups, each an independent Raft
//! group, on threads of their own (`raft-*`), over one shared log file (`wal`). A group moves
//! opaque payloads: what is submitted on the leader is handed, once committed and in log order, to
//! the [`Machine`] of every replica.
//!
//! Invariant: knows no Redis, no keys, no store; it must never look into a payload.

mod answer;
mod codec;
mod config;
mod group;
mod leash;
mod log;
mod machine;
mod metrics;
mod network;
mod node;
mod purge;
mod reader;
mod role;
mod spool;
mod state;
mod submit;
mod supervisor;
mod tail;
#[cfg(test)]
mod tests;
mod transport;

pub use group::{ChangeError, Group, Lease, Proposal};
pub use machine::{
    Body, Committed, Completion, Leadership, Machine, MachineError, NotCommitted, Position, Recovered,
    SnapshotImage,
};
pub use metrics::{BUCKETS, GroupMetrics, Histogram, Queue, QueueMetrics, Role};
pub use node::{Node, NodeOptions, StartError};
pub use transport::{Answers, BoxFuture, Frames, NoTransport, Peer, Transport, TransportError};

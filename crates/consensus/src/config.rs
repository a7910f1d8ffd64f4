//! The one openraft `TypeConfig` of this project, written by hand because the macro does not take
//! a responder of one's own. One leader a term, so that a log id is (term, index).

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use openraft::errors::ClientWriteError;
use openraft::impls::{BasicNode, EntryPayload, InlineBatch, TokioRuntime, leader_id_std};
use openraft::raft::ClientWriteResult;
use openraft::raft::responder::Responder;
use openraft::vote::leader_id_std::CommittedLeaderId;
use openraft::{AnyError, RaftTypeConfig};

use crate::machine::{NotCommitted, Position};
use crate::submit::Pending;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

pub(crate) type LeaderId = leader_id_std::LeaderId<u64, u64>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type LogId = openraft::LogId<CommittedLeaderId<u64>>;
pub(crate) type EntryBody = EntryPayload<Payload, u64, BasicNode>;
pub(crate) type Entry = openraft::Entry<CommittedLeaderId<u64>, EntryBody>;
pub(crate) type Membership = openraft::Membership<u64, BasicNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<CommittedLeaderId<u64>, u64, BasicNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<CommittedLeaderId<u64>, u64, BasicNode>;
pub(crate) type Raft = openraft::Raft<Types, crate::state::StateMachine>;

/// What is proposed: opaque bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Payload(pub(crate) Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl RaftTypeConfig for Types {
    type D = Payload;
    type R = ();
    type NodeId = u64;
    type Node = BasicNode;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = EntryBody;
    type Entry = Entry;
    type AsyncRuntime = TokioRuntime;
    type Responder<T>
        = Reply<T>
    where
        T: Send + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = AnyError;
}

/// Tells a submitter what became of its proposal: at the commit, before it is applied.
pub(crate) struct Reply<T> {
    pending: Pending,
    _result: PhantomData<fn(T)>,
}

impl<T> Reply<T> {
    pub(crate) fn new(pending: Pending) -> Self {
        Self { pending, _result: PhantomData }
    }
}

impl<T: Send + 'static> Responder<Types, T> for Reply<T> {
    fn on_commit(&mut self, log_id: LogId) {
        self.pending.committed(position(&log_id));
    }

    fn on_complete(mut self, result: T) {
        // `T` is always the result of a client write, but the trait does not know that.
        let result = (&result as &dyn Any).downcast_ref::<ClientWriteResult<Types>>();
        let why = match result {
            // Refused before it was given a place in the log.
            Some(Err(ClientWriteError::ForwardToLeader(to))) => NotCommitted::Refused(to.to_string()),
            _ => NotCommitted::Uncertain,
        };
        self.pending.failed(why);
    }
}

pub(crate) fn position(log_id: &LogId) -> Position {
    Position { term: log_id.leader_id.term, index: log_id.index }
}

pub(crate) fn log_id(at: Position) -> LogId {
    LogId::new(CommittedLeaderId::new(at.term), at.index)
}

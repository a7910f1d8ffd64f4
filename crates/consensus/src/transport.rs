//! How groups reach their peers. This crate encodes every message; a transport moves frames of
//! bytes and knows nothing of what is in them. On the other side it hands what arrives to
//! [`crate::Group::answer`] or [`crate::Group::answer_stream`] of the same group.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use thiserror::Error;

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// Frames of one stream, in order.
pub type Frames = Pin<Box<dyn Stream<Item = Bytes> + Send>>;
/// Answers to the frames of one stream, in order.
pub type Answers = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// The other end of a message: a group's replica on another node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    pub node: u64,
    pub address: String,
    pub group: u16,
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct TransportError(pub String);

/// Moves messages between nodes. Futures and streams are polled on raft threads, so they must
/// never block; what takes real work belongs on threads of the transport's own. A frame is at most
/// a little more than `limits::ENTRY_BYTES_MAX`.
pub trait Transport: Send + Sync + 'static {
    /// One request, one answer. Requests may overtake one another.
    fn call(&self, to: Peer, request: Bytes) -> BoxFuture<Result<Bytes, TransportError>>;

    /// Many requests, pipelined: the answers come in the order of the requests. A lost, repeated
    /// or reordered frame must break the stream.
    fn stream(&self, to: Peer, requests: Frames) -> BoxFuture<Result<Answers, TransportError>>;
}

/// For a single node: nobody can be reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTransport;

impl Transport for NoTransport {
    fn call(&self, to: Peer, _request: Bytes) -> BoxFuture<Result<Bytes, TransportError>> {
        Box::pin(async move { Err(no_way(&to)) })
    }

    fn stream(&self, to: Peer, _requests: Frames) -> BoxFuture<Result<Answers, TransportError>> {
        Box::pin(async move { Err(no_way(&to)) })
    }
}

fn no_way(to: &Peer) -> TransportError {
    TransportError(format!("node {} at {} cannot be reached: this node runs alone", to.node, to.address))
}

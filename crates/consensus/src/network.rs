//! The outgoing side: openraft's messages through a [`Transport`].

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::codec::DecodeError;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::impls::BasicNode;
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{LogIdOptionExt, OptionalSend};

use crate::codec;
use crate::config::{Types, Vote, log_id};
use crate::leash::{Leash, leash};
use crate::log::LogStore;
use crate::machine::{MachineError, SnapshotImage};
use crate::state::{SnapshotData, SnapshotOf};
use crate::transport::{Answers, Frames, Peer, Transport, TransportError};

type RpcResult<T> = Result<T, RPCError<Types>>;

pub(crate) struct Network {
    pub(crate) group: u16,
    pub(crate) log: LogStore,
    pub(crate) transport: Arc<dyn Transport>,
    /// A pipelined stream on which nothing was answered for so long is given up.
    pub(crate) stall: Duration,
}

impl Network {
    fn client(&self, target: u64, node: &BasicNode, pipelined: bool) -> Client {
        let peer = Peer { node: target, address: node.addr.clone(), group: self.group };
        Client {
            peer,
            log: self.log.clone(),
            transport: self.transport.clone(),
            stall: self.stall,
            pipelined,
        }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Client {
        self.client(target, node, true)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &BasicNode) -> Client {
        self.client(target, node, false)
    }
}

pub(crate) struct Client {
    peer: Peer,
    log: LogStore,
    transport: Arc<dyn Transport>,
    stall: Duration,
    /// Entries go through one long stream; heartbeats, which openraft sends as a stream each, as
    /// single calls.
    pipelined: bool,
}

/// Not reached: openraft waits a little before it tries again.
fn unreachable(error: &TransportError) -> RPCError<Types> {
    Unreachable::new(error).into()
}

fn garbled(error: DecodeError) -> RPCError<Types> {
    Unreachable::from_string(format!("an answer cannot be read: {error}")).into()
}

/// Whether a session has been overtaken by a purge: openraft reset it for an error that was an
/// older one's, purged the log, and is sending a snapshot; but the session does not know, and would
/// go on for ever sending nothing. Ended, it takes up what openraft wants now.
fn is_stale(log: &LogStore, request: &AppendEntriesRequest<Types>) -> bool {
    request.entries.is_empty() && request.prev_log_id.index() < log.purged().index()
}

impl Client {
    async fn call(&self, request: Bytes, option: &RPCOption) -> RpcResult<Bytes> {
        let call = self.transport.call(self.peer.clone(), request);
        match tokio::time::timeout(option.hard_ttl(), call).await {
            Ok(answer) => answer.map_err(|error| unreachable(&error)),
            Err(_) => Err(unreachable(&TransportError(format!("node {} did not answer", self.peer.node)))),
        }
    }

    async fn stream(&self, frames: Frames) -> RpcResult<Answers> {
        let stream = self.transport.stream(self.peer.clone(), frames);
        stream.await.map_err(|error| unreachable(&error))
    }
}

impl RaftNetworkV2<Types> for Client {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> RpcResult<AppendEntriesResponse<Types>> {
        let answer = self.call(codec::encode_append(&rpc), &option).await?;
        codec::decode_append_answer(&answer).map_err(garbled)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, RpcResult<BoxStream<'s, RpcResult<StreamAppendResult<Types>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        if !self.pipelined {
            return stream_append_sequential(self, input, option);
        }
        Box::pin(async move {
            let sent = Arc::new(AtomicU64::new(0));
            let counted = sent.clone();
            let (input, leash) = leash(input);
            let log = self.log.clone();
            let frames = input.take_while(move |request| std::future::ready(!is_stale(&log, request)));
            let frames = frames.map(move |request| {
                counted.fetch_add(1, Ordering::Relaxed);
                codec::encode_append(&request)
            });
            let answers = self.stream(Box::pin(frames)).await?;
            let session = Session { answers, sent, answered: 0, stall: self.stall, _leash: leash };
            let answers = stream::unfold(Some(session), Session::next);
            Ok(Box::pin(answers) as BoxStream<'s, _>)
        })
    }

    async fn vote(&mut self, rpc: VoteRequest<Types>, option: RPCOption) -> RpcResult<VoteResponse<Types>> {
        let answer = self.call(codec::encode_vote_request(&rpc, false), &option).await?;
        codec::decode_vote_answer(&answer).map_err(garbled)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<Types>> {
        let answer = self.call(codec::encode_vote_request(&rpc, true), &option).await?;
        codec::decode_vote_answer(&answer).map_err(garbled)
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> RpcResult<TransferLeaderResponse<Types>> {
        let answer = self.call(codec::encode_transfer(&request), &option).await?;
        codec::decode_transfer_answer(&answer).map_err(garbled)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let Some(image) = snapshot.snapshot else {
            return Err(NetworkError::from_string("there is no image to send").into());
        };
        let sending = self.send_image(vote, image);
        tokio::select! {
            closed = cancel => Err(closed.into()),
            answer = sending => answer.map_err(|error| StreamingError::Unreachable(Unreachable::new(&error))),
        }
    }
}

impl Client {
    async fn send_image(
        &self,
        vote: Vote,
        image: SnapshotImage,
    ) -> Result<SnapshotResponse<Types>, TransportError> {
        let head = codec::SnapshotHead { vote, at: log_id(image.at), membership: image.membership };
        let head = codec::encode_snapshot_head(&head);
        let chunks = stream::unfold(ImageFrames::Chunks(image.chunks, 0), ImageFrames::next);
        let frames = stream::once(async move { head }).chain(chunks);
        let mut answers = self.transport.stream(self.peer.clone(), Box::pin(frames)).await?;
        let answer =
            answers.next().await.ok_or_else(|| TransportError("no answer to a snapshot".into()))??;
        let vote = codec::decode_vote(&answer).map_err(|error| TransportError(error.to_string()))?;
        Ok(SnapshotResponse::new(vote))
    }
}

type Chunks = Box<dyn Iterator<Item = Result<Bytes, MachineError>> + Send>;

/// The frames of an image behind its head. Reading the next chunk may take a disk's time, so it
/// happens on a helper thread.
enum ImageFrames {
    Chunks(Chunks, u64),
    Ended,
}

impl ImageFrames {
    async fn next(self) -> Option<(Bytes, Self)> {
        let Self::Chunks(mut chunks, count) = self else {
            return None;
        };
        let read = tokio::task::spawn_blocking(move || (chunks.next(), chunks)).await;
        match read {
            Ok((Some(Ok(chunk)), chunks)) => {
                Some((codec::encode_snapshot_chunk(&chunk), Self::Chunks(chunks, count + 1)))
            }
            Ok((None, _)) => Some((codec::encode_snapshot_end(count), Self::Ended)),
            // Without its end the receiver drops what it has.
            Ok((Some(Err(error)), _)) => {
                tracing::error!("a snapshot cannot be read: {error}");
                None
            }
            Err(error) => {
                tracing::error!("a snapshot cannot be read: {error}");
                None
            }
        }
    }
}

/// The answers of an append stream. It is given up when requests stay unanswered.
struct Session {
    answers: Answers,
    sent: Arc<AtomicU64>,
    answered: u64,
    stall: Duration,
    _leash: Leash,
}

impl Session {
    /// IMPORTANT: what ends the session drops it, and with it the leash, before openraft sees it.
    async fn next(this: Option<Self>) -> Option<(RpcResult<StreamAppendResult<Types>>, Option<Self>)> {
        let mut this = this?;
        loop {
            let open = this.sent.load(Ordering::Relaxed) > this.answered;
            let Ok(answer) = tokio::time::timeout(this.stall, this.answers.next()).await else {
                if open {
                    drop(this);
                    let error = TransportError("a stream of entries has stalled".into());
                    return Some((Err(unreachable(&error)), None));
                }
                continue;
            };
            let result = match answer? {
                Ok(bytes) => codec::decode_stream_answer(&bytes).map_err(garbled),
                Err(error) => Err(unreachable(&error)),
            };
            this.answered += 1;
            let next = matches!(result, Ok(Ok(_))).then_some(this);
            return Some((result, next));
        }
    }
}

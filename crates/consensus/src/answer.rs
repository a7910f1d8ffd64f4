//! The incoming side: what a transport hands over from other nodes.

use std::sync::Arc;
use std::time::Instant;

use base::codec::Reader;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use openraft::raft::AppendEntriesRequest;
use openraft::storage::Snapshot;
use parking_lot::Mutex;

use crate::codec::{self, Kind};
use crate::config::{EntryBody, SnapshotMeta, Types, position};
use crate::group::{Group, GroupCore};
use crate::machine::SnapshotImage;
use crate::spool::SpoolWriter;
use crate::transport::{Answers, BoxFuture, Frames, TransportError};

fn error(what: impl ToString) -> TransportError {
    TransportError(what.to_string())
}

impl Group {
    /// Answers what a peer's [`crate::Transport::call`] sent.
    pub fn answer(&self, request: Bytes) -> BoxFuture<Result<Bytes, TransportError>> {
        let core = self.0.clone();
        Box::pin(async move { answer(&core, request).await })
    }

    /// Answers what a peer's [`crate::Transport::stream`] sends.
    pub fn answer_stream(&self, requests: Frames) -> Answers {
        let core = self.0.clone();
        Box::pin(stream::once(open(core, requests)).flatten())
    }
}

async fn answer(core: &GroupCore, request: Bytes) -> Result<Bytes, TransportError> {
    let raft = &core.raft;
    let (kind, reader) = codec::kind(&request).map_err(error)?;
    match kind {
        Kind::Append => {
            let rpc = decode_append(core, &request, reader)?;
            let answer = raft.append_entries(rpc).await.map_err(error)?;
            Ok(codec::encode_append_answer(&answer))
        }
        Kind::Vote => {
            let rpc = codec::decode_vote_request(reader).map_err(error)?;
            may_vote(core, rpc.leadership_transfer)?;
            let answer = raft.vote(rpc).await.map_err(error)?;
            Ok(codec::encode_vote_answer(&answer))
        }
        Kind::PreVote => {
            let rpc = codec::decode_vote_request(reader).map_err(error)?;
            may_vote(core, rpc.leadership_transfer)?;
            let answer = raft.pre_vote(rpc).await.map_err(error)?;
            Ok(codec::encode_vote_answer(&answer))
        }
        Kind::Transfer => {
            let rpc = codec::decode_transfer(reader).map_err(error)?;
            let answer = raft.handle_transfer_leader(rpc).await.map_err(error)?;
            Ok(codec::encode_transfer_answer(&answer))
        }
        Kind::SnapshotBegin | Kind::SnapshotChunk | Kind::SnapshotEnd => {
            Err(error("a snapshot comes as a stream"))
        }
    }
}

/// A node that has just started does not know whom it promised a lease before. openraft forgets it
/// too, so such a node keeps out of elections until any such lease has run out. A leader that hands
/// over has given up its lease itself.
fn may_vote(core: &GroupCore, transfer: bool) -> Result<(), TransportError> {
    if transfer || Instant::now() >= *core.votes_from.lock() {
        return Ok(());
    }
    Err(error("this node has just started and does not vote yet"))
}

/// Decodes entries and checks that there is room for them: openraft would take a full log for a
/// broken one.
fn decode_append(
    core: &GroupCore,
    frame: &Bytes,
    reader: Reader<'_>,
) -> Result<AppendEntriesRequest<Types>, TransportError> {
    let request = codec::decode_append(frame, reader).map_err(error)?;
    let bytes: usize = request
        .entries
        .iter()
        .map(|entry| match &entry.payload {
            EntryBody::Normal(payload) => payload.0.len(),
            _ => 0,
        })
        .sum();
    if !request.entries.is_empty() {
        core.admit(bytes).map_err(error)?;
    }
    Ok(request)
}

/// What a stream carries is seen from its first frame.
async fn open(core: Arc<GroupCore>, mut requests: Frames) -> Answers {
    let Some(first) = requests.next().await else {
        return Box::pin(stream::empty());
    };
    match codec::kind(&first).map(|(kind, _)| kind) {
        Ok(Kind::Append) => {
            append_stream(&core, Box::pin(stream::once(async move { first }).chain(requests)))
        }
        Ok(Kind::SnapshotBegin) => {
            Box::pin(stream::once(async move { receive_snapshot(&core, &first, requests).await }))
        }
        Ok(kind) => failed(error(format!("a stream cannot begin with {kind:?}"))),
        Err(e) => failed(error(e)),
    }
}

fn failed(why: TransportError) -> Answers {
    Box::pin(stream::once(async move { Err(why) }))
}

type Broken = Arc<Mutex<Option<TransportError>>>;

fn append_stream(core: &Arc<GroupCore>, requests: Frames) -> Answers {
    let broken = Broken::default();
    let input = append_requests(core.clone(), requests, broken.clone());
    let answers = {
        // openraft spawns a task that reads the input: it belongs on the group's own thread.
        let _on_runtime = core.runtime.enter();
        core.raft.stream_append(input)
    };
    let answers = answers.map(|answer| match answer {
        Ok(answer) => Ok(codec::encode_stream_answer(&answer)),
        Err(fatal) => Err(error(fatal)),
    });
    let end = stream::once(async move { broken.lock().take() }).filter_map(async |why| why.map(Err));
    Box::pin(answers.chain(end))
}

/// The requests of a stream, up to the first that cannot be taken.
fn append_requests(
    core: Arc<GroupCore>,
    requests: Frames,
    broken: Broken,
) -> impl Stream<Item = AppendEntriesRequest<Types>> + Send + 'static {
    stream::unfold((core, requests, broken), |(core, mut requests, broken)| async move {
        let frame = requests.next().await?;
        let request = match codec::kind(&frame) {
            Ok((Kind::Append, reader)) => decode_append(&core, &frame, reader),
            Ok((kind, _)) => Err(error(format!("{kind:?} in a stream of entries"))),
            Err(e) => Err(error(e)),
        };
        match request {
            Ok(request) => Some((request, (core, requests, broken))),
            Err(why) => {
                *broken.lock() = Some(why);
                None
            }
        }
    })
}

async fn receive_snapshot(
    core: &Arc<GroupCore>,
    first: &Bytes,
    requests: Frames,
) -> Result<Bytes, TransportError> {
    let (_, reader) = codec::kind(first).map_err(error)?;
    let head = codec::decode_snapshot_head(reader).map_err(error)?;
    let last_membership = codec::decode_stored_membership(&head.membership).map_err(error)?;
    let receiving = core.receiving.clone().try_lock_owned();
    let receiving = receiving.map_err(|_| error("another snapshot is being received"))?;
    let image = receive_image(core, &head, requests).await?;
    let meta = SnapshotMeta { last_log_id: Some(head.at), last_membership };
    let (raft, vote, spool) = (core.raft.clone(), head.vote, core.spool.clone());
    // Once begun, it is installed whether or not the connection lasts.
    let install = core.runtime.spawn(async move {
        let answer = raft.install_full_snapshot(vote, Snapshot { meta, snapshot: Some(image) }).await;
        if answer.is_ok() {
            spool.installed();
        }
        drop(receiving);
        answer
    });
    let answer = install.await.map_err(error)?.map_err(error)?;
    Ok(codec::encode_vote(&answer.vote))
}

/// Writes the image to the spool file, on helper threads of the group's runtime.
async fn receive_image(
    core: &Arc<GroupCore>,
    head: &codec::SnapshotHead,
    mut requests: Frames,
) -> Result<SnapshotImage, TransportError> {
    let (spool, at, membership) = (core.spool.clone(), position(&head.at), head.membership.clone());
    let begun = core.runtime.spawn_blocking(move || spool.begin(at, &membership)).await;
    let mut writer: SpoolWriter = begun.map_err(error)?.map_err(error)?;
    while let Some(frame) = requests.next().await {
        let (kind, reader) = codec::kind(&frame).map_err(error)?;
        match kind {
            Kind::SnapshotChunk => {
                let chunk = frame.slice_ref(reader.rest());
                let written =
                    core.runtime.spawn_blocking(move || writer.chunk(&chunk).map(|()| writer)).await;
                writer = written.map_err(error)?.map_err(error)?;
            }
            Kind::SnapshotEnd => {
                let chunks = codec::decode_snapshot_end(reader).map_err(error)?;
                let spool = core.spool.clone();
                let image = core.runtime.spawn_blocking(move || spool.finish(writer, chunks)).await;
                return image.map_err(error)?.map_err(error);
            }
            other => return Err(error(format!("{other:?} in a snapshot"))),
        }
    }
    Err(error("the snapshot was cut short"))
}

//! The bytes of this crate: log entries and state in the WAL, membership in the machine's store,
//! messages between nodes. Every form begins with its version, and what is unknown is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use base::codec::{DecodeError, Reader, Write};
use bytes::Bytes;
use openraft::entry::RaftEntry;
use openraft::impls::BasicNode;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::vote::leader_id_std::CommittedLeaderId;

use crate::config::{Entry, EntryBody, LogId, Membership, Payload, StoredMembership, Types, Vote};

const VERSION: u8 = 1;
/// Version, kind and term in front of an entry's payload.
pub(crate) const ENTRY_HEADER: usize = 10;

const BLANK: u8 = 0;
const EFFECTS: u8 = 1;
const MEMBERSHIP: u8 = 2;

type Result<T> = std::result::Result<T, DecodeError>;

pub(crate) fn invalid(what: &str, error: DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} cannot be read: {error}"))
}

fn version(reader: &mut Reader<'_>) -> Result<()> {
    match reader.u8()? {
        VERSION => Ok(()),
        other => Err(DecodeError::Tag(other)),
    }
}

pub(crate) fn encode_entry(entry: &Entry) -> Bytes {
    let (kind, hint) = match &entry.payload {
        EntryBody::Blank => (BLANK, 0),
        EntryBody::Normal(payload) => (EFFECTS, payload.0.len()),
        EntryBody::Membership(_) => (MEMBERSHIP, 64),
    };
    let mut out = Vec::with_capacity(ENTRY_HEADER + hint);
    out.extend_from_slice(&[VERSION, kind]);
    out.put_u64(entry.log_id.leader_id.term);
    match &entry.payload {
        EntryBody::Blank => {}
        EntryBody::Normal(payload) => out.extend_from_slice(&payload.0),
        EntryBody::Membership(membership) => put_membership(&mut out, membership),
    }
    out.into()
}

/// The payload of the entry shares the memory of `bytes`.
pub(crate) fn decode_entry(index: u64, bytes: &Bytes) -> Result<Entry> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let kind = reader.u8()?;
    let id = LogId::new(CommittedLeaderId::new(reader.u64()?), index);
    let body = match kind {
        BLANK => EntryBody::Blank,
        EFFECTS => EntryBody::Normal(Payload(bytes.slice(ENTRY_HEADER..))),
        MEMBERSHIP => EntryBody::Membership(get_membership(&mut reader)?),
        other => return Err(DecodeError::Tag(other)),
    };
    if kind != EFFECTS {
        reader.finish()?;
    }
    Ok(Entry::new(id, body))
}

/// The entry without its payload: all that recovery looks at.
pub(crate) fn decode_entry_outline(index: u64, bytes: &Bytes) -> Result<Entry> {
    let mut entry = decode_entry(index, bytes)?;
    if let EntryBody::Normal(payload) = &mut entry.payload {
        *payload = Payload(Bytes::new());
    }
    Ok(entry)
}

fn put_log_id(out: &mut Vec<u8>, id: &LogId) {
    out.put_varint(id.leader_id.term);
    out.put_varint(id.index);
}

fn get_log_id(reader: &mut Reader<'_>) -> Result<LogId> {
    let term = reader.varint()?;
    Ok(LogId::new(CommittedLeaderId::new(term), reader.varint()?))
}

fn put_option_log_id(out: &mut Vec<u8>, id: Option<&LogId>) {
    out.push(u8::from(id.is_some()));
    if let Some(id) = id {
        put_log_id(out, id);
    }
}

fn get_bool(reader: &mut Reader<'_>) -> Result<bool> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(DecodeError::Tag(other)),
    }
}

fn get_option_log_id(reader: &mut Reader<'_>) -> Result<Option<LogId>> {
    get_bool(reader)?.then(|| get_log_id(reader)).transpose()
}

fn put_vote(out: &mut Vec<u8>, vote: &Vote) {
    out.put_varint(vote.leader_id.term);
    out.put_varint(vote.leader_id.voted_for);
    out.push(u8::from(vote.committed));
}

fn get_vote(reader: &mut Reader<'_>) -> Result<Vote> {
    let term = reader.varint()?;
    let node = reader.varint()?;
    Ok(if get_bool(reader)? { Vote::new_committed(term, node) } else { Vote::new(term, node) })
}

fn put_membership(out: &mut Vec<u8>, membership: &Membership) {
    let configs = membership.get_joint_config();
    out.put_varint(configs.len() as u64);
    for config in configs {
        out.put_varint(config.len() as u64);
        for &id in config {
            out.put_varint(id);
        }
    }
    out.put_varint(membership.nodes().count() as u64);
    for (&id, node) in membership.nodes() {
        out.put_varint(id);
        out.put_bytes(node.addr.as_bytes());
    }
}

fn get_membership(reader: &mut Reader<'_>) -> Result<Membership> {
    let mut configs = Vec::new();
    for _ in 0..reader.varint()? {
        let mut config = BTreeSet::new();
        for _ in 0..reader.varint()? {
            config.insert(reader.varint()?);
        }
        configs.push(config);
    }
    let mut nodes = BTreeMap::new();
    for _ in 0..reader.varint()? {
        let id = reader.varint()?;
        let addr = String::from_utf8(reader.bytes()?.to_vec()).map_err(|_| DecodeError::Overflow)?;
        nodes.insert(id, BasicNode { addr });
    }
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|_| DecodeError::Overflow)
}

pub(crate) fn encode_stored_membership(stored: &StoredMembership) -> Bytes {
    let mut out = vec![VERSION];
    put_option_log_id(&mut out, stored.log_id().as_ref());
    put_membership(&mut out, stored.membership());
    out.into()
}

pub(crate) fn decode_stored_membership(bytes: &[u8]) -> Result<StoredMembership> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let id = get_option_log_id(&mut reader)?;
    let membership = get_membership(&mut reader)?;
    reader.finish()?;
    Ok(StoredMembership::new(id, membership))
}

/// What a group keeps in the WAL beside its entries.
pub(crate) fn encode_state(vote: &Vote) -> Bytes {
    let mut out = vec![VERSION];
    put_vote(&mut out, vote);
    out.into()
}

pub(crate) fn decode_state(bytes: &[u8]) -> Result<Vote> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let vote = get_vote(&mut reader)?;
    reader.finish()?;
    Ok(vote)
}

/// The position up to which a group's log was purged.
pub(crate) fn encode_purged(id: &LogId) -> Bytes {
    let mut out = vec![VERSION];
    put_log_id(&mut out, id);
    out.into()
}

pub(crate) fn decode_purged(bytes: &[u8]) -> Result<LogId> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let id = get_log_id(&mut reader)?;
    reader.finish()?;
    Ok(id)
}

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Append = 1,
    Vote = 2,
    PreVote = 3,
    Transfer = 4,
    SnapshotBegin = 5,
    SnapshotChunk = 6,
    SnapshotEnd = 7,
}

fn message(kind: Kind, capacity: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity + 2);
    out.extend_from_slice(&[VERSION, kind as u8]);
    out
}

/// The kind of a message, and where its content begins.
pub(crate) fn kind(bytes: &[u8]) -> Result<(Kind, Reader<'_>)> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let kind = match reader.u8()? {
        1 => Kind::Append,
        2 => Kind::Vote,
        3 => Kind::PreVote,
        4 => Kind::Transfer,
        5 => Kind::SnapshotBegin,
        6 => Kind::SnapshotChunk,
        7 => Kind::SnapshotEnd,
        other => return Err(DecodeError::Tag(other)),
    };
    Ok((kind, reader))
}

pub(crate) fn encode_append(request: &AppendEntriesRequest<Types>) -> Bytes {
    let bodies: Vec<Bytes> = request.entries.iter().map(encode_entry).collect();
    let mut out = message(Kind::Append, 64 + bodies.iter().map(|b| b.len() + 8).sum::<usize>());
    put_vote(&mut out, &request.vote);
    put_option_log_id(&mut out, request.prev_log_id.as_ref());
    put_option_log_id(&mut out, request.leader_commit.as_ref());
    out.put_varint(request.entries.first().map_or(0, RaftEntry::index));
    out.put_varint(bodies.len() as u64);
    for body in &bodies {
        out.put_bytes(body);
    }
    out.into()
}

/// The entries of the request share the memory of `frame`, of which `reader` is the content.
pub(crate) fn decode_append(frame: &Bytes, mut reader: Reader<'_>) -> Result<AppendEntriesRequest<Types>> {
    let vote = get_vote(&mut reader)?;
    let prev_log_id = get_option_log_id(&mut reader)?;
    let leader_commit = get_option_log_id(&mut reader)?;
    let first = reader.varint()?;
    let mut entries = Vec::new();
    for n in 0..reader.varint()? {
        let body = frame.slice_ref(reader.bytes()?);
        entries.push(decode_entry(first.checked_add(n).ok_or(DecodeError::Overflow)?, &body)?);
    }
    reader.finish()?;
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
}

pub(crate) fn encode_append_answer(answer: &AppendEntriesResponse<Types>) -> Bytes {
    let mut out = vec![VERSION];
    match answer {
        AppendEntriesResponse::Success => out.push(0),
        AppendEntriesResponse::PartialSuccess(id) => {
            out.push(1);
            put_option_log_id(&mut out, id.as_ref());
        }
        AppendEntriesResponse::Conflict => out.push(2),
        AppendEntriesResponse::HigherVote(vote) => {
            out.push(3);
            put_vote(&mut out, vote);
        }
    }
    out.into()
}

pub(crate) fn decode_append_answer(bytes: &[u8]) -> Result<AppendEntriesResponse<Types>> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let answer = match reader.u8()? {
        0 => AppendEntriesResponse::Success,
        1 => AppendEntriesResponse::PartialSuccess(get_option_log_id(&mut reader)?),
        2 => AppendEntriesResponse::Conflict,
        3 => AppendEntriesResponse::HigherVote(get_vote(&mut reader)?),
        other => return Err(DecodeError::Tag(other)),
    };
    reader.finish()?;
    Ok(answer)
}

pub(crate) fn encode_stream_answer(answer: &StreamAppendResult<Types>) -> Bytes {
    let mut out = vec![VERSION];
    match answer {
        Ok(matching) => {
            out.push(0);
            put_option_log_id(&mut out, matching.as_ref());
        }
        Err(StreamAppendError::Conflict(id)) => {
            out.push(1);
            put_log_id(&mut out, id);
        }
        Err(StreamAppendError::HigherVote(vote)) => {
            out.push(2);
            put_vote(&mut out, vote);
        }
    }
    out.into()
}

pub(crate) fn decode_stream_answer(bytes: &[u8]) -> Result<StreamAppendResult<Types>> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let answer = match reader.u8()? {
        0 => Ok(get_option_log_id(&mut reader)?),
        1 => Err(StreamAppendError::Conflict(get_log_id(&mut reader)?)),
        2 => Err(StreamAppendError::HigherVote(get_vote(&mut reader)?)),
        other => return Err(DecodeError::Tag(other)),
    };
    reader.finish()?;
    Ok(answer)
}

pub(crate) fn encode_vote_request(request: &VoteRequest<Types>, pre: bool) -> Bytes {
    let mut out = message(if pre { Kind::PreVote } else { Kind::Vote }, 32);
    put_vote(&mut out, &request.vote);
    put_option_log_id(&mut out, request.last_log_id.as_ref());
    out.push(u8::from(request.leadership_transfer));
    out.into()
}

pub(crate) fn decode_vote_request(mut reader: Reader<'_>) -> Result<VoteRequest<Types>> {
    let mut request = VoteRequest::new(get_vote(&mut reader)?, get_option_log_id(&mut reader)?);
    request.leadership_transfer = get_bool(&mut reader)?;
    reader.finish()?;
    Ok(request)
}

pub(crate) fn encode_vote_answer(answer: &VoteResponse<Types>) -> Bytes {
    let mut out = vec![VERSION];
    put_vote(&mut out, &answer.vote);
    put_option_log_id(&mut out, answer.last_log_id.as_ref());
    out.push(u8::from(answer.vote_granted));
    out.into()
}

pub(crate) fn decode_vote_answer(bytes: &[u8]) -> Result<VoteResponse<Types>> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let vote = get_vote(&mut reader)?;
    let last = get_option_log_id(&mut reader)?;
    let granted = get_bool(&mut reader)?;
    reader.finish()?;
    Ok(VoteResponse::new(vote, last, granted))
}

pub(crate) fn encode_transfer(request: &TransferLeaderRequest<Types>) -> Bytes {
    let mut out = message(Kind::Transfer, 32);
    put_vote(&mut out, request.from_leader());
    out.put_varint(*request.to_node_id());
    put_option_log_id(&mut out, request.last_log_id());
    out.into()
}

pub(crate) fn decode_transfer(mut reader: Reader<'_>) -> Result<TransferLeaderRequest<Types>> {
    let from = get_vote(&mut reader)?;
    let to = reader.varint()?;
    let last = get_option_log_id(&mut reader)?;
    reader.finish()?;
    Ok(TransferLeaderRequest::new(from, to, last))
}

pub(crate) fn encode_transfer_answer(answer: &TransferLeaderResponse<Types>) -> Bytes {
    let mut out = vec![VERSION];
    match answer {
        Ok(()) => out.push(0),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            out.push(1);
            put_vote(&mut out, expected);
            put_vote(&mut out, actual);
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            out.push(2);
            put_option_log_id(&mut out, expected.as_ref());
            put_option_log_id(&mut out, actual.as_ref());
        }
    }
    out.into()
}

pub(crate) fn decode_transfer_answer(bytes: &[u8]) -> Result<TransferLeaderResponse<Types>> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let answer = match reader.u8()? {
        0 => Ok(()),
        1 => Err(TransferLeaderError::VoteChanged {
            expected: get_vote(&mut reader)?,
            actual: get_vote(&mut reader)?,
        }),
        2 => Err(TransferLeaderError::LogNotFlushed {
            expected: get_option_log_id(&mut reader)?,
            actual: get_option_log_id(&mut reader)?,
        }),
        other => return Err(DecodeError::Tag(other)),
    };
    reader.finish()?;
    Ok(answer)
}

/// How a snapshot stream begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHead {
    pub(crate) vote: Vote,
    pub(crate) at: LogId,
    pub(crate) membership: Bytes,
}

pub(crate) fn encode_snapshot_head(head: &SnapshotHead) -> Bytes {
    let mut out = message(Kind::SnapshotBegin, 64 + head.membership.len());
    put_vote(&mut out, &head.vote);
    put_log_id(&mut out, &head.at);
    out.put_bytes(&head.membership);
    out.into()
}

pub(crate) fn decode_snapshot_head(mut reader: Reader<'_>) -> Result<SnapshotHead> {
    let vote = get_vote(&mut reader)?;
    let at = get_log_id(&mut reader)?;
    let membership = Bytes::copy_from_slice(reader.bytes()?);
    reader.finish()?;
    Ok(SnapshotHead { vote, at, membership })
}

pub(crate) fn encode_snapshot_chunk(chunk: &[u8]) -> Bytes {
    let mut out = message(Kind::SnapshotChunk, chunk.len());
    out.extend_from_slice(chunk);
    out.into()
}

/// The end of a snapshot stream says how many chunks there were, so that one cut short is seen.
pub(crate) fn encode_snapshot_end(chunks: u64) -> Bytes {
    let mut out = message(Kind::SnapshotEnd, 8);
    out.put_varint(chunks);
    out.into()
}

pub(crate) fn decode_snapshot_end(mut reader: Reader<'_>) -> Result<u64> {
    let chunks = reader.varint()?;
    reader.finish()?;
    Ok(chunks)
}

pub(crate) fn encode_vote(vote: &Vote) -> Bytes {
    encode_state(vote)
}

pub(crate) fn decode_vote(bytes: &[u8]) -> Result<Vote> {
    decode_state(bytes)
}

#[cfg(test)]
#[path = "tests/codec.rs"]
mod tests;

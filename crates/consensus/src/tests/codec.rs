//! Every form is read back as it was written, and nothing else is read at all.

use std::fmt::Debug;

use super::*;
use crate::machine::Position;

fn id(term: u64, index: u64) -> LogId {
    crate::config::log_id(Position { term, index })
}

fn membership() -> Membership {
    let nodes: BTreeMap<u64, BasicNode> =
        (1..=4).map(|id| (id, BasicNode { addr: format!("node-{id}:7000") })).collect();
    Membership::new(vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 2])], nodes).unwrap()
}

fn entries() -> Vec<Entry> {
    vec![
        Entry::new(id(7, 41), EntryBody::Blank),
        Entry::new(id(7, 42), EntryBody::Normal(Payload(Bytes::from_static(b"payload")))),
        Entry::new(id(7, 43), EntryBody::Normal(Payload(Bytes::new()))),
        Entry::new(id(8, 44), EntryBody::Membership(membership())),
    ]
}

/// Checks that the bytes mean the value, and that no prefix of them means anything.
fn check<T: PartialEq + Debug>(value: &T, bytes: &Bytes, decode: impl Fn(&Bytes) -> Result<T>) {
    assert_eq!(decode(bytes).as_ref(), Ok(value));
    for len in 0..bytes.len() {
        let cut = decode(&bytes.slice(..len));
        assert!(cut.is_err() || cut.as_ref() != Ok(value), "{value:?} cut at {len}");
    }
    let mut other = bytes.to_vec();
    other[0] = 9;
    assert_eq!(decode(&other.into()), Err(DecodeError::Tag(9)), "an unknown version");
}

#[test]
fn entries_are_read_back() {
    for entry in entries() {
        let index = entry.index();
        check(&entry, &encode_entry(&entry), |bytes| decode_entry(index, bytes));
    }
}

/// The bytes in logs and stores of this version. Whoever changes one of these strings changes a format:
/// that takes a new `VERSION`, and code that reads the old one or refuses it.
#[test]
fn the_formats_stay_as_they_are() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let nodes = "04 01 0b 6e6f64652d313a37303030 02 0b 6e6f64652d323a37303030 \
                 03 0b 6e6f64652d333a37303030 04 0b 6e6f64652d343a37303030";
    let membership_hex = format!("02 03 01 02 03 02 01 02 {nodes}");
    let entries: Vec<_> = entries().iter().map(encode_entry).collect();
    let stored = StoredMembership::new(Some(id(7, 300)), membership());
    for (bytes, pinned) in [
        (&entries[0], "01 00 0000000000000007"),
        (&entries[1], "01 01 0000000000000007 7061796c6f6164"),
        (&entries[3], &format!("01 02 0000000000000008 {membership_hex}")),
        (&encode_stored_membership(&stored), &format!("01 01 07 ac02 {membership_hex}")),
        (&encode_state(&Vote::new_committed(7, 300)), "01 07 ac02 01"),
        (&encode_purged(&id(7, 300)), "01 07 ac02"),
    ] {
        assert_eq!(hex(bytes), pinned.replace(' ', ""));
    }
}

#[test]
fn an_outline_has_no_payload() {
    for entry in entries() {
        let outline = decode_entry_outline(entry.index(), &encode_entry(&entry)).unwrap();
        assert_eq!(outline.log_id, entry.log_id);
        match &entry.payload {
            EntryBody::Normal(_) => assert_eq!(outline.payload, EntryBody::Normal(Payload(Bytes::new()))),
            other => assert_eq!(&outline.payload, other),
        }
    }
}

#[test]
fn state_is_read_back() {
    for vote in [Vote::new(3, 9), Vote::new_committed(u64::MAX, 0)] {
        check(&vote, &encode_state(&vote), |bytes| decode_state(bytes));
    }
    check(&id(3, 500), &encode_purged(&id(3, 500)), |bytes| decode_purged(bytes));
    for stored in [StoredMembership::default(), StoredMembership::new(Some(id(2, 3)), membership())] {
        check(&stored, &encode_stored_membership(&stored), |bytes| decode_stored_membership(bytes));
    }
}

fn content<T>(bytes: &Bytes, expected: Kind, decode: impl Fn(Reader<'_>) -> Result<T>) -> Result<T> {
    let (kind, reader) = kind(bytes)?;
    match kind == expected {
        true => decode(reader),
        false => Err(DecodeError::Tag(kind as u8)),
    }
}

#[test]
fn requests_are_read_back() {
    let append = AppendEntriesRequest {
        vote: Vote::new_committed(8, 2),
        prev_log_id: Some(id(6, 40)),
        entries: entries(),
        leader_commit: Some(id(6, 39)),
    };
    let bytes = encode_append(&append);
    let (_, reader) = kind(&bytes).unwrap();
    let read = decode_append(&bytes, reader).unwrap();
    assert_eq!(format!("{append:?}"), format!("{read:?}"));
    assert_eq!(append.entries, read.entries);

    let mut vote = VoteRequest::new(Vote::new(9, 1), Some(id(8, 44)));
    for transfer in [false, true] {
        vote.leadership_transfer = transfer;
        check(&vote, &encode_vote_request(&vote, false), |b| content(b, Kind::Vote, decode_vote_request));
        check(&vote, &encode_vote_request(&vote, true), |b| content(b, Kind::PreVote, decode_vote_request));
    }
    let transfer = TransferLeaderRequest::new(Vote::new_committed(8, 2), 3, Some(id(8, 44)));
    check(&transfer, &encode_transfer(&transfer), |b| content(b, Kind::Transfer, decode_transfer));
    let head =
        SnapshotHead { vote: Vote::new_committed(8, 2), at: id(7, 9), membership: Bytes::from_static(b"m") };
    let decode = |b: &Bytes| content(b, Kind::SnapshotBegin, decode_snapshot_head);
    check(&head, &encode_snapshot_head(&head), decode);
    check(&300, &encode_snapshot_end(300), |b| content(b, Kind::SnapshotEnd, decode_snapshot_end));
    let chunk = encode_snapshot_chunk(b"chunk");
    assert_eq!(content(&chunk, Kind::SnapshotChunk, |reader| Ok(reader.rest().to_vec())).unwrap(), b"chunk");
}

#[test]
fn answers_are_read_back() {
    let appends = [
        AppendEntriesResponse::Success,
        AppendEntriesResponse::PartialSuccess(None),
        AppendEntriesResponse::PartialSuccess(Some(id(1, 2))),
        AppendEntriesResponse::Conflict,
        AppendEntriesResponse::HigherVote(Vote::new(4, 5)),
    ];
    for answer in appends {
        check(&answer, &encode_append_answer(&answer), |bytes| decode_append_answer(bytes));
    }
    let streams = [
        Ok(None),
        Ok(Some(id(1, 2))),
        Err(StreamAppendError::Conflict(id(1, 2))),
        Err(StreamAppendError::HigherVote(Vote::new(4, 5))),
    ];
    for answer in streams {
        check(&answer, &encode_stream_answer(&answer), |bytes| decode_stream_answer(bytes));
    }
    for answer in [
        VoteResponse::new(Vote::new(4, 5), None, true),
        VoteResponse::new(Vote::new(4, 5), Some(id(3, 3)), false),
    ] {
        check(&answer, &encode_vote_answer(&answer), |bytes| decode_vote_answer(bytes));
    }
    let transfers = [
        Ok(()),
        Err(TransferLeaderError::VoteChanged {
            expected: Vote::new(1, 2),
            actual: Vote::new_committed(3, 4),
        }),
        Err(TransferLeaderError::LogNotFlushed { expected: Some(id(1, 2)), actual: None }),
    ];
    for answer in transfers {
        check(&answer, &encode_transfer_answer(&answer), |bytes| decode_transfer_answer(bytes));
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    let mut rng = wal::testing::Rng::new(1);
    for _ in 0..20_000 {
        let len = rng.below(60) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| (rng.next_u64() >> rng.below(64)) as u8).collect();
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        let bytes = Bytes::from(bytes);
        let _ = decode_entry(1, &bytes);
        let _ = decode_stored_membership(&bytes);
        let _ = decode_state(&bytes);
        let _ = decode_append_answer(&bytes);
        let _ = decode_stream_answer(&bytes);
        let _ = decode_vote_answer(&bytes);
        let _ = decode_transfer_answer(&bytes);
        if let Ok((_, reader)) = kind(&bytes) {
            let _ = decode_append(&bytes, reader);
            let _ = decode_vote_request(reader);
            let _ = decode_transfer(reader);
            let _ = decode_snapshot_head(reader);
        }
    }
}

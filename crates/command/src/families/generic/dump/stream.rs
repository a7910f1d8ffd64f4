//! Streams in DUMP and RESTORE.

use rdb::encode::StreamWriter;
use rdb::{Consumer, Group, Pending, StreamHead, StreamId};
use store::{ConsumerGroup, Flow, Stream, StreamBuilder};

use super::{COMPRESSION, Room, TOO_LARGE};
use crate::error::Error;
use crate::families::{Result, Txn};
use base::limits;

/// What an entry, a group, a consumer or something pending takes in a payload beside its texts, about.
const ELEMENT_BYTES: usize = 48;

pub(super) fn dump(txn: &mut Txn<'_>, key: &[u8]) -> Result<Vec<u8>> {
    let (mut writer, mut room) = (StreamWriter::new(COMPRESSION), Room(0));
    let Some(mut stream) = txn.stream(key)? else { return Err(Error::WRONG_TYPE) };
    stream.walk(store::StreamId::ZERO, store::StreamId::MAX, &mut |entry| -> Result<Flow> {
        let texts: Vec<&[u8]> = entry.texts().collect();
        let (fields, _) = texts.as_chunks::<2>();
        let fields: Vec<(&[u8], &[u8])> = fields.iter().map(|[field, value]| (*field, *value)).collect();
        writer.entry(rdb_id(entry.id), &fields).map_err(|_| TOO_LARGE)?;
        room.take(texts.iter().map(|text| text.len()).sum())
    })?;
    let head = *stream.head();
    let groups = stream.groups()?;
    let head = StreamHead {
        last_id: rdb_id(head.last),
        max_deleted_id: rdb_id(head.max_deleted),
        entries_added: head.added,
    };
    let mut writer = writer.head(&head, groups.len() as u64).map_err(|_| TOO_LARGE)?;
    for (name, group) in groups {
        writer.group(&dumped(&mut stream, name, &group, &mut room)?);
    }
    Ok(writer.finish())
}

/// All of a group.
fn dumped(
    stream: &mut Stream<'_, '_>,
    name: Vec<u8>,
    group: &ConsumerGroup,
    room: &mut Room,
) -> Result<Group> {
    room.take(name.len() + ELEMENT_BYTES)?;
    let named = stream.consumers(group)?;
    let mut consumers = Vec::with_capacity(named.len());
    for (name, consumer) in &named {
        room.take(name.len() + ELEMENT_BYTES)?;
        consumers.push(Consumer {
            name: name.clone(),
            seen_ms: signed(consumer.seen_ms),
            active_ms: consumer.active_ms.map(signed),
            pending: Vec::new(),
        });
    }
    stream.walk_owned(group, &named, &mut |place, id, pending| -> Result<Flow> {
        if let Some(consumer) = consumers.get_mut(place) {
            let (delivered_ms, deliveries) = (signed(pending.told_ms), pending.times);
            consumer.pending.push(Pending { id: rdb_id(id), delivered_ms, deliveries });
        }
        room.take(ELEMENT_BYTES)
    })?;
    Ok(Group { name, last_id: rdb_id(group.last), entries_read: group.read, consumers })
}

/// Sets a key to a stream.
pub(super) fn put(txn: &mut Txn<'_>, key: &[u8], stream: rdb::Stream, expiry_ms: Option<u64>) -> Result<()> {
    let (records, bytes) = size(&stream);
    if bytes > limits::DUMP_BYTES_MAX {
        return Err(TOO_LARGE);
    }
    let mut builder = StreamBuilder::new(txn, key, records, bytes)?;
    for entry in stream.entries {
        builder.append(txn, store_id(entry.id), entry.fields.texts())?;
    }
    for group in stream.groups {
        put_group(txn, &mut builder, group)?;
    }
    let head = stream.head;
    let counted = (store_id(head.last_id), head.entries_added, store_id(head.max_deleted_id));
    Ok(builder.store(txn, key, counted, expiry_ms)?)
}

fn put_group(txn: &mut Txn<'_>, builder: &mut StreamBuilder, from: Group) -> Result<()> {
    let mut group = builder.begin_group(store_id(from.last_id), from.entries_read);
    for Consumer { name, seen_ms, active_ms, pending } in from.consumers {
        let mut consumer = group.begin_consumer(unsigned(seen_ms), active_ms.map(unsigned));
        for Pending { id, delivered_ms, deliveries } in pending {
            let told = (unsigned(delivered_ms), deliveries);
            builder.put_pending(txn, &mut group, (&name, &mut consumer), store_id(id), told)?;
        }
        builder.put_consumer(txn, &group, &name, consumer)?;
    }
    Ok(builder.put_group(txn, &from.name, group)?)
}

/// How many records a stream becomes, and of how many bytes. What is pending has its consumer's name.
fn size(stream: &rdb::Stream) -> (usize, usize) {
    let mut all = (0usize, 0usize);
    let mut count = |bytes: usize| all = (all.0 + 1, all.1.saturating_add(bytes));
    stream.entries.iter().for_each(|entry| count(entry.fields.bytes()));
    for group in &stream.groups {
        count(group.name.len());
        for consumer in &group.consumers {
            count(consumer.name.len());
            for _ in &consumer.pending {
                count(0);
                count(consumer.name.len());
            }
        }
    }
    all
}

fn rdb_id(id: store::StreamId) -> StreamId {
    StreamId { ms: id.ms, seq: id.seq }
}

fn store_id(id: StreamId) -> store::StreamId {
    store::StreamId::new(id.ms, id.seq)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// A time before there were any is the earliest.
fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

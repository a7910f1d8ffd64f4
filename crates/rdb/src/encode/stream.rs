//! Streams: entries in listpacks of the size that Redis gives them, then what the stream remembers,
//! then its groups. The layout is drawn in `decode/stream.rs`.
//!
//! They are written as Redis 7.0 writes them, which newer servers take as well: it differs from what Redis 7.2
//! writes in that nothing is told of when a consumer last got something. Who reads it takes that to be when the
//! consumer was last seen.

use super::Compression;
use super::output::Output;
use crate::object::{Group, Pending, StreamHead, StreamId};
use crate::{Error, kind, listpack};

/// Redis' `stream-node-max-bytes` and `stream-node-max-entries`.
const NODE_BYTES_MAX: usize = 4096;
const NODE_ENTRIES_MAX: i64 = 100;

const FLAG_NONE: i64 = 0;
const FLAG_SAME_FIELDS: i64 = 2;
/// Says that it cannot be told.
const UNKNOWN: u64 = u64::MAX;

/// Writes a stream: first its entries, in ascending order; what follows them writes [`GroupWriter`].
#[derive(Debug)]
pub struct StreamWriter {
    output: Output,
    node: Option<Node>,
    nodes: u64,
    len: u64,
    first_id: StreamId,
}

/// Entries of one listpack.
#[derive(Debug)]
struct Node {
    base: StreamId,
    fields: Vec<Vec<u8>>,
    entries: listpack::Writer,
    count: i64,
}

impl StreamWriter {
    pub fn new(compression: Compression) -> Self {
        let output = Output::new(kind::STREAM_LISTPACKS_2, compression);
        Self { output, node: None, nodes: 0, len: 0, first_id: StreamId::default() }
    }

    /// Appends an entry, which has at least one field. [`Error::Limit`] if the entry before was too
    /// large.
    pub fn entry(&mut self, id: StreamId, fields: &[(&[u8], &[u8])]) -> Result<(), Error> {
        let len = fields.iter().map(|(field, value)| field.len() + value.len()).sum::<usize>();
        let is_full =
            |node: &Node| node.count >= NODE_ENTRIES_MAX || node.entries.len() + len > NODE_BYTES_MAX;
        if self.node.as_ref().is_some_and(is_full) {
            self.close_node()?;
        }
        if self.len == 0 {
            self.first_id = id;
        }
        self.len += 1;
        self.node.get_or_insert_with(|| Node::new(id, fields)).push(id, fields);
        Ok(())
    }

    fn close_node(&mut self) -> Result<(), Error> {
        if let Some(node) = self.node.take() {
            self.output.string(&raw_id(node.base));
            self.output.string(&node.finish()?);
            self.nodes += 1;
        }
        Ok(())
    }

    /// What the stream remembers; then come so many groups. [`Error::Limit`] if an entry is too large.
    pub fn head(mut self, head: &StreamHead, groups: u64) -> Result<GroupWriter, Error> {
        self.close_node()?;
        let mut output = self.output;
        output.put_count_first(self.nodes);
        output.length(self.len);
        for id in [head.last_id, self.first_id, head.max_deleted_id] {
            put_id(&mut output, id);
        }
        output.length(head.entries_added);
        output.length(groups);
        Ok(GroupWriter(output))
    }
}

/// Writes the groups of a stream.
#[derive(Debug)]
pub struct GroupWriter(Output);

impl GroupWriter {
    pub fn group(&mut self, group: &Group) {
        let output = &mut self.0;
        output.string(&group.name);
        put_id(output, group.last_id);
        output.length(group.entries_read.unwrap_or(UNKNOWN));
        let mut pending: Vec<&Pending> =
            group.consumers.iter().flat_map(|consumer| &consumer.pending).collect();
        pending.sort_unstable_by_key(|pending| pending.id);
        output.length(pending.len() as u64);
        for Pending { id, delivered_ms, deliveries } in pending {
            output.raw(&raw_id(*id));
            output.time_ms(*delivered_ms);
            output.length(*deliveries);
        }
        output.length(group.consumers.len() as u64);
        for consumer in &group.consumers {
            output.string(&consumer.name);
            output.time_ms(consumer.seen_ms);
            output.length(consumer.pending.len() as u64);
            for pending in &consumer.pending {
                output.raw(&raw_id(pending.id));
            }
        }
    }

    pub fn finish(self) -> Vec<u8> {
        self.0.finish()
    }
}

fn put_id(output: &mut Output, id: StreamId) {
    output.length(id.ms);
    output.length(id.seq);
}

impl Node {
    fn new(base: StreamId, fields: &[(&[u8], &[u8])]) -> Self {
        let fields = fields.iter().map(|(field, _)| field.to_vec()).collect();
        Self { base, fields, entries: listpack::Writer::new(), count: 0 }
    }

    fn push(&mut self, id: StreamId, fields: &[(&[u8], &[u8])]) {
        let has_same_fields =
            self.fields.iter().map(Vec::as_slice).eq(fields.iter().map(|(field, _)| *field));
        let fields_len = fields.len() as i64;
        let entries = &mut self.entries;
        entries.push_integer(if has_same_fields { FLAG_SAME_FIELDS } else { FLAG_NONE });
        // The differences are those of unsigned numbers, and may wrap.
        entries.push_integer(id.ms.wrapping_sub(self.base.ms) as i64);
        entries.push_integer(id.seq.wrapping_sub(self.base.seq) as i64);
        if !has_same_fields {
            entries.push_integer(fields_len);
        }
        for (field, value) in fields {
            if !has_same_fields {
                entries.push(field);
            }
            entries.push(value);
        }
        entries.push_integer(if has_same_fields { fields_len + 3 } else { 2 * fields_len + 4 });
        self.count += 1;
    }

    fn finish(self) -> Result<Vec<u8>, Error> {
        let mut listpack = listpack::Writer::new();
        listpack.push_integer(self.count);
        // None is deleted.
        listpack.push_integer(0);
        listpack.push_integer(self.fields.len() as i64);
        self.fields.iter().for_each(|field| listpack.push(field));
        listpack.push_integer(0);
        listpack.append(&self.entries);
        listpack.finish()
    }
}

fn raw_id(id: StreamId) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

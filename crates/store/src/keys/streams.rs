//! Where the records of a stream are, under its collection id: its entries by their ids, its groups and
//! their consumers by their names, and what is pending, once by the entry and once by the consumer.

use base::codec::{DecodeError, Reader, Write, prefix_end};

use super::{ELEMENT, Home};
use crate::collection::stream::StreamId;

/// What stands behind the collection id.
const ENTRY: u8 = b'e';
const GROUP: u8 = b'g';
const CONSUMER: u8 = b'n';
const PENDING: u8 = b'p';
const OF_CONSUMER: u8 = b'q';

/// Where the entries of a stream are. Ids that were given to entries may be given again only in another
/// generation: what is left of a former one is still on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entries {
    pub home: Home,
    pub generation: u32,
}

fn under(home: Home, kind: u8, out: &mut Vec<u8>) {
    home.under(ELEMENT, out);
    out.push(kind);
}

impl Entries {
    pub fn record(self, out: &mut Vec<u8>, id: StreamId) {
        under(self.home, ENTRY, out);
        out.put_u32(self.generation);
        id.write(out);
    }

    /// Records of entries from an id on, up to and with another one.
    pub fn range(self, from: StreamId, to: StreamId) -> (Vec<u8>, Vec<u8>) {
        let (mut start, mut end) = (Vec::new(), Vec::new());
        self.record(&mut start, from);
        self.record(&mut end, to);
        end.push(0);
        (start, end)
    }

    /// The last id whose record lies below a key: that of a record, or one right behind it.
    pub fn last_below(self, key: &[u8]) -> Option<StreamId> {
        let mut record = Vec::new();
        self.record(&mut record, StreamId::ZERO);
        let id = id_at_end(key.get(..record.len())?)?;
        if key.len() > record.len() { Some(id) } else { id.previous() }
    }

    pub fn write(self, out: &mut Vec<u8>) {
        self.home.write(out);
        out.put_u32(self.generation);
    }

    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { home: Home::read(reader)?, generation: reader.u32()? })
    }
}

/// The id that ends the key of an entry's record, or of what is pending.
pub fn id_at_end(record_key: &[u8]) -> Option<StreamId> {
    let at = record_key.len().checked_sub(StreamId::BYTES)?;
    StreamId::read(&mut Reader::new(record_key.get(at..)?)).ok()
}

/// A group of a stream, by its number: what belongs to it is not found under its name, which another group
/// may have once it is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupHome {
    pub home: Home,
    pub number: u64,
}

pub fn group_record(out: &mut Vec<u8>, home: Home, name: &[u8]) {
    under(home, GROUP, out);
    out.extend_from_slice(name);
}

/// All groups of a stream.
pub fn groups(home: Home) -> (Vec<u8>, Vec<u8>) {
    let mut prefix = Vec::new();
    under(home, GROUP, &mut prefix);
    let end = prefix_end(&prefix).unwrap_or_default();
    (prefix, end)
}

/// The name that ends the key of a group's or consumer's record.
pub fn name_of<'k>(record_key: &'k [u8], prefix: &[u8]) -> &'k [u8] {
    record_key.get(prefix.len()..).unwrap_or_default()
}

impl GroupHome {
    fn under(self, kind: u8, out: &mut Vec<u8>) {
        under(self.home, kind, out);
        out.put_u64(self.number);
    }

    fn prefix(self, kind: u8) -> (Vec<u8>, Vec<u8>) {
        let mut prefix = Vec::new();
        self.under(kind, &mut prefix);
        let end = prefix_end(&prefix).unwrap_or_default();
        (prefix, end)
    }

    pub fn consumer_record(self, out: &mut Vec<u8>, name: &[u8]) {
        self.under(CONSUMER, out);
        out.extend_from_slice(name);
    }

    pub fn consumers(self) -> (Vec<u8>, Vec<u8>) {
        self.prefix(CONSUMER)
    }

    pub fn pending_record(self, out: &mut Vec<u8>, id: StreamId) {
        self.under(PENDING, out);
        id.write(out);
    }

    /// What is pending from an id on, up to and with another one.
    pub fn pending(self, from: StreamId, to: StreamId) -> (Vec<u8>, Vec<u8>) {
        let (mut start, mut end) = (Vec::new(), Vec::new());
        self.pending_record(&mut start, from);
        self.pending_record(&mut end, to);
        end.push(0);
        (start, end)
    }

    pub fn pending_of_record(self, out: &mut Vec<u8>, consumer: u64, id: StreamId) {
        self.under(OF_CONSUMER, out);
        out.put_u64(consumer);
        id.write(out);
    }

    /// What is pending of a consumer, in the same way.
    pub fn pending_of(self, consumer: u64, from: StreamId, to: StreamId) -> (Vec<u8>, Vec<u8>) {
        let (mut start, mut end) = (Vec::new(), Vec::new());
        self.pending_of_record(&mut start, consumer, from);
        self.pending_of_record(&mut end, consumer, to);
        end.push(0);
        (start, end)
    }

    /// All that belongs to the group beside its own record.
    pub fn all(self) -> [(Vec<u8>, Vec<u8>); 3] {
        [CONSUMER, PENDING, OF_CONSUMER].map(|kind| self.prefix(kind))
    }

    pub fn write(self, out: &mut Vec<u8>) {
        self.home.write(out);
        out.put_u64(self.number);
    }

    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { home: Home::read(reader)?, number: reader.u64()? })
    }
}

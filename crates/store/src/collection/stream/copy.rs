//! Copying a stream: aside, for it may have any number of entries.

use super::{ConsumerGroup, Head, StreamId};
use crate::aside::Aside;
use crate::disk::DiskError;
use crate::keys::{self, Entries};
use crate::range::{Flow, visit};
use crate::record::{Encoding, Record};
use crate::txn::{Stop, Txn};

impl Txn<'_> {
    /// Copies the records of a stream to one for another key: what is on its way out is not among them.
    pub(crate) fn copy_stream(&mut self, to: &[u8], record: &Record) -> Result<Record, Stop> {
        let corrupt = |why| Stop::Disk(DiskError::corrupt(record.value(), why));
        let head = Head::decode(record.payload()).map_err(corrupt)?;
        let mut aside = Aside::begin(self, base::slot::of(to))?;
        let mut ranges = Vec::new();
        if head.len > 0 {
            ranges.push(head.entries.range(head.first, StreamId::MAX));
        }
        let groups = keys::groups(head.home());
        visit(self, &groups.0, Some(&groups.1), &mut |key, value, _| -> Result<Flow, Stop> {
            let group =
                ConsumerGroup::decode(head.home(), value).map_err(|why| DiskError::corrupt(key, why))?;
            ranges.extend(group.home().all());
            Ok(Flow::More)
        })?;
        ranges.push(groups);
        let mut prefix = Vec::new();
        keys::element_prefix(&mut prefix, aside.home());
        let rehomed = |key: &[u8]| Ok([&prefix, key.get(prefix.len()..).unwrap_or_default()].concat());
        for range in ranges {
            self.copy_range(&mut aside, range, &rehomed)?;
        }
        let home = aside.finish(self)?;
        let copy = Head { entries: Entries { home, ..head.entries }, ..head };
        Record::decode(Record::encode(record.kind, Encoding::Entries, record.expiry_ms, &copy.encode()))
            .map_err(corrupt)
    }
}

//! Building a stream of which all is known before: within its transaction, or aside if it is large.

use super::{Consumer, ConsumerGroup, Head, Pending, StreamId, encode};
use crate::aside::Aside;
use crate::collection::build::{KEPT_BYTES_MAX, KEPT_MAX};
use crate::keys::{self, GroupHome};
use crate::record::{Encoding, Kind, Value};
use crate::scratch::Appended;
use crate::txn::{Stop, Txn};

/// A stream that is being built.
pub struct StreamBuilder {
    head: Head,
    aside: Option<Aside>,
}

impl StreamBuilder {
    /// A stream of so many records, of so many bytes in all, for a key.
    pub fn new(txn: &mut Txn<'_>, key: &[u8], records: usize, bytes: usize) -> Result<Self, Stop> {
        let slot = base::slot::of(key);
        if records > KEPT_MAX || bytes > KEPT_BYTES_MAX {
            let aside = Aside::begin(txn, slot)?;
            return Ok(Self { head: Head::new(aside.home()), aside: Some(aside) });
        }
        Ok(Self { head: Head::new(txn.fresh_collection(slot)), aside: None })
    }

    fn put(&mut self, txn: &mut Txn<'_>, key: Vec<u8>, value: Value) -> Result<(), Stop> {
        if key.len() > usize::from(u16::MAX) {
            return Err(Stop::KeyTooLong);
        }
        if let Some(aside) = &mut self.aside {
            return aside.push(txn, key, value);
        }
        txn.spend(1, key.len() + value.len())?;
        txn.write_blind(&key, Some(value));
        Ok(())
    }

    /// Adds an entry behind the others.
    pub fn append<'a>(
        &mut self,
        txn: &mut Txn<'_>,
        id: StreamId,
        texts: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Stop> {
        let entries = self.head.entries;
        let mut key = Vec::new();
        entries.record(&mut key, id);
        self.put(txn, key, encode(texts))?;
        if self.aside.is_none() {
            // Whoever walks in this transaction knows of it from here.
            txn.scratch.appended.push(Appended { entries, behind: self.head.last, id });
        }
        if self.head.len == 0 {
            self.head.first = id;
        }
        self.head.last = id;
        self.head.len += 1;
        Ok(())
    }

    /// A new group: it is to be put when its consumers are made.
    pub fn begin_group(&mut self, last: StreamId, read: Option<u64>) -> ConsumerGroup {
        let home = GroupHome { home: self.head.home(), number: self.head.next_group };
        self.head.next_group += 1;
        ConsumerGroup::new(home, last, read)
    }

    pub fn put_group(&mut self, txn: &mut Txn<'_>, name: &[u8], group: ConsumerGroup) -> Result<(), Stop> {
        let mut key = Vec::new();
        keys::group_record(&mut key, self.head.home(), name);
        self.put(txn, key, group.encode())
    }

    /// Puts a consumer for which is pending all that there will be.
    pub fn put_consumer(
        &mut self,
        txn: &mut Txn<'_>,
        group: &ConsumerGroup,
        name: &[u8],
        consumer: Consumer,
    ) -> Result<(), Stop> {
        let mut key = Vec::new();
        group.home().consumer_record(&mut key, name);
        self.put(txn, key, consumer.encode())
    }

    /// An entry was told to a consumer; nobody else in its group has it.
    pub fn put_pending(
        &mut self,
        txn: &mut Txn<'_>,
        group: &mut ConsumerGroup,
        (name, consumer): (&[u8], &mut Consumer),
        id: StreamId,
        (told_ms, times): (u64, u64),
    ) -> Result<(), Stop> {
        let number = consumer.number();
        consumer.pending += 1;
        group.note_pending(id);
        let mut key = Vec::new();
        group.home().pending_of_record(&mut key, number, id);
        self.put(txn, key, Value::from(&[][..]))?;
        let mut key = Vec::new();
        group.home().pending_record(&mut key, id);
        self.put(txn, key, Pending::of(number, name, (told_ms, times)).encode())
    }

    /// Sets a key to it, with what is counted beside the entries themselves.
    pub fn store(
        self,
        txn: &mut Txn<'_>,
        key: &[u8],
        (last, added, max_deleted): (StreamId, u64, StreamId),
        expiry_ms: Option<u64>,
    ) -> Result<(), Stop> {
        let head = Head { last, added, max_deleted, ..self.head };
        if let Some(aside) = self.aside {
            aside.finish(txn)?;
        }
        txn.put(key, Kind::Stream, Encoding::Entries, expiry_ms, &head.encode())
    }
}

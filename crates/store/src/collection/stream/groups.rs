//! Consumer groups. A group, each of its consumers and everything that is pending is a record of its own, the
//! latter once by the entry and once by the consumer. So an acknowledgement costs the same whatever is pending,
//! and those of different consumers have only the entries in common that they take from each other.

use std::collections::HashMap;

use base::codec::{DecodeError, Reader, Write as _};

use super::{Stream, StreamId};
use crate::disk::DiskError;
use crate::keys::{self, GroupHome, Unreachable};
use crate::range::{Flow, visit, visit_back};
use crate::record::Value;
use crate::txn::{Stop, Txn};

/// A group: what was told to it, and how many entries that were, if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    home: GroupHome,
    pub last: StreamId,
    pub read: Option<u64>,
    next_consumer: u64,
    /// Nothing behind this has ever been pending.
    pended: StreamId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumer {
    number: u64,
    /// When it last asked for something, and when it last got something.
    pub seen_ms: u64,
    pub active_ms: Option<u64>,
    /// How many entries are pending for it.
    pub pending: u64,
}

/// An entry that was told and not yet acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    consumer: u64,
    /// The consumer's name.
    pub name: Vec<u8>,
    pub told_ms: u64,
    pub times: u64,
}

/// A number that may be missing.
fn put_some(out: &mut Vec<u8>, number: Option<u64>) {
    out.put_varint(number.map_or(0, |number| number.saturating_add(1)));
}

fn some(reader: &mut Reader<'_>) -> Result<Option<u64>, DecodeError> {
    Ok(reader.varint()?.checked_sub(1))
}

impl Group {
    pub(super) fn new(home: GroupHome, last: StreamId, read: Option<u64>) -> Self {
        Self { home, last, read, next_consumer: 0, pended: StreamId::ZERO }
    }

    /// Something is pending from now on; says whether the group has to be put for it.
    pub(super) fn note_pending(&mut self, id: StreamId) -> bool {
        let is_more = id > self.pended;
        self.pended = self.pended.max(id);
        is_more
    }

    /// A new consumer of it; both are to be put.
    pub fn begin_consumer(&mut self, seen_ms: u64, active_ms: Option<u64>) -> Consumer {
        let number = self.next_consumer;
        self.next_consumer += 1;
        Consumer { number, seen_ms, active_ms, pending: 0 }
    }

    pub(super) fn encode(self) -> Value {
        let mut out = Vec::with_capacity(32);
        out.put_varint(self.home.number);
        self.last.pack(&mut out);
        put_some(&mut out, self.read);
        out.put_varint(self.next_consumer);
        self.pended.pack(&mut out);
        Value::from(out)
    }

    pub(super) fn home(&self) -> GroupHome {
        self.home
    }

    pub(super) fn decode(home: keys::Home, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let home = GroupHome { home, number: reader.varint()? };
        let last = StreamId::unpack(&mut reader)?;
        let (read, next_consumer) = (some(&mut reader)?, reader.varint()?);
        let pended = StreamId::unpack(&mut reader)?;
        reader.finish()?;
        Ok(Self { home, last, read, next_consumer, pended })
    }
}

impl Consumer {
    pub(super) fn number(self) -> u64 {
        self.number
    }

    pub(super) fn encode(self) -> Value {
        let mut out = Vec::with_capacity(32);
        out.put_varint(self.number);
        out.put_varint(self.seen_ms);
        put_some(&mut out, self.active_ms);
        out.put_varint(self.pending);
        Value::from(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let (number, seen_ms) = (reader.varint()?, reader.varint()?);
        let (active_ms, pending) = (some(&mut reader)?, reader.varint()?);
        reader.finish()?;
        Ok(Self { number, seen_ms, active_ms, pending })
    }
}

impl Pending {
    pub(super) fn of(consumer: u64, name: &[u8], (told_ms, times): (u64, u64)) -> Self {
        Self { consumer, name: name.to_vec(), told_ms, times }
    }

    pub(super) fn encode(&self) -> Value {
        let mut out = Vec::with_capacity(32);
        out.put_varint(self.consumer);
        out.put_varint(self.told_ms);
        out.put_varint(self.times);
        out.extend_from_slice(&self.name);
        Value::from(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let (consumer, told_ms, times) = (reader.varint()?, reader.varint()?, reader.varint()?);
        Ok(Self { consumer, name: reader.rest().to_vec(), told_ms, times })
    }
}

impl Txn<'_> {
    /// A record of a group, decoded.
    fn of_group<T>(
        &mut self,
        name: impl FnOnce(&mut Vec<u8>),
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, Stop> {
        let mut key = std::mem::take(&mut self.scratch.key);
        name(&mut key);
        let found = self.named_record(&key, decode);
        self.scratch.key = key;
        found
    }

    fn named_record<T>(
        &mut self,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, Stop> {
        if key.len() > usize::from(u16::MAX) {
            return Err(Stop::KeyTooLong);
        }
        let value = self.raw(key)?;
        value.map(|value| decode(&value)).transpose().map_err(|why| DiskError::corrupt(key, why).into())
    }

    fn put_of_group(&mut self, name: impl FnOnce(&mut Vec<u8>), value: Option<Value>) -> Result<(), Stop> {
        let mut key = std::mem::take(&mut self.scratch.key);
        name(&mut key);
        let is_possible = key.len() <= usize::from(u16::MAX);
        if is_possible {
            self.write_blind(&key, value);
        }
        self.scratch.key = key;
        if is_possible { Ok(()) } else { Err(Stop::KeyTooLong) }
    }
}

/// What a walk does with what it finds.
pub type Each<'e, T, E> = dyn FnMut(&T) -> Result<Flow, E> + 'e;

impl Stream<'_, '_> {
    /// A group by its name.
    pub fn group(&mut self, name: &[u8]) -> Result<Option<Group>, Stop> {
        let home = self.head.home();
        self.txn.of_group(|key| keys::group_record(key, home, name), |bytes| Group::decode(home, bytes))
    }

    /// Makes a group; says whether there was none of this name.
    pub fn create_group(&mut self, name: &[u8], last: StreamId, read: Option<u64>) -> Result<bool, Stop> {
        if self.group(name)?.is_some() {
            return Ok(false);
        }
        let home = GroupHome { home: self.head.home(), number: self.head.next_group };
        self.head.next_group += 1;
        // To who watches the stream it is the same: what is told of groups is not in it.
        self.is_kept_anew = true;
        self.put_group(name, &Group::new(home, last, read))?;
        Ok(true)
    }

    pub fn put_group(&mut self, name: &[u8], group: &Group) -> Result<(), Stop> {
        let home = self.head.home();
        self.txn.put_of_group(|key| keys::group_record(key, home, name), Some(group.encode()))
    }

    /// Removes a group: its consumers and what was pending is left to be reclaimed.
    pub fn destroy_group(&mut self, name: &[u8]) -> Result<bool, Stop> {
        let Some(group) = self.group(name)? else { return Ok(false) };
        let home = self.head.home();
        self.txn.put_of_group(|key| keys::group_record(key, home, name), None)?;
        let left = Unreachable::Group(group.home);
        self.txn.write_blind(&left.encode(), Some(Value::from(&[][..])));
        // Whoever waits for something to be told to the group has to know.
        self.is_kept_anew = true;
        Ok(true)
    }

    /// The groups with their names, in the order of these.
    pub fn groups(&mut self) -> Result<Vec<(Vec<u8>, Group)>, Stop> {
        let (start, end) = keys::groups(self.head.home());
        let home = self.head.home();
        self.all_named(&start, &end, |bytes| Group::decode(home, bytes))
    }

    fn all_named<T>(
        &mut self,
        start: &[u8],
        end: &[u8],
        decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Vec<(Vec<u8>, T)>, Stop> {
        let mut found = Vec::new();
        visit(self.txn, start, Some(end), &mut |key, value, _| -> Result<Flow, Stop> {
            let decoded = decode(value).map_err(|why| Stop::Disk(DiskError::corrupt(key, why)))?;
            found.push((keys::name_of(key, start).to_vec(), decoded));
            Ok(Flow::More)
        })?;
        Ok(found)
    }

    pub fn consumer(&mut self, group: &Group, name: &[u8]) -> Result<Option<Consumer>, Stop> {
        self.txn.of_group(|key| group.home.consumer_record(key, name), Consumer::decode)
    }

    /// A new consumer of a group.
    pub fn create_consumer(
        &mut self,
        (group_name, group): (&[u8], &mut Group),
        name: &[u8],
    ) -> Result<Consumer, Stop> {
        let consumer = group.begin_consumer(self.txn.now_ms(), None);
        self.put_group(group_name, group)?;
        self.put_consumer(group, name, &consumer)?;
        Ok(consumer)
    }

    /// A consumer that asks for something: it is made if it is not there.
    pub fn seen_consumer(&mut self, group: (&[u8], &mut Group), name: &[u8]) -> Result<Consumer, Stop> {
        match self.consumer(group.1, name)? {
            Some(consumer) => Ok(Consumer { seen_ms: self.txn.now_ms(), ..consumer }),
            None => {
                self.remark("xgroup-createconsumer");
                self.create_consumer(group, name)
            }
        }
    }

    pub fn put_consumer(&mut self, group: &Group, name: &[u8], consumer: &Consumer) -> Result<(), Stop> {
        self.txn.put_of_group(|key| group.home.consumer_record(key, name), Some(consumer.encode()))
    }

    /// Removes a consumer with what is pending for it; says how much that was.
    pub fn delete_consumer(&mut self, group: &Group, name: &[u8]) -> Result<Option<u64>, Stop> {
        let Some(consumer) = self.consumer(group, name)? else { return Ok(None) };
        if consumer.pending > 0 {
            let mut ids = Vec::new();
            self.walk_pending_of(group, &consumer, StreamId::ZERO, &mut |id| -> Result<Flow, Stop> {
                ids.push(*id);
                Ok(Flow::More)
            })?;
            for id in ids {
                self.clear_pending(group, consumer.number, id)?;
            }
        }
        self.txn.put_of_group(|key| group.home.consumer_record(key, name), None)?;
        Ok(Some(consumer.pending))
    }

    /// The consumers of a group with their names, in the order of these.
    pub fn consumers(&mut self, group: &Group) -> Result<Vec<(Vec<u8>, Consumer)>, Stop> {
        let (start, end) = group.home.consumers();
        self.all_named(&start, &end, Consumer::decode)
    }

    pub fn pending(&mut self, group: &Group, id: StreamId) -> Result<Option<Pending>, Stop> {
        if id > group.pended {
            return Ok(None);
        }
        self.txn.of_group(|key| group.home.pending_record(key, id), Pending::decode)
    }

    /// Says that it is going to be asked whether these are pending.
    pub fn foresee_pending(&mut self, group: &Group, ids: &[StreamId]) -> Result<(), Stop> {
        let known = ids.iter().filter(|id| **id <= group.pended);
        self.txn.foresee(known.map(|id| {
            let mut key = Vec::new();
            group.home.pending_record(&mut key, *id);
            key
        }))
    }

    /// An entry is told to a consumer that may have had it before: then its count is not changed. Says whether the
    /// group is to be put, too.
    pub fn put_pending(
        &mut self,
        group: &mut Group,
        (name, consumer): (&[u8], &mut Consumer),
        id: StreamId,
        (told_ms, times): (u64, u64),
        before: Option<&Pending>,
    ) -> Result<bool, Stop> {
        let number = consumer.number;
        if before.is_none_or(|before| before.consumer != number) {
            if let Some(before) = before {
                self.release_from(group, before, id)?;
            }
            consumer.pending += 1;
            let empty = Some(Value::from(&[][..]));
            self.txn.put_of_group(|key| group.home.pending_of_record(key, number, id), empty)?;
        }
        let pending = Pending::of(number, name, (told_ms, times));
        self.txn.put_of_group(|key| group.home.pending_record(key, id), Some(pending.encode()))?;
        self.txn.spend(1, 0)?;
        Ok(group.note_pending(id))
    }

    /// Takes what is pending from the consumer that has it.
    fn release_from(&mut self, group: &Group, pending: &Pending, id: StreamId) -> Result<(), Stop> {
        let number = pending.consumer;
        self.txn.put_of_group(|key| group.home.pending_of_record(key, number, id), None)?;
        if let Some(mut other) = self.consumer(group, &pending.name)? {
            other.pending = other.pending.saturating_sub(1);
            self.put_consumer(group, &pending.name, &other)?;
        }
        Ok(())
    }

    fn clear_pending(&mut self, group: &Group, consumer: u64, id: StreamId) -> Result<(), Stop> {
        self.txn.put_of_group(|key| group.home.pending_of_record(key, consumer, id), None)?;
        self.txn.put_of_group(|key| group.home.pending_record(key, id), None)
    }

    /// Entries are pending no longer; says how many were.
    pub fn remove_pending(&mut self, group: &Group, ids: &[StreamId]) -> Result<u64, Stop> {
        self.foresee_pending(group, ids)?;
        // By consumer, in the order in which they are come across.
        let (mut removed, mut places) = (Vec::<(Pending, u64)>::new(), HashMap::new());
        for id in ids {
            let Some(pending) = self.pending(group, *id)? else { continue };
            self.clear_pending(group, pending.consumer, *id)?;
            let place = *places.entry(pending.consumer).or_insert(removed.len());
            match removed.get_mut(place) {
                Some((_, count)) => *count += 1,
                None => removed.push((pending, 1)),
            }
        }
        for (pending, count) in &removed {
            if let Some(mut consumer) = self.consumer(group, &pending.name)? {
                consumer.pending = consumer.pending.saturating_sub(*count);
                self.put_consumer(group, &pending.name, &consumer)?;
            }
        }
        Ok(removed.iter().map(|(_, count)| count).sum())
    }

    /// Visits what is pending from an id on, up to and with another one.
    pub fn walk_pending<E: From<Stop>>(
        &mut self,
        group: &Group,
        (from, to): (StreamId, StreamId),
        each: &mut Each<'_, (StreamId, Pending), E>,
    ) -> Result<(), E> {
        let (start, end) = group.home.pending(from, to);
        visit(self.txn, &start, Some(&end), &mut |key, value, _| {
            let corrupt = |why| Stop::Disk(DiskError::corrupt(key, why));
            let id = keys::id_at_end(key).ok_or_else(|| corrupt(DecodeError::Short))?;
            each(&(id, Pending::decode(value).map_err(corrupt)?))
        })
    }

    /// Visits all that is pending, with the place of its consumer among all of the group.
    pub fn walk_owned<E: From<Stop>>(
        &mut self,
        group: &Group,
        consumers: &[(Vec<u8>, Consumer)],
        each: &mut dyn FnMut(usize, StreamId, &Pending) -> Result<Flow, E>,
    ) -> Result<(), E> {
        let numbers = consumers.iter().map(|(_, consumer)| consumer.number).enumerate();
        let places: HashMap<u64, usize> = numbers.map(|(place, number)| (number, place)).collect();
        self.walk_pending(group, (StreamId::ZERO, StreamId::MAX), &mut |(id, pending)| {
            let unowned = || Stop::Disk(DiskError::corrupt(&pending.name, DecodeError::Mismatch));
            let place = *places.get(&pending.consumer).ok_or_else(unowned)?;
            each(place, *id, pending)
        })
    }

    /// The first and the last id of what is pending, if something is.
    pub fn pending_ends(&mut self, group: &Group) -> Result<Option<(StreamId, StreamId)>, Stop> {
        let (start, end) = group.home.pending(StreamId::ZERO, StreamId::MAX);
        let (mut first, mut last) = (None, None);
        visit(self.txn, &start, Some(&end), &mut |key, _, _| -> Result<Flow, Stop> {
            first = keys::id_at_end(key);
            Ok(Flow::Stop)
        })?;
        visit_back(self.txn, &start, &end, &mut |key, _| -> Result<Flow, Stop> {
            last = keys::id_at_end(key);
            Ok(Flow::Stop)
        })?;
        Ok(first.zip(last))
    }

    /// Visits the ids of what is pending for a consumer from one on.
    pub fn walk_pending_of<E: From<Stop>>(
        &mut self,
        group: &Group,
        consumer: &Consumer,
        from: StreamId,
        each: &mut Each<'_, StreamId, E>,
    ) -> Result<(), E> {
        let (start, end) = group.home.pending_of(consumer.number, from, StreamId::MAX);
        visit(self.txn, &start, Some(&end), &mut |key, _, _| {
            let id = keys::id_at_end(key);
            each(&id.ok_or_else(|| Stop::Disk(DiskError::corrupt(key, DecodeError::Short)))?)
        })
    }
}

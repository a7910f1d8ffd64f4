//! Building a collection from members that come one by one: packed while it is small, then wide; aside
//! once it is large, so that no entry and no transaction holds all of it.

use base::codec::DecodeError;

use crate::aside::Aside;
use crate::collection::members;
use crate::collection::packed::Packed;
use crate::collection::stream::Head;
use crate::collection::zset::{SCORE_BYTES, node_record, signed_zero, tree_key};
use crate::collection::{End, Refusal};
use crate::counters::Counters;
use crate::disk::DiskError;
use crate::keys::{self, Home, Members, POSITIONS};
use crate::range::{Flow, visit};
use crate::record::{Encoding, Kind, Record, Value};
use crate::tree;
use crate::txn::{Stop, Txn};

/// Records read at a time when a collection is copied.
const COPIED_BYTES: usize = 256 << 10;

/// A wide collection that is being built aside.
pub(super) struct Builder {
    aside: Aside,
    count: i64,
}

impl Builder {
    pub(super) fn begin(txn: &mut Txn<'_>, slot: u16) -> Result<Self, Stop> {
        Ok(Self { aside: Aside::begin(txn, slot)?, count: 0 })
    }

    /// Adds a member that it does not have.
    pub(super) fn add(&mut self, txn: &mut Txn<'_>, member: &[u8], payload: &[u8]) -> Result<(), Stop> {
        let mut key = Vec::new();
        Members::new(self.aside.home()).record(&mut key, txn.begin.seed, member);
        self.count += 1;
        self.aside.push(txn, key, members::encode(member, payload))
    }

    /// Adds an item of a list behind the others.
    fn push_item(&mut self, txn: &mut Txn<'_>, item: Vec<u8>) -> Result<(), Stop> {
        let mut key = Vec::new();
        keys::item_record(&mut key, self.aside.home(), self.count);
        self.count += 1;
        self.aside.push(txn, key, Value::from(item))
    }

    /// Sets a key to it; says how many elements it has.
    fn name(self, txn: &mut Txn<'_>, key: &[u8], kind: Kind) -> Result<u64, Stop> {
        let count = self.count.unsigned_abs();
        let home = self.finish(txn)?;
        txn.put(key, kind, Encoding::Wide, None, &home.encode())?;
        Ok(count)
    }

    pub(super) fn finish(mut self, txn: &mut Txn<'_>) -> Result<Home, Stop> {
        finish(&mut self.aside, txn, Counters::len(self.count))?;
        self.aside.finish(txn)
    }
}

fn finish(aside: &mut Aside, txn: &mut Txn<'_>, counters: Counters) -> Result<(), Stop> {
    let mut key = Vec::new();
    keys::counters_record(&mut key, aside.home());
    aside.push(txn, key, counters.encode())
}

/// What is kept at hand of a collection before it is built aside.
struct Kept<T> {
    slot: u16,
    entries: Vec<T>,
    bytes: usize,
}

impl<T> Kept<T> {
    fn new(key: &[u8]) -> Self {
        Self { slot: base::slot::of(key), entries: Vec::new(), bytes: 0 }
    }

    /// Keeps an entry of so many bytes; says whether there is room for more.
    fn keep(&mut self, txn: &mut Txn<'_>, entry: T, bytes: usize) -> Result<bool, Stop> {
        self.bytes += bytes;
        self.entries.push(entry);
        txn.spend(1, bytes)?;
        Ok(self.entries.len() <= KEPT_MAX && self.bytes <= KEPT_BYTES_MAX)
    }
}

/// A set that is being built.
pub struct SetBuilder {
    /// The first members, as long as it may be packed.
    first: Kept<Vec<u8>>,
    builder: Option<Builder>,
    /// It begins as a set of integers.
    of_integers: bool,
}

impl SetBuilder {
    pub fn new(key: &[u8], of_integers: bool) -> Self {
        Self { first: Kept::new(key), builder: None, of_integers }
    }

    /// Adds a member that it does not have.
    pub fn add(&mut self, txn: &mut Txn<'_>, member: Vec<u8>) -> Result<(), Stop> {
        if let Some(builder) = &mut self.builder {
            return builder.add(txn, &member, &[]);
        }
        let bytes = member.len();
        if self.first.keep(txn, member, bytes)? {
            return Ok(());
        }
        let mut builder = Builder::begin(txn, self.first.slot)?;
        for member in self.first.entries.drain(..) {
            builder.add(txn, &member, &[])?;
        }
        self.builder = Some(builder);
        Ok(())
    }

    /// Sets a key to it, or removes the key if it is empty; says how many members it has.
    pub fn store(self, txn: &mut Txn<'_>, key: &[u8]) -> Result<u64, Stop> {
        if let Some(builder) = self.builder {
            return builder.name(txn, key, Kind::Set);
        }
        txn.remove(key)?;
        if !self.first.entries.is_empty() {
            let mut set = opened(txn.set_or_empty(key, self.of_integers))?;
            for member in &self.first.entries {
                set.add(member)?;
            }
        }
        Ok(self.first.entries.len() as u64)
    }
}

/// A hash that is being built.
pub struct HashBuilder {
    /// The first fields, as long as it may be packed.
    first: Kept<(Vec<u8>, Vec<u8>)>,
    builder: Option<Builder>,
}

impl HashBuilder {
    pub fn new(key: &[u8]) -> Self {
        Self { first: Kept::new(key), builder: None }
    }

    /// Adds a field that it does not have.
    pub fn add(&mut self, txn: &mut Txn<'_>, field: Vec<u8>, value: Vec<u8>) -> Result<(), Stop> {
        if let Some(builder) = &mut self.builder {
            return builder.add(txn, &field, &value);
        }
        let bytes = field.len() + value.len();
        if self.first.keep(txn, (field, value), bytes)? {
            return Ok(());
        }
        let mut builder = Builder::begin(txn, self.first.slot)?;
        for (field, value) in self.first.entries.drain(..) {
            builder.add(txn, &field, &value)?;
        }
        self.builder = Some(builder);
        Ok(())
    }

    /// Sets a key to it, or removes the key if it is empty; says how many fields it has.
    pub fn store(self, txn: &mut Txn<'_>, key: &[u8]) -> Result<u64, Stop> {
        if let Some(builder) = self.builder {
            return builder.name(txn, key, Kind::Hash);
        }
        txn.remove(key)?;
        if !self.first.entries.is_empty() {
            let mut hash = opened(txn.hash_or_new(key))?;
            for (field, value) in &self.first.entries {
                hash.set(field, value)?;
            }
        }
        Ok(self.first.entries.len() as u64)
    }
}

/// A list that is being built, from its head on.
pub struct ListBuilder {
    /// The first items, as long as it may be packed.
    first: Kept<Vec<u8>>,
    builder: Option<Builder>,
}

impl ListBuilder {
    pub fn new(key: &[u8]) -> Self {
        Self { first: Kept::new(key), builder: None }
    }

    /// Adds an item behind the others.
    pub fn push(&mut self, txn: &mut Txn<'_>, item: Vec<u8>) -> Result<(), Stop> {
        if let Some(builder) = &mut self.builder {
            return builder.push_item(txn, item);
        }
        let bytes = item.len();
        if self.first.keep(txn, item, bytes)? {
            return Ok(());
        }
        let mut builder = Builder::begin(txn, self.first.slot)?;
        for item in self.first.entries.drain(..) {
            builder.push_item(txn, item)?;
        }
        self.builder = Some(builder);
        Ok(())
    }

    /// Sets a key to it, or removes the key if it is empty; says how many items it has.
    pub fn store(self, txn: &mut Txn<'_>, key: &[u8]) -> Result<u64, Stop> {
        if let Some(builder) = self.builder {
            return builder.name(txn, key, Kind::List);
        }
        txn.remove(key)?;
        if !self.first.entries.is_empty() {
            let mut list = opened(txn.list_or_new(key))?;
            list.push(End::Tail, self.first.entries.iter().map(Vec::as_slice))?;
        }
        Ok(self.first.entries.len() as u64)
    }
}

/// A collection of a key that has just been removed: there is none of another type.
fn opened<T>(collection: Result<T, Refusal>) -> Result<T, Stop> {
    collection.map_err(|why| match why {
        Refusal::Stop(stop) => stop,
        Refusal::WrongType => Stop::Moved,
    })
}

/// Entries kept at hand before a collection is built aside.
pub(super) const KEPT_MAX: usize = 1024;
pub(super) const KEPT_BYTES_MAX: usize = 64 << 10;

/// The key of a record's copy.
pub(super) type Rekey<'r> = dyn Fn(&[u8]) -> Result<Vec<u8>, DecodeError> + 'r;

impl Txn<'_> {
    /// Sets a key to a sorted set of these members, which come in their order, or removes the key if
    /// there are none; says how many there are.
    pub fn store_sorted(&mut self, key: &[u8], members: &[(Vec<u8>, f64)]) -> Result<u64, Stop> {
        self.remove(key)?;
        let bytes: usize = members.iter().map(|(member, _)| member.len() + SCORE_BYTES).sum();
        if members.len() <= KEPT_MAX && bytes <= KEPT_BYTES_MAX {
            let longest = members.iter().map(|(member, _)| member.len()).max().unwrap_or(0);
            let mut set = opened(self.sorted_set_or_new(key, members.len(), longest))?;
            for (member, score) in members {
                set.put(member, *score, None)?;
            }
            return Ok(members.len() as u64);
        }
        let mut builder = Builder::begin(self, base::slot::of(key))?;
        let home = builder.aside.home();
        let mut tree = tree::Builder::new();
        let mut nodes = Vec::new();
        for (member, score) in members {
            builder.add(self, member, &score.to_bits().to_be_bytes())?;
            tree.push(&tree_key(*score, member), &mut |id, value| {
                nodes.push((node_record(home, id), value));
                Ok::<(), Stop>(())
            })?;
            for (key, value) in nodes.drain(..) {
                builder.aside.push(self, key, value)?;
            }
        }
        tree.finish(&mut |id, value| {
            nodes.push((node_record(home, id), value));
            Ok::<(), Stop>(())
        })?;
        for (key, value) in nodes.drain(..) {
            builder.aside.push(self, key, value)?;
        }
        if members.iter().any(|(_, score)| *score == 0.0 && score.is_sign_negative()) {
            builder.aside.push(self, signed_zero(home), Value::from(&[][..]))?;
        }
        builder.name(self, key, Kind::SortedSet)
    }

    /// Copies the records of a wide collection to one for another key.
    pub(crate) fn copy_wide(&mut self, to: &[u8], record: &Record, from: Members) -> Result<Record, Stop> {
        let mut aside = Aside::begin(self, base::slot::of(to))?;
        let counters = self.counters(from.home)?;
        let mut copied = Vec::new();
        keys::element_prefix(&mut copied, aside.home());
        let beside = if record.kind == Kind::List {
            let mut prefix = Vec::new();
            keys::element_prefix(&mut prefix, from.home);
            let end = base::codec::prefix_end(&prefix).unwrap_or_default();
            (prefix, end)
        } else {
            let members = Members::new(aside.home());
            for range in from.ranges(0..POSITIONS) {
                self.copy_range(&mut aside, range, &|key| members.rekeyed(key))?;
            }
            keys::beside_members(from.home)
        };
        let rehomed = |key: &[u8]| Ok([&copied, key.get(copied.len()..).unwrap_or_default()].concat());
        self.copy_range(&mut aside, beside, &rehomed)?;
        finish(&mut aside, self, Counters { removed: 0, ..counters })?;
        let home = aside.finish(self)?;
        let value = Record::encode(record.kind, Encoding::Wide, record.expiry_ms, &home.encode());
        Record::decode(value).map_err(|why| Stop::Disk(DiskError::corrupt(record.value(), why)))
    }

    /// Copies the records of a range, a page at a time.
    pub(super) fn copy_range(
        &mut self,
        aside: &mut Aside,
        range: (Vec<u8>, Vec<u8>),
        rekey: &Rekey<'_>,
    ) -> Result<(), Stop> {
        let (from, end) = range;
        let mut from = Some(from);
        while let Some(start) = from.take() {
            let (mut page, mut bytes): (Vec<(Vec<u8>, Value)>, usize) = (Vec::new(), 0);
            visit::<Stop>(self, &start, Some(&end), &mut |key, value, _| {
                if bytes >= COPIED_BYTES {
                    from = Some(key.to_vec());
                    return Ok(Flow::Stop);
                }
                bytes += key.len() + value.len();
                let copied = rekey(key).map_err(|why| DiskError::corrupt(key, why))?;
                page.push((copied, Value::from(value)));
                Ok(Flow::More)
            })?;
            for (key, value) in page {
                aside.push(self, key, value)?;
            }
        }
        Ok(())
    }

    /// How many elements a collection has.
    pub fn collection_len(&mut self, record: &Record) -> Result<u64, Stop> {
        let corrupt = |why| Stop::Disk(DiskError::corrupt(record.value(), why));
        match (record.encoding, record.home().map_err(corrupt)?) {
            (Encoding::Wide, Some(home)) => Ok(u64::try_from(self.counters(home)?.len).unwrap_or(0)),
            (Encoding::Packed | Encoding::Integers, _) => {
                let entries = Packed::decode(record).map_err(corrupt)?.count() as u64;
                Ok(if record.kind == Kind::Hash { entries / 2 } else { entries })
            }
            (Encoding::Entries, _) => Ok(Head::decode(record.payload()).map_err(corrupt)?.len),
            _ => Ok(0),
        }
    }
}

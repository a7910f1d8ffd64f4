//! Streams: entries in listpacks, each under the id to which those of its entries are relative, and
//! consumer groups.
//!
//! ```text
//! listpack: entries | deleted | fields | (field)* | 0 | entry*
//! entry:    flags | ms | seq | [fields] | ([field], value)* | elements of this entry before this one
//! ```
//!
//! An entry has the difference of its id to that of the listpack; if its fields are those of the head
//! it leaves them out. Redis checks that listpacks have this form; that ids ascend and that the numbers
//! agree is checked here as well, for Redis never writes it otherwise and whoever reads the value relies
//! on it.

use super::check_distinct;
use crate::cursor::Budget;
use crate::item::Item;
use crate::listpack::Listpack;
use crate::object::{Consumer, Fields, Group, Pending, Stream, StreamEntry, StreamHead, StreamId};
use crate::{Cursor, ELEMENT_BYTES, Error, kind};

const FLAG_DELETED: i64 = 1;
const FLAG_SAME_FIELDS: i64 = 2;

const ID_BYTES: usize = 16;
/// What a text of an entry takes beside its bytes, at most.
const TEXT_LEN_BYTES: usize = 5;

impl Cursor<'_> {
    pub(super) fn stream(&mut self, kind: u8) -> Result<Stream, Error> {
        let entries = self.entries()?;
        let head = self.head(kind, &entries)?;
        let mut groups = Vec::new();
        for _ in 0..self.length()? {
            groups.push(self.group(kind, &entries, &head)?);
        }
        let names = groups.iter().map(|group: &Group| &group.name);
        check_distinct(names, Error::Malformed("the same group twice"))?;
        Ok(Stream { entries, head, groups })
    }

    fn entries(&mut self) -> Result<Vec<StreamEntry>, Error> {
        let mut entries = Vec::new();
        let mut base_before = None;
        for _ in 0..self.length()? {
            let key = self.blob()?;
            let base =
                <[u8; ID_BYTES]>::try_from(&*key).map_err(|_| Error::Malformed("a key is no stream id"))?;
            let base = stream_id(base);
            if base_before.replace(base) >= Some(base) {
                return Err(Error::Malformed("the nodes of a stream are out of order"));
            }
            let blob = self.blob()?;
            let items = Listpack::open(&blob)?;
            let mut node = Node { items, texts: Vec::new(), budget: &mut self.budget };
            node.read(base, &mut entries)?;
        }
        Ok(entries)
    }

    fn head(&mut self, kind: u8, entries: &[StreamEntry]) -> Result<StreamHead, Error> {
        let len = entries.len() as u64;
        if self.length()? != len {
            return Err(Error::Malformed("a stream has another length than it says"));
        }
        let last_id = self.id()?;
        if entries.last().is_some_and(|entry| entry.id > last_id) {
            return Err(Error::Malformed("an entry is above the last id of its stream"));
        }
        if kind == kind::STREAM_LISTPACKS {
            return Ok(StreamHead { last_id, max_deleted_id: StreamId::default(), entries_added: len });
        }
        // The first id is that of the first entry.
        self.id()?;
        let max_deleted_id = self.id()?;
        let entries_added = self.length()?;
        if entries_added < len || i64::try_from(entries_added).is_err() {
            return Err(Error::Malformed("a stream has a wrong number of entries added"));
        }
        Ok(StreamHead { last_id, max_deleted_id, entries_added })
    }

    fn group(&mut self, kind: u8, entries: &[StreamEntry], head: &StreamHead) -> Result<Group, Error> {
        let name = self.string()?;
        self.budget.charge(0)?;
        let last_id = self.id()?;
        let entries_read = if kind == kind::STREAM_LISTPACKS {
            entries_up_to(last_id, entries, head)
        } else {
            self.entries_read()?
        };
        let mut unowned = self.pending()?;
        let mut consumers = Vec::new();
        for _ in 0..self.length()? {
            consumers.push(self.consumer(kind, &mut unowned)?);
        }
        let names = consumers.iter().map(|consumer: &Consumer| &consumer.name);
        check_distinct(names, Error::Malformed("the same consumer twice"))?;
        if !unowned.is_empty() {
            return Err(Error::Malformed("a pending entry belongs to no consumer"));
        }
        Ok(Group { name, last_id, entries_read, consumers })
    }

    fn entries_read(&mut self) -> Result<Option<u64>, Error> {
        const CANNOT_BE_TOLD: u64 = -1i64 as u64;
        match self.length()? {
            CANNOT_BE_TOLD => Ok(None),
            read if i64::try_from(read).is_ok() => Ok(Some(read)),
            _ => Err(Error::Malformed("a group has a wrong number of entries read")),
        }
    }

    /// The pending entries of a group; whose they are follows.
    fn pending(&mut self) -> Result<Unowned, Error> {
        let mut all = Vec::new();
        for _ in 0..self.length()? {
            // Here, and once more with its consumer.
            self.budget.charge_bytes(2 * ELEMENT_BYTES)?;
            let id = self.raw_id()?;
            let delivered_ms = self.time_ms()?;
            all.push((Pending { id, delivered_ms, deliveries: self.length()? }, false));
        }
        all.sort_unstable_by_key(|(pending, _)| pending.id);
        if !all.is_sorted_by(|(a, _), (b, _)| a.id < b.id) {
            return Err(Error::Malformed("the same pending entry twice"));
        }
        Ok(Unowned { left: all.len(), all })
    }

    fn consumer(&mut self, kind: u8, unowned: &mut Unowned) -> Result<Consumer, Error> {
        let name = self.string()?;
        self.budget.charge(0)?;
        let seen_ms = self.time_ms()?;
        // Before it was kept, being seen was all that was known.
        let active_ms = if kind == kind::STREAM_LISTPACKS_3 { self.time_ms()? } else { seen_ms };
        let mut pending = Vec::new();
        for _ in 0..self.length()? {
            let id = self.raw_id()?;
            pending.push(unowned.take(id).ok_or(Error::Malformed("a pending entry is none of the group's"))?);
        }
        pending.sort_unstable_by_key(|pending: &Pending| pending.id);
        Ok(Consumer { name, seen_ms, active_ms: Some(active_ms).filter(|ms| *ms >= 0), pending })
    }

    fn id(&mut self) -> Result<StreamId, Error> {
        Ok(StreamId { ms: self.length()?, seq: self.length()? })
    }

    fn raw_id(&mut self) -> Result<StreamId, Error> {
        let bytes = self.bytes(ID_BYTES)?;
        <[u8; ID_BYTES]>::try_from(bytes).map(stream_id).map_err(|_| Error::Malformed("a stream id is short"))
    }
}

fn stream_id(bytes: [u8; ID_BYTES]) -> StreamId {
    let both = u128::from_be_bytes(bytes);
    StreamId { ms: (both >> 64) as u64, seq: both as u64 }
}

/// Pending entries of a group that no consumer has claimed yet.
struct Unowned {
    /// By their ids, each with whether a consumer has claimed it.
    all: Vec<(Pending, bool)>,
    left: usize,
}

impl Unowned {
    fn take(&mut self, id: StreamId) -> Option<Pending> {
        let at = self.all.binary_search_by_key(&id, |(pending, _)| pending.id).ok()?;
        let (pending, is_owned) = self.all.get_mut(at).filter(|(_, is_owned)| !is_owned)?;
        *is_owned = true;
        self.left -= 1;
        Some(*pending)
    }

    fn is_empty(&self) -> bool {
        self.left == 0
    }
}

/// How many entries were ever added up to this id, as Redis estimates it for streams that do not say
/// how many were deleted.
fn entries_up_to(id: StreamId, entries: &[StreamEntry], head: &StreamHead) -> Option<u64> {
    if head.entries_added == 0 {
        return Some(0);
    }
    let first = entries.first().map(|entry| entry.id);
    match (id.cmp(&head.last_id), first.map(|first| id.cmp(&first))) {
        (std::cmp::Ordering::Equal, _) => Some(head.entries_added),
        (std::cmp::Ordering::Greater, _) => None,
        (_, Some(std::cmp::Ordering::Less)) => Some(0),
        (_, Some(std::cmp::Ordering::Equal)) => Some(1),
        _ => None,
    }
}

/// The entries of one listpack.
struct Node<'a, 'b> {
    items: Listpack<'a>,
    /// Of the entry at hand.
    texts: Vec<u8>,
    budget: &'b mut Budget,
}

impl<'a> Node<'a, '_> {
    fn read(&mut self, base: StreamId, entries: &mut Vec<StreamEntry>) -> Result<(), Error> {
        let count = self.number()?;
        let deleted = self.number()?;
        let fields_len = self.number()?;
        // Read again for each entry that has them, so that they need no memory of their own.
        let fields = self.items.clone();
        self.skip(fields_len)?;
        if self.number()? != 0 {
            return Err(Error::Malformed("the head of a node of a stream does not end"));
        }
        let (mut live, mut dead) = (0u64, 0u64);
        while let Some(flags) = self.items.next() {
            let Some(entry) = self.entry(flags?.integer()?, base, fields.clone(), fields_len)? else {
                dead += 1;
                continue;
            };
            if entry.id == StreamId::default() {
                return Err(Error::Malformed("an entry has the id of none"));
            }
            if entries.last().is_some_and(|last| last.id >= entry.id) {
                return Err(Error::Malformed("the entries of a stream are out of order"));
            }
            entries.push(entry);
            live += 1;
        }
        let agrees = (live, dead) == (count, deleted);
        if agrees {
            Ok(())
        } else {
            Err(Error::Malformed("a node of a stream has another number of entries than it says"))
        }
    }

    /// An entry, unless it is deleted.
    fn entry(
        &mut self,
        flags: i64,
        base: StreamId,
        shared: Listpack<'a>,
        shared_len: u64,
    ) -> Result<Option<StreamEntry>, Error> {
        if flags & !(FLAG_DELETED | FLAG_SAME_FIELDS) != 0 {
            return Err(Error::Malformed("unknown flags of an entry"));
        }
        // The differences are those of unsigned numbers, and may wrap.
        let ms = base.ms.wrapping_add_signed(self.item()?.integer()?);
        let seq = base.seq.wrapping_add_signed(self.item()?.integer()?);
        let shared = (flags & FLAG_SAME_FIELDS != 0).then_some(shared);
        let has_same_fields = shared.is_some();
        let fields_len = if has_same_fields { shared_len } else { self.number()? };
        let fields = if flags & FLAG_DELETED != 0 {
            self.skip(fields_len)?;
            self.skip(if has_same_fields { 0 } else { fields_len })?;
            None
        } else {
            Some(self.fields(shared, fields_len)?)
        };
        // Flags and both parts of the id; and the fields with their number, unless they are shared.
        let own_fields = if has_same_fields { Some(0) } else { fields_len.checked_add(1) };
        let elements = own_fields.and_then(|own| own.checked_add(fields_len)?.checked_add(3));
        if Some(self.number()?) != elements {
            return Err(Error::Malformed("an entry has a wrong length backwards"));
        }
        Ok(fields.map(|fields| StreamEntry { id: StreamId { ms, seq }, fields }))
    }

    /// Names come from the head of the listpack, or each before its value.
    fn fields(&mut self, mut shared: Option<Listpack<'a>>, count: u64) -> Result<Fields, Error> {
        if count == 0 {
            return Err(Error::Malformed("an entry without fields"));
        }
        self.budget.charge(0)?;
        self.texts.clear();
        for _ in 0..count {
            let name = match &mut shared {
                Some(names) => names.next().ok_or(SHORT)??,
                None => self.item()?,
            };
            self.text(name)?;
            let value = self.item()?;
            self.text(value)?;
        }
        Ok(Fields::of_texts(&self.texts))
    }

    fn text(&mut self, item: Item<'_>) -> Result<(), Error> {
        let mut digits = itoa::Buffer::new();
        let text = match item {
            Item::Bytes(bytes) => bytes,
            Item::Integer(value) => digits.format(value).as_bytes(),
        };
        self.budget.charge_bytes(text.len().saturating_add(TEXT_LEN_BYTES))?;
        Fields::put_text(&mut self.texts, text);
        Ok(())
    }

    fn item(&mut self) -> Result<Item<'a>, Error> {
        self.items.next().ok_or(SHORT)?
    }

    fn number(&mut self) -> Result<u64, Error> {
        let number = self.item()?.integer()?;
        u64::try_from(number).map_err(|_| Error::Malformed("a count is negative"))
    }

    fn skip(&mut self, count: u64) -> Result<(), Error> {
        for _ in 0..count {
            self.item()?;
        }
        Ok(())
    }
}

const SHORT: Error = Error::Malformed("a node of a stream ends too early");

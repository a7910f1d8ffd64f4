//! Sets: of integers in order, packed in the order in which members came, or wide.

use crate::collection::members::{self, Found};
use crate::collection::packed::{Entry, Packed, integer};
use crate::collection::{Body, Handle, Refusal};
use crate::counters::Counters;
use crate::range::Flow;
use crate::record::{Encoding, Kind};
use crate::txn::{Stop, Txn};

/// A key's set.
pub struct Set<'t, 'g>(pub(super) Handle<'t, 'g>);

/// Bytes of an integer among the entries: its length and itself.
const STRIDE: usize = 9;

impl<'g> Txn<'g> {
    /// A key's set, if it has one.
    pub fn set_at(&mut self, key: &[u8]) -> Result<Option<Set<'_, 'g>>, Refusal> {
        Ok(Handle::open(self, key, Kind::Set, None)?.map(Set))
    }

    /// A key's set, which may be empty so far and is about to get so many members of which this is the
    /// first.
    pub fn set_or_new(&mut self, key: &[u8], first: &[u8], count: usize) -> Result<Set<'_, 'g>, Refusal> {
        let of_integers = integer(first).is_some() && count <= self.shapes().intset_entries();
        let mut set = self.set_or_empty(key, of_integers)?;
        set.expect_count(count)?;
        Ok(set)
    }

    /// A key's set, which may be empty so far.
    pub(super) fn set_or_empty(&mut self, key: &[u8], of_integers: bool) -> Result<Set<'_, 'g>, Refusal> {
        let encoding = if of_integers { Encoding::Integers } else { Encoding::Packed };
        let opened = Handle::open(self, key, Kind::Set, Some(encoding))?;
        opened.map(Set).ok_or(Refusal::WrongType)
    }
}

impl Set<'_, '_> {
    /// Makes it wide at once if as many members as are coming would.
    fn expect_count(&mut self, count: usize) -> Result<(), Stop> {
        let shapes = self.0.txn.shapes();
        let too_many = match self.0.body() {
            Body::Packed(Encoding::Integers, _) => count > shapes.intset_entries(),
            Body::Packed(..) => count > shapes.set().entries,
            Body::Wide(_) => false,
        };
        if too_many { self.widen() } else { Ok(()) }
    }

    pub fn count(&mut self) -> Result<u64, Stop> {
        self.0.len(Packed::count)
    }

    /// Says that these members are going to be looked for.
    pub fn expect<'m>(&mut self, members: impl Iterator<Item = &'m [u8]>) -> Result<(), Stop> {
        self.0.expect(members)
    }

    pub fn contains(&mut self, member: &[u8]) -> Result<bool, Stop> {
        match self.0.body() {
            Body::Packed(encoding, packed) => Ok(find(*encoding, packed, member).is_ok()),
            &Body::Wide(members) => Ok(self.0.txn.member(members, member)?.1.is_some()),
        }
    }

    /// Adds a member; says whether it is new.
    pub fn add(&mut self, member: &[u8]) -> Result<bool, Stop> {
        self.0.txn.spend(0, member.len())?;
        loop {
            let (encoding, place) = match self.0.body() {
                &Body::Wide(places) => {
                    let (row, before) = self.0.txn.member(places, member)?;
                    if before.is_none() {
                        self.0.txn.set(row, Some(members::encode(member, &[])));
                        self.0.grow(places.home, Counters::len(1));
                    }
                    return Ok(before.is_none());
                }
                Body::Packed(encoding, packed) => match find(*encoding, packed, member) {
                    Ok(_) => return Ok(false),
                    Err(place) => (*encoding, place),
                },
            };
            if self.add_packed(encoding, place, member)? {
                return Ok(true);
            }
        }
    }

    /// Adds a member that is not there; false if the set had to be kept in another way first.
    fn add_packed(&mut self, encoding: Encoding, place: usize, member: &[u8]) -> Result<bool, Stop> {
        let (bounds, integers_max) = (self.0.txn.shapes().set(), self.0.txn.shapes().intset_entries());
        let Some(packed) = self.0.packed_mut() else { return Ok(false) };
        let count = packed.count() + 1;
        match (encoding, integer(member)) {
            (Encoding::Integers, Some(value)) => {
                packed.insert(place, &sortable(value));
                if count > integers_max {
                    self.widen()?;
                }
                Ok(true)
            }
            (Encoding::Integers, None) => {
                let texts: Vec<String> = packed.iter().map(text).collect();
                let fits = texts.iter().all(|text| bounds.allow_value(text.as_bytes()));
                if fits && bounds.allow_value(member) && bounds.allow(count, packed.bytes().len()) {
                    let mut packed = Packed::new();
                    texts.iter().for_each(|text| packed.push(text.as_bytes()));
                    self.0.repack(Encoding::Packed, packed);
                } else {
                    self.widen()?;
                }
                Ok(false)
            }
            _ if bounds.allow_value(member) && bounds.allow(count, packed.bytes().len() + member.len()) => {
                packed.push(member);
                Ok(true)
            }
            _ => {
                self.widen()?;
                Ok(false)
            }
        }
    }

    /// Removes a member; says whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> Result<bool, Stop> {
        match self.0.body() {
            Body::Packed(encoding, packed) => {
                let Ok(entry) = find(*encoding, packed, member) else { return Ok(false) };
                if let Some(packed) = self.0.packed_mut() {
                    packed.remove(entry.whole, 1);
                }
                Ok(true)
            }
            &Body::Wide(members) => self.0.remove_member(members, member),
        }
    }

    /// Visits members from a position on: all of them if they are packed.
    pub fn walk<E: From<Stop>>(
        &mut self,
        from: u64,
        each: &mut dyn FnMut(&Found<'_>) -> Result<Flow, E>,
    ) -> Result<(), E> {
        match self.0.body() {
            Body::Packed(encoding, packed) => {
                for entry in packed.iter() {
                    let shown = shown(*encoding, entry);
                    if each(&Found { at: 0, member: &shown, payload: &[] })? == Flow::Stop {
                        break;
                    }
                }
                Ok(())
            }
            &Body::Wide(members) => self.0.walk_members(members, from, each),
        }
    }

    /// A member by chance.
    pub fn random(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        let random = self.0.txn.random();
        match self.0.body() {
            Body::Packed(encoding, packed) => {
                let at = (random % (packed.count() as u64).max(1)) as usize;
                Ok(packed.nth(at).map(|entry| shown(*encoding, packed.body(&entry)).into_owned()))
            }
            &Body::Wide(members) => self.0.random_member(members),
        }
    }

    pub fn random_number(&self) -> u64 {
        self.0.txn.random()
    }

    /// Whether it is kept as integers.
    pub fn is_of_integers(&self) -> bool {
        matches!(self.0.body(), Body::Packed(Encoding::Integers, _))
    }

    pub fn is_packed(&self) -> bool {
        self.0.home().is_none()
    }

    fn widen(&mut self) -> Result<(), Stop> {
        let Body::Packed(encoding, _) = self.0.body() else { return Ok(()) };
        let encoding = *encoding;
        let (members, packed) = self.0.widen();
        for entry in packed.iter() {
            self.0.txn.put_member(members, &shown(encoding, entry), &[])?;
        }
        self.0.begin_with(members.home, packed.count());
        Ok(())
    }
}

/// Where a member is, or else where it belongs.
fn find(encoding: Encoding, packed: &Packed, member: &[u8]) -> Result<Entry, usize> {
    if encoding != Encoding::Integers {
        let found = packed.entries().find(|entry| packed.body(entry) == member);
        return found.ok_or(packed.bytes().len());
    }
    let Some(value) = integer(member) else { return Err(packed.bytes().len()) };
    let wanted = sortable(value);
    let entry =
        |at: usize| Entry { whole: at * STRIDE..(at + 1) * STRIDE, body: at * STRIDE + 1..(at + 1) * STRIDE };
    let (mut low, mut high) = (0, packed.count());
    while low < high {
        let middle = low.midpoint(high);
        match packed.body(&entry(middle)).cmp(&wanted) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Ok(entry(middle)),
        }
    }
    Err(low * STRIDE)
}

/// An integer as bytes that are in its order.
fn sortable(value: i64) -> [u8; 8] {
    (value as u64 ^ 1 << 63).to_be_bytes()
}

fn text(entry: &[u8]) -> String {
    let value = entry.try_into().map_or(0, |bytes| (u64::from_be_bytes(bytes) ^ 1 << 63) as i64);
    value.to_string()
}

/// A member as it is told.
fn shown(encoding: Encoding, entry: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match encoding {
        Encoding::Integers => text(entry).into_bytes().into(),
        _ => entry.into(),
    }
}

//! The payload of a log entry: effects, never commands.
//!
//! `version(1) last_stamp(8) counts effects…`: counts say by how much each space's number of keys
//! changed (that is how DBSIZE stays exact without reading), effects are puts, deletes, what has changed in
//! a large record, and what is to be added to a collection's counters. An entry names each record at most
//! once.

use base::Stamp;
use base::codec::{DecodeError, Reader, Write};

use crate::counters::Counters;
use crate::keys::Space;
use crate::record::Value;
use crate::splice::Splice;

const VERSION: u8 = 2;
const DELETE: u8 = 0;
const PUT: u8 = 1;
const ADD: u8 = 2;
const SPLICE: u8 = 3;

/// What is done to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put(Value),
    Delete,
    /// The counters of a collection become more or less.
    Add(Counters),
}

impl Change {
    /// What two changes do, one after the other.
    pub fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Add(first), Self::Add(second)) => Self::Add(first.plus(second)),
            (Self::Put(base), Self::Add(delta)) => match Counters::decode(&base) {
                Ok(base) => Self::Put(base.plus(delta).encode()),
                // Counters that cannot be read are found by whoever reads them.
                Err(_) => Self::Put(base),
            },
            (_, next) => next,
        }
    }

    /// Bytes of what it brings.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Put(value) => value.len(),
            Self::Delete => 0,
            Self::Add(_) => size_of::<Counters>(),
        }
    }
}

/// By how much the keys of a space became more or fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountDelta {
    pub space: Space,
    pub keys: i64,
    pub expires: i64,
}

impl CountDelta {
    pub fn is_zero(&self) -> bool {
        (self.keys, self.expires) == (0, 0)
    }
}

/// Adds a delta to a list that holds each space once.
pub fn merge_count(counts: &mut Vec<CountDelta>, delta: CountDelta) {
    match counts.iter_mut().find(|c| c.space == delta.space) {
        Some(found) => {
            found.keys += delta.keys;
            found.expires += delta.expires;
        }
        None => counts.push(delta),
    }
}

/// Builds an entry's payload.
pub struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    /// `size_bytes` is a guess of the final size.
    pub fn new(last: Stamp, counts: &[CountDelta], size_bytes: usize) -> Self {
        let mut out = Vec::with_capacity(size_bytes + 16 + counts.len() * 8);
        out.push(VERSION);
        out.put_u64(last.0);
        out.put_varint(counts.len() as u64);
        for count in counts {
            out.put_varint(u64::from(count.space.0));
            out.put_zigzag(count.keys);
            out.put_zigzag(count.expires);
        }
        Self { out }
    }

    pub fn effect(&mut self, key: &[u8], change: &Change) {
        match change {
            Change::Put(value) => {
                self.out.push(PUT);
                self.out.put_bytes(key);
                self.out.put_bytes(value);
            }
            Change::Delete => {
                self.out.push(DELETE);
                self.out.put_bytes(key);
            }
            Change::Add(delta) => {
                self.out.push(ADD);
                self.out.put_bytes(key);
                self.out.put_bytes(&delta.encode());
            }
        }
    }

    /// What has changed in a record.
    pub fn splice(&mut self, key: &[u8], splice: &Splice<'_>) {
        self.out.push(SPLICE);
        self.out.put_bytes(key);
        splice.encode(&mut self.out);
    }

    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// An entry's payload, read one effect at a time.
pub struct Entry<'a> {
    pub last: Stamp,
    pub counts: Vec<CountDelta>,
    rest: Reader<'a>,
}

/// What an entry does to one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect<'a> {
    pub key: &'a [u8],
    pub act: Act<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act<'a> {
    Put(&'a [u8]),
    Delete,
    /// To counters.
    Add(&'a [u8]),
    Splice(Splice<'a>),
}

impl<'a> Entry<'a> {
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = Reader::new(payload);
        match rest.u8()? {
            VERSION => {}
            other => return Err(DecodeError::Tag(other)),
        }
        let last = Stamp(rest.u64()?);
        let mut counts = Vec::new();
        for _ in 0..rest.varint()? {
            let space = u32::try_from(rest.varint()?).map_err(|_| DecodeError::Overflow)?;
            counts.push(CountDelta { space: Space(space), keys: rest.zigzag()?, expires: rest.zigzag()? });
        }
        Ok(Self { last, counts, rest })
    }

    /// Where in the payload the next effect begins.
    pub fn position(&self, payload: &[u8]) -> u32 {
        (payload.len() - self.rest.len()) as u32
    }
}

/// The effect at a position that [`Entry::position`] gave, which has been read before.
pub fn at(payload: &[u8], position: u32) -> Effect<'_> {
    let rest = payload.get(position as usize..).unwrap_or_default();
    read(&mut Reader::new(rest)).unwrap_or(Effect { key: &[], act: Act::Delete })
}

fn read<'a>(rest: &mut Reader<'a>) -> Result<Effect<'a>, DecodeError> {
    let tag = rest.u8()?;
    let key = rest.bytes()?;
    let act = match tag {
        DELETE => Act::Delete,
        PUT => Act::Put(rest.bytes()?),
        ADD => Act::Add(rest.bytes()?),
        SPLICE => Act::Splice(Splice::decode(rest)?),
        other => return Err(DecodeError::Tag(other)),
    };
    Ok(Effect { key, act })
}

impl<'a> Iterator for Entry<'a> {
    type Item = Result<Effect<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let effect = read(&mut self.rest);
        if effect.is_err() {
            self.rest = Reader::new(&[]);
        }
        Some(effect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            any::<Vec<u8>>().prop_map(|value| Change::Put(value.into())),
            Just(Change::Delete),
            any::<(i64, i64, i64)>().prop_map(|(len, head, removed)| Change::Add(Counters {
                len,
                head,
                removed
            })),
        ]
    }

    fn decoded(effect: Effect<'_>) -> (Vec<u8>, Change) {
        let change = match effect.act {
            Act::Add(delta) => Change::Add(Counters::decode(delta).unwrap()),
            Act::Put(value) => Change::Put(value.into()),
            Act::Delete => Change::Delete,
            Act::Splice(_) => unreachable!("none was encoded"),
        };
        (effect.key.to_vec(), change)
    }

    proptest! {
        #[test]
        fn entries_decode(
            stamp: u64,
            deltas: Vec<(u32, i64, i64)>,
            effects in prop::collection::vec((any::<Vec<u8>>(), change()), 0..20),
        ) {
            let counts: Vec<_> = deltas
                .iter()
                .map(|&(space, keys, expires)| CountDelta { space: Space(space), keys, expires })
                .collect();
            let mut encoder = Encoder::new(Stamp(stamp), &counts, 0);
            for (key, change) in &effects {
                encoder.effect(key, change);
            }
            let payload = encoder.finish();
            let entry = Entry::decode(&payload).unwrap();
            prop_assert_eq!(entry.last, Stamp(stamp));
            prop_assert_eq!(&entry.counts, &counts);
            let read: Vec<_> = entry.map(|effect| decoded(effect.unwrap())).collect();
            prop_assert_eq!(&read, &effects);
            let mut entry = Entry::decode(&payload).unwrap();
            let mut position = entry.position(&payload);
            while let Some(effect) = entry.next() {
                prop_assert_eq!(at(&payload, position), effect.unwrap());
                position = entry.position(&payload);
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            if let Ok(entry) = Entry::decode(&bytes) {
                for effect in entry {
                    let _ = effect;
                }
            }
        }
    }

    #[test]
    fn changes_of_one_record_add_up() {
        let add = |len| Change::Add(Counters::len(len));
        let put = |len| Change::Put(Counters::len(len).encode());
        assert_eq!(add(2).then(add(-5)), add(-3));
        assert_eq!(put(2).then(add(3)), put(5));
        assert_eq!(add(2).then(put(7)), put(7));
        assert_eq!(put(2).then(Change::Delete), Change::Delete);
        assert_eq!(Change::Delete.then(put(1)), put(1));
    }
}

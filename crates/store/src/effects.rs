//! The payload of a log entry: effects, never commands. Replicas apply it without reading anything.
//!
//! `version(1) last_stamp(8) counts effects…`: counts say by how much each space's number of keys
//! changed (that is how DBSIZE stays exact without reading), effects are puts and deletes. An entry
//! names each record at most once.

use base::Stamp;
use base::codec::{DecodeError, Reader, Write};

use crate::keys::Space;

const VERSION: u8 = 1;
const DELETE: u8 = 0;
const PUT: u8 = 1;

/// By how much the keys of a space became more or fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountDelta {
    pub space: Space,
    pub keys: i64,
    pub expires: i64,
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

    pub fn effect(&mut self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => {
                self.out.push(PUT);
                self.out.put_bytes(key);
                self.out.put_bytes(value);
            }
            None => {
                self.out.push(DELETE);
                self.out.put_bytes(key);
            }
        }
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

/// One put or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
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
    read(&mut Reader::new(rest)).unwrap_or(Effect { key: &[], value: None })
}

fn read<'a>(rest: &mut Reader<'a>) -> Result<Effect<'a>, DecodeError> {
    match rest.u8()? {
        DELETE => Ok(Effect { key: rest.bytes()?, value: None }),
        PUT => Ok(Effect { key: rest.bytes()?, value: Some(rest.bytes()?) }),
        other => Err(DecodeError::Tag(other)),
    }
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

    type Raw = Vec<(Vec<u8>, Option<Vec<u8>>)>;

    proptest! {
        #[test]
        fn entries_decode(stamp: u64, deltas: Vec<(u32, i64, i64)>, effects: Raw) {
            let counts: Vec<_> = deltas
                .iter()
                .map(|&(space, keys, expires)| CountDelta { space: Space(space), keys, expires })
                .collect();
            let mut encoder = Encoder::new(Stamp(stamp), &counts, 0);
            for (key, value) in &effects {
                encoder.effect(key, value.as_deref());
            }
            let payload = encoder.finish();
            let entry = Entry::decode(&payload).unwrap();
            prop_assert_eq!(entry.last, Stamp(stamp));
            prop_assert_eq!(&entry.counts, &counts);
            let decoded: Raw = entry
                .map(|e| e.map(|e| (e.key.to_vec(), e.value.map(<[u8]>::to_vec))).unwrap())
                .collect();
            prop_assert_eq!(&decoded, &effects);
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
}

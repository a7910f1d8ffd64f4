//! What a token holds, as bytes. Numbers are LEB128; sets of slots are ranges, or a bitmap if that is shorter.
//!
//! Whatever is read comes from this service, as its MAC says, but perhaps from another version of it: so
//! nothing of it is trusted to be whole.

use super::limits::{HALVES_MAX, ID_BYTES_MAX, TARGETS_MAX};
use super::progress::{Half, Part, Place, Progress, Walk};
use crate::names::KEY_BYTES_MAX;
use crate::store::{NodeId, SlotSet};
use base::slot::SLOTS;
use bytes::Bytes;
use std::str;

const BITMAP_BYTES: usize = (SLOTS / 8) as usize;

/// A set begins with this, and its bitmap; or with one more than the number of its ranges.
const BITMAP: u64 = 0;

pub(super) fn write(out: &mut Vec<u8>, atespace: &str, progress: &Progress) {
    text(out, atespace);
    set(out, &progress.done);
    number(out, progress.halves.len() as u64);
    for half in &progress.halves {
        text(out, half.source.as_str());
        number(out, half.source_epoch);
        text(out, half.target.as_str());
        set(out, &half.slots);
    }
    number(out, u64::from(progress.walk.is_some()));
    if let Some(walk) = &progress.walk {
        text(out, walk.node.as_str());
        text(out, &walk.run);
        number(out, walk.epoch);
        number(out, u64::from(walk.positions));
        place(out, &walk.place);
        set(out, &walk.slots);
        number(out, walk.leaving.len() as u64);
        for (target, slots) in &walk.leaving {
            text(out, target.as_str());
            set(out, slots);
        }
    }
}

fn place(out: &mut Vec<u8>, place: &Place) {
    number(out, place.cursor);
    number(out, u64::from(place.part.is_some()));
    if let Some(part) = &place.part {
        number(out, u64::from(part.count));
        number(out, part.end);
        bytes(out, &part.after);
    }
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    number(out, value.len() as u64);
    out.extend(value);
}

fn text(out: &mut Vec<u8>, value: &str) {
    bytes(out, value.as_bytes());
}

fn set(out: &mut Vec<u8>, slots: &SlotSet) {
    let mut ranges = Vec::new();
    let all = slots.ranges();
    number(&mut ranges, all.len() as u64 + 1);
    let mut end = 0;
    for (first, last) in all {
        number(&mut ranges, u64::from(first - end));
        number(&mut ranges, u64::from(last - first));
        end = last;
    }
    if ranges.len() <= BITMAP_BYTES {
        out.extend(ranges);
        return;
    }
    number(out, BITMAP);
    let mut bitmap = [0u8; BITMAP_BYTES];
    for slot in slots.iter() {
        if let Some(byte) = bitmap.get_mut(usize::from(slot / 8)) {
            *byte |= 1 << (slot % 8);
        }
    }
    out.extend(bitmap);
}

/// The atespace and the progress. `None`: they are not there in full, or there is more.
pub(super) fn read(payload: &[u8]) -> Option<(&str, Progress)> {
    let mut reader = Reader { rest: payload };
    let atespace = str::from_utf8(reader.bytes(KEY_BYTES_MAX)?).ok()?;
    let done = reader.set()?;
    let halves = reader.list(HALVES_MAX, |reader| {
        let (source, source_epoch) = (reader.node()?, reader.number()?);
        Some(Half { source, source_epoch, target: reader.node()?, slots: reader.set()? })
    })?;
    let walk = reader.list(1, |reader| {
        Some(Walk {
            node: reader.node()?,
            run: reader.id()?.into(),
            epoch: reader.number()?,
            positions: reader.number()? != 0,
            place: reader.place()?,
            slots: reader.set()?,
            leaving: reader.list(TARGETS_MAX, |reader| Some((reader.node()?, reader.set()?)))?,
        })
    })?;
    reader.rest.is_empty().then_some((atespace, Progress { done, halves, walk: walk.into_iter().next() }))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let &[byte] = self.take(1)? else { return None };
            let bits = u64::from(byte & 0x7f);
            // What does not fit is no number of ours.
            value |= bits.checked_mul(1 << shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self, bytes_max: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok().filter(|&length| length <= bytes_max)?;
        self.take(length)
    }

    fn id(&mut self) -> Option<&'a str> {
        str::from_utf8(self.bytes(ID_BYTES_MAX)?).ok()
    }

    fn node(&mut self) -> Option<NodeId> {
        self.id().map(NodeId::new)
    }

    fn list<T>(&mut self, count_max: usize, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::try_from(self.number()?).ok().filter(|&count| count <= count_max)?;
        (0..count).map(|_| item(self)).collect()
    }

    fn place(&mut self) -> Option<Place> {
        let cursor = self.number()?;
        let part = self.list(1, |reader| {
            let count = u32::try_from(reader.number()?).ok()?;
            let (end, after) = (reader.number()?, reader.bytes(KEY_BYTES_MAX)?);
            Some(Part { count, end, after: Bytes::copy_from_slice(after) })
        })?;
        Some(Place { cursor, part: part.into_iter().next() })
    }

    fn set(&mut self) -> Option<SlotSet> {
        let count = self.number()?;
        let mut slots = SlotSet::new();
        if count == BITMAP {
            for (index, byte) in (0..SLOTS / 8).zip(self.take(BITMAP_BYTES)?) {
                (0..8).filter(|bit| byte >> bit & 1 == 1).for_each(|bit| slots.insert(index * 8 + bit));
            }
            return Some(slots);
        }
        let mut end = 0u16;
        for _ in 1..count.min(u64::from(SLOTS)) {
            let first = end.checked_add(u16::try_from(self.number()?).ok()?)?;
            let last = first.checked_add(u16::try_from(self.number()?).ok()?)?;
            if last >= SLOTS {
                return None;
            }
            slots.insert_range(first..=last);
            end = last;
        }
        Some(slots)
    }
}

//! Ids of entries, and what replies say of entries.

use crate::queues::element;
use crate::reply::printable;
use crate::{Reply, Result};
use std::fmt;

pub type Element = u64;

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u64, pub u64);

impl EntryId {
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        let id = text.split_once('-').and_then(|(ms, seq)| Some(Self(ms.parse().ok()?, seq.parse().ok()?)));
        id.ok_or_else(|| format!("{} is no id of an entry", printable(bytes)).into())
    }

    pub fn of(reply: &Reply) -> Result<Self> {
        Self::parse(reply.bytes().ok_or_else(|| format!("{reply:?} is no id of an entry"))?)
    }

    pub fn next(self) -> Self {
        Self(self.0, self.1 + 1)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The name of the field that all entries have.
pub const FIELD: &str = "e";

/// An entry with the element in it.
pub fn whole(reply: &Reply) -> Result<(EntryId, Element)> {
    let wrong = || format!("{reply:?} is no entry of ours");
    let Some([id, fields]) = reply.items() else { return Err(wrong().into()) };
    match fields.items() {
        Some([field, value]) if field.bytes() == Some(FIELD.as_bytes()) => {
            Ok((EntryId::of(id)?, element::parse(value.bytes().ok_or_else(wrong)?)?))
        }
        _ => Err(wrong().into()),
    }
}

/// A list of entries.
pub fn wholes(reply: &Reply) -> Result<Vec<(EntryId, Element)>> {
    reply.items().ok_or_else(|| format!("{reply:?} is no list of entries"))?.iter().map(whole).collect()
}

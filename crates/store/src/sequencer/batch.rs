//! The open batch, and what becomes of it: log entries.

use base::Stamp;
use bytes::Bytes;

use crate::effects::{Change, CountDelta, Encoder};
use crate::parts;
use crate::record::{RowKey, Value};
use crate::splice::Splice;

/// The open batch: the last effect of every record written since the previous one was closed.
#[derive(Default)]
pub(super) struct OpenBatch {
    pub(super) id: u64,
    pub(super) effects: Vec<(RowKey, Change)>,
    /// What large records held before the batch, by their place among the effects, in order.
    pub(super) bases: Vec<(u32, Value)>,
    pub(super) counts: Vec<CountDelta>,
    /// What it holds in memory, with the bases.
    pub(super) bytes: usize,
    pub(super) last: Stamp,
    pub(super) transactions: u64,
}

/// A closed batch on its way to consensus: one log entry, or several if it is larger than one may
/// be. It is committed with the last of them.
pub struct Batch {
    pub epoch: u64,
    pub last: Stamp,
    pub transactions: u64,
    pub effects: usize,
    pub entries: Vec<Bytes>,
    pub bytes: usize,
}

impl OpenBatch {
    /// Keeps what a record held before the batch until the batch is encoded.
    pub(super) fn keep_base(&mut self, at: u32, base: Value) {
        self.bytes += base.len();
        self.bases.push((at, base));
    }

    /// Outside the section: copying a batch takes time.
    pub(super) fn encode(&self, epoch: u64) -> Batch {
        let splices = self.splices();
        let saved: usize = splices.iter().map(|(_, splice)| splice.saves()).sum();
        let bases: usize = self.bases.iter().map(|(_, base)| base.len()).sum();
        let size = self.bytes.saturating_sub(saved + bases) + self.effects.len() * 8 + 64;
        let mut encoder = Encoder::new(self.last, &self.counts, size);
        let mut splices = splices.iter().peekable();
        for ((key, change), at) in self.effects.iter().zip(0..) {
            match splices.next_if(|splice| splice.0 == at) {
                Some((_, splice)) => encoder.splice(key, splice),
                None => encoder.effect(key, change),
            }
        }
        let payload = encoder.finish();
        let (transactions, effects) = (self.transactions, self.effects.len());
        let bytes = payload.len();
        let entries = parts::split(payload, self.last);
        Batch { epoch, last: self.last, transactions, effects, entries, bytes }
    }

    /// Which effects are said as what has changed.
    fn splices(&self) -> Vec<(u32, Splice<'_>)> {
        let splice = |(at, base): &(u32, Value)| match self.effects.get(*at as usize) {
            Some((_, Change::Put(value))) => Some((*at, Splice::between(base, value)?)),
            _ => None,
        };
        self.bases.iter().filter_map(splice).collect()
    }
}

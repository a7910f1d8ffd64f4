//! Removing entries: one by its key, or many by their ranks, leaf by leaf.

use std::ops::Range;

use base::codec::DecodeError;

use super::edit::{Change, Edit};
use super::insert::sides;
use super::{Descent, NodeId, Nodes, Tree, leaf};

/// Entries to be cut out of a leaf.
struct Cut {
    range: Range<usize>,
    entries: usize,
    /// Entries that stay.
    left: usize,
}

impl<N: Nodes> Tree<'_, N> {
    /// Removes an entry; says whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> Result<bool, N::Error> {
        let Some(mut descent) = self.descend_to_key(key)? else { return Ok(false) };
        let place = self.checked(NodeId::node(descent.number), leaf::search(&descent.leaf, key))?;
        if place.is_found {
            let left = self.leaf_count(&mut descent)?.saturating_sub(1);
            let cut = Cut { range: place.range, entries: 1, left };
            self.cut_out(descent, &cut)?;
        }
        Ok(place.is_found)
    }

    /// Removes the entries of these ranks, telling each of them in order; says how many there were.
    pub fn remove_range(&mut self, ranks: Range<u64>, mut told: impl FnMut(&[u8])) -> Result<u64, N::Error> {
        let wanted = ranks.end.saturating_sub(ranks.start);
        let mut removed = 0;
        while removed < wanted {
            let Some((descent, skip)) = self.descend_to_rank(ranks.start)? else { break };
            let cut = select(&descent.leaf, skip, wanted - removed, &mut told);
            let cut = self.checked(NodeId::node(descent.number), cut)?;
            if cut.entries == 0 {
                self.beyond(&descent)?;
                break;
            }
            removed += cut.entries as u64;
            self.cut_out(descent, &cut)?;
        }
        Ok(removed)
    }

    fn cut_out(&mut self, descent: Descent, cut: &Cut) -> Result<(), N::Error> {
        let Descent { path, number, leaf } = descent;
        let id = NodeId::node(number);
        let change = if leaf.len() - cut.range.len() == leaf::HEADER {
            self.nodes.remove(id);
            Change::Gone
        } else {
            let (before, _) = sides(&leaf, cut.range.start);
            let (_, after) = sides(&leaf, cut.range.end);
            leaf::put_together(&mut self.out, before, None, after);
            let is_small = self.shape.leaf_is_small(cut.left as u64, self.out.len());
            self.write_out(id);
            if is_small { Change::Small } else { Change::Count }
        };
        let delta = i64::try_from(cut.entries).unwrap_or(i64::MAX);
        Edit::new(self, path, -delta).settle(change)
    }
}

/// Finds at most so many entries of a leaf after the first ones, and tells them.
fn select(record: &[u8], skip: u64, take: u64, told: &mut impl FnMut(&[u8])) -> Result<Cut, DecodeError> {
    let mut cut = Cut { range: record.len()..record.len(), entries: 0, left: 0 };
    let mut entries = leaf::Entries::of(record)?;
    let mut first = None;
    while let Some(item) = entries.next()? {
        if (cut.left as u64) < skip || cut.entries as u64 >= take {
            cut.left += 1;
            continue;
        }
        first.get_or_insert_with(|| item.clone());
        cut.range.end = item.end;
        cut.entries += 1;
    }
    // All are decoded before any is told.
    let Some(first) = first else { return Ok(cut) };
    cut.range.start = first.start;
    let mut told_from = leaf::Entries::from(record, first.start);
    for _ in 0..cut.entries {
        told_from.next()?.into_iter().for_each(|item| told(item.bytes));
    }
    Ok(cut)
}

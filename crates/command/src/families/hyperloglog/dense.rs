//! Registers of six bits each, one behind the other from the lowest bit on: four of them take three
//! bytes.

use super::sketch::REGISTERS;

pub(super) const BITS: usize = 6;
pub(super) const BYTES: usize = REGISTERS * BITS / 8;
const MASK: u32 = (1 << BITS) - 1;

pub(super) fn registers(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let (groups, _) = bytes.as_chunks::<3>();
    groups.iter().flat_map(|group| [0, 1, 2, 3].map(|nth| get(*group, nth)))
}

/// Raises a register; says whether it was lower.
pub(super) fn raise(bytes: &mut [u8], index: usize, rank: u8) -> bool {
    let (groups, _) = bytes.as_chunks_mut::<3>();
    let Some(group) = groups.get_mut(index / 4) else { return false };
    let is_lower = get(*group, index % 4) < rank;
    if is_lower {
        *group = set(*group, index % 4, rank);
    }
    is_lower
}

fn get(group: [u8; 3], nth: usize) -> u8 {
    (number(group) >> (nth * BITS) & MASK) as u8
}

fn set(group: [u8; 3], nth: usize, rank: u8) -> [u8; 3] {
    let shift = nth * BITS;
    let [a, b, c, _] = (number(group) & !(MASK << shift) | u32::from(rank) << shift).to_le_bytes();
    [a, b, c]
}

fn number([a, b, c]: [u8; 3]) -> u32 {
    u32::from_le_bytes([a, b, c, 0])
}

//! How records lie in a segment.
//!
//! A record is a header of 32 bytes, the payload, and zeros up to a multiple of 8. The header's
//! checksum covers the segment's sequence number and the record's offset, which are not stored: what
//! an earlier life of a recycled file left behind never passes for a record of this one.
//!
//! `synced` is the position in the whole log below which everything was durable when the record was
//! written. It is what tells a torn tail from corruption: a bad record at P is a torn write exactly
//! if no record anywhere says that P was durable.

use base::codec::{DecodeError, Reader, Write as _};
use bytes::Bytes;
use crc32fast::Hasher;

use crate::ledger::Ledger;

pub(crate) const FORMAT_VERSION: u8 = 1;
pub(crate) const HEADER_BYTES: usize = 32;
pub(crate) const ALIGN: u64 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Opens each segment: `index` is its position in the log, the payload all groups' ledgers.
    Checkpoint = 1,
    Entry = 2,
    /// The group's entries above `index` are gone.
    Truncate = 3,
    /// All of the group's entries are gone.
    Clear = 4,
    Purge = 5,
    State = 6,
    /// Says only `synced`.
    Mark = 7,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Checkpoint,
            2 => Self::Entry,
            3 => Self::Truncate,
            4 => Self::Clear,
            5 => Self::Purge,
            6 => Self::State,
            7 => Self::Mark,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) group: u16,
    pub(crate) len: u32,
    pub(crate) payload_crc: u32,
    pub(crate) index: u64,
    pub(crate) synced: u64,
}

/// What 32 bytes at some place of a segment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Not a header written at this place in this life of the file.
    Invalid,
    /// A header, but of another format.
    Unsupported(u8),
    Valid(Header),
}

impl Header {
    pub(crate) fn new(kind: Kind, group: u16, index: u64, synced: u64, payload: &[u8]) -> Self {
        // Callers have checked the payload against its bound, which is far below 4 GiB.
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        Self { kind, group, len, payload_crc: crc32fast::hash(payload), index, synced }
    }

    pub(crate) fn encode(&self, seq: u64, offset: u64) -> [u8; HEADER_BYTES] {
        let mut out = [0u8; HEADER_BYTES];
        let (crc, rest) = out.split_at_mut(4);
        rest[0] = FORMAT_VERSION;
        rest[1] = self.kind as u8;
        rest[2..4].copy_from_slice(&self.group.to_le_bytes());
        rest[4..8].copy_from_slice(&self.len.to_le_bytes());
        rest[8..12].copy_from_slice(&self.payload_crc.to_le_bytes());
        rest[12..20].copy_from_slice(&self.index.to_le_bytes());
        rest[20..28].copy_from_slice(&self.synced.to_le_bytes());
        crc.copy_from_slice(&checksum(rest, seq, offset).to_le_bytes());
        out
    }

    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES], seq: u64, offset: u64) -> Parsed {
        let (crc, rest) = bytes.split_at(4);
        // The version is never 0, so that zeros are told without a checksum.
        if rest[0] == 0 || crc != checksum(rest, seq, offset).to_le_bytes() {
            return Parsed::Invalid;
        }
        let kind = Kind::from_byte(rest[1]);
        let (FORMAT_VERSION, Some(kind)) = (rest[0], kind) else {
            return Parsed::Unsupported(rest[0]);
        };
        Parsed::Valid(Self {
            kind,
            group: u16::from_le_bytes(field(rest, 2)),
            len: u32::from_le_bytes(field(rest, 4)),
            payload_crc: u32::from_le_bytes(field(rest, 8)),
            index: u64::from_le_bytes(field(rest, 12)),
            synced: u64::from_le_bytes(field(rest, 20)),
        })
    }

    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.len as usize && crc32fast::hash(payload) == self.payload_crc
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn checksum(rest: &[u8], seq: u64, offset: u64) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&seq.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(rest);
    hasher.finalize()
}

/// Bytes that a record takes in its segment.
pub(crate) fn record_bytes(payload_len: usize) -> u64 {
    (HEADER_BYTES as u64 + payload_len as u64).next_multiple_of(ALIGN)
}

/// The payload of a segment's first record: every group as it was when the segment began, so that
/// older segments can go.
pub(crate) fn encode_checkpoint<'a>(groups: impl ExactSizeIterator<Item = (&'a u16, &'a Ledger)>) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(u32::try_from(groups.len()).unwrap_or(u32::MAX));
    for (&group, ledger) in groups {
        out.put_u16(group);
        out.push(u8::from(ledger.state.is_some()) | u8::from(ledger.purged.is_some()) << 1);
        if let Some(state) = &ledger.state {
            out.put_bytes(state);
        }
        if let Some((index, meta)) = &ledger.purged {
            out.put_u64(*index);
            out.put_bytes(meta);
        }
        // An empty group is written as first > last: the length must not depend on the entries.
        let (first, last) = ledger.bounds().unwrap_or((1, 0));
        out.put_u64(first);
        out.put_u64(last);
    }
    out
}

/// At most so many bytes, whatever the groups' entries are.
pub(crate) fn checkpoint_bytes<'a>(groups: impl Iterator<Item = &'a Ledger>) -> u64 {
    let per_group = |ledger: &Ledger| {
        let state = ledger.state.as_ref().map_or(0, |state| state.len() + 10);
        let purged = ledger.purged.as_ref().map_or(0, |(_, meta)| meta.len() + 18);
        2 + 1 + state + purged + 16
    };
    record_bytes(4 + groups.map(per_group).sum::<usize>())
}

pub(crate) fn decode_checkpoint(payload: &[u8]) -> Result<Vec<(u16, Ledger)>, DecodeError> {
    let mut reader = Reader::new(payload);
    let count = reader.u32()?;
    let mut groups = Vec::new();
    for _ in 0..count {
        let group = reader.u16()?;
        let flags = reader.u8()?;
        if flags > 3 {
            return Err(DecodeError::Tag(flags));
        }
        let state = if flags & 1 != 0 { Some(Bytes::copy_from_slice(reader.bytes()?)) } else { None };
        let purged = if flags & 2 != 0 {
            Some((reader.u64()?, Bytes::copy_from_slice(reader.bytes()?)))
        } else {
            None
        };
        let (first, last) = (reader.u64()?, reader.u64()?);
        groups.push((group, Ledger::unlocated(state, purged, first, last)));
    }
    reader.finish()?;
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header::new(Kind::Entry, 7, 42, 4096, b"payload")
    }

    #[test]
    fn a_header_comes_back() {
        let bytes = header().encode(3, 800);
        assert_eq!(Header::parse(&bytes, 3, 800), Parsed::Valid(header()));
        assert!(header().matches(b"payload"));
        assert!(!header().matches(b"Payload") && !header().matches(b"payloa"));
    }

    /// Format 1, as it is on disks.
    #[test]
    fn the_format_stays_as_it_is() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(&header().encode(3, 800)),
            "70c648cb0102070007000000156a2c422a000000000000000010000000000000"
        );
        let ledger = Ledger::unlocated(Some(Bytes::from("vote")), Some((6, Bytes::from("meta"))), 7, 9);
        let groups = std::collections::BTreeMap::from([(1, Ledger::default()), (9, ledger)]);
        let checkpoint = concat!(
            "00000002",
            "000100",
            "00000000000000010000000000000000",
            "000903",
            "04766f7465",
            "0000000000000006046d657461",
            "00000000000000070000000000000009"
        );
        assert_eq!(hex(&encode_checkpoint(groups.iter())), checkpoint);
    }

    #[test]
    fn a_header_of_another_life_or_place_is_invalid() {
        let bytes = header().encode(3, 800);
        assert_eq!(Header::parse(&bytes, 4, 800), Parsed::Invalid);
        assert_eq!(Header::parse(&bytes, 3, 808), Parsed::Invalid);
        assert_eq!(Header::parse(&[0; HEADER_BYTES], 0, 0), Parsed::Invalid);
    }

    #[test]
    fn each_flipped_bit_is_noticed() {
        let bytes = header().encode(3, 800);
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::parse(&flipped, 3, 800), Parsed::Invalid, "bit {bit}");
        }
    }

    #[test]
    fn another_format_is_told_from_damage() {
        let mut bytes = header().encode(3, 800);
        bytes[4] = 9;
        let crc = checksum(&bytes[4..], 3, 800).to_le_bytes();
        bytes[..4].copy_from_slice(&crc);
        assert_eq!(Header::parse(&bytes, 3, 800), Parsed::Unsupported(9));
    }

    #[test]
    fn a_checkpoint_comes_back_within_its_bound() {
        let mut full = Ledger::unlocated(Some(Bytes::from("vote")), Some((6, Bytes::from("meta"))), 7, 9);
        let groups = std::collections::BTreeMap::from([(0, Ledger::default()), (9, full.clone())]);
        let payload = encode_checkpoint(groups.iter());
        assert!(record_bytes(payload.len()) <= checkpoint_bytes(groups.values()));
        let back = decode_checkpoint(&payload).unwrap();
        assert_eq!(back.len(), 2);
        assert_eq!(back[0].1.bounds(), None);
        assert_eq!((back[1].0, back[1].1.bounds()), (9, full.bounds()));
        assert_eq!(back[1].1.state, full.state);
        full.truncate(None);
        for cut in 0..payload.len() {
            assert!(decode_checkpoint(&payload[..cut]).is_err(), "cut at {cut}");
        }
    }
}

//! The value itself: a header, and registers in one of two encodings.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `HYLL` |
//! | 1 | the encoding: 0 dense, 1 sparse |
//! | 3 | nothing |
//! | 8 | the last estimate, little-endian; its highest bit says that it holds no more |
//! | … | the registers: see [`dense`] and [`sparse`] |
//!
//! Clients may write such strings byte by byte. What is wrong with the registers is found when they are
//! walked over.

use super::estimate::{Histogram, estimate};
use super::sparse::{Raised, Run};
use super::{dense, hash, sparse};
use crate::error::{Error, Result};

pub(super) const CORRUPT: Error = Error::line("INVALIDOBJ Corrupted HLL object detected");

pub(super) const REGISTERS: usize = 1 << 14;
pub(super) const HEADER_BYTES: usize = 16;
const MAGIC: [u8; 4] = *b"HYLL";
const ENCODING_AT: usize = 4;
const ESTIMATE_AT: usize = 8;
const ESTIMATE_IS_OLD: u64 = 1 << 63;
const DENSE_BYTES: usize = HEADER_BYTES + dense::BYTES;
/// A longer one becomes dense: Redis' `hll-sparse-max-bytes`.
pub(super) const SPARSE_BYTES_MAX: usize = 3000;

/// The rank of every register.
pub(super) type Ranks = [u8; REGISTERS];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) is_sparse: bool,
    /// The last estimate, if it still holds.
    estimate: Option<u64>,
}

impl Header {
    /// The header of a string of `len` bytes, if it is one.
    pub(super) fn parse(bytes: &[u8], len: u64) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<{ MAGIC.len() }>()?;
        let (&[encoding, ..], rest) = rest.split_first_chunk::<4>()?;
        let (estimate, _) = rest.split_first_chunk::<8>()?;
        let is_sparse = match encoding {
            0 if len == DENSE_BYTES as u64 => false,
            1 => true,
            _ => return None,
        };
        let estimate = u64::from_le_bytes(*estimate);
        let estimate = (estimate & ESTIMATE_IS_OLD == 0).then_some(estimate);
        (*magic == MAGIC).then_some(Self { is_sparse, estimate })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sketch {
    header: Header,
    bytes: Vec<u8>,
}

impl Sketch {
    /// One without elements.
    pub(super) fn new() -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        Run::zeros(REGISTERS).encode(&mut bytes);
        let header = Header { is_sparse: true, estimate: Some(0) };
        Self::with_header(header, bytes)
    }

    pub(super) fn parse(bytes: Vec<u8>) -> Option<Self> {
        Header::parse(&bytes, bytes.len() as u64).map(|header| Self { header, bytes })
    }

    fn with_header(header: Header, mut bytes: Vec<u8>) -> Self {
        for (byte, new) in bytes.iter_mut().zip(MAGIC) {
            *byte = new;
        }
        if let Some(encoding) = bytes.get_mut(ENCODING_AT) {
            *encoding = u8::from(header.is_sparse);
        }
        Self { header, bytes }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_sparse(&self) -> bool {
        self.header.is_sparse
    }

    /// Adds an element; says whether a register was raised.
    pub(super) fn add(&mut self, element: &[u8]) -> Result<bool> {
        let (index, rank) = hash::place(element);
        self.raise(index, rank)
    }

    /// Raises a register; says whether it was lower.
    pub(super) fn raise(&mut self, index: usize, rank: u8) -> Result<bool> {
        if self.is_sparse() {
            let raised = match rank {
                0..=sparse::RANK_MAX => {
                    sparse::raise(&mut self.bytes, HEADER_BYTES, index, rank, SPARSE_BYTES_MAX)
                }
                _ => Raised::TooLong,
            };
            match raised {
                Raised::Not => return Ok(false),
                Raised::Yes => return Ok(true),
                Raised::Corrupt => return Err(CORRUPT),
                Raised::TooLong => self.make_dense()?,
            }
        }
        let registers = self.bytes.get_mut(HEADER_BYTES..).unwrap_or_default();
        Ok(dense::raise(registers, index, rank))
    }

    pub(super) fn make_dense(&mut self) -> Result<()> {
        if !self.is_sparse() {
            return Ok(());
        }
        let mut bytes = self.bytes.get(..HEADER_BYTES).unwrap_or_default().to_vec();
        bytes.resize(DENSE_BYTES, 0);
        let registers = bytes.get_mut(HEADER_BYTES..).unwrap_or_default();
        self.each_run(|start, run| {
            for index in start..start + run.len() {
                dense::raise(registers, index, run.rank());
            }
        })?;
        *self = Self::with_header(Header { is_sparse: false, ..self.header }, bytes);
        Ok(())
    }

    /// The last estimate, if it still holds.
    pub(super) fn remembered(&self) -> Option<i64> {
        self.header.estimate.map(|estimate| estimate as i64)
    }

    pub(super) fn remember(&mut self, estimate: i64) {
        self.set_estimate(estimate as u64);
    }

    /// The last estimate holds no more.
    pub(super) fn forget(&mut self) {
        let place = self.bytes.get(ESTIMATE_AT..).and_then(|bytes| bytes.first_chunk::<8>());
        let old = place.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        self.set_estimate(old | ESTIMATE_IS_OLD);
    }

    fn set_estimate(&mut self, estimate: u64) {
        self.header.estimate = (estimate & ESTIMATE_IS_OLD == 0).then_some(estimate);
        let place = self.bytes.get_mut(ESTIMATE_AT..).and_then(|bytes| bytes.first_chunk_mut::<8>());
        if let Some(place) = place {
            *place = estimate.to_le_bytes();
        }
    }

    /// How many different elements were added, as far as the registers know.
    pub(super) fn estimate(&self) -> Result<i64> {
        let mut histogram: Histogram = [0; _];
        self.each_run(|_, run| count(&mut histogram, run.rank(), run.len()))?;
        Ok(estimate(&histogram))
    }

    /// Raises ranks to these.
    pub(super) fn merge_into(&self, ranks: &mut Ranks) -> Result<()> {
        self.each_run(|start, run| {
            let ranks = ranks.get_mut(start..start + run.len()).unwrap_or_default();
            ranks.iter_mut().for_each(|rank| *rank = run.rank().max(*rank));
        })
    }

    /// The ranks of all registers, run by run, each with its first register. Nothing comes that is no
    /// register.
    fn each_run(&self, mut take: impl FnMut(usize, Run)) -> Result<()> {
        let registers = self.bytes.get(HEADER_BYTES..).unwrap_or_default();
        if !self.is_sparse() {
            for (index, rank) in dense::registers(registers).enumerate() {
                take(index, Run::Ranked { len: 1, rank });
            }
            return Ok(());
        }
        let mut next = 0;
        for run in sparse::runs(registers) {
            let run = run.filter(|run| next + run.len() <= REGISTERS).ok_or(CORRUPT)?;
            take(next, run);
            next += run.len();
        }
        if next == REGISTERS { Ok(()) } else { Err(CORRUPT) }
    }

    /// The runs of a sparse one, as far as they can be read.
    pub(super) fn runs(&self) -> impl Iterator<Item = Run> {
        sparse::runs(self.bytes.get(HEADER_BYTES..).unwrap_or_default()).flatten()
    }
}

/// The estimate from the ranks of all registers.
pub(super) fn estimate_of(ranks: &Ranks) -> i64 {
    let mut histogram: Histogram = [0; _];
    ranks.iter().for_each(|rank| count(&mut histogram, *rank, 1));
    estimate(&histogram)
}

fn count(histogram: &mut Histogram, rank: u8, registers: usize) {
    if let Some(count) = histogram.get_mut(usize::from(rank)) {
        *count += registers as u32;
    }
}

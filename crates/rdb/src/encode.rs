//! Writing payloads as Redis 7.0 does, but that sets may be listpacks, as in Redis 7.2. A collection is given element by
//! element, so that nobody need hold all of it besides the payload; how many there are is known at the end.
//!
//! Redis keeps no empty collection, and refuses one: a writer is to be given at least one element.

mod list;
mod output;
mod stream;

pub use list::ListWriter;
pub use stream::{GroupWriter, StreamWriter};

use crate::listpack;
use crate::{Error, intset, kind};
use output::Output;

/// Whether strings of more than 20 bytes are compressed, as with Redis' `rdbcompression yes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Lzf,
}

/// How a collection is packed. Redis converts what it reads to what its own settings ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One listpack: for small collections, and in any case for less than 1 GiB.
    Compact,
    Wide,
}

/// Libraries of functions, as in FUNCTION DUMP: the code of each.
pub fn functions<'c>(codes: impl Iterator<Item = &'c [u8]>) -> Vec<u8> {
    let mut output = Output::empty();
    for code in codes {
        output.raw(&[crate::functions::FUNCTION]);
        output.string(code);
    }
    output.finish()
}

pub fn string(value: &[u8], compression: Compression) -> Vec<u8> {
    let mut output = Output::new(kind::STRING, compression);
    output.string(value);
    output.finish()
}

/// A set of numbers, in ascending order and none twice.
pub fn intset(members: &[i64], compression: Compression) -> Result<Vec<u8>, Error> {
    debug_assert!(members.is_sorted_by(|a, b| a < b), "an intset is in ascending order");
    let mut output = Output::new(kind::SET_INTSET, compression);
    output.string(&intset::write(members)?);
    Ok(output.finish())
}

/// What sets, sorted sets and hashes have in common.
#[derive(Debug)]
struct Collection {
    output: Output,
    /// All elements, if the shape is compact.
    packed: Option<listpack::Writer>,
    count: u64,
}

impl Collection {
    fn new(shape: Shape, compact: u8, wide: u8, compression: Compression) -> Self {
        let (kind, packed) = match shape {
            Shape::Compact => (compact, Some(listpack::Writer::new())),
            Shape::Wide => (wide, None),
        };
        Self { output: Output::new(kind, compression), packed, count: 0 }
    }

    fn string(&mut self, bytes: &[u8]) {
        match &mut self.packed {
            Some(packed) => packed.push(bytes),
            None => self.output.string(bytes),
        }
    }

    fn finish(self) -> Result<Vec<u8>, Error> {
        let mut output = self.output;
        match self.packed {
            Some(packed) => output.string(&packed.finish()?),
            None => output.put_count_first(self.count),
        }
        Ok(output.finish())
    }
}

#[derive(Debug)]
pub struct SetWriter(Collection);

impl SetWriter {
    pub fn new(shape: Shape, compression: Compression) -> Self {
        Self(Collection::new(shape, kind::SET_LISTPACK, kind::SET, compression))
    }

    pub fn member(&mut self, member: &[u8]) {
        self.0.string(member);
        self.0.count += 1;
    }

    /// [`Error::Limit`] if a compact set is too large to be one.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        self.0.finish()
    }
}

#[derive(Debug)]
pub struct HashWriter(Collection);

impl HashWriter {
    pub fn new(shape: Shape, compression: Compression) -> Self {
        Self(Collection::new(shape, kind::HASH_LISTPACK, kind::HASH, compression))
    }

    pub fn entry(&mut self, field: &[u8], value: &[u8]) {
        self.0.string(field);
        self.0.string(value);
        self.0.count += 1;
    }

    /// [`Error::Limit`] if a compact hash is too large to be one.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        self.0.finish()
    }
}

/// Writes a sorted set. IMPORTANT: the members of a compact one must come in ascending order, by score
/// and then by member. Redis takes it as it is, and looks for members by halves.
#[derive(Debug)]
pub struct SortedSetWriter(Collection);

impl SortedSetWriter {
    pub fn new(shape: Shape, compression: Compression) -> Self {
        Self(Collection::new(shape, kind::ZSET_LISTPACK, kind::ZSET_2, compression))
    }

    pub fn member(&mut self, member: &[u8], score: f64) {
        self.0.string(member);
        match &mut self.0.packed {
            Some(packed) => push_score(packed, score),
            None => self.0.output.double(score),
        }
        self.0.count += 1;
    }

    /// [`Error::Limit`] if a compact sorted set is too large to be one.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        self.0.finish()
    }
}

/// A score in a listpack: as a number if it is one without a fraction, else as a text that gives the
/// same double back.
fn push_score(packed: &mut listpack::Writer, score: f64) {
    // Half of the range of i64, so that the conversion is exact.
    const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;
    let is_minus_zero = score == 0.0 && score.is_sign_negative();
    if score.abs() <= INTEGER_MAX && score.fract() == 0.0 && !is_minus_zero {
        return packed.push_integer(score as i64);
    }
    let has_exponent = score.is_finite() && score != 0.0 && !(1e-5..1e17).contains(&score.abs());
    let text = if has_exponent { format!("{score:e}") } else { score.to_string() };
    packed.push(text.as_bytes());
}

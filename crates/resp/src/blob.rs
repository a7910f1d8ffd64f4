//! The payload of a bulk string, from wherever it lives, without copying what is large.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use base::InPlace;
use bytes::Bytes;

/// Shorter payloads are kept in place: 22 bytes hold any integer and most keys, and fit beside the
/// other variants.
const IN_PLACE_BYTES_MAX: usize = 22;

#[derive(Clone)]
pub struct Blob(Repr);

#[derive(Clone)]
enum Repr {
    InPlace(InPlace<IN_PLACE_BYTES_MAX>),
    Static(&'static [u8]),
    Owned(Vec<u8>),
    Bytes(Bytes),
    Shared { bytes: Arc<[u8]>, start: u32, end: u32 },
}

const _: () = assert!(size_of::<Blob>() <= 40);
// Spans of shared values are 32 bits wide.
const _: () = assert!(base::limits::BULK_BYTES_MAX <= (u32::MAX / 2) as usize);

impl Blob {
    pub const EMPTY: Self = Self(Repr::Static(b""));

    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Self(Repr::Static(bytes))
    }

    /// Copies: in place if short, else to the heap.
    pub fn copy(source: &[u8]) -> Self {
        Self(InPlace::new(source).map_or_else(|| Repr::Owned(source.to_vec()), Repr::InPlace))
    }

    /// A part of a shared value, such as a cached record behind its header. What lies outside of it
    /// is cut off.
    pub fn shared(bytes: Arc<[u8]>, range: Range<usize>) -> Self {
        let end = range.end.min(bytes.len());
        let start = range.start.min(end);
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(start), Ok(end)) => Self(Repr::Shared { bytes, start, end }),
            _ => Self::copy(bytes.get(start..end).unwrap_or_default()),
        }
    }

    pub fn integer(value: i64) -> Self {
        Self::copy(itoa::Buffer::new().format(value).as_bytes())
    }

    /// As scores are written: see `format_double`.
    pub fn double(value: f64) -> Self {
        let mut text = Vec::with_capacity(crate::encode::DOUBLE_BYTES_MAX);
        crate::format_double(value, &mut text);
        Self::copy(&text)
    }

    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::InPlace(bytes) => bytes,
            Repr::Static(bytes) => bytes,
            Repr::Owned(bytes) => bytes,
            Repr::Bytes(bytes) => bytes,
            Repr::Shared { bytes, start, end } => {
                bytes.get(*start as usize..*end as usize).unwrap_or_default()
            }
        }
    }
}

impl Default for Blob {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Deref for Blob {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Blob {}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Repr::Owned(bytes))
    }
}

impl From<String> for Blob {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self(Repr::Bytes(bytes))
    }
}

impl From<Arc<[u8]>> for Blob {
    fn from(bytes: Arc<[u8]>) -> Self {
        let len = bytes.len();
        Self::shared(bytes, 0..len)
    }
}

impl From<&'static str> for Blob {
    fn from(text: &'static str) -> Self {
        Self::from_static(text.as_bytes())
    }
}

impl From<&'static [u8]> for Blob {
    fn from(bytes: &'static [u8]) -> Self {
        Self::from_static(bytes)
    }
}

impl<const N: usize> From<&'static [u8; N]> for Blob {
    fn from(bytes: &'static [u8; N]) -> Self {
        Self::from_static(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_gives_its_bytes() {
        let long = vec![7u8; 100];
        let arc: Arc<[u8]> = Arc::from(&b"header:value"[..]);
        let cases: [(Blob, &[u8]); 9] = [
            ("text".into(), b"text"),
            (b"abc".into(), b"abc"),
            (Blob::copy(b"short"), b"short"),
            (Blob::copy(&long), &long),
            (long.clone().into(), &long),
            (Bytes::from_static(b"bytes").into(), b"bytes"),
            (Blob::shared(arc.clone(), 7..12), b"value"),
            (arc.into(), b"header:value"),
            (Blob::integer(i64::MIN), b"-9223372036854775808"),
        ];
        for (blob, expected) in cases {
            assert_eq!(&*blob, expected);
        }
    }

    #[test]
    fn a_range_outside_of_a_shared_value_is_cut() {
        let arc: Arc<[u8]> = Arc::from(&b"abc"[..]);
        assert_eq!(&*Blob::shared(arc.clone(), 1..9), b"bc");
        assert_eq!(&*Blob::shared(arc, 7..9), b"");
    }
}

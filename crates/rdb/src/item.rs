//! An element of a listpack or a ziplist: bytes, or a number that stands for its decimal text.

use crate::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    Bytes(&'a [u8]),
    Integer(i64),
}

impl<'a> Item<'a> {
    /// The shorter form, if there is one: only the canonical text of a number can be given back.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        integer(bytes).map_or(Self::Bytes(bytes), Self::Integer)
    }

    /// A number that the encoding itself needs.
    pub(crate) fn integer(self) -> Result<i64, Error> {
        match self {
            Self::Integer(value) => Ok(value),
            Self::Bytes(_) => Err(Error::Malformed("text where a number belongs")),
        }
    }

    pub(crate) fn score(self) -> Result<f64, Error> {
        match self {
            Self::Integer(value) => Ok(value as f64),
            Self::Bytes(text) => score(text),
        }
    }
}

/// A score from its text.
pub(crate) fn score(text: &[u8]) -> Result<f64, Error> {
    let score = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    score.filter(|score: &f64| !score.is_nan()).ok_or(Error::Malformed("a score is not a number"))
}

pub(crate) fn integer(bytes: &[u8]) -> Option<i64> {
    const BYTES_MAX: usize = "-9223372036854775808".len();
    if bytes.len() > BYTES_MAX {
        return None;
    }
    let value: i64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (itoa::Buffer::new().format(value).as_bytes() == bytes).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_texts_are_integers() {
        for text in ["0", "-1", "127", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(integer(text.as_bytes()), text.parse().ok());
        }
        for text in ["", "-", "+1", "-0", "00", "01", " 1", "1 ", "1.0", "9223372036854775808", "\u{661}"] {
            assert_eq!(integer(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn scores_are_numbers() {
        for (text, expected) in
            [("1.5", 1.5), ("-inf", f64::NEG_INFINITY), ("1e+300", 1e300), ("17179869184.5", 17179869184.5)]
        {
            assert_eq!(score(text.as_bytes()), Ok(expected));
        }
        for text in ["nan", "-nan", "", "x", "1.5x", "1 "] {
            assert!(score(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}

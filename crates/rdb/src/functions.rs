//! Libraries of functions in one payload, as in FUNCTION DUMP: the code of each behind its mark.

use crate::{Cursor, Error, Limits, payload};

/// What stands before the code of a library.
pub(crate) const FUNCTION: u8 = 245;
/// The mark of a format that only candidates of Redis 7.0 wrote.
const FUNCTION_BEFORE_RELEASE: u8 = 246;

/// The libraries of a payload.
pub fn decode(payload: &[u8], limits: Limits) -> Result<Vec<Vec<u8>>, Error> {
    let mut cursor = Cursor::new(payload::open(payload)?, limits);
    let mut codes = Vec::new();
    while !cursor.is_empty() {
        match cursor.byte()? {
            FUNCTION => codes.push(cursor.string()?),
            FUNCTION_BEFORE_RELEASE => {
                return Err(Error::Malformed("functions of a version before the release of Redis 7.0"));
            }
            _ => return Err(Error::Malformed("not a function")),
        }
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bytes_max: 1 << 20 };

    #[test]
    fn libraries_come_back_as_they_were() {
        let codes = [&b"#!lua name=a\nx"[..], b"", b"12"];
        let payload = crate::encode::functions(codes.into_iter());
        assert_eq!(decode(&payload, LIMITS).unwrap(), codes);
        assert_eq!(decode(&crate::encode::functions([].into_iter()), LIMITS).unwrap(), Vec::<Vec<u8>>::new());
        for end in 0..payload.len() {
            assert!(decode(&payload[..end], LIMITS).is_err(), "{end}");
        }
    }
}

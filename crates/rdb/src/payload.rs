//! The frame of a payload: type, value, version and checksum.

use crate::cursor::Turn;
use crate::{Cursor, Error, Limits, Object, crc64, kind};

/// The newest version that is read: that of Redis 7.2.
pub const VERSION: u16 = 11;
/// What Redis 7.0 takes, and all that are newer.
const VERSION_WRITTEN: u16 = 10;

/// Bytes of a payload between two turns.
const CHECKED_AT_A_TIME: usize = 16 << 10;

/// Decodes what DUMP gave. As in Redis a checksum of 0 is a checksum like any other: it means "not
/// checked" only at the end of a whole file.
pub fn decode(payload: &[u8], limits: Limits) -> Result<Object, Error> {
    decode_in_turns(payload, limits, &|_| ())
}

/// Like [`decode`], with something to be called again and again with how many bytes were read.
pub fn decode_in_turns(payload: &[u8], limits: Limits, turn: &dyn Fn(usize)) -> Result<Object, Error> {
    let mut cursor = Cursor::in_turns(open_in_turns(payload, Turn(turn))?, limits, Turn(turn));
    let kind = cursor.byte()?;
    let object = cursor.object(kind)?;
    if !cursor.is_empty() {
        return Err(Error::Malformed("bytes follow the value"));
    }
    Ok(object)
}

/// The type and the value, without the footer.
pub(crate) fn open(payload: &[u8]) -> Result<&[u8], Error> {
    open_in_turns(payload, Turn(&|_| ()))
}

fn open_in_turns<'p>(payload: &'p [u8], turn: Turn<'_>) -> Result<&'p [u8], Error> {
    let (checked, checksum) = payload.split_last_chunk::<8>().ok_or(Error::Footer)?;
    let (body, version) = checked.split_last_chunk::<2>().ok_or(Error::Footer)?;
    let is_known = u16::from_le_bytes(*version) <= VERSION;
    let found = checked.chunks(CHECKED_AT_A_TIME).fold(0, |crc, chunk| {
        (turn.0)(chunk.len());
        crc64(crc, chunk)
    });
    let is_whole = found == u64::from_le_bytes(*checksum);
    if is_known && is_whole { Ok(body) } else { Err(Error::Footer) }
}

/// Puts the footer under a type and a value: with the lowest version that has the type, so that older servers take
/// what they know.
pub(crate) fn seal(mut body: Vec<u8>) -> Vec<u8> {
    let version = match body.first() {
        Some(&(kind::SET_LISTPACK | kind::STREAM_LISTPACKS_3)) => VERSION,
        _ => VERSION_WRITTEN,
    };
    body.extend_from_slice(&version.to_le_bytes());
    let checksum = crc64(0, &body);
    body.extend_from_slice(&checksum.to_le_bytes());
    body
}

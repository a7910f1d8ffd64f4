//! Redis' serialisation of values: what DUMP gives and RESTORE takes, in the versions up to 11, which
//! is that of Redis 7.2. Every encoding that Redis has ever written is read; the newest are written, but
//! streams as Redis 7.0 has them, which takes nothing newer.
//!
//! Invariant: no I/O and no knowledge of commands or of the store. What is read is checked as Redis
//! does with `sanitize-dump-payload yes`, so that a value that has been decoded is a sound one, and what
//! reading holds in memory is bounded by [`Limits`], whatever the bytes promise.

mod crc64;
mod cursor;
mod decode;
pub mod encode;
mod error;
pub mod functions;
mod intset;
mod item;
pub mod kind;
mod listpack;
mod lzf;
mod object;
mod payload;
mod ziplist;
mod zipmap;

pub use crc64::crc64;
pub use cursor::{Cursor, ELEMENT_BYTES, Limits};
pub use error::Error;
pub use object::{Consumer, Fields, Group, Object, Pending, Stream, StreamEntry, StreamHead, StreamId};
pub use payload::{VERSION, decode, decode_in_turns};

#[cfg(test)]
mod tests;

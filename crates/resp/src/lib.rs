//! RESP2 and RESP3: parsing what clients send, encoding replies, and the other way round for tests,
//! tools and the command line. Texts, limits and number formats are those of Redis 7.2.
//!
//! Invariant: no I/O and no knowledge of commands. The parser is given bytes and says where the
//! arguments lie in them; what it holds is bounded by what it was given.

mod big;
pub mod blob;
pub mod client;
pub mod encode;
mod float;
mod grisu;
pub mod inline;
pub mod line;
pub mod long_double;
pub mod numbers;
pub mod reply;
pub mod request;

pub use blob::Blob;
pub use client::{ReplyError, ReplyScanner, parse_reply};
pub use encode::format_double;
pub use line::Line;
pub use long_double::LongDouble;
pub use numbers::{parse_f64, parse_i64};
pub use reply::{Protocol, Reply};
pub use request::{Limits, Parsed, Parser, ProtocolError, Span};

#[cfg(test)]
mod tests;

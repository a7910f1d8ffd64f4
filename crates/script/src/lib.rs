//! Lua 5.1 as Redis has it: the interpreter, its sandbox, the libraries of scripts, and what becomes of replies
//! in Lua and of Lua's values in replies.
//!
//! It runs what it is given, and calls back whoever runs it for commands ([`Host`]). It must never know
//! transactions, records, sockets or sessions.

mod api;
mod convert;
mod host;
mod interpreter;
mod library;
pub mod libs;
mod meter;
mod patterns;
mod random;

#[cfg(test)]
mod tests;

pub use api::sha1_hex;
pub use host::{Host, Level, Stopped};
pub use interpreter::{Described, Digest, Inputs, Interpreter, Library, Program};
pub use library::{Flags, Header, is_name};

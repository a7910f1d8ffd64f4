//! The commands on data: one row and one function each. Synchronous: a command reads and writes
//! through a [`store::Txn`] and returns a reply, and the same function runs for a plain call, in
//! MULTI and in a script.
//!
//! Invariant: knows no sockets, no sessions, no Raft. What follows from a command's writes is
//! derived from its write set by the store, never called by hand here.

pub mod arg;
mod args;
pub mod describe;
mod error;
pub mod events;
mod families;
mod keys;
pub mod paged;
mod row;
mod wait;

pub use arg::Arg;
pub use args::{Args, OwnedArgs};
pub use error::{Error, Result};
pub use families::{FAMILIES, OtherKeys, sort_leaves_its_slot, sort_reads_others, waits};
pub use keys::{Access, Behind, KeySpec, Keys, Positions, Unknown, Words, access};
pub use row::{Arity, Class, Command, Deprecated, Docs, Flags, Lane, Run, flags};
pub use wait::Wait;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

//! The store: the only owner of fjall and of the key encoding; pending writes, transactions, the
//! sequencer, write-back, expiry and reclaiming.
//!
//! Invariant: it knows neither sockets nor Raft. Commands come in as closures over a [`Txn`], what
//! is to be agreed on goes out as a [`Batch`], and comes back as [`apply::Committed`] entries.

mod allowance;
pub mod apply;
mod aside;
mod changes;
mod collection;
pub mod counters;
mod derive;
mod dirty;
pub mod disk;
pub mod effects;
mod expire;
mod fold;
mod group;
pub mod keys;
mod lanes;
mod moving;
mod onlooker;
mod pace;
mod parked;
mod parts;
mod pins;
mod range;
mod reclaim;
pub mod record;
mod reserve;
mod runs;
mod scratch;
mod sequencer;
mod setting;
mod size;
mod small;
mod splice;
mod string;
mod table;
mod tidings;
// Public for its benchmark only.
#[doc(hidden)]
pub mod tree;
mod txn;
mod view;
mod waiters;
mod watches;
mod written;

pub use allowance::Source;
pub use aside::Building;
pub use changes::{Changes, KeyChange, KeyName, KeyState, Noting};
pub use collection::{
    Consumer, ConsumerGroup, Cursor, Cut, End, Entry, Hash, HashBuilder, Head, List, ListBuilder, Member,
    Pending, Placed, Refusal, Set, SetBuilder, Shapes, SortedSet, Stream, StreamBuilder, StreamId, score_of,
};
pub use disk::{Disk, DiskError, DiskOptions, GroupDisk};
pub use expire::{Expired, OnExpired};
pub use group::{Group, GroupOptions, Pump};
pub use keys::KeyPosition;
pub use lanes::{Done, Failure, Gate, Leave};
pub use moving::Moves;
pub use onlooker::{Changed, Onlooker};
pub use parked::Parked;
pub use range::{Flow, Found, Step, walk_keys};
pub use record::{Encoding, Kind, Peek, Record, Value};
pub use scratch::Scratch;
pub use sequencer::{Batch, Counts, Fate};
pub use setting::Setting;
pub use size::{KeySize, ValueSize};
pub use string::Piece;
pub use tidings::Tiding;
pub use txn::named::{Area, Index};
pub use txn::{Stop, Txn};
pub use view::Cancel;
pub use waiters::{Attempt, Ticket, Tried, Waiting, Wants};
pub use watches::WatchId;

#[cfg(test)]
mod tests;

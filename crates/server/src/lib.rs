//! The server: a node's groups on their threads, and the clients that talk to them.
//!
//! `admission/` says who is let in; `engine/` runs the groups (store, consensus and the way between them) and the heavy pool; `net/`
//! has the sockets; `session/` the commands on connections and on the node; `scripting/` runs scripts; `pubsub/`
//! knows who hears what; `sampling/` which keys are hot, and which are large.
//!
//! Invariant: nothing here encodes a record or decides what a data command does.

pub mod admission;
pub mod config;
pub mod data_dir;
pub mod engine;
pub mod net;
pub mod process;
pub mod pubsub;
pub mod sampling;
pub mod scripting;
pub mod session;
// Public for a benchmark only.
#[doc(hidden)]
pub mod table;
#[cfg(test)]
mod tests;
pub mod tracking;

pub use config::Config;
pub use data_dir::DataDir;
pub use engine::memory_watch::default_cache;
pub use engine::node::{Node, StartError};

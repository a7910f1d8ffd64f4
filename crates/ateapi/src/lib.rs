//! The actor API: records of actors, atespaces and workers over any Redis-compatible store, and the
//! service that keeps them.
//!
//! Invariant: it knows nothing of Bulkhead's inside. Its store is whatever answers Redis' protocol: one
//! Redis or Valkey, a cluster of either, or Bulkhead. The server hosts it through what it offers here.

mod document;
pub mod listing;
pub mod names;
pub mod record;
pub mod serve;
pub mod service;
pub mod store;
mod walk;

pub use ateproto as proto;
pub use listing::Lister;
pub use names::Key;
pub use record::Record;
pub use service::Service;
pub use store::Store;

//! What the tests and `cargo xtask stress` share: servers in temporary folders, a blocking client,
//! seeded randomness, and the long-running checks (crashes, differences, scans).
//!
//! It knows servers only from outside, by their programs and the protocol, and so works against any
//! Redis-compatible one; only what damages a log (`crash::tear`) knows ours, through `wal::inspect`,
//! and `fuzz` gives our own parsers (`resp`) what it gives a server. No crate of the product depends on it except for its own tests.

pub mod attack;
pub mod client;
pub mod cluster;
pub mod crash;
pub mod crowd;
pub mod diff;
pub mod figures;
#[cfg(feature = "tls")]
pub mod fuzz;
pub mod groups;
pub mod histories;
pub mod proc;
pub mod queues;
pub mod reply;
pub mod rng;
pub mod scan;
pub mod server;
pub mod siege;
#[cfg(feature = "tls")]
pub mod tls;
pub mod tools;
pub mod wait;

pub use client::{Client, Protocol};
pub use cluster::Cluster;
pub use reply::Reply;
pub use rng::Rng;
pub use server::{Durability, Flavour, Server, Spec, temp_dir};

/// What went wrong, for a person.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T = ()> = std::result::Result<T, Error>;

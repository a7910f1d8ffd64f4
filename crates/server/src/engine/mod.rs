//! The groups of a node: stores, consensus, and what goes between them; the heavy pool.

pub mod clients;
pub mod group;
pub mod health;
pub mod heavy;
pub mod image;
pub mod machine;
pub mod maintenance;
pub mod memory_parts;
pub mod memory_shares;
pub mod memory_watch;
pub mod node;
pub mod paged;
pub mod pause;
pub mod ran_on;
pub mod rubbish;
pub mod snapshots;

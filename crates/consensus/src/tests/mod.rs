//! Tests of whole nodes: one alone, and three over a network in memory.

mod alone;
mod chaos;
mod cluster;
pub(crate) mod machine;
mod net;
mod three;

//! Observing: what the operating system says of this process, the Prometheus text format, and the
//! pages that serve it over HTTP.
//!
//! Invariant: knows how to read, count and render, and nothing of what is observed: the server gives
//! it the numbers.

pub mod exposition;
pub mod http;
pub mod process;

pub use exposition::{Exposition, Kind};
pub use http::{HttpServer, Source};

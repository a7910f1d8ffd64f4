//! The server: the service on a socket, with everything around it that operators want.
//!
//! | file | what |
//! | --- | --- |
//! | `host` | threads, start, drain and stop |
//! | `tls` | certificates that are read anew |
//! | `incoming` | connections: how many, TLS, and none that says nothing |
//! | `peers` | how much of that one peer may have, and the end of its connections |
//! | `calls` | each call's deadline, place, log line, metrics and span |
//! | `answer` | its answer, until all of it has left |
//! | `metrics`, `metered` | what is counted, of calls and of the store |
//! | `spans`, `collector` | OTLP: the spans' way to a collector, and which one |
//! | `health` | gRPC health, and whether the store answers |

mod answer;
mod calls;
mod collector;
mod health;
mod host;
mod incoming;
mod metered;
mod metrics;
mod peers;
mod spans;
mod tls;

pub use collector::Collector;
pub use host::{Bound, Host, Shown, StartError};
pub use metrics::Metrics;

use std::net::SocketAddr;
use std::time::Duration;

use base::limits;
use certs::TlsFiles;

/// How a server is to be.
#[derive(Debug, Clone)]
pub struct Options {
    pub listen: SocketAddr,
    /// Only TLS is spoken if this is said.
    pub tls: Option<TlsFiles>,
    /// What a call may take that says nothing, or wants more.
    pub deadline_max: Duration,
    /// Calls at a time, half of them from one peer; the next one is told RESOURCE_EXHAUSTED.
    pub calls_max: usize,
    /// Connections at a time; the next one waits to be accepted.
    pub connections_max: usize,
    /// Connections from one peer at a time; the next one is closed at once. Zero for any number.
    pub connections_per_peer_max: usize,
    /// How long a stop waits for calls that are going on.
    pub drain_max: Duration,
    pub threads: usize,
    /// Where spans go.
    pub collector: Option<Collector>,
}

/// A listing of many pages asks often and for little; a walk over billions of keys takes its time and
/// can be repeated to go on.
pub const DEADLINE_MAX: Duration = Duration::from_secs(60);

/// A call holds some hundred kilobytes at the very most, but for listings: a page of 3 MiB.
pub const CALLS_MAX: usize = 1024;

pub const CONNECTIONS_MAX: usize = 1024;

/// Of so many connections, those of one peer unless something else is said: as many as of a node, and never all.
pub fn connections_per_peer(connections_max: usize) -> usize {
    limits::CONNECTIONS_PER_PEER.min(connections_max.div_ceil(2))
}

/// Kubernetes gives a pod thirty seconds between asking and killing.
pub const DRAIN_MAX: Duration = Duration::from_secs(20);

impl Options {
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            deadline_max: DEADLINE_MAX,
            calls_max: CALLS_MAX,
            connections_max: CONNECTIONS_MAX,
            connections_per_peer_max: connections_per_peer(CONNECTIONS_MAX),
            drain_max: DRAIN_MAX,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(8),
            collector: None,
        }
    }
}

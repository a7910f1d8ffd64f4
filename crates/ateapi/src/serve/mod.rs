//! The server: the service on a socket, with everything around it that operators want.
//!
//! | file | what |
//! | --- | --- |
//! | `host` | threads, start, drain and stop |
//! | `tls` | certificates that are read anew |
//! | `incoming` | connections: how many, TLS, and none that says nothing |
//! | `calls` | each call's deadline, place, log line, metrics and span |
//! | `metrics`, `metered` | what is counted, of calls and of the store |
//! | `spans` | OTLP: the spans' way to a collector |
//! | `health` | gRPC health, and whether the store answers |

mod calls;
mod health;
mod host;
mod incoming;
mod metered;
mod metrics;
mod spans;
mod tls;

pub use host::{Bound, Host, Shown, StartError};
pub use metrics::Metrics;

use std::net::SocketAddr;
use std::time::Duration;

use certs::TlsFiles;

/// How a server is to be.
#[derive(Debug, Clone)]
pub struct Options {
    pub listen: SocketAddr,
    /// Only TLS is spoken if this is said.
    pub tls: Option<TlsFiles>,
    /// What a call may take that says nothing, or wants more.
    pub deadline_max: Duration,
    /// Calls at a time; the next one is told RESOURCE_EXHAUSTED.
    pub calls_max: usize,
    /// Connections at a time; the next one waits to be accepted.
    pub connections_max: usize,
    /// How long a stop waits for calls that are going on.
    pub drain_max: Duration,
    pub threads: usize,
    /// Where spans go, as `http://HOST:PORT` of a collector that speaks OTLP over gRPC.
    pub otlp: Option<String>,
}

/// A listing of many pages asks often and for little; a walk over billions of keys takes its time and
/// can be repeated to go on.
pub const DEADLINE_MAX: Duration = Duration::from_secs(60);

/// A call holds some hundred kilobytes at the very most, but for listings: a page of 3 MiB.
pub const CALLS_MAX: usize = 1024;

pub const CONNECTIONS_MAX: usize = 1024;

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
            drain_max: DRAIN_MAX,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(8),
            otlp: None,
        }
    }
}

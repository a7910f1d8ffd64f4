//! What our command lines have in common: addresses, sizes and times as people write them, and logging.
//!
//! Invariant: it knows nothing of what a program does.

pub mod logging;
pub mod units;

use std::net::{SocketAddr, ToSocketAddrs};

pub use logging::LogFormat;

/// An address, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

pub fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen(None));
    }
    let wanted = "wanted: HOST:PORT, such as 127.0.0.1:6379, or off";
    let mut found = text.to_socket_addrs().map_err(|error| format!("{error}; {wanted}"))?;
    found.next().map(|address| Listen(Some(address))).ok_or_else(|| wanted.to_owned())
}

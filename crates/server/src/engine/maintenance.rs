//! The maintenance thread: active expiry, and looking after things once in a while.

use std::io;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use store::{Leave, Scratch};

use crate::engine::node::Node;

/// Between two rounds of active expiry.
const PERIOD: Duration = Duration::from_millis(100);
/// Slices of expiry in one round of one group.
const SLICES_MAX: usize = 64;

pub fn start(node: &Arc<Node>) -> io::Result<JoinHandle<()>> {
    let stopped = node.stats.stopped();
    let node = Arc::downgrade(node);
    thread::Builder::new().name("maint-0".into()).spawn(move || {
        let mut scratch = Scratch::default();
        while !stopped.wait(PERIOD) {
            if !round(&node, &mut scratch) {
                return;
            }
        }
    })
}

fn round(node: &Weak<Node>, scratch: &mut Scratch) -> bool {
    let Some(node) = node.upgrade() else { return false };
    node.turn_clock();
    for group in &node.groups {
        for _ in 0..SLICES_MAX {
            match group.store.expire(scratch) {
                Ok(expired) => {
                    node.stats.expired(expired.keys);
                    group.pump();
                    if !expired.more {
                        break;
                    }
                }
                Err(Leave::Disk(error)) => {
                    tracing::error!(%error, "keys cannot be expired");
                    break;
                }
                Err(_) => break,
            }
        }
    }
    true
}

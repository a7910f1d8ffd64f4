//! Looks how much memory is in use, and frees some where that is too much: what [`crate::admission::memory`] decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use base::limits;
use observe::process;

use crate::admission::memory::{self, Holder, Pressure, Thresholds};
use crate::config::Config;
use crate::engine::clients::Client;
use crate::engine::maintenance;
use crate::engine::node::Node;

/// What the store's write buffers take at most, and the process without any data.
const WRITE_BUFFERS_BYTES: u64 = 256 << 20;
const BASE_BYTES: u64 = 64 << 20;
/// Write buffers of this size are worth writing to tables while memory is short.
const FLUSHED_BYTES_MIN: u64 = 16 << 20;
/// More than what the allocator has at hand for threads of their own.
const GIVE_BACK_BYTES: usize = 64 << 20;

/// The thresholds that follow from the settings and from what there is.
pub fn thresholds(config: &Config) -> Result<Thresholds, String> {
    let thresholds = Thresholds::new(config.memory_soft, config.memory_hard, process::memory_limit())?;
    // What is bounded by itself, and may all be in use at a time.
    let needed = config.cache() + limits::DIRTY_BYTES_MAX as u64 + WRITE_BUFFERS_BYTES + BASE_BYTES;
    let Thresholds { soft_bytes, hard_bytes } = thresholds;
    if soft_bytes > 0 && soft_bytes < needed {
        tracing::warn!(
            soft_bytes,
            hard_bytes,
            needed,
            "memory may be short without any client's doing: give the process more, or a smaller --cache"
        );
    }
    Ok(thresholds)
}

/// Called by the maintenance thread once a round.
pub fn look(node: &Node) {
    let memory = &node.admission.memory;
    let now = Instant::now();
    if memory.look(process::resident_bytes()) >= Pressure::Tight {
        node.groups.iter().for_each(|group| group.store.shrink());
        if node.disk.write_buffer_bytes() >= FLUSHED_BYTES_MIN && memory.should_flush(now) {
            maintenance::flush(node);
        }
        give_back();
    }
    if let Some(excess_bytes) = memory.excess(now) {
        disconnect_fat(node, excess_bytes);
    }
}

/// The allocator keeps what was freed for a moment, and gives it back when something is freed after that. Where nobody does
/// anything any more it would be kept for ever, and memory be short for ever: so a large block is freed, which
/// nobody has written to.
fn give_back() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(GIVE_BACK_BYTES)));
}

fn holder(client: &Arc<Client>) -> Holder {
    let sizes: [&AtomicU64; 3] = [&client.input_bytes, &client.output_bytes, &client.queued_bytes];
    Holder {
        client: client.id,
        bytes: sizes.iter().map(|bytes| bytes.load(Relaxed)).sum(),
        is_spared: client.no_evict.load(Relaxed) || client.killed.load(Relaxed),
    }
}

/// Disconnects clients with much in their buffers, the fattest first, until so much is free.
fn disconnect_fat(node: &Node, excess_bytes: u64) {
    let chosen = memory::choose(node.clients.list().iter().map(holder).collect(), excess_bytes);
    let Some(first) = chosen.first() else { return };
    let fattest = node.clients.get(first.client).map(|client| client.peer.to_string()).unwrap_or_default();
    let (clients, freed_bytes) = (chosen.len() as u64, chosen.iter().map(|holder| holder.bytes).sum());
    tracing::warn!(clients, freed_bytes, excess_bytes, fattest, "memory is short: clients are disconnected");
    let stats = &node.admission.memory.stats;
    stats.evicted_clients.fetch_add(clients, Relaxed);
    stats.evicted_bytes.fetch_add(freed_bytes, Relaxed);
    chosen.iter().filter_map(|holder| node.clients.get(holder.client)).for_each(|client| client.kill());
}

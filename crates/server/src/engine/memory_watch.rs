//! Looks how much memory is in use, and frees some where that is too much: what [`crate::admission::memory`] decides.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use observe::process;
use threads::Class;

use crate::admission::memory::{self, Holder, Pressure, Thresholds};
use crate::config::{Config, Shares};
use crate::engine::clients::Client;
use crate::engine::maintenance;
use crate::engine::node::Node;
use crate::engine::{memory_parts, snapshots};

/// Write buffers of this size are worth writing to tables while memory is short.
const FLUSHED_BYTES_MIN: u64 = 16 << 20;
/// While there is enough: what is freed and taken again within that time costs nothing.
const GIVE_BACK_PAUSE: Duration = Duration::from_secs(1);

fn thresholds(config: &Config) -> Result<Thresholds, String> {
    Thresholds::new(config.memory_soft, config.memory_hard, process::memory_limit())
}

fn shares(thresholds: &Thresholds, config: &Config) -> Shares {
    Shares::of(thresholds.hard_bytes, config.groups)
}

/// The memory for caches where nobody says how much it shall be.
pub fn default_cache(config: &Config) -> Result<u64, String> {
    Ok(shares(&thresholds(config)?, config).cache_bytes)
}

/// The thresholds that follow from the settings and from what there is, and everybody's share.
pub fn share_out(config: &mut Config) -> Result<Thresholds, String> {
    let thresholds = thresholds(config)?;
    config.shares = shares(&thresholds, config);
    let needed = config.shares.at_rest(config.cache(), config.groups);
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

/// A thread of its own: what the maintenance thread does now and then takes longer than may be between two looks.
pub fn start(node: &Arc<Node>) -> io::Result<JoinHandle<()>> {
    let stopped = node.stats.stopped();
    let node = Arc::downgrade(node);
    Class::Maint.spawn("memory", move || {
        let (mut pause, mut given_back) = (Duration::ZERO, Instant::now());
        let mut snapshots = snapshots::Watch::new();
        while !stopped.wait(pause) {
            let Some(node) = node.upgrade() else { return };
            let memory = &node.admission.memory;
            node.rubbish.empty();
            if memory.is_near() || given_back.elapsed() >= GIVE_BACK_PAUSE {
                // What is free is not in use, and nobody else gives it back.
                allocator::give_back();
                given_back = Instant::now();
            }
            let pressure = look(&node);
            snapshots.look(&node, pressure);
            pause = memory.pause();
        }
    })
}

/// Looks how much there is, and disconnects clients if that is too much.
pub fn look(node: &Node) -> Pressure {
    let memory = &node.admission.memory;
    let (was, pressure) = (memory.pressure(), memory.look(process::resident_bytes()));
    if was < Pressure::Short && pressure >= Pressure::Short {
        tell_who_has_it(node);
    }
    if let Some(excess_bytes) = memory.excess(Instant::now()) {
        disconnect_fat(node, excess_bytes);
    }
    pressure
}

fn tell_who_has_it(node: &Node) {
    let parts = memory_parts::all(node).map(|(part, bytes)| format!("{part} {bytes}")).join(", ");
    let pins = node.groups.iter().map(|group| group.store.pins.count()).sum::<usize>();
    tracing::warn!(parts, pins, paged_replies = node.paged.open(), "who has the memory, in bytes");
}

/// Has the caches give back what they can while there is little. Called by the maintenance thread once a round.
pub fn relieve(node: &Node) {
    let memory = &node.admission.memory;
    if memory.pressure() < Pressure::Tight {
        return;
    }
    node.groups.iter().for_each(|group| group.store.shrink());
    if node.disk.write_buffer_bytes() >= FLUSHED_BYTES_MIN && memory.should_flush(Instant::now()) {
        maintenance::flush(node);
    }
}

fn holder(client: &Arc<Client>) -> Holder {
    Holder {
        client: client.id,
        bytes: client.held_bytes(),
        is_spared: client.no_evict.load(Relaxed) || client.killed.load(Relaxed),
    }
}

/// Disconnects clients that hold much, the fattest first, until so much is free.
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

//! The maintenance thread: active expiry, moving members of collections, and looking after things once in a
//! while.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use store::{Leave, Scratch, Stop, Txn};
use threads::Class;

use crate::engine::memory_watch;
use crate::engine::node::Node;
use crate::session::acl;
use crate::session::latency;

/// Between two rounds of active expiry.
const PERIOD: Duration = Duration::from_millis(100);
/// What expiry takes of a period, all groups together, rests included.
const EXPIRING: Duration = Duration::from_millis(50);
/// What moving the members of collections takes of a period, all groups together: under a load that never
/// ends it takes this share of a core.
const MOVING: Duration = Duration::from_millis(25);

/// What a start has read into memory is worth writing to tables from this size on.
const REPLAYED_BYTES_MIN: u64 = 4 << 20;

/// Has what this start has replayed from the store's journals and the log written to tables, in the
/// background: the next start would replay it again, and what came since on top. Nodes that are
/// restarted often would need longer each time.
pub fn flush_replayed(node: &Node) {
    if node.disk.write_buffer_bytes() >= REPLAYED_BYTES_MIN {
        flush(node);
    }
}

/// Has what is in memory only written to tables, in the background, if the disk has room for it.
pub fn flush(node: &Node) {
    if node.space().is_some_and(|space| !space.has_room_to_flush()) {
        return;
    }
    for group in &node.groups {
        if let Err(error) = group.store.disk.flush_soon() {
            tracing::error!(group = group.id, %error, "the store cannot be flushed");
        }
    }
}

pub fn start(node: &Arc<Node>) -> io::Result<JoinHandle<()>> {
    let stopped = node.stats.stopped();
    let node = Arc::downgrade(node);
    Class::Maint.spawn(0, move || {
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
    node.check_health();
    memory_watch::relieve(&node);
    node.sampler.round(&node);
    let slowest = node.wal.take_slowest_sync();
    node.stats.latency.happened(latency::FDATASYNC, slowest, || node.wall_ms());
    disconnect_idle(&node);
    node.heavy.look(&node, node.live.heavy_timeout());
    node.clients.cut_off_unread(node.wall_ms());
    node.clients.cut_off_stalled(node.wall_ms(), node.live.stall_timeout_ms());
    node.admission.tidy(&node.bounds(), Instant::now());
    if let Some(tls) = &node.tls {
        tls.look();
    }
    acl::keep_current(&node);
    node.sampling.look_again(&node, scratch);
    for group in &node.groups {
        group.store.trim();
    }
    if node.write_refusal(false).is_none() {
        expire(&node, scratch);
        move_members(&node, scratch);
    }
    true
}

/// Expiry is a write like any other. An expired key is missing to readers all the same.
fn expire(node: &Node, scratch: &mut Scratch) {
    if !node.stats.expires_actively() || node.clients.pause.holds(true) {
        return;
    }
    let began = Instant::now();
    for (group, mut goes_on) in node.groups.iter().zip(turns(node, EXPIRING)) {
        let mut told = |txn: &mut Txn<'_>, key: &[u8]| {
            // Where there is no room for what is told, the next round goes on.
            node.hub.tell_expired(txn, key).map_err(|_| Stop::Outgrown)
        };
        match group.store.expire(scratch, &mut goes_on, &mut told) {
            Ok(expired) => {
                node.stats.expired(expired.keys);
                group.pump();
            }
            Err(Leave::Disk(error)) => tracing::error!(%error, "keys cannot be expired"),
            // Not leading, or the store has to catch up: the next round goes on.
            Err(_) => {}
        }
    }
    node.stats.latency.happened(latency::EXPIRE_CYCLE, began.elapsed(), || node.wall_ms());
}

/// Shares a time out among the groups: for each, when it begins, whether it goes on.
fn turns(node: &Node, time: Duration) -> impl Iterator<Item = impl FnMut() -> bool> {
    let share = time / u32::try_from(node.groups.len()).unwrap_or(u32::MAX).max(1);
    std::iter::repeat_with(move || {
        let end = Instant::now() + share;
        // A step at least, however little time there is for it.
        let mut is_first = true;
        move || std::mem::take(&mut is_first) || Instant::now() < end
    })
}

fn move_members(node: &Node, scratch: &mut Scratch) {
    for (group, mut goes_on) in node.groups.iter().zip(turns(node, MOVING)) {
        if let Err(Leave::Disk(error)) = group.store.move_members(scratch, &mut goes_on) {
            tracing::error!(%error, "members of a collection cannot be moved");
        }
    }
}

/// CONFIG SET timeout: closes connections that have said nothing for too long.
fn disconnect_idle(node: &Node) {
    let limit_ms = node.live.idle_s_max().saturating_mul(1000);
    if limit_ms == 0 {
        return;
    }
    let now_ms = node.wall_ms();
    for client in node.clients.list() {
        // Whoever hears something need not say anything.
        let hears = client.hears.load(Ordering::Relaxed);
        let is_spared = hears || client.peer.is_inside();
        if !is_spared && now_ms.saturating_sub(client.last_ms.load(Ordering::Relaxed)) > limit_ms {
            client.kill();
        }
    }
}

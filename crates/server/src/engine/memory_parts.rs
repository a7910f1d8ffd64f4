//! Who has the memory, as far as that is known. The rest is programs, stacks, indexes of tables, and what the allocator has
//! not given back.

use crate::engine::node::Node;
use crate::engine::snapshots;

/// A part, and what it holds.
pub type Part = (&'static str, u64);

/// What each part holds now. A write that is not in the store yet counts among the rows and, from when it is, among the
/// write buffers.
pub fn all(node: &Node) -> [Part; 7] {
    let memory = &node.admission.memory;
    let stores = || node.groups.iter().map(|group| &group.store);
    [
        ("clients", memory.buffers_bytes()),
        ("work", memory.work_bytes()),
        ("rows", stores().map(|store| store.table.size().1 as u64).sum()),
        ("blocks", node.disk.block_cache_bytes()),
        ("write_buffers", node.disk.write_buffer_bytes()),
        ("snapshots", snapshots::kept_bytes(node)),
        ("log_queue", node.wal.stats().queue_bytes),
    ]
}

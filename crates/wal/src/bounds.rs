//! The bounds of the log, each with its reason.

use base::limits::ENTRY_BYTES_MAX;

/// Size of a node's very first segment: the first start must not wait for 64 MiB of zeros. Each next
/// segment is twice as big, up to `Options::segment_bytes`.
pub(crate) const SEGMENT_START_BYTES: u64 = 4 << 20;
/// The smallest setting: below it there is more checkpoint than log.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 4 << 10;
/// On a disk that is nearly full, segments are smaller, but at least this part of their size.
pub(crate) const SEGMENT_SHARE_MIN: u64 = 16;
/// Record offsets are kept in 32 bits.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// An entry's payload: the largest Raft entry, and the few bytes that an encoding adds to it.
pub(crate) const PAYLOAD_BYTES_MAX: usize = ENTRY_BYTES_MAX + (4 << 10);
/// A group's state and purge blobs: every segment repeats those of all groups.
pub(crate) const BLOB_BYTES_MAX: usize = 4 << 10;
/// The record that opens a segment: blobs of all the groups that a node may have.
pub(crate) const CHECKPOINT_BYTES_MAX: usize = 64 << 20;

/// What appends leave free at the end of a segment for votes, truncations and purges: on a full disk
/// a purge must still be writable, for it is what makes room. An eighth of a small segment.
pub(crate) const CONTROL_RESERVE_BYTES: u64 = 1 << 20;

/// Bytes queued for the log thread. Raft bounds what it has in flight far below; above this, callers
/// wait.
pub(crate) const QUEUE_BYTES_MAX: u64 = 256 << 20;
/// Encoded bytes that are collected before they are written, and the memory kept for that purpose.
pub(crate) const WRITE_CHUNK_BYTES: usize = 4 << 20;
/// What is retained of the write buffer after a burst.
pub(crate) const WRITE_BUFFER_RETAINED_BYTES: usize = WRITE_CHUNK_BYTES + (64 << 10);

/// Zeros written, and synced, at a time when a segment is prepared: small steps, so that commits
/// going on beside it do not wait for a burst.
pub(crate) const ZERO_CHUNK_BYTES: usize = 1 << 20;
pub(crate) const ZERO_SYNC_BYTES: u64 = 4 << 20;

/// Cold entries are read in runs of at most this much, skipping at most `READ_GAP_BYTES` of others'.
pub(crate) const READ_RUN_BYTES: u64 = 1 << 20;
pub(crate) const READ_GAP_BYTES: u64 = 32 << 10;
/// Recovery reads segments through a window of this size, or of one record.
pub(crate) const SCAN_WINDOW_BYTES: usize = 1 << 20;

/// `Fsync::EverySec`, and the longest that a lazily saved state stays in memory.
pub(crate) const LAZY_MS_MAX: u64 = 1_000;
/// While the disk is full, how often a new segment is tried when somebody asks for room.
pub(crate) const FULL_RETRY_MS: u64 = 1_000;

const _: () = assert!(PAYLOAD_BYTES_MAX as u64 * 8 < SEGMENT_BYTES_MAX);
const _: () = assert!((PAYLOAD_BYTES_MAX as u64) < QUEUE_BYTES_MAX);
const _: () = assert!(CONTROL_RESERVE_BYTES < SEGMENT_START_BYTES);
const _: () = assert!(CHECKPOINT_BYTES_MAX as u64 * 2 < SEGMENT_BYTES_MAX);

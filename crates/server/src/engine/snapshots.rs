//! What snapshots keep in memory. While somebody reads from one, what the store wrote to tables since it was taken stays in
//! memory as well. So a client that takes its time over a long reply would have others' writes pile up there: only so much
//! is kept, and beyond that the oldest reader is ended, as no other one's end would free anything.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::admission::memory::Pressure;
use crate::engine::node::Node;

/// While memory is short: less than that is not worth a reader's end.
pub const WORTH_BYTES: u64 = 16 << 20;
/// The store frees what nobody asks for any more when it is told to, which writes a small table.
const RELEASE_PAUSE: Duration = Duration::from_millis(200);
pub const ENDED: &str = "BUSY what others wrote meanwhile is kept in memory for this command, and became too much; it has had no effect";

/// Who reads from a snapshot, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    pub client: u64,
    pub since: Instant,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A reply that is told page by page. It cannot be told otherwise any more: its client is disconnected.
    Paged,
    /// Work in the heavy pool, which can be told why it is ended.
    Heavy,
}

/// What is to be done about a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Nothing,
    End(Reader),
}

/// Of what is kept, how much may be, and who reads longest. Who was ended already is given the time to notice.
fn choose(kept: u64, most: u64, oldest: Option<Reader>, ended: Option<Reader>) -> Choice {
    match oldest {
        Some(reader) if kept > most && ended != Some(reader) => Choice::End(reader),
        _ => Choice::Nothing,
    }
}

/// Between two looks.
pub struct Watch {
    ended: Option<Reader>,
    released: Instant,
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch {
    pub fn new() -> Self {
        Self { ended: None, released: Instant::now() }
    }

    /// Called by the thread that watches memory.
    pub fn look(&mut self, node: &Node, pressure: Pressure) {
        let is_short = pressure >= Pressure::Short;
        let most = if is_short { WORTH_BYTES } else { node.config.shares.snapshot_bytes };
        if kept_bytes(node) <= most {
            return;
        }
        if self.released.elapsed() < RELEASE_PAUSE {
            return;
        }
        self.released = Instant::now();
        if let Err(error) = release(node) {
            tracing::warn!(%error, "the store cannot free what nobody asks for any more");
        }
        let kept = kept_bytes(node);
        if let Choice::End(reader) = choose(kept, most, oldest(node), self.ended) {
            self.ended = Some(reader);
            end(node, reader, kept);
        }
    }
}

/// What snapshots keep in memory of what the store has written to tables.
pub fn kept_bytes(node: &Node) -> u64 {
    let memtables: u64 = node.groups.iter().map(|group| group.store.disk.memtables_bytes()).sum();
    memtables.saturating_sub(node.disk.write_buffer_bytes())
}

/// What is kept belongs to snapshots, or to nobody: then it goes now.
fn release(node: &Node) -> Result<(), store::DiskError> {
    node.groups.first().map_or(Ok(()), |group| group.store.disk.release())
}

fn oldest(node: &Node) -> Option<Reader> {
    [node.paged.oldest(), node.heavy.oldest()].into_iter().flatten().min_by_key(|reader| reader.since)
}

fn end(node: &Node, reader: Reader, kept_bytes: u64) {
    let (client, read_ms) = (reader.client, reader.since.elapsed().as_millis() as u64);
    tracing::warn!(client, read_ms, kept_bytes, kind = ?reader.kind, "ended: its snapshot keeps too much in memory");
    match reader.kind {
        Kind::Paged => {
            node.paged.costly.fetch_add(1, Relaxed);
            if let Some(client) = node.clients.get(client) {
                client.kill();
            }
        }
        Kind::Heavy => node.heavy.end(reader, ENDED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_reader_is_ended_once_if_too_much_is_kept() {
        let reader = |client| Reader { client, since: Instant::now(), kind: Kind::Paged };
        let (old, new) = (reader(1), reader(2));
        assert_eq!(choose(10, 10, Some(old), None), Choice::Nothing);
        assert_eq!(choose(11, 10, Some(old), None), Choice::End(old));
        assert_eq!(choose(11, 10, Some(old), Some(old)), Choice::Nothing);
        assert_eq!(choose(11, 10, Some(new), Some(old)), Choice::End(new));
        assert_eq!(choose(11, 10, None, Some(old)), Choice::Nothing);
    }
}

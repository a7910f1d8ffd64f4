//! What the monitoring clients of one network thread are to be told: lines from every thread, until that
//! thread takes them all at once.

use base::limits;
use parking_lot::Mutex;
use resp::Blob;

#[derive(Default)]
pub struct Feed {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Clients that monitor.
    clients: Vec<u64>,
    lines: Vec<u8>,
    /// How many bytes came before `lines`.
    start: u64,
    /// More has come than is kept: what is missing cannot be told any more.
    is_broken: bool,
}

/// What has come since the last time, and for whom.
pub struct Batch {
    pub clients: Vec<u64>,
    pub lines: Blob,
    pub start: u64,
    pub is_broken: bool,
}

impl Feed {
    /// Adds a client. It is told what comes from the position on that is returned.
    pub fn add(&self, client: u64) -> u64 {
        let mut state = self.state.lock();
        state.clients.push(client);
        state.start + state.lines.len() as u64
    }

    pub fn remove(&self, client: u64) {
        self.state.lock().clients.retain(|other| *other != client);
    }

    /// Says whether the thread has to be told that there is something now.
    pub fn push(&self, line: &[u8]) -> bool {
        let mut state = self.state.lock();
        if state.clients.is_empty() || state.is_broken {
            return false;
        }
        let is_first = state.lines.is_empty();
        if state.lines.len() + line.len() > limits::MONITOR_FEED_BYTES_MAX {
            state.is_broken = true;
        } else {
            state.lines.extend_from_slice(line);
        }
        is_first
    }

    pub fn take(&self) -> Batch {
        let mut state = self.state.lock();
        let lines = std::mem::take(&mut state.lines);
        let batch = Batch {
            clients: state.clients.clone(),
            start: state.start,
            is_broken: std::mem::take(&mut state.is_broken),
            lines: Blob::from(std::sync::Arc::<[u8]>::from(lines)),
        };
        state.start += batch.lines.len() as u64;
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_called_once_for_what_it_has_not_taken() {
        let feed = Feed::default();
        assert!(!feed.push(b"nobody listens"));
        assert_eq!(feed.add(1), 0);
        assert!(feed.push(b"a"));
        assert!(!feed.push(b"b"));
        assert_eq!(feed.add(2), 2, "what came before is not for those who come later");
        let batch = feed.take();
        assert_eq!((batch.lines.as_slice(), batch.start, batch.clients), (&b"ab"[..], 0, vec![1, 2]));
        assert!(feed.push(b"c"));
        assert_eq!(feed.take().start, 2);
        feed.remove(1);
        feed.remove(2);
        assert!(!feed.push(b"d"));
    }

    #[test]
    fn what_is_not_taken_is_bounded() {
        let feed = Feed::default();
        feed.add(1);
        let line = vec![b'x'; limits::MONITOR_FEED_BYTES_MAX];
        assert!(feed.push(&line));
        assert!(!feed.push(b"y"));
        let batch = feed.take();
        assert!(batch.is_broken && batch.lines.len() == line.len());
        assert!(feed.push(b"z") && !feed.take().is_broken);
    }
}

//! What a network thread sends, and when: little things to everybody at the end of a round, much in a client's own
//! turn, where it is its peer's time.

use std::io;
use std::time::Instant;

use super::NetThread;
use crate::net::connection::{OUTPUT_BYTES_MAX, State};

/// What is sent at the end of a round; a client that is to be sent more gets it in a turn.
const SENT_BETWEEN_TURNS_MAX: usize = 32 << 10;

impl NetThread {
    /// Sends what may go out, and remembers who still waits for a commit.
    pub(super) fn send(&mut self) {
        // IMPORTANT: announced before the replies are looked at, or a commit in between would wake
        // nobody.
        self.mailbox.set_waiting(true);
        let settled = self.mailbox.settled();
        if std::mem::replace(&mut self.settled, settled) != settled {
            for at in std::mem::take(&mut self.holding) {
                if let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) {
                    connection.listed = false;
                    self.send_one(at);
                }
            }
        }
        let mut touched = std::mem::take(&mut self.touched);
        for at in touched.drain(..) {
            self.send_one(at);
        }
        touched.append(&mut self.touched);
        self.touched = touched;
        if self.holding.is_empty() {
            self.mailbox.set_waiting(false);
        }
    }

    /// Sends a client some of what it is to be sent, if that is much.
    pub(super) fn send_much(&mut self, at: usize) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return Ok(()) };
        if connection.output.len() <= SENT_BETWEEN_TURNS_MAX {
            return Ok(());
        }
        connection.release(&self.node);
        let before = connection.output.len();
        connection.flush()?;
        self.node.stats.wrote_bytes(before - connection.output.len());
        Ok(())
    }

    /// Whose time it is learns what a connection has to be committed.
    pub(super) fn note_writes(&mut self, at: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        let bytes = connection.output.uncommitted_bytes();
        let before = std::mem::replace(&mut connection.uncommitted_bytes, bytes);
        if bytes != before {
            self.turns.writes(connection.peer, before, bytes, now);
            self.batching.wrote(bytes.saturating_sub(before));
        }
    }

    fn send_one(&mut self, at: usize) {
        let Self { node, connections, holding, .. } = self;
        let Some(connection) = connections.get_mut(at).and_then(Option::as_mut) else { return };
        let was_full = connection.output.len() > OUTPUT_BYTES_MAX;
        let still = connection.release(node);
        let before = connection.output.len();
        let is_much = connection.output.sendable() > SENT_BETWEEN_TURNS_MAX;
        if !is_much && connection.flush().is_err() {
            self.close(at);
            return;
        }
        node.stats.wrote_bytes(before - connection.output.len());
        let done = matches!(connection.state, State::Closing) && connection.is_sent();
        if done || (connection.ended && connection.is_drained() && connection.input_len() == 0) {
            self.close(at);
            return;
        }
        connection.announce(before);
        if connection.is_over_limit(node) {
            return self.cut_off(at);
        }
        let has_room = was_full && connection.output.len() <= OUTPUT_BYTES_MAX;
        // The socket would take more: another turn.
        let has_more = connection.writable && connection.output.sendable() > 0;
        if still && !std::mem::replace(&mut connection.listed, true) {
            holding.push(at);
        }
        if has_room || has_more {
            self.queue(at);
        }
        self.note_writes(at, self.now);
        self.next_page(at);
    }
}

//! The connections of a network thread that monitor.

use std::sync::atomic::Ordering;

use base::limits;

use super::NetThread;

impl NetThread {
    /// Hands what has run to those who monitor. Who does not take it is cut off: nobody else feels it.
    pub(super) fn tell_monitors(&mut self) {
        let batch = self.mailbox.feed.take();
        for client in batch.clients {
            let Some(&at) = self.by_client.get(&client) else { continue };
            let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { continue };
            let Some(monitoring) = &connection.session.monitoring else { continue };
            let skipped = usize::try_from(monitoring.from.saturating_sub(batch.start)).unwrap_or(usize::MAX);
            let waiting = connection.output.len() + batch.lines.len();
            if batch.is_broken || waiting > limits::MONITOR_OUTPUT_BYTES_MAX {
                let peer = connection.client.peer;
                tracing::warn!(client, %peer, waiting, "cut off: it does not take what it monitors");
                self.node.clients.monitors.cut_off.fetch_add(1, Ordering::Relaxed);
                self.close(at);
                continue;
            }
            connection.output.push_lines(&batch.lines, skipped);
            self.touched.push(at);
        }
    }
}

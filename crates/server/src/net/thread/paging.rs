//! The connections of a network thread whose replies are told page by page.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use store::Cancel;

use super::NetThread;
use crate::engine::heavy::{Job, Work};
use crate::engine::paged::Flow;
use crate::net::connection::{Paging, State};

impl NetThread {
    /// The first pages of a reply are in the output; so much is left. Its next commands wait.
    pub(super) fn begin_pages(&mut self, at: usize, flow: Box<Flow>, cancel: Arc<Cancel>) {
        let until = Instant::now() + self.node.config.paged.timeout;
        if let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) {
            connection.state = State::Paging(Paging { flow: Some(flow), cancel, until: Some(until) });
            self.timers.insert((until, at));
        }
    }

    /// Has the next page made once the client has taken enough of those before it.
    pub(super) fn next_page(&mut self, at: usize) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        let State::Paging(paging) = &mut connection.state else { return };
        if connection.output.ends_replaced() {
            // What the reply depends on was not committed: the client has been told so instead.
            self.forget_timer(at);
            if let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) {
                connection.state = State::Ready;
            }
            self.queue(at);
            return;
        }
        // IMPORTANT: nothing may follow a page that may still be replaced.
        if connection.output.held().is_some() || connection.output.len() > self.node.config.paged.page_bytes {
            return;
        }
        let Some(flow) = paging.flow.take() else { return };
        if let Some(until) = paging.until.take() {
            self.timers.remove(&(until, at));
        }
        let cancel = paging.cancel.clone();
        let caller = connection.caller(None);
        self.node.heavy.go_on(Job { caller, cancel, work: Work::Page(flow) });
    }

    /// A client has had its time for a page. One that could not take it, because that waits for a commit,
    /// gets more; others would keep their snapshot for ever.
    pub(super) fn page_late(&mut self, at: usize) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        let State::Paging(paging) = &mut connection.state else { return };
        if connection.output.sendable() == 0 {
            let until = Instant::now() + self.node.config.paged.timeout;
            paging.until = Some(until);
            self.timers.insert((until, at));
            return;
        }
        let client = &connection.client;
        tracing::warn!(client = client.id, peer = %client.peer, "cut off: it does not take its reply");
        self.node.paged.cut_off.fetch_add(1, Ordering::Relaxed);
        self.close(at);
    }

    /// A reply cannot be told to its end: nothing that could be said instead would be understood.
    pub(super) fn broken(&mut self, client: u64) {
        if let Some(&at) = self.by_client.get(&client) {
            self.close(at);
        }
    }
}

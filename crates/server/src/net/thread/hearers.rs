//! The messages that a network thread hands out to those of its clients that hear them: so many in a turn,
//! that others have theirs.

use std::collections::VecDeque;
use std::sync::Arc;

use base::limits;
use resp::{Blob, Protocol};

use super::NetThread;
use crate::net::connection::State;
use crate::pubsub::Message;

/// Messages that are handed out, and how far the first of them has come.
#[derive(Default)]
pub(super) struct Telling {
    news: VecDeque<Arc<Message>>,
    /// By which of its names.
    name: usize,
    /// The last client that heard it by that name.
    after: u64,
    /// What comes before its body then, in RESP2 and in RESP3.
    heads: [Option<Blob>; 2],
    /// How many messages were handed out to everybody.
    done: u64,
    /// Connections that have got some, and are yet to be sent them.
    unsent: VecDeque<usize>,
}

impl Telling {
    fn next_name(&mut self) {
        (self.name, self.after, self.heads) = (self.name + 1, 0, [None, None]);
    }

    fn next_message(&mut self) {
        self.news.pop_front();
        self.done += 1;
        (self.name, self.after, self.heads) = (0, 0, [None, None]);
    }
}

impl NetThread {
    pub(super) fn has_news(&self) -> bool {
        !self.telling.news.is_empty() || !self.telling.unsent.is_empty() || self.mailbox.hearers.has_news()
    }

    /// Whether a client that hears something is to be told more before it runs commands: what had come when it
    /// asked for its turn.
    pub(super) fn is_behind(&mut self, at: usize) -> bool {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return false };
        if !connection.session.hears {
            connection.hears_first = None;
            return false;
        }
        let first = *connection.hears_first.get_or_insert_with(|| self.mailbox.hearers.count());
        let is_behind = self.telling.done < first;
        if !is_behind {
            connection.hears_first = None;
        }
        is_behind
    }

    /// Goes on with handing out.
    pub(super) fn tell_hearers(&mut self) {
        let mut left = limits::HANDED_OUT_IN_A_TURN;
        while left > 0 {
            if self.telling.news.is_empty() {
                self.mailbox.hearers.take_news(&mut self.telling.news);
            }
            let Some(message) = self.telling.news.front().cloned() else { break };
            let Some((kind, name)) = message.name(self.telling.name) else {
                self.telling.next_message();
                continue;
            };
            let clients = self.mailbox.hearers.next(*kind, name, self.telling.after, left);
            for &client in &clients {
                self.tell_one(client, &message);
            }
            match clients.last() {
                Some(&last) if clients.len() == left => self.telling.after = last,
                _ => self.telling.next_name(),
            }
            left -= clients.len().clamp(1, left);
        }
        // With more to be told to them, several messages at a time.
        let sends =
            if left == 0 { limits::HEARERS_SENT_TO_MEANWHILE } else { limits::HEARERS_SENT_TO_IN_A_TURN };
        let sent = self.telling.unsent.len().min(sends);
        for at in self.telling.unsent.drain(..sent) {
            if let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) {
                connection.is_unsent = false;
                self.touched.push(at);
            }
        }
    }

    /// Goes on with forgetting what somebody heard who has left.
    pub(super) fn forget_leaving(&mut self) {
        if let Some(client) = self.leaving.front()
            && self.node.hub.leave(client)
        {
            self.leaving.pop_front();
        }
    }

    fn tell_one(&mut self, client: u64, message: &Message) {
        let Some(&at) = self.by_client.get(&client) else { return };
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        if matches!(connection.state, State::Closing) {
            return;
        }
        let protocol = connection.session.protocol;
        let [resp2, resp3] = &mut self.telling.heads;
        let head = if protocol == Protocol::Resp2 { resp2 } else { resp3 };
        let head = head.get_or_insert_with(|| message.head(self.telling.name, protocol));
        connection.output.push_shared(&[head, &message.body]);
        if !std::mem::replace(&mut connection.is_unsent, true) {
            self.telling.unsent.push_back(at);
        }
        if connection.is_over_limit(&self.node) {
            self.catch_up(at);
        }
    }

    /// A client has more unread than it may. What its socket still takes is not its fault.
    fn catch_up(&mut self, at: usize) {
        let node = self.node.clone();
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        connection.release(&node);
        while connection.writable && connection.output.sendable() > 0 {
            if connection.flush().is_err() {
                return self.close(at);
            }
        }
        if connection.is_over_limit(&node) {
            self.cut_off(at);
        }
    }

    /// A client does not take what it is told: nobody else feels it.
    pub(super) fn cut_off(&mut self, at: usize) {
        let Some(connection) = self.connections.get(at).and_then(Option::as_ref) else { return };
        let (client, waiting) = (&connection.client, connection.output.len());
        tracing::warn!(client = client.id, peer = %client.peer, waiting, "cut off: it does not read");
        self.node.clients.note_cut_off(client);
        self.close(at);
    }
}

//! The connections of a network thread that wait: for a key, a time, the store, or the end of a pause.

use std::time::Instant;

use command::Wait;
use resp::Reply;

use super::NetThread;
use crate::engine::heavy::Work;
use crate::net::blocked::Place;
use crate::net::connection::{Paging, State};
use crate::net::execute::go_on;

const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

impl NetThread {
    /// Connections that waited for the store, or for a time that has come, go on.
    pub(super) fn wake_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|&at| {
            let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
                return false;
            };
            match &connection.state {
                State::Sleeping(until, _) if *until > now => return true,
                State::Sleeping(_, reply) => {
                    let reply = reply.clone();
                    connection.reply(&reply);
                }
                State::Stalled => {}
                _ => return false,
            }
            connection.state = State::Ready;
            self.touched.push(at);
            self.queue(at);
            false
        });
        self.waiting.append(&mut waiting);
    }

    /// Connections whose next command was paused try again, in the order in which they came, once a pause
    /// is over or was ended.
    pub(super) fn wake_paused(&mut self) {
        if self.paused.is_empty() {
            return;
        }
        let pause = &self.node.clients.pause;
        let ended = pause.ended();
        if ended == self.paused_in && pause.left().is_some() {
            return;
        }
        self.paused_in = ended;
        for at in std::mem::take(&mut self.paused) {
            if let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut)
                && matches!(connection.state, State::Paused)
            {
                connection.state = State::Ready;
                self.queue(at);
            }
        }
    }

    /// CLIENT UNBLOCK has taken a client off the list of those who wait.
    pub(super) fn unblocked(&mut self, client: u64, is_error: bool) {
        let Some(&at) = self.by_client.get(&client) else { return };
        self.forget_timer(at);
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        let in_time = match &connection.state {
            State::Blocked(_) => Wait::TIMED_OUT,
            State::Sleeping(_, reply) => reply.clone(),
            _ => return,
        };
        connection.state = State::Ready;
        connection.reply(&if is_error { Reply::error(UNBLOCKED) } else { in_time });
        self.touched.push(at);
        self.queue(at);
    }

    /// A client waits from now on.
    pub(super) fn block(&mut self, at: usize, mut place: Place) {
        if let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) {
            // It may have waited before.
            place.until = connection.waits_until.take().or(place.until);
            connection.state = State::Blocked(place);
            self.begin_wait(at);
            self.touched.push(at);
        }
    }

    /// A client that waits is called when its time is over. One that has gone already, which no event will
    /// tell again, does not wait: it gets what it was answered before, if it still listens.
    pub(super) fn begin_wait(&mut self, at: usize) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        let State::Blocked(place) = connection.state else { return };
        let group = self.node.groups.get(usize::from(place.group));
        if connection.hung_up && group.is_some_and(|group| group.store.stop_waiting(place.ticket)) {
            connection.state = State::Closing;
            self.touched.push(at);
            return;
        }
        self.timers.extend(place.until.map(|until| (until, at)));
    }

    /// Those whose time is over wait no longer, unless they are being served at this moment.
    pub(super) fn end_waits(&mut self) {
        let now = Instant::now();
        while let Some(&(until, at)) = self.timers.first().filter(|(until, _)| *until <= now) {
            self.timers.remove(&(until, at));
            let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { continue };
            if connection.stream.handshake_until() == Some(until) {
                connection.stream.handshake_late();
                self.close(at);
                continue;
            }
            if connection.seat.trial_until() == Some(until) {
                self.trial_late(at);
                continue;
            }
            let place = match &connection.state {
                State::Blocked(place) => *place,
                State::Paging(_) => {
                    self.page_late(at);
                    continue;
                }
                _ => continue,
            };
            let group = self.node.groups.get(usize::from(place.group));
            if group.is_some_and(|group| group.store.stop_waiting(place.ticket)) {
                connection.reply(&Wait::TIMED_OUT);
                connection.state = State::Ready;
                self.touched.push(at);
                self.queue(at);
            }
        }
    }

    /// What a client waits for is more than the section may do.
    pub(super) fn outgrown(&mut self, client: u64, work: Work) {
        let Some(&at) = self.by_client.get(&client) else { return };
        self.forget_timer(at);
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        if let State::Blocked(place) = &connection.state {
            connection.waits_until = place.until;
        }
        go_on(&self.node, connection, work);
        self.touched.push(at);
    }

    pub(super) fn forget_timer(&mut self, at: usize) {
        let connection = self.connections.get(at).and_then(Option::as_ref);
        if let Some(
            State::Blocked(Place { until: Some(until), .. })
            | State::Paging(Paging { until: Some(until), .. }),
        ) = connection.map(|c| &c.state)
        {
            self.timers.remove(&(*until, at));
        }
    }
}

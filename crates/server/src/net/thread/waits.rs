//! The connections of a network thread that wait for a key.

use std::time::Instant;

use command::Wait;

use super::NetThread;
use crate::engine::heavy::Work;
use crate::net::blocked::Place;
use crate::net::connection::{State, Streaming};
use crate::net::execute::submit;
use crate::table::Entry;

impl NetThread {
    /// A client waits from now on.
    pub(super) fn block(&mut self, at: usize, mut place: Place) {
        if let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) {
            // It may have waited before.
            place.until = connection.waits_until.take().or(place.until);
            connection.state = State::Blocked(place);
            self.begin_wait(at);
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
            let place = match &connection.state {
                State::Blocked(place) => *place,
                State::Streaming(_) => {
                    self.end_stream(at);
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
    pub(super) fn outgrown(&mut self, client: u64, entry: &'static Entry, work: Work) {
        let Some(&at) = self.by_client.get(&client) else { return };
        self.forget_timer(at);
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        if let State::Blocked(place) = &connection.state {
            connection.waits_until = place.until;
        }
        if submit(&self.node, connection, Some(entry), work) {
            connection.state = State::Ready;
            self.queue(at);
        }
        self.touched.push(at);
    }

    pub(super) fn forget_timer(&mut self, at: usize) {
        let connection = self.connections.get(at).and_then(Option::as_ref);
        if let Some(
            State::Blocked(Place { until: Some(until), .. })
            | State::Streaming(Streaming { until: Some(until), .. }),
        ) = connection.map(|c| &c.state)
        {
            self.timers.remove(&(*until, at));
        }
    }
}

//! The invalidations that a network thread hands out to those of its clients that track, or to whom others
//! have theirs redirected.

use resp::{Protocol, Reply};

use super::NetThread;
use crate::net::connection::{Connection, OUTPUT_BYTES_MAX, State};
use crate::tracking::{Key, Letter, Pile, To, Way};

/// The channel of those who are told in RESP2.
const CHANNEL: &str = "__redis__:invalidate";

impl NetThread {
    pub(super) fn has_letters(&self) -> bool {
        !self.mailbox.letters.is_empty()
    }

    /// Hands out what has come, as far as what was run before is answered.
    pub(super) fn deliver(&mut self) {
        if self.mailbox.letters.is_empty() && self.kept_back.is_empty() {
            return;
        }
        for (to, pile) in self.mailbox.letters.take() {
            self.kept_back.entry(to).or_default().append(pile);
        }
        for (to, pile) in std::mem::take(&mut self.kept_back) {
            let at = self.by_client.get(&to.client).copied();
            let connection = at.and_then(|at| self.connections.get_mut(at)).and_then(Option::as_mut);
            let (Some(at), Some(connection)) = (at, connection) else { continue };
            if must_wait(connection) {
                self.kept_back.insert(to, pile);
            } else if to.is_redirected {
                self.tell_changed(at, &pile);
            } else {
                self.tell_tracking(at, pile);
            }
        }
    }

    /// Tells a client that tracks, or who is told in its place.
    fn tell_tracking(&mut self, at: usize, mut pile: Pile) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        let mut tracking = connection.client.tracking.lock();
        let Some(options) = tracking.as_mut() else { return };
        if options.no_loop {
            let me = connection.client.id;
            pile.keys.retain(|key| key.by != me);
        }
        if pile.keys.is_empty() && !pile.everything {
            return;
        }
        let Some(target) = options.redirect else {
            drop(tracking);
            return self.tell_changed(at, &pile);
        };
        if let Some(other) = self.node.clients.get(target) {
            let to = To { client: target, is_redirected: true };
            let keys = pile.keys.into_iter().map(Letter::Key);
            let letters = pile.everything.then_some(Letter::Everything).into_iter().chain(keys);
            letters.for_each(|letter| self.node.tracker.post(other.mailbox.at, to, letter));
            return;
        }
        options.is_broken = true;
        drop(tracking);
        if connection.session.protocol == Protocol::Resp3 {
            let id = i64::try_from(target).unwrap_or(i64::MAX);
            connection.push(&[Reply::Push(vec![Reply::bulk("tracking-redir-broken"), Reply::Integer(id)])]);
            self.touched.push(at);
        }
    }

    /// Tells a client what has changed. In RESP2 it has to hear something: it knows messages then.
    fn tell_changed(&mut self, at: usize, pile: &Pile) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        let is_resp3 = connection.session.protocol == Protocol::Resp3;
        if !is_resp3 && !connection.session.hears {
            return;
        }
        let push = |what| {
            Reply::Push(match is_resp3 {
                true => vec![Reply::bulk("invalidate"), what],
                false => vec![Reply::bulk("message"), Reply::bulk(CHANNEL), what],
            })
        };
        let name = |key: &Key| Reply::copied(&key.name);
        let mut pushes = Vec::new();
        if pile.everything {
            pushes.push(push(Reply::Null));
        }
        let (read, named): (Vec<&Key>, Vec<&Key>) = pile.keys.iter().partition(|key| key.way == Way::ByKey);
        pushes.extend(read.into_iter().map(|key| push(Reply::Array(vec![name(key)]))));
        if !named.is_empty() {
            pushes.push(push(Reply::Array(named.into_iter().map(name).collect())));
        }
        connection.push(&pushes);
        self.touched.push(at);
    }
}

/// IMPORTANT: what the heavy pool has read for a client may be older than what it is to be told; and one that
/// does not read is told when it does, in few words.
fn must_wait(connection: &Connection) -> bool {
    matches!(connection.state, State::Working { .. } | State::Paging(_))
        || connection.output.len() > OUTPUT_BYTES_MAX
}

//! Which of a network thread's clients hear what, and the messages that it has not handed out yet. Only
//! the thread itself changes the one; whoever publishes adds to the other.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use base::PartedMap;
use parking_lot::Mutex;

use super::message::Message;
use super::{ByKind, Kind, Name};

type Clients = BTreeSet<u64>;

#[derive(Default)]
pub struct Hearers {
    names: Mutex<ByKind<PartedMap<Name, Clients>>>,
    news: Mutex<News>,
}

#[derive(Default)]
struct News {
    messages: VecDeque<Arc<Message>>,
    /// How many have come in all.
    count: u64,
}

impl Hearers {
    pub(super) fn add(&self, kind: Kind, name: Name, client: u64) {
        self.names.lock().of_mut(kind).get_or_default(name).insert(client);
    }

    pub(super) fn remove(&self, kind: Kind, name: &[u8], client: u64) {
        let mut names = self.names.lock();
        let names = names.of_mut(kind);
        if let Some(clients) = names.get_mut(name) {
            clients.remove(&client);
            if clients.is_empty() {
                names.remove(name);
            }
        }
    }

    /// The next clients that hear a name, in the order of their ids: those after `after`, so many at most.
    pub fn next(&self, kind: Kind, name: &[u8], after: u64, max: usize) -> Vec<u64> {
        let names = self.names.lock();
        let Some(clients) = names.of(kind).get(name) else { return Vec::new() };
        clients.range((Bound::Excluded(after), Bound::Unbounded)).take(max).copied().collect()
    }

    /// There is something to be handed out. Says whether the thread has to be told so.
    pub(super) fn bring(&self, message: Arc<Message>) -> bool {
        let mut news = self.news.lock();
        news.messages.push_back(message);
        news.count += 1;
        news.messages.len() == 1
    }

    pub fn has_news(&self) -> bool {
        !self.news.lock().messages.is_empty()
    }

    /// How many messages have come so far.
    pub fn count(&self) -> u64 {
        self.news.lock().count
    }

    /// Takes all that there is.
    pub fn take_news(&self, into: &mut VecDeque<Arc<Message>>) {
        let mut news = self.news.lock();
        if into.is_empty() {
            std::mem::swap(into, &mut news.messages);
        } else {
            into.append(&mut news.messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_gone_through_in_pieces() {
        let hearers = Hearers::default();
        let name: Name = Name::from(&b"a"[..]);
        for client in [5, 1, 3] {
            hearers.add(Kind::Channel, name.clone(), client);
        }
        hearers.add(Kind::Pattern, name.clone(), 9);
        assert_eq!(hearers.next(Kind::Channel, b"a", 0, 2), [1, 3]);
        hearers.remove(Kind::Channel, b"a", 3);
        hearers.add(Kind::Channel, name, 4);
        assert_eq!(hearers.next(Kind::Channel, b"a", 3, 2), [4, 5]);
        assert!(hearers.next(Kind::Channel, b"a", 5, 2).is_empty());
        for client in [1, 4, 5, 5] {
            hearers.remove(Kind::Channel, b"a", client);
        }
        assert!(hearers.names.lock().of(Kind::Channel).is_empty());
        assert_eq!(hearers.next(Kind::Pattern, b"a", 0, 2), [9]);
    }
}

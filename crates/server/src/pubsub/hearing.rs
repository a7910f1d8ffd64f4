//! What one client hears.

use std::collections::BTreeSet;

use base::limits;
use command::Error;

use super::{ByKind, Kind, Name};
use crate::engine::clients::NOTED_NAME_BYTES;
use crate::session::acl::User;

#[derive(Default)]
pub struct Hearing {
    names: ByKind<BTreeSet<Name>>,
    /// Of all names.
    bytes: usize,
}

impl Hearing {
    pub fn of(&self, kind: Kind) -> &BTreeSet<Name> {
        self.names.of(kind)
    }

    /// How many names of each kind, in their order.
    pub fn counts(&self) -> [usize; 3] {
        Kind::ALL.map(|kind| self.of(kind).len())
    }

    /// Roughly what it takes up: the names lie in one place, wherever they are noted.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes + self.counts().iter().sum::<usize>() * NOTED_NAME_BYTES
    }

    /// What a client is told that it hears now: of shards by themselves, as in Redis.
    pub fn told(&self, kind: Kind) -> i64 {
        let [channels, patterns, shards] = self.counts();
        (if kind == Kind::Shard { shards } else { channels + patterns }) as i64
    }

    pub fn is_empty(&self) -> bool {
        self.counts() == [0; 3]
    }

    /// Whether there is room for these names, as if all of them were new.
    pub fn check_room<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> command::Result<()> {
        let (mut count, mut bytes) = (self.counts().iter().sum::<usize>(), self.bytes);
        for name in names {
            (count, bytes) = (count + 1, bytes + name.len());
            if name.len() > limits::CHANNEL_BYTES_MAX {
                return Err(Error::text(format!(
                    "ERR a name has at most {} bytes",
                    limits::CHANNEL_BYTES_MAX
                )));
            }
        }
        if count > limits::SUBSCRIPTIONS_MAX || bytes > limits::SUBSCRIPTIONS_BYTES_MAX {
            return Err(Error::text(format!(
                "ERR a client has at most {} subscriptions, whose names have {} bytes",
                limits::SUBSCRIPTIONS_MAX,
                limits::SUBSCRIPTIONS_BYTES_MAX
            )));
        }
        Ok(())
    }

    /// Some of all names.
    pub(super) fn some(&self, max: usize) -> Vec<(Kind, Name)> {
        let of = |kind| self.of(kind).iter().map(move |name| (kind, name.clone()));
        Kind::ALL.into_iter().flat_map(of).take(max).collect()
    }

    /// Says whether it is new.
    pub(super) fn add(&mut self, kind: Kind, name: Name) -> bool {
        let len = name.len();
        let is_new = self.names.of_mut(kind).insert(name);
        self.bytes += if is_new { len } else { 0 };
        is_new
    }

    pub(super) fn remove(&mut self, kind: Kind, name: &[u8]) -> Option<Name> {
        let name = self.names.of_mut(kind).take(name)?;
        self.bytes -= name.len();
        Some(name)
    }

    /// Whether a user may hear all of it.
    pub fn is_allowed(&self, user: &User) -> bool {
        Kind::ALL
            .iter()
            .all(|&kind| self.of(kind).iter().all(|name| user.may_hear(name, kind == Kind::Pattern)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.as_bytes().into()
    }

    #[test]
    fn names_of_a_kind_are_counted_once() {
        let mut hearing = Hearing::default();
        assert!(hearing.add(Kind::Channel, name("a")) && !hearing.add(Kind::Channel, name("a")));
        assert!(hearing.add(Kind::Pattern, name("a")) && hearing.add(Kind::Shard, name("a")));
        assert_eq!((hearing.told(Kind::Channel), hearing.told(Kind::Shard), hearing.bytes), (2, 1, 3));
        assert!(hearing.remove(Kind::Channel, b"a").is_some());
        assert!(hearing.remove(Kind::Channel, b"a").is_none());
        assert_eq!((hearing.told(Kind::Pattern), hearing.bytes), (1, 2));
    }

    #[test]
    fn what_a_client_may_hear_is_bounded() {
        let hearing = Hearing::default();
        let long = vec![b'x'; limits::CHANNEL_BYTES_MAX + 1];
        assert!(hearing.check_room([&b"a"[..]; 3].into_iter()).is_ok());
        assert!(hearing.check_room([&*long].into_iter()).is_err());
        let many = limits::SUBSCRIPTIONS_MAX;
        assert!(hearing.check_room(std::iter::repeat_n(&b""[..], many)).is_ok());
        assert!(hearing.check_room(std::iter::repeat_n(&b""[..], many + 1)).is_err());
    }
}

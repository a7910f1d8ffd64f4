//! Records that are made up when they are asked for: billions of them, in no memory.

use base::slot;
use bytes::Bytes;

use crate::proto::Actor;
use crate::proto::actor::Status;
use crate::{Key, Record};

/// What the nodes hold instead of keys of their own.
pub trait Population: Send + Sync + 'static {
    /// How many keys a node has.
    fn len(&self, node: usize) -> u64;

    fn key(&self, node: usize, at: u64) -> Bytes;

    /// `None` if it has no such key.
    fn value(&self, key: &[u8]) -> Option<Bytes>;
}

/// Suspended actors of one atespace, as many on each shard.
#[derive(Debug, Clone)]
pub struct Uniform {
    pub shards: usize,
    pub actors_per_shard: u64,
}

pub(super) const ATESPACE: &str = "crowd";

impl Population for Uniform {
    fn len(&self, _: usize) -> u64 {
        self.actors_per_shard
    }

    fn key(&self, node: usize, at: u64) -> Bytes {
        let slots = super::slots_of(node, self.shards);
        let key = |salt: u32| {
            let id = format!("a{at}-{salt}");
            Key::Actor { atespace: ATESPACE, id: &id }.to_string()
        };
        // As many tries as there are shards, on average.
        let mut salts = (0..).map(key);
        Bytes::from(salts.find(|key| slots.contains(&slot::of(key.as_bytes()))).unwrap_or_default())
    }

    fn value(&self, key: &[u8]) -> Option<Bytes> {
        let Some(Key::Actor { atespace: ATESPACE, id }) = Key::parse(key) else { return None };
        let actor = Actor {
            actor_id: id.into(),
            version: 1,
            actor_template_namespace: "default".into(),
            actor_template_name: "template".into(),
            status: Status::Suspended.into(),
            atespace: ATESPACE.into(),
            ..Actor::default()
        };
        actor.encode().ok().map(Bytes::from)
    }
}

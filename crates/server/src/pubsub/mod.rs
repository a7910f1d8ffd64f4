//! Pub/sub: who hears which channels, and the messages on their way to them.
//!
//! What a client hears is noted in three places: with the client (`hearing`), with its network thread
//! (`hearers`: which of its clients hear a name), and for the whole node (`hub`: which network threads have
//! clients that hear a name). Whoever publishes looks at the node's table only, and matches each pattern once;
//! the message is a tiding of its transaction, and is handed once to each thread that has hearers. So a client
//! that reads slowly is its own thread's business, and the publisher's never.
//!
//! Bounded: what a client may hear, and the messages that were published and not handed out yet, all
//! together: publishers wait for those.

mod hearers;
mod hearing;
mod hub;
mod key_events;
mod message;
mod publish;
mod tables;

use std::sync::Arc;

pub use hearers::Hearers;
pub use hearing::Hearing;
pub use hub::Hub;
pub use message::{Message, Posted};
pub use publish::{COMMANDS, is_long, must_wait, publishes};

/// The name of a channel, or a pattern.
pub type Name = Arc<[u8]>;

/// What a name stands for. Each has names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Channel,
    /// All channels that are like it.
    Pattern,
    /// A channel that belongs to a slot, as keys do.
    Shard,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::Shard];
}

/// Something for each kind of name.
#[derive(Debug, Default)]
pub struct ByKind<T>([T; 3]);

impl<T> ByKind<T> {
    pub fn of(&self, kind: Kind) -> &T {
        let [channels, patterns, shards] = &self.0;
        match kind {
            Kind::Channel => channels,
            Kind::Pattern => patterns,
            Kind::Shard => shards,
        }
    }

    pub fn of_mut(&mut self, kind: Kind) -> &mut T {
        let [channels, patterns, shards] = &mut self.0;
        match kind {
            Kind::Channel => channels,
            Kind::Pattern => patterns,
            Kind::Shard => shards,
        }
    }
}

//! The byte in front of a value that names its type and encoding, as in Redis' `rdb.h`.

pub const STRING: u8 = 0;
pub const LIST: u8 = 1;
pub const SET: u8 = 2;
/// Scores as text.
pub const ZSET: u8 = 3;
pub const HASH: u8 = 4;
/// Scores as doubles.
pub const ZSET_2: u8 = 5;
pub const MODULE_PRE_GA: u8 = 6;
pub const MODULE_2: u8 = 7;
pub const HASH_ZIPMAP: u8 = 9;
pub const LIST_ZIPLIST: u8 = 10;
pub const SET_INTSET: u8 = 11;
pub const ZSET_ZIPLIST: u8 = 12;
pub const HASH_ZIPLIST: u8 = 13;
/// Nodes that are ziplists.
pub const LIST_QUICKLIST: u8 = 14;
pub const STREAM_LISTPACKS: u8 = 15;
pub const HASH_LISTPACK: u8 = 16;
pub const ZSET_LISTPACK: u8 = 17;
/// Nodes that are listpacks or single elements.
pub const LIST_QUICKLIST_2: u8 = 18;
/// With the first and the largest deleted id, and what was ever added and read.
pub const STREAM_LISTPACKS_2: u8 = 19;
pub const SET_LISTPACK: u8 = 20;
/// With the time when a consumer was last active.
pub const STREAM_LISTPACKS_3: u8 = 21;

/// A node of `LIST_QUICKLIST_2` that is one element.
pub(crate) const NODE_PLAIN: u64 = 1;
/// A node of `LIST_QUICKLIST_2` that is a listpack.
pub(crate) const NODE_PACKED: u64 = 2;

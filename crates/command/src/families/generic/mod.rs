//! Keys, whatever they hold.

pub(super) mod dump;
pub(super) mod expiry;
pub(super) mod keys;
pub(super) mod object;
pub(super) mod rename;
pub(super) mod scan;
pub(super) mod sort;
pub(crate) mod sort_keys;
pub(super) mod usage;

use store::Txn;

use super::row as row_of;
use crate::error::Result;
use crate::row::{Access, Command, Flags, Keys, Run};

const fn row(name: &'static str, arity: i32, keys: Keys, flags: &[Flags], run: Run) -> Command {
    row_of("generic", name, arity, keys, flags, run)
}

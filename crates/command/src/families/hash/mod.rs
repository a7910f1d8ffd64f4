//! Hashes.

pub(super) mod fields;
pub(super) mod whole;

use resp::Reply;
use store::Txn;

use super::{blob, row as row_of};
use crate::args::Args;
use crate::error::{Error, Result};
use crate::row::{Command, Flags, Keys, Run};

const fn row(name: &'static str, arity: i32, keys: Keys, flags: &[Flags], run: Run) -> Command {
    row_of("hash", name, arity, keys, flags, run)
}

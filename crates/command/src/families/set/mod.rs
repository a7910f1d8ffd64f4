//! Sets.

pub(super) mod algebra;
pub(super) mod members;

use resp::Reply;
use store::Txn;

use super::row as row_of;
use crate::args::Args;
use crate::error::{Error, Result};
use crate::row::{Command, Flags, Keys, Run};

const fn row(name: &'static str, arity: i32, keys: Keys, flags: &[Flags], run: Run) -> Command {
    row_of("set", name, arity, keys, flags, run)
}

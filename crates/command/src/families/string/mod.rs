//! Strings.

pub(super) mod basic;
pub(super) mod lcs;
mod long;
pub(super) mod many;
pub(super) mod number;
mod options;
pub(super) mod range;

use resp::Blob;
use store::{Kind, Record, Txn};

use super::{row as row_of, string, value};
use crate::error::{Error, Result};
use crate::row::{Command, Flags, Keys, Run};

const fn row(name: &'static str, arity: i32, keys: Keys, flags: &[Flags], run: Run) -> Command {
    row_of("string", name, arity, keys, flags, run)
}

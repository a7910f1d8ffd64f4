//! Sorted sets.

pub(super) mod algebra;
pub(super) mod bounds;
pub(super) mod members;
pub(super) mod pops;
pub(super) mod ranges;

use resp::Reply;
use store::Txn;

use super::row as row_of;
use crate::args::Args;
use crate::error::{Error, Result};
use crate::row::{Command, Flags, Keys, Run};

const fn row(name: &'static str, arity: i32, keys: Keys, flags: &[Flags], run: Run) -> Command {
    row_of("sorted-set", name, arity, keys, flags, run)
}

/// A member and its score.
pub(super) type Scored = (Vec<u8>, f64);

/// Members, with their scores if they are wanted.
fn reply(found: Vec<Scored>, with_scores: bool) -> Reply {
    if with_scores {
        let pairs = found.into_iter().map(|(member, score)| (Reply::bulk(member), Reply::Double(score)));
        Reply::Pairs(pairs.collect())
    } else {
        Reply::Array(found.into_iter().map(|(member, _)| Reply::bulk(member)).collect())
    }
}

//! CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT: the keys of one slot, in the heavy pool.

use base::slot::SLOTS;
use command::{Args, Error};
use resp::Reply;
use store::{Flow, KeyPosition, Scratch, Step, walk_keys};

use super::cluster::enabled;
use super::rows;
use super::{Answer, Context};
use crate::engine::heavy::{Outcome, Told};
use crate::net::dispatch;

fn slot(args: &Args<'_>) -> command::Result<Option<u16>> {
    let slot = args.int(2)?;
    Ok(u16::try_from(slot).ok().filter(|slot| *slot < SLOTS))
}

pub(super) fn count(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    enabled(context.node)?;
    let slot = slot(args)?.ok_or(Error::line("ERR Invalid slot"))?;
    Ok(in_slot(slot, i64::MAX, |keys| Reply::Integer(keys.len() as i64), false))
}

pub(super) fn keys(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    enabled(context.node)?;
    let slot = slot(args)?;
    let limit = args.int(3)?;
    let Some(slot) = slot.filter(|_| limit >= 0) else {
        return Err(Error::line("ERR Invalid slot or number of keys"));
    };
    let reply = |keys: Vec<Vec<u8>>| Reply::Array(keys.into_iter().map(Reply::bulk).collect());
    Ok(in_slot(slot, limit, reply, true))
}

/// Collects up to `limit` keys of a slot, with their names or, to be counted, without.
fn in_slot(slot: u16, limit: i64, reply: fn(Vec<Vec<u8>>) -> Reply, names: bool) -> Answer {
    Answer::Heavy(Box::new(move |node, cancel| {
        let Some(group) = node.groups.get(usize::from(node.group_of(slot))) else {
            return Outcome::ungated(Reply::error("ERR Invalid slot"));
        };
        let mut scratch = Scratch::default();
        let done = group.store.run_heavy(0, &mut scratch, cancel, |txn| -> command::Result<Reply> {
            let mut found = Vec::new();
            walk_keys(txn, KeyPosition { slot, hash: 0 }, &mut |step| -> command::Result<Flow> {
                if step.at().slot != slot || found.len() as i64 >= limit {
                    return Ok(Flow::Stop);
                }
                if let Step::Key(key) = step {
                    found.push(if names { key.key.to_vec() } else { Vec::new() });
                }
                Ok(Flow::More)
            })?;
            Ok(reply(found))
        });
        match done {
            Ok(done) => {
                let reply = done.result.unwrap_or_else(Error::reply);
                Outcome { told: Told::Reply(reply), gates: vec![(group.id, done.gate)] }
            }
            Err(left) => Outcome::ungated(dispatch::left_reply(&left)),
        }
    }))
}

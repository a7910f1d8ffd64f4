//! When two replies count as the same: what is known to differ between the servers.

use super::turn::{Deed, Turn};
use crate::diff::scripts::tidied;
use crate::{Flavour, Reply};

/// `asked` is what the client has said, `was_woken` that others did something since.
pub(super) fn same(
    asked: Option<&Turn>,
    was_woken: bool,
    reference: Flavour,
    left: &Reply,
    right: &Reply,
) -> bool {
    let (left, right) = (timeless(&tidied(left)), timeless(&tidied(right)));
    let waited_by = |name: &str| {
        was_woken
            && asked.is_some_and(|turn| match &turn.deed {
                Deed::Wait(command) => {
                    command.first().is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
                }
                _ => false,
            })
    };
    match (&left, &right) {
        _ if left == right => true,
        (Reply::Error(left), Reply::Error(right)) => {
            reference == Flavour::Redis && waited_by("XREADGROUP") && is_gone(left, right)
        }
        _ => reference == Flavour::Redis && waited_by("XREAD") && is_part(&right, &left),
    }
}

/// Who waits for several streams is told by Redis 7.0 of the first that has something.
fn is_part(one: &Reply, all: &Reply) -> bool {
    match (one, all) {
        (Reply::Map(one), Reply::Map(all)) => one.len() == 1 && one.iter().all(|stream| all.contains(stream)),
        (Reply::Array(one), Reply::Array(all)) => {
            one.len() == 1 && one.iter().all(|stream| all.contains(stream))
        }
        _ => false,
    }
}

/// What is there at the end.
pub(super) fn same_look(reference: Flavour, left: &Reply, right: &Reply) -> bool {
    let tidy = |reply: &Reply| {
        let reply = timeless(reply);
        // Redis 7.0 makes a consumer when there is something for it, others when it asks.
        if reference == Flavour::Redis { without_consumers(&reply) } else { reply }
    };
    tidy(left) == tidy(right)
}

/// A reply of XINFO GROUPS without the numbers of consumers.
fn without_consumers(reply: &Reply) -> Reply {
    let Reply::Array(items) = reply else { return reply.clone() };
    let is_number = |at: usize| at > 0 && items.get(at - 1) == Some(&Reply::bulk("consumers"));
    let kept = items.iter().enumerate().filter(|(at, _)| !is_number(*at));
    Reply::Array(kept.map(|(_, item)| without_consumers(item)).collect())
}

/// Who waits for a group whose stream or which itself goes runs its command again, in Bulkhead and since Redis 7.2, and is
/// told what that finds. Redis 7.0 has words of its own for it.
fn is_gone(today: &str, redis: &str) -> bool {
    const GONE: &[&str] = &[
        "UNBLOCKED the stream key no longer exists",
        "NOGROUP the consumer group this client was blocked on no longer exists",
    ];
    today.starts_with("NOGROUP No such key ") && GONE.contains(&redis)
}

/// A reply without the times in it: what is pending says since when.
pub(super) fn timeless(reply: &Reply) -> Reply {
    match reply {
        Reply::Array(items) => match items.as_slice() {
            [id @ Reply::Bulk(_), consumer @ Reply::Bulk(_), Reply::Integer(_), times @ Reply::Integer(_)] => {
                Reply::Array(vec![id.clone(), consumer.clone(), times.clone()])
            }
            items => Reply::Array(items.iter().map(timeless).collect()),
        },
        other => other.clone(),
    }
}

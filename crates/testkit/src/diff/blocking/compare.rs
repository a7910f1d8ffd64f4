//! When two replies count as the same: what is known to differ between the servers.

use super::turn::{Deed, Turn};
use crate::diff::compare::without_consumers;
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
    match (&left, &right) {
        (Reply::Error(today), Reply::Error(redis)) if reference == Flavour::Redis && was_woken => {
            left == right || (asked.is_some_and(reads_group) && is_gone(today, redis))
        }
        _ => left == right,
    }
}

fn reads_group(turn: &Turn) -> bool {
    let Deed::Wait(command) = &turn.deed else { return false };
    command.first().is_some_and(|name| name.eq_ignore_ascii_case(b"XREADGROUP"))
}

/// Who waits for a group whose stream or which itself goes runs its command again, in Bulkhead and since Redis 7.2, and is
/// told what that finds. Redis 7.0 has words of its own for it.
fn is_gone(today: &str, redis: &str) -> bool {
    const GONE: &[&str] = &[
        "UNBLOCKED the stream key no longer exists",
        "NOGROUP the consumer group this client was blocked on no longer exists",
    ];
    ["NOGROUP No such key ", "WRONGTYPE "].iter().any(|begin| today.starts_with(begin))
        && GONE.contains(&redis)
}

/// What is there at the end, without times. A consumer is made when it asks, and when it finds nothing as it looks again also
/// in Valkey, but not in Bulkhead; in Redis 7.0 when there is something for it.
pub(super) fn tidy_look(reply: &Reply) -> Reply {
    without_consumers(&timeless(reply))
}

/// A reply without the times in it: what is pending says since when.
fn timeless(reply: &Reply) -> Reply {
    match reply {
        Reply::Array(items) => match items.as_slice() {
            [
                id @ Reply::Bulk(_),
                consumer @ Reply::Bulk(_),
                Reply::Integer(_),
                times @ Reply::Integer(_),
            ] => Reply::Array(vec![id.clone(), consumer.clone(), times.clone()]),
            items => Reply::Array(items.iter().map(timeless).collect()),
        },
        other => other.clone(),
    }
}

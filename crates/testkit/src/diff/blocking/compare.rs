//! When two replies count as the same: what is known to differ between the servers.

use super::turn::{Deed, Turn};
use crate::diff::scripts::tidied;
use crate::{Flavour, Reply};

/// `asked` is what the client has said, `was_woken` that others did something since.
pub(super) fn same(asked: Option<&Turn>, was_woken: bool, reference: Flavour, left: &Reply, right: &Reply) -> bool {
    let (left, right) = (timeless(&tidied(left)), timeless(&tidied(right)));
    if left == right {
        return true;
    }
    let reads_group = asked.is_some_and(|turn| match &turn.deed {
        Deed::Wait(command) => command.first().is_some_and(|name| name.eq_ignore_ascii_case(b"XREADGROUP")),
        _ => false,
    });
    match (&left, &right) {
        (Reply::Error(left), Reply::Error(right)) => {
            was_woken && reads_group && reference == Flavour::Redis && is_gone(left, right)
        }
        _ => false,
    }
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

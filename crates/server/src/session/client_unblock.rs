//! CLIENT UNBLOCK: ends the wait of a client as if its time was over, or with an error.

use command::{Args, Error};

use super::Context;
use super::rows::{self, reply};
use crate::engine::clients::{Client, Waits};
use crate::engine::node::Node;
use crate::net::mailbox::Mail;

pub(super) fn unblock(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let is_error = match args.len() {
        3 => false,
        4 if args.is(3, "timeout") => false,
        4 if args.is(3, "error") => true,
        4 => return Err(Error::line("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(rows::wrong_subcommand("CLIENT", args)),
    };
    let node = context.node;
    let client = u64::try_from(args.int(2)?).ok().and_then(|id| node.clients.get(id));
    let Some(client) = client.filter(|client| stop_waiting(node, client)) else { return reply(0) };
    client.mailbox.send(Mail::Unblocked { client: client.id, is_error });
    reply(1)
}

/// Takes a client off the list of those who wait: from then on nobody else answers it. One that is being
/// served at this moment waits no longer, and one that is paused waits for nothing of its own.
fn stop_waiting(node: &Node, client: &Client) -> bool {
    let mut waits = client.waits.lock();
    let stopped = match &*waits {
        Waits::Key(place) => {
            let group = node.groups.get(usize::from(place.group));
            group.is_some_and(|group| group.store.stop_waiting(place.ticket))
        }
        Waits::Time => true,
        Waits::Not | Waits::Paused => false,
    };
    if stopped {
        *waits = Waits::Not;
    }
    stopped
}

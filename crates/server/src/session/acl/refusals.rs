//! What is noted where somebody is refused something.

use command::{Args, Error};

use super::check::Denied;
use super::log::{Place, Reason, Refusal};
use super::user::User;
use crate::engine::clients::Client;
use crate::engine::node::Node;
use crate::session::{Session, account, client_list};
use crate::table::Entry;

/// Notes that a session's user may not run a command; gives the error that the client is told.
#[cold]
pub fn denied(node: &Node, session: &Session, entry: &Entry, args: &Args<'_>, denied: Denied) -> Error {
    account::begins(&session.client, entry);
    note_denied(node, (&session.client, session.login.user()), entry, args, denied, place(session));
    denied.error(session.login.user(), entry)
}

/// Notes that a client's user may not run a command.
pub fn note_denied(
    node: &Node,
    (client, user): (&Client, &User),
    entry: &Entry,
    args: &Args<'_>,
    denied: Denied,
    place: Place,
) {
    let (reason, object) = match denied {
        Denied::Command => (Reason::Command, entry.row.name.as_bytes()),
        Denied::Key(at) => (Reason::Key, args.get(at)),
        Denied::Channel(at) => (Reason::Channel, args.get(at)),
        // An option that is not allowed is an error like others.
        Denied::AnyKey(_) => return,
    };
    let user = user.name.clone();
    note(node, client, Refusal { reason, place, object: object.to_vec(), user });
}

/// Notes that somebody failed to log in; `word` is the command's, as it was called.
#[cold]
pub fn refused_login(node: &Node, session: &Session, user: &[u8], word: &[u8]) {
    let refusal =
        Refusal { reason: Reason::Auth, place: place(session), object: word.to_vec(), user: user.to_vec() };
    note(node, &session.client, refusal);
}

fn place(session: &Session) -> Place {
    if session.is_queueing() { Place::Multi } else { Place::TopLevel }
}

fn note(node: &Node, client: &Client, refusal: Refusal) {
    let now_ms = node.wall_ms();
    let line = client_list::line(client, now_ms).trim_end().to_owned();
    node.users.log.add(refusal, line, now_ms, node.live.acl_log_len_max());
}

//! Connections on places that are kept back for administrators, until one of these has shown who he is.
//!
//! That is by a login. Where an administrator needs none, because the default user has no password and may do everything,
//! nobody can tell him from an application but by what he does: his first command is one of the category `admin`. So much is
//! taken for proof only on the machine itself, or where nothing but the share of his address is taken.

use command::{Args, Error, flags};
use resp::Reply;

use crate::admission::arrivals::Why;
use crate::net::connection::{Connection, State};
use crate::table::Entry;

/// Whether a connection may not run this command: on trial an administrator shows who he is, and nothing else is done.
pub fn forbids(connection: &Connection, found: &Result<&'static Entry, Error>) -> bool {
    let shows = |entry: &Entry| logs_in(entry, &connection.args()) || acts(connection, entry);
    connection.seat.trial().is_some() && !found.as_ref().is_ok_and(|entry| shows(entry))
}

fn logs_in(entry: &Entry, args: &Args<'_>) -> bool {
    match entry.row.name {
        "auth" => true,
        "hello" => (2..args.len()).any(|at| args.is(at, "auth")),
        _ => false,
    }
}

/// Whether somebody who needs no login does at once what administrators do.
fn acts(connection: &Connection, entry: &Entry) -> bool {
    let counts = connection.seat.trial() == Some(Why::Peer) || connection.seat.peer().is_local();
    let login = &connection.session.login;
    counts && !login.has_logged_in() && login.user().is_administrator() && entry.row.flags.has(flags::ADMIN)
}

/// A connection on trial has run its first command.
pub fn judge(connection: &mut Connection, entry: Option<&'static Entry>) {
    if connection.seat.trial().is_none() {
        return;
    }
    let login = &connection.session.login;
    let has_shown = login.has_logged_in() || entry.is_some_and(|entry| acts(connection, entry));
    if has_shown && login.user().is_administrator() {
        connection.seat.confirm();
    } else {
        fail(connection);
    }
}

/// It is no administrator: it is told what it would have been told at the door.
pub fn fail(connection: &mut Connection) {
    let Some(why) = connection.seat.trial() else { return };
    connection.output.mute(false);
    connection.reply(&Reply::error(why.text()));
    connection.state = State::Closing;
}

//! Connections on places that are kept back for administrators, until one of these has logged in.

use command::Error;
use resp::Reply;

use crate::admission::arrivals::FULL;
use crate::net::connection::{Connection, State};
use crate::table::Entry;

/// Whether a connection may not run this command: on trial it logs in, and does nothing else.
pub fn forbids(connection: &Connection, found: &Result<&'static Entry, Error>) -> bool {
    let logs_in = || found.as_ref().is_ok_and(|entry| matches!(entry.row.name, "auth" | "hello"));
    connection.seat.trial_until().is_some() && !logs_in()
}

/// A connection on trial has run its first command.
pub fn judge(connection: &mut Connection) {
    if connection.seat.trial_until().is_none() {
        return;
    }
    let login = &connection.session.login;
    if login.has_logged_in() && login.user().is_administrator() {
        connection.seat.confirm();
    } else {
        fail(connection);
    }
}

/// No administrator has logged in: it is told that there is no room for anybody else.
pub fn fail(connection: &mut Connection) {
    connection.seat.fail();
    connection.output.mute(false);
    connection.reply(&Reply::error(FULL));
    connection.state = State::Closing;
}

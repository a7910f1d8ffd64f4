//! Where users are kept: a named record each, in the group that has the catalog. A change is a transaction
//! like any other; what is in force follows once it has its place in the log.

use std::sync::atomic::Ordering;

use base::limits;
use command::Error;
use resp::Reply;
use store::{Area, Cancel, Done, Gate, Leave, Scratch, Stop, Txn};

use super::Unreadable;
use super::user::{DEFAULT, User};
use crate::engine::heavy::{Outcome, Told};
use crate::engine::node::Node;
use crate::net::dispatch;

/// The group that has the catalog.
const GROUP: u16 = 0;
/// The catalog belongs to no database.
const DATABASE: u8 = 0;

/// Why users cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("users cannot be read: {0}")]
    Stopped(#[from] Stop),
    #[error("users cannot be read: {0:?}")]
    Left(Leave),
}

impl From<Unreadable> for Error {
    fn from(why: Unreadable) -> Self {
        Self::text(format!("ERR {why}"))
    }
}

fn stored(txn: &mut Txn<'_>, name: &[u8]) -> command::Result<Option<User>> {
    let record = txn.named(Area::Users, name)?;
    Ok(record.map(|record| User::from_record(name, &record)).transpose()?)
}

/// Has what the catalog holds in force, and closes connections of users who are gone.
pub fn load(node: &Node) -> Result<Option<Gate>, LoadError> {
    let Some(group) = node.groups.get(usize::from(GROUP)) else { return Ok(None) };
    let mut refreshed = node.users.refreshing.lock();
    let read = |txn: &mut Txn<'_>| txn.area_records(Area::Users);
    let done = group.store.run_heavy(DATABASE, &mut Scratch::default(), &Cancel::default(), read);
    let Done { result, gate, .. } = done.map_err(LoadError::Left)?;
    let records = result?;
    let users = records.iter().map(|(name, record)| User::from_record(name, record));
    let gone = node.users.set_all(users.collect::<Result<_, _>>()?);
    refreshed.epoch = Some(gate.epoch);
    drop(refreshed);
    close_connections(node, &gone, None);
    close_hearers(node, None, None);
    Ok(Some(gate))
}

/// Loads users anew if what they were read from may be void: their group has begun an epoch.
pub fn keep_current(node: &Node) {
    let Some(group) = node.groups.get(usize::from(GROUP)) else { return };
    let Some(epoch) = group.store.sequencer.open_epoch() else { return };
    if node.users.refreshing.lock().epoch == Some(epoch) {
        return;
    }
    match load(node) {
        Ok(_) | Err(LoadError::Left(_)) => {}
        Err(error) => {
            // The next epoch may do better; until then it is said once.
            tracing::error!(%error, "users stay as they were");
            node.users.refreshing.lock().epoch = Some(epoch);
        }
    }
}

/// Brings what is in force of these users up to date. Whoever does it last has read the last. `caller` is the
/// client that asks, which is still answered.
fn refresh(node: &Node, names: &[Vec<u8>], caller: u64) -> command::Result<()> {
    let Some(group) = node.groups.get(usize::from(GROUP)) else { return Ok(()) };
    let _refreshing = node.users.refreshing.lock();
    for name in names {
        let read = |txn: &mut Txn<'_>| stored(txn, name);
        match group.store.run_heavy(DATABASE, &mut Scratch::default(), &Cancel::default(), read) {
            Ok(done) => {
                let user = done.result?;
                if name == DEFAULT {
                    node.users.settle_default();
                }
                node.users.set(name, user);
                close_hearers(node, Some(name), Some(caller));
            }
            // The epoch has ended: everything is read anew when the next one begins.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Runs a change as a transaction, and has it in force. `change` gives the reply and the names that it is about.
fn commit(
    node: &Node,
    (cancel, caller): (&Cancel, u64),
    mut change: impl FnMut(&mut Txn<'_>) -> command::Result<(Reply, Vec<Vec<u8>>)>,
) -> Result<(Reply, Vec<Vec<u8>>, Gate), Outcome> {
    let Some(group) = node.groups.get(usize::from(GROUP)) else {
        return Err(Outcome::ungated(dispatch::left_reply(&Leave::Closed)));
    };
    let mut scratch = Scratch::default();
    let done = dispatch::run_when_open(group, cancel, || {
        if let Some(why) = node.disk_refusal(true) {
            return Err(Outcome::ungated(Reply::error(why)));
        }
        Ok(group.store.run_heavy(DATABASE, &mut scratch, cancel, &mut change))
    })?;
    let gate = done.gate;
    let gated = |reply| Outcome { told: Told::Reply(reply), gates: vec![(GROUP, gate)] };
    let (reply, names) = done.result.map_err(|error| gated(error.reply()))?;
    refresh(node, &names, caller).map_err(|error| gated(error.reply()))?;
    Ok((reply, names, gate))
}

fn outcome(done: Result<(Reply, Gate), Outcome>) -> Outcome {
    match done {
        Ok((reply, gate)) => Outcome { told: Told::Reply(reply), gates: vec![(GROUP, gate)] },
        Err(outcome) => outcome,
    }
}

const TOO_MANY: Error = Error::line("ERR there are too many users");
const TOO_LONG: Error = Error::line("ERR the rules of the user are too long");

/// ACL SETUSER.
pub fn set_user(node: &Node, cancel: &Cancel, name: &[u8], rules: &[&[u8]], caller: u64) -> Outcome {
    let change = |txn: &mut Txn<'_>| {
        let before = stored(txn, name)?;
        if before.is_none() && txn.area(Area::Users)?.names.len() >= limits::USERS_MAX {
            return Err(TOO_MANY);
        }
        let user = node.users.base(name, before).changed(rules)?;
        let record = user.record();
        if record.len() > limits::USER_BYTES_MAX {
            return Err(TOO_LONG);
        }
        txn.set_named(Area::Users, name, Some(record))?;
        Ok((Reply::Ok, vec![name.to_vec()]))
    };
    let done = commit(node, (cancel, caller), change);
    outcome(done.map(|(reply, _, gate)| (reply, gate)))
}

/// ACL DELUSER. `caller` is the client that asks, which is still answered.
pub fn delete_users(node: &Node, cancel: &Cancel, names: &[&[u8]], caller: u64) -> Outcome {
    let change = |txn: &mut Txn<'_>| {
        let mut deleted = Vec::new();
        for &name in names {
            if txn.set_named(Area::Users, name, None)? {
                deleted.push(name.to_vec());
            }
        }
        Ok((Reply::Integer(deleted.len() as i64), deleted))
    };
    let done = commit(node, (cancel, caller), change).map(|(reply, deleted, gate)| {
        close_connections(node, &deleted, Some(caller));
        (reply, gate)
    });
    outcome(done)
}

/// ACL LOAD.
pub fn load_again(node: &Node) -> Outcome {
    match load(node) {
        Ok(Some(gate)) => outcome(Ok((Reply::Ok, gate))),
        Ok(None) => Outcome::ungated(Reply::Ok),
        Err(LoadError::Left(left)) => Outcome::ungated(dispatch::left_reply(&left)),
        Err(error) => Outcome::ungated(Reply::error(format!("ERR {error}"))),
    }
}

/// Closes connections that hear what their users may not hear any more: those of one user, or of all; that
/// of `last` once it is answered.
fn close_hearers(node: &Node, name: Option<&[u8]>, last: Option<u64>) {
    if node.hub.clients() == 0 {
        return;
    }
    for client in node.clients.list() {
        if !client.hears.load(Ordering::Relaxed) {
            continue;
        }
        let user = client.details.lock().user.clone();
        if name.is_some_and(|name| name != user) {
            continue;
        }
        let may_all = |user: &User| client.hearing.lock().is_allowed(user);
        match node.users.get(&user) {
            Some(user) if may_all(&user) => {}
            _ if last == Some(client.id) => client.close_when_answered(),
            _ => client.kill(),
        }
    }
}

/// Closes connections of users who are gone; that of `last` once it is answered.
fn close_connections(node: &Node, gone: &[Vec<u8>], last: Option<u64>) {
    if gone.is_empty() {
        return;
    }
    for client in node.clients.list() {
        let is_gone = gone.contains(&client.details.lock().user);
        match (is_gone, last == Some(client.id)) {
            (true, false) => client.kill(),
            (true, true) => client.close_when_answered(),
            (false, _) => {}
        }
    }
}

//! Which groups a command concerns, and where that is found out.

use base::{limits, slot};
use command::{Args, Error, flags};
use store::KeyPosition;

use crate::engine::heavy::{Caller, Target};
use crate::engine::node::Node;
use crate::net::blocked;
use crate::session::acl::{self, Denied, Place};
use crate::table::Entry;

pub const CROSSSLOT: &str = "CROSSSLOT Keys in request don't hash to the same slot";

/// Whether a command names more keys or channels than a network thread looks at in one go: these are matched with what the
/// client may touch, and hashed, in the heavy pool; or in parts, by those who begin to hear them.
pub fn names_many(entry: &Entry, args: &Args<'_>) -> bool {
    if args.len() <= limits::KEYS_AT_ONCE_MAX && args.extent() <= limits::KEYS_BYTES_AT_ONCE_MAX {
        return false;
    }
    // WATCH has few keys; who ceases to hear something needs no right.
    if entry.row.run.on_data().is_none() && acl::channels(entry).is_none() {
        return false;
    }
    let mut names = Names::default();
    names.add(entry, args);
    names.are_many()
}

/// How many keys and channels one or several commands name, and how many bytes these have. It is not counted further when they
/// are many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names {
    count: usize,
    bytes: usize,
}

impl Names {
    pub fn add(&mut self, entry: &Entry, args: &Args<'_>) {
        let channels = acl::channels(entry).map(|channels| channels.positions(args));
        for at in entry.row.keys.positions(args).chain(channels.into_iter().flatten()) {
            if self.are_many() {
                return;
            }
            self.count += 1;
            self.bytes += args.get(at).len();
        }
    }

    pub fn are_many(&self) -> bool {
        self.count > limits::KEYS_AT_ONCE_MAX || self.bytes > limits::KEYS_BYTES_AT_ONCE_MAX
    }
}

/// The groups that a command concerns, unless it takes too long to find that out. What may have to wait is refused if
/// there is too much of it.
pub fn target_at_once(node: &Node, entry: &Entry, args: &Args<'_>) -> Result<Option<Target>, Error> {
    blocked::check_bounds(entry, args)?;
    if names_many(entry, args) { Ok(None) } else { target(node, entry, args).map(Some) }
}

/// What was left to the heavy pool: whether the caller may touch all that a command names, and which groups it concerns.
pub fn look(node: &Node, caller: &Caller, entry: &Entry, args: &Args<'_>) -> Result<Target, Error> {
    if let Err(denied) = acl::may(&caller.user, entry, args) {
        return Err(refused(node, caller, entry, args, denied));
    }
    target(node, entry, args)
}

fn refused(node: &Node, caller: &Caller, entry: &Entry, args: &Args<'_>, denied: Denied) -> Error {
    // Who has left is not noted.
    if let Some(client) = node.clients.get(caller.client) {
        acl::note_denied(node, (&client, &caller.user), entry, args, denied, Place::TopLevel);
    }
    denied.error(&caller.user, entry)
}

/// The groups whose keys a command names.
pub fn target(node: &Node, entry: &Entry, args: &Args<'_>) -> Result<Target, Error> {
    if node.groups.len() == 1 {
        return Ok(Target::One(0));
    }
    if let Some(why) = needs_whole(entry, args) {
        return Err(Error::line(why));
    }
    if entry.row.flags.has(flags::FANOUT) {
        return Ok(if entry.row.name == "scan" { scan_target(node, args) } else { Target::All });
    }
    let mut slots = entry.row.keys.positions(args).map(|at| slot::of(args.get(at)));
    let Some(first) = slots.next() else { return Ok(Target::One(0)) };
    if slots.any(|other| other != first) {
        return Err(Error::line(CROSSSLOT));
    }
    Ok(Target::One(node.group_of(first)))
}

/// With several groups there is one database, as in Redis Cluster, and a transaction is within one slot.
/// Says so to what is about several.
fn needs_whole(entry: &Entry, args: &Args<'_>) -> Option<&'static str> {
    match entry.row.name {
        "swapdb" => Some("ERR SWAPDB is not allowed in cluster mode"),
        "move" => Some("ERR MOVE is not allowed in cluster mode"),
        "copy" if args.from(3).any(|arg| arg.eq_ignore_ascii_case(b"db")) => {
            Some("ERR Copying to another database is not allowed in cluster mode")
        }
        "sort" | "sort_ro" => command::sort_leaves_its_slot(args),
        _ => None,
    }
}

/// A scan goes through the groups one after the other: its cursor says where it is.
fn scan_target(node: &Node, args: &Args<'_>) -> Target {
    let cursor = std::str::from_utf8(args.get(1)).ok().and_then(|text| text.parse().ok());
    let at = cursor.and_then(KeyPosition::from_cursor);
    Target::One(at.map_or(0, |at| node.group_of(at.slot)))
}

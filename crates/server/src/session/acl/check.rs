//! Whether a user may run a command: the one place that says so, for commands that come alone, those of a
//! transaction, and those of a script.

use command::{Args, Error, flags};
use resp::Reply;

use super::selector::Rights;
use super::user::User;
use crate::table::Entry;

/// Why not. Of several selectors' reasons the greatest is told: who may run the command is told of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    Command,
    /// The key at this place among the arguments.
    Key(usize),
    /// The channel at this place among the arguments.
    Channel(usize),
    /// An option with which the command may read any key.
    AnyKey(AnyKey),
}

/// Options of SORT that lead to keys which only the keys' contents name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnyKey {
    By,
    Get,
}

/// Whether a user may run a command with these arguments, whose number has been checked.
#[inline]
pub fn may(user: &User, entry: &Entry, args: &Args<'_>) -> Result<(), Denied> {
    if user.may_everything() { Ok(()) } else { look(user, entry, args) }
}

#[cold]
fn look(user: &User, entry: &Entry, args: &Args<'_>) -> Result<(), Denied> {
    let mut worst = Denied::Command;
    for selector in user.selectors() {
        match selector.check(entry, args) {
            Ok(()) => return reads_only_its_keys(user, entry, args),
            Err(denied) => worst = worst.max(denied),
        }
    }
    Err(worst)
}

/// Whether a user may run a command at all, whatever it names.
pub fn may_call(user: &User, entry: &Entry, args: &Args<'_>) -> Result<(), Denied> {
    let is_allowed = user.selectors().any(|selector| selector.commands.allow(entry, args));
    if is_allowed { Ok(()) } else { Err(Denied::Command) }
}

/// Keys that a command finds by itself need the right to read every key.
fn reads_only_its_keys(user: &User, entry: &Entry, args: &Args<'_>) -> Result<(), Denied> {
    let option = match entry.row.name {
        "sort" | "sort_ro" => match command::sort_reads_others(args) {
            Some(command::OtherKeys::By) => AnyKey::By,
            Some(command::OtherKeys::Get) => AnyKey::Get,
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    let mut selectors = user.selectors();
    if selectors.any(|s| s.has_every_key(Rights::READ) && s.check(entry, args).is_ok()) {
        Ok(())
    } else {
        Err(Denied::AnyKey(option))
    }
}

/// Where a command names channels.
pub struct Channels {
    pub are_patterns: bool,
    /// One only, or all to the end.
    only_one: bool,
}

impl Channels {
    pub fn positions(&self, args: &Args<'_>) -> std::ops::Range<usize> {
        1..if self.only_one { args.len().min(2) } else { args.len() }
    }
}

/// The channels that a command sends to, or hears. Who has heard one may stop: that needs no right.
pub fn channels(entry: &Entry) -> Option<Channels> {
    if !entry.row.flags.has(flags::PUBSUB) {
        return None;
    }
    match entry.row.name {
        "publish" | "spublish" => Some(Channels { are_patterns: false, only_one: true }),
        "subscribe" | "ssubscribe" => Some(Channels { are_patterns: false, only_one: false }),
        "psubscribe" => Some(Channels { are_patterns: true, only_one: false }),
        _ => None,
    }
}

impl Denied {
    /// What a client is told.
    pub fn error(self, user: &User, entry: &Entry) -> Error {
        match self {
            Self::Command => {
                Error::quoting("NOPERM User ", &user.name, &format!(" {} command", lacks(entry)))
            }
            Self::Key(_) => Error::line("NOPERM No permissions to access a key"),
            Self::Channel(_) => Error::line("NOPERM No permissions to access a channel"),
            Self::AnyKey(option) => option.error(),
        }
    }

    /// What a script is told that calls the command.
    pub fn in_script(self, user: &User, entry: &Entry) -> Error {
        const HEAD: &[u8] = b"NOPERM ACL failure in script: ";
        let line = self.line(user, entry);
        match line.strip_prefix(b"NOPERM ") {
            Some(why) => Error::Bytes([HEAD, why].concat()),
            None => Error::Bytes(line),
        }
    }

    /// The error, as it is told.
    pub fn line(self, user: &User, entry: &Entry) -> Vec<u8> {
        match self.error(user, entry).reply() {
            Reply::Error(line) => line.as_bytes().to_vec(),
            _ => b"NOPERM".to_vec(),
        }
    }

    /// What ACL DRYRUN answers: `args` are those of the command.
    pub fn explain(self, user: &User, entry: &Entry, args: &Args<'_>) -> Vec<u8> {
        let said = |what: &[u8]| [b"User ", &*user.name, b" ", what].concat();
        let named = |at, what: &str| {
            said(&[b"has no permissions to access the '", args.get(at), b"' ", what.as_bytes()].concat())
        };
        match self {
            Self::Command => said(format!("{} command", lacks(entry)).as_bytes()),
            Self::Key(at) => named(at, "key"),
            Self::Channel(at) => named(at, "channel"),
            // Redis finds out when it runs.
            Self::AnyKey(_) => b"OK".to_vec(),
        }
    }

    /// What EXEC answers in place of a command that was allowed when it was queued.
    pub fn changed(self) -> Error {
        const WHY: &str = "NOPERM ACLs rules changed between the moment the transaction was accumulated and \
                           the EXEC call. This command is no longer allowed for the following reason: ";
        let reason = match self {
            Self::Command => "no permission to execute the command or subcommand",
            Self::Key(_) => "no permission to touch the specified keys",
            Self::Channel(_) => "no permission to access one of the channels used as argument to the command",
            Self::AnyKey(option) => return option.error(),
        };
        Error::text(format!("{WHY}{reason}"))
    }
}

fn lacks(entry: &Entry) -> String {
    format!("has no permissions to run the '{}'", entry.row.name)
}

impl AnyKey {
    pub fn error(self) -> Error {
        match self {
            Self::By => Error::line("ERR BY option of SORT denied due to insufficient ACL permissions"),
            Self::Get => Error::line("ERR GET option of SORT denied due to insufficient ACL permissions"),
        }
    }
}

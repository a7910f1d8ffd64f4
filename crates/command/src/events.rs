//! What those are told who hear of changes: for each command, what it says of the keys that it has changed.
//! Pure: arguments and changes go in, events come out, in the order in which Redis tells them.

use std::collections::HashMap;

use store::{Changes, KeyChange, KeyName};

use crate::args::Args;

/// A set of classes of events, and of ways to tell them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(pub u16);

impl Classes {
    pub const fn has(self, class: Self) -> bool {
        self.0 & class.0 == class.0
    }
}

impl std::ops::BitOr for Classes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The classes, with their letters.
pub mod class {
    use super::Classes;

    /// Told on the key's channel, and on that of the event.
    pub const BY_KEY: Classes = Classes(1);
    pub const BY_EVENT: Classes = Classes(1 << 1);
    pub const GENERIC: Classes = Classes(1 << 2);
    pub const STRING: Classes = Classes(1 << 3);
    pub const LIST: Classes = Classes(1 << 4);
    pub const SET: Classes = Classes(1 << 5);
    pub const HASH: Classes = Classes(1 << 6);
    pub const SORTED_SET: Classes = Classes(1 << 7);
    pub const EXPIRED: Classes = Classes(1 << 8);
    /// Nothing is ever evicted here.
    pub const EVICTED: Classes = Classes(1 << 9);
    pub const STREAM: Classes = Classes(1 << 10);
    /// There are no modules here.
    pub const MODULE: Classes = Classes(1 << 11);
    pub const MISS: Classes = Classes(1 << 12);
    pub const NEW: Classes = Classes(1 << 13);

    /// What `A` stands for, in the order in which it is shown.
    pub const ALL: &[(Classes, u8)] = &[
        (GENERIC, b'g'),
        (STRING, b'$'),
        (LIST, b'l'),
        (SET, b's'),
        (HASH, b'h'),
        (SORTED_SET, b'z'),
        (EXPIRED, b'x'),
        (EVICTED, b'e'),
        (STREAM, b't'),
        (MODULE, b'd'),
    ];
    pub const OTHERS: &[(Classes, u8)] = &[(NEW, b'n'), (BY_KEY, b'K'), (BY_EVENT, b'E'), (MISS, b'm')];
}

impl Classes {
    /// Reads letters; `None` if there is another one among them.
    pub fn parse(letters: &[u8]) -> Option<Self> {
        letters.iter().try_fold(Self::default(), |all, letter| Some(all | Self::of(*letter)?))
    }

    fn of(letter: u8) -> Option<Self> {
        if letter == b'A' {
            return Some(Self::every());
        }
        let found = class::ALL.iter().chain(class::OTHERS).find(|(_, named)| *named == letter);
        found.map(|(class, _)| *class)
    }

    fn every() -> Self {
        class::ALL.iter().fold(Self::default(), |all, (class, _)| all | *class)
    }

    pub fn letters(self) -> String {
        let named = |of: &[(Self, u8)]| {
            of.iter().filter(|(class, _)| self.has(*class)).map(|(_, letter)| char::from(*letter)).collect()
        };
        let classes: String = if self.has(Self::every()) { "A".into() } else { named(class::ALL) };
        classes + &named(class::OTHERS)
    }
}

/// An event of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub key: KeyName,
    pub class: Classes,
    pub name: &'static str,
}

/// What a command says of the keys that it has changed.
#[derive(Clone, Copy)]
pub enum Events {
    /// Nothing but that they are new, and what it has remarked.
    Remarked,
    /// The same of each; of one that is gone with that, also that.
    Each(Classes, &'static str),
    /// The same of each, or only that it is gone.
    Whole(Classes, &'static str),
    /// What follows from its arguments.
    By(fn(&Args<'_>, &[KeyChange], &mut Said)),
}

/// The events that are found so far.
#[derive(Default)]
pub struct Said {
    events: Vec<Event>,
}

impl Said {
    fn say(&mut self, of: &KeyChange, class: Classes, name: &'static str) {
        self.events.push(Event { key: (of.database, of.key.clone()), class, name });
    }

    fn made_if(&mut self, of: &KeyChange, is_new: bool) {
        if is_new && of.after.is_some() {
            self.say(of, class::NEW, "new");
        }
    }

    /// It was not there before.
    fn made(&mut self, of: &KeyChange) {
        self.made_if(of, of.before.is_none());
    }

    fn gone(&mut self, of: &KeyChange) {
        if of.before.is_some() && of.after.is_none() {
            self.say(of, class::GENERIC, "del");
        }
    }

    /// Elements were changed; with the last of them the key is gone.
    fn each(&mut self, of: &KeyChange, class: Classes, name: &'static str) {
        self.made(of);
        if of.before.is_some() || of.after.is_some() {
            self.say(of, class, name);
        }
        self.gone(of);
    }

    /// It was set as a whole, or removed.
    fn whole(&mut self, of: &KeyChange, class: Classes, name: &'static str) {
        self.made(of);
        if of.after.is_some() {
            self.say(of, class, name);
        }
        self.gone(of);
    }
}

/// The events of a command that has come to its end.
pub fn events(of: Events, args: &Args<'_>, changes: Changes) -> Vec<Event> {
    let mut said = Said::default();
    for change in changes.keys.iter().filter(|change| change.had_expired) {
        said.say(change, class::EXPIRED, "expired");
    }
    match of {
        Events::Remarked => changes.keys.iter().for_each(|change| said.made(change)),
        Events::Each(class, name) => changes.keys.iter().for_each(|change| said.each(change, class, name)),
        Events::Whole(class, name) => changes.keys.iter().for_each(|change| said.whole(change, class, name)),
        Events::By(how) => how(args, &changes.keys, &mut said),
    }
    let mut events = said.events;
    let remark = |(key, name)| Event { key, class: class::STREAM, name };
    events.extend(changes.remarks.into_iter().map(remark));
    events.extend(missed(changes.misses));
    events
}

/// The events of a command that changes no keys.
pub fn misses(changes: Changes) -> Vec<Event> {
    missed(changes.misses).collect()
}

fn missed(keys: Vec<KeyName>) -> impl Iterator<Item = Event> {
    keys.into_iter().map(|key| Event { key, class: class::MISS, name: "keymiss" })
}

fn find<'c>(changes: &'c [KeyChange], key: &[u8]) -> Option<&'c KeyChange> {
    changes.iter().find(|change| change.key == key)
}

fn is_any(args: &Args<'_>, from: usize, words: &[&str]) -> bool {
    (from..args.len()).any(|at| words.iter().any(|word| args.is(at, word)))
}

/// SET and its kin: an expiry that is given is told by itself.
fn set(changes: &[KeyChange], said: &mut Said, expires: bool) {
    for change in changes {
        said.whole(change, class::STRING, "set");
        if expires && change.after.is_some() {
            said.say(change, class::GENERIC, "expire");
        }
    }
}

fn set_with_options(args: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    set(changes, said, is_any(args, 3, &["ex", "px", "exat", "pxat"]));
}

fn set_and_expire(_: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    set(changes, said, true);
}

/// A key that is given twice is set twice.
fn mset(args: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    let mut new: HashMap<&[u8], (&KeyChange, bool)> =
        changes.iter().map(|change| (&*change.key, (change, true))).collect();
    for key in args.from(1).step_by(2) {
        let Some((change, is_first)) = new.get_mut(key) else { continue };
        if std::mem::take(is_first) {
            said.made(change);
        }
        said.say(change, class::STRING, "set");
    }
}

fn getex(_: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    for change in changes {
        let expires = change.after.is_some_and(|after| after.expiry_ms.is_some());
        said.whole(change, class::GENERIC, if expires { "expire" } else { "persist" });
    }
}

fn zadd(args: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    // Options come before the first score, which is no word.
    let options = (2..args.len())
        .take_while(|at| ["nx", "xx", "gt", "lt", "ch", "incr"].iter().any(|option| args.is(*at, option)));
    let increments = options.into_iter().any(|at| args.is(at, "incr"));
    let name = if increments { "zincr" } else { "zadd" };
    changes.iter().for_each(|change| said.each(change, class::SORTED_SET, name));
}

fn rename(args: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    let (Some(from), Some(to)) = (find(changes, args.get(1)), find(changes, args.get(2))) else { return };
    said.made_if(to, true);
    said.say(from, class::GENERIC, "rename_from");
    said.say(to, class::GENERIC, "rename_to");
}

fn copy(_: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    for change in changes {
        said.made_if(change, true);
        said.say(change, class::GENERIC, "copy_to");
    }
}

fn restore(_: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    for change in changes {
        said.made_if(change, change.before.is_some());
        said.whole(change, class::GENERIC, "restore");
    }
}

/// The key that comes into a database is new there; the other one goes.
fn move_key(_: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    let coming = changes.iter().filter(|change| change.after.is_some());
    let going = changes.iter().filter(|change| change.after.is_none() && change.before.is_some());
    let (coming, going): (Vec<_>, Vec<_>) = (coming.collect(), going.collect());
    coming.iter().for_each(|to| said.made(to));
    going.iter().for_each(|from| said.say(from, class::GENERIC, "move_from"));
    coming.iter().for_each(|to| said.say(to, class::GENERIC, "move_to"));
}

fn smove(args: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    if let Some(from) = find(changes, args.get(1)) {
        said.each(from, class::SET, "srem");
    }
    if let Some(to) = find(changes, args.get(2)) {
        said.each(to, class::SET, "sadd");
    }
}

/// What is moved from one list to another, or within one.
fn move_item(
    args: &Args<'_>,
    changes: &[KeyChange],
    said: &mut Said,
    (pop, push): (&'static str, &'static str),
) {
    if let Some(to) = find(changes, args.get(2)) {
        said.made(to);
        said.say(to, class::LIST, push);
    }
    if let Some(from) = find(changes, args.get(1)) {
        said.say(from, class::LIST, pop);
        said.gone(from);
    }
}

fn rpoplpush(args: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    move_item(args, changes, said, ("rpop", "lpush"));
}

fn lmove(args: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    let pop = if args.is(3, "left") { "lpop" } else { "rpop" };
    let push = if args.is(4, "left") { "lpush" } else { "rpush" };
    move_item(args, changes, said, (pop, push));
}

/// Whether the word behind the keys, whose number is at `at`, is this one.
fn is_behind_keys(args: &Args<'_>, at: usize, word: &str) -> bool {
    let count = args.int(at).ok().and_then(|count| usize::try_from(count).ok());
    count.is_some_and(|count| args.is(count.saturating_add(at + 1), word))
}

fn lmpop_at(args: &Args<'_>, changes: &[KeyChange], said: &mut Said, at: usize) {
    let name = if is_behind_keys(args, at, "left") { "lpop" } else { "rpop" };
    changes.iter().for_each(|change| said.each(change, class::LIST, name));
}

fn lmpop(args: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    lmpop_at(args, changes, said, 1);
}

fn blmpop(args: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    lmpop_at(args, changes, said, 2);
}

fn zmpop_at(args: &Args<'_>, changes: &[KeyChange], said: &mut Said, at: usize) {
    let name = if is_behind_keys(args, at, "min") { "zpopmin" } else { "zpopmax" };
    changes.iter().for_each(|change| said.each(change, class::SORTED_SET, name));
}

fn zmpop(args: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    zmpop_at(args, changes, said, 1);
}

fn bzmpop(args: &Args<'_>, changes: &[KeyChange], said: &mut Said) {
    zmpop_at(args, changes, said, 2);
}

/// What a command says, if it changes keys. Every command that writes and is not here changes none, or says
/// nothing: a test has the list of those.
pub fn events_of(command: &str) -> Option<Events> {
    of_keys_and_strings(command).or_else(|| of_lists_and_streams(command)).or_else(|| of_sets(command))
}

fn of_keys_and_strings(command: &str) -> Option<Events> {
    use Events::{By, Each, Whole};
    use class::{GENERIC, LIST, STRING};
    Some(match command {
        "set" => By(set_with_options),
        "setex" | "psetex" => By(set_and_expire),
        "setnx" | "getset" | "bitop" => Whole(STRING, "set"),
        "mset" | "msetnx" => By(mset),
        "getex" => By(getex),
        "append" => Each(STRING, "append"),
        "setrange" => Each(STRING, "setrange"),
        "setbit" | "bitfield" => Each(STRING, "setbit"),
        "incr" | "incrby" | "decr" | "decrby" => Each(STRING, "incrby"),
        "incrbyfloat" => Each(STRING, "incrbyfloat"),
        "pfadd" | "pfmerge" => Each(STRING, "pfadd"),
        "getdel" | "del" | "unlink" => Whole(GENERIC, "del"),
        "expire" | "pexpire" | "expireat" | "pexpireat" => Whole(GENERIC, "expire"),
        "persist" => Each(GENERIC, "persist"),
        "rename" | "renamenx" => By(rename),
        "copy" => By(copy),
        "move" => By(move_key),
        "restore" => By(restore),
        "sort" => Whole(LIST, "sortstore"),
        _ => return None,
    })
}

fn of_lists_and_streams(command: &str) -> Option<Events> {
    use Events::{By, Each, Remarked};
    use class::{LIST, STREAM};
    Some(match command {
        "lpush" | "lpushx" => Each(LIST, "lpush"),
        "rpush" | "rpushx" => Each(LIST, "rpush"),
        "lpop" | "blpop" => Each(LIST, "lpop"),
        "rpop" | "brpop" => Each(LIST, "rpop"),
        "lmpop" => By(lmpop),
        "blmpop" => By(blmpop),
        "linsert" => Each(LIST, "linsert"),
        "lset" => Each(LIST, "lset"),
        "lrem" => Each(LIST, "lrem"),
        "ltrim" => Each(LIST, "ltrim"),
        "rpoplpush" | "brpoplpush" => By(rpoplpush),
        "lmove" | "blmove" => By(lmove),
        "xadd" => Each(STREAM, "xadd"),
        "xdel" => Each(STREAM, "xdel"),
        "xtrim" => Each(STREAM, "xtrim"),
        "xsetid" => Each(STREAM, "xsetid"),
        "xgroup|create"
        | "xgroup|setid"
        | "xgroup|destroy"
        | "xgroup|createconsumer"
        | "xgroup|delconsumer"
        | "xreadgroup"
        | "xclaim"
        | "xautoclaim" => Remarked,
        _ => return None,
    })
}

fn of_sets(command: &str) -> Option<Events> {
    use Events::{By, Each, Whole};
    use class::{HASH, SET, SORTED_SET};
    Some(match command {
        "hset" | "hmset" | "hsetnx" => Each(HASH, "hset"),
        "hdel" => Each(HASH, "hdel"),
        "hincrby" => Each(HASH, "hincrby"),
        "hincrbyfloat" => Each(HASH, "hincrbyfloat"),
        "sadd" => Each(SET, "sadd"),
        "srem" => Each(SET, "srem"),
        "spop" => Each(SET, "spop"),
        "smove" => By(smove),
        "sinterstore" => Whole(SET, "sinterstore"),
        "sunionstore" => Whole(SET, "sunionstore"),
        "sdiffstore" => Whole(SET, "sdiffstore"),
        "zadd" => By(zadd),
        "geoadd" => Each(SORTED_SET, "zadd"),
        "zincrby" => Each(SORTED_SET, "zincr"),
        "zrem" => Each(SORTED_SET, "zrem"),
        "zremrangebyrank" => Each(SORTED_SET, "zremrangebyrank"),
        "zremrangebyscore" => Each(SORTED_SET, "zremrangebyscore"),
        "zremrangebylex" => Each(SORTED_SET, "zremrangebylex"),
        "zpopmin" | "bzpopmin" => Each(SORTED_SET, "zpopmin"),
        "zpopmax" | "bzpopmax" => Each(SORTED_SET, "zpopmax"),
        "zmpop" => By(zmpop),
        "bzmpop" => By(bzmpop),
        "zunionstore" => Whole(SORTED_SET, "zunionstore"),
        "zinterstore" => Whole(SORTED_SET, "zinterstore"),
        "zdiffstore" => Whole(SORTED_SET, "zdiffstore"),
        "zrangestore" => Whole(SORTED_SET, "zrangestore"),
        "georadius" | "georadiusbymember" => Whole(SORTED_SET, "georadiusstore"),
        "geosearchstore" => Whole(SORTED_SET, "geosearchstore"),
        _ => return None,
    })
}

//! The ACL commands that tell something.

use std::fmt::Write;

use command::{Args, Error, OwnedArgs};
use resp::Reply;

use super::commands::{CATEGORIES, category, in_category};
use super::log;
use super::selector::Selector;
use crate::session::Context;
use crate::session::rows::{self, ok, reply, wrong_subcommand};
use crate::table::{Entry, table};

fn bulks(items: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Reply {
    Reply::Array(items.into_iter().map(|item| Reply::bulk(item.into())).collect())
}

pub fn cat(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    match args.len() {
        2 => reply(bulks(CATEGORIES.iter().copied())),
        3 => {
            const SHOWN_BYTES_MAX: usize = 128;
            let name = args.get(2);
            let shown = name.get(..SHOWN_BYTES_MAX).unwrap_or(name);
            let category = category(name).ok_or(Error::quoting("ERR Unknown category '", shown, "'"))?;
            reply(bulks(in_category(category).map(|entry| entry.row.name)))
        }
        _ => Err(wrong_subcommand("ACL", args)),
    }
}

pub fn names(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    reply(bulks(context.node.users.list().iter().map(|user| user.name.clone())))
}

pub fn list(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    reply(bulks(context.node.users.list().iter().map(|user| user.describe())))
}

pub fn user(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let Some(user) = context.node.users.get(args.get(2)) else { return reply(Reply::Null) };
    let flags = user.flags().into_iter().map(Reply::bulk).collect();
    let mut fields =
        vec![(Reply::bulk("flags"), Reply::Set(flags)), (Reply::bulk("passwords"), bulks(user.passwords()))];
    fields.extend(selector(user.root()));
    let others = user.others().iter().map(|other| Reply::Map(selector(other).into()));
    fields.push((Reply::bulk("selectors"), Reply::Array(others.collect())));
    reply(Reply::Map(fields))
}

fn selector(selector: &Selector) -> [(Reply, Reply); 3] {
    let joined = |patterns: Vec<Vec<u8>>| Reply::bulk(patterns.join(&b' '));
    [
        (Reply::bulk("commands"), Reply::bulk(selector.commands.describe())),
        (Reply::bulk("keys"), joined(selector.described_keys())),
        (Reply::bulk("channels"), joined(selector.described_channels())),
    ]
}

pub fn generate_password(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    const BITS: i64 = 256;
    const BITS_MAX: i64 = 4096;
    let bits = match args.len() {
        2 => BITS,
        3 => args.int(2)?,
        _ => return Err(wrong_subcommand("ACL", args)),
    };
    if !(1..=BITS_MAX).contains(&bits) {
        let why = "ERR ACL GENPASS argument must be the number of bits for the output password, a positive \
                   number up to";
        return Err(Error::text(format!("{why} {BITS_MAX}")));
    }
    let digits = usize::try_from(bits).unwrap_or_default().div_ceil(4);
    let mut random = [0; BITS_MAX as usize / 8];
    fill(&mut random).map_err(|error| Error::text(format!("ERR no random numbers: {error}")))?;
    let mut password = random.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    password.truncate(digits);
    reply(Reply::bulk(password))
}

/// Random bytes that nobody can guess.
fn fill(mut buffer: &mut [u8]) -> std::io::Result<()> {
    while !buffer.is_empty() {
        let count = rustix::rand::getrandom(&mut *buffer, rustix::rand::GetRandomFlags::empty())?;
        buffer = buffer.get_mut(count..).unwrap_or_default();
    }
    Ok(())
}

pub fn log(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    const COUNT: usize = 10;
    let node = context.node;
    let count = match args.len() {
        2 => COUNT,
        3 if args.is(2, "reset") => {
            node.users.log.clear();
            return ok();
        }
        3 => usize::try_from(args.int(2)?).unwrap_or(0),
        _ => return Err(wrong_subcommand("ACL", args)),
    };
    let now_ms = node.wall_ms();
    let entries = node.users.log.newest(count);
    reply(Reply::Array(entries.into_iter().map(|entry| log_entry(entry, now_ms)).collect()))
}

fn log_entry(entry: log::Entry, now_ms: u64) -> Reply {
    let number = |number: u64| Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let age_ms = now_ms.saturating_sub(entry.updated_ms);
    let fields = [
        ("count", number(entry.count)),
        ("reason", Reply::bulk(entry.refusal.reason.name())),
        ("context", Reply::bulk(entry.refusal.place.name())),
        ("object", Reply::bulk(entry.refusal.object)),
        ("username", Reply::bulk(entry.refusal.user)),
        ("age-seconds", Reply::Double(age_ms as f64 / 1000.0)),
        ("client-info", Reply::bulk(entry.client)),
        ("entry-id", number(entry.id)),
        ("timestamp-created", number(entry.created_ms)),
        ("timestamp-last-updated", number(entry.updated_ms)),
    ];
    Reply::Map(fields.map(|(name, value)| (Reply::bulk(name), value)).into())
}

/// The command that these words call.
fn called(args: &Args<'_>) -> Option<&'static Entry> {
    let entry = table().find(args.get(0)).filter(|entry| !entry.row.name.contains('|'))?;
    if entry.subcommands.is_empty() || args.len() < 2 {
        return Some(entry);
    }
    table().find_sub(entry, args.get(1))
}

pub fn dry_run(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let Some(user) = context.node.users.get(args.get(2)) else {
        return Err(Error::quoting("ERR User '", args.get(2), "' not found"));
    };
    let given = OwnedArgs::of(args.from(3));
    let given = given.as_args();
    let Some(entry) = called(&given) else {
        return Err(Error::quoting("ERR Command '", given.get(0), "' not found"));
    };
    if !entry.row.arity.accepts(given.len()) {
        return Err(Error::arity(entry.row.name));
    }
    match super::may(&user, entry, &given) {
        Ok(()) => ok(),
        Err(denied) => reply(Reply::bulk(denied.explain(&user, entry, &given))),
    }
}

//! COMMAND: the table told to clients.

use base::glob;
use command::{Args, Command, Error, Flags, Keys, OwnedArgs, access, arg, describe, flags};
use resp::Reply;

use super::rows::{self, reply};
use super::{Context, SessionRun};
use crate::table::{Entry, Handler, table};

const TELL: &[Flags] = &[flags::LOADING, flags::STALE, flags::CONNECTION];

const fn row(name: &'static str, arity: i32, run: SessionRun) -> Command<SessionRun> {
    rows::row("server", name, arity, TELL, run)
}

const ALL: &str = "O(N) where N is the total number of Redis commands";
const SOME: &str = "O(N) where N is the number of commands to look up";
const ARGUMENTS: &str = "O(N) where N is the number of arguments to the command";
const TIPS: &[&str] = &["nondeterministic_output_order"];

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("command", -1, all).docs("2.8.13", ALL, "Describes every command.").tips(TIPS),
    row("command|count", 2, count).docs("2.8.13", "O(1)", "Returns how many commands there are."),
    row("command|docs", -2, docs)
        .docs("7.0.0", SOME, "Returns what commands are for.")
        .tips(TIPS)
        .takes(&[arg::string("command-name").optional().multiple()]),
    row("command|getkeys", -3, get_keys)
        .docs("2.8.13", ARGUMENTS, "Finds the keys in a command.")
        .takes(&[arg::string("command"), arg::string("arg").optional().multiple()]),
    row("command|getkeysandflags", -3, get_keys_and_flags)
        .docs("7.0.0", ARGUMENTS, "Finds the keys in a command, and what it does with them.")
        .takes(&[arg::string("command"), arg::string("arg").optional().multiple()]),
    row("command|help", 2, help).docs("5.0.0", "O(1)", "Returns what the subcommands do."),
    row("command|info", -2, info)
        .docs("2.8.13", SOME, "Describes commands.")
        .tips(TIPS)
        .takes(&[arg::string("command-name").optional().multiple()]),
    row("command|list", -2, list).docs("7.0.0", ALL, "Lists the names of the commands.").tips(TIPS).takes(&[
        arg::one_of(
            "filterby",
            &[
                arg::string("module-name").after("MODULE"),
                arg::string("category").after("ACLCAT"),
                arg::pattern("pattern").after("PATTERN"),
            ],
        )
        .after("FILTERBY")
        .optional(),
    ]),
];

const LINES: &[&str] = &[
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
];

fn help(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    rows::help("COMMAND", LINES)
}

/// Those that are no subcommands.
fn top() -> impl Iterator<Item = &'static Entry> {
    table().entries().iter().filter(|entry| !entry.row.name.contains('|'))
}

fn subcommands(entry: &Entry) -> impl Iterator<Item = &'static Entry> {
    entry.subcommands.iter().filter_map(|&id| table().entries().get(id))
}

/// A command by its name, or a subcommand by its full name.
fn find(name: &[u8]) -> Option<&'static Entry> {
    table().find(name)
}

fn describe_info(entry: &Entry) -> Reply {
    describe::info(&entry.row, subcommands(entry).map(describe_info).collect())
}

fn describe_docs(entry: &Entry) -> (Reply, Reply) {
    describe::docs(&entry.row, subcommands(entry).map(describe_docs).collect())
}

fn all(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    reply(Reply::Array(top().map(describe_info).collect()))
}

fn count(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    reply(top().count() as i64)
}

fn info(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    if args.len() == 2 {
        return all(context, args);
    }
    let named = args.from(2).map(|name| find(name).map_or(Reply::Null, describe_info));
    reply(Reply::Array(named.collect()))
}

fn docs(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let docs: Vec<_> = if args.len() == 2 {
        top().map(describe_docs).collect()
    } else {
        args.from(2).filter_map(find).map(describe_docs).collect()
    };
    reply(Reply::Map(docs))
}

fn list(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let accepts: Box<dyn Fn(&Entry) -> bool> = match args.len() {
        2 => Box::new(|_: &Entry| true),
        5 if args.is(2, "filterby") && args.is(3, "module") => Box::new(|_: &Entry| false),
        5 if args.is(2, "filterby") && args.is(3, "aclcat") => {
            let category = [b"@", args.get(4)].concat();
            Box::new(move |entry: &Entry| {
                let is_named = |name: &&str| category.eq_ignore_ascii_case(name.as_bytes());
                entry.row.categories().iter().any(is_named)
            })
        }
        5 if args.is(2, "filterby") && args.is(3, "pattern") => {
            let pattern = args.get(4).to_vec();
            Box::new(move |entry: &Entry| glob::matches_nocase(&pattern, entry.row.name.as_bytes()))
        }
        _ => return Err(Error::SYNTAX),
    };
    let names = table().entries().iter().filter(|entry| accepts(entry));
    reply(Reply::Array(names.map(|entry| Reply::bulk(entry.row.name)).collect()))
}

/// The command that the call behind these two words runs. The full name of a subcommand runs nothing.
fn called(args: &Args<'_>) -> Option<&'static Entry> {
    let entry = find(args.get(2)).filter(|entry| !entry.row.name.contains('|'))?;
    let names_sub = !entry.subcommands.is_empty() && args.len() > 3;
    if names_sub { table().find_sub(entry, args.get(3)) } else { Some(entry) }
}

/// The command that is given as arguments, if it names keys.
fn parse(args: &Args<'_>) -> command::Result<(&'static Command<Handler>, OwnedArgs)> {
    let given = OwnedArgs::of(args.from(2));
    let row = &called(args).ok_or(Error::line("ERR Invalid command specified"))?.row;
    if row.keys == Keys::NONE || row.keys.access.has(access::NOT_KEY) {
        return Err(Error::line("ERR The command has no key arguments"));
    }
    if !row.arity.accepts(given.as_args().len()) {
        return Err(Error::line("ERR Invalid number of arguments specified for command"));
    }
    Ok((row, given))
}

fn found(keys: Vec<Reply>) -> rows::Result {
    if keys.is_empty() {
        return Err(Error::line("ERR Invalid arguments specified for command"));
    }
    reply(Reply::Array(keys))
}

fn get_keys(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let (row, given) = parse(args)?;
    found(describe::keys(row, &given.as_args()))
}

fn get_keys_and_flags(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let (row, given) = parse(args)?;
    found(describe::keys_and_flags(row, &given.as_args()))
}

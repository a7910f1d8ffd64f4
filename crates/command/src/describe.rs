//! What COMMAND says of a row: one entry of COMMAND INFO and of COMMAND DOCS, and the keys of a call.

use resp::Reply;

use crate::arg::{Arg, Kind};
use crate::args::Args;
use crate::row::{Access, Command, Flags, KeySpec, Keys, access, flags};

/// An entry of COMMAND INFO. `subcommands` are the entries of a container's own commands.
pub fn info<R>(command: &Command<R>, subcommands: Vec<Reply>) -> Reply {
    let (first, last, step) = legacy_range(&command.keys);
    Reply::Array(vec![
        Reply::bulk(command.name),
        Reply::Integer(i64::from(command.arity.0)),
        Reply::Set(shown_flags(command)),
        Reply::Integer(first),
        Reply::Integer(last),
        Reply::Integer(step),
        Reply::Set(command.categories().into_iter().map(Reply::simple).collect()),
        Reply::Set(command.tips.iter().copied().map(Reply::bulk).collect()),
        Reply::Set(key_specs(&command.keys)),
        Reply::Set(subcommands),
    ])
}

/// An entry of COMMAND DOCS: its name and what is said of it. `subcommands` are such entries too.
pub fn docs<R>(command: &Command<R>, subcommands: Vec<(Reply, Reply)>) -> (Reply, Reply) {
    let docs = &command.docs;
    let mut about = vec![
        (Reply::bulk("summary"), Reply::bulk(docs.summary)),
        (Reply::bulk("since"), Reply::bulk(docs.since)),
        (Reply::bulk("group"), Reply::bulk(docs.group)),
    ];
    if !docs.complexity.is_empty() {
        about.push((Reply::bulk("complexity"), Reply::bulk(docs.complexity)));
    }
    let flags = [(command.deprecated.is_some(), "deprecated"), (command.flags.has(flags::SYSTEM), "syscmd")];
    let flags = flags_of(&flags);
    if !flags.is_empty() {
        about.push((Reply::bulk("doc_flags"), Reply::Set(flags)));
    }
    if let Some(deprecated) = command.deprecated {
        about.push((Reply::bulk("deprecated_since"), Reply::bulk(deprecated.since)));
        about.push((Reply::bulk("replaced_by"), Reply::bulk(deprecated.replaced_by)));
    }
    if !command.arguments.is_empty() {
        about.push((Reply::bulk("arguments"), arguments(command.arguments)));
    }
    if !subcommands.is_empty() {
        about.push((Reply::bulk("subcommands"), Reply::Map(subcommands)));
    }
    (Reply::bulk(command.name), Reply::Map(about))
}

/// The names of those that are true.
fn flags_of(flags: &[(bool, &'static str)]) -> Vec<Reply> {
    flags.iter().filter(|(is, _)| *is).map(|(_, name)| Reply::simple(*name)).collect()
}

fn arguments(arguments: &[Arg]) -> Reply {
    Reply::Array(arguments.iter().map(argument).collect())
}

fn argument(arg: &Arg) -> Reply {
    // A word is named like itself.
    let name = if arg.name.is_empty() { arg.token.to_lowercase() } else { arg.name.to_owned() };
    let parts = arg.kind.parts();
    let mut about = vec![
        (Reply::bulk("name"), Reply::bulk(name.clone())),
        (Reply::bulk("type"), Reply::bulk(arg.kind.name())),
    ];
    if parts.is_empty() {
        let display = if arg.display.is_empty() { name } else { arg.display.to_owned() };
        about.push((Reply::bulk("display_text"), Reply::bulk(display)));
    }
    if let Kind::Key(spec) | Kind::KeyPattern(spec) = arg.kind {
        about.push((Reply::bulk("key_spec_index"), integer(spec)));
    }
    let texts = [("token", arg.token), ("since", arg.since), ("deprecated_since", arg.deprecated)];
    for (what, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        about.push((Reply::bulk(what), Reply::bulk(text)));
    }
    let flags = flags_of(&[
        (arg.is_optional, "optional"),
        (arg.is_multiple, "multiple"),
        (arg.repeats_token, "multiple_token"),
    ]);
    if !flags.is_empty() {
        about.push((Reply::bulk("flags"), Reply::Set(flags)));
    }
    if !parts.is_empty() {
        about.push((Reply::bulk("arguments"), arguments(parts)));
    }
    Reply::Map(about)
}

/// COMMAND GETKEYS: the keys of a call, or nothing where it has none.
pub fn keys<R>(command: &Command<R>, args: &Args<'_>) -> Vec<Reply> {
    command.keys.positions(args).map(|at| Reply::copied(args.get(at))).collect()
}

/// COMMAND GETKEYSANDFLAGS: each key of a call with what is done with it.
pub fn keys_and_flags<R>(command: &Command<R>, args: &Args<'_>) -> Vec<Reply> {
    let entry =
        |(at, access)| Reply::Array(vec![Reply::copied(args.get(at)), Reply::Set(access_flags(access))]);
    command.keys.accessed(args).map(entry).collect()
}

fn shown_flags<R>(command: &Command<R>) -> Vec<Reply> {
    let all = if command.keys.are_movable() { command.flags | flags::MOVABLE_KEYS } else { command.flags };
    let name = |&(flag, name): &(Flags, &'static str)| all.has(flag).then(|| Reply::simple(name));
    flags::SHOWN.iter().filter_map(name).collect()
}

/// First, last and step as they were before there were key specifications.
fn legacy_range(keys: &Keys) -> (i64, i64, i64) {
    match keys.spec {
        KeySpec::Range { first, last, step } => (i64::from(first), i64::from(last), i64::from(step)),
        KeySpec::Counted { extra: Some(extra), .. } => (i64::from(extra), i64::from(extra), 1),
        KeySpec::None | KeySpec::Counted { extra: None, .. } | KeySpec::Halves { .. } => (0, 0, 0),
    }
}

fn key_specs(keys: &Keys) -> Vec<Reply> {
    let mut specs = placed_specs(keys);
    if keys.unknown.is_empty() {
        let behind = keys.behind.iter().flat_map(|behind| {
            let begin = |word: &str| begin_behind(word, behind.words.from);
            behind.words.any_of.iter().map(move |word| spec(behind.access, "", begin(word), find_range(0, 1)))
        });
        specs.extend(behind);
    }
    let unknown = || map([("type", Reply::bulk("unknown")), ("spec", Reply::Map(Vec::new()))]);
    specs.extend(keys.unknown.iter().map(|key| spec(key.access, key.note, unknown(), unknown())));
    specs
}

fn placed_specs(keys: &Keys) -> Vec<Reply> {
    let second = keys.second.unwrap_or(keys.access);
    match keys.spec {
        KeySpec::None => Vec::new(),
        KeySpec::Range { first, last, step } if keys.second.is_some() => {
            // The others are one key, or all to the end.
            let last = i64::from(last.min(0));
            vec![
                spec(keys.access, keys.note, begin_at(first), find_range(0, 1)),
                spec(second, "", begin_at(first + step), find_range(last, step)),
            ]
        }
        KeySpec::Range { first, last, step } => {
            // Counted from the first key, unless it is from the end.
            let last = if last < 0 { i64::from(last) } else { i64::from(last) - i64::from(first) };
            vec![spec(keys.access, keys.note, begin_at(first), find_range(last, step))]
        }
        KeySpec::Halves { word, from, .. } => {
            vec![spec(keys.access, keys.note, begin_behind(word, from as usize), find_half())]
        }
        KeySpec::Counted { at, extra } => {
            let destination =
                extra.map(|extra| spec(keys.access, keys.note, begin_at(extra), find_range(0, 1)));
            let (counted, note) = if extra.is_some() { (second, "") } else { (keys.access, keys.note) };
            destination.into_iter().chain([spec(counted, note, begin_at(at), find_counted())]).collect()
        }
    }
}

fn begin_at(first: u32) -> Reply {
    map([("type", Reply::bulk("index")), ("spec", map([("index", integer(first))]))])
}

fn begin_behind(word: &str, from: usize) -> Reply {
    let word = ("keyword", Reply::bulk(word.to_ascii_uppercase()));
    let keyword = map([word, ("startfrom", Reply::Integer(from as i64))]);
    map([("type", Reply::bulk("keyword")), ("spec", keyword)])
}

fn spec(access: Access, note: &'static str, begin: Reply, find_keys: Reply) -> Reply {
    let mut spec = Vec::with_capacity(4);
    if !note.is_empty() {
        spec.push((Reply::bulk("notes"), Reply::bulk(note)));
    }
    spec.push((Reply::bulk("flags"), Reply::Set(access_flags(access))));
    spec.push((Reply::bulk("begin_search"), begin));
    spec.push((Reply::bulk("find_keys"), find_keys));
    Reply::Map(spec)
}

fn find_range(last: i64, step: u32) -> Reply {
    let range = map([("lastkey", Reply::Integer(last)), ("keystep", integer(step)), ("limit", Reply::ZERO)]);
    map([("type", Reply::bulk("range")), ("spec", range)])
}

fn find_half() -> Reply {
    let half = map([("lastkey", Reply::Integer(-1)), ("keystep", Reply::ONE), ("limit", Reply::Integer(2))]);
    map([("type", Reply::bulk("range")), ("spec", half)])
}

fn find_counted() -> Reply {
    let counted = map([("keynumidx", Reply::ZERO), ("firstkey", Reply::ONE), ("keystep", Reply::ONE)]);
    map([("type", Reply::bulk("keynum")), ("spec", counted)])
}

fn access_flags(held: Access) -> Vec<Reply> {
    let name = |&(flag, name): &(Access, &'static str)| held.has(flag).then(|| Reply::simple(name));
    access::SHOWN.iter().filter_map(name).collect()
}

fn map<const N: usize>(entries: [(&'static str, Reply); N]) -> Reply {
    Reply::Map(entries.into_iter().map(|(key, value)| (Reply::bulk(key), value)).collect())
}

fn integer(value: u32) -> Reply {
    Reply::Integer(i64::from(value))
}

//! Functions: libraries that are kept with the data. A library is a named record of each group, its code; a
//! thread loads all of a group's libraries into its interpreter when one of their functions is called there for
//! the first time, and again when the version of the area says that something has changed.

use std::collections::HashMap;

use base::{glob, limits, slot};
use command::{Args, Class, Command, Error, Flags as RowFlags, Keys, arg, flags};
use resp::Reply;
use script::{Flags, Header, Host, Inputs, Level, Stopped};
use store::{Area, Scratch, Stop, Txn};

use super::eval::{Given, KEYS_AND_ARGS, READS, RUNS, held, memory_bytes_max, no_interpreter, row};
use super::host::{self, InTxn};
use super::local::{self, Loaded, LoadedLibrary, Local};
use super::running::Kind;
use super::{Env, READ_KEYS, SCRIPT_KEYS, ScriptRun};
use crate::engine::node::Node;
use crate::session::rows;

const CALLED: &[arg::Arg] = &{
    let [numkeys, keys, args] = KEYS_AND_ARGS;
    [arg::string("function"), numkeys, keys, args]
};

/// Changes what the libraries are: of each group, and never on a network thread.
const CHANGES: &[RowFlags] = &[flags::NOSCRIPT, flags::WRITE, flags::DENYOOM, flags::HEAVY, flags::FANOUT];
const REMOVES: &[RowFlags] = &[flags::NOSCRIPT, flags::WRITE, flags::HEAVY, flags::FANOUT];
const LOOKS: &[RowFlags] = &[flags::NOSCRIPT, flags::HEAVY];
const ON_EACH: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

pub(super) const COMMANDS: &[Command<ScriptRun>] = &[
    row("fcall", -3, SCRIPT_KEYS, RUNS, fcall)
        .class(Class::Script)
        .docs("7.0.0", "Depends on the function that is executed.", "Calls a function.")
        .takes(CALLED),
    row("fcall_ro", -3, READ_KEYS, READS, fcall_ro)
        .class(Class::Script)
        .docs("7.0.0", "Depends on the function that is executed.", "Calls a function that only reads.")
        .takes(CALLED),
    row("function|load", -3, Keys::NONE, CHANGES, load)
        .docs("7.0.0", "O(1) (considering compilation time is redundant)", "Creates a library of functions.")
        .tips(ON_EACH)
        .takes(&[arg::word("REPLACE").optional(), arg::string("function-code")]),
    row("function|delete", 3, Keys::NONE, REMOVES, delete)
        .docs("7.0.0", "O(1)", "Removes a library with its functions.")
        .tips(ON_EACH)
        .takes(&[arg::string("library-name")]),
    row("function|flush", -2, Keys::NONE, REMOVES, flush)
        .docs("7.0.0", "O(N) where N is the number of functions deleted", "Removes every library.")
        .tips(ON_EACH)
        .takes(&[arg::one_of("flush-type", &[arg::word("ASYNC"), arg::word("SYNC")]).optional()]),
    row("function|list", -2, Keys::NONE, LOOKS, list)
        .docs("7.0.0", "O(N) where N is the number of functions", "Tells what libraries there are.")
        .tips(&["nondeterministic_output_order"])
        .takes(&[
            arg::string("library-name-pattern").after("LIBRARYNAME").optional(),
            arg::word("WITHCODE").optional(),
        ]),
    row("function|dump", 2, Keys::NONE, LOOKS, dump).docs(
        "7.0.0",
        "O(N) where N is the number of functions",
        "Returns every library in one payload.",
    ),
    row("function|restore", -3, Keys::NONE, CHANGES, restore)
        .docs(
            "7.0.0",
            "O(N) where N is the number of functions on the payload",
            "Creates libraries from a payload.",
        )
        .tips(ON_EACH)
        .takes(&[
            arg::string("serialized-value"),
            arg::one_of("policy", &[arg::word("FLUSH"), arg::word("APPEND"), arg::word("REPLACE")])
                .optional(),
        ]),
];

/// What a payload of libraries may hold.
const DUMPED: rdb::Limits = rdb::Limits { bytes_max: limits::DUMP_BYTES_MAX };

const NOT_FOUND: Error = Error::line("ERR Library not found");
const NO_FUNCTION: Error = Error::line("ERR Function not found");

/// Counts the steps of libraries that are loaded: so many, and no more.
struct Loader {
    left: u64,
}

impl Loader {
    fn new() -> Self {
        Self { left: limits::LIBRARY_STEPS_MAX }
    }
}

impl Host for Loader {
    fn call(&mut self, _: &[u8], _: &[resp::Span]) -> Result<Reply, Stopped> {
        Err(Stopped)
    }

    fn may_call(&mut self, _: &[u8], _: &[resp::Span]) -> Option<bool> {
        None
    }

    fn step(&mut self, steps: u32, _: usize) -> Result<(), Stopped> {
        self.left = self.left.checked_sub(steps.into()).ok_or(Stopped)?;
        Ok(())
    }

    fn out_of_memory(&mut self) -> Result<(), Stopped> {
        Ok(())
    }

    fn log(&mut self, level: Level, message: &[u8]) -> Result<(), Stopped> {
        host::log(level, message);
        Ok(())
    }
}

/// The name of a function as it is looked up: in any case, unlike those of libraries.
fn folded(name: &[u8]) -> Vec<u8> {
    name.to_ascii_lowercase()
}

impl Local {
    /// Loads one library.
    fn load(&mut self, code: &[u8]) -> command::Result<LoadedLibrary> {
        let header = Header::of_library(code).map_err(|why| Error::text(format!("ERR {why}")))?;
        let name = header.name.unwrap_or_default();
        match self.interpreter.load(header.code, limits::LIBRARY_BYTES_MAX, &mut Loader::new()) {
            Ok(Ok((library, described))) => {
                Ok(LoadedLibrary { name, code: code.to_vec(), library, described })
            }
            Ok(Err(why)) => Err(Error::Bytes(why.as_bytes().to_vec())),
            Err(Stopped) => Err(Error::line("ERR FUNCTION LOAD timeout")),
        }
    }

    /// Loads all libraries of a group. Those were loaded before they were kept: one that cannot be now would
    /// need more than there is.
    fn load_all(
        &mut self,
        group: u16,
        version: u64,
        records: Vec<(Vec<u8>, store::Value)>,
    ) -> command::Result<()> {
        let (mut libraries, mut functions) = (Vec::new(), HashMap::new());
        for (_, code) in records {
            let library = self.load(&code)?;
            for (at, function) in library.described.iter().enumerate() {
                functions.entry(folded(&function.name)).or_insert((libraries.len(), at));
            }
            libraries.push(library);
        }
        self.loaded = Some(Loaded { group, version, libraries, functions });
        self.is_stale = false;
        Ok(())
    }

    fn has(&self, group: u16, version: u64) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.group == group && loaded.version == version)
    }
}

/// Sees to it that this thread has a group's libraries as the transaction sees them.
fn with_libraries<R>(
    txn: &mut Txn<'_>,
    group: u16,
    f: impl FnOnce(&mut Local, &mut Txn<'_>) -> command::Result<R>,
) -> command::Result<R> {
    let version = txn.area_version(Area::Functions)?;
    local::with(|local| {
        if !local.has(group, version) {
            if txn.is_metered() {
                // This thread does that before the next call.
                local.is_stale = true;
                return Err(Stop::Outgrown.into());
            }
            let records = txn.area_records(Area::Functions)?;
            local.load_all(group, version, records)?;
        }
        f(local, txn)
    })
    .map_err(no_interpreter)?
}

/// Loads a group's libraries on this thread, outside of any transaction, if they are not the right ones.
pub(super) fn refresh(node: &Node, id: u16) {
    let Some(group) = node.groups.get(usize::from(id)) else { return };
    let mut scratch = Scratch::default();
    let version = group.store.run_read(0, &mut scratch, |txn| txn.area_version(Area::Functions));
    let Ok(Ok(version)) = version.map(|done| done.result) else { return };
    let load = |local: &mut Local| {
        if local.has(id, version) {
            local.is_stale = false;
            return;
        }
        let read = |txn: &mut Txn<'_>| -> Result<_, Stop> {
            Ok((txn.area_version(Area::Functions)?, txn.area_records(Area::Functions)?))
        };
        if let Ok(Ok((version, records))) =
            group.store.run_read(0, &mut scratch, read).map(|done| done.result)
        {
            let _ = local.load_all(id, version, records);
        }
    };
    let _ = local::with(load);
}

/// Loads what a function was called without on this thread. Says whether the function is known to be long.
pub(super) fn prepare(node: &Node, args: &Args<'_>) -> bool {
    if local::with(|local| local.is_stale).unwrap_or(false) {
        let given = Given::of(args).ok();
        let key = given.and_then(|given| given.keys.first().copied());
        refresh(node, key.map_or(0, |key| node.group_of(slot::of(key))));
    }
    node.functions.is_long(args.get(1), node.wall_ms())
}

fn fcall(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    call(txn, args, env, false)
}

fn fcall_ro(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    call(txn, args, env, true)
}

fn call(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>, only_reads: bool) -> command::Result<Reply> {
    // What is wrong with the keys is told after what is wrong with the name.
    let given = match args.int(2) {
        Ok(_) => Given::of(args),
        Err(_) => Err(Error::line("ERR Bad number of keys provided")),
    };
    if let Ok(given) = &given {
        txn.foresee_keys(given.keys.iter().copied())?;
    }
    let node = env.node;
    let mut name = String::from_utf8_lossy(args.get(1)).into_owned();
    let _guard = env.cancel.map(|cancel| node.running.begin(Kind::Function, &name, args, cancel));
    let database = txn.database();
    env.saw(database, true, args);
    let (ran, stop, is_long) = with_libraries(txn, env.group, |local, txn| {
        let Local { interpreter, loaded, .. } = local;
        let loaded = loaded.as_ref().ok_or(NO_FUNCTION)?;
        let &(library, function) = loaded.functions.get(&folded(args.get(1))).ok_or(NO_FUNCTION)?;
        let library = loaded.libraries.get(library).ok_or(NO_FUNCTION)?;
        let function = library.described.get(function).ok_or(NO_FUNCTION)?;
        let given = given?;
        name = String::from_utf8_lossy(&function.name).into_owned();
        let has_no_writes = function.flags.has(Flags::NO_WRITES);
        if only_reads && !has_no_writes {
            return Err(Error::line("ERR Can not execute a script with write flag using *_ro command."));
        }
        let inputs = Inputs {
            keys: &given.keys,
            arguments: &given.arguments,
            memory_bytes_max: memory_bytes_max(env.node, txn),
        };
        let mut host = InTxn::new(txn, env, has_no_writes);
        host.txn.set_scripted(true);
        let ran = interpreter.invoke(&library.library, &name, &inputs, &mut host);
        let (stop, is_long) = (host.stop.take(), host.is_long);
        txn.set_scripted(false);
        Ok((ran, stop, is_long))
    })?;
    txn.select(database);
    match ran {
        Ok(reply) => held(txn, reply),
        Err(Stopped) => {
            if is_long {
                node.functions.outgrew(args.get(1), node.wall_ms());
            }
            Err(Error::Stop(stop.unwrap_or(Stop::Cancelled)))
        }
    }
}

/// Whether a library may come in beside the others: its functions must not be theirs.
fn check_conflicts(loaded: &Loaded, library: &LoadedLibrary) -> command::Result<()> {
    for function in &library.described {
        let other =
            loaded.functions.get(&folded(&function.name)).and_then(|&(at, _)| loaded.libraries.get(at));
        if other.is_some_and(|other| other.name != library.name) {
            return Err(Error::quoting("ERR Function ", &function.name, " already exists"));
        }
    }
    Ok(())
}

fn keep(txn: &mut Txn<'_>, library: &LoadedLibrary) -> command::Result<()> {
    txn.set_named(Area::Functions, &library.name, Some(library.code.clone()))?;
    Ok(())
}

fn load(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    let options = 2..args.len() - 1;
    let replaces = !options.is_empty();
    if let Some(unknown) = options.into_iter().find(|at| !args.is(*at, "replace")) {
        return Err(Error::quoting("ERR Unknown option given: ", args.get(unknown), ""));
    }
    let code = args.get(args.len() - 1);
    check_size(code.len())?;
    with_libraries(txn, env.group, |local, txn| {
        let library = local.load(code)?;
        let loaded = local.loaded.as_ref().ok_or(NOT_FOUND)?;
        let is_there = loaded.libraries.iter().any(|known| known.name == library.name);
        if is_there && !replaces {
            return Err(Error::quoting("ERR Library '", &library.name, "' already exists"));
        }
        check_conflicts(loaded, &library)?;
        if !is_there && loaded.libraries.len() >= limits::LIBRARIES_MAX {
            return Err(Error::text(format!("ERR there are at most {} libraries", limits::LIBRARIES_MAX)));
        }
        keep(txn, &library)?;
        Ok(Reply::bulk(library.name))
    })
}

fn check_size(bytes: usize) -> command::Result<()> {
    if bytes <= limits::SCRIPT_CODE_BYTES_MAX {
        return Ok(());
    }
    Err(Error::text(format!("ERR a library has at most {} bytes", limits::SCRIPT_CODE_BYTES_MAX)))
}

fn delete(txn: &mut Txn<'_>, args: &Args<'_>, _: &mut Env<'_>) -> command::Result<Reply> {
    let name = args.get(2);
    if name.is_empty() || !txn.set_named(Area::Functions, name, None)? {
        return Err(NOT_FOUND);
    }
    Ok(Reply::Ok)
}

fn flush(txn: &mut Txn<'_>, args: &Args<'_>, _: &mut Env<'_>) -> command::Result<Reply> {
    if args.len() > 3 {
        return Err(rows::wrong_subcommand("FUNCTION", args));
    }
    if args.len() == 3 && !args.is(2, "async") && !args.is(2, "sync") {
        return Err(Error::line("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    txn.clear_area(Area::Functions)?;
    Ok(Reply::Ok)
}

fn list(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    let (mut pattern, mut with_code, mut at) = (None, false, 2);
    while at < args.len() {
        if !with_code && args.is(at, "withcode") {
            with_code = true;
        } else if pattern.is_none() && args.is(at, "libraryname") {
            at += 1;
            if at >= args.len() {
                return Err(Error::line("ERR library name argument was not given"));
            }
            pattern = Some(args.get(at));
        } else {
            return Err(Error::quoting("ERR Unknown argument ", args.get(at), ""));
        }
        at += 1;
    }
    with_libraries(txn, env.group, |local, _| {
        let libraries = local.loaded.iter().flat_map(|loaded| &loaded.libraries);
        let fits =
            |library: &&LoadedLibrary| pattern.is_none_or(|pattern| glob::matches(pattern, &library.name));
        Ok(Reply::Array(libraries.filter(fits).map(|library| describe(library, with_code)).collect()))
    })
}

fn describe(library: &LoadedLibrary, with_code: bool) -> Reply {
    let functions = library.described.iter().map(|function| {
        let flags = function.flags.names().map(Reply::simple).collect();
        Reply::Map(vec![
            (Reply::bulk("name"), Reply::bulk(function.name.clone())),
            (Reply::bulk("description"), Reply::bulk_or_null(function.description.clone())),
            (Reply::bulk("flags"), Reply::Set(flags)),
        ])
    });
    let mut fields = vec![
        (Reply::bulk("library_name"), Reply::bulk(library.name.clone())),
        (Reply::bulk("engine"), Reply::bulk("LUA")),
        (Reply::bulk("functions"), Reply::Array(functions.collect())),
    ];
    if with_code {
        fields.push((Reply::bulk("library_code"), Reply::bulk(library.code.clone())));
    }
    Reply::Map(fields)
}

fn dump(txn: &mut Txn<'_>, _: &Args<'_>, _: &mut Env<'_>) -> command::Result<Reply> {
    let records = txn.area_records(Area::Functions)?;
    Ok(Reply::bulk(rdb::encode::functions(records.iter().map(|(_, code)| &**code))))
}

fn restore(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    if args.len() > 4 {
        return Err(rows::wrong_subcommand("FUNCTION", args));
    }
    let (flushes, replaces) = match () {
        () if args.len() == 3 || args.is(3, "append") => (false, false),
        () if args.is(3, "replace") => (false, true),
        () if args.is(3, "flush") => (true, false),
        () => {
            return Err(Error::line(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    let codes = rdb::functions::decode(args.get(2), DUMPED).map_err(|why| match why {
        rdb::Error::Footer => Error::line("ERR DUMP payload version or checksum are wrong"),
        why => Error::text(format!("ERR failed loading functions payload: {why}")),
    })?;
    if flushes {
        txn.clear_area(Area::Functions)?;
    }
    for code in codes {
        check_size(code.len())?;
        // Each is looked at beside those that came before it.
        with_libraries(txn, env.group, |local, txn| {
            let library = local.load(&code)?;
            let loaded = local.loaded.as_ref().ok_or(NOT_FOUND)?;
            if !replaces && loaded.libraries.iter().any(|known| known.name == library.name) {
                return Err(Error::quoting("ERR Library ", &library.name, " already exists"));
            }
            check_conflicts(loaded, &library)?;
            if loaded.libraries.len() >= limits::LIBRARIES_MAX {
                return Err(Error::text(format!(
                    "ERR there are at most {} libraries",
                    limits::LIBRARIES_MAX
                )));
            }
            keep(txn, &library)
        })?;
    }
    Ok(Reply::Ok)
}

/// How many libraries there are, and how many functions.
pub fn count(node: &Node) -> (usize, usize) {
    refresh(node, 0);
    let count = |local: &mut Local| {
        let loaded = local.loaded.as_ref();
        loaded.map_or((0, 0), |loaded| (loaded.libraries.len(), loaded.functions.len()))
    };
    local::with(count).unwrap_or((0, 0))
}

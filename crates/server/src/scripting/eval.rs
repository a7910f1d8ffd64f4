//! EVAL and its kin.

use std::sync::Arc;

use base::limits;
use command::{Args, Arity, Class, Command, Docs, Error, Flags as RowFlags, Keys, arg, flags};
use resp::Reply;
use script::{Digest, Flags, Inputs, Program, Stopped};
use store::{Stop, Txn};

use super::cache::{self, Script};
use super::host::InTxn;
use super::running::Kind;
use super::{Env, READ_KEYS, SCRIPT_KEYS, ScriptRun, local};
use crate::engine::memory_shares;
use crate::engine::node::Node;

pub(super) const fn row(
    name: &'static str,
    arity: i32,
    keys: Keys,
    flags: &[RowFlags],
    run: ScriptRun,
) -> Command<ScriptRun> {
    let docs = Docs { summary: "", since: "", group: "scripting", complexity: "" };
    Command::new(name, Arity(arity), keys, flags, run, docs)
}

/// A script may do anything, and says nothing of it before. It writes where it may.
pub(super) const RUNS: &[RowFlags] = &[
    flags::NOSCRIPT,
    flags::STALE,
    flags::SKIP_MONITOR,
    flags::NO_MANDATORY_KEYS,
    flags::MOVABLE_KEYS,
    flags::MAY_WRITE,
];
pub(super) const READS: &[RowFlags] = &[
    flags::NOSCRIPT,
    flags::STALE,
    flags::SKIP_MONITOR,
    flags::NO_MANDATORY_KEYS,
    flags::READONLY,
    flags::MOVABLE_KEYS,
];
pub(super) const DEPENDS: &str = "Depends on the script that is executed.";
pub(super) const KEYS_AND_ARGS: [arg::Arg; 3] =
    [arg::integer("numkeys"), arg::KEY.optional().multiple(), arg::string("arg").optional().multiple()];

const fn takes(name: &'static str) -> [arg::Arg; 4] {
    let [numkeys, keys, args] = KEYS_AND_ARGS;
    [arg::string(name), numkeys, keys, args]
}

const EVAL_ARGS: &[arg::Arg] = &takes("script");
const EVALSHA_ARGS: &[arg::Arg] = &takes("sha1");

pub(super) const COMMANDS: &[Command<ScriptRun>] = &[
    row("eval", -3, SCRIPT_KEYS, RUNS, eval)
        .class(Class::Script)
        .docs("2.6.0", DEPENDS, "Runs a script in Lua.")
        .takes(EVAL_ARGS),
    row("eval_ro", -3, READ_KEYS, READS, eval_ro)
        .class(Class::Script)
        .docs("7.0.0", DEPENDS, "Runs a script in Lua that only reads.")
        .takes(EVAL_ARGS),
    row("evalsha", -3, SCRIPT_KEYS.noted(""), RUNS, evalsha)
        .class(Class::Script)
        .docs("2.6.0", DEPENDS, "Runs a script in Lua that the server knows by its SHA-1.")
        .takes(EVALSHA_ARGS),
    row("evalsha_ro", -3, READ_KEYS.noted(""), READS, evalsha_ro)
        .class(Class::Script)
        .docs(
            "7.0.0",
            DEPENDS,
            "Runs a script in Lua that the server knows by its SHA-1, and that only reads.",
        )
        .takes(EVALSHA_ARGS),
];

const NO_SCRIPT: Error = Error::line("NOSCRIPT No matching script. Please use EVAL.");

fn eval(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    run(txn, args, env, false)
}

fn eval_ro(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    run(txn, args, env, true)
}

fn evalsha(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    run(txn, args, env, false)
}

fn evalsha_ro(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    run(txn, args, env, true)
}

/// A script's keys and other arguments.
pub(super) struct Given<'a> {
    pub keys: Vec<&'a [u8]>,
    pub arguments: Vec<&'a [u8]>,
}

impl<'a> Given<'a> {
    pub fn of(args: &Args<'a>) -> command::Result<Self> {
        let count = args.int(2)?;
        if count > (args.len() - 3) as i64 {
            return Err(Error::line("ERR Number of keys can't be greater than number of args"));
        }
        let count =
            usize::try_from(count).map_err(|_| Error::line("ERR Number of keys can't be negative"))?;
        let mut rest = args.from(3);
        let keys = rest.by_ref().take(count).collect();
        Ok(Self { keys, arguments: rest.collect() })
    }
}

fn is_digest(args: &Args<'_>) -> bool {
    args.get(0).get(..7).is_some_and(|name| name.eq_ignore_ascii_case(b"evalsha"))
}

/// The script that a command runs: EVAL has its code, EVALSHA its digest.
fn find(node: &Node, args: &Args<'_>) -> command::Result<Arc<Script>> {
    if is_digest(args) {
        let digest = cache::digest_of(args.get(1)).ok_or(NO_SCRIPT)?;
        return node.scripts.by_digest(&digest).ok_or(NO_SCRIPT);
    }
    match node.scripts.by_code(args.get(1)) {
        Some(found) => Ok(found),
        None => add(node, args.get(1), false),
    }
}

/// Compiles a script, and keeps it if that is possible.
pub(super) fn add(node: &Node, code: &[u8], is_loaded: bool) -> command::Result<Arc<Script>> {
    if code.len() > limits::SCRIPT_CODE_BYTES_MAX {
        let why = format!("ERR a script has at most {} bytes", limits::SCRIPT_CODE_BYTES_MAX);
        return Err(Error::text(why));
    }
    let script = Script::new(code).map_err(|why| Error::text(format!("ERR {why}")))?;
    check(&script)?;
    Ok(node.scripts.add(script, is_loaded))
}

fn check(script: &Script) -> command::Result<()> {
    let checked = local::with(|local| local.interpreter.check(&program(script))).map_err(no_interpreter)?;
    checked.map_err(|why| Error::Bytes(why.as_bytes().to_vec()))
}

pub(super) fn no_interpreter(why: String) -> Error {
    Error::text(format!("ERR {why}"))
}

fn program(script: &Script) -> Program<'_> {
    Program { digest: &script.digest, name: &script.name, code: script.code() }
}

/// Compiles a script here, where nobody waits for it. Says whether it is known to be long.
pub(super) fn prepare(node: &Node, args: &Args<'_>) -> bool {
    // What is wrong is told when it runs.
    let Ok(script) = find(node, args) else { return false };
    let is_long = script.is_long(node.wall_ms());
    if !is_long {
        let _ = check(&script);
    }
    is_long
}

/// The memory that a script may take.
pub(super) fn memory_bytes_max(node: &Node, txn: &Txn<'_>) -> usize {
    if txn.is_metered() {
        return limits::SCRIPT_BYTES_INLINE;
    }
    memory_shares::script_bytes(node.admission.memory.thresholds().hard_bytes, node.heavy.threads()) as usize
}

/// In the heavy pool, all of a reply is there before it is told.
pub(super) fn held(txn: &mut Txn<'_>, reply: Reply) -> command::Result<Reply> {
    if !txn.is_metered() {
        txn.hold(0, reply.size_hint())?;
    }
    Ok(reply)
}

fn run(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>, only_reads: bool) -> command::Result<Reply> {
    if is_digest(args) && args.get(1).len() != 2 * size_of::<Digest>() {
        return Err(NO_SCRIPT);
    }
    let given = Given::of(args)?;
    let script = find(env.node, args)?;
    let has_no_writes = script.flags.is_some_and(|flags| flags.has(Flags::NO_WRITES));
    if only_reads && script.flags.is_some() && !has_no_writes {
        return Err(Error::line("ERR Can not execute a script with write flag using *_ro command."));
    }
    txn.foresee_keys(given.keys.iter().copied())?;
    let node = env.node;
    let _guard = env.cancel.map(|cancel| node.running.begin(Kind::Script, &script.name, args, cancel));
    let database = txn.database();
    env.saw(database, true, args);
    let inputs = Inputs {
        keys: &given.keys,
        arguments: &given.arguments,
        memory_bytes_max: memory_bytes_max(node, txn),
    };
    let mut host = InTxn::new(txn, env, only_reads || has_no_writes);
    host.txn.set_scripted(true);
    let ran = local::with(|local| local.interpreter.eval(&program(&script), &inputs, &mut host));
    let (stop, is_long) = (host.stop.take(), host.is_long);
    txn.set_scripted(false);
    txn.select(database);
    match ran.map_err(no_interpreter)? {
        Ok(reply) => held(txn, reply),
        Err(Stopped) => {
            if is_long {
                script.outgrew(node.wall_ms());
            }
            Err(Error::Stop(stop.unwrap_or(Stop::Cancelled)))
        }
    }
}

//! What scripts find in `redis`, and what the prelude needs of the server.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Table, Value, Variadic};
use resp::{Protocol, Reply};
use sha1::{Digest, Sha1};

use crate::convert;
use crate::host::{self, Arguments, Level, Stopped};
use crate::library::Registered;
use crate::libs::{self, error_text};
use crate::meter;
use crate::random::Random;

/// What the functions of one interpreter share.
pub(crate) struct Shared {
    /// How replies look to the script that runs.
    pub(crate) protocol: Cell<Protocol>,
    /// The host has stopped the script: everything that it does from here on fails.
    pub(crate) stopped: Cell<bool>,
    /// What the interpreter held before the script that runs, and may hold while it does.
    pub(crate) memory_before: Cell<usize>,
    pub(crate) memory_max: Cell<usize>,
    /// What the code that runs is called, and the line that it ends with.
    pub(crate) end: Cell<(&'static str, i64)>,
    /// What a library has registered so far, while one is loaded.
    pub(crate) registered: RefCell<Option<Vec<Registered>>>,
    /// The error that is being raised: it is a table, which Rust cannot raise.
    raised: RefCell<Option<Table>>,
    arguments: RefCell<Arguments>,
    random: Random,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            protocol: Cell::default(),
            stopped: Cell::new(false),
            memory_before: Cell::new(0),
            memory_max: Cell::new(usize::MAX),
            end: Cell::new(("", 0)),
            registered: RefCell::new(None),
            raised: RefCell::new(None),
            arguments: RefCell::default(),
            random: Random::new(),
        }
    }

    /// Raises an error that is a table in Lua.
    pub(crate) fn raise(&self, error: Table) -> mlua::Error {
        *self.raised.borrow_mut() = Some(error);
        mlua::Error::external(Aside)
    }

    /// What a script is told that catches what Rust has raised.
    fn caught(&self, lua: &Lua, raised: Value) -> mlua::Result<Value> {
        let Value::Error(error) = raised else { return Ok(raised) };
        if is_aside(&error)
            && let Some(table) = self.raised.take()
        {
            return Ok(Value::Table(table));
        }
        Ok(Value::String(lua.create_string(error_text(&error))?))
    }

    /// Raises an error with a message.
    pub(crate) fn fail(&self, lua: &Lua, message: &str) -> mlua::Error {
        match convert::error(lua, &convert::error_line(message.as_bytes())) {
            Ok(error) => self.raise(error),
            Err(error) => error,
        }
    }

    /// What the interpreter holds more than before the script.
    pub(crate) fn held_bytes(&self, lua: &Lua) -> usize {
        lua.used_memory().saturating_sub(self.memory_before.get())
    }

    /// Ends the script, whatever it catches.
    pub(crate) fn stop(&self, lua: &Lua) -> mlua::Error {
        self.stopped.set(true);
        // A hook that fails once is caught once: from now on it fails at every step.
        match crate::interpreter::set_hook(lua, 1) {
            Ok(()) => host::stopped(),
            Err(error) => error,
        }
    }
}

/// Raised in place of a table, which is kept aside.
#[derive(Debug)]
struct Aside;

impl std::fmt::Display for Aside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an error kept aside")
    }
}

impl std::error::Error for Aside {}

fn is_aside(error: &mlua::Error) -> bool {
    match error {
        mlua::Error::CallbackError { cause, .. } | mlua::Error::WithContext { cause, .. } => is_aside(cause),
        mlua::Error::ExternalError(external) => external.is::<Aside>(),
        _ => false,
    }
}

const NO_ARGUMENT: &str = "Please specify at least one argument for this redis lib call";
const WRONG_ARGUMENT: &str = "Lua redis lib command arguments must be strings or integers";
const OUTSIDE: &str = "redis.call/pcall can only be called inside a script invocation";

/// Arguments of a command: as such, or in a table if there are very many.
trait Given {
    fn is_empty(&self) -> bool;

    /// Takes them over; says whether all are strings or numbers.
    fn take(self, arguments: &mut Arguments) -> bool;
}

impl Given for MultiValue {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take(self, arguments: &mut Arguments) -> bool {
        arguments.take(self.into_iter())
    }
}

impl Given for (Table, i64) {
    fn is_empty(&self) -> bool {
        self.1 == 0
    }

    fn take(self, arguments: &mut Arguments) -> bool {
        let (table, count) = self;
        arguments.take((1..=count).map(|at| table.raw_get(at).unwrap_or(Value::Nil)))
    }
}

/// `redis.call` and `redis.pcall`.
fn command<G: Given>(lua: &Lua, shared: &Shared, given: G) -> mlua::Result<Reply> {
    if shared.stopped.get() {
        return Err(shared.stop(lua));
    }
    if given.is_empty() {
        return Ok(Reply::error(format!("ERR {NO_ARGUMENT}")));
    }
    let mut arguments = shared.arguments.borrow_mut();
    if !given.take(&mut arguments) {
        return Ok(Reply::error(format!("ERR {WRONG_ARGUMENT}")));
    }
    match host::with(|host| host.call(&arguments.source, &arguments.spans)) {
        Some(Ok(reply)) => Ok(reply),
        Some(Err(Stopped)) => Err(shared.stop(lua)),
        None => Ok(Reply::error(format!("ERR {OUTSIDE}"))),
    }
}

/// What a reply is to the script that runs.
fn told(lua: &Lua, shared: &Shared, reply: &Reply) -> mlua::Result<Value> {
    // What is large is not even begun where there is no room for it.
    if lua.used_memory().saturating_add(reply.size_hint()) > shared.memory_max.get() {
        return Err(mlua::Error::MemoryError(libs::OUT_OF_MEMORY.into()));
    }
    let value = libs::without_limit(lua, || convert::to_lua(lua, reply, shared.protocol.get()))?;
    if reply.size_hint() >= LARGE_BYTES {
        meter::show_memory(lua)?;
    }
    Ok(value)
}

/// A script that is told so much may hold much after a few steps.
const LARGE_BYTES: usize = 64 << 10;

/// A reply, and whether it is an error that is to be raised: where the script waits for it, which takes less time
/// than where Rust does.
fn call<G: Given>(lua: &Lua, shared: &Shared, given: G) -> mlua::Result<(Value, bool)> {
    match command(lua, shared, given)? {
        Reply::Error(line) => Ok((Value::Table(convert::error(lua, line.as_bytes())?), true)),
        reply => Ok((told(lua, shared, &reply)?, false)),
    }
}

fn try_call<G: Given>(lua: &Lua, shared: &Shared, given: G) -> mlua::Result<Value> {
    let reply = command(lua, shared, given)?;
    told(lua, shared, &reply)
}

fn may_call(lua: &Lua, shared: &Shared, given: MultiValue) -> mlua::Result<bool> {
    if given.is_empty() {
        return Err(shared.fail(lua, NO_ARGUMENT));
    }
    let mut arguments = shared.arguments.borrow_mut();
    if !given.take(&mut arguments) {
        return Err(shared.fail(lua, WRONG_ARGUMENT));
    }
    match host::with(|host| host.may_call(&arguments.source, &arguments.spans)) {
        Some(Some(may)) => Ok(may),
        _ => Err(shared.fail(lua, "Invalid command passed to redis.acl_check_cmd()")),
    }
}

/// A number as C reads it from Lua: a string may be one, and what is none is zero.
fn integer(lua: &Lua, value: Option<&Value>) -> i64 {
    let number = value.and_then(|value| lua.coerce_number(value.clone()).ok().flatten());
    number.map_or(0, |number| number as i64)
}

fn log(lua: &Lua, shared: &Shared, given: &MultiValue) -> mlua::Result<()> {
    const LEVELS: [Level; 4] = [Level::Debug, Level::Verbose, Level::Notice, Level::Warning];
    if given.len() < 2 {
        return Err(shared.fail(lua, "redis.log() requires two arguments or more."));
    }
    let Some(Value::Number(_) | Value::Integer(_)) = given.front() else {
        return Err(shared.fail(lua, "First argument must be a number (log level)."));
    };
    let level = integer(lua, given.front());
    let Some(level) = usize::try_from(level).ok().and_then(|level| LEVELS.get(level)) else {
        return Err(shared.fail(lua, "Invalid debug level."));
    };
    let mut message = Vec::new();
    for (at, value) in given.iter().skip(1).enumerate() {
        if let Ok(Some(text)) = lua.coerce_string(value.clone()) {
            message.extend_from_slice(if at > 0 { b" " } else { b"" });
            message.extend_from_slice(&text.as_bytes());
        }
    }
    if let Some(Err(Stopped)) = host::with(|host| host.log(*level, &message)) {
        return Err(shared.stop(lua));
    }
    Ok(())
}

fn sha1hex(lua: &Lua, shared: &Shared, given: &MultiValue) -> mlua::Result<String> {
    let text = given.front().filter(|_| given.len() == 1);
    let Some(text) = text else { return Err(shared.fail(lua, "wrong number of arguments")) };
    let text = lua.coerce_string(text.clone())?;
    // A block of 64 bytes takes about what four steps take.
    meter::spend_bytes(lua, text.as_ref().map_or(0, |text| text.as_bytes().len()).saturating_mul(4))?;
    Ok(sha1_hex(text.as_ref().map(|text| text.as_bytes()).as_deref().unwrap_or_default()))
}

/// The SHA-1 of some bytes, as scripts are named by it.
pub fn sha1_hex(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn the_string(given: &MultiValue) -> Option<mlua::String> {
    match given.front() {
        Some(Value::String(text)) if given.len() == 1 => Some(text.clone()),
        _ => None,
    }
}

fn error_reply(lua: &Lua, given: &MultiValue) -> mlua::Result<Table> {
    const WRONG: &[u8] = b"ERR wrong number or type of arguments";
    match the_string(given) {
        Some(text) => {
            let text = text.as_bytes();
            // A leading `-` may be there or not.
            let message = text.strip_prefix(b"-").unwrap_or(&text);
            convert::error(lua, &convert::error_line(&[b"-", message].concat()))
        }
        None => convert::error(lua, WRONG),
    }
}

fn status_reply(lua: &Lua, given: &MultiValue) -> mlua::Result<Table> {
    match the_string(given) {
        Some(text) => lua.create_table_from([("ok", text)]),
        None => error_reply(lua, given),
    }
}

fn set_resp(lua: &Lua, shared: &Shared, given: &MultiValue) -> mlua::Result<()> {
    if given.len() != 1 {
        return Err(shared.fail(lua, "redis.setresp() requires one argument."));
    }
    shared.protocol.set(match integer(lua, given.front()) {
        2 => Protocol::Resp2,
        3 => Protocol::Resp3,
        _ => return Err(shared.fail(lua, "RESP version must be 2 or 3.")),
    });
    Ok(())
}

const REPLICATION: [(&str, i64); 5] =
    [("REPL_NONE", 0), ("REPL_AOF", 1), ("REPL_SLAVE", 2), ("REPL_REPLICA", 2), ("REPL_ALL", 3)];

fn set_repl(lua: &Lua, shared: &Shared, given: &MultiValue) -> mlua::Result<()> {
    if given.len() != 1 {
        return Err(shared.fail(lua, "redis.set_repl() requires two arguments."));
    }
    // What is written is always written everywhere: anything else would be lost with the leader.
    match integer(lua, given.front()) {
        0..4 => Ok(()),
        _ => {
            Err(shared
                .fail(lua, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."))
        }
    }
}

fn random(shared: &Shared, given: &[f64]) -> Result<f64, &'static str> {
    let next = shared.random.next();
    let (low, high) = match given {
        [] => return Ok(next),
        [high] if *high < 1.0 => return Err("bad argument #1 to 'random' (interval is empty)"),
        [high] => (1.0, high.trunc()),
        [low, high] if low.trunc() > high.trunc() => {
            return Err("bad argument #2 to 'random' (interval is empty)");
        }
        [low, high] => (low.trunc(), high.trunc()),
        _ => return Err("wrong number of arguments"),
    };
    Ok((next * (high - low + 1.0)).floor() + low)
}

/// What the prelude is called: it has no place in what scripts are told.
pub(crate) const PRELUDE: &str = "=[server]";

/// What wrappers of libraries are called, as Lua calls functions in C.
pub(crate) const LIBRARY: &str = "=[C]";

/// Where the script is: the innermost of its own lines. A call that a function ends with (`return redis.call(…)`)
/// leaves no trace of where that was: then it is the line that the script or function ends with.
fn place(lua: &Lua, shared: &Shared) -> (Option<String>, i64) {
    /// Calls that a script has no part in, at most: the sandbox's, and Lua's own functions.
    const LEVELS_MAX: usize = 32;
    let mut is_tail = false;
    for level in 1..LEVELS_MAX {
        let found = lua.inspect_stack(level, |frame| {
            let source = frame.source();
            is_tail |= source.what == "tail";
            let is_of_server = matches!(source.source.as_deref(), Some(PRELUDE | LIBRARY));
            let is_own = !matches!(source.what, "C" | "tail") && !is_of_server;
            let line = frame.current_line().map_or(-1, |line| line as i64);
            is_own.then(|| (source.source.map(|name| name.into_owned()), line))
        });
        match found {
            Some(Some(place)) => return place,
            Some(None) => {}
            None => break,
        }
    }
    let (name, line) = shared.end.get();
    (is_tail.then(|| name.to_owned()), line)
}

/// What a message begins with that names the caller `level` levels up, as `error` counts them.
fn position(lua: &Lua, shared: &Shared, level: usize) -> String {
    let found = lua.inspect_stack(level, |frame| {
        let source = frame.source();
        if source.what == "tail" {
            let (name, line) = shared.end.get();
            return Some(format!("{}:{line}: ", name.strip_prefix('@').unwrap_or(name)));
        }
        let line = frame.current_line().filter(|line| *line > 0)?;
        Some(format!("{}:{line}: ", source.short_src.as_deref().unwrap_or("?")))
    });
    found.flatten().unwrap_or_default()
}

/// A function of the interpreter that has what they share.
fn function<A: mlua::FromLuaMulti, R: mlua::IntoLuaMulti>(
    lua: &Lua,
    shared: &Rc<Shared>,
    f: impl Fn(&Lua, &Shared, A) -> mlua::Result<R> + 'static,
) -> mlua::Result<Function> {
    let shared = shared.clone();
    lua.create_function(move |lua, given| f(lua, &shared, given))
}

/// The functions of `redis`, and those that the prelude is given beside them.
pub(crate) fn native(lua: &Lua, shared: &Rc<Shared>, version: &str) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    redis.raw_set("acl_check_cmd", function(lua, shared, may_call)?)?;
    redis.raw_set("log", function(lua, shared, |lua, shared, given| log(lua, shared, &given))?)?;
    redis.raw_set("sha1hex", function(lua, shared, |lua, shared, given| sha1hex(lua, shared, &given))?)?;
    redis.raw_set("error_reply", function(lua, shared, |lua, _, given| error_reply(lua, &given))?)?;
    redis.raw_set("status_reply", function(lua, shared, |lua, _, given| status_reply(lua, &given))?)?;
    redis.raw_set("setresp", function(lua, shared, |lua, shared, given| set_resp(lua, shared, &given))?)?;
    redis.raw_set("set_repl", function(lua, shared, |lua, shared, given| set_repl(lua, shared, &given))?)?;
    redis.raw_set("replicate_commands", function(lua, shared, |_, _, (): ()| Ok(true))?)?;
    redis.raw_set("breakpoint", function(lua, shared, |_, _, (): ()| Ok(false))?)?;
    redis.raw_set("debug", function(lua, shared, |_, _, (): ()| Ok(()))?)?;
    redis.raw_set(
        "register_function",
        function(lua, shared, |lua, shared, given| crate::library::register(lua, shared, &given))?,
    )?;
    for (name, value) in REPLICATION {
        redis.raw_set(name, value)?;
    }
    for (level, name) in ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"].iter().enumerate() {
        redis.raw_set(*name, level)?;
    }
    redis.raw_set("REDIS_VERSION", version)?;
    redis.raw_set("REDIS_VERSION_NUM", version_number(version))?;
    let native = lua.create_table()?;
    native.raw_set("redis", redis)?;
    native.raw_set("call", function(lua, shared, call::<MultiValue>)?)?;
    native.raw_set("call_many", function(lua, shared, call::<(Table, i64)>)?)?;
    native.raw_set("try", function(lua, shared, try_call::<MultiValue>)?)?;
    native.raw_set("try_many", function(lua, shared, try_call::<(Table, i64)>)?)?;
    native.raw_set("is_stopped", function(lua, shared, |_, shared, (): ()| Ok(shared.stopped.get()))?)?;
    native.raw_set("caught", function(lua, shared, |lua, shared, raised| shared.caught(lua, raised))?)?;
    native.raw_set("where", function(lua, shared, |lua, shared, level| Ok(position(lua, shared, level)))?)?;
    native.raw_set("place", function(lua, shared, |lua, shared, (): ()| Ok(place(lua, shared)))?)?;
    native.raw_set(
        "refuse",
        function(lua, shared, |lua, shared, (): ()| -> mlua::Result<()> {
            Err(shared.fail(lua, "Attempt to modify a readonly table"))
        })?,
    )?;
    native.raw_set(
        "out_of_memory",
        function(lua, shared, |lua, shared, (): ()| match host::with(|host| host.out_of_memory()) {
            Some(Err(Stopped)) => Err(shared.stop(lua)),
            _ => Ok(()),
        })?,
    )?;
    // The prelude raises what goes wrong here: with the line of the script.
    native.raw_set(
        "random",
        function(lua, shared, |_, shared, given: Variadic<f64>| Ok(random(shared, &given)))?,
    )?;
    native.raw_set(
        "randomseed",
        function(lua, shared, |_, shared, seed: f64| {
            shared.random.seed(seed as i32);
            Ok(())
        })?,
    )?;
    Ok(native)
}

/// `7.2.4` as `0x00070204`.
fn version_number(version: &str) -> u32 {
    let parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0) & 0xff);
    parts.take(3).fold(0, |number, part| number << 8 | part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_too() {
        assert_eq!(version_number("7.2.4"), 0x0007_0204);
    }
}

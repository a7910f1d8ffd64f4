//! The libraries that scripts find beside Lua's own: `cjson`, `cmsgpack`, `struct` and `bit`, as redis-server
//! bundles them, down to the texts of their errors.
//!
//! They are Rust functions, most without a wrapper in Lua: a call costs what a call into Rust costs, and what they
//! say of their caller ("user_script:1: ", "bad argument #1 to 'encode'") is what the C functions say, tail calls
//! included. The price: a Rust function can only raise userdata, which the sandbox turns into strings where scripts
//! catch errors, by `error_text`.
//!
//! A Rust function must not take `MultiValue` or `Variadic` from scripts: mlua panics when it runs out of the 8000
//! slots that all handles on Lua's values share, and reads the registry for arguments from the 10,000th on.

mod args;
mod bit;
#[cfg(test)]
mod catch;
mod cjson;
mod cmsgpack;
mod each;
mod fault;
mod put;
mod structs;
#[cfg(test)]
mod tests;

pub(crate) use fault::OUT_OF_MEMORY;
pub use fault::error_text;

use args::Args;
use fault::{Caller, Fault};
use mlua::{Function, IntoLuaMulti, Lua, Table};

/// Longest string that one call makes: an eighth of what a bulk string may have, since it is in memory as a
/// whole, and once more as Lua's string, and nothing interrupts the call.
const OUTPUT_BYTES_MAX: usize = base::limits::BULK_BYTES_MAX / 8;

/// Deepest nesting of what is encoded or decoded, whatever a script asks for: cjson's default. Each level of it
/// costs stack of the thread, and handles on Lua's values.
const NESTING_MAX: usize = 1000;

/// Most values that one call may return (Redis: just under 8000). Handles on Lua's values are slots of a stack
/// that Lua 5.1 limits to 8000 in all, and mlua panics without one.
const RESULTS_MAX: usize = 7500;

/// What one call may hold handles on: both ends of its nesting, and what the interpreter holds besides.
const _: () = assert!(NESTING_MAX * 2 + 500 <= 8000 && RESULTS_MAX + 500 <= 8000);

/// The libraries of one interpreter.
#[derive(Clone)]
pub struct Installed {
    cjson: cjson::Settings,
}

impl Installed {
    /// Takes back what a script has configured (`cjson.encode_max_depth` and the like), so that the next one
    /// does not find it.
    pub fn reset(&self) {
        self.cjson.reset();
    }
}

/// Makes the tables `cjson`, `cmsgpack`, `struct` and `bit` globals. Lua's base library must be there; what builds
/// a sandbox comes after, and has scripts catch what is raised here as text.
pub fn install(lua: &Lua) -> mlua::Result<Installed> {
    let settings = cjson::Settings::default();
    let globals = lua.globals();
    globals.set("cjson", cjson::table(lua, &settings)?)?;
    globals.set("cmsgpack", cmsgpack::table(lua)?)?;
    globals.set("struct", structs::table(lua)?)?;
    globals.set("bit", bit::table(lua)?)?;
    Ok(Installed { cjson: settings })
}

/// Does something without the bound on memory that a script has: it is bounded otherwise, and with the bound each
/// value that is made costs three times as much.
pub(crate) fn without_limit<R>(lua: &Lua, f: impl FnOnce() -> R) -> R {
    let Ok(limit) = lua.set_memory_limit(0) else { return f() };
    let result = f();
    let _ = lua.set_memory_limit(limit);
    result
}

/// What a function of a library gives.
type Outcome<T> = Result<T, Fault>;

/// Adds a function of at most three arguments.
fn add<F, R>(lua: &Lua, table: &Table, name: &'static str, function: F) -> mlua::Result<()>
where
    F: Fn(&Args<'_>) -> Outcome<R> + 'static,
    R: IntoLuaMulti,
{
    let function = lua.create_function(move |lua, given: args::Few| {
        let caller = Caller { name, wrapped: false };
        without_limit(lua, || function(&Args::few(lua, given))).map_err(|fault| fault.raise(lua, caller))
    })?;
    table.raw_set(name, function)
}

/// Adds a function of any number of arguments. A wrapper in Lua passes more than a few of them as a table: there
/// may be more than there can be handles. It hides its caller's line where that is a tail call.
fn add_variadic<R: IntoLuaMulti + 'static>(
    lua: &Lua,
    table: &Table,
    name: &'static str,
    function: fn(&Args<'_>) -> Outcome<R>,
) -> mlua::Result<()> {
    const WRAP: &str = "
        local few_max, few, many, select = ...
        return function(...)
            local count = select('#', ...)
            if count <= few_max then return few(...) end
            return many({...}, count)
        end";
    let caller = Caller { name, wrapped: true };
    let few = lua.create_function(move |lua, given: args::Few| {
        without_limit(lua, || function(&Args::few(lua, given))).map_err(|fault| fault.raise(lua, caller))
    })?;
    let many = lua.create_function(move |lua, (values, count): (Table, usize)| {
        without_limit(lua, || function(&Args::many(lua, values, count)))
            .map_err(|fault| fault.raise(lua, caller))
    })?;
    let select: Function = lua.globals().get("select")?;
    let wrapped: Function = lua.load(WRAP).set_name("=[C]").call((args::FEW, few, many, select))?;
    table.raw_set(name, wrapped)
}

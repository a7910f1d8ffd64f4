//! The table `cjson`: lua-cjson 2.1.0.

mod config;
mod decode;
mod encode;
mod number;
mod scan;

use super::args::Args;
use super::fault::Fault;
use super::{Outcome, add};
use config::Config;
use mlua::{Lua, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// What scripts have configured of one such table, and its buffer.
#[derive(Clone, Default)]
pub(super) struct Settings(Rc<State>);

#[derive(Default)]
struct State {
    config: Cell<Config>,
    /// Kept from one `encode` to the next, up to `BUFFER_KEPT_BYTES_MAX`.
    buffer: Cell<Vec<u8>>,
}

/// What an encoder's buffer may keep of memory between calls.
const BUFFER_KEPT_BYTES_MAX: usize = 64 << 10;

impl Settings {
    pub(super) fn reset(&self) {
        self.0.config.set(Config::default());
    }

    fn encode(&self, lua: &Lua, value: &Value) -> Outcome<mlua::String> {
        let mut buffer = self.0.buffer.take();
        buffer.clear();
        let encoded = encode::append(lua, &mut buffer, value, &self.0.config.get());
        let result = encoded.and_then(|()| Ok(lua.create_string(&buffer)?));
        if buffer.capacity() <= BUFFER_KEPT_BYTES_MAX {
            self.0.buffer.set(buffer);
        }
        result
    }
}

/// A table with settings of its own: what `cjson.new` gives as well.
pub(super) fn table(lua: &Lua, settings: &Settings) -> mlua::Result<Table> {
    let cjson = lua.create_table()?;
    let own = settings.clone();
    add(lua, &cjson, "encode", move |args| {
        let value = only(args)?;
        own.encode(args.lua(), &value)
    })?;
    let own = settings.clone();
    add(lua, &cjson, "decode", move |args| {
        only(args)?;
        decode::value(args.lua(), &args.string(1)?.as_bytes(), &own.0.config.get())
    })?;
    for setter in config::SETTERS {
        let own = settings.clone();
        add(lua, &cjson, setter.name, move |args| {
            let mut config = own.0.config.get();
            let result = config::set(setter, &mut config, args);
            // What was set before an argument was found wrong stays, as in the original.
            own.0.config.set(config);
            result
        })?;
    }
    add(lua, &cjson, "new", |args| Ok(table(args.lua(), &Settings::default())?))?;
    cjson.raw_set("null", Value::NULL)?;
    cjson.raw_set("_NAME", "cjson")?;
    cjson.raw_set("_VERSION", "2.1.0")?;
    Ok(cjson)
}

/// The argument of a function of exactly one.
fn only(args: &Args<'_>) -> Outcome<Value> {
    let value = args.get(1).filter(|_| args.len() == 1);
    value.ok_or_else(|| Fault::argument(1, "expected 1 argument"))
}

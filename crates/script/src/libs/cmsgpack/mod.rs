//! The table `cmsgpack`: lua-cmsgpack 0.4.0, MessagePack as it was before it had binary strings and extensions.

mod pack;
mod unpack;

use super::{add, add_variadic};
use mlua::{Lua, Table};

/// Tables nested deeper are packed as nil.
const PACKED_NESTING_MAX: usize = 16;
/// Most values that one call packs: Lua's stack holds each twice in the original.
const PACKED_VALUES_MAX: usize = 4000;

pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let cmsgpack = lua.create_table()?;
    add_variadic(lua, &cmsgpack, "pack", pack::values)?;
    add(lua, &cmsgpack, "unpack", |args| unpack::values(args, 0, 0))?;
    add(lua, &cmsgpack, "unpack_one", |args| {
        let offset = args.integer_or(2, 0)?;
        unpack::values(args, 1, offset)
    })?;
    add(lua, &cmsgpack, "unpack_limit", |args| {
        let limit = args.integer(2)?;
        let offset = args.integer_or(3, 0)?;
        unpack::values(args, limit, offset)
    })?;
    cmsgpack.raw_set("_NAME", "cmsgpack")?;
    cmsgpack.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    cmsgpack.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    cmsgpack.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(cmsgpack)
}

//! Strings into tables.

use mlua::{IntoLua, Lua, Table};

/// Sets a field. A key that is UTF-8, as most are, goes to Lua without a handle on it.
pub(super) fn with_key(lua: &Lua, table: &Table, key: &[u8], value: impl IntoLua) -> mlua::Result<()> {
    match std::str::from_utf8(key) {
        Ok(key) => table.raw_set(key, value),
        Err(_) => table.raw_set(lua.create_string(key)?, value),
    }
}

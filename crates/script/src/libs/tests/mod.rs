//! What the libraries do, checked against what redis-server answered, and what no input may do to them.

mod limits;
mod properties;
mod verified;

use mlua::{Lua, Value};

/// Runs a script as EVAL names it, with the libraries.
fn eval(lua: &Lua, script: &[u8]) -> Result<Vec<u8>, String> {
    let value = lua.load(script).set_name("@user_script").eval();
    match value {
        Ok(Value::String(text)) => Ok(text.as_bytes().to_vec()),
        Ok(other) => Err(format!("not a string: {other:?}")),
        Err(error) => Err(String::from_utf8_lossy(&super::error_text(&error)).into_owned()),
    }
}

fn lua() -> Lua {
    let lua = Lua::new();
    super::catch::install(&lua).unwrap();
    super::install(&lua).unwrap();
    lua
}

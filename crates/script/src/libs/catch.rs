//! Where scripts catch errors: what a Rust function raised is a userdata until here, and a string from here on.

use super::fault::error_text;
use mlua::{Lua, Value};

/// Functions in Lua over Lua's own. `error` and its levels do not see them: what a script hands to `pcall` is
/// still called by a C function. `pcall` gives of a table that was raised its field `err`, as Redis' does, so
/// that errors of commands read as strings; where that is not a string, it comes behind the table, as there.
///
/// An error that leaves `coroutine.wrap` stays a userdata until it is caught.
const OVERLAY: &str = r#"
local text = ...
local pcall, xpcall, type = pcall, xpcall, type

local function settle(...)
    local ok, raised = ...
    if ok then return ... end
    local kind = type(raised)
    if kind == "userdata" then return false, text(raised) end
    if kind == "table" then
        local err = raised.err
        kind = type(err)
        if kind == "string" or kind == "number" then return false, err end
        return false, raised, err
    end
    return false, raised
end

function _G.pcall(...)
    return settle(pcall(...))
end

function _G.xpcall(called, handler)
    return xpcall(called, function(raised)
        if type(raised) == "userdata" then raised = text(raised) end
        return handler(raised)
    end)
end

if coroutine then
    local resume = coroutine.resume
    local function settle(...)
        local ok, raised = ...
        if ok or type(raised) ~= "userdata" then return ... end
        return false, text(raised)
    end
    function coroutine.resume(...)
        return settle(resume(...))
    end
end
"#;

pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
    let text = lua.create_function(|lua, raised: Value| match raised {
        Value::Error(error) => Ok(Value::String(lua.create_string(error_text(&error))?)),
        other => Ok(other),
    })?;
    lua.load(OVERLAY).set_name("=[C]").call(text)
}

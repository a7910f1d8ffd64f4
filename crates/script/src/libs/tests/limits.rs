//! What a hostile script finds: bounds, and an end to each of them that is an error of Lua.

use super::{eval, lua};
use crate::libs;
use mlua::Lua;

#[track_caller]
fn check(script: &str, expected: &str) {
    check_in(&lua(), script, expected);
}

#[track_caller]
fn check_in(lua: &Lua, script: &str, expected: &str) {
    let got = eval(lua, script.as_bytes()).map(|text| String::from_utf8_lossy(&text).into_owned());
    assert_eq!(got.unwrap_or_else(|error| format!("error: {error}")), expected, "{script}");
}

/// Calls with more arguments than there can be handles on: nothing bounds those that a function in Lua passes on.
fn with_many() -> String {
    let hundred = "'x', ".repeat(100);
    format!(
        "local function many(called, hundreds, ...)
            if hundreds == 0 then return pcall(called, ...) end
            return many(called, hundreds - 1, {hundred} ...)
        end
        local function told(called, hundreds) return tostring(select(2, many(called, hundreds))) end "
    )
}

#[test]
fn any_number_of_arguments_is_an_error_at_worst() {
    let many = with_many();
    let told = |call: &str| format!("{many} return told({call}, 70)");
    check(&told("cjson.encode"), "bad argument #1 to '?' (expected 1 argument)");
    check(&told("cjson.decode"), "bad argument #1 to '?' (expected 1 argument)");
    check(&told("cjson.encode_max_depth"), "bad argument #2 to '?' (found too many arguments)");
    check(&told("cmsgpack.pack"), "bad argument #0 to '?' (Too many arguments for MessagePack pack.)");
    check(&told("cmsgpack.unpack"), "120");
    check(&told("struct.size"), "1");
    check(&told("struct.unpack"), "bad argument #3 to '?' (number expected, got string)");
    check(&told("struct.pack"), "\0");
    check(&told("bit.band"), "bad argument #1 to '?' (number expected, got string)");
    check(&told("bit.bnot"), "bad argument #1 to '?' (number expected, got string)");
    for hundreds in [79, 80, 81, 99, 100, 101, 200] {
        let script = format!(
            "{many} for _, library in ipairs({{cjson, cmsgpack, struct, bit}}) do
                for name, called in pairs(library) do
                    if type(called) == 'function' then told(called, {hundreds}) end
                end
            end
            return ''"
        );
        check(&script, "");
    }
}

#[test]
fn what_is_returned_is_bounded() {
    let text = "pcall(cmsgpack.unpack, string.rep('\\161a', 7501))";
    let too_many =
        "false stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";
    check(&format!("local ok, text = {text} return tostring(ok) .. ' ' .. text"), too_many);
    check("return tostring(select('#', cmsgpack.unpack(string.rep('\\161a', 7500))))", "7500");
    check(
        "return tostring(select('#', struct.unpack(string.rep('s', 7500), string.rep('a\\0', 7500))))",
        "7501",
    );
    let too_many = "stack overflow (too many results)";
    check(
        "return select(2, pcall(struct.unpack, string.rep('s', 7501), string.rep('a\\0', 7501)))",
        too_many,
    );
    // Nesting and values that wait to be returned count together.
    check(
        "return select(2, pcall(cmsgpack.unpack, string.rep('\\161a', 7400) .. string.rep('\\129\\1', 900) .. '\\1'))",
        "stack overflow (in function mp_decode_to_lua_array)",
    );
}

#[test]
fn nesting_is_bounded_whatever_a_script_asks_for() {
    let deep = "string.rep('[', 100000) .. string.rep(']', 100000)";
    check(
        &format!(
            "cjson.decode_max_depth(2^31 - 1) local t = cjson.decode('[[[1]]]') return select(2, pcall(cjson.decode, {deep}))"
        ),
        "Found too many nested data structures (1001) at character 1001",
    );
    check(
        "cjson.encode_max_depth(2^31 - 1) local t = {} t[1] = t return select(2, pcall(cjson.encode, t))",
        "Cannot serialise, excessive nesting (1001)",
    );
    check(
        "return select(2, pcall(cmsgpack.unpack, string.rep('\\145', 100000)))",
        "stack overflow (in function mp_decode_to_lua_array)",
    );
}

/// As deep as nesting goes, on three quarters of what threads have as a stack.
#[test]
fn the_deepest_nesting_fits_on_a_small_stack() {
    let run = || {
        let nested = "local t = {} for i = 2, 1000 do t = {a = t} end";
        check(&format!("{nested} return tostring(#cjson.encode(t))"), "5996");
        check(&format!("{nested} return type(cjson.decode(cjson.encode(t)))"), "table");
        check(&format!("{nested} return tostring(#cmsgpack.pack(t))"), "49");
    };
    std::thread::Builder::new().stack_size(3 << 19).spawn(run).unwrap().join().unwrap();
}

/// Each level holds the one below many times: it is the result that counts, not the tables.
#[test]
fn output_is_bounded() {
    let shared = "local t = {string.rep('\\0', 4096)} for i = 1, 14 do t = {t, t, t, t, t, t, t, t} end";
    check(&format!("{shared} return select(2, pcall(cjson.encode, t))"), "not enough memory");
    check(&format!("{shared} return select(2, pcall(cmsgpack.pack, t))"), "not enough memory");
    check(
        "cjson.encode_sparse_array(false, 0, 0) return select(2, pcall(cjson.encode, {[2^31 - 1] = 1}))",
        "not enough memory",
    );
    let long = "local s = string.rep('x', 8 * 1024 * 1024)";
    check(
        &format!("{long} return select(2, pcall(struct.pack, 'ssssssssss', s, s, s, s, s, s, s, s, s, s))"),
        "not enough memory",
    );
}

/// A call may use more, since it is bounded otherwise; the script then has none left.
#[test]
fn memory_that_a_call_has_used_is_not_there_any_more() {
    let lua = lua();
    lua.set_memory_limit(4 << 20).unwrap();
    check_in(
        &lua,
        "local s = '[' .. string.rep('[],', 100000) .. '1]' local t = cjson.decode(s) \
         local ok, text = pcall(string.rep, 'x', 1000) return text",
        "not enough memory",
    );
    lua.set_memory_limit(0).unwrap();
    lua.gc_collect().unwrap();
    check_in(&lua, "return cjson.encode({1})", "[1]");
}

#[test]
fn errors_that_nobody_catches_read_as_strings_too() {
    check(
        "return cjson.decode('x')",
        "error: user_script:1: Expected value but found invalid token at character 1",
    );
    check("return struct.pack('z')", "error: bad argument #1 to 'pack' (invalid format option 'z')");
    check(
        "local packed = struct.pack('z') return packed",
        "error: user_script:1: bad argument #1 to 'pack' (invalid format option 'z')",
    );
    check("cjson.encode(1, 2)", "error: user_script:1: bad argument #1 to 'encode' (expected 1 argument)");
    check(
        "local call = coroutine.wrap(function() local x = cjson.decode('x') end) return select(2, pcall(call))",
        "user_script:1: Expected value but found invalid token at character 1",
    );
    check("error('mine')", "error: user_script:1: mine");
}

#[test]
fn what_a_script_configures_is_taken_back() {
    let lua = Lua::new();
    let installed = libs::install(&lua).unwrap();
    let told = "return tostring(cjson.encode_max_depth()) .. tostring(cjson.decode_invalid_numbers())";
    check_in(&lua, "cjson.encode_max_depth(3) cjson.decode_invalid_numbers('off') return ''", "");
    check_in(&lua, told, "3false");
    installed.reset();
    check_in(&lua, told, "1000true");
}

//! Scripts are stopped when their host says so, whatever they catch, and have so much memory.

use super::*;

#[track_caller]
fn stopped(code: &str) {
    let mut interpreter = interpreter();
    let mut host = Test { steps_max: 5_000, ..host() };
    assert_eq!(run_on(&mut interpreter, code, &mut host), Err(Stopped), "{code}");
    // It goes on as if nothing had been.
    host.steps_max = u64::MAX;
    let code = "local n = 0 for i = 1, 10000 do n = n + i end return n";
    assert_eq!(run_on(&mut interpreter, code, &mut host), Ok(Reply::Integer(50_005_000)));
}

#[test]
fn nothing_that_a_script_does_keeps_it_from_ending() {
    stopped("while true do end");
    stopped("while true do pcall(function() while true do end end) end");
    stopped("while true do xpcall(function() while true do end end, function() while true do end end) end");
    stopped("local function f() return f() end f()");
    stopped("local c = coroutine.wrap(function() while true do end end) c()");
    stopped(
        "while true do local c = coroutine.create(function() while true do end end) coroutine.resume(c) end",
    );
    stopped("while true do pcall(redis.call, 'echo', 'x') end");
    stopped("table.sort({3, 2, 1, 4}, function() while true do end end)");
    stopped("string.gsub('xxxxxx', 'x', function() while true do end end)");
    stopped(
        "setmetatable({}, {__index = function() while true do end end}).x = nil; return setmetatable({}, {__index = function() while true do end end}).x",
    );
    stopped("loadstring('while true do end')()");
    stopped("load(function() while true do end end)");
    stopped(
        "pcall(error, setmetatable({}, {__tostring = function() while true do end end})) while true do end",
    );
}

#[test]
fn memory_is_bounded_and_that_can_be_caught() {
    let error = "-ERR not enough memory";
    check("local s = 'x' while true do s = s .. s end", error);
    check("return #string.rep('x', 100000000)", error);
    check("local t = {} for i = 1, 10000000 do t[i] = i end", error);
    check("local ok, e = pcall(string.rep, 'x', 100000000) return e", "$17 not enough memory");
    let mut host = host();
    run_on(&mut interpreter(), "return pcall(string.rep, 'x', 100000000)", &mut host).unwrap();
    assert!(host.ran_out);
    // Where there may be more elsewhere, it is not told.
    let mut host = Test { stops_large: true, ..super::host() };
    let code = "local ok = pcall(string.rep, 'x', 100000000) return ok and 1 or 2";
    assert_eq!(run_on(&mut interpreter(), code, &mut host), Err(Stopped));
    let mut host = Test { stops_large: true, ..super::host() };
    assert_eq!(run_on(&mut interpreter(), "return string.rep('x', 100000000)", &mut host), Err(Stopped));
}

#[test]
fn memory_does_not_pile_up() {
    let mut interpreter = interpreter();
    for round in 0..300 {
        let code = format!("local t = {{}} for i = 1, 1000 do t[i] = 'v' .. i .. '{round}' end return #t");
        assert_eq!(run_on(&mut interpreter, &code, &mut host()), Ok(Reply::Integer(1000)));
    }
    assert!(interpreter.is_slim(), "{}", interpreter.used_bytes());
}

#[test]
fn any_number_of_arguments_is_taken_or_refused() {
    check(
        "local t = {} for i = 1, 7900 do t[i] = 'v' .. i end return redis.call('count', unpack(t))",
        ":7900",
    );
    // Also when the interpreter holds as much as it may.
    let mut interpreter = interpreter();
    for script in 0..600 {
        run_on(&mut interpreter, &format!("return {script}"), &mut host()).unwrap();
    }
    let grow = "local function grow(f, n, ...) if n == 0 then return f(...) end return grow(f, n - 1, 'x' .. n, ...) end";
    let mut told = |call: &str| run_on(&mut interpreter, &format!("{grow} {call}"), &mut host()).unwrap();
    assert_eq!(told("return grow(redis.call, 4095, 'count')"), Reply::Integer(4095));
    assert_eq!(told("return grow(redis.call, 12000, 'count')"), Reply::Integer(12000));
    for call in ["redis.log", "redis.sha1hex", "redis.error_reply", "redis.acl_check_cmd", "math.random"] {
        let code = format!("local ok = pcall(grow, {call}, 12000) return ok and 1 or 2");
        assert_eq!(told(&code), Reply::Integer(2), "{call}");
    }
    told("return pcall(grow, pcall, 12000, error) and 1");
    told("return grow(function(...) return ... end, 7000)");
}

#[test]
fn deep_recursion_is_an_error() {
    check("local function f(n) return 1 + f(n + 1) end return pcall(f, 1) and 1 or 2", ":2");
}

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
fn no_call_that_takes_long_keeps_a_script_from_ending() {
    let long = "local s = ('a'):rep(100000)";
    for call in [
        "s:find('.-.-.-.-b')",
        "s:match('.*.*.*.*b')",
        "s:find(('a?'):rep(400) .. 'b')",
        "s:gmatch('.-.-.-.-b')()",
        "s:gsub('.-.-.-.-b', '')",
        "s:gsub('.-.-.-.-b', function() end)",
        "s:gsub('', function() while true do end end)",
        "s:gsub('', function() pcall(string.find, s, '.-.-.-b') end)",
        "pcall(string.find, s, '.-.-.-.-b') while true do end",
        "coroutine.wrap(function() s:find('.-.-.-.-b') end)()",
        "s:find('%f[b].-.-.-.-')",
        "s = ('('):rep(100000) s:find('%b()')",
        "s:find('(a-)(a-)(a-)%3%2%1b')",
        "s:find('[' .. ('xyz'):rep(10000) .. ']')",
        "s:find(s .. 'b', 1, true) while true do s:find('b', 1, true) end",
    ] {
        stopped(&format!("{long} {call}"));
    }
    for storm in [
        "while true do ('x'):rep(1000000) end",
        "local s = ('x'):rep(1000000) while true do s:lower() end",
        "local s = ('x'):rep(1000000) while true do s:reverse() end",
        "while true do redis.sha1hex(('x'):rep(100000)) end",
        "while true do loadstring(('x=1 '):rep(1000)) end",
        "while true do collectgarbage() end",
        "local t = {} for at = 1, 1000 do t[at] = 'x' end while true do table.concat(t) end",
        "local t = {} for at = 1, 1000 do t[at] = at end while true do table.sort(t) end",
        "local t = {} for at = 1, 1000 do t[at] = at end while true do table.insert(t, 1, 1) table.remove(t, 1) end",
        "local t = {} for at = 1, 1000 do t[at] = at end while true do table.foreach(t, type) end",
        "local t = {} for at = 1, 1000 do t[at] = at end while true do cjson.encode(t) end",
        "local t = {} for at = 1, 1000 do t[at] = at end while true do cmsgpack.pack(t) end",
        "local s = '[' .. ('1,'):rep(1000) .. '1]' while true do cjson.decode(s) end",
        "local s = ('x'):rep(100000) while true do cjson.decode(cjson.encode({s})) end",
        "local s = cmsgpack.pack(('x'):rep(100000)) while true do cmsgpack.unpack(s) end",
        "local s = ('x'):rep(100000) while true do struct.unpack('s', struct.pack('s', s)) end",
        "table.sort({3, 2, 1, 5, 4}, function() while true do end end)",
        "table.sort({3, 2, 1, 5, 4}, function(a, b) return pcall(string.find, ('a'):rep(1000), '.-.-.-b') end)",
        "local t = {} for _ = 1, 100 do t = {t, t} end return t",
        "local t = {} for _ = 1, 100 do t = {map = {a = t, b = t}} end return t",
    ] {
        stopped(storm);
    }
}

/// Elsewhere a script has no budget: there it is what it makes that is bounded.
#[test]
fn what_is_made_of_little_is_bounded() {
    let mut host = Test { steps_max: u64::MAX, ..host() };
    let error = Reply::error("ERR Error running script: not enough memory");
    let code = "local t = {('x'):rep(1000000)} for _ = 1, 100 do t = {t, t} end return t";
    assert_eq!(run_on(&mut interpreter(), code, &mut host), Ok(error));
    check("return pcall(string.rep, 'ab', 2^30) and 1 or 2", ":2");
    check("return pcall(string.gsub, ('x'):rep(100000), 'x', ('y'):rep(1000)) and 1 or 2", ":2");
    check(
        "local t = {} for at = 1, 1000 do t[at] = ('x'):rep(10000) end return pcall(table.concat, t) and 1 or 2",
        ":2",
    );
    check("return #('').rep('', 2^31 - 1)", ":0");
}

/// On three quarters of what threads have as a stack.
#[test]
fn a_pattern_of_any_length_is_matched_or_refused() {
    let run = || {
        check("return select(2, ('a'):rep(900):gsub(('a?'):rep(900), ''))", ":2");
        for item in ["a?", "a*", "a-", "(", "()", "(a)"] {
            let code =
                format!("return pcall(string.find, ('a'):rep(100000), ('{item}'):rep(100000)) and 1 or 2");
            check(&code, ":2");
        }
        check("return (('a'):rep(100000):find(('a'):rep(100000) .. '$'))", ":1");
    };
    std::thread::Builder::new().stack_size(3 << 19).spawn(run).unwrap().join().unwrap();
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
fn a_host_is_told_what_a_script_holds() {
    for (code, expected) in [
        ("for i = 1, 10000 do end", 0..64 << 10),
        ("local t = {} for i = 1, 50000 do t[i] = i end", 512 << 10..4 << 20),
        ("local s = string.rep('x', 1000000) for i = 1, 10000 do end return #s", 900_000..2 << 20),
    ] {
        let mut host = host();
        run_on(&mut interpreter(), code, &mut host).unwrap();
        assert!(expected.contains(&host.held_bytes_max), "{code}: {}", host.held_bytes_max);
    }
}

#[test]
fn memory_does_not_pile_up() {
    let mut interpreter = interpreter();
    for round in 0..300 {
        let code = format!("local t = {{}} for i = 1, 1000 do t[i] = 'v' .. i .. '{round}' end return #t");
        assert_eq!(run_on(&mut interpreter, &code, &mut host()), Ok(Reply::Integer(1000)));
    }
    assert!(interpreter.tidy() && interpreter.used_bytes() < 4 << 20, "{}", interpreter.used_bytes());
    // What is large and left behind goes at once.
    run_on(&mut interpreter, "local t = {} for i = 1, 200000 do t[i] = i end return 1", &mut host()).unwrap();
    assert!(interpreter.tidy() && interpreter.used_bytes() < 4 << 20, "{}", interpreter.used_bytes());
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

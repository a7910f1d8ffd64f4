//! What scripts see, and that nothing of what they do outlasts them.

use super::*;

#[test]
fn values_become_replies() {
    check("return 'x'", "$1 x");
    check("return {1, 2, nil, 4}", "*2 :1 :2");
    check("return 3.99", ":3");
    check("return -3.99", ":-3");
    check("return 1e300", ":-9223372036854775808");
    check("return true", ":1");
    check("return false", "_");
    check("redis.setresp(3) return {true, false}", "*2 #t #f");
    check("return function() end", "_");
    check("return {double = 3.5}", ",3.5");
    check("return {map = {a = 1}}", "%1 $1 a :1");
    check("return {set = {a = true}}", "~1 $1 a");
    check("return {big_number = '123'}", "(123");
    check("return {verbatim_string = {string = 'abc', format = 'txt'}}", "=7 txt:abc");
    check("return {err = 'bare'}", "-bare");
    check("return {ok = 'fine', 1}", "+fine");
    check("return {KEYS[1], ARGV[1], ARGV[2], ARGV[3]}", "*3 $1 k $1 a $1 b");
    check("local t = {} t[1] = t return t", &format!("{}-ERR reached lua stack limit", "*1 ".repeat(128)));
}

#[test]
fn replies_become_values() {
    let replies = vec![
        Reply::Map(vec![(Reply::bulk("a"), Reply::Double(1.5))]),
        Reply::Set(vec![Reply::bulk("m")]),
        Reply::Null,
        Reply::Boolean(true),
        Reply::Pairs(vec![(Reply::bulk("m"), Reply::Double(2.0))]),
        Reply::BigNumber("12".into()),
        Reply::Ok,
        Reply::NullArray,
    ];
    let told = |code: &str| {
        let mut host = Test { replies: replies.clone(), ..host() };
        let Ok(Reply::Bulk(text)) = run_on(&mut interpreter(), code, &mut host) else { panic!("{code}") };
        String::from_utf8(text.to_vec()).unwrap()
    };
    assert_eq!(told("return table.concat(redis.call('reply', 0), ' ')"), "a 1.5");
    assert_eq!(told("redis.setresp(3) return tostring(redis.call('reply', 0).map.a.double)"), "1.5");
    assert_eq!(told("return redis.call('reply', 1)[1]"), "m");
    assert_eq!(told("redis.setresp(3) return tostring(redis.call('reply', 1).set.m)"), "true");
    assert_eq!(told("return tostring(redis.call('reply', 2))"), "false");
    assert_eq!(told("redis.setresp(3) return tostring(redis.call('reply', 2))"), "nil");
    assert_eq!(told("return tostring(redis.call('reply', 3))"), "1");
    assert_eq!(told("redis.setresp(3) return tostring(redis.call('reply', 3))"), "true");
    assert_eq!(told("return table.concat(redis.call('reply', 4), ' ')"), "m 2");
    assert_eq!(told("redis.setresp(3) return redis.call('reply', 4)[1][1]"), "m");
    assert_eq!(told("redis.setresp(3) return redis.call('reply', 5).big_number"), "12");
    assert_eq!(told("return redis.call('reply', 6).ok"), "OK");
    assert_eq!(told("return tostring(redis.call('reply', 7))"), "false");
}

#[test]
fn numbers_are_told_to_commands_as_they_are() {
    for (number, told) in [
        ("3.0", "3"),
        ("0.1", "0.1"),
        ("1e17", "100000000000000000"),
        ("1e20", "1e+20"),
        ("-0.0", "0"),
        ("1/0", "inf"),
        ("9007199254740993", "9007199254740992"),
    ] {
        check(&format!("return redis.call('echo', {number})"), &format!("${} {told}", told.len()));
    }
}

#[test]
fn errors_say_where_they_happened() {
    check("error('x')", "-ERR user_script:1: x script: SHA, on @user_script:1.");
    check("\n\nerror({err = 'MY x'})", "-MY x script: SHA, on @user_script:3.");
    check("error('x', 0)", "-ERR x script: SHA, on @user_script:1.");
    check("error()", "-ERR nil script: SHA, on @user_script:1.");
    check("error({})", "-ERR unknown error script: SHA, on @user_script:1.");
    check("return redis.call('no')", "-ERR no such command script: SHA, on @user_script:1.");
    check("local x = redis.call('no')\nreturn x", "-ERR no such command script: SHA, on @user_script:1.");
    check("return redis.pcall('no')", "-ERR no such command");
    check(
        "local ok, e = pcall(redis.call, 'no') return {tostring(ok), e}",
        "*2 $5 false $19 ERR no such command",
    );
    check(
        "local ok, e = xpcall(function() redis.call('no') end, function(e) return e.err end) return e",
        "$19 ERR no such command",
    );
    check(
        "local c = coroutine.create(function() redis.call('no') end) local a, b = coroutine.resume(c) return b.err",
        "$19 ERR no such command",
    );
    check(
        "return redis.call()",
        "-ERR Please specify at least one argument for this redis lib call script: SHA, on @user_script:1.",
    );
    check(
        "return redis.call({})",
        "-ERR Lua redis lib command arguments must be strings or integers script: SHA, on @user_script:1.",
    );
    check(
        "local x = nil; x.y = 1",
        "-ERR user_script:1: attempt to index local 'x' (a nil value) script: SHA, on @user_script:1.",
    );
    check(
        "return (",
        "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'",
    );
    check(
        "local ok, e = pcall(cjson.decode, 'x') return e",
        "$53 Expected value but found invalid token at character 1",
    );
}

#[test]
fn what_is_shared_is_read_only() {
    let refused = "-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.";
    for code in [
        "foo = 1",
        "redis.x = 1",
        "_G.x = 1",
        "string.x = 1",
        "getmetatable('').__index = nil",
        "cjson.null = 1",
    ] {
        check(code, refused);
    }
    let refused = "-ERR Attempt to modify a readonly table script: SHA, on @user_script:1.";
    for code in
        ["rawset(_G, 'x', 1)", "setmetatable(_G, {})", "table.insert(redis, 1)", "rawset(string, 'len', 1)"]
    {
        check(code, refused);
    }
    check(
        "return foo",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'foo' script: SHA, on @user_script:1.",
    );
    check("return tostring(rawget(_G, 'foo'))", "$3 nil");
    check(
        "return {tostring(debug == nil)}",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'debug' script: SHA, on @user_script:1.",
    );
    check("local f = loadstring('foo = 1') return pcall(f) and 1 or 0", ":0");
    check("return {loadstring('\\27Lua')}", "*0");
    check("return getmetatable('').__index == string and 1 or 0", ":1");
    check("return ('x'):upper()", "$1 X");
    check("local n = 0 for k in pairs(redis) do n = n + 1 end return n > 15 and next(redis) ~= nil", ":1");
}

#[test]
fn every_global_is_there_that_redis_has() {
    let names = "_G _VERSION assert bit cjson cmsgpack collectgarbage coroutine error gcinfo getmetatable ipairs load \
                 loadstring math next os pairs pcall rawequal rawget rawset redis select setmetatable string struct \
                 table tonumber tostring type unpack xpcall";
    for name in names.split_whitespace() {
        check(&format!("return _G['{name}'] ~= nil"), ":1");
    }
    let redis = "LOG_DEBUG LOG_NOTICE LOG_VERBOSE LOG_WARNING REDIS_VERSION REDIS_VERSION_NUM REPL_ALL REPL_AOF REPL_NONE \
                 REPL_REPLICA REPL_SLAVE acl_check_cmd breakpoint call debug error_reply log pcall replicate_commands \
                 set_repl setresp sha1hex status_reply";
    for name in redis.split_whitespace() {
        check(&format!("return redis.{name} ~= nil"), ":1");
    }
}

#[test]
fn a_run_begins_as_if_there_had_been_none() {
    let mut interpreter = interpreter();
    let mut host = host();
    let mut run = |code: &str| run_on(&mut interpreter, code, &mut host).unwrap();
    run("redis.setresp(3) cjson.encode_max_depth(1) collectgarbage('stop')");
    assert_eq!(run("return true"), Reply::ONE);
    assert_eq!(run("return cjson.encode({{{1}}})"), Reply::bulk("[[[1]]]"));
}

#[test]
fn what_redis_offers_is_there() {
    check("return redis.sha1hex('')", "$40 da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check("return redis.sha1hex()", "-ERR wrong number of arguments script: SHA, on @user_script:1.");
    check("return redis.error_reply('foo')", "-ERR foo");
    check("return redis.error_reply('My Err x')", "-My Err x");
    check("return redis.error_reply('-My Err x')", "-My Err x");
    check("return redis.error_reply()", "-ERR wrong number or type of arguments");
    check("return redis.status_reply('fine')", "+fine");
    check("redis.setresp(4)", "-ERR RESP version must be 2 or 3. script: SHA, on @user_script:1.");
    check("return redis.set_repl(redis.REPL_ALL)", "_");
    check(
        "redis.set_repl(9)",
        "-ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE. script: SHA, on @user_script:1.",
    );
    check("return {redis.REDIS_VERSION, redis.REDIS_VERSION_NUM}", "*2 $5 7.2.4 :459268");
    check("return redis.acl_check_cmd('get', 'x')", ":1");
    check(
        "return redis.acl_check_cmd('nosuch')",
        "-ERR Invalid command passed to redis.acl_check_cmd() script: SHA, on @user_script:1.",
    );
    check(
        "math.random(0)",
        "-ERR user_script:1: bad argument #1 to 'random' (interval is empty) script: SHA, on @user_script:1.",
    );
    check("local x = math.random(3, 5) return x >= 3 and x <= 5", ":1");
    let mut host = host();
    run_on(&mut interpreter(), "redis.log(redis.LOG_WARNING, 'a', 5, 'b')", &mut host).unwrap();
    assert_eq!(host.logged, ["Warning a 5 b"]);
}

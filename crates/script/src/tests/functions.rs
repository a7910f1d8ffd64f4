//! Libraries of functions.

use super::*;

fn load(code: &str) -> Result<(Interpreter, Library, Vec<Described>), String> {
    let mut interpreter = interpreter();
    let mut host = host();
    match interpreter.load(code.as_bytes(), 4 << 20, &mut host).unwrap() {
        Ok((library, described)) => Ok((interpreter, library, described)),
        Err(why) => Err(why.to_string()),
    }
}

const INPUTS: Inputs<'_> = Inputs { keys: &[b"k"], arguments: &[b"a"], memory_bytes_max: 4 << 20 };

#[test]
fn functions_are_registered_and_called() {
    let code = "local word = 'x'
        local function f(keys, args) return {keys[1], args[1], redis.call('echo', word)} end
        redis.register_function('f', f)
        redis.register_function{function_name = 'g', callback = function() error('x') end, flags = {'no-writes'}, description = 'about g'}";
    let (mut interpreter, library, described) = load(code).unwrap();
    assert_eq!(described.len(), 2);
    assert_eq!((&*described[0].name, described[0].flags), (&b"f"[..], Flags::default()));
    assert_eq!(described[1].description.as_deref(), Some(&b"about g"[..]));
    assert!(described[1].flags.has(Flags::NO_WRITES));
    let reply = interpreter.invoke(&library, "f", &INPUTS, &mut host()).unwrap();
    assert_eq!(reply, Reply::Array(vec![Reply::bulk("k"), Reply::bulk("a"), Reply::bulk("x")]));
    let reply = interpreter.invoke(&library, "g", &INPUTS, &mut host()).unwrap();
    assert_eq!(reply, Reply::error("ERR user_function:4: x script: g, on @user_function:4."));
}

#[test]
fn what_is_wrong_with_a_library_is_told() {
    for (code, why) in [
        ("return 1", "ERR No functions registered"),
        ("x x", "ERR Error compiling function: user_function:1: '=' expected near 'x'"),
        (
            "redis.register_function('f')",
            "ERR Error registering functions: ERR calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        ),
        (
            "redis.register_function('a-b', function() end)",
            "ERR Error registering functions: ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        (
            "redis.register_function('f', 1)",
            "ERR Error registering functions: ERR second argument to redis.register_function must be a function",
        ),
        (
            "redis.register_function('f', function() end) redis.register_function('f', function() end)",
            "ERR Error registering functions: ERR Function already exists in the library",
        ),
        (
            "redis.call('echo', 'x')",
            "ERR Error registering functions: ERR user_function:1: Script attempted to access nonexistent global variable 'call'",
        ),
        (
            "foo = 1",
            "ERR Error registering functions: ERR user_function:1: Attempt to modify a readonly table",
        ),
    ] {
        assert_eq!(load(code).err().unwrap(), why, "{code}");
    }
    check(
        "redis.register_function('f', function() end)",
        "-ERR user_script:1: attempt to call field 'register_function' (a nil value) script: SHA, on @user_script:1.",
    );
}

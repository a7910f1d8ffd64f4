"""redis-py's transactions, scripts and functions against the server at HOST PORT with protocol 2 or 3; run by
tests/clients.rs."""

import sys
from concurrent.futures import ThreadPoolExecutor

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

host, port, protocol = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
retry = Retry(ConstantBackoff(0.1), 50)
r = redis.Redis(host=host, port=port, protocol=protocol, retry=retry, decode_responses=True)
THREADS, TIMES = 8, 50


def fails(error, text, action):
    try:
        action()
    except error as found:
        assert text in str(found), found
    else:
        raise AssertionError(f"{text}: an error was expected")


# MULTI: all or nothing, and errors where they belong.
with r.pipeline() as pipe:
    assert pipe.set("a", 1).incr("a").hset("h", mapping={"f": 1, "g": 2}).hgetall("h").execute() == [
        True, 2, 2, {"f": "1", "g": "2"},
    ]
    pipe.incr("a").incr("h").incr("a")
    fails(redis.ResponseError, "WRONGTYPE", pipe.execute)
    assert r.get("a") == "4"
    pipe.incr("a").incr("h").incr("a")
    values = pipe.execute(raise_on_error=False)
    assert values[0] == 5 and isinstance(values[1], redis.ResponseError) and values[2] == 6
    pipe.incr("a").execute_command("NOSUCH")
    fails(redis.ResponseError, "unknown command", pipe.execute)
    assert r.get("a") == "6"

# WATCH
with r.pipeline() as pipe:
    pipe.watch("a")
    assert pipe.get("a") == "6"
    r.set("a", 10)
    pipe.multi()
    pipe.set("a", "lost")
    fails(redis.WatchError, "changed", pipe.execute)
    pipe.watch("a")
    pipe.unwatch()
    r.set("a", 11)
    assert pipe.incr("a").execute() == [12]


# Increments by hand, many at a time, are not lost: who sees a change tries again.
def increment(pipe):
    value = int(pipe.get("counter") or 0)
    pipe.multi()
    pipe.set("counter", value + 1)


def increments(_):
    for _ in range(TIMES):
        r.transaction(increment, "counter")


with ThreadPoolExecutor(THREADS) as pool:
    list(pool.map(increments, range(THREADS)))
assert r.get("counter") == str(THREADS * TIMES)
assert r.transaction(lambda pipe: pipe.get("a"), "a", value_from_callable=True) == "12"

# Scripts: a script that the server does not know is loaded, alone and in a pipeline.
spend = r.register_script("""
local left = tonumber(redis.call('GET', KEYS[1]) or '0') - tonumber(ARGV[1])
if left < 0 then return redis.error_reply('POOR not enough') end
redis.call('SET', KEYS[1], left)
return {left, tostring(left / 2), false, {ok = 'FINE'}}
""")
r.set("money", 100)
assert spend(keys=["money"], args=[1]) == [99, "49.5", None, "FINE"]
fails(redis.ResponseError, "not enough", lambda: spend(keys=["money"], args=[1000]))
assert r.script_exists(spend.sha) == [True]
r.script_flush()
assert r.script_exists(spend.sha) == [False]
assert spend(keys=["money"], args=[9])[0] == 90
r.script_flush("ASYNC")
with r.pipeline() as pipe:
    for _ in range(10):
        spend(keys=["money"], args=[1], client=pipe)
    assert [reply[0] for reply in pipe.execute()] == list(range(89, 79, -1))
fails(redis.exceptions.NoScriptError, "No matching script", lambda: r.evalsha("0" * 40, 0))
assert r.eval("return {KEYS[1], ARGV[1], #ARGV}", 1, "k", "x", "y") == ["k", "x", 2]
fails(redis.ResponseError, "Write commands are not allowed", lambda: r.eval_ro("return redis.call('SET', KEYS[1], 1)", 1, "a"))
fails(redis.ResponseError, "", lambda: r.eval("return redis.call('INCR', KEYS[1])", 1, "h"))

# A hundred threads' worth of scripts on one key: each of them is alone.
with ThreadPoolExecutor(THREADS) as pool:
    list(pool.map(lambda _: spend(keys=["money"], args=[0.125]), range(THREADS * TIMES)))
assert float(r.get("money")) == 80 - THREADS * TIMES / 8

# Functions
library = """#!lua name=bank
redis.register_function('deposit', function(keys, args)
  return redis.call('INCRBY', keys[1], args[1])
end)
redis.register_function{function_name='balance', callback=function(keys, args)
  return redis.call('GET', keys[1])
end, flags={'no-writes'}}
"""
assert r.function_load(library) == "bank"
fails(redis.ResponseError, "already exists", lambda: r.function_load(library))
assert r.function_load(library, replace=True) == "bank"
assert r.fcall("deposit", 1, "account", 5) == 5 and r.fcall_ro("balance", 1, "account") == "5"
fails(redis.ResponseError, "", lambda: r.fcall_ro("deposit", 1, "account", 5))
with r.pipeline() as pipe:
    assert pipe.fcall("deposit", 1, "account", 1).fcall_ro("balance", 1, "account").execute() == [6, "6"]
dump = redis.Redis(host=host, port=port, protocol=protocol).function_dump()

# Over a restart a script has to be loaded again, a function has not.
print("restart", flush=True)
assert sys.stdin.readline() == "restarted\n"
assert r.script_exists(spend.sha) == [False]
r.set("money", 5)
assert spend(keys=["money"], args=[1])[0] == 4
assert r.fcall("deposit", 1, "account", 1) == 7
assert r.function_delete("bank")
fails(redis.ResponseError, "not found", lambda: r.fcall("deposit", 1, "account", 1))
assert redis.Redis(host=host, port=port, protocol=protocol).function_restore(dump)
assert r.fcall("deposit", 1, "account", 1) == 8

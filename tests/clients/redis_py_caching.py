"""redis-py's client-side caching against the server at HOST PORT with protocol 3; run by tests/clients.rs."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import redis
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection

# It asks for the version with which it was tried first, and for nothing that came with it.
CacheProxyConnection.MIN_ALLOWED_VERSION = "7.0.0"
host, port = sys.argv[1], int(sys.argv[2])
options = dict(host=host, port=port, protocol=3, decode_responses=True)
r = redis.Redis(cache_config=CacheConfig(), **options)
other = redis.Redis(**options)
cache = r.get_cache()
READS = 500
# redis-py reads what it is told before an answer with a call within a call for each, of which Python allows a thousand.
KEYS = 300
WRITERS, WRITES = 4, 200
LIMIT_SECONDS = 20


def calls(command):
    """How often the server was asked for it."""
    return other.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"]


def until(holds):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS} s"


def told():
    """Reads on: whoever gets an answer has been told before of what was written before he asked."""
    r.ping()


# What is read is kept, and asked for once.
other.mset({"a": "1", "b": "2"})
other.hset("h", mapping={"f": "1"})
for read, command in {
    lambda: r.get("a"): "get",
    lambda: r.mget("a", "b", "nothing"): "mget",
    lambda: r.hgetall("h"): "hgetall",
    lambda: r.hget("h", "f"): "hget",
    lambda: r.strlen("a"): "strlen",
}.items():
    before, first = calls(command), read()
    assert all(read() == first for _ in range(READS)), command
    assert calls(command) == before + 1, command
assert r.mget("a", "b", "nothing") == ["1", "2", None] and r.hgetall("h") == {"f": "1"}

# Whatever another client does to a key, it is forgotten, and no other.
r.get("b")
before = calls("get")
for number, write in enumerate((
    lambda: other.set("a", "0"),
    lambda: other.incr("a"),
    lambda: other.append("a", "0"),
    lambda: other.pipeline().set("a", 1).set("c", 1).execute(),
    lambda: other.eval("redis.call('SET', KEYS[1], 'x')", 1, "a"),
    lambda: other.rename("c", "a"),
    lambda: other.getset("a", "y"),
    lambda: other.delete("a"),
    lambda: other.copy("b", "a"),
    lambda: other.getdel("a"),
)):
    write()
    told()
    assert r.get("a") == other.get("a"), number
assert r.get("b") == "2" and calls("get") == before + 20

# So it is when its time is over, and nobody asks for it.
other.set("brief", 1, px=300)
assert r.get("brief") == "1"
until(lambda: r.get("brief") is None)
assert other.get("brief") is None

# What this client writes itself
r.set("own", 1)
assert r.get("own") == "1"
r.incr("own")
until(lambda: r.get("own") == "2")

# Many keys, and all of them at once
for flush in (other.flushall, other.flushdb):
    other.mset({f"k{number}": number for number in range(KEYS)})
    told()
    assert [r.get(f"k{number}") for number in range(KEYS)] == [str(number) for number in range(KEYS)]
    before = calls("get")
    assert [r.get(f"k{number}") for number in range(KEYS)] == [str(number) for number in range(KEYS)]
    assert calls("get") == before
    assert cache.size >= KEYS
    flush()
    told()
    assert cache.size == 0, cache.size
    assert [r.get(f"k{number}") for number in range(KEYS)] == [None] * KEYS

# Counters go only up for who reads them from his cache, and he sees the last that was written.
other.set("counter", 0)
done = threading.Event()


def watch():
    own = redis.Redis(cache_config=CacheConfig(), **options)
    last, reads = 0, 0
    while True:
        is_done = done.is_set()
        if is_done:
            own.ping()
        value = int(own.get("counter"))
        assert value >= last, (value, last)
        last, reads = value, reads + 1
        if is_done:
            return last, reads


def write(_):
    with redis.Redis(**options) as own:
        for _ in range(WRITES):
            own.incr("counter")


before = calls("get")
with ThreadPoolExecutor(WRITERS + 2) as pool:
    watching = [pool.submit(watch) for _ in range(2)]
    list(pool.map(write, range(WRITERS)))
    done.set()
    seen = [watcher.result() for watcher in watching]
assert [last for last, _ in seen] == [WRITERS * WRITES] * 2, seen
asked = calls("get") - before
assert asked < sum(reads for _, reads in seen), (asked, seen)

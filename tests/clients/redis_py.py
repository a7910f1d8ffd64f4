"""redis-py against the server at HOST PORT with protocol 2 or 3; run by tests/clients.rs."""

import sys

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

host, port, protocol = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
retry = Retry(ConstantBackoff(0.1), 50)
options = dict(host=host, port=port, protocol=protocol, retry=retry, retry_on_error=[redis.ConnectionError])
r = redis.Redis(**options)
text = redis.Redis(decode_responses=True, client_name="tester", **options)

assert r.ping()
assert text.client_getname() == "tester"
assert r.client_id() > 0

# Strings, numbers, expiry
assert r.set("a", 1) and r.get("a") == b"1"
assert r.incr("a") == 2 and r.incrbyfloat("a", 0.5) == 2.5
assert r.set("a", "x", nx=True) is None and r.set("a", "x", get=True) == b"2.5"
assert r.mset({"b": "1", "c": "2"}) and r.mget("a", "b", "nothing") == [b"x", b"1", None]
assert r.append("b", "23") == 3 and r.getrange("b", 1, -1) == b"23"
assert r.expire("b", 100) and 0 < r.ttl("b") <= 100 and r.persist("b") and r.ttl("b") == -1
assert r.getex("c", ex=50) == b"2" and r.getdel("c") == b"2" and r.exists("c") == 0
assert r.type("a") == b"string" and text.type("nothing") == "none"
assert r.rename("a", "z") and r.copy("z", "y") and r.delete("z", "y", "b") == 3

# Errors keep the connection usable.
r.set("word", "hello")
for wrong in (lambda: r.incr("word"), lambda: r.execute_command("NOSUCH"), lambda: r.rename("nothing", "x")):
    try:
        wrong()
    except redis.ResponseError:
        pass
    else:
        raise AssertionError("an error was expected")
assert text.get("word") == "hello"

# Binary and big values
key, value = b"\x00\xff\r\nkey", bytes(range(256)) * 4
assert r.set(key, value) and r.get(key) == value
big = b"0123456789abcdef" * (10 * 1024 * 1024 // 16)
assert r.set("big", big) and r.strlen("big") == len(big) and r.get("big") == big

# Databases
other = redis.Redis(db=3, **options)
assert other.dbsize() == 0 and other.set("only here", 1) and r.exists("only here") == 0
assert other.flushdb() and other.dbsize() == 0

# A pipeline of 10,000, and a scan over what it wrote.
r.flushall()
pipe = r.pipeline(transaction=False)
for number in range(10_000):
    pipe.set(f"key:{number}", number)
assert pipe.execute() == [True] * 10_000
for number in range(10_000):
    pipe.get(f"key:{number}")
assert pipe.execute() == [b"%d" % number for number in range(10_000)]
assert r.dbsize() == 10_000
assert set(text.scan_iter(count=500)) == {f"key:{number}" for number in range(10_000)}
assert sum(1 for _ in text.scan_iter(match="key:1*", _type="string")) == 1111

# What tools ask for
assert text.info("server")["redis_version"].startswith("7.")
assert text.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
assert text.command_count() > 50

# Over a restart
r.set("kept", "yes")
print("restart", flush=True)
assert sys.stdin.readline() == "restarted\n"
assert r.get("kept") == b"yes" and text.incr("after") == 1

"""redis-py's streams against the server at HOST PORT with protocol 2 or 3; run by tests/clients.rs."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

host, port, protocol = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
retry = Retry(ConstantBackoff(0.1), 50)
options = dict(host=host, port=port, protocol=protocol, retry=retry, retry_on_error=[redis.ConnectionError])
r = redis.Redis(decode_responses=True, **options)
CONSUMERS, PRODUCERS, ENTRIES = 6, 3, 500


def fails(error, text, action):
    try:
        action()
    except error as found:
        assert text in str(found), found
    else:
        raise AssertionError(f"{text}: an error was expected")


def read(reply):
    """What XREAD answered, as {stream: entries}: its shape depends on the protocol."""
    if isinstance(reply, dict):
        return {name: [entry for entries in parts for entry in entries] for name, parts in reply.items()}
    return {name: entries for name, entries in reply}


def blocked(count):
    while r.info("clients")["blocked_clients"] != count:
        pass


# Entries, their ids, ranges, trimming
assert r.xadd("s", {"n": 1, "m": "x"}, id="1-1") == "1-1" and r.xadd("s", {"n": 2}, id="1-*") == "1-2"
fails(redis.ResponseError, "equal or smaller", lambda: r.xadd("s", {"n": 3}, id="1-2"))
assert r.xadd("nothing", {"a": 1}, nomkstream=True) is None and not r.exists("nothing")
value = bytes(range(256))
assert r.xadd("s", {"bytes": value}, id="2") == "2-0"
assert redis.Redis(**options).xrange("s", "2", "2") == [(b"2-0", {b"bytes": value})]
assert r.xrange("s", count=2) == [("1-1", {"n": "1", "m": "x"}), ("1-2", {"n": "2"})]
assert [id for id, _ in redis.Redis(**options).xrevrange("s", min="(1-1")] == [b"2-0", b"1-2"]
assert r.xdel("s", "1-2", "9-9") == 1 and r.xlen("s") == 2
r.delete("s")
with r.pipeline() as pipe:
    for n in range(1000):
        pipe.xadd("s", {"n": n}, id=f"{n + 10}-0", maxlen=500, approximate=False)
    assert pipe.execute() == [f"{n + 10}-0" for n in range(1000)]
assert r.xlen("s") == 500 and r.xtrim("s", minid="1000-0", approximate=False) == 490
about = r.xinfo_stream("s")
assert (about["length"], about["last-generated-id"], about["entries-added"]) == (10, "1009-0", 1000), about
assert about["first-entry"] == ("1000-0", {"n": "990"}) and about["last-entry"] == ("1009-0", {"n": "999"})
assert len(r.xinfo_stream("s", full=True)["entries"]) == 10

# Those who wait for what comes next are all told.
with ThreadPoolExecutor(5) as pool:
    waiting = [pool.submit(r.xread, {"s": "$", "later": "0"}, block=0) for _ in range(5)]
    blocked(5)
    with r.pipeline() as pipe:
        pipe.xadd("later", {"a": 1}, id="1-1").xadd("later", {"a": 2}, id="1-2").execute()
    told = [read(reply.result()) for reply in waiting]
    assert told == [{"later": [("1-1", {"a": "1"}), ("1-2", {"a": "2"})]}] * 5, told
    one = pool.submit(r.xread, {"later": "$"}, count=1, block=0)
    blocked(1)
    r.eval("for n = 1, 2 do redis.call('XADD', KEYS[1], '2-' .. n, 'a', n) end", 1, "later")
    assert read(one.result()) == {"later": [("2-1", {"a": "1"})]}
assert not r.xread({"s": "$"}, block=10) and read(r.xread({"s": "1008"})) == {"s": [("1009-0", {"n": "999"})]}

# Consumers of a group share what several producers add: each entry goes to one of them.
assert r.xgroup_create("work", "group", mkstream=True)
fails(redis.ResponseError, "BUSYGROUP", lambda: r.xgroup_create("work", "group"))
fails(redis.ResponseError, "NOGROUP", lambda: r.xreadgroup("none", "c", {"work": ">"}))
got, lock = [], threading.Lock()


def consume(name):
    own = redis.Redis(decode_responses=True, **options)
    last, ends = (0, 0), False
    while not ends:
        for id, fields in read(own.xreadgroup("group", name, {"work": ">"}, count=7, block=0))["work"]:
            assert tuple(map(int, id.split("-"))) > last, (last, id)
            last = tuple(map(int, id.split("-")))
            if "end" in fields:
                ends = True
            else:
                with lock:
                    got.append(int(fields["job"]))
            assert own.xack("work", "group", id) == 1


def produce(producer):
    with redis.Redis(decode_responses=True, **options) as own:
        for n in range(ENTRIES):
            own.xadd("work", {"job": producer * ENTRIES + n})


with ThreadPoolExecutor(CONSUMERS + PRODUCERS) as pool:
    consumers = [pool.submit(consume, f"c{number}") for number in range(CONSUMERS)]
    for producer in [pool.submit(produce, number) for number in range(PRODUCERS)]:
        producer.result()
    # An end for each: who has got one may have got others in the same reply.
    while not all(consumer.done() for consumer in consumers):
        if r.xinfo_groups("work")[0]["lag"] == 0:
            r.xadd("work", {"end": 1})
    assert [consumer.result() for consumer in consumers] == [None] * CONSUMERS
assert sorted(got) == list(range(PRODUCERS * ENTRIES))
r.xreadgroup("group", "rest", {"work": ">"}, noack=True)
(group,) = r.xinfo_groups("work")
assert (group["pending"], group["lag"], group["entries-read"]) == (0, 0, r.xlen("work")), group
assert {consumer["name"] for consumer in r.xinfo_consumers("work", "group")} >= {f"c{n}" for n in range(CONSUMERS)}

# What a consumer has not acknowledged is seen, read again, claimed, given up.
r.delete("work")
assert r.xgroup_create("work", "group", id="0", mkstream=True)
for n in range(100):
    r.xadd("work", {"n": n}, id=f"1-{n + 1}")
assert len(read(r.xreadgroup("group", "lost", {"work": ">"}, count=60))["work"]) == 60
assert r.xpending("work", "group") == {
    "pending": 60, "min": "1-1", "max": "1-60", "consumers": [{"name": "lost", "pending": 60}],
}
(first,) = r.xpending_range("work", "group", "-", "+", 1, consumername="lost", idle=0)
assert (first["message_id"], first["consumer"], first["times_delivered"]) == ("1-1", "lost", 1)
assert len(read(r.xreadgroup("group", "lost", {"work": "1-50"}))["work"]) == 10
r.xdel("work", "1-3")
next, claimed, gone = r.xautoclaim("work", "group", "heir", 0, count=20)
assert (next, len(claimed), gone) == ("1-21", 19, ["1-3"])
assert r.xautoclaim("work", "group", "heir", 0, next, justid=True) == [f"1-{n + 21}" for n in range(40)]
assert r.xautoclaim("work", "group", "heir", 3_600_000)[1] == []
assert [id for id, _ in r.xclaim("work", "group", "third", 0, ["1-1", "1-3", "1-90"])] == ["1-1"]
assert r.xpending_range("work", "group", "1-1", "1-1", 1)[0]["times_delivered"] == 3
assert r.xack("work", "group", "1-1", "1-2", "1-99") == 2

# Over a restart nothing is forgotten. (A redis-server that reads its log does not know `entries-read` any more.)
before = r.xpending("work", "group"), r.xinfo_groups("work"), r.xrange("work")
print("restart", flush=True)
assert sys.stdin.readline() == "restarted\n"
assert (r.xpending("work", "group"), r.xinfo_groups("work"), r.xrange("work")) == before
assert read(r.xreadgroup("group", "new", {"work": ">"}, count=1)) == {"work": [("1-61", {"n": "60"})]}
assert r.xgroup_delconsumer("work", "group", "heir") == 57
assert r.xgroup_destroy("work", "group") and r.xinfo_groups("work") == []

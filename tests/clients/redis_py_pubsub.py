"""redis-py's pub/sub, blocking and with asyncio, against the server at HOST PORT with protocol 2 or 3; run by
tests/clients.rs."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import redis
import redis.asyncio
from redis.backoff import ConstantBackoff
from redis.retry import Retry

host, port, protocol = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
retry = Retry(ConstantBackoff(0.1), 50)
options = dict(host=host, port=port, protocol=protocol, retry=retry, decode_responses=True)
r = redis.Redis(**options)
SUBSCRIBERS, PUBLISHERS, MESSAGES = 6, 4, 300
WAIT_SECONDS = 20


def hear(pubsub, count):
    """The next messages, without what says that it has subscribed."""
    heard = []
    while len(heard) < count:
        message = pubsub.get_message(timeout=WAIT_SECONDS)
        assert message, heard
        if "subscribe" not in message["type"]:
            heard.append((message["type"], message["pattern"], message["channel"], message["data"]))
    return heard


def subscribed(pubsub, count):
    """Waits until so many subscriptions have been confirmed."""
    return [pubsub.get_message(timeout=WAIT_SECONDS)["data"] for _ in range(count)]


# Channels, patterns, shards
pubsub = r.pubsub()
pubsub.subscribe("news", "other")
pubsub.psubscribe("n*")
pubsub.ssubscribe("shard")
assert subscribed(pubsub, 4) == [1, 2, 3, 1]
assert r.publish("news", "one") == 2 and r.publish("nothing", "two") == 1 and r.publish("silence", "three") == 0
assert r.spublish("shard", "four") == 1 and r.spublish("news", "five") == 0
assert sorted(r.pubsub_channels()) == ["news", "other"] and r.pubsub_numpat() == 1
assert r.pubsub_numsub("news", "none") == [("news", 1), ("none", 0)]
assert r.pubsub_shardchannels() == ["shard"] and r.pubsub_shardnumsub("shard") == [("shard", 1)]
with r.pipeline() as pipe:
    assert pipe.publish("other", "six").set("a", 1).execute() == [1, True]
    pipe.watch("a")
    r.set("a", 2)
    pipe.multi()
    pipe.publish("other", "is not told")
    try:
        pipe.execute()
    except redis.WatchError:
        pass
    else:
        raise AssertionError("a transaction that does not happen")
assert r.eval("redis.call('PUBLISH', 'other', ARGV[1]) return redis.call('SPUBLISH', 'shard', 'eight')", 0, "seven") == 1
assert hear(pubsub, 7) == [
    ("message", None, "news", "one"),
    ("pmessage", "n*", "news", "one"),
    ("pmessage", "n*", "nothing", "two"),
    ("smessage", None, "shard", "four"),
    ("message", None, "other", "six"),
    ("message", None, "other", "seven"),
    ("smessage", None, "shard", "eight"),
]
pubsub.unsubscribe("news")
pubsub.punsubscribe()
pubsub.sunsubscribe()
subscribed(pubsub, 3)
assert r.publish("news", "nobody") == 0 and r.publish("other", "nine") == 1
assert hear(pubsub, 1) == [("message", None, "other", "nine")]
if protocol == 2:
    pubsub.ping()
    assert pubsub.get_message(timeout=WAIT_SECONDS)["type"] == "pong"
pubsub.close()

# Many publish at once to many: each message comes once, and those of one publisher in order.
ears = [r.pubsub() for _ in range(SUBSCRIBERS)]
for number, ear in enumerate(ears):
    ear.subscribe("busy") if number % 2 else ear.psubscribe("b*y")
    subscribed(ear, 1)


def publish(publisher):
    with redis.Redis(**options) as own:
        return [own.publish("busy", f"{publisher}:{number}") for number in range(MESSAGES)]


with ThreadPoolExecutor(SUBSCRIBERS + PUBLISHERS) as pool:
    hearing = [pool.submit(hear, ear, PUBLISHERS * MESSAGES) for ear in ears]
    assert all(counts == [SUBSCRIBERS] * MESSAGES for counts in pool.map(publish, range(PUBLISHERS)))
    for heard in hearing:
        texts = [data for *_, data in heard.result()]
        for publisher in range(PUBLISHERS):
            own = [text for text in texts if text.startswith(f"{publisher}:")]
            assert own == [f"{publisher}:{number}" for number in range(MESSAGES)]

# A thread that calls back
told = r.pubsub()
queue = []
told.subscribe(calls=lambda message: queue.append(message["data"]))
thread = told.run_in_thread(sleep_time=WAIT_SECONDS, daemon=True)
while r.publish("calls", "hello") == 0:
    pass
while not queue:
    pass
assert queue == ["hello"]
thread.stop()
told.unsubscribe()  # it wakes the thread
thread.join(WAIT_SECONDS)
assert not thread.is_alive()


async def with_asyncio():
    async with redis.asyncio.Redis(host=host, port=port, protocol=protocol, decode_responses=True) as client:
        async with client.pubsub(ignore_subscribe_messages=True) as ear:
            await ear.subscribe("async")
            await ear.psubscribe("as*")
            while await client.publish("async", "x") < 2:
                pass
            heard = []
            async for message in ear.listen():
                heard.append((message["type"], message["data"]))
                if len(heard) == 1:
                    await asyncio.gather(*(client.publish("async", number) for number in range(100)))
                if heard[-1] == ("pmessage", "99"):
                    break
            numbers = [int(data) for kind, data in heard if kind == "message" and data != "x"]
            assert sorted(numbers) == list(range(100)), numbers


asyncio.run(with_asyncio())

# Over a restart they subscribe again by themselves.
print("restart", flush=True)
assert sys.stdin.readline() == "restarted\n"


def hello(ear):
    while True:
        message = ear.get_message(timeout=WAIT_SECONDS)
        if message and message["data"] == "hello":
            return True


with ThreadPoolExecutor(SUBSCRIBERS) as pool:
    hearing = [pool.submit(hello, ear) for ear in ears]
    while r.publish("busy", "hello") < SUBSCRIBERS:
        pass
    assert all(heard.result() for heard in hearing)

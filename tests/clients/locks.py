"""Locks of redis-py, python-redis-lock, and Redlock (pottery, redlock-py) against the server at HOST PORT; run by
tests/clients.rs.

Each is taken by several processes that increment a counter by hand. What they hold it for is not atomic: the
counter is right only if one at a time has the lock.
"""

import multiprocessing
import sys
import time
from contextlib import contextmanager

import pottery
import redis
import redis_lock
import redlock

host, port = sys.argv[1], int(sys.argv[2])
PROCESSES, TIMES = 4, 25
LIMIT_SECONDS = 60
#: Redlock wants several servers. These are databases of one, which it cannot tell apart.
MASTERS = range(3)


def connect(db=0):
    return redis.Redis(host=host, port=port, db=db)


@contextmanager
def redlock_py(name):
    manager = redlock.Redlock([dict(host=host, port=port, db=db) for db in MASTERS], retry_count=10_000, retry_delay=0.001)
    lock = manager.lock(name, 60_000)
    assert lock
    yield
    manager.unlock(lock)


def pottery_lock(name):
    masters = {connect(db) for db in MASTERS}
    return pottery.Redlock(key=name, masters=masters, auto_release_time=60, num_extensions=0)


KINDS = {
    "redis-py": lambda name: connect().lock(name, timeout=60, sleep=0.001),
    "python-redis-lock": lambda name: redis_lock.Lock(connect(), name, expire=60),
    "pottery": pottery_lock,
    "redlock-py": redlock_py,
}


def increments(kind):
    r, counter = connect(), f"counter of {kind}"
    for _ in range(TIMES):
        with KINDS[kind]("shared"):
            value = int(r.get(counter) or 0)
            r.set(counter, value + 1)


def wait_for(holds):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def contend():
    with multiprocessing.Pool(PROCESSES) as pool:
        for kind in KINDS:
            pool.map(increments, [kind] * PROCESSES, chunksize=1)
            assert connect().get(f"counter of {kind}") == b"%d" % (PROCESSES * TIMES), kind


def one_at_a_time():
    r = connect()
    # redis-py: token, extension, expiry, and a release that comes too late
    mine, other = r.lock("a", timeout=60), r.lock("a", timeout=60)
    assert mine.acquire(blocking=False) and not other.acquire(blocking=False) and mine.locked()
    assert mine.owned() and not other.owned()
    assert mine.extend(60) and r.pttl("a") > 60_000
    assert mine.reacquire() and r.pttl("a") <= 60_000
    assert not r.lock("a", blocking_timeout=0.05).acquire()
    mine.release()
    assert other.acquire(blocking=False)
    other.release()
    short = r.lock("a", timeout=0.02)
    assert short.acquire() and mine.acquire()  # once it has expired
    try:
        short.release()
    except redis.exceptions.LockNotOwnedError:
        pass
    else:
        raise AssertionError("somebody else's lock was released")
    assert mine.owned()
    mine.release()

    # python-redis-lock: who waits is woken through a list, and a lock that is kept is renewed
    mine, other = redis_lock.Lock(r, "b", expire=1, auto_renewal=True), redis_lock.Lock(r, "b", expire=60)
    assert mine.acquire() and not other.acquire(blocking=False)
    assert not other.acquire(timeout=1)
    first = r.pttl("lock:b")
    wait_for(lambda: r.pttl("lock:b") > first)
    mine.release()
    assert other.acquire() and other.get_owner_id() == other.id
    other.extend(100)
    assert r.ttl("lock:b") > 60
    redis_lock.reset_all(r)
    assert not other.locked()

    # Redlock: a majority is enough, and less is given back
    mine, other = pottery_lock("c"), pottery_lock("c")
    connect(0).set("redlock:c", "somebody else", px=60_000)
    assert mine.acquire() and mine.locked() and not other.acquire(blocking=False)
    mine.release()
    connect(1).set("redlock:c", "somebody else", px=60_000)
    assert not mine.acquire(blocking=False) and not connect(2).exists("redlock:c")
    manager = redlock.Redlock([dict(host=host, port=port, db=db) for db in MASTERS], retry_count=1)
    lock = manager.lock("d", 60_000)
    assert lock and not manager.lock("d", 60_000) and [connect(db).get("d") for db in MASTERS] == [lock.key] * 3
    manager.unlock(lock._replace(key=b"another"))
    assert not manager.lock("d", 60_000)
    manager.unlock(lock)
    assert manager.lock("d", 60_000)


if __name__ == "__main__":
    one_at_a_time()
    contend()

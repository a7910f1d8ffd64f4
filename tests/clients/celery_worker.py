"""Celery, with the server at HOST PORT as its broker and for its results; run by tests/clients.rs.

Results, remote control, and what workers tell one another go through pub/sub.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

host, port = sys.argv[1], sys.argv[2]
os.environ["BROKER"] = f"redis://{host}:{port}/0"

import celery_app as tasks
from celery import chain, chord, group, uuid
from celery.exceptions import TaskRevokedError

TASKS = 500
ADDED = 50
WORKERS = 2
LIMIT_SECONDS = 60
r = tasks.r


def start_worker(name):
    program = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--concurrency=2", "--loglevel=ERROR", "-n", name]
    return subprocess.Popen(program, cwd=Path(__file__).parent, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def wait_for(what, holds):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert all(worker.poll() is None for worker in workers), "a worker has gone"
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_SECONDS} s"
        time.sleep(0.01)


def stop_workers():
    for worker in workers:
        worker.terminate()
    assert [worker.wait(LIMIT_SECONDS) for worker in workers] == [0] * len(workers)


workers = [start_worker(f"worker{number}@here") for number in range(WORKERS)]
try:
    for number in range(TASKS):
        tasks.count.apply_async([number], priority=(0, 3, 6, 9)[number % 4])
    wait_for("tasks", lambda: r.hlen("done") == TASKS)

    # Results are told of as they come.
    late = tasks.late_by.apply_async([time.time() + 0.5], countdown=0.5)
    chained = chain(tasks.add.s(1, 2), tasks.add.s(3), tasks.add.s(4)).delay()
    together = group(tasks.add.s(number, 1) for number in range(ADDED)).delay()
    joined = chord(tasks.add.s(number, 1) for number in range(ADDED))(tasks.add.s())
    flaky, hopeless = tasks.flaky.delay(), tasks.hopeless.delay()
    assert together.get(timeout=LIMIT_SECONDS) == [number + 1 for number in range(ADDED)]
    assert joined.get(timeout=LIMIT_SECONDS) == sum(range(ADDED + 1))
    assert chained.get(timeout=LIMIT_SECONDS) == 10
    assert flaky.get(timeout=LIMIT_SECONDS) == 3
    assert isinstance(hopeless.get(timeout=LIMIT_SECONDS, propagate=False), ValueError)
    assert late.get(timeout=LIMIT_SECONDS) >= 0

    # Workers answer, and do not do what they were told not to do.
    control = tasks.app.control
    pongs = control.ping(timeout=LIMIT_SECONDS, limit=WORKERS)
    assert sorted(name for pong in pongs for name in pong) == [f"worker{number}@here" for number in range(WORKERS)], pongs
    revoked = uuid()
    assert len(control.revoke(revoked, reply=True, timeout=LIMIT_SECONDS, limit=WORKERS)) == WORKERS
    refused = tasks.count.apply_async([TASKS + 1], task_id=revoked)
    assert isinstance(refused.get(timeout=LIMIT_SECONDS, propagate=False), TaskRevokedError)

    # A worker that stops gives back what it holds for later, and the next one takes it.
    tasks.late_by.apply_async([0], countdown=3600)
    wait_for("a task that is held", lambda: r.hlen("unacked") == 1 and r.llen("celery") == 0)
    stop_workers()
    assert r.hlen("unacked") == 0 and r.llen("celery") == 1
    workers = [start_worker("next@here")]
    wait_for("a task that is handed over", lambda: r.hlen("unacked") == 1)
    tasks.count.delay(TASKS)
    wait_for("a task for the new worker", lambda: r.hexists("done", TASKS))

    # Nothing ran twice, and nothing else is left.
    assert r.hlen("done") == TASKS + 1 and set(r.hvals("done")) == {"1"}
    wait_for("acknowledgements", lambda: r.hlen("unacked") == 1)
    assert r.zcard("unacked_index") == 1 and r.llen("celery") == 0
    stop_workers()
finally:
    for worker in workers:
        worker.kill()
        worker.wait()

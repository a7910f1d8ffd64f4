"""Celery, with the server at HOST PORT as its broker; run by tests/clients.rs."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

host, port = sys.argv[1], sys.argv[2]
results = tempfile.TemporaryDirectory(prefix="celery-")
os.environ["BROKER"] = f"redis://{host}:{port}/0"
os.environ["RESULTS"] = results.name

import celery_app as tasks
from celery import chain

TASKS = 500
LIMIT_SECONDS = 60
r = tasks.r


def start_worker():
    # What these leave out is done through pub/sub.
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    program = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--concurrency=2"]
    return subprocess.Popen(program + quiet, cwd=Path(__file__).parent, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def wait_for(what, holds):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert worker.poll() is None, "the worker has gone"
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_SECONDS} s"
        time.sleep(0.01)


worker = start_worker()
try:
    for number in range(TASKS):
        tasks.count.apply_async([number], priority=(0, 3, 6, 9)[number % 4])
    wait_for("tasks", lambda: r.hlen("done") == TASKS)

    late = tasks.late_by.apply_async([time.time() + 0.5], countdown=0.5)
    chained = chain(tasks.add.s(1, 2), tasks.add.s(3), tasks.add.s(4)).delay()
    flaky, hopeless = tasks.flaky.delay(), tasks.hopeless.delay()
    assert chained.get(timeout=LIMIT_SECONDS) == 10
    assert flaky.get(timeout=LIMIT_SECONDS) == 3
    assert isinstance(hopeless.get(timeout=LIMIT_SECONDS, propagate=False), ValueError)
    assert late.get(timeout=LIMIT_SECONDS) >= 0

    # A worker that stops gives back what it holds for later, and the next one takes it.
    tasks.late_by.apply_async([0], countdown=3600)
    wait_for("a task that is held", lambda: r.hlen("unacked") == 1 and r.llen("celery") == 0)
    worker.terminate()
    assert worker.wait(LIMIT_SECONDS) == 0
    assert r.hlen("unacked") == 0 and r.llen("celery") == 1
    worker = start_worker()
    wait_for("a task that is handed over", lambda: r.hlen("unacked") == 1)
    tasks.count.delay(TASKS)
    wait_for("a task for the new worker", lambda: r.hexists("done", TASKS))

    # Nothing ran twice, and nothing else is left.
    assert r.hlen("done") == TASKS + 1 and set(r.hvals("done")) == {"1"}
    wait_for("acknowledgements", lambda: r.hlen("unacked") == 1)
    assert r.zcard("unacked_index") == 1 and list(r.scan_iter("celery*")) == []
    worker.terminate()
    assert worker.wait(LIMIT_SECONDS) == 0
finally:
    worker.kill()
    worker.wait()

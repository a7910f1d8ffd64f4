"""RQ against the server at HOST PORT; run by tests/clients.rs, and by itself as workers in processes of their own."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import redis
from rq import Queue, Retry, SimpleWorker, Worker
from rq.command import PUBSUB_CHANNEL_TEMPLATE, send_kill_horse_command, send_shutdown_command, send_stop_job_command
from rq.job import JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.results import Result

host, port, role = sys.argv[1], int(sys.argv[2]), sys.argv[3]
r = redis.Redis(host=host, port=port)
JOBS = 200
WORKERS = 2
LIMIT_SECONDS = 60
LONG_SECONDS = 3600
WORK = "rq_worker"  # this file, as a worker imports it


def count(number):
    r.hincrby("done", number, 1)
    return number * 2


def flaky():
    if r.incr("tries") < 3:
        raise ValueError("not yet")
    return "done"


def endless():
    r.incr("begun")
    time.sleep(LONG_SECONDS)


def wait_for(what, holds):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_SECONDS} s"
        time.sleep(0.01)


def start(which):
    return subprocess.Popen([sys.executable, __file__, host, str(port), which])


def every_job_once():
    queue, urgent = Queue("default", connection=r), Queue("urgent", connection=r)
    jobs = [queue.enqueue(f"{WORK}.count", number) for number in range(JOBS)]
    urgent.enqueue(f"{WORK}.count", JOBS)
    after = queue.enqueue(f"{WORK}.count", JOBS + 1, depends_on=jobs[-1])
    again = queue.enqueue(f"{WORK}.flaky", retry=Retry(max=3))
    with ThreadPoolExecutor(2) as pool:
        # Both wait in a blocking read of the job's stream of results.
        waiting = [pool.submit(job.latest_result, timeout=LIMIT_SECONDS) for job in (jobs[-1], after)]
        workers = [start("bursts") for _ in range(WORKERS)]
        first, last = [result.result() for result in waiting]
    assert [worker.wait(LIMIT_SECONDS) for worker in workers] == [0] * WORKERS
    assert (first.return_value, last.return_value) == (2 * (JOBS - 1), 2 * (JOBS + 1))
    assert first.type == last.type == Result.Type.SUCCESSFUL and first.worker_name
    assert r.hlen("done") == JOBS + 2 and set(r.hvals("done")) == {b"1"}
    assert [job.return_value() for job in jobs] == [number * 2 for number in range(JOBS)]
    assert all(len(job.results()) == 1 for job in jobs)
    assert again.return_value() == "done" and again.get_status() == JobStatus.FINISHED and r.get("tries") == b"3"
    assert FinishedJobRegistry(queue=queue).count == JOBS + 2 and FinishedJobRegistry(queue=urgent).count == 1
    assert queue.count == urgent.count == FailedJobRegistry(queue=queue).count == 0


def commands():
    queue = Queue("commanded", connection=r)
    worker = start("commanded")
    channel = PUBSUB_CHANNEL_TEMPLATE % "commanded"
    wait_for("the worker to listen", lambda: r.pubsub_numsub(channel) == [(channel.encode(), 1)])

    stopped = queue.enqueue(f"{WORK}.endless", job_timeout=LONG_SECONDS)
    wait_for("a job to begin", lambda: r.get("begun") == b"1")
    assert list(StartedJobRegistry(queue=queue).get_job_ids()) == [stopped.id]
    send_stop_job_command(r, stopped.id)
    wait_for("it to be stopped", lambda: stopped.get_status() == JobStatus.STOPPED)

    killed = queue.enqueue(f"{WORK}.endless", job_timeout=LONG_SECONDS)
    wait_for("a job to begin", lambda: r.get("begun") == b"2")
    send_kill_horse_command(r, "commanded")
    wait_for("it to have failed", lambda: killed.get_status() == JobStatus.FAILED)
    wait_for("both to be noted", lambda: set(FailedJobRegistry(queue=queue).get_job_ids()) == {stopped.id, killed.id})
    assert killed.latest_result().type == Result.Type.FAILED

    # A scheduled job is not done before its time; its worker's scheduler puts it into the queue.
    due = time.time() + 0.5
    later = queue.enqueue_in(timedelta(seconds=0.5), f"{WORK}.time.time")
    assert ScheduledJobRegistry(queue=queue).get_job_ids() == [later.id]
    assert later.latest_result(timeout=LIMIT_SECONDS).return_value >= int(due)

    send_shutdown_command(r, "commanded")
    assert worker.wait(LIMIT_SECONDS) == 0
    assert Worker.all(connection=r) == []
    wait_for("nobody to listen", lambda: r.pubsub_numsub(channel) == [(channel.encode(), 0)])


if __name__ == "__main__":
    if role == "bursts":
        SimpleWorker(["urgent", "default"], connection=r).work(burst=True, logging_level="CRITICAL")
    elif role == "commanded":
        Worker(["commanded"], connection=r, name=role).work(with_scheduler=True, logging_level="CRITICAL")
    else:
        every_job_once()
        commands()

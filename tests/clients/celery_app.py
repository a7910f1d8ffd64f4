"""The tasks of celery_worker.py: they note in the server that they ran."""

import os
import time

import redis
from celery import Celery

url = os.environ["BROKER"]
r = redis.Redis.from_url(url, decode_responses=True)
app = Celery("celery_app", broker=url, backend=url)
app.conf.update(
    task_acks_late=True,
    broker_connection_retry_on_startup=True,
    # Each is a list of its own; BRPOP asks for all of them in this order.
    broker_transport_options={"priority_steps": [0, 3, 6, 9], "queue_order_strategy": "priority"},
)


@app.task
def count(number):
    r.hincrby("done", number, 1)


@app.task
def late_by(due):
    return time.time() - due


@app.task
def add(*numbers):
    # A chord's last task is given a list.
    return sum(numbers[0]) if isinstance(numbers[0], list) else sum(numbers)


@app.task(bind=True, max_retries=3)
def flaky(self):
    tries = r.incr("tries")
    if tries < 3:
        raise self.retry(countdown=0.05)
    return tries


@app.task
def hopeless():
    raise ValueError("never")

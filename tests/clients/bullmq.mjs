// BullMQ against the server at HOST PORT; run by tests/clients.rs, and by itself as workers in processes of their own.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(process.env.CLIENTS + '/');
const Redis = require('ioredis');
const { Queue, Worker, QueueEvents, FlowProducer, UnrecoverableError } = require('bullmq');
const [host, port, role] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const connection = { host, port, maxRetriesPerRequest: null };
const PROCESSES = 2;
const WORKERS_EACH = 2;
const JOBS = 5_000;
const LIFE = ['added', 'waiting', 'active', 'progress', 'completed'];
const range = (count) => [...Array(count).keys()];
const closed = (...all) => Promise.all(all.map((one) => one.close()));
const started = (which) => fork(fileURLToPath(import.meta.url), [host, String(port), which], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });

// When these workers have completed so many jobs.
const settled = (workers, count) =>
  new Promise((resolve, reject) => {
    let seen = 0;
    for (const worker of workers) {
      worker.on('error', reject);
      worker.on('completed', () => ++seen === count && resolve());
    }
  });

// Workers of the first part: each counts in the server that it has done a job.
async function work() {
  const redis = new Redis(connection);
  const workers = range(WORKERS_EACH).map(() => new Worker('many', async (job) => {
    await job.updateProgress({ seen: job.data.n });
    await redis.hincrby('done', job.data.n, 1);
    return job.data.n * 2;
  }, { connection, concurrency: 16 }));
  await once(process, 'message');
  await closed(...workers);
  redis.disconnect();
  process.disconnect();
}

// A worker that never comes to an end.
function hang() {
  new Worker('stalls', () => {
    process.send('it has begun');
    return new Promise(() => {});
  }, { connection, lockDuration: 500, stalledInterval: 100 });
}

// Many jobs, each done once by some process' worker; whoever watches is told of each step of each, once and in order.
async function many() {
  const queue = new Queue('many', { connection, streams: { events: { maxLen: JOBS * LIFE.length * 2 } } });
  const events = new QueueEvents('many', { connection, lastEventId: '0-0' });
  const lives = new Map(range(JOBS).map((n) => [String(n + 1), []]));
  const completed = new Promise((resolve, reject) => {
    let left = JOBS;
    events.on('error', reject);
    for (const name of [...LIFE, 'failed', 'stalled']) {
      events.on(name, ({ jobId, data, returnvalue }) => {
        lives.get(jobId).push(name);
        if (name === 'progress') assert.deepEqual(data, { seen: jobId - 1 });
        if (name === 'completed') assert.equal(returnvalue, (jobId - 1) * 2);
        if (name === 'completed' && --left === 0) resolve();
      });
    }
  });
  const children = range(PROCESSES).map(() => started('workers'));
  for (let at = 0; at < JOBS; at += 1000) {
    await queue.addBulk(range(1000).map((n) => ({ name: 'job', data: { n: at + n } })));
  }
  await completed;
  const exits = children.map((child) => once(child, 'exit'));
  children.forEach((child) => child.send('stop'));
  assert.deepEqual(await Promise.all(exits), Array(PROCESSES).fill([0, null]));
  for (const [id, life] of lives) assert.deepEqual(life, LIFE, id);
  const redis = new Redis(connection);
  assert.deepEqual(await redis.hvals('done'), Array(JOBS).fill('1'));
  redis.disconnect();
  const counts = await queue.getJobCounts('completed', 'failed', 'wait', 'active', 'delayed');
  assert.deepEqual(counts, { completed: JOBS, failed: 0, wait: 0, active: 0, delayed: 0 });
  assert.equal((await queue.getJob('7')).returnvalue, 12);
  await queue.obliterate();
  await closed(events, queue);
}

// What a worker was doing when it was killed is done by another.
async function killed() {
  const queue = new Queue('stalls', { connection });
  const events = new QueueEvents('stalls', { connection, lastEventId: '0-0' });
  const stalled = new Promise((resolve) => events.on('stalled', resolve));
  const child = started('hangs');
  const { id } = await queue.add('job', {});
  await once(child, 'message');
  child.kill('SIGKILL');
  const worker = new Worker('stalls', async () => 'done by another', { connection, lockDuration: 500, stalledInterval: 100 });
  await settled([worker], 1);
  assert.equal((await stalled).jobId, id);
  const job = await queue.getJob(id);
  assert.deepEqual([job.returnvalue, job.stalledCounter], ['done by another', 1]);
  await closed(worker, events, queue);
}

// Priorities, delays, retries.
async function order() {
  const queue = new Queue('order', { connection });
  const order = [];
  await queue.addBulk([5, 1, 3, 2, 4].map((priority) => ({ name: `p${priority}`, opts: { priority } })));
  const start = Date.now();
  await queue.add('later', {}, { delay: 300 });
  await queue.add('flaky', {}, { priority: 6, attempts: 3, backoff: { type: 'fixed', delay: 20 } });
  await queue.add('hopeless', {}, { priority: 7, attempts: 5 });
  const worker = new Worker('order', async (job) => {
    order.push(job.name);
    if (job.name === 'flaky' && job.attemptsMade < 2) throw new Error('not yet');
    if (job.name === 'hopeless') throw new UnrecoverableError('never');
    if (job.name === 'later') return Date.now() - start;
  }, { connection });
  const failed = new Promise((resolve) => worker.on('failed', ({ name }) => name === 'hopeless' && resolve()));
  await Promise.all([settled([worker], 7), failed]);
  assert.deepEqual(order.filter((name) => name[0] === 'p'), ['p1', 'p2', 'p3', 'p4', 'p5']);
  assert.equal(order.filter((name) => name === 'flaky').length, 3);
  assert.equal(order.filter((name) => name === 'hopeless').length, 1);
  const [later] = (await queue.getCompleted()).filter((job) => job.name === 'later');
  assert.ok(later.returnvalue >= 300, String(later.returnvalue));
  assert.deepEqual((await queue.getFailed()).map((job) => job.name), ['hopeless']);
  await closed(worker, queue);
}

// A flow: the parent runs after its children and sees what they returned.
async function flow() {
  const flow = new FlowProducer({ connection });
  const child = new Worker('children', async (job) => job.data.n * 10, { connection });
  const parent = new Worker('parents', async (job) =>
    Object.values(await job.getChildrenValues()).sort((a, b) => a - b), { connection });
  const parents = settled([parent], 1);
  const children = [1, 2, 3].map((n) => ({ name: 'child', queueName: 'children', data: { n } }));
  const { job } = await flow.add({ name: 'parent', queueName: 'parents', children });
  await parents;
  const queue = new Queue('parents', { connection });
  assert.deepEqual((await queue.getJob(job.id)).returnvalue, [10, 20, 30]);
  await closed(child, parent, flow, queue);
}

// A rate limit: five in 200 ms.
async function limited() {
  const queue = new Queue('limited', { connection });
  await queue.addBulk(range(15).map((n) => ({ name: 'job', data: { n } })));
  const start = Date.now();
  const worker = new Worker('limited', async () => {}, { connection, concurrency: 15, limiter: { max: 5, duration: 200 } });
  await settled([worker], 15);
  assert.ok(Date.now() - start >= 390, String(Date.now() - start));
  await closed(worker, queue);
}

// Whoever adds a job may wait for its result; a repeated job comes back until it is removed.
async function repeated() {
  const events = new QueueEvents('watched', { connection });
  await events.waitUntilReady();
  const queue = new Queue('watched', { connection });
  const worker = new Worker('watched', async () => 'done', { connection });
  const job = await queue.add('awaited', {});
  assert.equal(await job.waitUntilFinished(events, 20_000), 'done');
  const repeated = settled([worker], 3);
  await queue.upsertJobScheduler('tick', { every: 50 }, { name: 'tick' });
  await repeated;
  assert.ok(await queue.removeJobScheduler('tick'));
  await closed(worker, events, queue);
}

const roles = { workers: work, hangs: hang };
if (role in roles) {
  await roles[role]();
} else {
  for (const part of [many, killed, order, flow, limited, repeated]) await part();
}

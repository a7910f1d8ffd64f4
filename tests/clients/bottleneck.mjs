// Bottleneck's limits, shared by several limiters through scripts and pub/sub, with ioredis against the server at HOST
// PORT; run by tests/clients.rs.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';

// A limiter that was offered what is free and does not answer within a second is taken for dead, as one that lives is on a
// busy machine; and it would not come back, for Bottleneck does not know in which words Redis 7 says so.
const DEAD_AFTER_MS = 1_000;
const soon = globalThis.setTimeout;
globalThis.setTimeout = (call, ms, ...args) =>
  (ms === DEAD_AFTER_MS ? soon(call, 60 * ms, ...args).unref() : soon(call, ms, ...args));

const require = createRequire(process.env.CLIENTS + '/');
const Bottleneck = require('bottleneck');
const clientOptions = { host: process.argv[2], port: Number(process.argv[3]) };
const LIMITERS = 4;
const JOBS = 200;
const MIN_MS = 5;
const range = (count) => [...Array(count).keys()];

// Limiters with connections of their own that share what `id` is limited to.
async function limitersOf(id, options) {
  const limiters = range(LIMITERS).map(() =>
    new Bottleneck({ id, datastore: 'ioredis', Redis: require('ioredis'), clientOptions, ...options }));
  const failed = new Promise((_, reject) => limiters.forEach((limiter) => limiter.on('error', reject)));
  failed.catch(() => {}); // it is raced with
  const unlessOneFails = (promise) => Promise.race([failed, promise]);
  await unlessOneFails(Promise.all(limiters.map((limiter) => limiter.ready())));
  const end = () => Promise.all(limiters.map((limiter) => limiter.disconnect()));
  return { limiters, unlessOneFails, end };
}

// No more at once, and no sooner, than allowed; each job once.
async function limited() {
  const { limiters, unlessOneFails, end } = await limitersOf('limited', { maxConcurrent: 3, minTime: MIN_MS });
  let [running, most] = [0, 0];
  const done = new Uint8Array(JOBS);
  const job = async (n) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    done[n]++;
    return n;
  };
  const start = Date.now();
  const all = Promise.all(range(JOBS).map((n) => limiters[n % LIMITERS].schedule(job, n)));
  assert.deepEqual(await unlessOneFails(all), range(JOBS));
  assert.ok(Date.now() - start >= (JOBS - 1) * MIN_MS * 0.9, String(Date.now() - start));
  assert.ok(most <= 3, String(most));
  assert.ok(done.every((times) => times === 1));
  assert.equal(await limiters[0].done(), JOBS);
  assert.equal(await limiters[1].running(), 0);
  await end();
}

// A reservoir for all of them: who waits for more is told through pub/sub when another one fills it.
async function reservoir() {
  const { limiters, unlessOneFails, end } = await limitersOf('reservoir', { reservoir: 10 });
  const [first, second] = limiters;
  const depleted = Promise.any(limiters.map((limiter) => once(limiter, 'depleted')));
  let done = 0;
  const all = Promise.all(range(30).map((n) => limiters[n % LIMITERS].schedule(async () => ++done)));
  await unlessOneFails(depleted);
  assert.equal(await second.currentReservoir(), 0);
  assert.equal(await second.incrementReservoir(15), 15);
  await unlessOneFails(new Promise((resolve) => {
    const look = () => (done === 25 ? resolve() : setImmediate(look));
    look();
  }));
  assert.equal(await first.currentReservoir(), 0);
  await first.incrementReservoir(100);
  await unlessOneFails(all);
  assert.equal(done, 30);
  assert.equal(await second.currentReservoir(), 95);
  await end();
}

// Settings and messages reach every limiter of the cluster.
async function told() {
  const { limiters, unlessOneFails, end } = await limitersOf('told', { maxConcurrent: 1 });
  let [release, held] = [];
  const begun = new Promise((resolve) => {
    held = limiters[0].schedule(() => new Promise((ends) => { release = ends; resolve(); }));
  });
  await unlessOneFails(begun);
  assert.equal(await limiters[1].check(), false);
  const ran = limiters.map((limiter) => limiter.schedule(async () => 'ran'));
  const heard = Promise.all(limiters.map((limiter) => once(limiter, 'message')));
  await limiters[0].publish('a message');
  assert.deepEqual(await unlessOneFails(heard), Array(LIMITERS).fill(['a message']));
  await limiters[1].updateSettings({ maxConcurrent: 2 }); // the first job is still there
  assert.deepEqual(await unlessOneFails(Promise.all(ran)), Array(LIMITERS).fill('ran'));
  release();
  await unlessOneFails(held);
  await end();
}

await limited();
await reservoir();
await told();

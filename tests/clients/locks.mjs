// Redlock, and the rate limits of rate-limiter-flexible, with ioredis against the server at HOST PORT; run by
// tests/clients.rs, and by itself as one of several processes that contend.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(process.env.CLIENTS + '/');
const Redis = require('ioredis');
const Redlock = require('redlock');
const { createClient } = require('redis');
const { RateLimiterRedis } = require('rate-limiter-flexible');
const [host, port, role] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const PROCESSES = 4;
const TIMES = 25;
const HOLD_MS = 60_000;
const range = (count) => [...Array(count).keys()];

// It wants several servers. These are databases of one, which it cannot tell apart.
const masters = range(3).map((db) => new Redis({ host, port, db }));
const [redis] = masters;
const patient = new Redlock(masters, { retryCount: -1, retryDelay: 1, retryJitter: 5 });
const hasty = new Redlock(masters, { retryCount: 0 });

// The counter is right only if one at a time has the lock.
async function contend() {
  for (let done = 0; done < TIMES; done++) {
    const lock = await patient.lock('shared', HOLD_MS);
    const value = Number(await redis.get('counter'));
    await redis.set('counter', value + 1);
    await lock.unlock();
  }
}

async function oneAtATime() {
  const lock = await hasty.lock(['a', 'b'], HOLD_MS);
  assert.deepEqual(await Promise.all(masters.map((master) => master.get('a'))), Array(3).fill(lock.value));
  for (const held of ['a', 'b']) await assert.rejects(hasty.lock(held, HOLD_MS), Redlock.LockError);
  await lock.extend(2 * HOLD_MS);
  assert.ok((await redis.pttl('b')) > HOLD_MS);
  await lock.unlock();
  await assert.rejects(lock.extend(HOLD_MS), /expired/);
  const short = await hasty.lock('a', 20);
  const next = await patient.lock('a', HOLD_MS); // once it has expired
  await assert.rejects(short.unlock(), /release/);
  assert.equal(await redis.get('a'), next.value);
  await next.unlock();
  // A majority is enough, and less is given back.
  await masters[0].set('c', 'somebody else');
  await (await hasty.lock('c', HOLD_MS)).unlock();
  await masters[1].set('c', 'somebody else');
  await assert.rejects(hasty.lock('c', HOLD_MS), Redlock.LockError);
  assert.equal(await masters[2].exists('c'), 0);
}

async function rates() {
  const other = createClient({ socket: { host, port } });
  await other.connect();
  for (const [keyPrefix, more] of [['ioredis', { storeClient: redis }], ['node-redis', { storeClient: other, useRedisPackage: true }]]) {
    const limiter = new RateLimiterRedis({ keyPrefix, points: 10, duration: 60, blockDuration: 120, ...more });
    const results = await Promise.allSettled(range(50).map(() => limiter.consume('user')));
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 10);
    const refused = results.find(({ status }) => status === 'rejected').reason;
    assert.ok(refused.msBeforeNext > 0 && refused.remainingPoints === 0, String(refused));
    assert.ok((await redis.ttl(`${keyPrefix}:user`)) > 60);
    assert.equal((await limiter.get('user')).consumedPoints, 11); // it is blocked
    await limiter.delete('user');
    assert.equal((await limiter.consume('user', 3)).remainingPoints, 7);
    assert.equal((await limiter.reward('user', 2)).remainingPoints, 9);
    await limiter.penalty('user', 1);
    assert.equal((await limiter.get('user')).consumedPoints, 2);
  }
  other.destroy();
}

if (role === 'contender') {
  await contend();
} else {
  await oneAtATime();
  const exits = range(PROCESSES).map(() => new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), [host, String(port), 'contender'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    child.on('error', reject);
    child.on('exit', resolve);
  }));
  assert.deepEqual(await Promise.all(exits), Array(PROCESSES).fill(0));
  assert.equal(await redis.get('counter'), String(PROCESSES * TIMES));
  await rates();
}
masters.forEach((master) => master.disconnect());

// Caching with ioredis, which knows RESP2 only, against the server at HOST PORT: a second connection is told what to
// forget, as a message (CLIENT TRACKING ... REDIRECT); run by tests/clients.rs.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const Redis = createRequire(process.env.CLIENTS + '/')('ioredis');
const options = { host: process.argv[2], port: Number(process.argv[3]) };
const [redis, teller, other] = [new Redis(options), new Redis(options), new Redis(options)];
const range = (count) => [...Array(count).keys()];
const KEYS = 500;
const cache = new Map();
const forgotten = [];
teller.on('messageBuffer', (channel, keys) => {
  assert.equal(channel.toString(), '__redis__:invalidate');
  for (const key of keys ?? ['all']) forgotten.push(key.toString());
  if (keys === null) cache.clear();
  else keys.forEach((key) => cache.delete(key.toString()));
});
const tellerId = await teller.client('ID');
await teller.subscribe('__redis__:invalidate');
// Whoever gets an answer has been told before of what was written before he asked.
const told = () => teller.ping();
const calls = async () => Number((await other.info('commandstats')).match(/cmdstat_get:calls=(\d+)/)?.[1] ?? 0);
const read = async (key) => {
  if (!cache.has(key)) cache.set(key, await redis.get(key));
  return cache.get(key);
};
const track = async (...how) => {
  await redis.client('TRACKING', 'OFF');
  assert.equal(await redis.client('TRACKING', 'ON', 'REDIRECT', tellerId, ...how), 'OK');
  cache.clear();
  forgotten.length = 0;
};

await track();
assert.equal(await redis.client('GETREDIR'), tellerId);
await other.mset('a', 1, 'b', 2);
assert.deepEqual([await read('a'), await read('b')], ['1', '2']);
let asked = await calls();
for (const _ of range(KEYS)) assert.equal(await read('a'), '1');
assert.equal(await calls(), asked);
const writes = [
  () => other.set('a', 0), () => other.incr('a'), () => other.multi().set('a', 5).set('c', 6).exec(),
  () => other.eval("redis.call('APPEND', KEYS[1], 'x')", 1, 'a'), () => other.rename('c', 'a'), () => other.del('a'),
];
for (const write of writes) {
  await write();
  await told();
  assert.equal(await read('a'), await other.get('a'), String(write));
}
assert.deepEqual(forgotten, Array(writes.length).fill('a'));
await other.mset(Object.fromEntries(range(KEYS).map((n) => [`k${n}`, n])));
for (const n of range(KEYS)) assert.equal(await read(`k${n}`), String(n));
await other.flushall();
await told();
assert.deepEqual([cache.size, forgotten.at(-1)], [0, 'all']);

// Not what it writes itself, if it says so; all with a prefix, read or not, if it says that.
await track('NOLOOP');
await other.set('a', 1);
await read('a');
await redis.set('a', 2);
await told();
assert.deepEqual(forgotten, []);
await track('BCAST', 'PREFIX', 'user:', 'PREFIX', 'shop:');
await other.mset('user:1', 1, 'none', 1, 'shop:1', 1);
await other.set('user:2', 1);
await told();
assert.deepEqual(forgotten.sort(), ['shop:1', 'user:1', 'user:2']);
// Only what follows CLIENT CACHING YES.
await track('OPTIN');
await other.mset('a', 1, 'b', 1);
await redis.client('CACHING', 'YES');
await redis.get('a');
await redis.get('b');
await other.mset('a', 2, 'b', 2);
await told();
assert.deepEqual(forgotten, ['a']);
[redis, teller, other].forEach((client) => client.disconnect());

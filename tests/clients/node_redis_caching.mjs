// node-redis' client-side caching against the server at HOST PORT with protocol 3; run by tests/clients.rs.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const { createClient, createClientPool, BasicClientSideCache, BasicPooledClientSideCache } = createRequire(process.env.CLIENTS + '/')('redis');
const [host, port] = [process.argv[2], Number(process.argv[3])];
const options = { RESP: 3, socket: { host, port } };
const cache = new BasicClientSideCache();
const client = createClient({ ...options, clientSideCache: cache });
const other = createClient(options);
await Promise.all([client.connect(), other.connect()]);
const range = (count) => [...Array(count).keys()];
const KEYS = 1000;
const READS = 500;

// How often the server was asked for it.
const calls = async (command) => Number((await other.info('commandstats')).match(`cmdstat_${command}:calls=(\\d+)`)?.[1] ?? 0);
// Whoever gets an answer has been told before of what was written before he asked.
const told = () => client.ping();
const plain = (value) => JSON.parse(JSON.stringify(value));

// What is read is kept, and asked for once.
await other.mSet({ a: '1', b: '2' });
await other.hSet('h', { f: '1' });
const reads = {
  get: () => client.get('a'), mget: () => client.mGet(['a', 'b', 'nothing']), hgetall: () => client.hGetAll('h'), exists: () => client.exists('a'),
};
for (const [command, read] of Object.entries(reads)) {
  const [before, first] = [await calls(command), plain(await read())];
  for (const _ of range(READS)) assert.deepEqual(plain(await read()), first);
  assert.equal(await calls(command), before + 1, command);
}
const stats = cache.stats();
assert.deepEqual([stats.hitCount, stats.missCount], [4 * READS, 4]);
// Those who ask at the same time share one answer.
const before = await calls('strlen');
await Promise.all(range(READS).map(() => client.strLen('a')));
assert.equal(await calls('strlen'), before + 1);

// Whatever another client does to a key, it is forgotten, and no other.
assert.equal(await client.get('b'), '2');
let gets = await calls('get');
const writes = [
  () => other.set('a', '0'),
  () => other.incr('a'),
  () => other.multi().set('a', '5').set('c', '6').exec(),
  () => other.eval("redis.call('APPEND', KEYS[1], 'x')", { keys: ['a'] }),
  () => other.rename('c', 'a'),
  () => other.del('a'),
  () => other.copy('b', 'a'),
  () => other.getDel('a'),
];
for (const write of writes) {
  await write();
  await told();
  assert.equal(await client.get('a'), await other.get('a'), String(write));
}
assert.equal(await client.get('b'), '2');
assert.equal(await calls('get'), gets + 2 * writes.length);
await other.set('brief', '1', { expiration: { type: 'PX', value: 300 } });
assert.equal(await client.get('brief'), '1');
while ((await client.get('brief')) !== null) await new Promise((resolve) => setImmediate(resolve));

// Many keys, and all of them at once
for (const flush of [() => other.flushAll(), () => other.flushDb()]) {
  await other.mSet(Object.fromEntries(range(KEYS).map((n) => [`k${n}`, String(n)])));
  await told();
  const all = () => Promise.all(range(KEYS).map((n) => client.get(`k${n}`)));
  assert.deepEqual(await all(), range(KEYS).map(String));
  gets = await calls('get');
  assert.deepEqual(await all(), range(KEYS).map(String));
  assert.equal(await calls('get'), gets);
  assert.ok(cache.size() >= KEYS);
  await flush();
  await told();
  assert.equal(cache.size(), 0);
  assert.deepEqual(await all(), Array(KEYS).fill(null));
}

// A cache for all connections of a pool
const pooled = new BasicPooledClientSideCache();
const pool = createClientPool(options, { minimum: 4, maximum: 4, clientSideCache: pooled });
await pool.connect();
await other.set('shared', '1');
for (const turn of range(10)) {
  await other.set('shared', String(turn));
  // Nobody knows which connection is told.
  while ((await pool.get('shared')) !== String(turn)) await new Promise((resolve) => setImmediate(resolve));
  gets = await calls('get');
  for (const _ of range(READS)) assert.equal(await pool.get('shared'), String(turn));
  assert.equal(await calls('get'), gets);
}
pool.destroy();
client.destroy();
other.destroy();

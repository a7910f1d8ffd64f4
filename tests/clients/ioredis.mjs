// ioredis against the server at HOST PORT; run by tests/clients.rs.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import readline from 'node:readline/promises';

const Redis = createRequire(process.env.CLIENTS + '/')('ioredis');
const [host, port] = [process.argv[2], Number(process.argv[3])];
const redis = new Redis({ host, port, connectionName: 'tester', retryStrategy: () => 50, maxRetriesPerRequest: null });
redis.on('error', () => {}); // it reconnects
const input = readline.createInterface({ input: process.stdin });

assert.equal(await redis.ping(), 'PONG');
assert.equal(await redis.client('GETNAME'), 'tester');

assert.equal(await redis.set('a', 1), 'OK');
assert.equal(await redis.incr('a'), 2);
assert.equal(await redis.set('a', 'x', 'NX'), null);
assert.equal(await redis.set('a', 'x', 'EX', 100, 'GET'), '2');
assert.ok((await redis.ttl('a')) > 0);
assert.deepEqual(await redis.mset({ b: '1', c: '2' }), 'OK');
assert.deepEqual(await redis.mget('a', 'b', 'nothing'), ['x', '1', null]);
assert.equal(await redis.expire('b', 100), 1);
assert.equal(await redis.persist('b'), 1);
assert.equal(await redis.del('a', 'b', 'c', 'nothing'), 3);

await redis.set('word', 'hello');
await assert.rejects(redis.incr('word'), /not an integer/);
await assert.rejects(redis.call('NOSUCH'), /unknown command/);
assert.equal(await redis.get('word'), 'hello');

const value = Buffer.from([...Array(256).keys()]);
await redis.set(Buffer.from('\0\r\n'), value);
assert.deepEqual(await redis.getBuffer(Buffer.from('\0\r\n')), value);
const big = Buffer.alloc(10 * 1024 * 1024, 'big');
await redis.set('big', big);
assert.ok(big.equals(await redis.getBuffer('big')));

await redis.flushall();
const pipeline = redis.pipeline();
for (let n = 0; n < 10_000; n++) pipeline.set(`key:${n}`, n);
assert.ok((await pipeline.exec()).every(([error, reply]) => error === null && reply === 'OK'));
// Its automatic pipelining: all of these go out at once.
const replies = await Promise.all([...Array(10_000).keys()].map((n) => redis.get(`key:${n}`)));
assert.ok(replies.every((reply, n) => reply === String(n)));

const seen = new Set();
for await (const keys of redis.scanStream({ count: 300 })) keys.forEach((key) => seen.add(key));
assert.equal(seen.size, 10_000);
assert.equal(await redis.dbsize(), 10_000);

const other = redis.duplicate({ db: 3 });
assert.equal(await other.get('key:1'), null);
other.disconnect();

await redis.set('kept', 'yes');
console.log('restart');
assert.equal((await input[Symbol.asyncIterator]().next()).value, 'restarted');
assert.equal(await redis.get('kept'), 'yes');
assert.equal(await redis.incr('after'), 1);
redis.disconnect();
input.close();

// node-redis against the server at HOST PORT with protocol 2 or 3; run by tests/clients.rs.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import readline from 'node:readline/promises';

const { createClient, RESP_TYPES } = createRequire(process.env.CLIENTS + '/')('redis');
const [host, port, RESP] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const socket = { host, port, reconnectStrategy: () => 50 };
const client = createClient({ RESP, socket, name: 'tester' });
client.on('error', () => {}); // it reconnects
await client.connect();
const input = readline.createInterface({ input: process.stdin });

assert.equal(await client.ping(), 'PONG');
assert.equal(await client.clientGetName(), 'tester');
assert.ok((await client.clientId()) > 0);

assert.equal(await client.set('a', '1'), 'OK');
assert.equal(await client.incr('a'), 2);
assert.equal(await client.set('a', 'x', { NX: true }), null);
assert.equal(await client.set('a', 'x', { EX: 100, GET: true }), '2');
assert.ok((await client.ttl('a')) > 0);
assert.equal(await client.mSet({ b: '1', c: '2' }), 'OK');
assert.deepEqual(await client.mGet(['a', 'b', 'nothing']), ['x', '1', null]);
assert.equal(await client.expire('b', 100), 1);
assert.equal(await client.getEx('c', { type: 'EX', value: 50 }), '2');
assert.equal(await client.del(['a', 'b', 'c', 'nothing']), 3);

await client.set('word', 'hello');
await assert.rejects(client.incr('word'), /not an integer/);
await assert.rejects(client.sendCommand(['NOSUCH']), /unknown command/);
assert.equal(await client.get('word'), 'hello');

const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
const value = Buffer.from([...Array(256).keys()]);
await buffers.set(Buffer.from('\0\r\n'), value);
assert.deepEqual(await buffers.get(Buffer.from('\0\r\n')), value);
const big = Buffer.alloc(10 * 1024 * 1024, 'big');
await buffers.set('big', big);
assert.ok(big.equals(await buffers.get('big')));

await client.flushAll();
// Its automatic pipelining: all of these go out at once.
const numbers = [...Array(10_000).keys()];
assert.ok((await Promise.all(numbers.map((n) => client.set(`key:${n}`, String(n))))).every((reply) => reply === 'OK'));
assert.ok((await Promise.all(numbers.map((n) => client.get(`key:${n}`)))).every((reply, n) => reply === String(n)));

const seen = new Set();
for await (const keys of client.scanIterator({ COUNT: 300 })) [keys].flat().forEach((key) => seen.add(key));
assert.equal(seen.size, 10_000);
assert.equal(await client.dbSize(), 10_000);
assert.deepEqual({ ...(await client.configGet('maxmemory-policy')) }, { 'maxmemory-policy': 'noeviction' });

await client.set('kept', 'yes');
console.log('restart');
assert.equal((await input[Symbol.asyncIterator]().next()).value, 'restarted');
assert.equal(await client.get('kept'), 'yes');
assert.equal(await client.incr('after'), 1);
client.destroy();
input.close();

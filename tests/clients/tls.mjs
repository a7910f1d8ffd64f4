// ioredis and node-redis through TLS against the server at HOST PORT, with CA, CERT and KEY files; run by
// tests/tls.rs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(process.env.CLIENTS + '/');
const Redis = require('ioredis');
const { createClient } = require('redis');
const [host, port] = [process.argv[2], Number(process.argv[3])];
const [ca, cert, key] = process.argv.slice(4, 7).map((path) => readFileSync(path));
const numbers = [...Array(10_000).keys()];
const big = Buffer.alloc(8 * 1024 * 1024, 'big');

const redis = new Redis({ host, port, tls: { ca, cert, key } });
assert.equal(await redis.ping(), 'PONG');
await redis.set('big', big);
assert.ok(big.equals(await redis.getBuffer('big')));
const pipeline = redis.pipeline();
for (const n of numbers) pipeline.set(`key:${n}`, n);
assert.ok((await pipeline.exec()).every(([error, reply]) => error === null && reply === 'OK'));
assert.ok((await Promise.all(numbers.map((n) => redis.get(`key:${n}`)))).every((reply, n) => reply === String(n)));
await redis.quit();

const client = createClient({ socket: { host, port, tls: true, ca, cert, key } });
await client.connect();
assert.ok((await Promise.all(numbers.map((n) => client.get(`key:${n}`)))).every((reply, n) => reply === String(n)));
await client.quit();

const nobody = new Redis({ host, port, tls: { ca }, retryStrategy: null, maxRetriesPerRequest: 0 });
nobody.on('error', () => {});
await assert.rejects(nobody.ping());
nobody.disconnect();

// ioredis' transactions, scripts and functions against the server at HOST PORT; run by tests/clients.rs.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import readline from 'node:readline/promises';

const Redis = createRequire(process.env.CLIENTS + '/')('ioredis');
const options = { host: process.argv[2], port: Number(process.argv[3]), retryStrategy: () => 50, maxRetriesPerRequest: null };
const clients = [];
const connect = (more) => {
  const client = new Redis({ ...options, ...more });
  client.on('error', () => {}); // it reconnects
  clients.push(client);
  return client;
};
const redis = connect();
const input = readline.createInterface({ input: process.stdin });
const range = (count) => [...Array(count).keys()];
const values = (replies) => replies.map(([error, value]) => error ?? value);

// MULTI as one pipeline, and by hand
assert.deepEqual(values(await redis.multi().set('a', 1).incr('a').hset('h', { f: 1, g: 2 }).hgetall('h').exec()),
  ['OK', 2, 2, { f: '1', g: '2' }]);
await redis.multi({ pipeline: false });
assert.equal(await redis.incr('a'), 'QUEUED');
assert.deepEqual(values(await redis.exec()), [3]);
const [one, wrong, two] = values(await redis.multi().incr('a').incr('h').incr('a').exec());
assert.deepEqual([one, two], [4, 5]);
assert.match(wrong.message, /WRONGTYPE/);
await assert.rejects(redis.multi().incr('a').call('NOSUCH').exec(), /EXECABORT/);
await redis.multi({ pipeline: false });
assert.equal(await redis.incr('a'), 'QUEUED');
assert.equal(await redis.discard(), 'OK');
assert.equal(await redis.get('a'), '5');
const mixed = await redis.pipeline().get('a').multi().incr('a').incr('a').exec().get('a').exec();
assert.deepEqual(values(mixed), ['5', 'OK', 'QUEUED', 'QUEUED', [6, 7], '7']);

// WATCH: what changed meanwhile is not overwritten, and increments by hand are not lost.
await redis.watch('a');
await connect().set('a', 10);
assert.equal(await redis.multi().set('a', 'lost').exec(), null);
assert.equal(await redis.watch('a'), 'OK');
assert.equal(await redis.unwatch(), 'OK');
const increments = async (client, times) => {
  for (let done = 0; done < times; ) {
    await client.watch('counter');
    const value = Number(await client.get('counter'));
    if (await client.multi().set('counter', value + 1).exec()) done++;
  }
};
await Promise.all(range(8).map(() => increments(connect(), 50)));
assert.equal(await redis.get('counter'), '400');

// A script as a command: EVALSHA, and EVAL when the server does not know it.
const lua = `local left = tonumber(redis.call('GET', KEYS[1]) or '0') - tonumber(ARGV[1])
if left < 0 then return redis.error_reply('POOR not enough') end
redis.call('SET', KEYS[1], left)
return {left, ARGV[2] or 'none', false, {ok = 'FINE'}}`;
const spending = connect({ scripts: { spend: { numberOfKeys: 1, lua } }, keyPrefix: 'p:' });
redis.defineCommand('spend', { numberOfKeys: 1, lua });
redis.defineCommand('total', { lua: `local sum = 0
for _, key in ipairs(KEYS) do sum = sum + tonumber(redis.call('GET', key) or '0') end
return sum`, readOnly: true });
const binary = Buffer.from([...Array(256).keys()]);
await redis.mset({ money: 1000, 'p:money': 10 });
assert.deepEqual(await redis.spend('money', 1), [999, 'none', null, 'FINE']);
assert.deepEqual((await redis.spendBuffer('money', 1, binary))[1], binary);
assert.equal((await spending.spend('money', 1))[0], 9);
await assert.rejects(redis.spend('money', 10_000), /not enough/);
assert.equal(await redis.total(3, 'money', 'p:money', 'nothing'), 1007);
await redis.script('FLUSH');
assert.equal((await redis.spend('money', 8))[0], 990);
await redis.script('FLUSH');
const mixedIn = values(await redis.pipeline().spend('money', 1).incr('b').spend('money', 1).exec());
assert.deepEqual(mixedIn.map((value) => value[0] ?? value), [989, 1, 988]);
await redis.script('FLUSH');
// In a transaction it is loaded before, unless this connection has used it.
const fresh = connect();
fresh.defineCommand('spend', { numberOfKeys: 1, lua });
const transaction = values(await fresh.multi().spend('money', 1).incr('b').spend('money', 1).exec());
assert.deepEqual(transaction.map((value) => value[0] ?? value), [987, 2, 986]);
const sha = await redis.script('LOAD', 'return 1');
assert.deepEqual(await redis.script('EXISTS', sha, '0'.repeat(40)), [1, 0]);
await assert.rejects(redis.evalsha('0'.repeat(40), 0), /NOSCRIPT/);

// Automatic pipelining, with scripts among the commands, from many connections at once
await redis.set('money', 4_000);
await redis.script('FLUSH');
await Promise.all(range(4).map(async () => {
  const client = connect({ enableAutoPipelining: true });
  client.defineCommand('spend', { numberOfKeys: 1, lua });
  const replies = await Promise.all(range(1000).flatMap((n) => [client.spend('money', 1), client.incr('autos'), client.set(`k${n}`, n)]));
  assert.ok(replies.every((reply) => reply === 'OK' || Number.isInteger(reply) || Number.isInteger(reply[0])));
}));
assert.deepEqual(await redis.mget('money', 'autos'), ['0', '4000']);

// Functions
const library = `#!lua name=bank
redis.register_function('deposit', function(keys, args) return redis.call('INCRBY', keys[1], args[1]) end)`;
assert.equal(await redis.function('LOAD', library), 'bank');
assert.equal(await redis.fcall('deposit', 1, 'account', 5), 5);
assert.deepEqual(values(await redis.multi().fcall('deposit', 1, 'account', 1).get('account').exec()), [6, '6']);

// Over a restart a script has to be sent again, a function has not.
console.log('restart');
assert.equal((await input[Symbol.asyncIterator]().next()).value, 'restarted');
await redis.set('money', 5);
assert.deepEqual(values(await redis.pipeline().spend('money', 1).spend('money', 1).exec()).map(([left]) => left), [4, 3]);
assert.equal((await spending.spend('money', 1))[0], 8);
assert.equal(await redis.fcall('deposit', 1, 'account', 1), 7);
clients.forEach((client) => client.disconnect());
input.close();

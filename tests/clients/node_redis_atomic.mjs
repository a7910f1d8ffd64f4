// node-redis' transactions, scripts and functions against the server at HOST PORT with protocol 2 or 3; run by
// tests/clients.rs.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import readline from 'node:readline/promises';

const { createClient, createClientPool, defineScript, WatchError } = createRequire(process.env.CLIENTS + '/')('redis');
const [host, port, RESP] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const firstKey = (parser, key, ...args) => {
  parser.pushKey(key);
  parser.push(...args.map(String));
};
const scripts = {
  spend: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `local left = tonumber(redis.call('GET', KEYS[1]) or '0') - tonumber(ARGV[1])
if left < 0 then return redis.error_reply('POOR not enough') end
redis.call('SET', KEYS[1], left)
return left`,
    parseCommand: firstKey,
    transformReply: (reply) => reply,
  }),
};
const functions = {
  bank: {
    deposit: { NUMBER_OF_KEYS: 1, parseCommand: firstKey, transformReply: (reply) => reply },
    balance: { NUMBER_OF_KEYS: 1, IS_READ_ONLY: true, parseCommand: firstKey, transformReply: (reply) => reply },
  },
};
const options = { RESP, socket: { host, port, reconnectStrategy: () => 50 }, scripts, functions };
const client = createClient(options);
client.on('error', () => {}); // it reconnects
await client.connect();
const input = readline.createInterface({ input: process.stdin });
const range = (count) => [...Array(count).keys()];

// MULTI
assert.deepEqual(await client.multi().set('a', 1).incr('a').hSet('h', { f: '1' }).hGetAll('h').exec(),
  ['OK', 2, 1, Object.assign(Object.create(null), { f: '1' })]);
assert.deepEqual(await client.multi().incr('a').get('a').execAsPipeline(), [3, '3']);
await assert.rejects(client.multi().incr('a').incr('h').incr('a').exec(), (error) => {
  assert.deepEqual([error.replies[0], error.replies[2], error.errorIndexes], [4, 5, [1]]);
  return /WRONGTYPE/.test(error.replies[1].message);
});
await assert.rejects(client.multi().incr('a').addCommand(['NOSUCH']).exec(), /unknown command/);
assert.equal(await client.get('a'), '5');

// WATCH on a connection of a pool: increments by hand are not lost.
const pool = createClientPool(options, { maximum: 8, acquireTimeout: 60_000 });
pool.on('error', () => {});
await pool.connect();
await client.watch('a');
await pool.set('a', '10');
await assert.rejects(client.multi().set('a', 'lost').exec(), WatchError);
const increment = async () => {
  for (;;) {
    try {
      return await pool.execute(async (own) => {
        await own.watch('counter');
        const value = Number(await own.get('counter'));
        return await own.multi().set('counter', value + 1).exec();
      });
    } catch (error) {
      if (!(error instanceof WatchError)) throw error;
    }
  }
};
await Promise.all(range(400).map(increment));
assert.equal(await client.get('counter'), '400');

// Scripts: EVALSHA, and EVAL when the server does not know it; in a transaction EVAL comes first by itself.
await client.set('money', 1000);
assert.equal(await client.spend('money', 1), 999);
await assert.rejects(client.spend('money', 10_000), /not enough/);
await client.scriptFlush();
assert.deepEqual(await Promise.all(range(9).map(() => client.spend('money', 1))).then((left) => left.sort()), range(9).map((n) => 990 + n));
await client.scriptFlush();
assert.deepEqual(await client.multi().spend('money', 1).set('b', 1).spend('money', 1).exec(), [989, 'OK', 988]);
await Promise.all(range(988).map(() => pool.spend('money', 1)));
assert.equal(await client.get('money'), '0');
const sha = await client.scriptLoad('return {KEYS[1], ARGV[1]}');
assert.deepEqual(await client.evalSha(sha, { keys: ['k'], arguments: ['x'] }), ['k', 'x']);
await assert.rejects(client.evalSha('0'.repeat(40)), /NOSCRIPT/);
await assert.rejects(client.evalRo("return redis.call('SET', KEYS[1], 1)", { keys: ['a'] }), /Write commands are not allowed/);

// Functions
const library = `#!lua name=bank
redis.register_function('deposit', function(keys, args) return redis.call('INCRBY', keys[1], args[1]) end)
redis.register_function{function_name='balance', flags={'no-writes'},
  callback=function(keys) return redis.call('GET', keys[1]) end}`;
assert.equal(await client.functionLoad(library), 'bank');
await assert.rejects(client.functionLoad(library), /already exists/);
assert.equal(await client.functionLoad(library, { REPLACE: true }), 'bank');
assert.equal(await client.bank.deposit('account', 5), 5);
assert.equal(await client.bank.balance('account'), '5');
assert.deepEqual(await client.multi().bank.deposit('account', 1).bank.balance('account').exec(), [6, '6']);
const [listed] = await client.functionList({ LIBRARYNAME: 'bank' });
assert.deepEqual(listed.functions.map((one) => one.name).sort(), ['balance', 'deposit']);

// Over a restart a script has to be sent again, a function has not.
console.log('restart');
assert.equal((await input[Symbol.asyncIterator]().next()).value, 'restarted');
await client.set('money', 5);
assert.equal(await client.spend('money', 1), 4);
assert.equal(await client.bank.deposit('account', 1), 7);
assert.equal(await client.functionDelete('bank'), 'OK');
await assert.rejects(client.bank.deposit('account', 1), /not found/);
client.destroy();
pool.destroy();
input.close();

// ioredis' streams against the server at HOST PORT; run by tests/clients.rs.
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
const ids = (entries) => entries.map(([id]) => id);
const pairs = (list) => Object.fromEntries(range(list.length / 2).map((n) => [list[2 * n], list[2 * n + 1]]));
// When so many connections wait in a blocking command.
const blocked = async (count) => {
  while (!(await redis.info('clients')).includes(`blocked_clients:${count}\r`)) await null;
};

// Entries, their ids, ranges, trimming
assert.match(await redis.xadd('auto', '*', 'a', 1), /^\d{13}-\d+$/);
assert.equal(await redis.xadd('s', '1-1', 'n', 1, 'm', 'x'), '1-1');
assert.equal(await redis.xadd('s', '1-*', 'n', 2), '1-2');
await assert.rejects(redis.xadd('s', '1-2', 'n', 3), /equal or smaller/);
assert.equal(await redis.xadd('nothing', 'NOMKSTREAM', '*', 'a', 1), null);
const binary = Buffer.from(range(256));
await redis.xadd('s', '2', 'bytes', binary);
assert.deepEqual((await redis.xrangeBuffer('s', '2', '2'))[0][1][1], binary);
assert.deepEqual((await redis.xrange('s', '-', '+', 'COUNT', 2)), [['1-1', ['n', '1', 'm', 'x']], ['1-2', ['n', '2']]]);
assert.deepEqual(ids(await redis.xrevrange('s', '+', '(1-1')), ['2-0', '1-2']);
assert.equal(await redis.xdel('s', '1-2', '9-9'), 1);
await Promise.all(range(1000).map((n) => redis.xadd('s', 'MAXLEN', 500, `${n + 10}-0`, 'n', n)));
assert.equal(await redis.xlen('s'), 500);
assert.equal(await redis.xtrim('s', 'MINID', '1000-0'), 490);
assert.deepEqual(ids(await redis.xrange('s', '-', '+')), range(10).map((n) => `${n + 1000}-0`));
const about = pairs(await redis.xinfo('STREAM', 's'));
assert.deepEqual([about.length, about['last-generated-id'], about['entries-added'], about['max-deleted-entry-id']], [10, '1009-0', 1003, '1-2']);
await assert.rejects(redis.xadd('s', 'MAXLEN', 'x', '*', 'a', 1), /not an integer/);

// Those who wait for what comes next are all told, once; a stream that is not there yet can be waited for.
const readers = range(5).map(() => connect());
const read = Promise.all(readers.map((reader) => reader.xread('BLOCK', 0, 'STREAMS', 's', 'later', '$', '0')));
await blocked(5);
await redis.multi().xadd('later', '1-1', 'a', 1).xadd('later', '1-2', 'a', 2).exec();
assert.deepEqual(await read, Array(5).fill([['later', [['1-1', ['a', '1']], ['1-2', ['a', '2']]]]]));
const two = readers[0].xread('BLOCK', 0, 'COUNT', 1, 'STREAMS', 'later', '$');
await blocked(1);
await redis.eval("redis.call('DEL', KEYS[1]) redis.call('XADD', KEYS[1], '2-1', 'a', '1') return redis.call('XADD', KEYS[1], '2-2', 'a', '2')", 1, 'later');
assert.deepEqual(await two, [['later', [['2-1', ['a', '1']]]]]);
assert.equal(await redis.xread('BLOCK', 10, 'STREAMS', 's', '$'), null);
const [[error, reply]] = await redis.multi().xread('BLOCK', 0, 'STREAMS', 's', '$').exec();
assert.deepEqual([error, reply], [null, null]); // in a transaction nobody waits
const readGroup = () => Promise.allSettled(
  readers.map((reader) => reader.xreadgroup('GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 'doomed', '>')));
const failed = async (results) => (await results).every(({ reason }) => /NOGROUP/.test(reason?.message));
assert.ok(await failed(readGroup()));
await redis.xgroup('CREATE', 'doomed', 'g', '$', 'MKSTREAM');
const waiting = readGroup();
await blocked(5);
await redis.xgroup('DESTROY', 'doomed', 'g');
assert.ok(await failed(waiting));

// Consumers of a group share what several producers add: each entry goes to one of them, in order.
const [CONSUMERS, PRODUCERS, ENTRIES] = [6, 3, 1000];
assert.equal(await redis.xgroup('CREATE', 'work', 'group', '$', 'MKSTREAM'), 'OK');
await assert.rejects(redis.xgroup('CREATE', 'work', 'group', '$'), /BUSYGROUP/);
const got = [];
const consume = async (name) => {
  const client = connect();
  for (let [last, ends] = ['0-0', false]; !ends; ) {
    const [[, entries]] = await client.xreadgroup('GROUP', 'group', name, 'COUNT', 7, 'BLOCK', 0, 'STREAMS', 'work', '>');
    for (const [id, [field, value]] of entries) {
      const [[time, turn], [lastTime, lastTurn]] = [id.split('-').map(Number), last.split('-').map(Number)];
      assert.ok(time > lastTime || (time === lastTime && turn > lastTurn), `${last} ${id}`);
      last = id;
      if (field === 'end') ends = true;
      else got.push(value);
      assert.equal(await client.xack('work', 'group', id), 1);
    }
  }
};
const produce = async (producer) => {
  const client = connect({ enableAutoPipelining: true });
  await Promise.all(range(ENTRIES).map((n) => client.xadd('work', '*', 'job', producer * ENTRIES + n)));
};
const consumers = Promise.all(range(CONSUMERS).map((n) => consume(`c${n}`)));
await Promise.all(range(PRODUCERS).map(produce));
// An end for each: who has got one may have got others in the same reply.
let done = false;
consumers.then(() => { done = true; }, () => { done = true; });
while (!done) {
  if (pairs((await redis.xinfo('GROUPS', 'work'))[0]).lag === 0) await redis.xadd('work', '*', 'end', 1);
}
await consumers;
assert.deepEqual(got.map(Number).sort((a, b) => a - b), range(PRODUCERS * ENTRIES));
await redis.xreadgroup('GROUP', 'group', 'rest', 'NOACK', 'STREAMS', 'work', '>');
const group = pairs((await redis.xinfo('GROUPS', 'work'))[0]);
const length = await redis.xlen('work');
assert.deepEqual([group.pending, group.lag, group['entries-read']], [0, 0, length]);
assert.deepEqual(await redis.xpending('work', 'group'), [0, null, null, null]);

// What a consumer has not acknowledged is seen, read again, claimed, given up.
await redis.del('work');
await redis.xgroup('CREATE', 'work', 'group', 0, 'MKSTREAM');
await Promise.all(range(100).map((n) => redis.xadd('work', `1-${n + 1}`, 'n', n)));
await redis.xreadgroup('GROUP', 'group', 'lost', 'COUNT', 60, 'STREAMS', 'work', '>');
assert.deepEqual(await redis.xpending('work', 'group'), [60, '1-1', '1-60', [['lost', '60']]]);
const [[id, owner, , times]] = await redis.xpending('work', 'group', 'IDLE', 0, '-', '+', 10, 'lost');
assert.deepEqual([id, owner, times], ['1-1', 'lost', 1]);
assert.equal((await redis.xreadgroup('GROUP', 'group', 'lost', 'STREAMS', 'work', '1-50'))[0][1].length, 10);
await redis.xdel('work', '1-3');
const [next, claimed, gone] = await redis.xautoclaim('work', 'group', 'heir', 0, '0', 'COUNT', 20);
assert.deepEqual([next, claimed.length, gone], ['1-21', 19, ['1-3']]);
assert.deepEqual((await redis.xautoclaim('work', 'group', 'heir', 0, next, 'JUSTID')).slice(0, 2), ['0-0', range(40).map((n) => `1-${n + 21}`)]);
assert.deepEqual(await redis.xautoclaim('work', 'group', 'heir', 3_600_000, '0'), ['0-0', [], []]);
assert.deepEqual(ids(await redis.xclaim('work', 'group', 'third', 0, '1-1', '1-3', '1-90')), ['1-1']);
assert.equal((await redis.xpending('work', 'group', '1-1', '1-1', 1))[0][3], 3);
assert.equal(await redis.xack('work', 'group', '1-1', '1-2', '1-99'), 2);

// Over a restart nothing is forgotten. (A redis-server that reads its log does not know `entries-read` any more.)
const state = async () => [pairs((await redis.xinfo('GROUPS', 'work'))[0]), await redis.xpending('work', 'group'), await redis.xrange('work', '-', '+')];
const before = await state();
console.log('restart');
assert.equal((await input[Symbol.asyncIterator]().next()).value, 'restarted');
assert.deepEqual(await state(), before);
assert.deepEqual(ids((await redis.xreadgroup('GROUP', 'group', 'new', 'COUNT', 1, 'STREAMS', 'work', '>'))[0][1]), ['1-61']);
assert.equal(await redis.xgroup('DELCONSUMER', 'work', 'group', 'heir'), 57);
clients.forEach((client) => client.disconnect());
input.close();

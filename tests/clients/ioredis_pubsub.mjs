// ioredis' pub/sub against the server at HOST PORT; run by tests/clients.rs.
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
const input = readline.createInterface({ input: process.stdin });
const range = (count) => [...Array(count).keys()];
const redis = connect();
const SUBSCRIBERS = 8;
const PUBLISHERS = 4;
const MESSAGES = 500;

// Notes all that a client hears, and when it has heard so much.
function hearing(client) {
  const heard = [];
  let [wanted, enough] = [Infinity, () => {}];
  const note = (...message) => {
    heard.push(message);
    if (heard.length === wanted) enough();
  };
  client.on('message', (channel, text) => note('message', channel, text));
  client.on('pmessage', (pattern, channel, text) => note('pmessage', pattern, channel, text));
  client.on('smessage', (channel, text) => note('smessage', channel, text));
  const until = (count) => new Promise((resolve) => {
    [wanted, enough] = [count, resolve];
    if (heard.length >= count) resolve();
  });
  return { heard, until };
}

// Channels, patterns, shards
const sub = connect();
const { heard, until } = hearing(sub);
assert.equal(await sub.subscribe('news', 'other'), 2);
assert.equal(await sub.psubscribe('n*'), 3);
assert.equal(await sub.ssubscribe('shard'), 1);
assert.equal(await redis.publish('news', 'one'), 2);
assert.equal(await redis.publish('nothing', 'two'), 1);
assert.equal(await redis.publish('silence', 'three'), 0);
assert.equal(await redis.spublish('shard', 'four'), 1);
assert.equal(await redis.spublish('news', 'five'), 0);
assert.deepEqual((await redis.pubsub('CHANNELS')).sort(), ['news', 'other']);
assert.deepEqual(await redis.pubsub('NUMSUB', 'news', 'none'), ['news', 1, 'none', 0]);
assert.equal(await redis.pubsub('NUMPAT'), 1);
assert.deepEqual(await redis.pubsub('SHARDNUMSUB', 'shard'), ['shard', 1]);
// Those who publish within a transaction or a script, and to themselves no more than to others.
const replies = await redis.multi().publish('other', 'six').set('a', 1).spublish('shard', 'seven').exec();
assert.deepEqual(replies, [[null, 1], [null, 'OK'], [null, 1]]);
assert.equal(await redis.eval("redis.call('PUBLISH', 'other', ARGV[1]) return redis.call('SPUBLISH', 'shard', 'nine')", 0, 'eight'), 1);
await until(8);
assert.deepEqual(heard, [
  ['message', 'news', 'one'], ['pmessage', 'n*', 'news', 'one'], ['pmessage', 'n*', 'nothing', 'two'], ['smessage', 'shard', 'four'],
  ['message', 'other', 'six'], ['smessage', 'shard', 'seven'], ['message', 'other', 'eight'], ['smessage', 'shard', 'nine'],
]);
const bytes = Buffer.from(range(256));
const binary = new Promise((resolve) => sub.once('messageBuffer', (_, payload) => resolve(payload)));
await redis.publish('other', bytes);
assert.deepEqual(await binary, bytes);
// It may do nothing else meanwhile, but for PING, and everything once it has left all of them.
assert.deepEqual(await sub.ping(), ['pong', '']);
await assert.rejects(sub.get('a'), /subscriber mode/);
assert.equal(await sub.unsubscribe('news', 'other'), 1);
assert.equal(await sub.sunsubscribe('shard'), 0);
assert.equal(await sub.punsubscribe('n*'), 0);
assert.equal(await sub.get('a'), '1');
assert.equal(await redis.publish('news', 'nobody'), 0);

// Many publish at once to many: each message comes once, and those of one publisher in order.
const subscribers = range(SUBSCRIBERS).map(() => connect());
const ears = subscribers.map(hearing);
await Promise.all(subscribers.map((client, n) => (n % 2 ? client.subscribe('busy') : client.psubscribe('b*y'))));
const counts = await Promise.all(range(PUBLISHERS).map((publisher) => {
  const client = connect();
  return Promise.all(range(MESSAGES).map((n) => (n % 3 ? client.publish('busy', `${publisher}:${n}`)
    : client.eval("return redis.call('PUBLISH', KEYS[1], ARGV[1])", 1, 'busy', `${publisher}:${n}`))));
}));
assert.ok(counts.flat().every((count) => count === SUBSCRIBERS));
await Promise.all(ears.map((ear) => ear.until(PUBLISHERS * MESSAGES)));
for (const ear of ears) {
  const texts = ear.heard.map((message) => message.at(-1));
  for (const publisher of range(PUBLISHERS)) {
    const own = texts.filter((text) => text.startsWith(`${publisher}:`));
    assert.deepEqual(own, range(MESSAGES).map((n) => `${publisher}:${n}`));
  }
}

// Over a restart it subscribes again by itself.
console.log('restart');
assert.equal((await input[Symbol.asyncIterator]().next()).value, 'restarted');
while ((await redis.publish('busy', 'hello')) < SUBSCRIBERS) await null;
await Promise.all(ears.map((ear) => ear.until(PUBLISHERS * MESSAGES + 1)));
assert.ok(ears.every((ear) => ear.heard.at(-1).at(-1) === 'hello'));
clients.forEach((client) => client.disconnect());
input.close();

// node-redis' pub/sub against the server at HOST PORT with protocol 2 or 3; run by tests/clients.rs.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const { createClient } = createRequire(process.env.CLIENTS + '/')('redis');
const [host, port, RESP] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const clients = [];
const connect = async () => {
  const client = createClient({ RESP, socket: { host, port } });
  clients.push(client);
  return await client.connect();
};
const client = await connect();
const range = (count) => [...Array(count).keys()];
const SUBSCRIBERS = 6;
const MESSAGES = 1000;

// Notes what it is called with, and when that has happened so often.
function listener() {
  const heard = [];
  let [wanted, enough] = [Infinity, () => {}];
  const hear = (message, channel) => {
    heard.push([channel, message]);
    if (heard.length === wanted) enough();
  };
  const until = (count) => new Promise((resolve) => {
    [wanted, enough] = [count, resolve];
    if (heard.length >= count) resolve();
  });
  return { hear, heard, until };
}

const sub = await connect();
const [channel, pattern, shard] = [listener(), listener(), listener()];
await sub.subscribe(['news', 'other'], channel.hear);
await sub.pSubscribe('n*', pattern.hear);
await sub.sSubscribe('shard', shard.hear);
assert.equal(await client.publish('news', 'one'), 2);
assert.equal(await client.publish('nothing', 'two'), 1);
assert.equal(await client.sPublish('shard', 'three'), 1);
assert.deepEqual((await client.pubSubChannels()).sort(), ['news', 'other']);
assert.deepEqual({ ...(await client.pubSubNumSub(['news', 'none'])) }, { news: 1, none: 0 });
assert.equal(await client.pubSubNumPat(), 1);
assert.deepEqual({ ...(await client.pubSubShardNumSub(['shard'])) }, { shard: 1 });
assert.deepEqual(await client.multi().publish('other', 'four').set('a', '1').exec(), [1, 'OK']);
const script = "redis.call('PUBLISH', 'other', ARGV[1]) return redis.call('SPUBLISH', 'shard', 'six')";
assert.equal(await client.eval(script, { arguments: ['five'] }), 1);
await Promise.all([channel.until(3), pattern.until(2), shard.until(2)]);
assert.deepEqual(channel.heard, [['news', 'one'], ['other', 'four'], ['other', 'five']]);
assert.deepEqual(pattern.heard, [['news', 'one'], ['nothing', 'two']]);
assert.deepEqual(shard.heard, [['shard', 'three'], ['shard', 'six']]);
// With RESP3 a client may do everything while it listens.
if (RESP === 3) assert.equal(await sub.get('a'), '1');
assert.equal(await sub.ping(), RESP === 2 ? 'pong' : 'PONG');
await sub.unsubscribe(['news', 'other']);
await sub.pUnsubscribe('n*');
await sub.sUnsubscribe('shard');
assert.equal(String(await sub.get('a')), '1'); // with RESP2 it goes on with Buffers
assert.equal(await client.publish('news', 'nobody'), 0);

// Many messages to many, each once and in order; bytes stay what they are.
const ears = range(SUBSCRIBERS).map(listener);
await Promise.all(ears.map(async ({ hear }, n) => {
  const own = await connect();
  await (n % 2 ? own.subscribe('busy', hear, true) : own.pSubscribe('b*y', hear, true));
}));
const bytes = (n) => Buffer.from([n >> 8, n & 255, 13, 10, 0]);
const counts = await Promise.all(range(MESSAGES).map((n) => client.publish('busy', bytes(n))));
assert.ok(counts.every((count) => count === SUBSCRIBERS));
await Promise.all(ears.map((ear) => ear.until(MESSAGES)));
for (const { heard } of ears) assert.deepEqual(heard.map(([, message]) => message), range(MESSAGES).map(bytes));
clients.forEach((one) => one.destroy());

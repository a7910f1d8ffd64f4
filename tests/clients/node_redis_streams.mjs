// node-redis' streams against the server at HOST PORT, with RESP2: with RESP3 it does not offer XREAD yet; run by
// tests/clients.rs.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const { createClient } = createRequire(process.env.CLIENTS + '/')('redis');
const [host, port] = [process.argv[2], Number(process.argv[3])];
const clients = [];
const connect = async () => {
  const client = createClient({ socket: { host, port } });
  clients.push(client);
  return await client.connect();
};
const client = await connect();
const range = (count) => [...Array(count).keys()];
const plain = (value) => JSON.parse(JSON.stringify(value)); // its maps have no prototype
const read = (reply) => Object.fromEntries(reply.map(({ name, messages }) => [name, plain(messages)]));
const blocked = async (count) => {
  while (!(await client.info('clients')).includes(`blocked_clients:${count}\r`)) await null;
};

// Entries, ranges, and those who wait for more
assert.equal(await client.xAdd('s', '1-1', { n: '1' }), '1-1');
assert.equal(await client.xAdd('s', '1-*', { n: '2' }, { TRIM: { strategy: 'MAXLEN', strategyModifier: '=', threshold: 2 } }), '1-2');
await assert.rejects(client.xAdd('s', '1-1', { n: '3' }), /equal or smaller/);
assert.deepEqual(plain(await client.xRange('s', '-', '+')), [{ id: '1-1', message: { n: '1' } }, { id: '1-2', message: { n: '2' } }]);
assert.equal((await client.xInfoStream('s'))['last-generated-id'], '1-2');
const readers = await Promise.all(range(5).map(connect));
const waiting = readers.map((reader) => reader.xRead([{ key: 's', id: '$' }, { key: 'later', id: '0' }], { BLOCK: 0 }));
await blocked(5);
await client.multi().xAdd('later', '1-1', { a: '1' }).xAdd('later', '1-2', { a: '2' }).exec();
for (const reply of await Promise.all(waiting)) {
  assert.deepEqual(read(reply), { later: [{ id: '1-1', message: { a: '1' } }, { id: '1-2', message: { a: '2' } }] });
}
assert.equal(await client.xRead({ key: 's', id: '$' }, { BLOCK: 10 }), null);

// Consumers of a group share what several producers add: each entry goes to one of them.
const [PRODUCERS, ENTRIES] = [3, 1000];
await client.xGroupCreate('work', 'group', '$', { MKSTREAM: true });
const got = [];
const consume = async (own, name) => {
  for (let ends = false; !ends; ) {
    const reply = read(await own.xReadGroup('group', name, { key: 'work', id: '>' }, { COUNT: 7, BLOCK: 0 }));
    for (const { id, message } of reply.work) {
      if (message.end) ends = true;
      else got.push(Number(message.job));
      assert.equal(await own.xAck('work', 'group', id), 1);
    }
  }
};
const consumers = Promise.all(readers.map((own, n) => consume(own, `c${n}`)));
let done = false;
consumers.then(() => { done = true; }, () => { done = true; });
await Promise.all(range(PRODUCERS).map(async (producer) => {
  const own = await connect();
  await Promise.all(range(ENTRIES).map((n) => own.xAdd('work', '*', { job: String(producer * ENTRIES + n) })));
}));
// An end for each: who has got one may have got others in the same reply.
while (!done) {
  if ((await client.xInfoGroups('work'))[0].lag === 0) await client.xAdd('work', '*', { end: '1' });
}
await consumers;
assert.deepEqual(got.sort((a, b) => a - b), range(PRODUCERS * ENTRIES));

// What a consumer has not acknowledged is seen, claimed, given up.
await client.del('work');
await client.xGroupCreate('work', 'group', '0', { MKSTREAM: true });
for (const n of range(20)) await client.xAdd('work', `1-${n + 1}`, { n: String(n) });
await client.xReadGroup('group', 'lost', { key: 'work', id: '>' }, { COUNT: 10 });
assert.deepEqual(plain(await client.xPending('work', 'group')),
  { pending: 10, firstId: '1-1', lastId: '1-10', consumers: [{ name: 'lost', deliveriesCounter: 10 }] });
const [first] = await client.xPendingRange('work', 'group', '-', '+', 1, { consumer: 'lost' });
assert.deepEqual([first.id, first.consumer, first.deliveriesCounter], ['1-1', 'lost', 1]);
await client.xDel('work', '1-3');
const claimed = await client.xAutoClaim('work', 'group', 'heir', 0, '0', { COUNT: 5 });
assert.deepEqual([claimed.nextId, claimed.messages.map(({ id }) => id), claimed.deletedMessages], ['1-6', ['1-1', '1-2', '1-4', '1-5'], ['1-3']]);
assert.deepEqual(await client.xClaimJustId('work', 'group', 'third', 0, ['1-1', '1-3']), ['1-1']);
assert.equal(await client.xAck('work', 'group', ['1-1', '1-2', '1-99']), 2);
assert.equal(await client.xGroupDelConsumer('work', 'group', 'lost'), 5);
clients.forEach((one) => one.destroy());

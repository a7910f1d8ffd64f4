// Two servers of Socket.IO that share their rooms through the server at HOST PORT by an ADAPTER: over pub/sub
// (`pubsub`, `sharded`) or over streams (`streams`); run by tests/clients.rs.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(process.env.CLIENTS + '/');
const Redis = require('ioredis');
const { createClient } = require('redis');
const { Server } = require('socket.io');
const { io: connectTo } = require('socket.io-client');
const { createAdapter, createShardedAdapter } = require('@socket.io/redis-adapter');
const { createAdapter: createStreamsAdapter } = require('@socket.io/redis-streams-adapter');
const [host, port, kind] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const CLIENTS = 6;
const MESSAGES = 200;
const ANSWER_MS = 20_000;
const range = (count) => [...Array(count).keys()];

// Waits for what has no event of its own.
async function until(holds) {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}

const ioredis = () => new Redis({ host, port });
const redis = ioredis();
const nodeRedis = () => createClient({ socket: { host, port } }).connect();

const adapters = {
  pubsub: async () => createAdapter(ioredis(), ioredis()),
  sharded: async () => createShardedAdapter(await nodeRedis(), await nodeRedis()),
  streams: async () => createStreamsAdapter(ioredis(), { heartbeatInterval: 200 }),
};

async function startServer(number) {
  const http = createServer();
  const io = new Server(http, { adapter: await adapters[kind](), connectionStateRecovery: kind === 'streams' ? {} : undefined });
  io.on('connection', (socket) => {
    socket.data.number = Number(socket.handshake.auth.number);
    socket.join(socket.data.number % 2 ? 'odd' : 'even');
    socket.on('tell others', (text) => socket.broadcast.emit('told', text));
  });
  io.on('who are you', (asked, answer) => answer(`${asked}: server ${number}`));
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  return { io, url: `http://127.0.0.1:${http.address().port}` };
}

async function startClient(number) {
  const client = connectTo(servers[number % 3 ? 1 : 0].url, { transports: ['websocket'], auth: { number }, reconnection: false, forceNew: true });
  const heard = [];
  client.on('question', (text, answer) => answer(`${text} ${number}`));
  for (const event of ['all', 'room', 'told', 'bytes', 'joined', 'last']) {
    client.on(event, (...args) => heard.push([event, ...args.filter((arg) => !/^\d+-\d+$/.test(arg))])); // offsets of streams
  }
  await new Promise((resolve, reject) => client.once('connect', resolve).once('connect_error', reject));
  return { client, heard };
}

const servers = await Promise.all(range(2).map(startServer));
const ios = servers.map(({ io }) => io);
const clients = [];
for (const number of range(CLIENTS)) clients.push(await startClient(number));
const told = (number, event) => clients[number].heard.filter(([name]) => name === event).map(([, ...args]) => args);
const all = (event, count) => until(() => clients.every(({ heard }) => heard.filter(([name]) => name === event).length >= count));

// The servers have found one another, and those who read the stream wait for more.
for (const io of ios) await until(async () => (await io.of('/').adapter.serverCount()) === 2);
for (const io of ios) await until(async () => (await io.fetchSockets()).length === CLIENTS);
if (kind === 'sharded') {
  for (const room of ['even', 'odd']) await until(async () => (await redis.call('PUBSUB', 'SHARDNUMSUB', `socket.io#/#${room}#`))[1] === 2);
}
if (kind === 'streams') await until(async () => (await redis.info('clients')).includes('blocked_clients:2\r'));

// What both servers emit reaches each client once, and in the order of each server.
for (const n of range(MESSAGES)) ios.forEach((io, from) => io.emit('all', from, n));
await all('all', 2 * MESSAGES);
for (const number of range(CLIENTS)) {
  for (const from of range(2)) {
    assert.deepEqual(told(number, 'all').filter(([by]) => by === from), range(MESSAGES).map((n) => [from, n]));
  }
}

// Rooms, and everybody but one
for (const n of range(MESSAGES)) ios[n % 2].to(n % 4 < 2 ? 'even' : 'odd').emit('room', n);
ios[0].to('even').to('odd').emit('room', 'both');
await all('room', MESSAGES / 2 + 1);
for (const number of range(CLIENTS)) {
  const own = range(MESSAGES).filter((n) => (n % 4 < 2) === (number % 2 === 0));
  const [texts, numbers] = [told(number, 'room').flat().filter((n) => n === 'both'), told(number, 'room').flat().filter((n) => n !== 'both')];
  assert.deepEqual([texts, numbers.sort((a, b) => a - b)], [['both'], own]);
}
clients[0].client.emit('tell others', 'a secret');
await until(() => clients.slice(1).every(({ heard }) => heard.at(-1)[0] === 'told'));
const bytes = Buffer.from(range(256));
ios[1].except('odd').emit('bytes', { bytes });
await until(() => [0, 2, 4].every((number) => told(number, 'bytes').length));
assert.deepEqual(told(2, 'bytes'), [[{ bytes }]]);

// Servers ask one another, and all clients.
for (const [asker, other] of [[0, 1], [1, 0]]) {
  assert.deepEqual(await ios[asker].serverSideEmitWithAck('who are you', 'it asks'), [`it asks: server ${other}`]);
  const sockets = await ios[asker].fetchSockets();
  assert.deepEqual(sockets.map(({ data }) => data.number).sort(), range(CLIENTS));
  assert.ok(sockets.every(({ data, rooms }) => rooms.has(data.number % 2 ? 'odd' : 'even')));
  const answers = await ios[asker].timeout(ANSWER_MS).emitWithAck('question', 'number');
  assert.deepEqual(answers.sort(), range(CLIENTS).map((number) => `number ${number}`));
}

// Sockets join, and are sent away, wherever they are.
ios[1].in('even').socketsJoin('more');
await until(async () => (await ios[0].in('more').fetchSockets()).length === 3);
if (kind === 'sharded') await until(async () => (await redis.call('PUBSUB', 'SHARDNUMSUB', 'socket.io#/#more#'))[1] === 2);
ios[0].to('more').emit('joined');
await until(() => [0, 2, 4].every((number) => told(number, 'joined').length));
const gone = [1, 3, 5].map((number) => new Promise((resolve) => clients[number].client.once('disconnect', resolve)));
ios[0].in('odd').disconnectSockets();
assert.deepEqual(await Promise.all(gone), Array(3).fill('io server disconnect'));
ios[0].emit('last');
await until(() => [0, 2, 4].every((number) => told(number, 'last').length));

// Nobody was told anything twice, or what was not for him.
for (const number of range(CLIENTS)) {
  const isEven = number % 2 === 0;
  const counts = ['told', 'bytes', 'joined', 'last'].map((event) => told(number, event).length);
  assert.deepEqual(counts, [number === 0 ? 0 : 1, ...Array(3).fill(isEven ? 1 : 0)]);
  assert.deepEqual([told(number, 'all').length, told(number, 'room').length], [2 * MESSAGES, MESSAGES / 2 + 1]);
}

// A client that loses its connection goes on at another server, and is told what it has missed: the stream has it.
if (kind === 'streams') {
  const { client, heard } = clients[0];
  const before = heard.length;
  const sessions = async () => (await redis.keys('sio:session:*')).length;
  const kept = await sessions();
  client.io.engine.close();
  await until(async () => (await sessions()) > kept);
  for (const n of range(10)) ios[n % 2].emit('all', 'missed', n);
  await until(async () => (await redis.xlen('socket.io')) && clients[2].heard.filter(([, by]) => by === 'missed').length === 10);
  client.io.uri = servers[1].url;
  client.connect();
  await until(() => heard.length === before + 10);
  assert.ok(client.recovered);
  assert.deepEqual(heard.slice(before).map(([, , n]) => n).sort(), range(10));
}
process.exit(0); // it still waits for answers that could come

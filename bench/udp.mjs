/** How many datagrams a second one process sends and another receives, over veth between two namespaces. */

import { createSocket } from 'node:dgram';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { inRoot } from '../scripts/process.mjs';
import { answers, ip, linkExists } from './lib/network.mjs';
import { baselineProgram, pinned } from './lib/processes.mjs';
import { range, table, times } from './lib/tables.mjs';
import { figures, inTurn, median, undisturbed } from './lib/turns.mjs';

const port = 4242;
const address = '10.9.0.2';
const lengths = [1420, 64];
const self = fileURLToPath(import.meta.url);

const dgram = 'node:dgram';
const plainInC = 'C, sendmmsg and recvmmsg';
const segmentsInC = 'C, UDP_SEGMENT and UDP_GRO';
const plain = 'vnic, gso and gro off';
const ours = 'vnic';
/** The program in C of the same kind. */
const baselines = {
  [dgram]: plainInC,
  [plainInC]: plainInC,
  [plain]: plainInC,
  [segmentsInC]: segmentsInC,
  [ours]: segmentsInC,
};

export const title = 'UDP: datagrams per second from one process to another';
export const about =
  'Sender and receiver are pinned to a processor each and stand in two namespaces joined by veth, so that the ' +
  'receiving half of the stack runs on the processor of the sender. The sender never waits; counted is what the ' +
  'receiver gets. In brackets the ratio to the program in C of the same kind, and to node:dgram. Processor time is µs of the receiver ' +
  'for each datagram it gets. Without GSO and GRO each datagram passes the stack on its own, which is what bounds those rows.';

export async function run({ rounds, seconds }) {
  const kinds = Object.keys(baselines).map((name) => ({ name }));
  const results = await withPeer(() => inTurn(kinds, rounds, ({ name }) => measure(name, seconds)));
  const rate = (name, key) => {
    const thousands = figures(results, name, key).map((value) => value / 1000);
    return `${range(thousands)}k (${times(results, name, baselines[name], key)}, ${times(results, name, dgram, key)})`;
  };
  const us = (name, key) =>
    `${median(figures(results, name, key)).toFixed(2)} (${times(results, name, baselines[name], key)})`;
  return table(
    ['program', ...lengths.flatMap((length) => [`${length} bytes, datagrams/s`, 'CPU µs'])],
    kinds.map(({ name }) => [
      name,
      ...lengths.flatMap((length) => [rate(name, `rate${length}`), us(name, `us${length}`)]),
    ]),
  );
}

/** A namespace `peer` behind veth for as long as `work()` takes. */
async function withPeer(work) {
  ip('netns', 'add', 'peer');
  try {
    ip('link', 'add', 'bench0', 'type', 'veth', 'peer', 'name', 'bench1', 'netns', 'peer');
    ip('address', 'add', '10.9.0.1/24', 'dev', 'bench0');
    ip('link', 'set', 'bench0', 'up');
    ip('-n', 'peer', 'address', 'add', `${address}/24`, 'dev', 'bench1');
    ip('-n', 'peer', 'link', 'set', 'bench1', 'up');
    await answers(address);
    return await work();
  } finally {
    if (linkExists('bench0')) ip('link', 'delete', 'bench0');
    ip('netns', 'delete', 'peer');
  }
}

async function measure(name, seconds) {
  const programs = { send: baselineProgram('udp-send'), receive: baselineProgram('udp-receive') };
  const result = {};
  for (const length of lengths) {
    const { rate, us } = await undisturbed(() => transfer(commands(name, length, seconds, programs)));
    Object.assign(result, { [`rate${length}`]: rate, [`us${length}`]: us });
  }
  return result;
}

function commands(kind, length, seconds, { send, receive }) {
  const node = (role, offload) => [process.execPath, self, role, offload, String(length), String(seconds)];
  const segments = Math.min(64, Math.floor(65_487 / length));
  return {
    [dgram]: { send: node('send-dgram', '-'), receive: node('receive-dgram', '-') },
    [plainInC]: {
      send: [send, address, String(port), String(length), '1'],
      receive: [receive, String(port), String(seconds), '0'],
    },
    [segmentsInC]: {
      send: [send, address, String(port), String(length), String(segments)],
      receive: [receive, String(port), String(seconds), '1'],
    },
    [plain]: { send: node('send', 'off'), receive: node('receive', 'off') },
    [ours]: { send: node('send', 'auto'), receive: node('receive', 'auto') },
  }[kind];
}

/** Datagrams per second, and µs of the receiver for each. */
async function transfer({ send, receive }) {
  const receiver = pinned(1, ['ip', 'netns', 'exec', 'peer', ...receive], { stdio: ['ignore', 'pipe', 'inherit'] });
  const printed = text(receiver.child.stdout);
  const sender = pinned(0, send);
  try {
    const { datagrams, seconds, cpu } = JSON.parse(await printed);
    return { rate: datagrams / seconds, us: (cpu * 1e6) / datagrams };
  } finally {
    await sender.stop();
    await receiver.stop();
  }
}

// What follows runs in the processes that are measured.

const roles = {
  'send-dgram': sendByDgram,
  'receive-dgram': receiveByDgram,
  send: sendByVnic,
  receive: receiveByVnic,
};

if (process.argv[1] === self) {
  const [role, offload, length, seconds] = process.argv.slice(2);
  await roles[role]({ offload, length: Number(length), seconds: Number(seconds) });
}

function sendByDgram({ length }) {
  const socket = createSocket({ type: 'udp4', sendBufferSize: 1 << 20 });
  const datagram = Buffer.alloc(length);
  // A refused datagram is an error event: the receiver may not be there yet.
  socket.on('error', () => {});
  const burst = () => {
    for (let i = 0; i < 64; i++) socket.send(datagram);
    if (socket.getSendQueueCount() < 1000) setImmediate(burst);
    else setTimeout(burst, 1);
  };
  socket.connect(port, address, burst);
}

function receiveByDgram({ seconds }) {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  const count = counter(seconds, () => socket.close());
  socket.on('message', () => count(1));
  socket.bind(port);
}

async function sendByVnic({ offload, length }) {
  const { openUdp, UdpBatch } = await import(inRoot('dist/transport/index.js'));
  const socket = await openUdp({ remote: { address, port }, gso: offload, gro: offload });
  const batch = new UdpBatch({ capacity: 256, bytesLen: 256 * 2048 });
  while (batch.reserve(length) >= 0);
  const burst = () => {
    if (socket.send(batch) < batch.count) socket.writable().then(burst);
    else setImmediate(burst);
  };
  burst();
}

async function receiveByVnic({ offload, seconds }) {
  const { openUdp } = await import(inRoot('dist/transport/index.js'));
  const socket = await openUdp({ local: { address: '0.0.0.0', port }, gso: offload, gro: offload });
  const count = counter(seconds, () => socket.close());
  socket.onBatch((batch) => count(batch.count));
}

/** Counts from 0.3 s after the first datagram on, then prints and ends. */
function counter(seconds, end) {
  let datagrams = 0;
  let started = false;
  let beginMs = 0;
  let used;
  return (count) => {
    datagrams += count;
    if (started) return;
    started = true;
    setTimeout(() => {
      datagrams = 0;
      beginMs = performance.now();
      used = process.cpuUsage();
      setTimeout(() => {
        const { user, system } = process.cpuUsage(used);
        const result = { datagrams, seconds: (performance.now() - beginMs) / 1000, cpu: (user + system) / 1e6 };
        process.stdout.write(JSON.stringify(result));
        end();
      }, seconds * 1000);
    }, 300);
  };
}

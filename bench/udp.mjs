/** How many datagrams a second one process sends and another receives, over veth between two namespaces. */

import { createSocket } from 'node:dgram';
import { fileURLToPath } from 'node:url';

import { inRoot } from '../scripts/process.mjs';
import { baselineProgram, figures, inTurn, ip, linkExists, median, output, pinned, range, table } from './lib.mjs';

const port = 4242;
const address = '10.9.0.2';
const lengths = [1420, 64];
const self = fileURLToPath(import.meta.url);

export const title = 'UDP: datagrams per second from one process to another';
export const about =
  'Sender and receiver are pinned to a processor each and stand in two namespaces joined by veth, so that the ' +
  'receiving half of the stack runs on the processor of the sender. The sender never waits; counted is what the ' +
  'receiver gets. In brackets the ratio to node:dgram. Without GSO and GRO each datagram passes the stack on its own, ' +
  'which is what bounds all but the last two rows.';

export async function run({ rounds, seconds }) {
  const send = baselineProgram('udp-send');
  const receive = baselineProgram('udp-receive');
  const kinds = ['node:dgram', 'C, sendmmsg', 'vnic, gso and gro off', 'C, GSO and GRO', 'vnic'].map((name) => ({
    name,
  }));
  prepare();
  const results = await inTurn(kinds, rounds, async ({ name }) => {
    const figures = {};
    for (const length of lengths) figures[length] = await measure(commands(name, length, seconds, { send, receive }));
    return figures;
  });
  const [baseline] = kinds;
  const cell = (kind, length) => {
    const values = figures(results, kind, length).map((value) => value / 1000);
    const ratio = median(values) / (median(figures(results, baseline.name, length)) / 1000);
    return `${range(values)}k (${ratio.toFixed(2)}×)`;
  };
  return table(
    ['', ...lengths.map((length) => `${length} bytes, datagrams/s`)],
    kinds.map(({ name }) => [name, ...lengths.map((length) => cell(name, length))]),
  );
}

function prepare() {
  if (linkExists('bench0')) return;
  ip('netns', 'add', 'peer');
  ip('link', 'add', 'bench0', 'type', 'veth', 'peer', 'name', 'bench1', 'netns', 'peer');
  ip('addr', 'add', '10.9.0.1/24', 'dev', 'bench0');
  ip('link', 'set', 'bench0', 'up');
  ip('-n', 'peer', 'addr', 'add', `${address}/24`, 'dev', 'bench1');
  ip('-n', 'peer', 'link', 'set', 'bench1', 'up');
  output('ping', '-c', '1', '-W', '5', address);
}

function commands(kind, length, seconds, { send, receive }) {
  const node = (role, offload) => [process.execPath, self, role, offload, String(length), String(seconds)];
  const segments = Math.min(64, Math.floor(65_487 / length));
  return {
    'node:dgram': { send: node('send-dgram', '-'), receive: node('receive-dgram', '-') },
    'C, sendmmsg': {
      send: [send, address, String(port), String(length), '1'],
      receive: [receive, String(port), String(seconds), '0'],
    },
    'C, GSO and GRO': {
      send: [send, address, String(port), String(length), String(segments)],
      receive: [receive, String(port), String(seconds), '1'],
    },
    'vnic, gso and gro off': { send: node('send', 'off'), receive: node('receive', 'off') },
    vnic: { send: node('send', 'auto'), receive: node('receive', 'auto') },
  }[kind];
}

/** Datagrams per second. */
async function measure({ send, receive }) {
  const receiver = pinned(1, ['ip', 'netns', 'exec', 'peer', ...receive], { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  receiver.child.stdout.on('data', (text) => {
    printed += text;
  });
  const ended = new Promise((resolve) => receiver.child.once('close', resolve));
  const sender = pinned(0, send, { stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await ended;
  } finally {
    await sender.stop();
  }
  const { datagrams, seconds } = JSON.parse(printed);
  return datagrams / seconds;
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
  return (count) => {
    datagrams += count;
    if (started) return;
    started = true;
    setTimeout(() => {
      datagrams = 0;
      beginMs = performance.now();
      setTimeout(() => {
        process.stdout.write(JSON.stringify({ datagrams, seconds: (performance.now() - beginMs) / 1000 }));
        end();
      }, seconds * 1000);
    }, 300);
  };
}

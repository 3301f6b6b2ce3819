/** Reading alone and writing alone: batches, packet by packet, and Node's thread pool, beside a loop in C. */

import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';

import { inRoot } from '../scripts/process.mjs';
import { device as name, python } from './lib/echo-device.mjs';
import { ip } from './lib/network.mjs';
import { baselineProgram, nodeCommand, pinned, until } from './lib/processes.mjs';
import { table, times } from './lib/tables.mjs';
import { figures, inTurn, median, runnable, undisturbed } from './lib/turns.mjs';

const program = baselineProgram('tun-read-write');
const exec = baselineProgram('tun-exec', { folder: 'peers' });
const lengths = [64, 1400];

const library = new URL('../dist/index.js', import.meta.url).href;

/** The clock starts once V8 has compiled what is hot. */
const clock = (seconds) => `
  let packets = 0, begin = 0, used;
  const count = (more) => {
    packets += more;
    const now = performance.now();
    if (begin === 0) {
      if (packets < 20_000 && now < 2000) return true;
      [packets, begin, used] = [0, now, process.cpuUsage()];
    }
    if (now - begin < ${seconds * 1000}) return true;
    const { user, system } = process.cpuUsage(used);
    console.log(JSON.stringify({ packets, seconds: (now - begin) / 1000, cpu: (user + system) / 1e6 }));
    process.exit();
  };`;

const inTypeScript = (body, options) => (seconds, length) =>
  nodeCommand(`import { PacketBatch, TunDevice } from '${library}';
   ${clock(seconds)}
   const tun = await TunDevice.open(${JSON.stringify({ name, ...options })});
   const packet = Uint8Array.from(Buffer.from('${hexOf(length)}', 'hex'));
   ${body}`);

/** On a descriptor that another program has opened. */
const inPlainNode = (body) => (seconds, length) => {
  const command = nodeCommand(`import { read, readSync, write, writeSync } from 'node:fs';
   ${clock(seconds)}
   const packet = Buffer.from('${hexOf(length)}', 'hex');
   const buffer = Buffer.alloc(65_536);
   ${body}`);
  return [exec, name, ...command];
};

const inPython = (way) => (seconds, length) => [
  ...[python, inRoot('bench/peers/tun-read-write.py'), way, name, String(seconds), hexOf(length)],
];

const kinds = [
  {
    name: 'C, read and write',
    read: (seconds) => [program, 'read', name, String(seconds)],
    write: (seconds, length) => [program, 'write', name, String(seconds), String(length)],
  },
  { name: 'vnic, batches', ...batches() },
  { name: 'vnic, batches, no io_uring', ...batches({ io: 'readiness' }) },
  {
    name: 'vnic, packet by packet',
    read: inTypeScript(`
      let sum = 0;
      for await (const batch of tun) {
        for (const packet of batch) sum += packet[0];
        count(batch.count);
      }`),
    write: inTypeScript(`
      const turn = () => {
        for (let i = 0; i < 16; i++) {
          let taken = 0;
          for (let j = 0; j < 64; j++) taken += tun.write(packet);
          count(taken);
        }
        setImmediate(turn);
      };
      turn();`),
  },
  {
    name: 'Node, fs.readSync and writeSync',
    read: inPlainNode('for (;;) { readSync(3, buffer, 0, buffer.length, null); count(1); }'),
    write: inPlainNode('for (;;) { writeSync(3, packet, 0, packet.length, null); count(1); }'),
  },
  {
    name: 'Node, fs.read and write',
    read: inPlainNode(`
      const next = () => read(3, buffer, 0, buffer.length, null, (error) => { if (!error) { count(1); next(); } });
      next();`),
    write: inPlainNode(`
      const next = () => write(3, packet, 0, packet.length, null, (error) => { if (!error) { count(1); next(); } });
      next();`),
  },
  {
    name: 'Python, read and write',
    read: inPython('read'),
    write: inPython('write'),
    missing: existsSync(python) ? undefined : 'which is not installed',
  },
];

function batches(options) {
  const read = 'tun.onBatch((batch) => { count(batch.count); });';
  const write = `
    const batch = new PacketBatch();
    while (batch.append(packet));
    const turn = () => { for (let i = 0; i < 16; i++) count(tun.write(batch)); setImmediate(turn); };
    turn();`;
  return { read: inTypeScript(read, options), write: inTypeScript(write, options) };
}

export const title = 'Reading alone and writing alone';
export const about =
  'Packets a second and, in brackets, processor µs a packet, kernel included. The program has a processor of its ' +
  'own. Read: an AF_PACKET socket on the other processor fills the device as fast as it can, which is what limits ' +
  'the fast readers; what tells them apart is the processor time. Written packets are dropped by the kernel for want ' +
  "of a route. `fs.read` and `write` go through Node's thread pool, as npm packages for TUN do that have no reader of their own.";

export async function run({ rounds, seconds }) {
  ip('tuntap', 'add', name, 'mode', 'tun');
  ip('link', 'set', name, 'up');
  try {
    const present = runnable(kinds);
    const results = await inTurn(present, rounds, (kind) => measure(kind, seconds));
    return table(
      ['program', ...['read', 'write'].flatMap((way) => lengths.map((length) => `${way} ${length} bytes`))],
      present.map((kind) => [
        kind.name,
        ...['read', 'write'].flatMap((way) => lengths.map((length) => cell(results, kind, `${way}${length}`))),
      ]),
    );
  } finally {
    ip('link', 'delete', name);
  }
}

function cell(results, kind, key) {
  const [baseline] = kinds;
  const rate = Math.round(median(figures(results, kind.name, `${key}Rate`)) / 1000);
  const cpu = median(figures(results, kind.name, `${key}Us`)).toFixed(2);
  const against = (of) => times(results, kind.name, baseline.name, `${key}${of}`);
  return `${rate}k, ${against('Rate')} (${cpu} µs, ${against('Us')})`;
}

async function measure(kind, seconds) {
  const result = {};
  for (const length of lengths) {
    for (const way of ['read', 'write']) {
      const {
        packets,
        seconds: took,
        cpu,
      } = await undisturbed(() => runProgram(way, kind[way](seconds, length), length));
      result[`${way}${length}Rate`] = packets / took;
      result[`${way}${length}Us`] = (cpu * 1e6) / packets;
    }
  }
  return result;
}

async function runProgram(way, command, length) {
  await until(() => !attached());
  const measured = pinned(1, command, { stdio: ['ignore', 'pipe', 'inherit'] });
  const printed = text(measured.child.stdout);
  let load;
  try {
    if (way === 'read') {
      await until(attached);
      load = pinned(0, [program, 'blast', name, '30', String(length)]);
    }
    await once(measured.child, 'exit');
    return JSON.parse(await printed);
  } finally {
    await load?.stop();
    await measured.stop();
  }
}

/** Whether a program holds the device: without one it has no carrier. */
function attached() {
  return readFileSync(`/sys/class/net/${name}/carrier`, 'utf8').trim() === '1';
}

/** A UDP packet of that length to an address that nobody has, as the program in C writes it. */
function hexOf(length) {
  const packet = Buffer.alloc(length);
  packet.set([0x45, 0, length >> 8, length & 255, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 198, 51, 100, 1]);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += packet.readUInt16BE(at);
  packet.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 10);
  packet.set([0, 9, 0, 9, (length - 20) >> 8, (length - 20) & 255], 20);
  return packet.toString('hex');
}

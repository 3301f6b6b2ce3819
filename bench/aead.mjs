/** How fast packets are sealed and opened: each backend beside C that calls EVP in a loop. */

import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto';
import { createRequire } from 'node:module';

import { AeadLayout, aeadBackends, createAead } from '../dist/crypto/index.js';
import { inRoot } from '../scripts/process.mjs';
import { baselineProgram } from './lib/processes.mjs';
import { table, times } from './lib/tables.mjs';
import { figures, inTurn, median, undisturbed } from './lib/turns.mjs';

/** Runs inside of node, so that it finds the same OpenSSL. */
const program = createRequire(import.meta.url)(
  baselineProgram('aead', {
    flags: ['-shared', '-fPIC', `-I${inRoot('node_modules/node-api-headers/include')}`],
    suffix: '.node',
  }),
);
const header = 16;
const layout = new AeadLayout({ payloadOffset: header, counter: { offset: 8, length: 8 }, tag: 'end' });
const sizes = [64, 1420, 16_384];
const ways = ['seal', 'both'];
const names = { 'chacha20-poly1305': 'ChaCha20-Poly1305', 'aes-256-gcm': 'AES-256-GCM' };
const batchLength = 64;

const kinds = Object.keys(names).flatMap((algorithm) => [
  { name: `${algorithm} C`, algorithm, what: 'C, EVP in a loop', measure: inC },
  ...aeadBackends()[algorithm].map((backend) => ({
    name: `${algorithm} ${backend}`,
    algorithm,
    what: backend === 'node' ? 'vnic, node:crypto as fallback' : `vnic, ${backend}`,
    backend,
    measure: inBatches,
  })),
  { name: `${algorithm} once`, algorithm, what: 'node:crypto, once a packet', measure: oncePerPacket },
]);

/** Bytes of payload in a call, and calls that run at a time. */
const poolKinds = [64 * 1420, 1024 * 1420, 1024 * 16_384].flatMap((bytes) => [
  { name: `${bytes} calling`, bytes, what: 'on the calling thread', measure: onCallingThread },
  { name: `${bytes} pool`, bytes, what: 'on the pool, one after the other', lanes: 1, measure: onPool },
  { name: `${bytes} pool 2`, bytes, what: 'on the pool, two keys at a time', lanes: 2, measure: onPool },
]);

export const title = 'AEAD: packets sealed and opened in place';
export const about =
  `Batches of ${batchLength} packets, 16 bytes of header, no associated data, nonce from a counter. Cells: thousand ` +
  'packets in a second of processor time, GB/s of payload, ratio to the loop in C. That one has a context for each key and ' +
  `calls the same OpenSSL as all the others, the one inside node (${program.version}).`;

export async function run({ rounds, seconds }) {
  const results = await inTurn(kinds, rounds, async (kind) => {
    const result = {};
    for (const size of sizes) {
      for (const way of ways) {
        result[`${way}${size}`] = await undisturbed(() => kind.measure(kind, size, way === 'both', seconds / 4));
      }
    }
    return result;
  });
  const cell = ({ name, algorithm }, size, way) => {
    const rate = median(figures(results, name, `${way}${size}`));
    const against = times(results, name, `${algorithm} C`, `${way}${size}`);
    return `${Math.round(rate / 1000)}k, ${((rate * size) / 1e9).toFixed(2)} (${against})`;
  };
  const head = ['algorithm', 'by', ...sizes.flatMap((size) => [`${size} bytes: seal`, 'seal and open'])];
  const rows = kinds.map((kind) => [
    names[kind.algorithm],
    kind.what,
    ...sizes.flatMap((size) => ways.map((way) => cell(kind, size, way))),
  ]);
  return `${table(head, rows)}\n${await runPool(rounds, seconds)}`;
}

async function runPool(rounds, seconds) {
  const measure = async (kind) => ({ rate: await undisturbed(() => kind.measure(kind, seconds / 2)) });
  const results = await inTurn(poolKinds, rounds, measure, 'threads');
  const rows = poolKinds.map(({ name, bytes, what }) => {
    const gigabytes = median(figures(results, name, 'rate')) / 1e9;
    const against = times(results, name, `${bytes} calling`, 'rate');
    return [`${Math.round(bytes / 1000)} kB`, what, `${gigabytes.toFixed(2)} (${against})`];
  });
  return [
    'Sealing on another thread, ChaCha20-Poly1305, by the clock on the wall:',
    '',
    table(['payload in a call', 'where', 'GB/s'], rows),
  ].join('\n');
}

function inC({ algorithm }, size, opening, seconds) {
  const { packets, seconds: took } = program.run(names[algorithm], size, seconds, opening);
  return packets / took;
}

/** Calls `step`, which handles so many packets, for a while; packets in a second of processor time. */
function repeat(seconds, packets, step) {
  const cpuSeconds = () => process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6;
  const once = () => {
    const start = performance.now();
    for (let i = 0; i < 8; i++) step();
    return performance.now() - start;
  };
  once(); // V8 gets its chance to compile before the clock runs
  const start = cpuSeconds();
  let done = 0;
  while (cpuSeconds() - start < seconds) {
    for (let ms = 0; ms < 5; done += 8 * packets) ms += once();
  }
  return done / (cpuSeconds() - start);
}

function inBatches({ algorithm, backend }, size, opening, seconds) {
  const key = createAead({ algorithm, key: new Uint8Array(32), backend });
  const { bytes, descriptors } = memory(batchLength, size);
  let counter = 0;
  const rate = repeat(seconds, batchLength, () => {
    key.sealBatch(bytes, descriptors, 0, batchLength, layout, counter);
    counter += batchLength;
    if (opening) key.openBatch(bytes, descriptors, 0, batchLength, layout);
    else resetLengths(descriptors, size);
  });
  key.close();
  return rate;
}

function oncePerPacket({ algorithm }, size, opening, seconds) {
  const key = createSecretKey(new Uint8Array(32));
  const packet = Buffer.alloc(size);
  const nonce = Buffer.alloc(12);
  const options = { authTagLength: 16 };
  let counter = 0;
  return repeat(seconds, 1, () => {
    nonce.writeUInt32LE(++counter, 4);
    const sealing = createCipheriv(algorithm, key, nonce, options);
    const sealed = sealing.update(packet);
    sealing.final();
    const tag = sealing.getAuthTag();
    if (!opening) return;
    const decipher = createDecipheriv(algorithm, key, nonce, options);
    decipher.setAuthTag(tag);
    decipher.update(sealed);
    decipher.final();
  });
}

/** Bytes sealed in a second on the wall. */
async function onCallingThread({ bytes }, seconds) {
  return sealFor(seconds, bytes, async (key, { bytes, descriptors }, count, counter) =>
    key.sealBatch(bytes, descriptors, 0, count, layout, counter),
  );
}

async function onPool({ bytes, lanes }, seconds) {
  const lane = () =>
    sealFor(seconds, bytes, (key, { bytes, descriptors }, count, counter) =>
      key.sealBatchAsync(bytes, descriptors, 0, count, layout, counter),
    );
  const rates = await Promise.all(Array.from({ length: lanes }, lane));
  return rates.reduce((sum, rate) => sum + rate, 0);
}

async function sealFor(seconds, bytesInCall, seal) {
  const key = createAead({ algorithm: 'chacha20-poly1305', key: new Uint8Array(32) });
  const size = bytesInCall % 16_384 === 0 ? 16_384 : 1420;
  const count = bytesInCall / size;
  const packets = memory(count, size);
  let counter = 0;
  const start = performance.now();
  while (performance.now() - start < seconds * 1000) {
    await seal(key, packets, count, counter);
    counter += count;
    resetLengths(packets.descriptors, size);
  }
  key.close();
  return (counter * size) / ((performance.now() - start) / 1000);
}

function memory(count, size) {
  const slot = (header + size + 16 + 7) & ~7;
  const bytes = new Uint8Array(new SharedArrayBuffer(slot * count));
  const descriptors = new Uint32Array(new SharedArrayBuffer(count * 16));
  for (let i = 0; i < count; i++) descriptors[i * 4] = i * slot;
  resetLengths(descriptors, size);
  return { bytes, descriptors };
}

function resetLengths(descriptors, size) {
  for (let at = 1; at < descriptors.length; at += 4) descriptors[at] = header + size;
}

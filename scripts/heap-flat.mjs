/**
 * Answers pings on a TUN device at full speed, and holds memory to a flat line: nothing is allocated per packet.
 *
 *   node scripts/heap-flat.mjs                       100 million packets
 *   node scripts/heap-flat.mjs --packets 3000000
 *   node scripts/heap-flat.mjs --minutes 60          as many as come in that time
 *
 * bench/baseline/echo-load.c keeps 256 ICMP echo requests outstanding, the responder of vnic answers them. After every
 * twentieth part, garbage is collected and memory looked at, while packets go on. Through the samples, but the first
 * ones, goes a straight line: its rise over the whole run must be within what one-off allocations explain. What V8 has
 * allocated, and what its minor collections have cost, is taken from V8 itself, and must be next to nothing per packet.
 * Prints a table, and a line of JSON; ends with status 1 when a line rises. Everything happens in namespaces that go with it.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { GCProfiler } from 'node:v8';

import { compileProgram } from './build-native.mjs';
import { inNamespaces, namespaceHint } from './namespaces.mjs';
import { fail, runProgram } from './process.mjs';
import { setup } from './setup.mjs';

const { values } = parseArgs({
  options: {
    packets: { type: 'string', default: '100000000' },
    minutes: { type: 'string' },
    inside: { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes ?? Number.POSITIVE_INFINITY);
const packets = values.minutes === undefined ? Number(values.packets) : Number.POSITIVE_INFINITY;
if (!(minutes > 0) || !(packets > 0)) fail('--packets and --minutes take numbers');

const MIB = 2 ** 20;
const SAMPLES = 20;
/** V8 compiles, and malloc finds its size. */
const WARM_UP_SAMPLES = 4;
/** Rises that are no leak, in bytes over the run: compiled code and its feedback; malloc's and V8's pages. */
const allowedRise = { heapUsed: MIB / 4, external: MIB / 8, arrayBuffers: 0, rss: 8 * MIB };
/** A turn of the event loop allocates a little, whatever number of packets it brings. A packet costs 2500 ns. */
const ALLOWED_BYTES_PER_PACKET = 16;
const ALLOWED_MINOR_NS_PER_PACKET = 10;
const NAME = 'flat0';

async function startInside() {
  await setup();
  const wrapped = inNamespaces([process.execPath, '--expose-gc', ...process.argv.slice(1), '--inside']);
  if (wrapped.command === undefined) fail(`it needs a network namespace: ${wrapped.reason}`, namespaceHint);
  process.exitCode = await runProgram(wrapped.command);
}

async function measure() {
  const { attachResponder, Cidr, createResponder, IpAddress, openDevice, systemClock } = await import(
    '../dist/index.js'
  );
  const device = await openDevice({ kind: 'tun', name: NAME, addresses: ['10.9.0.1/24'], up: true });
  const except = [IpAddress.parse('10.9.0.1')];
  const responder = createResponder({ medium: device.medium, answer: [Cidr.parse('10.9.0.0/24')], except });
  attachResponder(device, responder, systemClock);
  const load = spawn(compileProgram('bench/baseline/echo-load.c'), ['10.9.0.2', '256', '1000000'], { stdio: 'ignore' });
  process.once('exit', () => load.kill('SIGKILL'));
  const ended = once(load, 'exit').then(() => fail('the load ended by itself'));
  const samples = await Promise.race([takeSamples(device), ended]);
  return samples;
}

async function takeSamples(device) {
  const startMs = performance.now();
  const samples = [];
  for (let i = 1; i <= SAMPLES; i++) {
    const profiler = new GCProfiler();
    globalThis.gc();
    const before = { heapUsed: process.memoryUsage().heapUsed, packets: device.counters.packetsRead };
    profiler.start();
    const isDone = () =>
      device.counters.packetsRead >= (packets * i) / SAMPLES ||
      performance.now() - startMs >= (minutes * 60_000 * i) / SAMPLES;
    while (!isDone()) await delay(20);
    const { heapUsed } = process.memoryUsage();
    const read = device.counters.packetsRead;
    const collections = profiler.stop().statistics;
    samples.push({
      packets: read,
      seconds: (performance.now() - startMs) / 1000,
      ...allocation(collections, before.heapUsed, heapUsed, read - before.packets),
      ...memoryAfterCollection(),
    });
  }
  return samples;
}

/** Bytes that V8 allocated and time that its minor collections took, per packet. */
function allocation(collections, firstUsed, lastUsed, count) {
  let used = firstUsed;
  let bytes = 0;
  let minorUs = 0;
  for (const { gcType, cost, beforeGC, afterGC } of collections) {
    bytes += beforeGC.heapStatistics.usedHeapSize - used;
    used = afterGC.heapStatistics.usedHeapSize;
    if (gcType === 'Scavenge' || gcType.startsWith('Minor')) minorUs += cost;
  }
  bytes += lastUsed - used;
  return {
    minorCollections: collections.length,
    bytesPerPacket: bytes / count,
    minorNsPerPacket: (minorUs * 1000) / count,
  };
}

function memoryAfterCollection() {
  globalThis.gc();
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
  return { heapUsed, external, arrayBuffers, rss };
}

/** Rise over the whole range of x of the line through the points, by least squares. */
function rise(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(([at]) => at)), mean(points.map(([, value]) => value))];
  const covariance = mean(points.map(([at, value]) => (at - x) * (value - y)));
  const variance = mean(points.map(([at]) => (at - x) ** 2));
  const first = points[0]?.[0] ?? 0;
  return (covariance / variance) * ((points.at(-1)?.[0] ?? 0) - first);
}

function judge(samples) {
  const settled = samples.slice(WARM_UP_SAMPLES);
  const last = samples.at(-1);
  const since = settled[0];
  const memory = Object.entries(allowedRise).map(([what, allowed]) => {
    const rises = rise(settled.map((sample) => [sample.packets, sample[what]]));
    return { what, start: since[what], end: last[what], rise: Math.round(rises), allowed, flat: rises <= allowed };
  });
  const median = (key) => settled.map((sample) => sample[key]).sort((a, b) => a - b)[settled.length >> 1];
  const perPacket = [
    { what: 'bytes allocated', value: median('bytesPerPacket'), allowed: ALLOWED_BYTES_PER_PACKET },
    { what: 'ns of minor collections', value: median('minorNsPerPacket'), allowed: ALLOWED_MINOR_NS_PER_PACKET },
  ];
  const flat = memory.every((line) => line.flat) && perPacket.every(({ value, allowed }) => value <= allowed);
  return { packets: last.packets, seconds: last.seconds, flat, memory, perPacket };
}

function show({ packets: count, seconds, flat, memory, perPacket }, samples) {
  const row = (...cells) => `${cells.map((cell, i) => (i === 0 ? cell.padStart(10) : cell.padStart(14))).join('')}\n`;
  const mib = (bytes) => (bytes / MIB).toFixed(3);
  process.stdout.write(row('packets', 'heap MiB', 'external', 'arrayBuffers', 'rss', 'B/packet', 'minor ns'));
  for (const sample of samples) {
    const { heapUsed, external, arrayBuffers, rss, bytesPerPacket, minorNsPerPacket } = sample;
    const sizes = [heapUsed, external, arrayBuffers, rss].map(mib);
    process.stdout.write(row(`${sample.packets}`, ...sizes, bytesPerPacket.toFixed(2), minorNsPerPacket.toFixed(2)));
  }
  for (const { what, rise: rises, allowed, flat: ok } of memory) {
    const limit = `allowed ${allowed}`;
    process.stdout.write(`${what}: ${rises} bytes over ${count} packets, ${limit}: ${ok ? 'flat' : 'RISES'}\n`);
  }
  for (const { what, value, allowed } of perPacket) {
    process.stdout.write(`${what} per packet: ${value.toFixed(2)}, allowed ${allowed}\n`);
  }
  const rate = Math.round(count / seconds);
  process.stdout.write(`${flat ? 'flat' : 'NOT FLAT'} over ${count} packets, ${rate} a second\n`);
}

if (values.inside) {
  const samples = await measure();
  const verdict = judge(samples);
  show(verdict, samples);
  process.stdout.write(`${JSON.stringify(verdict)}\n`);
  process.exit(verdict.flat ? 0 : 1);
} else await startInside();

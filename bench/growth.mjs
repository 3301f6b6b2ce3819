/** What a packet costs as packets and devices grow, and what the cost consists of. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';

import {
  baselineProgram,
  cpuSeconds,
  echoReplies,
  echoResponder,
  figures,
  inTurn,
  ip,
  linkExists,
  median,
  output,
  pinned,
  range,
  ratio,
  table,
  until,
} from './lib.mjs';

const load = baselineProgram('echo-load');
const inC = { name: 'C', command: [baselineProgram('tun-echo'), 'bench0'] };
const inTypeScript = { name: 'vnic, the same in a batch handler', command: echoResponder({ lean: true }), ipc: true };
const verifying = { name: 'vnic, responder', command: echoResponder(), ipc: true };

/** ICMP header and payload; the last makes an IP packet of 64 KiB. */
const lengths = [64, 256, 1024, 4096, 16_384, 65_515];
const deviceCounts = [1, 10, 100];

export const title = 'Growth: from 64 bytes to 64 KiB, from one device to a hundred, and what an echo consists of';
export const about =
  'Echo with 64 requests outstanding, the responder on a processor of its own. Processor time in µs an echo, kernel ' +
  'included. The batch handler does what the program in C does; the responder also verifies the checksum over every ' +
  'byte. With a hundred devices the 64 requests find no batch to share: each packet pays its own wake-up. ' +
  'Between 4 and 16 KiB some runs cost ten times as much as others, with C as with vnic; read the ratios there with their ranges.';

export async function run({ rounds, seconds }) {
  const duration = Math.max(0.5, seconds / 2);
  const sizes = await inTurn([inC, inTypeScript, verifying], rounds, (kind) => measureLengths(kind, duration));
  const counts = deviceCounts.map((count) => ({
    name: String(count),
    command: echoResponder({ devices: count, lean: true }),
    ipc: true,
    devices: count,
  }));
  const devices = await inTurn(counts, rounds, (kind) => measureDevices(kind, duration));
  const parts = await inTurn([inTypeScript, verifying], rounds, (kind) => measureParts(kind, Math.max(1, seconds)));
  return [sizeTable(sizes), deviceTable(counts, devices), partsTable(parts)].join('\n');
}

function sizeTable(results) {
  const cell = (kind, length) => {
    const shown = range(figures(results, kind.name, `us${length}`), 2);
    return kind === inC ? shown : `${shown} (${ratio(results, kind.name, inC.name, `us${length}`).toFixed(2)}×)`;
  };
  return table(
    ['µs an echo', ...lengths.map((length) => `${length} bytes`)],
    [inC, inTypeScript, verifying].map((kind) => [kind.name, ...lengths.map((length) => cell(kind, length))]),
  );
}

function deviceTable(counts, results) {
  const [one] = counts;
  return table(
    ['devices in one process', 'µs an echo', 'echo/s', 'resident MiB'],
    counts.map(({ name }) => [
      name,
      `${range(figures(results, name, 'us'), 2)} (${ratio(results, name, one.name, 'us').toFixed(2)}×)`,
      `${Math.round(median(figures(results, name, 'rate')) / 1000)}k`,
      range(figures(results, name, 'mib')),
    ]),
  );
}

function partsTable(results) {
  const cell = (kind, part) => {
    const us = median(figures(results, kind.name, part));
    const share = (us / median(figures(results, kind.name, 'total'))) * 100;
    return `${us.toFixed(3)} (${share.toFixed(1)} %)`;
  };
  const parts = [
    ['kernel', 'kernel'],
    ['native', 'native'],
    ['JavaScript', 'script'],
    ['garbage collection', 'gc'],
  ];
  return (
    'The parts of an echo of 64 bytes, of a run under the sampling profiler of V8, which adds some. Kernel: system time ' +
    'of the process. JavaScript and garbage collection: samples. Native: the rest of the user time, that is the core ' +
    `in C, libc, libuv and what V8 does between them.\n\n${table(
      ['part, µs an echo', inTypeScript.name, verifying.name],
      parts.map(([label, part]) => [label, cell(inTypeScript, part), cell(verifying, part)]),
    )}`
  );
}

async function measureLengths(kind, seconds) {
  return await withResponder(kind, ({ pid }) => {
    const result = {};
    for (const length of lengths) result[`us${length}`] = cost(pid, { length, seconds }).us;
    return result;
  });
}

async function measureDevices(kind, seconds) {
  return await withResponder(kind, ({ pid }) => {
    const { us, rate } = cost(pid, { seconds, networks: kind.devices });
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return { us, rate, mib: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024 };
  });
}

async function measureParts(kind, seconds) {
  return await withResponder(kind, async ({ child }) => {
    child.send('profile-start');
    const { replies } = echoReplies(load, { seconds });
    const told = once(child, 'message');
    child.send('profile-stop');
    const [{ user, system, script, gc }] = await told;
    const us = { kernel: system, native: user - script - gc, script, gc, total: user + system };
    return Object.fromEntries(Object.entries(us).map(([part, value]) => [part, value / replies]));
  });
}

function cost(pid, options) {
  echoReplies(load, { ...options, seconds: 0.3 }); // V8 gets its chance to compile before the clock runs
  const before = cpuSeconds(pid);
  const { replies, seconds } = echoReplies(load, options);
  return { us: ((cpuSeconds(pid) - before) * 1e6) / replies, rate: replies / seconds };
}

async function withResponder(kind, work) {
  const stdio = ['ignore', 'ignore', 'inherit', ...(kind.ipc ? ['ipc'] : [])];
  const responder = pinned(1, kind.command, { stdio });
  try {
    if (kind.ipc) await once(responder.child, 'message');
    await until(() => linkExists('bench0'));
    if (!kind.ipc) ip('address', 'add', '10.9.0.1/24', 'dev', 'bench0');
    ip('link', 'set', 'bench0', 'mtu', '65535', 'up');
    await until(() => output('ping', '-c', '1', '-W', '1', '10.9.0.2') !== undefined);
    return await work(responder);
  } finally {
    await responder.stop();
    await until(() => !linkExists('bench0'));
  }
}

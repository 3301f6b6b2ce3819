/**
 * Several queues and offload together: TCP through a wire of two multi-queue devices, a worker a queue.
 *
 *   near ns -veth- v0  this ns, routes by rules  v1 -veth- far ns
 *                   |                            |
 *                   +-> a =[wire of workers]= b <-+
 *
 * Both devices stay in this namespace, so that queues come and go while traffic runs.
 */

import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { getLinkSync } from '../../src/netlink/index.ts';
import {
  loadSteeringProgram,
  openQueues,
  type QueueWorker,
  type QueueWorkers,
  runInWorkers,
  steerToQueue,
} from '../../src/queues/index.ts';
import type { CarrierOptions, OffloadInfo } from '../../src/tun/index.ts';
import { requirePrivateNetns } from './private-netns.ts';

const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8' });
const ip = (...args: string[]): string => run('ip', ...args);
const until = (condition: () => void): Promise<void> => vi.waitFor(condition, { timeout: 20_000, interval: 5 });

const ends = [
  { namespace: 'qnear', veth: 'qv0', table: '100' },
  { namespace: 'qfar', veth: 'qv1', table: '101' },
] as const;
const FAR = { 4: '10.8.1.2', 6: 'fd08:1::2' } as const;

const setForwarding = (value: '0' | '1'): void => {
  for (const path of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) writeFileSync(`/proc/sys/net/${path}`, value);
};

beforeAll(() => {
  requirePrivateNetns();
  setForwarding('1');
  for (const [i, { namespace, veth, table }] of ends.entries()) {
    ip('netns', 'add', namespace);
    ip('link', 'add', veth, 'numrxqueues', '1', 'type', 'veth', 'peer', 'name', 'eth', 'netns', namespace);
    ip('addr', 'add', `10.8.${i}.1/24`, 'dev', veth);
    ip('-6', 'addr', 'add', `fd08:${i}::1/64`, 'dev', veth, 'nodad');
    // One queue with NAPI: else what a sender sends from one CPU may overtake what it has sent from another.
    run('ethtool', '-K', veth, 'gro', 'on');
    ip('link', 'set', veth, 'up');
    const there = ['-n', namespace];
    ip(...there, 'addr', 'add', `10.8.${i}.2/24`, 'dev', 'eth');
    ip(...there, '-6', 'addr', 'add', `fd08:${i}::2/64`, 'dev', 'eth', 'nodad');
    ip(...there, 'link', 'set', 'eth', 'up');
    ip(...there, 'link', 'set', 'lo', 'up');
    ip(...there, 'route', 'add', 'default', 'via', `10.8.${i}.1`);
    ip(...there, '-6', 'route', 'add', 'default', 'via', `fd08:${i}::1`);
    for (const family of ['-4', '-6']) ip(family, 'rule', 'add', 'iif', veth, 'lookup', table, 'pref', '10');
  }
});

const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

afterAll(() => {
  setForwarding('0');
  for (const { namespace, veth, table } of ends) {
    for (const family of ['-4', '-6']) ip(family, 'rule', 'del', 'iif', veth, 'lookup', table);
    ip('link', 'del', veth);
    ip('netns', 'del', namespace);
  }
});

/** Echoes whatever it is sent. */
const echoServer = `import { createServer } from 'node:net';
  createServer((socket) => socket.on('error', () => undefined).pipe(socket))
    .listen({ port: 5000, host: '::' }, () => console.log('ready'));`;

/**
 * Sends bytes of its own on each connection, in pieces of all sizes, and compares what comes back: `least` bytes, and on
 * until its input ends, `most` at most.
 */
const echoClient = (address: string, flows: number, least: number, most: number): string => `
  import { createCipheriv, createHash } from 'node:crypto'; import { connect } from 'node:net';
  let isOver = false;
  process.stdin.on('end', () => { isOver = true; }).resume();
  const flow = (number) => new Promise((resolve, reject) => {
    const socket = connect({ port: 5000, host: '${address}' });
    const [sent, back] = [createHash('sha256'), createHash('sha256')];
    let [length, sentLength] = [0, 0];
    socket.on('data', (data) => { back.update(data); length += data.length; });
    socket.on('end', () => resolve(length === sentLength && sent.digest('hex') === back.digest('hex')));
    socket.on('error', reject);
    socket.on('connect', async () => {
      const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16, number + 1), Buffer.alloc(16));
      const goesOn = () => sentLength < ${least} || (!isOver && sentLength < ${most});
      for (let size = 1; goesOn(); size = (size * 7 + 3) % 100000 + 1) {
        const piece = stream.update(Buffer.alloc(size));
        sentLength += piece.length; sent.update(piece);
        if (!socket.write(piece)) await new Promise((go) => socket.once('drain', go));
      }
      socket.end();
    });
  });
  const same = await Promise.all(Array.from({ length: ${flows} }, (_, number) => flow(number)));
  console.log(same.filter(Boolean).length);
  process.exit();`;

interface Program {
  readonly lines: readonly string[];
  readonly ended: Promise<unknown>;
  endInput(): void;
  kill(): void;
}

/** Runs a program in a namespace. */
function start(namespace: string, code: string): Program {
  const { LD_PRELOAD: _, ...env } = process.env;
  const argv = ['netns', 'exec', namespace, process.execPath, '--input-type=module', '-e', code];
  const child = spawn('ip', argv, { stdio: ['pipe', 'pipe', 'inherit'], env });
  const lines: string[] = [];
  child.stdout.on('data', (data: Buffer) => lines.push(...data.toString().trim().split('\n')));
  const ended = new Promise((resolve) => child.once('close', resolve));
  return { lines, ended, endInput: () => child.stdin.end(), kill: () => child.kill('SIGKILL') };
}

/** On how many of the connections exactly that came back what was sent, which goes on until `meanwhile` is done. */
async function echo(version: 4 | 6, flows: number, meanwhile: () => Promise<void> = async () => {}): Promise<number> {
  const server = start('qfar', echoServer);
  try {
    await until(() => expect(server.lines).toEqual(['ready']));
    const client = start('qnear', echoClient(FAR[version], flows, 1 << 20, 500 << 20));
    try {
      await meanwhile();
      client.endInput();
      await client.ended;
    } finally {
      client.kill();
    }
    return Number(client.lines[0]);
  } finally {
    server.kill();
    await server.ended;
  }
}

interface WireReport {
  readonly checked: number;
  readonly backwards: number;
  readonly longest: number;
  readonly flows: readonly string[];
  readonly a: OffloadInfo;
  readonly b: OffloadInfo;
}

/** Asks a worker something; it answers each message with what it has seen. */
function ask(workers: QueueWorkers, worker: QueueWorker, message: string): Promise<WireReport> {
  return new Promise((resolve) => {
    const stop = workers.on('message', (answer) => {
      if (answer.index !== worker.index) return;
      stop();
      resolve(answer.message as WireReport);
    });
    worker.postMessage(message);
  });
}

const running = (workers: QueueWorkers): QueueWorker[] => workers.workers.filter(({ state }) => state === 'ready');

const reportsOf = (workers: QueueWorkers, message: 'report' | 'forget' = 'report'): Promise<WireReport[]> =>
  Promise.all(running(workers).map((worker) => ask(workers, worker, message)));

/** Waits for traffic to go on. */
async function morePackets(workers: QueueWorkers): Promise<void> {
  const from = workers.counters.packetsRead;
  await until(() => expect(workers.counters.packetsRead - from).toBeGreaterThan(30));
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/**
 * In order, but for what the kernel hands to the device out of order: a sender under load that moves from one CPU to the
 * other, as tcpdump on the device shows too. That queues keep the exact order is tested with datagrams, in queues.test.ts.
 */
function expectOrder(all: readonly WireReport[]): void {
  const checked = sum(all.map((report) => report.checked));
  expect(checked).toBeGreaterThan(300);
  expect(sum(all.map(({ backwards }) => backwards)) / checked).toBeLessThan(0.01);
}

type Kind = 'tun' | 'tap';

/** Devices `qa` and `qb`, with `queues` workers between them. */
async function openWire(
  kind: Kind,
  offload: CarrierOptions,
  queues: number,
  offloadOfOther = offload,
): Promise<QueueWorkers> {
  // Keeps the second device while workers come and go, and settles its offload.
  const other = await openQueues({ kind, name: 'qb', queues: 1, ...offloadOfOther });
  opened.push(other);
  other.detach(0);
  const workers = await runInWorkers({
    worker: new URL('./wire-worker.mjs', import.meta.url),
    queues,
    device: { kind, name: 'qa', ...offload },
    workerData: { other: 'qb', kind, offload: offloadOfOther },
    onFailure: 'continue',
  });
  opened.push(workers);
  await reportsOf(workers);
  for (const [i, name] of ['qa', 'qb'].entries()) {
    ip('link', 'set', name, 'txqueuelen', '10000', 'up');
    const { table } = ends[i] as (typeof ends)[number];
    ip(
      'route',
      'add',
      'default',
      ...(kind === 'tap' ? ['via', '10.9.9.9', 'onlink'] : []),
      'dev',
      name,
      'table',
      table,
    );
    ip(
      '-6',
      'route',
      'add',
      'default',
      ...(kind === 'tap' ? ['via', 'fd09::9', 'onlink'] : []),
      'dev',
      name,
      'table',
      table,
    );
    if (kind === 'tun') continue;
    const peer = getLinkSync(name === 'qa' ? 'qb' : 'qa')?.mac?.toString() as string;
    for (const address of ['10.9.9.9', 'fd09::9']) {
      ip('neigh', 'replace', address, 'lladdr', peer, 'dev', name, 'nud', 'permanent');
    }
  }
  return workers;
}

const features = (): string => ['qa', 'qb'].map((name) => run('ethtool', '-k', name)).join('');

const modes: Readonly<Record<string, CarrierOptions>> = {
  auto: { offload: 'auto' },
  through: { offload: 'auto', superPackets: true },
};

const cases: { kind: Kind; mode: keyof typeof modes; version: 4 | 6 }[] = [
  { kind: 'tun', mode: 'auto', version: 4 },
  { kind: 'tun', mode: 'auto', version: 6 },
  { kind: 'tun', mode: 'through', version: 4 },
  { kind: 'tun', mode: 'through', version: 6 },
  { kind: 'tap', mode: 'auto', version: 6 },
  { kind: 'tap', mode: 'through', version: 4 },
];

describe.each(cases)('a wire of $kind queues, $mode, IPv$version', ({ kind, mode, version }) => {
  const offload = modes[mode] as CarrierOptions;

  it('copies every byte, each flow on one queue and in order, with counters that add up', async () => {
    const workers = await openWire(kind, offload, 3);
    expect(await echo(version, 12)).toBe(12);
    const all = await reportsOf(workers);
    const flows = all.flatMap((report) => report.flows);
    expect(flows).toHaveLength(24);
    expect(new Set(flows).size).toBe(24);
    expect(all.filter((report) => report.flows.length > 0).length).toBeGreaterThan(1);
    expectOrder(all);
    for (const { a, b, longest } of all) {
      expect([a.malformed, b.malformed]).toEqual([0, 0]);
      expect(a.read).toEqual({ checksum: true, tso: true, uso: true });
      // A reader that has not asked for super-packets sees none.
      if (mode === 'auto') expect(longest).toBeLessThanOrEqual(1500);
    }
    if (mode === 'through') expect(Math.max(...all.map(({ longest }) => longest))).toBeGreaterThan(1500);
    for (const end of ['a', 'b'] as const) {
      expect(sum(all.map((report) => report[end].superPacketsRead))).toBeGreaterThan(20);
      expect(sum(all.map((report) => report[end].superPacketsWritten))).toBeGreaterThan(20);
    }
    // The kernel counts what it has handed over, a super-packet as one.
    const { packetsRead, bytesRead } = workers.counters;
    const { txPackets = 0, txBytes = 0 } = getLinkSync('qa')?.statistics ?? {};
    if (mode === 'through') expect([packetsRead, bytesRead]).toEqual([txPackets, txBytes]);
    else expect(packetsRead).toBeGreaterThan(txPackets);
  });

  it('copies every byte while queues detach, attach, end and are added; the mask stays', async () => {
    const workers = await openWire(kind, offload, 3);
    const before = features();
    const changes: (() => Promise<unknown>)[] = [
      () => (running(workers)[0] as QueueWorker).detach(),
      () => (running(workers)[0] as QueueWorker).attach(),
      () => ask(workers, running(workers)[1] as QueueWorker, 'detach'),
      () => workers.add(),
      () => ask(workers, running(workers)[1] as QueueWorker, 'attach'),
      () => (running(workers)[2] as QueueWorker).terminate(),
    ];
    const between: WireReport[] = [];
    const same = await echo(version, 8, async () => {
      for (const change of [...changes, ...changes]) {
        await change();
        // Now flows may have moved, and the kernel may let what is new overtake what waits in the former queue.
        await morePackets(workers);
        await reportsOf(workers, 'forget');
        await morePackets(workers);
        between.push(...(await reportsOf(workers)));
      }
    });
    expect(same).toBe(8);
    const all = await reportsOf(workers);
    expectOrder(between);
    for (const { a, b } of all) expect([a.malformed, b.malformed, a.read.tso, b.read.tso]).toEqual([0, 0, true, true]);
    expect(features()).toBe(before);
  });
});

describe('a wire of queues with offload', () => {
  it('copies every byte to a device without, whose packets are all of MTU size', async () => {
    const workers = await openWire('tun', { offload: 'auto' }, 2, {});
    expect(await echo(4, 6)).toBe(6);
    const all = await reportsOf(workers);
    expect(sum(all.map(({ a }) => a.superPacketsRead))).toBeGreaterThan(20);
    expect(sum(all.map(({ b }) => b.superPacketsRead + b.superPacketsWritten))).toBe(0);
    expectOrder(all);
    expect(Math.max(...all.map(({ longest }) => longest))).toBeLessThanOrEqual(1500);
  });

  it('is steered, super-packets too', async () => {
    const program = load(steerToQueue(1));
    if (program === undefined) return;
    const workers = await openWire('tun', { offload: 'auto' }, 3);
    workers.setSteering(program);
    program.close();
    expect(await echo(6, 6)).toBe(6);
    const read = (await reportsOf(workers)).map(({ a }) => a.superPacketsRead);
    expect(read).toEqual([0, expect.any(Number), 0]);
    expect(read[1]).toBeGreaterThan(20);
  });
});

/** Undefined where this process may not load programs, after the refusal was checked. */
function load(instructions: Uint8Array): ReturnType<typeof loadSteeringProgram> | undefined {
  try {
    return loadSteeringProgram(instructions);
  } catch (error) {
    expect(error).toMatchObject({ code: 'VNIC_NO_PRIVILEGE', errno: 'EPERM', syscall: 'bpf(BPF_PROG_LOAD)' });
    return undefined;
  }
}

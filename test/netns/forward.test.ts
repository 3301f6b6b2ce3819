/**
 * Forwarding between two real devices, with the kernel's own network stack at either end.
 *
 *   this namespace                                  namespace "far"
 *   ping, iperf3, TCP -> wireA <- fd -> forward <- fd -> wireB <- iperf3 -s, TCP
 *   10.7.0.1  fd07::1                               10.7.0.2  fd07::2
 *
 * A device is made in the namespace of this process and then moved: its descriptor keeps working.
 */

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { type Forwarding, forward } from '../../src/link/index.ts';
import { type DeviceOptions, TapDevice, TunDevice } from '../../src/tun/index.ts';
import { requirePrivateNetns } from './private-netns.ts';

const ip = (command: string): string => execFileSync('ip', command.split(' '), { encoding: 'utf8', stdio: 'pipe' });

/**
 * Not execFileSync: this process has to forward meanwhile. `ping -w` goes on until it has so many replies: it would
 * give up two round trips after the last request, too early on a busy machine. Losses show in the counters.
 */
const run = async (program: string, ...args: string[]): Promise<string> =>
  (await promisify(execFile)(program, args, { timeout: 20_000 })).stdout;

const children: ChildProcess[] = [];
const inFar = (...argv: string[]): ChildProcess => {
  const child = spawn('ip', ['netns', 'exec', 'far', ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
};

const firstLine = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    child.stdout?.once('data', (data: Buffer) => resolve(data.toString()));
    child.once('exit', () => reject(new RangeError('ended before it said anything')));
  });

const exited = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });

interface Joined {
  readonly a: TunDevice | TapDevice;
  readonly b: TunDevice | TapDevice;
  readonly wire: Forwarding;
}

const joined: Joined[] = [];

const openTun = (options: DeviceOptions): Promise<TunDevice> => TunDevice.open(options);
const openTap = (options: DeviceOptions): Promise<TapDevice> => TapDevice.open(options);

async function join(
  kind: 'tun' | 'tap' = 'tun',
  options: DeviceOptions = {},
  optionsOfB: DeviceOptions = options,
): Promise<Joined> {
  const open = kind === 'tun' ? openTun : openTap;
  const a = await open({ ...options, name: 'wireA' });
  const b = await open({ ...optionsOfB, name: 'wireB' });
  const wire = forward(a, b, { closeLinks: true });
  joined.push({ a, b, wire });
  ip('link set wireB netns far');
  for (const [namespace, name, host] of [
    ['', 'wireA', 1],
    ['-n far ', 'wireB', 2],
  ]) {
    ip(`${namespace}address add 10.7.0.${host}/24 dev ${name}`);
    ip(`${namespace}address add fd07::${host}/64 dev ${name} nodad`);
    ip(`${namespace}link set ${name} up`);
  }
  return { a, b, wire };
}

beforeAll(() => {
  requirePrivateNetns();
  ip('netns add far');
  ip('-n far link set lo up');
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    await exited(child);
  }
  for (const { wire } of joined.splice(0)) await wire.close();
});

afterAll(() => {
  ip('netns delete far');
});

/** Sends bytes to the far end by TCP, which answers with what it has received. */
async function transfer(length: number, disturb: (sent: number) => void = () => undefined): Promise<void> {
  const server = inFar(
    process.execPath,
    '-e',
    `const { createHash } = require('crypto');
     require('net').createServer({ allowHalfOpen: true }, (socket) => {
       const hash = createHash('sha256');
       let length = 0;
       socket.on('data', (bytes) => { hash.update(bytes); length += bytes.length; });
       socket.on('end', () => { socket.end(hash.digest('hex') + ' ' + length); });
     }).listen(7007, '10.7.0.2', () => console.log('listening'));`,
  );
  await firstLine(server);
  const socket = connect({ port: 7007, host: '10.7.0.2', allowHalfOpen: true });
  const hash = createHash('sha256');
  for (let sent = 0; sent < length; ) {
    // No two packets are alike.
    const chunk = Buffer.alloc(100_000);
    for (let at = 0; at < chunk.length; at += 4) chunk.writeUInt32LE(Math.imul(sent + at, 2_654_435_761) >>> 0, at);
    hash.update(chunk);
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
    sent += chunk.length;
    disturb(sent);
  }
  socket.end();
  let answer = '';
  for await (const bytes of socket) answer += String(bytes);
  expect(answer).toBe(`${hash.digest('hex')} ${length}`);
}

const dropsOf = ({ wire }: Joined): number =>
  [wire.aToB, wire.bToA].flatMap(({ dropped }) => Object.values(dropped)).reduce((sum, count) => sum + count, 0);

describe('a wire between two namespaces', () => {
  it.each([
    ['tun', {}],
    ['tap', {}],
    ['tun', { packetInfo: true }],
    ['tap', { vnetHeader: true }],
    ['tun', { superPackets: true }],
    ['tap', { superPackets: true }],
    ['tun', { offload: 'auto' }],
  ] as const)('carries IPv4 and IPv6 both ways between %s devices with %o', async (kind, options) => {
    const both = await join(kind, options);
    const far = ['netns', 'exec', 'far', 'ping'];
    const printed = await Promise.all([
      run('ping', '-c', '20', '-i', '0.01', '-w', '10', '10.7.0.2'),
      run('ping', '-c', '20', '-i', '0.01', '-w', '10', '-s', '1400', 'fd07::2'),
      run('ip', ...far, '-c', '20', '-i', '0.01', '-w', '10', '-s', '4000', '10.7.0.1'),
      run('ip', ...far, '-c', '20', '-i', '0.01', '-w', '10', 'fd07::1'),
    ]);
    for (const text of printed) expect(text).toContain(' 20 received');
    expect([both.wire.aToB.packets, both.wire.bToA.packets, dropsOf(both)]).toEqual([
      both.a.counters.packetsRead,
      both.b.counters.packetsRead,
      0,
    ]);
  });

  it('carries 20 MB of TCP byte by byte, while the far device goes down and up and the MTU changes', async () => {
    await join();
    await transfer(20_000_000, (sent) => {
      if (sent === 5_000_000) {
        ip('-n far link set wireB down');
        setTimeout(() => {
          ip('-n far link set wireB up');
        }, 20);
      }
      if (sent === 10_000_000) for (const mtu of [576, 9000, 1280]) ip(`link set wireA mtu ${mtu}`);
    });
  });

  it.each([
    ['tun', 'on both sides, whole', { superPackets: true }, { superPackets: true }],
    ['tap', 'on both sides, whole', { superPackets: true }, { superPackets: true }],
    ['tun', 'on both sides, split between', { offload: 'auto' }, { offload: 'auto' }],
    ['tun', 'on one side, split', { offload: 'auto' }, {}],
    ['tap', 'on one side, split', {}, { offload: 'auto' }],
  ] as const)(
    'carries 20 MB of TCP byte by byte between %s devices with super-packets %s',
    async (kind, _, ofA, ofB) => {
      const both = await join(kind, ofA, ofB);
      await transfer(20_000_000);
      const { superPacketsRead } = both.a.offloadInfo;
      if (Object.keys(ofA).length > 0) expect(superPacketsRead).toBeGreaterThan(100);
      else expect(superPacketsRead).toBe(0);
      expect(dropsOf(both)).toBe(0);
      // 20 MB are some 14,000 packets of the MTU's size.
      if ('superPackets' in ofA) expect(both.wire.aToB.packets).toBeLessThan(7000);
      else expect(both.wire.aToB.packets).toBeGreaterThan(13_000);
    },
  );

  it('refuses to join a device that hands super-packets over with one that does not', async () => {
    const a = await openTun({ name: 'wireA', superPackets: true });
    const b = await openTun({ name: 'wireB', offload: 'auto' });
    expect(() => forward(a, b)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
    await Promise.all([a.close(), b.close()]);
  });

  it.each([
    ['packet by packet', {}],
    ['in super-packets', { superPackets: true }],
  ] as const)('carries streams and datagrams of iperf3 %s', async (_, options) => {
    const both = await join('tun', options);
    const server = inFar('iperf3', '-s', '--forceflush');
    await firstLine(server);
    const received = async (...args: string[]): Promise<{ bytes: number; packets?: number; lost_packets?: number }> => {
      const report = JSON.parse(await run('iperf3', '-c', '10.7.0.2', '-J', ...args)) as {
        error?: string;
        end: { sum_received?: { bytes: number }; sum: { bytes: number; packets: number; lost_packets: number } };
      };
      if (report.error !== undefined) throw new Error(`iperf3 ${args.join(' ')}: ${report.error}`);
      return report.end.sum_received ?? report.end.sum;
    };
    const tcp = await received('-t', '1');
    const back = await received('-t', '1', '-R', '-P', '4');
    const udp = await received('-u', '-b', '20M', '-l', '1300', '-k', '500');
    // A wire that worked a packet at a time, at the pace of timers, would not come near.
    expect(tcp.bytes).toBeGreaterThan(5_000_000);
    expect(back.bytes).toBeGreaterThan(5_000_000);
    expect(udp.bytes).toBeGreaterThan(100_000);
    expect(dropsOf(both)).toBe(0);
  });

  it('counts what a device that is down refuses, and goes on', async () => {
    const both = await join();
    ip('-n far link set wireB down');
    await run('sh', '-c', 'ping -c 3 -i 0.01 -W 0.1 10.7.0.2 || true');
    expect(both.wire.aToB.dropped['link-down']).toBeGreaterThanOrEqual(3);
    ip('-n far link set wireB up');
    expect(await run('ping', '-c', '3', '-i', '0.01', '-w', '10', '10.7.0.2')).toContain(' 3 received');
  });

  it.each(['wireA', 'wireB'])(
    'ends with VNIC_DEVICE_GONE when %s is deleted in a flood, and is quiet then',
    async (name) => {
      const { a, b, wire } = await join();
      const flood = spawn('ping', ['-f', '-q', '10.7.0.2'], { stdio: 'ignore' });
      children.push(flood);
      const ended = wire.done.catch((error: unknown) => error);
      await vi.waitFor(() => expect(wire.aToB.packets).toBeGreaterThan(1000), { timeout: 20_000 });
      ip(`${name === 'wireB' ? '-n far ' : ''}link delete ${name}`);
      expect(await ended).toMatchObject({ code: 'VNIC_DEVICE_GONE' });
      expect([a.closed, b.closed]).toEqual([true, true]);
      flood.kill('SIGKILL');
      const before = process.cpuUsage();
      await run('sleep', '0.3');
      const { user, system } = process.cpuUsage(before);
      // A loop on a dead descriptor would use all of it.
      expect((user + system) / 1000).toBeLessThan(200);
    },
  );

  it('needs no queue memory: a kernel device takes every packet at once', async () => {
    const both = await join();
    await run('ping', '-f', '-q', '-c', '2000', '10.7.0.2');
    expect([both.wire.aToB.stalls, both.wire.bToA.stalls, both.wire.aToB.queued]).toEqual([0, 0, 0]);
  });
});

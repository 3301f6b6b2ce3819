/** `vnic link` with middleware: bad links, rates, compression and MSS clamping, with the kernel's own TCP at both sides. */

import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { interfaceNames, run, runVnic, VNIC } from './run-vnic.ts';
import { joinTwoHosts } from './two-hosts.ts';

const folder = mkdtempSync(join(tmpdir(), 'vnic-middleware-'));

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  joinTwoHosts();
});
afterEach(async () => {
  await endLive();
  wipe();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const near = 'address=10.9.0.1/24,address=fd09::1/64';
const far = 'address=10.9.0.2/24,address=fd09::2/64';
const bothDevices = [`tun:t0,${near}`, `tun:t1,netns=far,${far}`];
const inFar = ['ip', 'netns', 'exec', 'far'];

interface Stage {
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly duplicated: number;
  readonly reordered: number;
  readonly corrupted: number;
}

interface Way {
  readonly packets: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly middleware: {
    readonly impair: Stage;
    readonly shape: Stage;
    readonly compress: Stage;
    readonly clampedSyns: number;
  };
}

async function linked(...args: string[]): Promise<LiveVnic> {
  const live = startVnic(['link', '--json', ...args]);
  await live.until(/"joined"/);
  return live;
}

async function linkedFar(...args: string[]): Promise<LiveVnic> {
  const live = startLive([...inFar, process.execPath, VNIC, 'link', '--json', ...args]);
  await live.until(/"joined"/);
  return live;
}

/** Ends the command; what it tells of each way. */
async function waysOf(live: LiveVnic): Promise<[aToB: Way, bToA: Way]> {
  const { stderr, status } = await live.end('SIGINT');
  expect(status).toBe(130);
  const ended = stderr.split('\n').find((line) => line.includes('"ended"')) ?? '{}';
  return (JSON.parse(ended) as { ways: [Way, Way] }).ways;
}

async function ping(address: string, ...options: string[]): Promise<string> {
  return (await run(['ping', '-c', '10', '-i', '0.05', '-W', '5', ...options, address])).stdout;
}

/** Sends a file to the far host by TCP. @returns whether it arrived as it was */
async function arrives(content: Uint8Array, address: '10.9.0.2' | '[fd09::2]'): Promise<boolean> {
  const [from, to] = [join(folder, 'sent'), join(folder, 'received')];
  writeFileSync(from, content);
  rmSync(to, { force: true });
  const family = address.startsWith('[') ? '6' : '4';
  const server = startLive([...inFar, 'socat', '-d', '-d', '-u', `TCP${family}-LISTEN:9000,reuseaddr`, `CREATE:${to}`]);
  await server.until(/listening/);
  expect((await run(['socat', '-u', `FILE:${from}`, `TCP${family}:${address}:9000`])).status).toBe(0);
  await server.end();
  return hashOf(readFileSync(to)) === hashOf(content);
}

function hashOf(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

describe('a bad link', () => {
  it('brings TCP through delay, loss, duplicates and reordering intact, IPv4 and IPv6', async () => {
    const live = await linked(...bothDevices, '--impair', 'delay=4ms,jitter=2ms,loss=1%,duplicate=2%,reorder=5%');
    const content = randomBytes(1_500_000);
    expect(await arrives(content, '10.9.0.2')).toBe(true);
    expect(await arrives(content, '[fd09::2]')).toBe(true);
    for (const { dropped, middleware } of await waysOf(live)) {
      expect(dropped['loss']).toBeGreaterThan(0);
      const { packetsIn, packetsOut, duplicated, reordered, dropped: inside } = middleware.impair;
      expect(Math.min(duplicated, reordered)).toBeGreaterThan(0);
      const lost = Object.values(inside).reduce((sum, count) => sum + count, 0);
      expect(packetsIn + duplicated).toBe(packetsOut + lost);
    }
  });

  it('brings TCP through burst loss and damage intact: the checksums of the kernel find it', async () => {
    const live = await linked(...bothDevices, '--impair-out', 'burst-loss=1%/30%,corrupt=2%', '--seed', '9');
    expect(await arrives(randomBytes(500_000), '10.9.0.2')).toBe(true);
    const [there, back] = await waysOf(live);
    expect(there.dropped['burst-loss']).toBeGreaterThan(0);
    expect(there.middleware.impair.corrupted).toBeGreaterThan(0);
    expect(back.dropped).toEqual({});
  });

  it('delays each way by its own time, as ping sees', async () => {
    await linked(...bothDevices, '--impair', 'delay=10ms', '--impair-out', 'delay=50ms');
    for (const address of ['10.9.0.2', 'fd09::2']) {
      const [, least] = /rtt min\/avg\/max\/mdev = ([\d.]+)/.exec(await ping(address)) ?? [];
      expect(Number(least)).toBeGreaterThanOrEqual(59);
    }
  });

  it('gives every packet twice, as ping says', async () => {
    await linked(...bothDevices, '--impair-out', 'duplicate=100%');
    expect(await ping('10.9.0.2')).toMatch(/10 received, \+\d+ duplicates/);
    expect(await ping('fd09::2')).toMatch(/10 received, \+\d+ duplicates/);
  });

  it('loses the same pings for the same seed', async () => {
    const lost = async (seed: string): Promise<string | undefined> => {
      const live = await linked(
        'tun:t0,address=10.9.0.1/24',
        'echo:10.9.0.2',
        '--impair-in',
        'loss=50%',
        '--seed',
        seed,
      );
      const answered = (await ping('10.9.0.2', '-c', '30', '-W', '1')).match(/icmp_seq=\d+/g)?.join();
      await live.end('SIGTERM');
      return answered;
    };
    const first = await lost('4');
    expect(await lost('4')).toBe(first);
    expect(await lost('5')).not.toBe(first);
  });

  it('follows a schedule', async () => {
    const file = join(folder, 'schedule.txt');
    writeFileSync(file, '# first nothing passes\n0s out loss=100%\n3s both clear\n');
    const live = await linked(...bothDevices, '--impair-schedule', file);
    // Until the third second nothing gets through, and then everything does.
    await vi.waitFor(async () => expect(await ping('10.9.0.2', '-c1', '-W1')).toMatch(/1 received/), {
      timeout: 60_000,
      interval: 10,
    });
    const [there, back] = await waysOf(live);
    expect(there.dropped['loss']).toBeGreaterThan(0);
    expect(back.dropped['loss']).toBeUndefined();
  });

  it('is one of Ethernet frames too', async () => {
    const ends = [`tap:t0,${near}`, `tap:t1,netns=far,${far}`];
    const live = await linked(...ends, '--impair', 'delay=5ms,loss=5%,duplicate=5%');
    expect(await ping('10.9.0.2')).toMatch(/ ([5-9]|10) received/);
    expect(await ping('fd09::2')).toMatch(/ ([5-9]|10) received/);
    await waysOf(live);
  });

  it('has its directions right when the carrier is the first end', async () => {
    const there = await linkedFar(`tun:t1,${far}`, 'udp-listen:7000');
    const live = await linked('udp:198.51.100.2:7000', `tun:t0,${near}`, '--impair-out', 'loss=100%');
    expect(await ping('10.9.0.2', '-c', '3', '-W', '1')).toMatch(/ 0 received/);
    const [toDevice, toCarrier] = await waysOf(live);
    // The far host has heard the pings; its answers are what was lost on the way from A to B.
    expect(toDevice.dropped['loss']).toBeGreaterThanOrEqual(3);
    expect(toCarrier).toMatchObject({ dropped: {} });
    await there.end('SIGTERM');
  });
});

describe('a rate', () => {
  it('is what TCP gets at most, and what is too much is counted', async () => {
    const live = await linked(...bothDevices, '--shape-out', '8mbit,queue=20');
    const server = startLive([...inFar, 'iperf3', '-s', '-1', '--forceflush']);
    await server.until(/Server listening/);
    const { stdout } = await run(['iperf3', '-c', '10.9.0.2', '-t', '3', '-J']);
    await server.end();
    const { bits_per_second: rate, bytes } = (
      JSON.parse(stdout) as {
        end: { sum_received: { bits_per_second: number; bytes: number } };
      }
    ).end.sum_received;
    expect(bytes).toBeGreaterThan(100_000);
    expect(rate).toBeLessThan(9e6);
    const [there] = await waysOf(live);
    expect(there.dropped['queue-full']).toBeGreaterThan(0);
    expect(there.middleware.shape.packetsOut).toBe(there.packets);
  });
});

describe('compression', () => {
  const text = Buffer.from('Nothing is as compressible as a sentence that is said again and again. '.repeat(20_000));

  it.each([
    ['UDP', 'udp:198.51.100.2:7000', 'udp-listen:7000'],
    ['TCP', 'tcp:198.51.100.2:7000', 'tcp-listen:7000'],
  ])('between two programs over %s carries everything, in fewer bytes', async (_name, nearEnd, farEnd) => {
    const there = await linkedFar(`tun:t1,${far}`, farEnd, '--compress');
    const live = await linked(`tun:t0,${near}`, nearEnd, '--compress');
    expect(await ping('10.9.0.2')).toMatch(/ ([1-9]|10) received/);
    expect(await arrives(text, '10.9.0.2')).toBe(true);
    expect(await arrives(randomBytes(300_000), '[fd09::2]')).toBe(true);
    const [sent] = await waysOf(live);
    const { bytesIn, bytesOut } = sent.middleware.compress;
    expect(bytesIn).toBeGreaterThan(1_700_000);
    expect(bytesOut).toBeLessThan(bytesIn / 2);
    const [, got] = await waysOf(there);
    expect(got.dropped['malformed']).toBeUndefined();
  });

  it('of one side only is noticed, and nothing gets through', async () => {
    const there = await linkedFar(`tun:t1,${far}`, 'udp-listen:7000', '--compress');
    await linked(`tun:t0,${near}`, 'udp:198.51.100.2:7000');
    expect(await ping('10.9.0.2', '-c', '2', '-W', '1')).toMatch(/ 0 received/);
    const [, got] = await waysOf(there);
    expect(got.dropped['malformed']).toBeGreaterThanOrEqual(2);
  });
});

describe('MSS clamping', () => {
  /** What the kernel sends in one segment at most, over a connection that is open; 12 bytes of it are timestamps. */
  async function segmentSizes(address: string): Promise<[near: number, far: number]> {
    const family = address.includes(':') ? 'TCP6' : 'TCP4';
    const target = family === 'TCP6' ? `[${address}]` : address;
    const server = startLive([...inFar, 'socat', '-d', '-d', `${family}-LISTEN:9001,reuseaddr`, 'PIPE']);
    await server.until(/listening/);
    const client = startLive(['socat', '-d', '-d', `${family}:${target}:9001`, 'EXEC:sleep 600']);
    await server.until(/accepting connection/);
    const size = async (where: readonly string[]): Promise<number> => {
      const { stdout } = await run([
        ...where,
        'ss',
        '-tinH',
        'state',
        'established',
        '( sport = :9001 or dport = :9001 )',
      ]);
      return Number(/\bmss:(\d+)/.exec(stdout)?.[1]);
    };
    const sizes: [number, number] = [await size([]), await size(inFar)];
    await client.end('SIGTERM');
    await server.end('SIGTERM');
    return sizes;
  }

  it('limits what both kernels send, IPv4 and IPv6', async () => {
    const live = await linked(...bothDevices, '--clamp-mss', '900');
    expect(await segmentSizes('10.9.0.2')).toEqual([888, 888]);
    expect(await segmentSizes('fd09::2')).toEqual([888, 888]);
    for (const { middleware } of await waysOf(live)) expect(middleware.clampedSyns).toBe(2);
  });

  it('lets connections through a carrier whose MTU the devices do not know', async () => {
    ip('tuntap add t0 mode tun');
    ip('addr add 10.9.0.1/24 dev t0');
    ip('link set t0 up');
    ip('-n far tuntap add t1 mode tun');
    ip('-n far addr add 10.9.0.2/24 dev t1');
    ip('-n far link set t1 up');
    const there = await linkedFar('tun:t1', 'udp-listen:7000,mtu=1300');
    const live = await linked('tun:t0', 'udp:198.51.100.2:7000,mtu=1300', '--clamp-mss');
    expect(await ping('10.9.0.2')).toMatch(/ ([1-9]|10) received/);
    expect(await segmentSizes('10.9.0.2')).toEqual([1248, 1248]);
    expect(await arrives(randomBytes(300_000), '10.9.0.2')).toBe(true);
    const [sent] = await waysOf(live);
    expect(sent.dropped['too-long']).toBeUndefined();
    await there.end('SIGTERM');
  });
});

describe('all of it together', () => {
  it('carries TCP intact', async () => {
    const options = [
      '--compress',
      '--clamp-mss',
      '--shape',
      '50mbit',
      '--impair',
      'delay=2ms,jitter=1ms,loss=0.5%,duplicate=1%',
    ];
    const there = await linkedFar(`tun:t1,${far}`, 'udp-listen:7000', '--compress');
    const live = await linked(`tun:t0,${near}`, 'udp:198.51.100.2:7000', ...options);
    await ping('10.9.0.2');
    expect(await arrives(randomBytes(700_000), '10.9.0.2')).toBe(true);
    expect(await arrives(randomBytes(300_000), '[fd09::2]')).toBe(true);
    await live.end('SIGTERM');
    await there.end('SIGTERM');
    expect(interfaceNames()).not.toContain('t0');
  });
});

describe('a mistake', () => {
  const bad = join(folder, 'bad.txt');
  beforeAll(() => writeFileSync(bad, '0s both delay=20ms\n10s out los=1%\n'));

  it.each<[string, string[], RegExp]>([
    [
      'a setting that there is not',
      ['--impair', 'delay=5ms,los=1%'],
      / {2}delay=5ms,los=1%\n {12}\^\^\^\nerror: .*no setting is called "los"/,
    ],
    ['a share without its unit', ['--impair', 'loss=1'], /expected a share, such as 1%/],
    ['reordering without a delay', ['--impair', 'reorder=5%'], /reorder needs a delay/],
    [
      'a line of a schedule',
      ['--impair-schedule', bad],
      /10s out los=1%\n {10}\^\^\^\nerror: cannot read .*bad\.txt, line 2/,
    ],
    ['a rate without its unit', ['--shape', '10'], /expected bits a second/],
    ['a seed of nothing', ['--seed', '1'], /--seed is of --impair/],
    ['an MSS that is none', ['--clamp-mss', '20'], /a whole number from 88 to 65495/],
    ['compression that nobody would undo', ['--compress'], /nobody is there who would inflate it again/],
  ])('%s is pointed at, and nothing is made', async (_what, options, message) => {
    const { status, stderr } = await runVnic(['link', 'tun:t0', 'echo:10.9.0.2', ...options]);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
    expect(interfaceNames()).not.toContain('t0');
  });

  it('a schedule that is not there', async () => {
    const { status, stderr } = await runVnic(['link', 'tun:t0', 'null', '--impair-schedule', join(folder, 'none')]);
    expect([status, stderr]).toEqual([71, expect.stringContaining('Check the path behind --impair-schedule')]);
  });
});

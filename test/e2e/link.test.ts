/** `vnic link` as a user types it, over every carrier, between namespaces that are joined by a veth pair. */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { interfaceNames, run, runShell, runVnic, VNIC } from './run-vnic.ts';
import { joinTwoHosts } from './two-hosts.ts';

const folder = mkdtempSync(join(tmpdir(), 'vnic-link-'));

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  joinTwoHosts();
});
afterEach(async () => {
  await endLive();
  wipe();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const link = (...args: string[]): LiveVnic => startVnic(['link', ...args]);
const linkFar = (...args: string[]): LiveVnic =>
  startLive(['ip', 'netns', 'exec', 'far', process.execPath, VNIC, 'link', ...args]);

/** Waits until both ends are open and the connection is there; which is first is not settled. */
async function connected(live: LiveVnic): Promise<void> {
  await live.until(/joined/);
  await live.until(/up /);
}

async function pings(address: string, ...options: string[]): Promise<boolean> {
  return (await run(['ping', '-c3', '-i0.2', '-W5', ...options, address])).status === 0;
}

async function iperf(address: string, seconds = 1): Promise<number> {
  const server = startLive(['ip', 'netns', 'exec', 'far', 'iperf3', '-s', '-1', '--forceflush']);
  await server.until(/Server listening/);
  const { stdout } = await run(['iperf3', '-c', address, '-t', String(seconds), '-J']);
  await server.end('SIGTERM');
  return (JSON.parse(stdout) as { end: { sum_received: { bytes: number } } }).end.sum_received.bytes;
}

const near = 'address=10.9.0.1/24,address=fd09::1/64';
const far = 'address=10.9.0.2/24,address=fd09::2/64';
const carriers: [name: string, near: string, far: string][] = [
  ['UDP over IPv4', 'udp:198.51.100.2:7000', 'udp-listen:7000'],
  ['UDP over IPv6', 'udp:[2001:db8::2]:7000', 'udp-listen:[::]:7000'],
  ['TCP over IPv4', 'tcp:198.51.100.2:7000', 'tcp-listen:7000'],
  ['TCP over IPv6, with SLIP', 'tcp:[2001:db8::2]:7000,framing=slip', 'tcp-listen:7000,framing=slip'],
  ['a Unix socket, with COBS', `unix:${folder}/a.sock,framing=cobs`, `unix-listen:${folder}/a.sock,framing=cobs`],
];

describe('vnic link joins two hosts', () => {
  it.each(carriers)('over %s: ping and iperf3, IPv4 and IPv6', async (_name, nearEnd, farEnd) => {
    const there = linkFar(`tun:t1,${far}`, farEnd);
    await there.until(/joined/);
    const here = link(`tun:t0,${near}`, nearEnd);
    await here.until(/joined/);
    // The listening side of UDP knows whom to send to once it has heard of it.
    expect(await pings('10.9.0.2')).toBe(true);
    expect(await pings('fd09::2')).toBe(true);
    // Nothing of a full packet is lost on the way.
    const mtu = Number(/MTU (\d+)/.exec(here.output.stderr)?.[1]);
    expect(await pings('10.9.0.2', '-M', 'do', '-s', String(mtu - 28))).toBe(true);
    expect(await iperf('10.9.0.2')).toBeGreaterThan(1_000_000);
    expect(await iperf('fd09::2')).toBeGreaterThan(1_000_000);
    const { stderr, status } = await here.end('SIGINT');
    expect(status).toBe(130);
    expect(stderr).toMatch(/TUN device t0 → .*: \d+ packets, \d+ bytes, /);
    await there.end('SIGTERM');
    expect(interfaceNames()).not.toContain('t0');
    expect(ip('-n far -br link')).not.toContain('t1');
  });

  it('over Ethernet, with TAP devices', async () => {
    const there = linkFar(`tap:t1,${far}`, 'udp-listen:7000');
    await there.until(/joined/);
    await link(`tap:t0,${near}`, 'udp:198.51.100.2:7000').until(/joined/);
    expect(await pings('10.9.0.2')).toBe(true);
    expect(await pings('fd09::2')).toBe(true);
    expect(await iperf('10.9.0.2')).toBeGreaterThan(1_000_000);
  });

  it('through the standard streams of a program', async () => {
    const command = `ip netns exec far ${process.execPath} ${VNIC} link stdio,framing=hdlc tun:t1,${far}`;
    const here = link(`tun:t0,${near}`, `exec,framing=hdlc:${command}`);
    await here.until(/joined.*(?:.|\n)*joined/);
    expect(await pings('10.9.0.2')).toBe(true);
    await here.end('SIGTERM');
    await vi.waitFor(() => expect(ip('-n far -br link')).not.toContain('t1'), 10_000);
  });

  it('as two devices of one program, in two namespaces', async () => {
    const ends = [`tun:t0,${near}`, `tun:t1,netns=far,${far}`];
    const joined = link(...ends);
    await joined.until(/joined/);
    expect(await pings('10.9.0.2', '-M', 'do', '-s', '1472')).toBe(true);
    expect(await iperf('fd09::2')).toBeGreaterThan(1_000_000);
    await joined.end('SIGTERM');
    // One without offload: neither has super-packets.
    await link(`${ends[0]},offload=off`, ends[1] as string).until(/joined/);
    expect(await iperf('10.9.0.2')).toBeGreaterThan(1_000_000);
  });

  it('with an end that answers by itself', async () => {
    await link('tun:t0,address=10.9.0.1/24,address=fd09::1/64', 'echo:10.9.0.2,also=fd09::2').until(/joined/);
    expect(await pings('10.9.0.2')).toBe(true);
    expect(await pings('fd09::2')).toBe(true);
  });
});

describe('against socat', () => {
  it('over UDP', async () => {
    const socat = startLive([
      ...['ip', 'netns', 'exec', 'far', 'socat', '-d', '-d'],
      ...['UDP-LISTEN:7000,reuseaddr', 'TUN:10.9.0.2/24,tun-name=s0,iff-no-pi,iff-up'],
    ]);
    await socat.until(/listening|receiving/i);
    await link('tun:t0,address=10.9.0.1/24', 'udp:198.51.100.2:7000').until(/joined/);
    expect(await pings('10.9.0.2')).toBe(true);
  });

  it('over TCP, where packets have no frame', async () => {
    const socat = startLive([
      ...['ip', 'netns', 'exec', 'far', 'socat', '-d', '-d'],
      ...['TCP-LISTEN:7000,reuseaddr,nodelay', 'TUN:10.9.0.2/24,tun-name=s0,iff-no-pi,iff-up'],
    ]);
    await socat.until(/listening/);
    const here = link('tun:t0,address=10.9.0.1/24', 'tcp:198.51.100.2:7000,framing=ip');
    await connected(here);
    expect(await pings('10.9.0.2')).toBe(true);
  });
});

describe('a connection that ends', () => {
  it('is made again, and a transfer through it goes on', async () => {
    // The device outlives the program, so that its connections do.
    ip('-n far tuntap add t1 mode tun');
    ip('-n far addr add 10.9.0.2/24 dev t1');
    ip('-n far link set t1 up');
    const existing = (): LiveVnic => linkFar('tun:t1', 'tcp-listen:7000');
    let there = existing();
    await there.until(/joined/);
    const here = link(`tun:t0,${near}`, 'tcp:198.51.100.2:7000');
    await connected(here);
    const transfer = iperf('10.9.0.2', 4);
    await vi.waitFor(() => expect(ip('-s link show t0')).toMatch(/\d{6}/), 10_000);
    await there.end('SIGKILL');
    await here.until(/down/);
    there = existing();
    expect(await transfer).toBeGreaterThan(1_000_000);
    expect(here.output.stderr.match(/up /g)?.length).toBeGreaterThan(1);
  });

  it('ends the command with --once', async () => {
    const there = linkFar(`tun:t1,${far}`, 'tcp-listen:7000', '--once');
    await there.until(/joined/);
    const here = link('--once', `tun:t0,${near}`, 'tcp:198.51.100.2:7000');
    await here.until(/joined/);
    await there.end('SIGTERM');
    expect((await here.end()).status).toBe(0);
    expect(interfaceNames()).not.toContain('t0');
    const failed = await runVnic(['link', '--once', 'tun:t0', 'exec:exit 3']);
    expect(failed).toMatchObject({ status: 74, stderr: expect.stringContaining('it ended with status 3') });
    expect((await runVnic(['link', '--once', 'tun:t0', 'exec:true'])).status).toBe(0);
    // Standard input does not come again, so that a tunnel through `ssh` ends at the far side too.
    const left = await runShell(`"${process.execPath}" "${VNIC}" link stdio tun:t0 < /dev/null`);
    expect(left.status).toBe(0);
    const fed = await runShell(
      `printf '\\300\\300' | "${process.execPath}" "${VNIC}" link --once stdio,framing=slip null`,
    );
    expect(fed.status).toBe(0);
  });

  it('is not there at all between two ends in memory, which go on until they are told to end', async () => {
    const live = link('null', 'echo:10.9.0.2');
    await live.until(/joined/);
    expect((await live.end('SIGTERM')).status).toBe(143);
  });

  it('is not needed to begin with, but with --once', async () => {
    const here = link(`tun:t0,${near}`, 'tcp:198.51.100.2:7000');
    await here.until(/waiting .*ECONNREFUSED/);
    await connected(linkFar(`tun:t1,${far}`, 'tcp-listen:7000'));
    expect(await pings('10.9.0.2')).toBe(true);
    const { status, stderr } = await runVnic(['link', '--once', 'tun:x0', 'tcp:198.51.100.2:7009']);
    expect(status).toBe(75);
    expect(stderr).toContain('hint: See that the other side listens');
    expect(interfaceNames()).not.toContain('x0');
  });

  it('is taken by one at a time', async () => {
    const there = linkFar(`tun:t1,${far}`, 'tcp-listen:7000');
    await there.until(/joined/);
    await connected(link(`tun:t0,${near}`, 'tcp:198.51.100.2:7000'));
    const other = startLive(['socat', '-u', 'TCP:198.51.100.2:7000', 'STDOUT']);
    await there.until(/refused/);
    await other.end();
    expect(await pings('10.9.0.2')).toBe(true);
  });
});

describe('what strangers send', () => {
  it('garbage on TCP ends that connection and nothing else', async () => {
    const there = linkFar(`tun:t1,${far}`, 'tcp-listen:7000,framing=ip');
    await there.until(/joined/);
    // It may be reset before socat has sent all.
    spawnSync('sh', ['-c', 'head -c 100000 /dev/urandom | socat -u - TCP:198.51.100.2:7000'], { stdio: 'ignore' });
    await there.until(/down/);
    await connected(link(`tun:t0,${near}`, 'tcp:198.51.100.2:7000,framing=ip'));
    expect(await pings('10.9.0.2')).toBe(true);
  });

  it('garbage on UDP from another host is counted and left out', async () => {
    const there = linkFar(`tun:t1,${far}`, 'udp-listen:7000');
    await there.until(/joined/);
    await link(`tun:t0,${near}`, 'udp:198.51.100.2:7000').until(/joined/);
    expect(await pings('10.9.0.2')).toBe(true);
    execFileSync('sh', ['-c', 'for i in 1 2 3; do head -c 900 /dev/urandom | socat -u - UDP:198.51.100.2:7000; done']);
    expect(await pings('10.9.0.2')).toBe(true);
  });
});

describe('a mistake', () => {
  it.each([
    ['a kind that there is not', ['tin:t0', 'null'], / tin:t0\n {2}\^\^\^\nerror: .*no kind of end is called tin/],
    [
      'an option that there is not',
      ['tun:t0,adress=1', 'null'],
      /tun has no option "adress"(?:.|\n)*hint: It has address/,
    ],
    ['a value that is none', ['tun:t0,address=10.0.0/24', 'null'], /expected an address with its prefix length/],
    ['a port that is missing', ['tun:t0', 'udp:198.51.100.1'], /expected HOST:PORT/],
    ['an IPv6 address without brackets', ['tun:t0', 'udp:2001:db8::1:7000'], /Put an IPv6 address in brackets/],
    [
      'a framing that there is not',
      ['tun:t0', 'tcp:198.51.100.2:1,framing=smip'],
      /one of length, qemu, slip, hdlc, cobs, ip/,
    ],
    ['two media', ['tun:t0', 'tap:t9'], /tun:t0 carries IP packets, and tap:t9 Ethernet frames/],
    ['a frame that does not know its length', ['tap:t0', 'tcp:198.51.100.2:1,framing=ip'], /do not say how long/],
  ])('%s is pointed at, and nothing is made', async (_what, ends, message) => {
    const { status, stderr } = await runVnic(['link', ...ends]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(interfaceNames()).toEqual(expect.not.arrayContaining(['t0', 't9']));
  });

  it('a device that exists keeps what it has', async () => {
    ip('tuntap add p0 mode tun');
    const { status, stderr } = await runVnic(['link', 'tun:p0,address=10.9.0.1/24', 'null']);
    expect(status).toBe(2);
    expect(stderr).toContain('p0 exists, and is used as it is');
  });
});

/**
 * The MTU of links, as users meet it, over a path that is narrow in the middle and tells so, or does not:
 *
 *   here  v0 198.51.100.1 ---- r0  router  r1 ---- f0 203.0.113.2  far
 *            2001:db8:1::1 1500              1400      2001:db8:2::2
 *         t0 10.9.0.1 fd09::1  == link ==  t1 10.9.0.2 fd09::2
 */

import { execFileSync } from 'node:child_process';
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

const folder = mkdtempSync(join(tmpdir(), 'vnic-mtu-'));

const ADDRESSES = [
  ['', 'v0', '198.51.100.1/24', '2001:db8:1::1/64'],
  ['-n router ', 'r0', '198.51.100.254/24', '2001:db8:1::254/64'],
  ['-n router ', 'r1', '203.0.113.254/24', '2001:db8:2::254/64'],
  ['-n far ', 'f0', '203.0.113.2/24', '2001:db8:2::2/64'],
] as const;

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  wipe();
  ip('link set lo up');
  for (const name of ['router', 'far']) ip(`netns add ${name}`);
  ip('link add v0 type veth peer name r0 netns router');
  ip('-n far link add f0 type veth peer name r1 netns router');
  for (const [where, name, ipv4, ipv6] of ADDRESSES) {
    ip(`${where}addr add ${ipv4} dev ${name}`);
    ip(`${where}addr add ${ipv6} dev ${name} nodad`);
    ip(`${where}link set ${name} up`);
  }
  for (const setting of ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']) inRouter('sysctl', '-qw', setting);
  setPath(1400);
  ip('route add default via 198.51.100.254');
  ip('-6 route add default via 2001:db8:1::254');
  ip('-n far route add default via 203.0.113.254');
  ip('-n far -6 route add default via 2001:db8:2::254');
});
afterEach(async () => {
  await endLive();
  wipe();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function inRouter(...argv: string[]): void {
  execFileSync('ip', ['netns', 'exec', 'router', ...argv], { stdio: 'pipe' });
}

/** Both sides of the narrow part. */
function setPath(mtu: number): void {
  ip(`-n router link set r1 mtu ${mtu}`);
  ip(`-n far link set f0 mtu ${mtu}`);
}

/** The router says nothing of what it drops: a black hole. */
function silence(): void {
  const rules = join(folder, 'silent.nft');
  writeFileSync(
    rules,
    `table inet silent {
      chain out {
        type filter hook output priority 0
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
      }
    }
    `,
  );
  inRouter('nft', '-f', rules);
}

const link = (...args: string[]): LiveVnic => startVnic(['link', ...args]);
const linkFar = (...args: string[]): LiveVnic =>
  startLive(['ip', 'netns', 'exec', 'far', process.execPath, VNIC, 'link', ...args]);

const here = 'address=10.9.0.1/24,address=fd09::1/64';
const there = 'address=10.9.0.2/24,address=fd09::2/64';
const inside = { 4: '10.9.0.2', 6: 'fd09::2' } as const;

/** Joins devices that vnic makes. */
async function joinMade(nearEnd: string, farEnd: string, kind: 'tun' | 'tap' = 'tun'): Promise<LiveVnic> {
  const away = linkFar(`${kind}:t1,${there}`, farEnd);
  await away.until(/joined/);
  const near = link(`${kind}:t0,${here}`, nearEnd);
  await near.until(/joined/);
  expect(await reaches(inside[4])).toBe(true);
  return near;
}

/** Joins devices that exist and are wider than the link, so that the link has to tell those who send through them. */
async function joinWide(nearEnd: string, farEnd: string, kind: 'tun' | 'tap' = 'tun'): Promise<LiveVnic> {
  for (const [where, name, host] of [
    ['', 't0', 1],
    ['-n far ', 't1', 2],
  ] as const) {
    ip(`${where}tuntap add ${name} mode ${kind}`);
    ip(`${where}link set ${name} mtu 2000 up`);
    ip(`${where}addr add 10.9.0.${host}/24 dev ${name}`);
    ip(`${where}addr add fd09::${host}/64 dev ${name} nodad`);
  }
  const away = linkFar(`${kind}:t1`, farEnd);
  await away.until(/joined/);
  const near = link(`${kind}:t0`, nearEnd);
  await near.until(/joined/);
  expect(await reaches(inside[4])).toBe(true);
  return near;
}

async function reaches(address: string): Promise<boolean> {
  return (await run(['ping', '-c1', '-w5', '-i0.2', address])).stdout.includes('bytes from');
}

/** What becomes of a packet of that length: it passes, is too long for the MTU that is told, or is lost. */
async function send(family: 4 | 6, length: number): Promise<'passes' | 'lost' | number> {
  const payloadLen = length - (family === 4 ? 28 : 48);
  // The first that shows that a path is narrow is lost, as everywhere.
  for (let attempt = 0; attempt < 4; attempt++) {
    const argv = ['ping', `-${family}`, '-c1', '-W0.5', '-M', 'do', '-s', String(payloadLen), inside[family]];
    const { stdout, stderr } = await run(argv);
    if (stdout.includes('bytes from')) return 'passes';
    const told = /mtu[ :=]+(\d+)/.exec(stdout + stderr)?.[1];
    if (told !== undefined) return Number(told);
  }
  return 'lost';
}

/** Sends what is too long, then as long as was told, until it is the limit that is told: so a sender learns of the path. */
async function learn(family: 4 | 6, limit: number): Promise<void> {
  const told: (string | number)[] = [];
  for (let length = limit + 150; told.length < 5 && told.at(-1) !== limit; ) {
    const answer = await send(family, length);
    told.push(answer);
    if (typeof answer === 'number') length = answer;
  }
  expect(told.at(-1), `IPv${family}: ${told}`).toBe(limit);
}

/** Every packet around the limit passes, or its sender is told the limit. */
async function expectLimit(limit: number): Promise<void> {
  // The longest first: what is learned of one packet must not be what saves the others.
  const lengths = [150, 20, 3, 2, 1, 0, -1, -2, -3, -20].map((more) => limit + more);
  for (const family of [4, 6] as const) {
    await learn(family, limit);
    const seen: (string | number)[] = [];
    for (const length of lengths) seen.push(await send(family, length));
    expect(seen, `IPv${family}`).toEqual(lengths.map((length) => (length <= limit ? 'passes' : limit)));
  }
}

/** What may be fragmented arrives, before anybody has learned of the MTU. */
async function expectFragments(): Promise<void> {
  expect((await run(['ping', '-c2', '-i0.2', '-W5', '-M', 'dont', '-s', '1900', inside[4]])).status).toBe(0);
}

/** Copies a megabyte by TCP and compares it. */
async function expectTransfer(family: 4 | 6): Promise<void> {
  const [sent, received] = [join(folder, 'sent'), join(folder, 'received')];
  const bytes = randomBytes(1 << 20);
  writeFileSync(sent, bytes);
  const listen = `TCP${family}-LISTEN:9000,reuseaddr`;
  const sink = startLive(['ip', 'netns', 'exec', 'far', 'socat', '-d', '-d', '-u', listen, `CREATE:${received}`]);
  await sink.until(/listening/);
  const to = family === 4 ? `TCP4:${inside[4]}:9000` : `TCP6:[${inside[6]}]:9000`;
  expect((await run(['socat', '-u', `OPEN:${sent},rdonly`, to])).status).toBe(0);
  await sink.end();
  const digest = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
  expect(digest(readFileSync(received))).toBe(digest(bytes));
}

async function expectTransfers(): Promise<void> {
  await expectTransfer(4);
  await expectTransfer(6);
}

const udp = {
  IPv4: ['udp:203.0.113.2:7000', 'udp-listen:7000'],
  IPv6: ['udp:[2001:db8:2::2]:7000', 'udp-listen:[::]:7000'],
} as const;

describe('over UDP, on a path that tells', () => {
  it.each(Object.entries(udp))(
    'by %s: devices that are made follow it, and nothing is lost silently',
    async (_name, [nearEnd, farEnd]) => {
      const near = await joinMade(nearEnd, farEnd);
      await expectLimit(1352);
      await near.until(/MTU {5}.*: 1352/);
      await vi.waitFor(() => expect(ip('link show t0')).toContain('mtu 1352'), 10_000);
      await expectTransfers();
    },
  );

  it('devices that are wider, and are not ours, keep their MTU; senders are told, and what may be is fragmented', async () => {
    const near = await joinWide(...udp.IPv4);
    await expectFragments();
    await expectLimit(1352);
    await expectTransfers();
    expect(ip('link show t0')).toContain('mtu 2000');
    const { stderr } = await near.end('SIGINT');
    expect(stderr).toMatch(/TUN device t0 → .*\d+ times a sender was told that a packet is too long; \d+ fragments/);
  });

  it('so does Ethernet', async () => {
    const near = await joinWide(...udp.IPv6, 'tap');
    await expectFragments();
    await expectLimit(1334);
    await expectTransfers();
    expect((await near.end('SIGINT')).stderr).toMatch(/times a sender was told/);
  });
});

describe('over UDP, on a path that is silent', () => {
  it.each([
    ['IPv4', 1372],
    ['IPv6', 1352],
  ] as const)('by %s: probes find what it takes', async (name, limit) => {
    silence();
    const [nearEnd, farEnd] = udp[name];
    const near = await joinMade(`${nearEnd},probe`, `${farEnd},probe`);
    await near.until(new RegExp(`MTU {5}.*: ${limit}`));
    await vi.waitFor(() => expect(ip('link show t0')).toContain(`mtu ${limit}`), 10_000);
    await expectLimit(limit);
    await expectTransfers();
  });

  it('of Ethernet likewise, and a path that becomes narrower is noticed', async () => {
    silence();
    const near = await joinWide(`${udp.IPv4[0]},probe`, `${udp.IPv4[1]},probe`, 'tap');
    await near.until(/MTU {5}.*: 1354/);
    await expectLimit(1354);
    setPath(1350);
    await near.until(/MTU {5}.*: 1304/);
    await expectLimit(1304);
    await expectTransfers();
  });

  it('a peer that knows no probes is served as ever', async () => {
    const near = await joinMade(`${udp.IPv4[0]},probe`, udp.IPv4[1]);
    await send(4, 1452);
    // Without acknowledgements, in the end what the kernel knows is what counts.
    await near.until(/MTU {5}.*: 1352/);
    await expectLimit(1352);
    await expectTransfers();
  });
});

describe('over streams, which cut packets where they like', () => {
  it.each([
    ['TCP', 'tcp:203.0.113.2:7000', 'tcp-listen:7000'],
    ['a Unix socket', `unix:${folder}/a.sock`, `unix-listen:${folder}/a.sock`],
  ])('%s carries 1500 bytes, and tells the sender of more', async (_name, nearEnd, farEnd) => {
    const near = await joinWide(nearEnd, farEnd);
    await expectFragments();
    await expectLimit(1500);
    await expectTransfers();
    expect((await near.end('SIGINT')).stderr).toMatch(/times a sender was told/);
  });
});

describe('vnic mtu explain', () => {
  it('reckons as the link does, and makes nothing', async () => {
    const { stdout, status } = await runVnic(['mtu', 'explain', 'tun:t0', 'udp:[2001:db8:2::2]:7000']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/1500 +interface, to 2001:db8:2::2 by v0\n/);
    expect(stdout).toMatch(/- 40 +IPv6 header \(RFC 8200\)\n +- 8 +UDP header \(RFC 768\)\n +(= )?1452 /);
    expect(stdout).toContain('MTU 1452 for IP packets\n  TCP segments of up to 1412 bytes by IPv4, 1392 by IPv6\n');
    expect(interfaceNames()).not.toContain('t0');
  });

  it('knows what the kernel has learned of the path', async () => {
    await run(['ping', '-c1', '-W0.5', '-M', 'do', '-s', '1472', '203.0.113.2']);
    const { stdout } = await runVnic(['mtu', 'explain', 'tap:t0', 'udp:203.0.113.2:7000', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      medium: 'ethernet',
      mtu: 1334,
      ends: [
        { end: 'tap:t0', basis: 'other', mtu: 1334 },
        { basis: 'path', outerMtu: 1400, path: { interface: 'v0', interfaceMtu: 1500, pathMtu: 1400, family: 4 } },
      ],
    });
  });

  it('says that IPv6 does not work, and that a device is too wide', async () => {
    ip('tuntap add p0 mode tun');
    const { stdout } = await runVnic(['mtu', 'explain', 'tun:p0', 'udp:203.0.113.2:7000,mtu=1000']);
    expect(stdout).toContain('IPv6 needs 1280 bytes');
    expect(stdout).toContain('`vnic set p0 --mtu 1000`');
    expect(stdout).toContain('packets of 1001 to 1280 bytes are lost');
  });

  it('points at a mistake', async () => {
    const { stderr, status } = await runVnic(['mtu', 'explain', 'tun:t0', 'udp:203.0.113.2:7000,mtu=12']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/\^\^\n.*expected a whole number from 68 to 65535/);
    expect((await runVnic(['mtu', 'explain', 'tun:t0', 'tap:t1'])).status).toBe(2);
    expect((await runVnic(['mtu', 'explain', 'tun:t0'])).status).toBe(2);
    expect((await runVnic(['mtu', 'guess', 'tun:t0', 'null'])).status).toBe(2);
  });
});

/**
 * `vnic link` over a network that loses, delays, reorders and duplicates packets: a guest of QEMU bridges its two network cards, and
 * has `netem` on both, which the machine's own kernel may be without.
 *
 *     this host ── g0 ── eth0 [bridge of the guest] eth1 ── g1 ── the host `far`
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { beforeAll, describe, expect, it } from 'vitest';

import { ip } from '../netns/iproute2.ts';
import { far, iperf, link, linkFar, near, pingsAtLast, startFar, withTwoHosts } from './carriers.ts';
import { type LiveVnic, startLive } from './live-vnic.ts';
import { run } from './run-vnic.ts';

const folder = withTwoHosts('netem');
let guestFolder = '';

beforeAll(() => {
  const script = fileURLToPath(new URL('../../scripts/build-guest.mjs', import.meta.url));
  guestFolder = execFileSync(process.execPath, [script], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
}, 300_000);

async function startGuest(): Promise<LiveVnic> {
  const cards = ['g0', 'g1'].flatMap((name) => [
    ...['-netdev', `tap,id=${name},ifname=${name},script=no,downscript=no`],
    ...['-device', `virtio-net-pci,netdev=${name},romfile=`],
  ]);
  const guest = startLive([
    ...['qemu-system-x86_64', '-accel', 'tcg', '-m', '128', '-display', 'none', '-nodefaults', '-no-user-config'],
    ...['-serial', 'stdio', '-kernel', join(guestFolder, 'vmlinuz'), '-initrd', join(guestFolder, 'initramfs')],
    ...['-append', 'console=ttyS0 quiet panic=-1', ...cards],
  ]);
  await guest.until(/guest ready/);
  ip('link set g1 netns far');
  for (const [where, name, host] of [
    ['', 'g0', 1],
    ['-n far ', 'g1', 2],
  ]) {
    ip(`${where}addr add 203.0.113.${host}/24 dev ${name}`);
    ip(`${where}link set ${name} up`);
  }
  return guest;
}

/** Has the guest run a command to its end. */
async function inGuest(guest: LiveVnic, command: string): Promise<void> {
  const done = `${command.length}-${guest.output.stdout.length}`;
  guest.child.stdin?.write(`${command}; echo ended ${done} with $?\n`);
  await guest.until(new RegExp(`\nended ${done} with 0`));
}

async function impair(guest: LiveVnic, how: string): Promise<void> {
  for (const device of ['eth0', 'eth1'])
    await inGuest(guest, `tc-of-iproute2 qdisc replace dev ${device} root netem ${how}`);
}

/** How many packets the guest has lost on purpose. */
async function lostInGuest(guest: LiveVnic): Promise<number> {
  const from = guest.output.stdout.length;
  await inGuest(guest, 'tc-of-iproute2 -s qdisc show');
  const told = guest.output.stdout.slice(from).matchAll(/qdisc netem[\s\S]*?dropped (\d+)/g);
  return [...told].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Sends a megabyte over TCP to the other host; whether the same has come. */
async function transfers(address: string): Promise<boolean> {
  const [from, to] = [join(folder, 'from'), join(folder, 'to')];
  const bytes = Buffer.alloc(1 << 20, 'what is sent');
  for (let i = 0; i < bytes.length; i += 997) bytes[i] = i % 251;
  writeFileSync(from, bytes);
  const server = startFar('socat', '-d', '-d', '-u', 'TCP-LISTEN:9000', `CREATE:${to}`);
  await server.until(/listening/);
  await run(['socat', '-u', `OPEN:${from}`, `TCP:${address}:9000`]);
  await server.end();
  const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
  return digest(from) === digest(to);
}

const IMPAIRMENT = 'delay 5ms 2ms loss 3% duplicate 3% reorder 20% 50%';

describe.each([
  ['UDP', 'udp:203.0.113.2:7000', 'udp-listen:7000'],
  ['TCP', 'tcp:203.0.113.2:7000', 'tcp-listen:7000'],
] as const)('a link over %s', (carrier, nearEnd, farEnd) => {
  it('carries ping, iperf3 and a file through loss, delay, reordering and duplicates', async () => {
    const guest = await startGuest();
    expect((await run(['ping', '-c1', '-W10', '203.0.113.2'])).status).toBe(0);
    await impair(guest, IMPAIRMENT);
    const there = linkFar(`tun:t1,${far}`, farEnd);
    await there.until(/joined/);
    await link(`tun:t0,${near}`, nearEnd).until(/joined/);
    expect(await pingsAtLast('10.9.0.2')).toBe(true);
    const { stdout } = await run(['ping', '-c100', '-i0.05', '-W10', 'fd09::2']);
    const received = Number(/(\d+) received/.exec(stdout)?.[1]);
    // A stream brings each packet once; of datagrams some are lost, and some come twice.
    if (carrier === 'TCP') expect(stdout).toMatch(/100 received, 0%/);
    else expect(received).toBeGreaterThan(60);
    expect(/duplicates/.test(stdout)).toBe(carrier === 'UDP');
    expect(await transfers('10.9.0.2')).toBe(true);
    expect(await iperf('10.9.0.2')).toBeGreaterThan(10_000);
    expect(await lostInGuest(guest)).toBeGreaterThan(5);
  }, 240_000);
});

describe('a link over TCP', () => {
  it('goes on after the network was gone for a while', async () => {
    const guest = await startGuest();
    const there = linkFar(`tun:t1,${far}`, 'tcp-listen:7000');
    await there.until(/joined/);
    await link(`tun:t0,${near}`, 'tcp:203.0.113.2:7000').until(/up /);
    expect(await pingsAtLast('10.9.0.2')).toBe(true);
    await impair(guest, 'loss 100%');
    expect((await run(['ping', '-c2', '-W1', '10.9.0.2'])).status).not.toBe(0);
    await impair(guest, 'loss 0%');
    expect(await pingsAtLast('10.9.0.2')).toBe(true);
  }, 240_000);
});

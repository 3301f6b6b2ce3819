/** `vnic link` against QEMU: two netdevs on a hub in it, one of which is under test. No guest is needed for that. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { iperf, link, near, pings, pingsAtLast, withTwoHosts } from './carriers.ts';
import { type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { run, runVnic } from './run-vnic.ts';

const folder = withTwoHosts('qemu');
const [qemuPath, vnicPath] = [join(folder, 'qemu'), join(folder, 'vnic')] as const;
const unixDatagrams = `dgram,id=b,local.type=unix,local.path=${qemuPath},remote.type=unix,remote.path=${vnicPath}`;

/** QEMU without a machine, forwarding between two netdevs. */
function startQemu(one: string, other: string): LiveVnic {
  const hub = ['-netdev', 'hubport,id=h0,hubid=0,netdev=a', '-netdev', 'hubport,id=h1,hubid=0,netdev=b'];
  return startLive([
    ...['qemu-system-x86_64', '-M', 'none', '-nodefaults', '-display', 'none', '-monitor', 'stdio'],
    ...['-netdev', one, '-netdev', other, ...hub],
  ]);
}

/** The other host, behind the Unix datagram sockets of QEMU. */
async function startOther(): Promise<LiveVnic> {
  // The same MAC address each time, so that the neighbour tables stay right.
  const options = 'mac=02:00:00:00:00:02,netns=far,address=10.9.0.2/24,address=fd09::2/64';
  const other = startVnic(['link', `tap:t1,${options}`, `qemu-dgram:${qemuPath},local=${vnicPath}`]);
  await other.until(/joined/);
  return other;
}

const netdevs: readonly [name: string, netdev: string, end: string][] = [
  [
    'stream, which connects by TCP',
    'stream,id=a,server=off,addr.type=inet,addr.host=127.0.0.1,addr.port=5000',
    'qemu-listen:127.0.0.1:5000',
  ],
  [
    'stream, which listens on TCP',
    'stream,id=a,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port=5000',
    'qemu:127.0.0.1:5000',
  ],
  [
    'stream, which connects to a Unix socket',
    `stream,id=a,server=off,addr.type=unix,addr.path=${folder}/s`,
    `qemu-listen:${folder}/s`,
  ],
  [
    'stream, which listens on a Unix socket',
    `stream,id=a,server=on,addr.type=unix,addr.path=${folder}/t`,
    `qemu:${folder}/t`,
  ],
  [
    'dgram over UDP, of which QEMU 7.2 knows IPv4 only',
    'dgram,id=a,local.type=inet,local.host=127.0.0.1,local.port=5001,remote.type=inet,remote.host=127.0.0.1,remote.port=5002',
    'qemu-dgram:127.0.0.1:5001,port=5002',
  ],
];

describe('against QEMU`s netdev', () => {
  it.each(netdevs)('%s, and dgram over Unix sockets: ping and iperf3', async (_name, netdev, end) => {
    const other = await startOther();
    const here = link(`tap:t0,${near}`, end);
    await here.until(/joined/);
    startQemu(netdev, unixDatagrams);
    await other.until(/up /);
    expect(await pingsAtLast('10.9.0.2')).toBe(true);
    expect(await pings('10.9.0.2', '-M', 'do', '-s', '1472')).toBe(true);
    expect(await pings('fd09::2')).toBe(true);
    expect(await iperf('10.9.0.2')).toBeGreaterThan(1_000_000);
    expect(await iperf('fd09::2', true)).toBeGreaterThan(1_000_000);
    await here.end('SIGTERM');
    expect((await other.end('SIGTERM')).stderr).toMatch(/QEMU datagrams to .* → TAP device t1/);
    expect(existsSync(vnicPath)).toBe(false);
  });

  it('goes on when QEMU is started again, or vnic after `kill -9`', async () => {
    const [, netdev, end] = netdevs[0] as (typeof netdevs)[number];
    let other = await startOther();
    await link(`tap:t0,${near}`, end).until(/joined/);
    const qemu = startQemu(netdev, unixDatagrams);
    await other.until(/up /);
    expect(await pingsAtLast('10.9.0.2')).toBe(true);
    await qemu.end('SIGKILL');
    expect((await run(['ping', '-c1', '-W1', '10.9.0.2'])).status).not.toBe(0);
    await other.until(/up (?:.|\n)*down /);
    startQemu(netdev, unixDatagrams);
    expect(await pingsAtLast('10.9.0.2')).toBe(true);
    await other.end('SIGKILL');
    expect(existsSync(vnicPath)).toBe(true);
    other = await startOther();
    expect(await pingsAtLast('10.9.0.2')).toBe(true);
  });
});

describe('a mistake', () => {
  it.each([
    ['no port of this side', 'qemu-dgram:127.0.0.1:5001', /needs port=, where QEMU sends to/],
    ['no path of this side', 'qemu-dgram:/tmp/q', /needs local=, where QEMU sends to/],
    ['a port beside a path', 'qemu-dgram:/tmp/q,port=7', /expected local=, the path of this side/],
    ['a path beside a port', 'qemu-dgram:127.0.0.1:5001,local=/tmp/q', /expected port=, the port of this side/],
    ['no port of QEMU', 'qemu-dgram:127.0.0.1,port=1', /expected HOST:PORT/],
  ])('%s is pointed at', async (_what, end, message) => {
    const { status, stderr } = await runVnic(['link', 'null', end]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });

  it('a path that somebody has is not taken from them', async () => {
    const other = await startOther();
    const { status, stderr } = await runVnic(['link', 'null', `qemu-dgram:${qemuPath},local=${vnicPath}`]);
    expect(status).toBe(71);
    expect(stderr).toMatch(/EADDRINUSE(?:.|\n)*ss -xlp/);
    await other.end('SIGTERM');
  });
});

/**
 * Existing interfaces opened with `split`, against the real kernel: what it leaves to the network card is done here.
 *
 *   link <- AF_PACKET socket <- m0 ===veth=== p0 (namespace "peer", whose kernel sends)
 */

import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';

import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { joinedLinksHarness, linkConformanceCases, markPacket, seedOf } from '../../src/testing/index.ts';
import { checksumPending, type InterfaceLink, interfaceMedium, openInterface } from '../../src/transport/index.ts';
import { TunDevice } from '../../src/tun/index.ts';
import { summarizePacket, type TcpSummary } from '../../src/wire/index.ts';
import { ip } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

const open: { close(): Promise<void> }[] = [];
const openLink = async (name: string, netns?: string): Promise<InterfaceLink> => {
  const link = await openInterface({ name, split: true, outgoing: false, ...(netns !== undefined && { netns }) });
  open.push(link);
  return link;
};

beforeEach(() => {
  ip('netns add peer');
  ip('link add m0 type veth peer name p0 netns peer');
  for (const [where, name] of [
    ['', 'm0'],
    ['ip netns exec peer ', 'p0'],
  ] as const) {
    // Otherwise the kernel's own multicast gets between the packets of the test.
    execFileSync('sh', ['-c', `${where}sh -c "echo 1 > /proc/sys/net/ipv6/conf/${name}/disable_ipv6"`]);
  }
  ip('link set m0 up');
  ip('-n peer addr add 10.0.0.1/24 dev p0');
  ip('-n peer neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev p0 nud permanent');
  ip('-n peer link set p0 up');
});
afterEach(async () => {
  for (const link of open.splice(0)) await link.close();
  // A device of a namespace that is deleted goes a while later.
  ip('link delete m0');
  ip('netns delete peer');
});

/** Runs a program in the namespace of the sender. */
function sends(script: string): Promise<void> {
  const child = spawn('ip', ['netns', 'exec', 'peer', process.execPath, '-e', script], { stdio: 'ignore' });
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

async function readUntil(link: InterfaceLink, done: (frames: readonly Uint8Array[]) => boolean): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  while (!done(frames)) {
    const batch = await link.read({ signal: AbortSignal.timeout(30_000) });
    if (batch === undefined) break;
    for (let i = 0; i < batch.count; i++) expect(checksumPending(batch, i)).toBe(false);
    frames.push(...[...batch].map((frame) => frame.slice()));
  }
  return frames;
}

/** Sends one super-packet and more by a UDP socket that has the kernel cut it up into datagrams of 1000 bytes. */
const SEND_DATAGRAMS = `
  const socket = require('node:dgram').createSocket('udp4');
  let left = 20;
  for (let i = 0; i < 20; i++) socket.send(Buffer.alloc(1000, i), 7000, '10.0.0.2', () => --left === 0 && socket.close());
`;

describe('a link on an interface with `split`', () => {
  it('gives packets with complete checksums, which the kernel had left to the network card', async () => {
    const link = await openLink('m0');
    const sent = sends(SEND_DATAGRAMS);
    const frames = await readUntil(link, ({ length }) => length >= 20);
    await sent;
    for (const [i, frame] of frames.entries()) {
      const { udp, ipv4 } = summarizePacket(frame, 'ethernet');
      expect([ipv4?.destination, udp?.destinationPort]).toEqual(['10.0.0.2', 7000]);
      expect(udp?.checksum).toBe('ok');
      expect(frame[50]).toBe(i);
    }
    expect(link.malformed).toBe(0);
  });

  it('gives the segments of TCP super-packets, each with sequence number, length and checksum of its own', async () => {
    // Both ends speak TCP through two links that are joined, so that only what was split goes over.
    ip('netns add other');
    ip('link add m1 type veth peer name p1 netns other');
    ip('link set m1 up');
    ip('-n other addr add 10.0.0.2/24 dev p1');
    ip('-n other link set p1 up');
    ip('-n peer neigh del 10.0.0.2 dev p0');
    try {
      const [near, far] = [await openLink('m0'), await openLink('m1')];
      const segments: TcpSummary[] = [];
      let longest = 0;
      near.onBatch((batch) => {
        for (const frame of batch) {
          const { tcp } = summarizePacket(frame, 'ethernet');
          if (tcp !== undefined && segments.length < 5000) segments.push(tcp);
          longest = Math.max(longest, frame.length);
        }
        far.write(batch);
      });
      far.onBatch((batch) => void near.write(batch));
      const server = spawn('ip', ['netns', 'exec', 'other', 'iperf3', '-s', '-1', '--forceflush']);
      await new Promise<void>((resolve) =>
        server.stdout.on('data', (text) => /listening/.test(String(text)) && resolve()),
      );
      const client = spawn('ip', ['netns', 'exec', 'peer', 'iperf3', '-c', '10.0.0.2', '-n', '20M'], {
        stdio: 'ignore',
      });
      expect(await new Promise((resolve) => client.once('exit', resolve))).toBe(0);
      expect(longest).toBe(1514);
      expect(segments.length).toBeGreaterThan(1000);
      expect(segments.every(({ checksumOk }) => checksumOk)).toBe(true);
      expect([near.malformed, far.malformed]).toEqual([0, 0]);
    } finally {
      for (const link of open.splice(0)) await link.close();
      ip('link delete m1');
      ip('netns delete other');
    }
  });

  it('puts a VLAN tag back', async () => {
    const [link, peer] = [await openLink('m0'), await openLink('p0', 'peer')];
    const plain = markPacket(new Uint8Array(200), 18, 7);
    plain.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0x00, 0x20, 0x05, 0x88, 0xb5]);
    peer.write(plain);
    const [frame] = await readUntil(link, ({ length }) => length > 0);
    expect(frame).toEqual(plain);
    expect(seedOf(frame as Uint8Array)).toBe(7);
  });

  it('does not read what it has written, nor what this machine sends', async () => {
    const [link, peer] = [await openLink('m0'), await openLink('p0', 'peer')];
    ip('addr add 10.0.0.9/24 dev m0');
    ip('neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev m0 nud permanent');
    const socket = createSocket('udp4');
    await new Promise((resolve) => socket.send('own', 7000, '10.0.0.1', resolve));
    socket.close();
    const frame = (seed: number): Uint8Array => {
      const bytes = markPacket(new Uint8Array(100), 14, seed);
      bytes.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x66, 0x88, 0xb5]);
      return bytes;
    };
    link.write(frame(1));
    peer.write(frame(2));
    const frames = await readUntil(link, (all) => all.some((bytes) => seedOf(bytes) !== undefined));
    expect(frames.map(seedOf)).toEqual([2]);
  });

  it('carries bare IP on a TUN device', async () => {
    const device = await TunDevice.open({ name: 'tunx' });
    open.push(device);
    execFileSync('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/tunx/disable_ipv6']);
    ip('addr add 10.1.0.1/24 dev tunx');
    ip('link set tunx up');
    expect(interfaceMedium({ name: 'tunx' })).toBe('ip');
    const link = await openLink('tunx');
    expect(link.medium).toBe('ip');
    const packet = Uint8Array.of(0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 1, 0, 2, 10, 1, 0, 1);
    // Into the device is incoming on the interface.
    device.write(packet);
    expect(await readUntil(link, ({ length }) => length > 0)).toEqual([packet]);
    link.write(packet);
    const batch = await device.read();
    expect([...(batch ?? [])].map((bytes) => [...bytes])).toEqual([[...packet]]);
  });
});

describe('under the conformance suite', () => {
  const makePacket = (size: number, seed: number): Uint8Array => {
    const bytes = markPacket(new Uint8Array(size), 14, seed);
    bytes.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x66, 0x88, 0xb5]);
    return bytes;
  };
  // A veth takes everything, and is deleted by nobody here.
  const cases = linkConformanceCases.filter(({ needs }) => needs === undefined);

  it.each(cases)('$title', async ({ run }) => {
    await run(async () =>
      joinedLinksHarness(await openLink('m0'), await openLink('p0', 'peer'), {
        makePacket,
        removable: false,
        backPressure: false,
      }),
    );
  });
});

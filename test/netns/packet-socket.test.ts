/**
 * Existing interfaces as packet links, against the real kernel.
 *
 *   link <- AF_PACKET socket <- east0 ===veth=== west0 -> AF_PACKET socket -> peer
 */

import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { isVnicError, type VnicError, type VnicErrorCode } from '../../src/base/index.ts';
import { PACKET_ALIGNMENT, type PacketBatch } from '../../src/link/index.ts';
import { joinedLinksHarness, type LinkHarness, linkConformanceCases, markPacket } from '../../src/testing/index.ts';
import {
  checksumPending,
  type InterfaceLink,
  type InterfaceOptions,
  openInterface,
  originalLength,
  packetDirection,
} from '../../src/transport/index.ts';
import { TapDevice, TunDevice } from '../../src/tun/index.ts';
import { summarizePacket } from '../../src/wire/index.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });

const open: { close(): Promise<void> }[] = [];
const openLink = async (options: InterfaceOptions): Promise<InterfaceLink> => {
  const link = await openInterface(options);
  open.push(link);
  return link;
};

function makeVeth(): void {
  ip('link', 'add', 'east0', 'type', 'veth', 'peer', 'name', 'west0');
  for (const name of ['east0', 'west0']) {
    bringUpSilently(name);
  }
}

/** Without IPv6: otherwise the kernel's own multicast gets between the packets of the test. */
function bringUpSilently(name: string): void {
  execFileSync('sh', ['-c', `echo 1 > /proc/sys/net/ipv6/conf/${name}/disable_ipv6`]);
  ip('link', 'set', name, 'up');
}

function removeVeth(): void {
  try {
    execFileSync('ip', ['link', 'delete', 'east0'], { stdio: 'ignore' });
  } catch {
    // The test deleted it, or made none.
  }
}

afterEach(async () => {
  for (const link of open.splice(0)) await link.close();
  removeVeth();
});

/** A frame of an EtherType for experiments (IEEE 802), which no stack answers. */
function frame(size: number, seed: number): Uint8Array {
  const bytes = markPacket(new Uint8Array(size), 14, seed);
  bytes.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x66, 0x88, 0xb5]);
  return bytes;
}

/** The same with VLAN tags, each an EtherType and its control information. */
function taggedFrame(size: number, seed: number, ...tags: readonly [tpid: number, tci: number][]): Uint8Array {
  const plain = frame(size - tags.length * 4, seed);
  const octets = tags.flatMap((words) => words.flatMap((word) => [word >> 8, word & 0xff]));
  return Uint8Array.of(...plain.subarray(0, 12), ...octets, ...plain.subarray(12));
}

/** A packet that was read, copied out of its batch. */
interface ReadPacket {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
  readonly pending: boolean;
}

async function readPackets(link: InterfaceLink, count: number): Promise<ReadPacket[]> {
  const packets: ReadPacket[] = [];
  for await (const batch of link.batches()) {
    for (let i = 0; i < batch.count; i++) {
      packets.push({
        bytes: batch.packet(i).slice(),
        offset: batch.offset(i),
        length: originalLength(batch, i),
        pending: checksumPending(batch, i),
      });
    }
    if (packets.length >= count) break;
  }
  return packets;
}

/** Writes a packet until it is read: the kernel drops what comes before it has noticed that the cable is back. */
async function delivered(
  from: InterfaceLink,
  reading: Promise<PacketBatch | undefined>,
  packet: Uint8Array,
): Promise<Uint8Array | undefined> {
  let arrived: Uint8Array | undefined;
  const done = reading.then((batch) => {
    arrived = batch?.packet(0).slice();
  });
  while (arrived === undefined && !from.closed) {
    from.write(packet);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await done;
  return arrived;
}

async function errorOf(run: () => unknown): Promise<VnicError> {
  try {
    await run();
  } catch (error) {
    if (isVnicError(error)) return error;
    throw error;
  }
  throw new RangeError('expected an error, got none');
}

const codeOf = async (run: () => unknown): Promise<VnicErrorCode> => (await errorOf(run)).code;

describe('an interface link is a packet link', () => {
  const openHarness = async (): Promise<LinkHarness> => {
    makeVeth();
    const harness = joinedLinksHarness(await openInterface({ name: 'east0' }), await openInterface({ name: 'west0' }), {
      makePacket: frame,
      backPressure: false,
      removable: false,
    });
    return {
      ...harness,
      remove: async () => removeVeth(),
      close: async () => {
        await harness.close();
        removeVeth();
      },
    };
  };
  for (const { title, needs, run } of linkConformanceCases) {
    if (needs !== 'backPressure') it(title, () => run(openHarness));
  }
});

describe('openInterface', () => {
  it('takes loopback and veth for Ethernet and a TUN device for IP', async () => {
    makeVeth();
    const tun = await TunDevice.open({ name: 'pkt%d' });
    try {
      expect((await openLink({ name: 'lo' })).medium).toBe('ethernet');
      expect((await openLink({ name: 'east0' })).medium).toBe('ethernet');
      expect((await openLink({ name: tun.name })).medium).toBe('ip');
    } finally {
      await tun.close();
    }
  });

  it('says that there is no such interface', async () => {
    expect(await codeOf(() => openInterface({ name: 'nix0' }))).toBe('VNIC_NO_SUCH_INTERFACE');
    expect(await codeOf(() => openInterface({ name: '' }))).toBe('VNIC_INVALID_NAME');
    expect(await codeOf(() => openInterface({ name: 'a-name-of-17-long' }))).toBe('VNIC_NAME_TOO_LONG');
  });

  it('says that CAP_NET_RAW is missing', () => {
    const script = `
      import { openInterface } from ${JSON.stringify(new URL('../../dist/transport/index.js', import.meta.url).href)};
      try { await openInterface({ name: 'lo' }); } catch (error) { console.log(error.code, error.message); }`;
    const output = execFileSync(
      'setpriv',
      ['--inh-caps=-all', '--bounding-set=-all', process.execPath, '--input-type=module', '-e', script],
      { encoding: 'utf8' },
    );
    expect(output).toMatch(/^VNIC_NO_PRIVILEGE .*lacks CAP_NET_RAW.*\[socket\(AF_PACKET\): EPERM\]/);
  });
});

describe('what is read', () => {
  it('tells incoming from outgoing packets', async () => {
    makeVeth();
    const east = await openLink({ name: 'east0' });
    const other = await openLink({ name: 'east0' });
    const west = await openLink({ name: 'west0' });
    east.write(frame(100, 1));
    const sent = await other.read();
    const received = await west.read();
    if (sent === undefined || received === undefined) throw new RangeError('expected a packet');
    expect(packetDirection(sent, 0)).toBe('outgoing');
    expect(packetDirection(received, 0)).toBe('incoming');
    expect(received.packet(0)).toEqual(frame(100, 1));
    expect(originalLength(received, 0)).toBe(100);
  });

  it('leaves outgoing packets out when asked to', async () => {
    makeVeth();
    const incomingOnly = await openLink({ name: 'east0', outgoing: false });
    const east = await openLink({ name: 'east0' });
    const west = await openLink({ name: 'west0' });
    east.write(frame(100, 1));
    await west.read();
    west.write(frame(100, 2));
    const batch = await incomingOnly.read();
    expect(batch?.count).toBe(1);
    expect(batch?.packet(0)).toEqual(frame(100, 2));
  });

  it('is promiscuous as long as the link is open', async () => {
    makeVeth();
    const promiscuity = (): number => JSON.parse(ip('-d', '-j', 'link', 'show', 'east0'))[0].promiscuity;
    expect(promiscuity()).toBe(0);
    const link = await openLink({ name: 'east0', promiscuous: true });
    expect(promiscuity()).toBe(1);
    await link.close();
    expect(promiscuity()).toBe(0);
  });

  it('counts what the kernel dropped because nobody read', async () => {
    makeVeth();
    const east = await openLink({ name: 'east0', receiveBufferLen: 1 });
    const west = await openLink({ name: 'west0' });
    for (let i = 0; i < 200; i++) west.write(frame(1000, i));
    const { packets, dropped } = east.statistics();
    expect(packets).toBe(200);
    expect(dropped).toBeGreaterThan(100);
    await east.close();
    expect(east.statistics()).toEqual({ packets, dropped });
  });

  it('carries whole IP packets of a tunnel both ways', async () => {
    const tun = await TunDevice.open({ name: 'pkt%d' });
    try {
      ip('link', 'set', tun.name, 'up');
      const link = await openLink({ name: tun.name });
      const packet = Uint8Array.of(0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 9, 9, 1, 10, 9, 9, 2);
      expect(link.write(packet)).toBe(1);
      for await (const batch of tun.batches()) {
        if ([...batch].some((bytes) => Buffer.from(bytes).equals(packet))) break;
      }
      expect(tun.write(packet)).toBe(1);
      for await (const batch of link.batches()) {
        if (
          [...batch].some((bytes, i) => Buffer.from(bytes).equals(packet) && packetDirection(batch, i) === 'incoming')
        )
          break;
      }
    } finally {
      await tun.close();
    }
  });
});

describe('VLAN tags, which the kernel takes out of a frame', () => {
  /** Writes frames as the far end of a TAP device, and gives what a link on the device reads. */
  async function receivedOnTap(frames: readonly Uint8Array[], options: Partial<InterfaceOptions> = {}) {
    const tap = await TapDevice.open({ name: 'pkt%d' });
    try {
      bringUpSilently(tap.name);
      const link = await openLink({ name: tap.name, ...options });
      for (const bytes of frames) expect(tap.write(bytes)).toBe(1);
      return await readPackets(link, frames.length);
    } finally {
      await tap.close();
    }
  }

  it.each<[string, [tpid: number, tci: number][]]>([
    ['an 802.1Q tag', [[0x8100, 7]]],
    ['its priority and drop eligibility', [[0x8100, 0xb007]]],
    ['a priority tag without a VLAN', [[0x8100, 0xe000]]],
    ['the highest VLAN id', [[0x8100, 0x0fff]]],
    ['an 802.1ad tag', [[0x88a8, 0x6005]]],
    [
      '802.1Q in 802.1ad',
      [
        [0x88a8, 0xa005],
        [0x8100, 0x7007],
      ],
    ],
    [
      '802.1Q in 802.1Q in 802.1ad',
      [
        [0x88a8, 1],
        [0x8100, 2],
        [0x8100, 0xf003],
      ],
    ],
    ['a tag that the kernel does not know', [[0x9100, 5]]],
  ])('are put back: %s', async (_, tags) => {
    const frames = [64, 65, 1518, 9018].map((size, seed) => taggedFrame(size, seed, ...tags));
    const packets = await receivedOnTap(frames);
    expect(packets.map(({ bytes }) => bytes)).toEqual(frames);
    expect(packets.map(({ length }) => length)).toEqual(frames.map(({ length }) => length));
  });

  it('leave the frames around them and the layout of the batch as they are', async () => {
    const frames = [frame(60, 1), taggedFrame(77, 2, [0x8100, 7]), frame(61, 3), taggedFrame(78, 4, [0x88a8, 8])];
    const packets = await receivedOnTap(frames, { batch: { headroom: 16 } });
    expect(packets.map(({ bytes }) => bytes)).toEqual(frames);
    let end = 0;
    for (const { offset, length } of packets) {
      expect(offset % PACKET_ALIGNMENT).toBe(0);
      expect(offset - end).toBeGreaterThanOrEqual(16);
      end = offset + length;
    }
  });
});

describe('checksums that are left to the network card', () => {
  /** What both ends of a veth pair show of what `send` has the kernel send to 10.7.0.2. */
  async function sentOverVeth(send: () => void): Promise<ReadPacket[]> {
    makeVeth();
    ip('addr', 'add', '10.7.0.1/24', 'dev', 'east0');
    ip('neigh', 'add', '10.7.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'east0');
    const ends = [await openLink({ name: 'east0' }), await openLink({ name: 'west0' })];
    send();
    return (await Promise.all(ends.map((link) => readPackets(link, 1)))).flat();
  }

  const sendUdp = (): void => {
    const socket = createSocket('udp4');
    socket.send('hello', 9, '10.7.0.2', () => socket.close());
  };

  const startTcp = (): void => {
    const socket = connect(9, '10.7.0.2').on('error', () => undefined);
    open.push({ close: async () => void socket.destroy() });
  };

  it.each([
    ['UDP', sendUdp],
    ['TCP', startTcp],
  ])('are pending in %s', async (_, send) => {
    const packets = await sentOverVeth(send);
    expect(packets.map(({ pending }) => pending)).toEqual([true, true]);
    for (const { bytes } of packets) {
      expect(summarizePacket(bytes, 'ethernet').drop).toBe('bad-checksum');
      expect(summarizePacket(bytes, 'ethernet', { checksumPending: true }).drop).toBeUndefined();
    }
  });

  it('are not pending once they are computed', async () => {
    const packets = await sentOverVeth(() => {
      execFileSync('ethtool', ['-K', 'east0', 'tx', 'off'], { stdio: 'ignore' });
      sendUdp();
    });
    expect(packets.map(({ pending }) => pending)).toEqual([false, false]);
    for (const { bytes } of packets) expect(summarizePacket(bytes, 'ethernet').drop).toBeUndefined();
  });

  it('are not pending in a packet that was written with a wrong one', async () => {
    makeVeth();
    const east = await openLink({ name: 'east0' });
    const west = await openLink({ name: 'west0' });
    east.write(frame(100, 1));
    expect((await readPackets(west, 1)).map(({ pending }) => pending)).toEqual([false]);
  });
});

describe('when the interface changes', () => {
  it('survives going down and up, counts what it could not send, and says so', async () => {
    makeVeth();
    const east = await openLink({ name: 'east0' });
    const west = await openLink({ name: 'west0' });
    const seen: string[] = [];
    const told = new Promise<void>((resolve) => {
      east.on('down', () => seen.push('down'));
      east.on('up', () => {
        seen.push('up');
        resolve();
      });
    });
    const reading = east.read();
    ip('link', 'set', 'east0', 'down');
    expect(east.write(frame(100, 1))).toBe(1);
    expect(east.counters.writeDropped['link-down']).toBe(1);
    ip('link', 'set', 'east0', 'up');
    await told;
    expect(seen).toEqual(['down', 'up']);
    expect(await delivered(west, reading, frame(100, 2))).toEqual(frame(100, 2));
    expect(await delivered(east, west.read(), frame(100, 3))).toEqual(frame(100, 3));
  });

  it('follows the MTU', async () => {
    makeVeth();
    const link = await openLink({ name: 'east0' });
    const mtu = new Promise((resolve) => link.on('mtu', resolve));
    ip('link', 'set', 'east0', 'mtu', '1400');
    expect(await mtu).toBe(1400);
    expect(link.mtu).toBe(1400);
    link.write(frame(1500, 1));
    expect(link.counters.writeDropped['too-long']).toBe(1);
  });

  it('hands over what is queued before it ends with VNIC_DEVICE_GONE', async () => {
    makeVeth();
    const east = await openLink({ name: 'east0' });
    const west = await openLink({ name: 'west0' });
    for (let i = 0; i < 5; i++) west.write(frame(100, i));
    removeVeth();
    expect((await east.read())?.count).toBe(5);
    expect(await codeOf(() => east.read())).toBe('VNIC_DEVICE_GONE');
    expect(east.closed).toBe(true);
  });

  it('notices that an interface was deleted that was down before', async () => {
    makeVeth();
    const east = await openLink({ name: 'east0' });
    const ended = codeOf(() => east.read());
    ip('link', 'set', 'east0', 'down');
    // The kernel reports the deletion only while the socket is attached: let it see the interface down first.
    while (east.counters.writeDropped['link-down'] === 0) {
      east.write(frame(100, 1));
      await new Promise((resolve) => setImmediate(resolve));
    }
    removeVeth();
    expect(await ended).toBe('VNIC_DEVICE_GONE');
  });

  it('notices the same of one that was down from the start', async () => {
    makeVeth();
    ip('link', 'set', 'east0', 'down');
    const east = await openLink({ name: 'east0' });
    const ended = codeOf(() => east.read());
    await new Promise((resolve) => setImmediate(resolve));
    removeVeth();
    expect(await ended).toBe('VNIC_DEVICE_GONE');
  });
});

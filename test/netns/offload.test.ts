/**
 * Super-packets on real devices.
 *
 *   kernel sockets -> device -> this process -> device -> kernel sockets
 *
 * The first part looks at one device, with UDP sockets of this namespace as the source and the sink of super-packets.
 * The second sends TCP through two wires with a routing kernel between them:
 *
 *   near ns  a0 -[wire]- a1  middle ns, routes  b0 -[wire]- b1  far ns
 */

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { forward, PacketBatch, type PacketLink } from '../../src/link/index.ts';
import { nativeCore } from '../../src/native/index.ts';
import { type DeviceOptions, TapDevice, TunDevice, type TunTapDevice } from '../../src/tun/index.ts';
import { IpProtocol, parseVirtioNetHeader, VirtioNetGso } from '../../src/wire/index.ts';
import { buildPacket, type Flow, located, payloadOf } from '../offload/packets.ts';
import { checksumsRight, coalescePackets, locate } from '../offload/twin.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

const core = nativeCore();
const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });

const opened: { close(): Promise<void> }[] = [];
const sockets: number[] = [];

afterEach(async () => {
  for (const fd of sockets.splice(0)) core.close(fd);
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function open(kind: 'tun' | 'tap', options: DeviceOptions): Promise<TunTapDevice> {
  const device = await (kind === 'tun' ? TunDevice : TapDevice).open(options);
  opened.push(device);
  return device;
}

/** Up, with the addresses that `udpFlow` uses, and a neighbour for frames to go to. */
function configure({ name, medium }: TunTapDevice): void {
  ip('link', 'set', name, ...(medium === 'ethernet' ? ['address', '02:00:00:00:00:01'] : []), 'up');
  ip('addr', 'add', '10.0.1.9/24', 'dev', name);
  ip('route', 'add', '10.0.0.0/24', 'dev', name);
  ip('-6', 'addr', 'add', 'fd00::109/120', 'dev', name, 'nodad');
  ip('-6', 'route', 'add', 'fd00::/120', 'dev', name);
  if (medium === 'ip') return;
  for (const address of ['10.0.0.9', 'fd00::9']) {
    ip('neigh', 'replace', address, 'lladdr', '02:00:00:00:00:02', 'dev', name, 'nud', 'permanent');
  }
}

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;

function sockaddr(version: 4 | 6, address: readonly number[], port: number): Uint8Array {
  const bytes = new Uint8Array(version === 4 ? 16 : 28);
  bytes.set(new Uint8Array(Uint16Array.of(version === 4 ? AF_INET : AF_INET6).buffer));
  bytes.set([port >> 8, port & 0xff], 2);
  bytes.set(address, version === 4 ? 4 : 8);
  return bytes;
}

const v6 = (...tail: [number, number]): number[] => [0xfd, 0, ...new Array<number>(12).fill(0), ...tail];
const here = { 4: [10, 0, 1, 9], 6: v6(1, 9) };
const there = { 4: [10, 0, 0, 9], 6: v6(0, 9) };

function udpSocket(version: 4 | 6, port: number): number {
  const fd = core.socket(version === 4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  sockets.push(fd);
  expect(core.bind(fd, sockaddr(version, here[version], port))).toBe(0);
  return fd;
}

/** The kernel sends `payload` in datagrams of `segmentLen` bytes, by one call, to where the device leads. */
function kernelSends(version: 4 | 6, payload: Uint8Array, segmentLen: number): void {
  const fd = udpSocket(version, 0);
  expect(core.setsockopt(fd, SOL_UDP, UDP_SEGMENT, new Uint8Array(Int32Array.of(segmentLen).buffer))).toBe(0);
  expect(core.send(fd, payload, 0, sockaddr(version, there[version], 7))).toBe(payload.length);
}

/** Reads until `count` UDP packets to port 7 came, and copies them. */
async function readUdp(link: PacketLink, count: number, skip = 0): Promise<Uint8Array[]> {
  const packets: Uint8Array[] = [];
  const signal = AbortSignal.timeout(5000);
  while (packets.length < count) {
    const batch = await link.read({ signal });
    if (batch === undefined) break;
    for (const packet of batch) {
      const where = locate(packet.subarray(skip), link.medium);
      const isWanted = where?.protocol === IpProtocol.udp && packet[skip + where.l4 + 3] === 7;
      if (isWanted) packets.push(packet.slice());
    }
  }
  return packets;
}

/** From 10.0.0.9 to 10.0.1.9, or the same in IPv6, to port 53. */
const udpFlow = (medium: 'ip' | 'ethernet', version: 4 | 6): Flow => ({
  medium,
  vlanTags: 0,
  version,
  protocol: 'udp',
  number: 9,
  trafficClass: 0,
  hopLimit: 64,
  dontFragment: true,
  extensions: [],
  optionWords: 0,
});

const shapes = (['tun', 'tap'] as const).flatMap((kind) => ([4, 6] as const).map((version) => ({ kind, version })));

function udpBatch(medium: 'ip' | 'ethernet', version: 4 | 6, count: number): PacketBatch {
  const batch = new PacketBatch({ capacity: 256 });
  for (let i = 0; i < count; i++) {
    const segment = { id: i, sequence: 0, acknowledgment: 0, window: 0, flags: 0, payload: payloadOf(1000, i) };
    const packet = buildPacket(udpFlow(medium, version), segment);
    batch.append(packet);
  }
  return batch;
}

/** Datagrams that wait in the socket. */
function receiveAll(fd: number): Uint8Array[] {
  const received: Uint8Array[] = [];
  const buffer = new Uint8Array(65_536);
  for (let length = core.receive(fd, buffer, 0); length >= 0; length = core.receive(fd, buffer, 0)) {
    received.push(buffer.slice(0, length));
  }
  return received;
}

describe.each(shapes)('a $kind device with offload, IPv$version', ({ kind, version }) => {
  it('gives the reader packets of the right size with right checksums', async () => {
    const device = await open(kind, { offload: 'auto' });
    configure(device);
    const payload = payloadOf(30_500, 1);
    kernelSends(version, payload, 1000);
    const packets = await readUdp(device, 31);
    const wheres = packets.map((packet) => located(packet, device.medium));
    packets.forEach((packet, i) => {
      const where = wheres[i] as NonNullable<ReturnType<typeof locate>>;
      expect(checksumsRight(packet, where)).toBe(true);
      expect(packet.length - where.payload).toBe(i === 30 ? 500 : 1000);
    });
    const parts = packets.map((packet, i) => packet.subarray(wheres[i]?.payload));
    expect(Buffer.compare(Buffer.concat(parts), payload)).toBe(0);
    expect(device.offloadInfo).toMatchObject({ superPacketsRead: 1, malformed: 0, superPackets: false });
    expect(device.counters.packetsRead).toBeGreaterThanOrEqual(31);
  });

  it('hands a super-packet over in parts when it has more packets than the batch holds', async () => {
    const device = await open(kind, { offload: 'auto', batch: { capacity: 7 } });
    configure(device);
    const seen: Uint8Array[] = [];
    const done = new Promise<void>((resolve) => {
      const stop = device.onBatch((batch) => {
        expect(batch.count).toBeLessThanOrEqual(7);
        for (const packet of batch) {
          if (locate(packet, device.medium)?.protocol === IpProtocol.udp) seen.push(packet.slice());
        }
        if (seen.length < 60) return;
        stop();
        resolve();
      });
    });
    // The same twice: a reader that was not woken for the rest would see only the first part.
    for (let i = 0; i < 2; i++) kernelSends(version, payloadOf(30_000, 1), 1000);
    await done;
    expect(seen.every((packet) => checksumsRight(packet, located(packet, device.medium)))).toBe(true);
  });

  it('hands super-packets over untouched where they are asked for, and takes the like', async () => {
    const device = await open(kind, { superPackets: true });
    expect(device.offload).toBe(true);
    configure(device);
    kernelSends(version, payloadOf(30_500, 1), 1000);
    const [frame] = await readUdp(device, 1, 10);
    const header = parseVirtioNetHeader(frame as Uint8Array);
    expect(header).toMatchObject({ needsChecksum: true, gsoType: VirtioNetGso.udp, gsoSize: 1000 });
    expect(device.offloadInfo.superPacketsRead).toBe(1);

    const sink = udpSocket(version, 53);
    const batch = udpBatch(device.medium, version, 20);
    const [wanted] = coalescePackets([...batch], device.medium);
    expect(device.write(wanted as Uint8Array)).toBe(1);
    expect(receiveAll(sink).length).toBe(20);
    expect(device.offloadInfo.superPacketsWritten).toBe(1);
    expect(device.counters.packetsWritten).toBe(1);
  });

  it('writes consecutive packets of a flow as one super-packet that the kernel takes apart again', async () => {
    const device = await open(kind, { offload: 'auto' });
    configure(device);
    const sink = udpSocket(version, 53);
    const batch = udpBatch(device.medium, version, 40);
    expect(device.write(batch)).toBe(40);
    const received = receiveAll(sink);
    expect(received.length).toBe(40);
    received.forEach((payload, i) => {
      expect(Buffer.compare(payload, payloadOf(1000, i))).toBe(0);
    });
    expect(device.offloadInfo).toMatchObject({ superPacketsWritten: 1 });
    expect(device.counters).toMatchObject({ packetsWritten: 40, bytesWritten: 40 * (batch.length(0) as number) });
  });
});

describe('negotiation', () => {
  it.each(['tun', 'tap'] as const)(
    'probes a %s device that is down by writing, and leaves one that is up to the first write',
    async (kind) => {
      const kinds = { tso4: 'works', tso6: 'works', uso4: 'works', uso6: 'works' };
      const device = await open(kind, { name: 'probed', offload: 'auto', persist: true });
      expect(device.offloadInfo).toMatchObject({ read: { checksum: true, tso: true, uso: true }, write: kinds });
      expect(device.counters.packetsWritten).toBe(0);
      ip('link', 'set', 'probed', 'up');
      await device.close();
      const again = await open(kind, { name: 'probed', offload: { uso: false } });
      again.setPersist(false);
      expect(again.offloadInfo).toMatchObject({
        read: { checksum: true, tso: true, uso: false },
        write: { tso4: 'untried', tso6: 'untried', uso4: 'off', uso6: 'off' },
      });
    },
  );

  it('uses nothing by default', async () => {
    const device = await open('tun', {});
    expect(device.flags.vnetHeader).toBe(false);
    expect(device.offload).toBe(false);
    expect(device.offloadInfo).toMatchObject({ read: { checksum: false, tso: false, uso: false } });
  });

  it('refuses packet info together with offload, and words that it does not know', async () => {
    await expect(open('tun', { offload: 'auto', packetInfo: true })).rejects.toMatchObject({
      code: 'VNIC_INVALID_ARGUMENT',
    });
    const wrong = { offload: 'on' } as unknown as DeviceOptions;
    await expect(open('tun', wrong)).rejects.toMatchObject({ code: 'VNIC_INVALID_ARGUMENT' });
  });

  it('splits what another user of the device has asked for, although this one has not', async () => {
    const first = await open('tun', { name: 'shared', multiQueue: true, offload: 'auto' });
    const second = await open('tun', { name: 'shared', multiQueue: true, vnetHeader: true });
    configure(first);
    first.detachQueue();
    kernelSends(4, payloadOf(5000, 1), 1000);
    const packets = await readUdp(second, 5);
    expect(packets.every((packet) => checksumsRight(packet, located(packet, 'ip')))).toBe(true);
    expect(second.offloadInfo.superPacketsRead).toBe(1);
  });

  it('refuses a queue with other framing than the queues that are there', async () => {
    const device = await open('tun', { name: 'framed', multiQueue: true, offload: 'auto' });
    await expect(open('tun', { name: 'framed', multiQueue: true })).rejects.toMatchObject({ code: 'VNIC_QUEUE_MODE' });
    expect(device.flags.vnetHeader).toBe(true);
  });

  it('puts the mask of the device back when its last user goes, not before', async () => {
    const first = await open('tun', { name: 'masked', multiQueue: true, persist: true, offload: 'auto' });
    configure(first);
    const second = await open('tun', { name: 'masked', multiQueue: true, vnetHeader: true });
    await first.close();
    kernelSends(4, payloadOf(5000, 1), 1000);
    expect((await readUdp(second, 5)).length).toBe(5);
    expect(second.offloadInfo.superPacketsRead).toBe(1);
    await second.close();

    const third = await open('tun', { name: 'masked', multiQueue: true, offload: 'auto' });
    await third.close();
    const plain = await open('tun', { name: 'masked', multiQueue: true, vnetHeader: true });
    plain.setPersist(false);
    kernelSends(4, payloadOf(5000, 1), 1000);
    expect((await readUdp(plain, 5)).length).toBe(5);
    expect(plain.offloadInfo.superPacketsRead).toBe(0);
  });
});

describe('writing', () => {
  it('counts every packet of a super-packet that a device refuses because it is down', async () => {
    const device = await open('tun', { offload: 'auto' });
    expect(device.write(udpBatch('ip', 4, 10))).toBe(10);
    expect(device.counters.writeDropped['link-down']).toBe(10);
    expect(device.counters.packetsWritten).toBe(0);
  });

  it('counts malformed super-packets as refused', async () => {
    const device = await open('tun', { superPackets: true });
    configure(device);
    const [frame] = coalescePackets([...udpBatch('ip', 4, 3)], 'ip') as [Uint8Array];
    new DataView(frame.buffer).setUint16(4, 0, true);
    expect(device.write(frame)).toBe(1);
    expect(device.write(new Uint8Array(5))).toBe(1);
    expect(device.counters.writeDropped.refused).toBe(2);
  });

  it('ends with VNIC_DEVICE_GONE when the device is deleted', async () => {
    const device = await open('tun', { offload: 'auto' });
    ip('link', 'delete', device.name);
    expect(() => device.write(udpBatch('ip', 4, 3))).toThrow(expect.objectContaining({ code: 'VNIC_DEVICE_GONE' }));
    expect(device.closed).toBe(true);
  });
});

type Mode = 'off' | 'auto' | 'through';

const modeOptions: Record<Mode, DeviceOptions> = {
  off: {},
  auto: { offload: 'auto' },
  through: { superPackets: true },
};

const namespaces = ['near', 'middle', 'far'] as const;
const inside = (namespace: string, ...argv: string[]): string[] => ['netns', 'exec', namespace, ...argv];

const transferBytes = 24 << 20;

/** Takes one connection and prints the hash of what it brings. */
const receiver = `
  import { createHash } from 'node:crypto'; import { createServer } from 'node:net';
  const hash = createHash('sha256'); let length = 0;
  const server = createServer((socket) => {
    socket.on('data', (data) => { hash.update(data); length += data.length; });
    socket.on('end', () => { socket.end(); server.close(); console.log(length + ' ' + hash.digest('hex')); });
  });
  server.listen({ port: 5000, host: '::' }, () => console.log('ready'));`;

/** Sends pseudo-random bytes in pieces of all sizes and prints their hash. */
const sender = (address: string): string => `
  import { createCipheriv, createHash } from 'node:crypto'; import { connect } from 'node:net';
  const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16));
  const hash = createHash('sha256');
  const socket = connect({ port: 5000, host: '${address}' });
  let left = ${transferBytes};
  for (let size = 1; left > 0; size = (size * 7 + 3) % 200000) {
    const piece = stream.update(Buffer.alloc(Math.min(size, left)));
    left -= piece.length; hash.update(piece);
    if (!socket.write(piece)) await new Promise((resolve) => socket.once('drain', resolve));
  }
  socket.end(() => console.log(${transferBytes} + ' ' + hash.digest('hex')));`;

async function run(namespace: string, code: string, onLine: (line: string) => void): Promise<void> {
  const argv = inside(namespace, process.execPath, '--input-type=module', '-e', code);
  const { LD_PRELOAD: _, ...env } = process.env;
  const child = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'], env });
  let text = '';
  child.stdout.on('data', (data: Buffer) => {
    text += data.toString();
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      onLine(text.slice(0, end));
      text = text.slice(end + 1);
    }
  });
  await new Promise((resolve) => child.once('close', resolve));
}

/** Copies bytes by TCP from near to far; returns what was sent and what arrived, as length and hash. */
async function transfer(address: string): Promise<{ sent: string; arrived: string }> {
  let sent = '';
  let arrived = '';
  let onReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    onReady = resolve;
  });
  const receiving = run('far', receiver, (line) => {
    if (line === 'ready') onReady();
    else arrived = line;
  });
  await ready;
  await run('near', sender(address), (line) => {
    sent = line;
  });
  await receiving;
  return { sent, arrived };
}

describe('TCP through two wires', () => {
  beforeAll(() => {
    for (const name of namespaces) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    const sysctl = 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding';
    execFileSync('ip', inside('middle', 'sh', '-c', sysctl));
  });
  afterAll(() => {
    for (const name of namespaces) ip('netns', 'delete', name);
  });

  /** Opens two devices, one for each namespace, and gives them addresses. */
  async function openPair(
    kind: 'tun' | 'tap',
    net: number,
    ends: [string, string],
    modes: [Mode, Mode],
  ): Promise<[TunTapDevice, TunTapDevice]> {
    const pair: TunTapDevice[] = [];
    for (const [i, namespace] of ends.entries()) {
      const device = await open(kind, { name: `w${net}e${i}`, ...modeOptions[modes[i] as Mode] });
      pair.push(device);
      ip('link', 'set', device.name, 'txqueuelen', '1000', 'netns', namespace);
      ip('-n', namespace, 'addr', 'add', `10.7.${net}.${i + 1}/24`, 'dev', device.name);
      ip('-n', namespace, '-6', 'addr', 'add', `fd07:${net}::${i + 1}/64`, 'dev', device.name, 'nodad');
      ip('-n', namespace, 'link', 'set', device.name, 'up');
    }
    return pair as [TunTapDevice, TunTapDevice];
  }

  async function openChain(kind: 'tun' | 'tap', first: [Mode, Mode], second: [Mode, Mode]): Promise<TunTapDevice[]> {
    const one = await openPair(kind, 1, ['near', 'middle'], first);
    const two = await openPair(kind, 2, ['middle', 'far'], second);
    ip('-n', 'near', 'route', 'add', 'default', 'via', '10.7.1.2');
    ip('-n', 'near', '-6', 'route', 'add', 'default', 'via', 'fd07:1::2');
    ip('-n', 'far', 'route', 'add', 'default', 'via', '10.7.2.1');
    ip('-n', 'far', '-6', 'route', 'add', 'default', 'via', 'fd07:2::1');
    return [...one, ...two];
  }

  it.each<{ kind: 'tun' | 'tap'; version: 4 | 6; first: [Mode, Mode]; second: [Mode, Mode] }>([
    { kind: 'tun', version: 4, first: ['auto', 'auto'], second: ['auto', 'auto'] },
    { kind: 'tun', version: 6, first: ['auto', 'auto'], second: ['off', 'off'] },
    { kind: 'tun', version: 4, first: ['off', 'auto'], second: ['auto', 'off'] },
    { kind: 'tun', version: 6, first: ['through', 'through'], second: ['auto', 'auto'] },
    { kind: 'tun', version: 4, first: ['auto', 'auto'], second: ['through', 'through'] },
    { kind: 'tap', version: 4, first: ['auto', 'off'], second: ['through', 'through'] },
    { kind: 'tap', version: 6, first: ['auto', 'auto'], second: ['auto', 'auto'] },
    { kind: 'tun', version: 6, first: ['off', 'off'], second: ['through', 'through'] },
  ])('copies every byte: $kind, IPv$version, $first then $second', async ({ kind, version, first, second }) => {
    const [a0, a1, b0, b1] = (await openChain(kind, first, second)) as [
      TunTapDevice,
      TunTapDevice,
      TunTapDevice,
      TunTapDevice,
    ];
    opened.push(forward(a0, a1), forward(b0, b1));
    const { sent, arrived } = await transfer(version === 4 ? '10.7.2.2' : 'fd07:2::2');
    expect(arrived).toBe(sent);
    expect(sent.startsWith(`${transferBytes} `)).toBe(true);
    for (const device of [a0, a1, b0, b1]) expect(device.offloadInfo.malformed).toBe(0);
    if (first[0] !== 'off') expect(a0.offloadInfo.superPacketsRead).toBeGreaterThan(100);
    // What passes through untouched is as large as what the wire before it has written.
    const merges = second[1] === 'auto' || (second[1] === 'through' && first[1] !== 'off');
    if (merges) expect(b1.offloadInfo.superPacketsWritten).toBeGreaterThan(100);
  });

  it.each<{ version: 4 | 6; first: [Mode, Mode]; second: [Mode, Mode] }>([
    { version: 4, first: ['auto', 'auto'], second: ['auto', 'auto'] },
    { version: 6, first: ['auto', 'auto'], second: ['auto', 'auto'] },
    { version: 4, first: ['off', 'off'], second: ['off', 'off'] },
    { version: 6, first: ['off', 'off'], second: ['off', 'off'] },
    { version: 4, first: ['off', 'auto'], second: ['auto', 'off'] },
    { version: 6, first: ['auto', 'off'], second: ['off', 'auto'] },
  ])(
    'shows at every hop only whole IPv$version packets, in the eyes of tshark too: $first then $second',
    async ({ version, first, second }) => {
      const [a0, a1, b0, b1] = (await openChain('tun', first, second)) as [
        TunTapDevice,
        TunTapDevice,
        TunTapDevice,
        TunTapDevice,
      ];
      const hops: Uint8Array[][] = [];
      for (const [from, to] of [
        [a0, a1],
        [a1, a0],
        [b0, b1],
        [b1, b0],
      ] as const) {
        const seen: Uint8Array[] = [];
        hops.push(seen);
        const stop = from.onBatch((batch) => {
          for (const packet of batch) if (seen.length < 2000) seen.push(packet.slice());
          to.write(batch);
        });
        // Before any device is closed: a reader writes to the other one.
        opened.push({ close: async () => stop() });
      }
      const { sent, arrived } = await transfer(version === 4 ? '10.7.2.2' : 'fd07:2::2');
      expect(arrived).toBe(sent);
      const tcp = hops.map((seen) => seen.filter((packet) => locate(packet, 'ip')?.protocol === IpProtocol.tcp));
      for (const seen of tcp) {
        // Acknowledgments are fewer than what they acknowledge.
        expect(seen.length).toBeGreaterThan(10);
        expect(seen.every((packet) => packet.length <= 1500 && checksumsRight(packet, located(packet, 'ip')))).toBe(
          true,
        );
      }
      const all = tcp.flat();
      expect(all.length).toBeGreaterThan(4000);
      expect(tsharkBadChecksums(all)).toBe(0);
      const [broken] = all.slice(-1) as [Uint8Array];
      broken[broken.length - 1] = (broken[broken.length - 1] as number) ^ 1;
      expect(tsharkBadChecksums([broken])).toBe(1);
    },
  );
});

/** How many of these IP packets have a checksum that tshark calls bad. */
function tsharkBadChecksums(packets: readonly Uint8Array[]): number {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-offload-'));
  try {
    const file = join(folder, 'packets.pcap');
    const LINKTYPE_RAW = 101;
    const head = new Uint8Array(Uint32Array.of(0xa1b2c3d4, 0x0004_0002, 0, 0, 65_535, LINKTYPE_RAW).buffer);
    const records = packets.map((packet) =>
      Buffer.concat([new Uint8Array(Uint32Array.of(0, 0, packet.length, packet.length).buffer), packet]),
    );
    writeFileSync(file, Buffer.concat([head, ...records]));
    const checks = ['-o', 'tcp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE'];
    // 0xffff for a checksum of 0 is what the kernel writes too (`CSUM_MANGLED_0`); tshark would rather have 0.
    const bad = '(tcp.checksum.status == "Bad" and tcp.checksum != 0xffff) or ip.checksum.status == "Bad"';
    const found = execFileSync('tshark', ['-r', file, ...checks, '-Y', bad], { stdio: ['ignore', 'pipe', 'ignore'] });
    return found
      .toString()
      .split('\n')
      .filter((line) => line !== '').length;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

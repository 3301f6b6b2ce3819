/**
 * One system call for many packets: the same packets in the same order as by one call each, and the same drops.
 *
 *   this process <- fd -> tunX <- kernel of a private namespace
 */

import { execFileSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { constants, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { isVnicError, seededRandom } from '../../src/base/index.ts';
import { MAX_FRAME_LEN, PacketBatch } from '../../src/link/index.ts';
import { errno, nativeCore } from '../../src/native/index.ts';
import { openDevice } from '../../src/netdev/index.ts';
import { type PacketIo, TunDevice } from '../../src/tun/index.ts';
import { ioUringForbidden } from './io-uring.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

const ways: readonly PacketIo[] = ioUringForbidden ? ['readiness', 'auto'] : ['readiness', 'io_uring', 'auto'];
const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const resource of open.splice(0).reverse()) await resource.close();
});

async function upDevice(io: PacketIo, more: { batch?: object; mtu?: number } = {}): Promise<TunDevice> {
  const device = await openDevice({ kind: 'tun', name: 'pio%d', addresses: ['10.77.0.1/24'], up: true, io, ...more });
  open.push(device);
  execFileSync('ip', ['link', 'set', device.name, 'txqueuelen', '5000']);
  return device;
}

function datagrams(): Socket {
  const socket = createSocket('udp4');
  open.push(socket);
  return socket;
}

/** Sends one after the other, each numbered in its first two bytes. */
async function send(socket: Socket, lengths: readonly number[]): Promise<void> {
  for (const [number, length] of lengths.entries()) {
    const payload = new Uint8Array(length).fill(number & 0xff);
    payload.set([number >> 8, number & 0xff]);
    await new Promise<void>((resolve, reject) => {
      socket.send(payload, 9, '10.77.0.2', (error) => (error === null ? resolve() : reject(error)));
    });
  }
}

/** The UDP payloads among the next packets, in the order in which they are read. */
async function payloads(device: TunDevice, count: number): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  for await (const batch of device) {
    for (const packet of batch) if (packet[0] === 0x45 && packet[9] === 17) found.push(packet.slice(28));
    if (found.length >= count) break;
  }
  return found;
}

const echoRequest = (number: number): Uint8Array => {
  const packet = new Uint8Array(64 + (number % 7) * 100);
  packet.set([0x45, 0, packet.length >> 8, packet.length & 0xff, number >> 8, number & 0xff, 0, 0, 64, 253, 0, 0]);
  packet.set([10, 77, 0, 2, 10, 77, 0, 1], 12);
  return packet;
};

const batchOf = (packets: readonly Uint8Array[]): PacketBatch => {
  const batch = new PacketBatch({ capacity: packets.length, bytesLen: packets.length * 1024 });
  for (const packet of packets) batch.append(packet);
  return batch;
};

describe.each(ways)('a device read and written with io %s', (io) => {
  it('gives packets of all lengths whole and in order', async () => {
    const device = await upDevice(io, { mtu: 65_535 });
    const random = seededRandom(7);
    const lengths = Array.from(
      { length: 400 },
      (_, i) => 2 + Math.floor(random() ** 6 * 65_000) + (i % 50 === 0 ? 500 : 0),
    );
    await send(datagrams(), lengths);
    const found = await payloads(device, lengths.length);
    expect(found.map((payload) => payload.length)).toEqual(lengths);
    expect(found.map((payload) => ((payload[0] as number) << 8) | (payload[1] as number))).toEqual([...lengths.keys()]);
    expect(found.every((payload, i) => payload.subarray(2).every((byte) => byte === (i & 0xff)))).toBe(true);
  });

  it('keeps the headroom of each packet free, in a batch that has room for one frame only', async () => {
    const device = await upDevice(io, { batch: { capacity: 16, headroom: 40, bytesLen: MAX_FRAME_LEN + 4096 } });
    await send(
      datagrams(),
      Array.from({ length: 100 }, () => 300),
    );
    const found: number[] = [];
    for await (const batch of device) {
      let end = 0;
      for (let i = 0; i < batch.count; i++) {
        expect(batch.offset(i)).toBeGreaterThanOrEqual(end + 40);
        end = batch.offset(i) + batch.length(i);
        if (batch.packet(i)[9] === 17) found.push(batch.packet(i)[29 + 0] as number);
      }
      if (found.length >= 100) break;
    }
    expect(found).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  it('writes every packet of a batch but those that were dropped from it', async () => {
    const device = await upDevice(io);
    const before = receivedPackets(device.name);
    const batch = batchOf(Array.from({ length: 150 }, (_, i) => echoRequest(i)));
    for (let i = 0; i < batch.count; i += 3) batch.drop(i);
    expect(device.write(batch)).toBe(150);
    expect(device.counters.packetsWritten).toBe(100);
    expect(receivedPackets(device.name) - before).toBe(100);
  });

  it('counts each packet that the kernel refuses, and writes the others once', async () => {
    const device = await upDevice(io);
    const before = receivedPackets(device.name);
    const packets = Array.from({ length: 100 }, (_, i) => echoRequest(i));
    for (const i of [0, 17, 18, 70, 99]) (packets[i] as Uint8Array)[0] = 0xf5;
    expect(device.write(batchOf(packets))).toBe(100);
    expect(device.counters.writeDropped.refused).toBe(5);
    expect(device.counters.packetsWritten).toBe(95);
    expect(receivedPackets(device.name) - before).toBe(95);
  });

  it('counts what it could not write while the device is down', async () => {
    const device = await upDevice(io);
    execFileSync('ip', ['link', 'set', device.name, 'down']);
    expect(device.write(batchOf(Array.from({ length: 100 }, (_, i) => echoRequest(i))))).toBe(100);
    expect(device.counters.writeDropped['link-down']).toBe(100);
    expect(device.counters.packetsWritten).toBe(0);
  });

  it('ends with VNIC_DEVICE_GONE when the device is deleted', async () => {
    const device = await upDevice(io);
    const reading = payloads(device, 1).catch((error: unknown) => error);
    execFileSync('ip', ['link', 'delete', device.name]);
    expect(isVnicError(await reading, 'VNIC_DEVICE_GONE')).toBe(true);
  });
});

if (ioUringForbidden) {
  describe('io_uring, where the kernel forbids it', () => {
    it('is refused to who asks for it, and `auto` does without', async () => {
      expect(nativeCore().ioUringProbe()).toBe(-errno.EPERM);
      const error = await TunDevice.open({ name: 'pio9', io: 'io_uring' }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'VNIC_UNSUPPORTED', errno: 'EPERM', syscall: 'io_uring_setup' });
      expect(existsSync('/sys/class/net/pio9')).toBe(false);
    });
  });
} else {
  describe('many writes by one system call', testManyWrites);
  describe('io_uring', testRing);
}

function testManyWrites(): void {
  const folder = (): string => {
    const path = mkdtempSync(join(tmpdir(), 'vnic-io-'));
    open.push({ close: () => rmSync(path, { recursive: true }) });
    return path;
  };
  const numbered = (count: number): PacketBatch =>
    batchOf(Array.from({ length: count }, (_, i) => new Uint8Array(100 + i).fill(i)));
  const status = new Uint32Array(3);

  /** Every packet that waits in a descriptor, by its first byte and length. */
  const drain = (fd: number): { first: number; length: number }[] => {
    const batch = new PacketBatch({ capacity: 1000, bytesLen: 1 << 20 });
    const count = nativeCore().readBatch(fd, batch.bytes, batch.descriptors, 1000, 1000, 0, status, 8);
    return Array.from({ length: count }, (_, i) => ({ first: batch.packet(i)[0] as number, length: batch.length(i) }));
  };

  it('stop where the descriptor takes no more, lose nothing and repeat nothing', () => {
    const core = nativeCore();
    const path = Buffer.from(`\u0001\0${join(folder(), 'socket')}\0`, 'latin1');
    const [receiver, sender] = [0, 1].map(() => core.socket(1, 2, 0)) as [number, number];
    open.push({ close: () => core.close(receiver) }, { close: () => core.close(sender) });
    expect(core.bind(receiver, path)).toBe(0);
    expect(core.udpConnect(sender, path)).toBe(0);
    // More than net.unix.max_dgram_qlen lets wait.
    const total = 250;
    const batch = numbered(total);
    const found: { first: number; length: number }[] = [];
    let at = 0;
    for (let turns = 0; at < total && turns < 100; turns++) {
      at += core.writeBatch(sender, batch.bytes, batch.descriptors, at, total, status, 1);
      expect([0, errno.EAGAIN]).toContain(status[0]);
      if (turns === 0) expect(at).toBeLessThan(total);
      found.push(...drain(receiver));
    }
    expect(found).toEqual(Array.from({ length: total }, (_, i) => ({ first: i & 0xff, length: 100 + i })));
  });

  it('say so when the descriptor does not work with them, and nothing has been written', () => {
    const core = nativeCore();
    const path = join(folder(), 'fifo');
    execFileSync('mkfifo', [path]);
    const fd = core.open(path, constants.O_RDWR | constants.O_NONBLOCK);
    open.push({ close: () => core.close(fd) });
    const batch = numbered(5);
    expect(core.writeBatch(fd, batch.bytes, batch.descriptors, 0, 5, status, 1)).toBe(0);
    expect(status[0]).toBe(errno.EOPNOTSUPP);
    expect(core.writeBatch(fd, batch.bytes, batch.descriptors, 0, 5, status, 0)).toBe(5);
    expect(drain(fd)).toEqual([{ first: 0, length: 100 + 101 + 102 + 103 + 104 }]);
    expect(status[0]).toBe(errno.EOPNOTSUPP);
  });
}

function testRing(): void {
  it('sets up one ring for all devices of a thread, and closes it with the thread', async () => {
    const rings = (): number =>
      Number(execFileSync('sh', ['-c', `ls -l /proc/${process.pid}/fd | grep -c io_uring || true`]));
    const first = await TunDevice.open({ io: 'io_uring' });
    open.push(first);
    const after = rings();
    open.push(await TunDevice.open({ io: 'io_uring' }), await TunDevice.open());
    expect(rings()).toBe(after);
    expect(after).toBeGreaterThan(0);
    const { Worker } = await import('node:worker_threads');
    const library = new URL('../../dist/tun/index.js', import.meta.url).href;
    const source = `import(${JSON.stringify(library)}).then(async ({ TunDevice }) => (await TunDevice.open({ io: 'io_uring' })).close())`;
    await new Promise((resolve) => new Worker(source, { eval: true }).once('exit', resolve));
    expect(rings()).toBe(after);
  });
}

function receivedPackets(name: string): number {
  const [link] = JSON.parse(execFileSync('ip', ['-s', '-j', 'link', 'show', name], { encoding: 'utf8' }));
  return link.stats64.rx.packets;
}

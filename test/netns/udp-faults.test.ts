/**
 * UDP sockets and what networks, devices and callers get wrong, against the real kernel.
 *
 *   socket 10.3.0.1 -- icmp0, a TUN device -- this test as 10.3.0.2, which answers as it likes
 *   socket 10.4.0.1 -- plain0 ===veth without checksum offload=== plain1 [namespace plain] 10.4.0.2
 */

import { execFileSync } from 'node:child_process';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { seededRandom } from '../../src/base/index.ts';
import { ipv4Packet, udpPacket } from '../../src/testing/index.ts';
import { openUdp, UdpBatch, type UdpOptions, type UdpSocket, type UdpUnreachable } from '../../src/transport/index.ts';
import { TunDevice } from '../../src/tun/index.ts';
import { internetChecksum } from '../../src/wire/index.ts';
import { requirePrivateNetns } from './private-netns.ts';

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const own = '10.3.0.1';
const peer = '10.3.0.2';

beforeAll(() => requirePrivateNetns());

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function open(options: UdpOptions): Promise<UdpSocket> {
  const socket = await openUdp(options);
  cleanups.push(() => socket.close());
  return socket;
}

async function openTun(): Promise<TunDevice> {
  const tun = await TunDevice.open({ name: 'icmp0' });
  cleanups.push(() => tun.close());
  execFileSync('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/icmp0/disable_ipv6']);
  ip('addr', 'add', `${own}/24`, 'dev', 'icmp0');
  ip('link', 'set', 'icmp0', 'up');
  return tun;
}

/** An ICMP error as a router sends it: any type, code and second word, quoting the start of a packet. */
function icmpError(type: number, code: number, word: number, quoted: Uint8Array): Uint8Array {
  const payload = new Uint8Array(8 + quoted.length);
  const view = new DataView(payload.buffer);
  payload.set([type, code]);
  view.setUint32(4, word);
  payload.set(quoted, 8);
  view.setUint16(2, internetChecksum(payload, 0, payload.length));
  return ipv4Packet({ source: peer, destination: own, protocol: 1, payload });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('ICMP errors', () => {
  it('of every type and code, cut off anywhere, are events at most, and the socket goes on', async () => {
    const tun = await openTun();
    const socket = await open({ remote: { address: peer, port: 9 }, pathMtuDiscovery: 'do' });
    const seen: UdpUnreachable[] = [];
    const mtus: number[] = [];
    const got: number[] = [];
    socket.on('unreachable', (event) => seen.push(event));
    socket.on('pathMtu', ({ mtu }) => mtus.push(mtu));
    socket.onBatch((batch) => {
      for (const { length } of batch) got.push(length);
    });
    const ports = { sourcePort: socket.local.port, destinationPort: 9 };
    const sent = udpPacket({ source: own, destination: peer, ...ports, payload: new Uint8Array(100) });
    const random = seededRandom(11);
    const back = { sourcePort: 9, destinationPort: socket.local.port };
    let good = 0;
    for (const type of [3, 4, 5, 11, 12, 200]) {
      for (let code = 0; code <= 16; code++) {
        for (const length of [0, 19, 20, 27, 28, 60, sent.length]) {
          const word = length === 28 ? Math.floor(random() * 2 ** 32) : 1000;
          tun.write(icmpError(type, code, word, sent.subarray(0, length)));
        }
        socket.send(new Uint8Array(200));
        tun.write(udpPacket({ source: peer, destination: own, ...back, payload: new Uint8Array(++good) }));
        await turn();
      }
    }
    for (let i = 0; i < 1000 && got.length < good; i++) await turn();
    expect(got).toEqual(Array.from({ length: good }, (_, i) => i + 1));
    expect(new Set(seen.map(({ reason }) => reason))).toEqual(
      new Set(
        ['network', 'host', 'protocol', 'port', 'prohibited', 'time-exceeded', 'other'].filter(
          (reason) => reason !== 'other',
        ),
      ),
    );
    expect(mtus).toContain(1000);
    expect(socket.closed).toBe(false);
  });

  it('that come in a flood neither stop the loop nor grow without bound', async () => {
    const tun = await openTun();
    const socket = await open({ remote: { address: peer, port: 9 }, receiveBufferLen: 65_536 });
    let events = 0;
    socket.on('unreachable', () => events++);
    const ports = { sourcePort: socket.local.port, destinationPort: 9 };
    const sent = udpPacket({ source: own, destination: peer, ...ports, payload: new Uint8Array(100) });
    const error = icmpError(3, 3, 0, sent);
    // Nobody reads: the kernel keeps what fits into the receive buffer.
    for (let i = 0; i < 5000; i++) tun.write(error);
    for (let i = 0; i < 100; i++) socket.send(new Uint8Array(10));
    await turn();
    expect(events).toBeGreaterThan(0);
    expect(events).toBeLessThan(1000);
    expect(socket.counters.datagramsSent).toBeGreaterThan(90);
    socket.onBatch(() => undefined);
    const before = events;
    for (let i = 0; i < 50; i++) {
      tun.write(error);
      await turn();
    }
    expect(events).toBeGreaterThan(before);
  });
});

describe('datagrams', () => {
  it('are heard also by a socket that nobody reads, and wait for nobody at the end of the process', async () => {
    const socket = await open({ remote: { address: '127.0.0.1', port: 9 } });
    const told = new Promise<UdpUnreachable>((resolve) => socket.on('unreachable', resolve));
    expect(socket.send(new Uint8Array(1))).toBe(1);
    expect((await told).reason).toBe('port');
    const library = new URL('../../dist/transport/index.js', import.meta.url).href;
    const source = `import { openUdp } from '${library}'; (await openUdp()).on('unreachable', () => undefined);`;
    execFileSync(process.execPath, ['--input-type=module', '-e', source], { timeout: 30_000 });
  });

  it('that are malformed are not seen', async () => {
    const tun = await openTun();
    const socket = await open({ local: { address: own, port: 0 } });
    const ends = { source: peer, destination: own, sourcePort: 9, destinationPort: socket.local.port };
    const good = udpPacket({ ...ends, payload: new Uint8Array(50).fill(1) });
    const spoiled = (offset: number, value: number): Uint8Array => {
      const packet = good.slice();
      packet[offset] = value;
      return packet;
    };
    // Checksum, payload, length too long, length too short, cut off.
    for (const packet of [spoiled(26, 0xaa), spoiled(40, 9), spoiled(24, 0xff), spoiled(25, 7), good.subarray(0, 27)]) {
      tun.write(packet);
    }
    tun.write(good);
    const batch = await socket.receive();
    expect(batch?.count).toBe(1);
    expect([...(batch?.packet(0) ?? [])]).toEqual(Array(50).fill(1));
  });
});

describe('a device that computes no checksums', () => {
  it('gets the same datagrams, by segments or one by one', async () => {
    ip('netns', 'add', 'plain');
    ip('link', 'add', 'plain0', 'type', 'veth', 'peer', 'name', 'plain1', 'netns', 'plain');
    cleanups.push(() => ip('netns', 'delete', 'plain'));
    ip('addr', 'add', '10.4.0.1/24', 'dev', 'plain0');
    ip('-n', 'plain', 'addr', 'add', '10.4.0.2/24', 'dev', 'plain1');
    execFileSync('ethtool', ['-K', 'plain0', 'tx', 'off']);
    ip('link', 'set', 'plain0', 'up');
    ip('-n', 'plain', 'link', 'set', 'plain1', 'up');
    const socket = await open({ remote: { address: '10.4.0.2', port: 9 } });
    const batch = new UdpBatch({ capacity: 100 });
    for (let i = 0; i < 100; i++) batch.append(new Uint8Array(1000).fill(i));
    expect(socket.send(batch)).toBe(100);
    // The neighbour is asked for first; the queue for that holds a hundred of them.
    expect(socket.counters).toMatchObject({ datagramsSent: 100, bytesSent: 100_000 });
    expect(Object.values(socket.counters.sendDropped).every((count) => count === 0)).toBe(true);
  });
});

describe('a batch', () => {
  it('of random descriptors is sent or refused, and never read beyond its memory', async () => {
    const receiver = await open({ local: { address: '127.0.0.1', port: 0 } });
    const socket = await open({ local: { address: '127.0.0.1', port: 0 } });
    const random = seededRandom(5);
    const batch = new UdpBatch({ capacity: 64, bytesLen: 8192 });
    let refused = 0;
    for (let round = 0; round < 500; round++) {
      batch.clear();
      batch.endpoints.add(receiver.local);
      const limit = round % 2 === 0 ? 2 ** 32 : 4096;
      for (let i = 0; i < batch.descriptors.length; i++) {
        batch.descriptors[i] = Math.floor(random() * (i % 4 === 2 ? 2 ** 25 : limit));
        if (i % 4 === 2 && round % 2 === 1) batch.setEndpoint(i >> 2, Math.floor(random() * 3));
      }
      batch.count = 64;
      try {
        expect(socket.send(batch)).toBe(64);
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        refused++;
      }
    }
    expect(refused).toBe(250);
    expect(socket.counters.datagramsSent).toBeGreaterThan(1000);
  });
});

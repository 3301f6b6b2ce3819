import { deflateRawSync } from 'node:zlib';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { seededRandom } from '../base/index.ts';
import { createLinkPair, type PacketLink } from '../link/index.ts';
import { compress } from './index.ts';

const text = new TextEncoder().encode('GET / HTTP/1.1\r\nHost: example.org\r\n'.repeat(40)).slice(0, 1400);

function noise(length: number, seed = 1): Uint8Array {
  const random = seededRandom(seed);
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

async function readAll(link: PacketLink, count: number): Promise<Uint8Array[]> {
  const packets: Uint8Array[] = [];
  while (packets.length < count) for (const packet of (await link.read()) ?? []) packets.push(packet.slice());
  return packets;
}

describe('compression', () => {
  it('shortens what can be shortened, and adds one byte to the rest', async () => {
    const [inner, far] = createLinkPair({ medium: 'ip', mtu: 1500 });
    const link = compress(inner);
    expect(link.mtu).toBe(1499);
    for (const packet of [text, noise(1499), noise(40)]) expect(link.write(packet)).toBe(1);
    const [first, second, third] = await readAll(far, 3);
    expect(first?.length).toBeLessThan(200);
    expect(first?.[0]).toBe(1);
    expect([second?.length, second?.[0]]).toEqual([1500, 0]);
    expect([third?.length, third?.[0]]).toEqual([41, 0]);
    expect(link.toLink).toMatchObject({ packetsIn: 3, packetsOut: 3, bytesIn: 1400 + 1499 + 40, deflated: 1 });
    await link.close();
    expect(inner.closed).toBe(true);
  });

  it.each([1, 6, 9])('gives every packet back as it was, at level %i', async (level) => {
    const [a, b] = createLinkPair({ medium: 'ethernet', mtu: 9000 });
    const [near, far] = [compress(a, { level }), compress(b)];
    const packets = fc.sample(
      fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc.uint8Array({ minLength: 1, maxLength: 200, max: 3 }),
        fc.nat(8999).map((length) => noise(length + 1)),
        fc.nat(8999).map((length) => new Uint8Array(length + 1).fill(7)),
      ),
      { numRuns: 200, seed: 5 },
    );
    const reading = readAll(far, packets.length);
    for (const packet of packets) while (near.write(packet) === 0) await near.writable();
    expect(await reading).toEqual(packets.map((packet) => Uint8Array.from(packet)));
    await near.close();
  });

  it('carries full frames of any content at the largest MTU', async () => {
    const [a, b] = createLinkPair({ medium: 'ip', mtu: 65_535, capacityPackets: 8 });
    const [near, far] = [compress(a), compress(b)];
    const packets = [noise(65_534), new Uint8Array(65_534), text];
    const reading = readAll(far, 3);
    for (const packet of packets) while (near.write(packet) === 0) await near.writable();
    expect(await reading).toEqual(packets.map((packet) => Uint8Array.from(packet)));
    await near.close();
  });

  it('drops what is longer than the MTU, and counts it', async () => {
    const [inner] = createLinkPair({ medium: 'ip', mtu: 1500 });
    const link = compress(inner);
    expect(link.write(new Uint8Array(1500))).toBe(1);
    expect(link.counters).toMatchObject({ packetsWritten: 0, writeDropped: { 'too-long': 1 } });
    await link.close();
  });

  it('never inflates beyond the MTU, and counts what is no packet of the other side', async () => {
    const [inner, far] = createLinkPair({ medium: 'ip', mtu: 1500 });
    const link = compress(inner);
    const method = (number: number, body: Uint8Array): Uint8Array => Uint8Array.from([number, ...body]);
    const bomb = deflateRawSync(new Uint8Array(1_000_000));
    expect(bomb.length).toBeLessThan(1400);
    far.write(method(1, bomb));
    far.write(method(1, deflateRawSync(new Uint8Array(1500))));
    far.write(method(1, noise(300)));
    far.write(method(1, deflateRawSync(new Uint8Array(0))));
    far.write(method(1, new Uint8Array(0)));
    far.write(method(2, text));
    far.write(Uint8Array.of(0));
    far.write(method(1, deflateRawSync(new Uint8Array(1499))));
    const [good] = await readAll(link, 1);
    expect(good).toEqual(new Uint8Array(1499));
    expect(link.fromLink.dropped).toMatchObject({ 'too-long': 2, malformed: 5 });
    expect(link.fromLink.packetsIn).toBe(8);
    await link.close();
  });

  it('takes any bytes from the other side without throwing', async () => {
    const [inner, far] = createLinkPair({ medium: 'ip', mtu: 1500 });
    const link = compress(inner);
    const [sent] = [2000];
    let seen = 0;
    const ended = new Promise<unknown>((resolve) => {
      link.onBatch((batch) => {
        seen += batch.count;
      }, resolve);
    });
    const random = seededRandom(11);
    for (let i = 0; i < sent; i++) {
      const packet = noise(1 + Math.floor(random() * 300), i);
      packet[0] = 1;
      while (far.write(packet) === 0) await far.writable();
    }
    while (link.fromLink.packetsIn < sent) await new Promise((resolve) => setImmediate(resolve));
    const { dropped, packetsOut } = link.fromLink;
    expect(packetsOut + dropped.malformed + dropped['too-long']).toBe(sent);
    expect(seen).toBe(packetsOut);
    await link.close();
    expect(await ended).toBeUndefined();
  });

  it('refuses a level that there is not, and links with super-packets', () => {
    const [inner] = createLinkPair({ medium: 'ip' });
    expect(() => compress(inner, { level: 10 })).toThrow(/a level from 1 to 9/);
    expect(() => compress(Object.create(inner, { offload: { value: true } }) as PacketLink)).toThrow(/super-packets/);
  });
});
